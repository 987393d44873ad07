package soak

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
)

const (
	// jitter is how much closer to each other two requests may reach the
	// server than they were started.
	jitter = 2 * time.Millisecond
	// mostHeldUp bounds what busy cores may hold a request up in the median: a
	// client that sends late as a rule does not keep to its own times.
	mostHeldUp = 10 * time.Millisecond
)

// judge holds the server's log against the politeness that the job promised:
// all processes of the harvest together, as a host sees them. A start that
// busy cores held up on its way brings its successor closer to it: the
// exchanges table, whose times are by the same clock, says for how long, and
// that much is allowed for. The exchanges themselves keep their distance to
// the microsecond.
func (h *harvest) judge() {
	h.t.Helper()
	entries := h.site.log.Requests()
	told := h.exchanges()
	byHost := map[string][]arrival{}
	var ways []time.Duration
	for _, e := range entries {
		a := arrival{Entry: e, heldUp: -1}
		if x, ok := told.of(e); ok {
			a.heldUp = max(0, e.Start.Sub(x.started))
			ways = append(ways, a.heldUp)
		}
		byHost[e.Host] = append(byHost[e.Host], a)
	}
	slices.Sort(ways)
	if len(ways) == 0 || ways[len(ways)/2] > mostHeldUp {
		h.t.Errorf("half of %d requests were more than %v on their way to a server on loopback", len(ways), mostHeldUp)
		return
	}
	worst := ways[len(ways)-1]
	for host, arrivals := range byHost {
		l := limitOf(host)
		if n := h.site.log.MostAtOnce(host); n > l.concurrency {
			h.t.Errorf("%s: %d requests at once, limit %d", host, n, l.concurrency)
		}
		// In the order they were started: one may overtake another.
		slices.SortStableFunc(arrivals, func(a, b arrival) int { return a.sent().Compare(b.sent()) })
		for i, a := range arrivals {
			for _, n := range []int{1, 10} { // a burst would show in ten
				if i+n >= len(arrivals) {
					continue
				}
				b, heldUp := arrivals[i+n], a.heldUp
				if heldUp < 0 || b.heldUp < 0 { // the row went with the last roll
					heldUp = worst
				}
				if gap := b.Start.Sub(a.Start); gap < time.Duration(n)*l.delay-jitter-heldUp {
					h.t.Errorf("%s: %s was asked %v after %s, %d starts before it: delay %v, held up %v", host, b.URL, gap, a.URL, n, l.delay, heldUp)
				}
			}
		}
	}
	for host, starts := range told.starts {
		for i := 1; i < len(starts); i++ {
			if gap := starts[i].Sub(starts[i-1]); gap < limitOf(host).delay-time.Microsecond { // a table's times are in µs
				h.t.Errorf("%s: exchanges begun %v apart, delay %v", host, gap, limitOf(host).delay)
			}
		}
	}
}

// arrival is a request as the server saw it, and how long it was on its way;
// -1: unknown.
type arrival struct {
	serverlog.Entry
	heldUp time.Duration
}

// sent is when it was started, as far as that is known.
func (a arrival) sent() time.Time { return a.Start.Add(-max(0, a.heldUp)) }

// exchanges are what the tables say of what was asked.
type exchanges struct {
	byURL  map[string][]sent
	starts map[string][]time.Time // by host, sorted
}

type sent struct{ started, ended time.Time }

// of finds the exchange of a log's entry: the one that it lies within.
func (x exchanges) of(e serverlog.Entry) (sent, bool) {
	best, found := sent{}, false
	for _, s := range x.byURL[e.URL] {
		if !s.started.After(e.Start) && !e.Start.After(s.ended.Add(time.Millisecond)) {
			best, found = s, true
		}
	}
	return best, found
}

// exchanges reads them from what the newest run has committed.
func (h *harvest) exchanges() exchanges {
	h.t.Helper()
	x := exchanges{map[string][]sent{}, map[string][]time.Time{}}
	lake, run, _ := h.lake()
	for _, stage := range stagesOf(run) {
		m, err := lake.Manifest(h.t.Context(), stage)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, part := range m.TablesOf(lakeio.Exchanges.Name()) {
			for e, err := range lakeio.ReadRows(h.t.Context(), h.store, lakeio.Exchanges, part) {
				if err != nil {
					h.t.Fatal(err)
				}
				url, host := strings.Clone(e.URL), strings.Split(e.URL, "/")[2]
				x.byURL[url] = append(x.byURL[url], sent{e.StartedAt, e.EndedAt})
				x.starts[host] = append(x.starts[host], e.StartedAt)
			}
		}
	}
	for _, starts := range x.starts {
		slices.SortFunc(starts, time.Time.Compare)
	}
	return x
}

// lossWindow is how old at most what a kill loses is: a roll that was about to
// be closed, and the time that closing took.
const lossWindow = rollEvery + rollEvery/4 + 750*time.Millisecond

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
			switch end := h.past[n].ended; {
			case c.asked[url] != 1 || before.Status == 0 || before.Status >= 300 && before.Status < 400 || before.Status >= 429:
				// A request of more than one exchange that was not through, or one in flight.
			case n >= len(lost):
				h.t.Errorf("%s was asked again after the run was done", url)
			case !lost[n].killed:
				h.t.Errorf("%s was asked again, though it was answered before the run was stopped", url)
			case lost[n].onDisk[url]:
				h.t.Errorf("%s was asked again after kill %d, though its capture was in a complete roll", url, n)
			case before.End.Before(end.Add(-lossWindow)):
				h.t.Errorf("%s was asked again after kill %d, though it was answered %v before that", url, n, end.Sub(before.End))
			}
		}
	}
	total := 0
	for n, count := range repeats {
		total += count
		if most := inFlight + h.endedWithin(n, lossWindow); count > most {
			h.t.Errorf("%d URLs were asked again after kill %d: more than were in flight and in the last rolls, %d", count, n, most)
		}
	}
	return total
}

// processOf is the number of the process that a request came from.
func (h *harvest) processOf(e serverlog.Entry) int {
	for n := len(h.past) - 1; n > 0; n-- {
		if e.Start.After(h.past[n].began) {
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
		if h.processOf(e) == process && e.End.After(h.past[process].ended.Add(-d)) {
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
			if after := entries[0].Start.Sub(next.began); after < max(time.Second, limitOf(host).delay) {
				h.t.Errorf("%s: asked %v after process %d had begun, want a second at least: process %d held its shard", host, after, n+1, n)
			}
			careful := slices.DeleteFunc(entries, func(e serverlog.Entry) bool { return e.Start.After(next.began.Add(timeout)) })
			if most := mostAtOnce(careful); most > 1 {
				h.t.Errorf("%s: %d at once in the first %v after process %d had taken over", host, most, timeout, n+1)
			}
		}
	}
}

// mostAtOnce is the largest number of requests answered at one time.
func mostAtOnce(entries []serverlog.Entry) int {
	type change struct {
		at int64
		by int
	}
	var changes []change
	for _, e := range entries {
		end := int64(math.MaxInt64)
		if !e.End.IsZero() {
			end = e.End.UnixNano()
		}
		changes = append(changes, change{e.Start.UnixNano(), 1}, change{end, -1})
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	most, now := 0, 0
	for _, c := range changes {
		now += c.by
		most = max(most, now)
	}
	return most
}
