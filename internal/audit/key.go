package audit

import (
	"fmt"
	"slices"
	"time"
)

// key is what is known of one politeness key: of the exchanges up to its last
// one in the order of their starts.
type key struct {
	name     string
	limits   Limits
	counts   [len(kinds)]int64
	last     row           // that began; its url is empty while there is none
	open     []row         // that may not have ended
	most     int           // at once
	gap      time.Duration // smallest between two starts; 0: there are no two
	gaps     bool
	read     time.Time // when the last robots.txt was; zero: never
	settled  bool      // a start has come since
	holds    []hold    // that have not run out
	asked    int64     // answers that did
	longest  time.Duration
	held     int64 // exchanges that began while one held
	broken   []Violation
	exchange int64 // all kinds
}

// take takes the next row in the order of starts; false: it isn't.
func (k *key) take(r row) bool {
	if k.last.key != nil && r.start.Before(k.last.start) {
		return false
	}
	for i := range k.holds {
		k.holds[i].settle(k, r.start)
	}
	k.open = slices.DeleteFunc(k.open, func(o row) bool { return !o.end.After(r.start) })
	k.holds = slices.DeleteFunc(k.holds, func(h hold) bool { return !h.rest.After(r.start) })
	if !r.earlier {
		k.exchange++
		k.counts[r.kind]++
		k.atOnce(r)
		k.spacing(r)
		k.rested(r)
	}
	k.open = append(k.open, r)
	if !r.rest.IsZero() {
		k.holds = append(k.holds, hold{row: r})
		if !r.earlier {
			k.asked++
			k.longest = max(k.longest, r.rest.Sub(r.end))
		}
	}
	if r.robots && !r.earlier {
		k.read, k.settled = r.end, false
	}
	k.last = r
	return true
}

func (k *key) atOnce(r row) {
	n := len(k.open) + 1
	k.most = max(k.most, n)
	if n > k.limits.Concurrency {
		longest := slices.MaxFunc(k.open, func(a, b row) int { return a.end.Compare(b.end) })
		k.violated("concurrency", longest, r, fmt.Sprintf("%d at once, %d allowed", n, k.limits.Concurrency))
	}
}

// grain is how much shorter than it was a gap may look: times are in µs.
const grain = time.Microsecond

func (k *key) spacing(r row) {
	if k.last.key == nil {
		return
	}
	gap := r.start.Sub(k.last.start)
	if !r.earlier && !k.last.earlier && (!k.gaps || gap < k.gap) {
		k.gap, k.gaps = gap, true
	}
	if gap < k.limits.Delay-grain {
		k.violated("delay", k.last, r, fmt.Sprintf("%v between two starts, %v asked for", gap, k.limits.Delay))
	}
	if !k.read.IsZero() && r.start.After(k.read) {
		// Where something else was asked meanwhile, the first start since may
		// have been on its way.
		if (k.settled || k.last.robots) && gap < k.limits.CrawlDelay-grain {
			k.violated("crawl-delay", k.last, r, fmt.Sprintf("%v between two starts, robots.txt asks for %v", gap, k.limits.CrawlDelay))
		}
		k.settled = true
	}
}

// hold is an exchange whose answer asks for rest.
type hold struct {
	row
	settled bool
	coming  int // exchanges that may have been waiting for a connection when it came
}

// settle reckons what may have been on its way, once all that had been sent
// when the answer came is known. Of a key with a delay between its starts only
// one waits for its connection at a time.
func (h *hold) settle(k *key, now time.Time) {
	if h.settled || !now.After(h.end) {
		return
	}
	h.settled = true
	h.coming = k.limits.Concurrency - 1
	for _, o := range k.open {
		if !o.start.After(h.end) && o.end.After(h.end) {
			h.coming--
		}
	}
	if max(k.limits.Delay, k.limits.CrawlDelay) > 0 {
		h.coming = min(h.coming, 1)
	}
}

func (k *key) rested(r row) {
	told := false
	for i := range k.holds {
		h := &k.holds[i]
		if !r.start.After(h.end.Add(Late)) {
			continue
		}
		if h.coming > 0 {
			h.coming--
			continue
		}
		if !told {
			told = true
			k.held++
			k.violated("retry-after", h.row, r, fmt.Sprintf("begun %v after an answer that asked for %v", r.start.Sub(h.end), h.rest.Sub(h.end)))
		}
	}
}

// violated notes the first time that a rule is broken.
func (k *key) violated(rule string, first, second row, text string) {
	if !slices.ContainsFunc(k.broken, func(v Violation) bool { return v.Rule == rule }) {
		k.broken = append(k.broken, Violation{Rule: rule, Text: text, First: first.sent(), Second: second.sent(), Times: 0})
	}
	i := slices.IndexFunc(k.broken, func(v Violation) bool { return v.Rule == rule })
	k.broken[i].Times++
}

func (r row) sent() Sent {
	return Sent{URL: r.url, StartedAt: r.start, EndedAt: r.end, Earlier: r.earlier}
}
