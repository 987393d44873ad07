package polite

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is what a server and its limits know of one key.
type model struct {
	key     *Key
	limits  Limits
	left    int
	flying  int
	last    time.Time // start
	held    time.Time
	failing int // in a thousand
}

type flight struct {
	m     *model
	began time.Time
	ends  time.Time
}

// play is a crawl on a virtual clock in which anything may happen.
type play struct {
	*rapid.T
	s       *Scheduler
	now     time.Time
	models  []*model
	flights []flight
}

func newPlay(t *rapid.T) *play {
	p := &play{T: t, now: epoch, s: New(Config{Base: 10 * time.Millisecond, Cap: time.Second, Failures: rapid.IntRange(0, 5).Draw(t, "failures"),
		CoolDown: 200 * time.Millisecond, Adaptive: rapid.Bool().Draw(t, "adaptive"),
		Random: func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "jitter") }}, epoch)}
	for i := range rapid.IntRange(1, 8).Draw(t, "keys") {
		m := &model{limits: Limits{rapid.IntRange(1, 4).Draw(t, "concurrency"), time.Duration(rapid.IntRange(0, 50).Draw(t, "delay")) * time.Millisecond},
			left: rapid.IntRange(0, 40).Draw(t, "requests"), failing: rapid.SampledFrom([]int{0, 10, 300, 900}).Draw(t, "failing")}
		m.key = p.s.Add(fmt.Sprint("k", i), m.limits, m)
		p.s.Pending(m.key, m.left, 0)
		p.models = append(p.models, m)
	}
	return p
}

// start holds the server's view of a start against the limits.
func (p *play) start(k *Key) {
	m := k.Value.(*model)
	why, _ := p.s.Why(k, p.now)
	switch {
	case m.left == 0:
		p.Fatalf("%s is started with nothing to ask", k.Name())
	case m.flying >= m.limits.Concurrency:
		p.Fatalf("%s has %d in flight, limit %d", k.Name(), m.flying+1, m.limits.Concurrency)
	case !m.last.IsZero() && p.now.Sub(m.last) < m.limits.Delay:
		p.Fatalf("%s started after %v, delay %v", k.Name(), p.now.Sub(m.last), m.limits.Delay)
	case p.now.Before(m.held):
		p.Fatalf("%s started %v before its host's rest is over", k.Name(), m.held.Sub(p.now))
	case why != Ready:
		p.Fatalf("%s is started, and said to wait: %s", k.Name(), why)
	}
	p.s.Start(k, p.now)
	m.left, m.flying, m.last = m.left-1, m.flying+1, p.now
	if rapid.IntRange(0, 9).Draw(p.T, "late") == 0 { // begun later than decided
		m.last = m.last.Add(time.Duration(rapid.IntRange(0, 20).Draw(p.T, "by")) * time.Millisecond)
		p.s.Began(k, m.last)
	}
	if rapid.IntRange(0, 19).Draw(p.T, "cancels") == 0 {
		m.left, m.flying = m.left+1, m.flying-1
		p.s.Cancel(k)
		p.s.Pending(k, m.left, 0)
		return
	}
	took := time.Duration(rapid.SampledFrom([]int{1, 5, 20, 80, 2000}).Draw(p.T, "latency")) * time.Millisecond
	p.flights = append(p.flights, flight{m, p.now, p.now.Add(took)})
}

// finish ends the flight, well or not.
func (p *play) finish(i int) {
	f := p.flights[i]
	p.flights = append(p.flights[:i], p.flights[i+1:]...)
	m := f.m
	m.flying--
	o := Observation{Latency: p.now.Sub(f.began), FirstByte: p.now.Sub(f.began), Attempt: rapid.IntRange(1, 4).Draw(p.T, "attempt")}
	if o.Failed = rapid.IntRange(0, 999).Draw(p.T, "fails") < m.failing; o.Failed {
		o.Refused = rapid.Bool().Draw(p.T, "refused")
		m.left++
	}
	if rapid.IntRange(0, 19).Draw(p.T, "asks for rest") == 0 {
		o.RetryAfter = time.Duration(rapid.IntRange(1, 500).Draw(p.T, "rest")) * time.Millisecond
		if until := p.now.Add(o.RetryAfter); until.After(m.held) {
			m.held = until
		}
	}
	if m.failing > 0 && len(p.flights) == 0 {
		m.failing /= 2 // nothing fails for ever
	}
	p.s.Finish(m.key, p.now, o)
	if !m.held.IsZero() && !p.s.Held(m.key).Equal(m.held) {
		p.Fatalf("%s is held until %v, want %v", m.key.Name(), p.s.Held(m.key), m.held)
	}
	p.s.Pending(m.key, m.left, 0)
}

// meddle does what else may happen to a key.
func (p *play) meddle() {
	m := rapid.SampledFrom(p.models).Draw(p.T, "meddle with")
	d := time.Duration(rapid.IntRange(0, 100).Draw(p.T, "ms")) * time.Millisecond
	switch rapid.IntRange(0, 4).Draw(p.T, "meddle") {
	case 0:
		m.limits.Delay = max(m.limits.Delay, d)
		p.s.AtLeast(m.key, d)
	case 1:
		p.s.NotBefore(m.key, p.now.Add(d), Cautious)
	case 2:
		p.s.Slow(m.key, p.now.Add(d))
	case 3:
		if until := p.now.Add(d); until.After(m.held) {
			m.held = until
		}
		p.s.Hold(m.key, p.now.Add(d))
	case 4:
		m.left += 2
		p.s.Pending(m.key, m.left, 0)
	}
}

// whyRight holds what the Scheduler says of each key against what is so: a key
// that is said to wait until a moment starts at that moment and not before, if
// nothing happens.
func (p *play) whyRight(wait time.Duration) {
	var first time.Time
	for _, m := range p.models {
		why, until := p.s.Why(m.key, p.now)
		st := p.s.State(m.key, p.now)
		right := true
		switch why {
		case Idle:
			right = m.left == 0
		case Ready:
			right = false // Next said that nobody is
		case InFlight:
			right = m.flying == m.limits.Concurrency
		case RetryAfter:
			right = until.Equal(m.held)
		case Delay:
			right = until.Equal(m.last.Add(m.limits.Delay)) && st.Pause == m.limits.Delay
		case Slowed:
			right = until.IsZero() && m.flying >= st.Slots && st.Slots < m.limits.Concurrency || until.Equal(m.last.Add(st.Pause)) && st.Pause > m.limits.Delay
		}
		if st.Slots > m.limits.Concurrency || st.Slots < 1 || st.Pause < m.limits.Delay {
			p.Fatalf("%s is allowed more than its limits %+v: %+v", m.key.Name(), m.limits, st)
		}
		if !right {
			p.Fatalf("%s is said to wait for %s until %v: %+v, %+v", m.key.Name(), why, until.Sub(epoch), *m, st)
		}
		if !until.IsZero() && (first.IsZero() || until.Before(first)) {
			first = until
		}
	}
	if wait == 0 != first.IsZero() || wait > 0 && !first.Equal(p.now.Add(wait)) {
		p.Fatalf("the next start is in %v, and the keys say %v", wait, first.Sub(p.now))
	}
}

// TestNoLimitIsEverBroken plays random crawls on a virtual clock: whatever
// happens, a key has at most its concurrency in flight and its delay between
// starts, a host's rest is kept, everything is asked in the end, and nothing
// waits without a reason, which is the true one.
func TestNoLimitIsEverBroken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPlay(t)
		for steps := 0; ; steps++ {
			if steps > 50_000 {
				t.Fatalf("no end in sight: %v", whys(p.s, p.now))
			}
			if steps < 200 && rapid.IntRange(0, 15).Draw(t, "meddles") == 0 {
				p.meddle()
			}
			k, wait := p.s.Next(p.now)
			if k != nil {
				p.start(k)
				continue
			}
			p.whyRight(wait)
			next := -1
			for i := range p.flights {
				if next < 0 || p.flights[i].ends.Before(p.flights[next].ends) {
					next = i
				}
			}
			switch {
			case next >= 0 && (wait == 0 || !p.flights[next].ends.After(p.now.Add(wait))):
				if p.flights[next].ends.After(p.now) {
					p.now = p.flights[next].ends
				}
				p.finish(next)
			case wait > 0:
				p.now = p.now.Add(wait)
			default:
				for _, m := range p.models {
					if m.left > 0 {
						t.Fatalf("%s has %d left and nothing is awaited: %v", m.key.Name(), m.left, whys(p.s, p.now))
					}
				}
				return
			}
		}
	})
}
