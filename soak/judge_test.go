package soak

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/judges"
)

// judge hears both judges of what the site was asked by all processes of the
// harvest together, and holds it to what the job promised. What a kill took
// away only the server knows of.
func (h *harvest) judge() {
	h.t.Helper()
	c := judges.Case{Store: h.store, Log: &h.site.log.Log, Whole: len(h.past) == 1, Busy: h.busy,
		Promised: func(host string) (serverlog.Limits, bool) {
			l := limitOf(host)
			return serverlog.Limits{Concurrency: l.concurrency, Delay: l.delay}, true
		}}
	v, err := c.Judge(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, problem := range v.Problems() {
		h.t.Error(problem)
	}
}

// lossWindow is how old at most what a kill loses is: a roll that was about to
// be closed, and the time that closing takes where all else wants the same
// cores: longer in a bucket, where each of its files is several requests.
func (h *harvest) lossWindow() time.Duration {
	window := rollEvery + rollEvery/4 + 750*time.Millisecond
	if h.store.Local() == "" {
		window += 2 * time.Second
	}
	return window
}

// judgeRepeats holds what was asked more than once against what a kill may
// cost: nothing that was on disk in a complete roll, nothing older than the
// last roll, and not more than was in flight and in the last rolls. After a
// process that ended in good order nothing that was answered is asked again.
// It returns how many were.
func (h *harvest) judgeRepeats(c *calm, lost []loss) int {
	h.t.Helper()
	byURL := map[string][]serverlog.Entry{}
	for _, e := range h.site.log.Requests() {
		if !strings.HasSuffix(e.URL, "/robots.txt") {
			byURL[e.URL] = append(byURL[e.URL], e)
		}
	}
	repeats := make([]int, len(h.past))
	for url, entries := range byURL {
		in := 1 // in this process
		for i := 1; i < len(entries); i++ {
			before := entries[i-1]
			n := h.processOf(before)
			if n == h.processOf(entries[i]) {
				if in++; in > max(c.asked[url], 1) {
					h.t.Errorf("%s was asked %d times by one process, %d undisturbed", url, in, c.asked[url])
				}
				continue
			}
			in = 1
			repeats[n]++
			switch end := h.past[n].Ended; {
			case c.asked[url] != 1 || before.Status == 0 || before.Status >= 300 && before.Status < 400 || before.Status >= 429:
				// A request of more than one exchange that was not through, or one in flight.
			case n >= len(lost):
				h.t.Errorf("%s was asked again after the run was done", url)
			case !lost[n].killed:
				h.t.Errorf("%s was asked again, though it was answered before the run was stopped", url)
			case lost[n].onDisk[url]:
				h.t.Errorf("%s was asked again after kill %d, though its capture was in a complete roll", url, n)
			case before.End.Before(end.Add(-h.lossWindow())):
				h.t.Errorf("%s was asked again after kill %d, though it was answered %v before that", url, n, end.Sub(before.End))
			}
		}
	}
	total := 0
	for n, count := range repeats {
		total += count
		if most := inFlight + h.endedWithin(n, h.lossWindow()); count > most {
			h.t.Errorf("%d URLs were asked again after kill %d: more than were in flight and in the last rolls, %d", count, n, most)
		}
	}
	return total
}

// processOf is the number of the process that a request came from.
func (h *harvest) processOf(e serverlog.Entry) int {
	for n := len(h.past) - 1; n > 0; n-- {
		if e.Start.After(h.past[n].Began) {
			return n
		}
	}
	return 0
}

// endedWithin counts the requests of a process that were answered within d
// before its end.
func (h *harvest) endedWithin(process int, d time.Duration) int {
	count := 0
	for _, e := range h.site.log.Requests() {
		if h.processOf(e) == process && e.End.After(h.past[process].Ended.Add(-d)) {
			count++
		}
	}
	return count
}

// judgeResumes checks that whoever goes on with a round is careful with the
// hosts that its predecessor may still be asking: nothing for at least a
// second, and one at a time for the job's timeout.
func (h *harvest) judgeResumes(lost []loss) {
	h.t.Helper()
	lake, _, _ := h.lake()
	for n, l := range lost {
		if l.round < 0 || n+1 >= len(h.past) {
			continue
		}
		m, err := lake.Manifest(h.t.Context(), lakeio.FetchStage(l.round))
		if err != nil {
			h.t.Fatal(err)
		}
		next := h.past[n+1]
		byHost := map[string][]serverlog.Entry{}
		for _, e := range h.site.log.Requests() {
			if l.hosts[e.Host] && h.processOf(e) == n+1 && e.Start.Before(m.At) {
				byHost[e.Host] = append(byHost[e.Host], e)
			}
		}
		for host, entries := range byHost {
			if after := entries[0].Start.Sub(next.Began); after < max(time.Second, limitOf(host).delay) {
				h.t.Errorf("%s: asked %v after process %d had begun, want a second at least: process %d held its shard", host, after, n+1, n)
			}
			careful := slices.DeleteFunc(entries, func(e serverlog.Entry) bool { return e.Start.After(next.Began.Add(timeout)) })
			if most := serverlog.MostAtOnce(careful); most > 1 {
				h.t.Errorf("%s: %d at once in the first %v after process %d had taken over", host, most, timeout, n+1)
			}
		}
	}
}
