package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/serverlog"
)

// judgement is what the server's log says of a harvest.
type judgement struct {
	First, Last time.Time     // start of the first request, end of the last one
	Requests    int           // pages and robots.txt files
	Bound       time.Duration // least time that politeness allows for them, see DESIGN
	Bounding    string        // the host that decides
	Latency     time.Duration // its own, a request
	AtOnce      int           // most requests that one host was answering at once
	Gap         time.Duration // smallest between two starts on a host
	Violations  []string      // what politeness did not allow, the first few
	Close       int           // hosts of which the log alone, without what the client says of hold-ups, says so
	Faults      []string      // pages asked more or less than once, the first few
	Slots       slots         // of the host that decides
}

const fewLines = 5

func newJudgement(s scenario, entries []serverlog.Entry) judgement {
	j := judgement{Requests: len(entries), Gap: time.Duration(1<<63 - 1)}
	byHost := map[string][]serverlog.Entry{}
	for _, e := range entries {
		byHost[e.Host] = append(byHost[e.Host], e)
		if j.First.IsZero() {
			j.First = e.Start
		}
		if e.End.After(j.Last) {
			j.Last = e.End
		}
	}
	for h := range s.Hosts {
		if s.Lean {
			break // see count
		}
		name := hostName(h)
		j.host(s, h, byHost[name])
		delete(byHost, name)
	}
	for name := range byHost {
		j.fault("%s was asked, and is no host", name)
	}
	return j
}

// count is all that a lean log tells: whether every host was asked as often as
// there are pages.
func (j *judgement) count(s scenario, all map[string]serverlog.Figures) {
	for h := range s.Hosts {
		f := all[hostName(h)]
		if want := int64(s.requests(h) + 1); f.Requests != want {
			j.fault("%s was asked %d times, there are %d URLs", hostName(h), f.Requests, want)
		}
		j.Requests += int(f.Requests)
	}
	if len(all) > len(s.Hosts) {
		j.fault("%d hosts were asked, there are %d", len(all), len(s.Hosts))
	}
}

// polite adds what the log says of how the hosts were treated, beside what the
// client sent: the server alone can't tell a request that came too soon from one
// that came right after a request that was held up on its way. A lean log is
// judged alone.
func (j *judgement) polite(s scenario, log *serverlog.Log, sent []harrow.Exchange) {
	promised := serverlog.Limits{Concurrency: s.Concurrency, Delay: s.CrawlDelay}
	limits := func(string) serverlog.Limits { return promised }
	broken := log.Judge(limits)
	if !s.Lean {
		j.Close = len(broken)
		broken = log.JudgeBeside(limits, sent)
	}
	for _, v := range broken {
		j.Violations = few(j.Violations, v.String())
	}
	for _, f := range log.All() {
		j.AtOnce, j.Gap = max(j.AtOnce, f.MostAtOnce), min(j.Gap, f.SmallestGap)
	}
}

// host judges one host, its requests in the order of their starts.
func (j *judgement) host(s scenario, h int, entries []serverlog.Entry) {
	name, total := hostName(h), time.Duration(0)
	asked := map[string]int{}
	for _, e := range entries {
		asked[e.URL]++
		total += e.End.Sub(e.Start)
	}
	for url, n := range asked {
		if n > 1 {
			j.fault("%s was asked %d times", url, n)
		}
	}
	if want := s.requests(h) + 1; len(asked) != want {
		j.fault("%s: %d URLs were asked, there are %d", name, len(asked), want)
	}
	if len(entries) == 0 {
		return
	}
	latency := total / time.Duration(len(entries))
	if bound := s.bound(len(entries)-1, latency); bound > j.Bound {
		j.Bound, j.Bounding, j.Latency = bound, name, latency
		j.Slots = newSlots(s, spansOf(entries))
	}
}

// bound is the least time for a host's robots.txt and n requests.
func (s scenario) bound(n int, latency time.Duration) time.Duration {
	if n == 0 {
		return latency
	}
	c := s.Concurrency
	return max(latency, s.CrawlDelay) + max(time.Duration((n+c-1)/c)*latency, time.Duration(n-1)*s.CrawlDelay+latency)
}

func (j *judgement) fault(format string, args ...any) {
	j.Faults = few(j.Faults, fmt.Sprintf(format, args...))
}

func few(lines []string, line string) []string {
	if len(lines) == fewLines {
		line = "and more"
	}
	if len(lines) > fewLines {
		return lines
	}
	return append(lines, line)
}

// span is a request's time, at the server or at the client.
type span struct{ start, end time.Time }

func spansOf(entries []serverlog.Entry) (spans []span) {
	for _, e := range entries {
		spans = append(spans, span{e.Start, e.End})
	}
	return spans
}

// slots tells how a host's places were used.
type slots struct {
	Idle times // from the moment when a start was allowed to the start
	Took times // from a start to its end
}

// times are the median, the 99th percentile and the sum of some.
type times struct{ P50, P99, Sum time.Duration }

func newTimes(all []time.Duration) (t times) {
	if len(all) == 0 {
		return t
	}
	slices.Sort(all)
	for _, d := range all {
		t.Sum += d
	}
	t.P50, t.P99 = all[len(all)/2], all[len(all)*99/100]
	return t
}

// newSlots reckons for each request since when it could have been started:
// since robots.txt was there, a place was free, and the delay was over.
func newSlots(s scenario, spans []span) slots {
	slices.SortFunc(spans, func(a, b span) int { return a.start.Compare(b.start) })
	var idle, took []time.Duration
	for i, e := range spans {
		took = append(took, e.end.Sub(e.start))
		if i == 0 {
			continue
		}
		since := spans[0].end
		if i > s.Concurrency {
			since = freed(spans[1:i], s.Concurrency)
		}
		if at := spans[i-1].start.Add(s.CrawlDelay); s.CrawlDelay > 0 && at.After(since) {
			since = at
		}
		idle = append(idle, max(0, e.start.Sub(since)))
	}
	return slots{newTimes(idle), newTimes(took)}
}

// freed is when fewer than c of the requests were in flight: of those that
// are in the order of their starts, at most c at once, the c-th last end.
func freed(spans []span, c int) time.Time {
	var ends []time.Time
	for _, e := range spans[max(0, len(spans)-8*c):] {
		ends = append(ends, e.end)
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends[len(ends)-c]
}
