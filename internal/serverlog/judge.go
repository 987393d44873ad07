package serverlog

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/harrowdata/harrow"
)

// Limits are what a key was promised.
type Limits struct {
	Concurrency int           // exchanges at once, at least 1
	Delay       time.Duration // between two starts
}

// HoldUp is the rule that requests reach the server soon after their client's log
// says that they were sent: if most don't, that log says nothing.
const HoldUp = "hold-up"

// Violation is one way in which a key was not treated as promised.
type Violation struct {
	Key  string
	Rule string // concurrency, delay, retry-after, or HoldUp
	Text string // what happened and what was promised
}

// String says it in a line: key, rule, what happened.
func (v Violation) String() string { return v.Key + ": " + v.Rule + ": " + v.Text }

// Judge holds what was asked against what each key was promised, by the
// server's log alone, and returns what was broken, by key. See the package's
// documentation for what is judged exactly.
func (l *Log) Judge(limits func(key string) Limits) (broken []Violation) {
	all := l.All()
	for _, key := range slices.Sorted(maps.Keys(all)) {
		f, promised := all[key], limits(key)
		broken = append(broken, f.common(key, promised)...)
		for i, n := range Windows {
			if least := time.Duration(n)*promised.Delay - Late; f.Spans[i] < least {
				broken = append(broken, Violation{key, "delay", fmt.Sprintf("%d requests began within %v of one, promised %v", n, f.Spans[i], time.Duration(n)*promised.Delay)})
				break
			}
		}
	}
	return broken
}

// common judges what takes no clock but the server's.
func (f Figures) common(key string, promised Limits) (broken []Violation) {
	if f.MostAtOnce > max(1, promised.Concurrency) {
		broken = append(broken, Violation{key, "concurrency", fmt.Sprintf("%d at once, promised %d", f.MostAtOnce, max(1, promised.Concurrency))})
	}
	if f.Held > 0 {
		broken = append(broken, Violation{key, "retry-after", fmt.Sprintf("%d requests began while an answer's Retry-After held", f.Held)})
	}
	return broken
}

const (
	// jitter is how much closer to each other two requests may reach the
	// server than they were started, with nothing in their way.
	jitter = 2 * time.Millisecond
	// mostHeldUp bounds what busy cores may hold a request up in the median: a
	// client that sends late as a rule does not keep to its own times.
	mostHeldUp = 10 * time.Millisecond
	// unheard is what a request may have been held up for of which the client's
	// log says nothing, if no other was held up for longer: it was lost in a
	// kill, when much begins anew.
	unheard = 100 * time.Millisecond
	// longest is the most that is believed of one request.
	longest = time.Second
)

// JudgeBeside is Judge with the client's own log beside the server's: each
// request's hold-up on its way is known, and only that is allowed for. What the
// client says of itself is judged elsewhere. It needs entries.
func (l *Log) JudgeBeside(limits func(key string) Limits, sent []harrow.Exchange) (broken []Violation) {
	arrivals, median, worst := match(l.Requests(), sent)
	if median > mostHeldUp {
		broken = append(broken, Violation{"", HoldUp, fmt.Sprintf("half of %d requests were more than %v on their way", len(sent), mostHeldUp)})
	}
	byKey := map[string][]arrival{}
	for _, a := range arrivals {
		byKey[a.Key] = append(byKey[a.Key], a)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		broken = append(broken, judgeKey(key, byKey[key], limits(key), worst)...)
	}
	return broken
}

// HoldUps are, by key, how long the client's log says that a request of its
// was on its way at most.
func (l *Log) HoldUps(sent []harrow.Exchange) map[string]time.Duration {
	worst := map[string]time.Duration{}
	arrivals, _, _ := match(l.Requests(), sent)
	for _, a := range arrivals {
		worst[a.Key] = max(worst[a.Key], a.heldUp)
	}
	return worst
}

// arrival is a request as the server saw it, and how long it was on its way;
// -1: unknown.
type arrival struct {
	Entry
	heldUp time.Duration
	ended  time.Time // as the client saw it; zero: unknown
}

// sent is when it was started, as far as that is known.
func (a arrival) sent() time.Time { return a.Start.Add(-max(0, a.heldUp)) }

// over is when the exchange was over: one that was cut off was so when its
// client says, within reason.
func (a arrival) over() time.Time {
	switch {
	case a.End.IsZero():
		return time.Unix(math.MaxInt32, 0)
	case !a.Cut:
		return a.End
	}
	at := a.End.Add(-Late)
	if !a.ended.IsZero() && a.ended.Before(at) && a.End.Sub(a.ended) < longest {
		at = a.ended
	}
	return at
}

// match finds the exchange of each entry: the latest that it lies within.
func match(entries []Entry, sent []harrow.Exchange) (arrivals []arrival, median, worst time.Duration) {
	byURL := map[string][]harrow.Exchange{}
	for _, x := range sent {
		byURL[x.URL] = append(byURL[x.URL], x)
	}
	var ways []time.Duration
	for _, e := range entries {
		a := arrival{Entry: e, heldUp: -1}
		for _, x := range byURL[e.URL] {
			begun := x.StartedAt.Add(-time.Microsecond) // a table's times are in µs
			if way := e.Start.Sub(begun); way >= 0 && !e.Start.After(x.EndedAt.Add(time.Millisecond)) && (a.heldUp < 0 || way < a.heldUp) {
				a.heldUp, a.ended = way, x.EndedAt
			}
		}
		if a.heldUp >= 0 {
			ways = append(ways, a.heldUp)
		}
		arrivals = append(arrivals, a)
	}
	if len(ways) == 0 {
		return arrivals, 0, Late
	}
	slices.Sort(ways)
	return arrivals, ways[len(ways)/2], ways[len(ways)-1]
}

// judgeKey judges one key's requests. Where the client's log lacks some of them,
// which one was sent before which other is known only as far as the worst
// hold-up allows.
func judgeKey(key string, arrivals []arrival, promised Limits, worst time.Duration) (broken []Violation) {
	worst = max(worst, unheard)
	f := Figures{MostAtOnce: mostAtOnce(arrivals), Held: early(arrivals, worst)}
	broken = f.common(key, promised)
	// In the order they were started: one may overtake another.
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return a.sent().Compare(b.sent()) })
	for i, a := range arrivals {
		for _, n := range Windows {
			if i+n >= len(arrivals) {
				break
			}
			b, heldUp := arrivals[i+n], a.heldUp
			if a.heldUp < 0 || b.heldUp < 0 { // and which of them was sent first
				heldUp = worst
			}
			if gap := b.Start.Sub(a.Start); gap < time.Duration(n)*promised.Delay-jitter-heldUp {
				broken = append(broken, Violation{key, "delay", fmt.Sprintf("%s was asked at %s, %v after %s, %d starts before it: promised %v each, held up %v",
					b.URL, b.Start.Format(time.RFC3339Nano), gap, a.URL, n, promised.Delay, heldUp)})
				return broken
			}
		}
	}
	return broken
}

// mostAtOnce is the largest number of requests being answered at one time.
func mostAtOnce(arrivals []arrival) int {
	type change struct {
		at    time.Time
		order int // of what happens at one time: exchanges end, begin, end as soon as they have begun
		by    int
	}
	var changes []change
	for _, a := range arrivals {
		changes = append(changes, change{a.Start, 1, 1})
		if over := a.over(); over.After(a.Start) {
			changes = append(changes, change{over, 0, -1})
		} else {
			changes = append(changes, change{a.Start, 2, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order)) })
	most, now := 0, 0
	for _, c := range changes {
		now += c.by
		most = max(most, now)
	}
	return most
}

// MostAtOnce is the largest number of the entries that were being answered at
// one time, those that their client cut off until Late before that was noticed.
func MostAtOnce(entries []Entry) int {
	arrivals := make([]arrival, len(entries))
	for i, e := range entries {
		arrivals[i] = arrival{Entry: e}
	}
	return mostAtOnce(arrivals)
}

// early counts the requests that were sent while a Retry-After held: later than
// its answer came, by the client's own log where that has it. Where it was lost
// either may have been held up by as much as any was, worst.
func early(arrivals []arrival, worst time.Duration) (n int64) {
	var holds []hold
	for _, a := range arrivals {
		if a.asks.IsZero() || a.Cut || !a.asks.After(a.End) {
			continue
		}
		from := a.End
		if a.heldUp < 0 {
			from = from.Add(worst)
		} else if late := a.ended.Sub(from); late > 0 && late < longest {
			from = a.ended
		}
		holds = append(holds, hold{from, a.asks})
	}
	for _, a := range arrivals {
		sent := a.sent()
		if a.heldUp < 0 {
			sent = sent.Add(-worst)
		}
		if slices.ContainsFunc(holds, func(h hold) bool { return sent.After(h.from.Add(Late)) && a.Start.Before(h.until) }) {
			n++
		}
	}
	return n
}
