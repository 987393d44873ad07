package serverlog

import (
	"math"
	"slices"
	"time"
)

// Figures are what a key was subjected to.
type Figures struct {
	Requests    int64
	MostAtOnce  int                    // as the log's documentation says
	SmallestGap time.Duration          // between two starts; the longest Duration where there are no two
	Spans       [windows]time.Duration // shortest time from a start to the one Windows[i] later; the longest Duration where there is none
	Held        int64                  // requests that began while an answer's Retry-After held, Late after that answer
	HeldUntil   time.Time              // the latest that any answer asked to be left alone until; zero: none asked
}

const windows = 3

// Windows are the numbers of starts over which [Log.Judge] looks at gaps: one
// start that comes too soon shows in the first, a pace that is a little too
// quick in the last.
var Windows = [windows]int{1, 8, 64}

// tally is what is known of one key. It is small: see Options.Lean.
type tally struct {
	n      int64
	open   int
	most   int
	recent []seen      // starts younger than Late: an exchange that is found cut off may have been over by then
	last   []time.Time // starts, as a ring of the longest window's length
	spans  [windows]time.Duration
	holds  []hold // that have not run out
	held   int64
	until  time.Time
}

// seen is a start and how many were open then, itself included.
type seen struct {
	at   time.Time
	open int
}

type hold struct{ from, until time.Time }

func (k *tally) begin(at time.Time) {
	k.settle(at)
	k.open++
	k.recent = append(k.recent, seen{at, k.open})
	for i, n := range Windows {
		if int64(n) > k.n {
			break
		}
		span := at.Sub(k.last[(k.n-int64(n))%ring])
		if k.spans[i] == 0 || span < k.spans[i] {
			k.spans[i] = max(span, 1)
		}
	}
	if k.n < ring {
		k.last = append(k.last, at)
	} else {
		k.last[k.n%ring] = at
	}
	k.n++
	k.holds = slices.DeleteFunc(k.holds, func(h hold) bool { return !h.until.After(at) })
	if slices.ContainsFunc(k.holds, func(h hold) bool { return at.After(h.from.Add(Late)) }) {
		k.held++
	}
}

const ring = 64

// settle folds the starts into most that no cut-off can change any more.
func (k *tally) settle(now time.Time) {
	n := 0
	for n < len(k.recent) && now.Sub(k.recent[n].at) > Late {
		k.most = max(k.most, k.recent[n].open)
		n++
	}
	if k.recent = k.recent[n:]; len(k.recent) == 0 {
		k.recent = nil
	}
}

func (k *tally) end(start, at time.Time, cut bool, asks time.Time) {
	k.settle(at)
	k.open--
	if cut {
		for i := range k.recent { // all of them are within Late
			if k.recent[i].at.After(start) {
				k.recent[i].open--
			}
		}
		return
	}
	if asks.After(at) {
		k.holds = append(k.holds, hold{at, asks})
		if asks.After(k.until) {
			k.until = asks
		}
	}
}

func (k *tally) figures() Figures {
	f := Figures{Requests: k.n, MostAtOnce: k.most, SmallestGap: math.MaxInt64, Spans: k.spans, Held: k.held, HeldUntil: k.until}
	for _, s := range k.recent {
		f.MostAtOnce = max(f.MostAtOnce, s.open)
	}
	for i, span := range f.Spans {
		if span == 0 {
			f.Spans[i] = math.MaxInt64
		}
	}
	f.SmallestGap = f.Spans[0]
	return f
}
