package polite

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// answer is how a server answers one request.
type answer struct {
	takes   time.Duration
	failed  bool
	refused bool
}

// server answers a request that reaches it at now, as the n-th of flying.
type server func(now time.Time, flying int) answer

// world is a crawl of some servers on a virtual clock.
type world struct {
	s      *Scheduler
	now    time.Time
	events events
	served map[*Key]*served
	each   func(k *Key) // told after every exchange
}

type served struct{ good, refused int }

type event struct {
	at    time.Time
	key   *Key
	began time.Time
	answer
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func newWorld(adaptive bool) *world {
	random := rand.New(rand.NewPCG(1, 2))
	return &world{now: epoch, served: map[*Key]*served{}, s: New(Config{Base: time.Second, Cap: 5 * time.Minute, Failures: 8, CoolDown: 2 * time.Minute,
		Adaptive: adaptive, Random: random.Float64}, epoch)}
}

func (w *world) add(name string, limits Limits, requests int, answers server) *Key {
	k := w.s.Add(name, limits, answers)
	w.served[k] = &served{}
	w.s.Pending(k, requests, 0)
	return k
}

// run crawls until all is asked for, or until a moment.
func (w *world) run(until time.Time) {
	for {
		k, wait := w.s.Next(w.now)
		if k != nil {
			w.s.Start(k, w.now)
			a := k.Value.(server)(w.now, k.InFlight())
			heap.Push(&w.events, event{w.now.Add(a.takes), k, w.now, a})
			continue
		}
		next := until
		if wait > 0 {
			next = w.now.Add(wait)
		}
		if len(w.events) > 0 && !w.events[0].at.After(next) {
			next = w.events[0].at
		}
		if !next.Before(until) || wait == 0 && len(w.events) == 0 {
			return
		}
		w.now = next
		for len(w.events) > 0 && !w.events[0].at.After(w.now) {
			w.finish(heap.Pop(&w.events).(event))
		}
	}
}

func (w *world) finish(e event) {
	w.s.Finish(e.key, w.now, Observation{Latency: e.takes, FirstByte: e.takes, Failed: e.failed, Refused: e.refused, Attempt: 1})
	if e.failed {
		w.served[e.key].refused++
		w.s.Pending(e.key, e.key.pending+1, 0)
	} else {
		w.served[e.key].good++
	}
	if w.each != nil {
		w.each(e.key)
	}
}

const forEver = 1 << 30

// noisy takes about typical: the noise is lognormal, and one answer in fifty
// takes a second more.
func noisy(typical time.Duration, seed uint64) server {
	random := rand.New(rand.NewPCG(seed, 7))
	return func(time.Time, int) answer {
		d := time.Duration(float64(typical) * math.Exp(random.NormFloat64()*0.5))
		if random.IntN(50) == 0 {
			d += time.Second
		}
		return answer{takes: d}
	}
}

// Noise is not trouble: on servers that are as they are, no key is ever asked
// less than its limits allow.
func TestSteadyServersAreNotSlowed(t *testing.T) {
	for _, typical := range []time.Duration{2 * time.Millisecond, 50 * time.Millisecond, 800 * time.Millisecond, 5 * time.Second} {
		t.Run(typical.String(), func(t *testing.T) {
			w := newWorld(true)
			for i := range 20 {
				w.add(fmt.Sprint(i), Limits{Concurrency: 4}, 2000, noisy(typical, uint64(i)))
			}
			slowed, finished := 0, 0
			w.each = func(k *Key) {
				finished++
				if st := w.s.State(k, w.now); st.Slots < 4 || st.Pause > 0 {
					slowed++
				}
			}
			w.run(epoch.Add(24 * time.Hour))
			if finished != 40_000 || slowed > 0 {
				t.Errorf("slowed at %d of %d answers", slowed, finished)
			}
		})
	}
}

// A host that becomes slow is asked less, in proportion and within bounds, and
// as before when it has recovered; its neighbours don't notice.
func TestAHostThatBecomesSlowIsAskedLess(t *testing.T) {
	slowFrom, slowTill := epoch.Add(time.Minute), epoch.Add(2*time.Minute)
	w := newWorld(true)
	usual := noisy(50*time.Millisecond, 1)
	ill := w.add("ill", Limits{Concurrency: 4, Delay: 20 * time.Millisecond}, forEver, func(now time.Time, flying int) answer {
		a := usual(now, flying)
		if now.After(slowFrom) && now.Before(slowTill) {
			a.takes *= 20
		}
		return a
	})
	for i := range 10 {
		w.add(fmt.Sprint("well", i), Limits{Concurrency: 4, Delay: 20 * time.Millisecond}, forEver, noisy(50*time.Millisecond, uint64(i+2)))
	}
	w.run(slowFrom)
	if st := w.s.State(ill, w.now); st.Slots != 4 || st.Pause != 20*time.Millisecond {
		t.Fatalf("slowed before: %+v", st)
	}
	w.run(slowTill)
	st := w.s.State(ill, w.now)
	if st.Slots != 1 || st.Pause < 80*time.Millisecond || st.Pause > 8*20*time.Millisecond {
		t.Errorf("while it is slow: %+v", st)
	}
	for i := range 10 {
		if st := w.s.State(w.s.At(1+i), w.now); st.Slots != 4 {
			t.Errorf("a neighbour: %+v", st)
		}
	}
	w.run(slowTill.Add(20 * time.Second))
	if st := w.s.State(ill, w.now); st.Slots != 4 || st.Pause != 20*time.Millisecond {
		t.Errorf("after it has recovered: %+v", st)
	}
}

// A machine that is busy sees all hosts become slow: that is no reason to ask
// less of any.
func TestWhereEverybodyBecomesSlowNobodyIsAskedLess(t *testing.T) {
	busyFrom := epoch.Add(30 * time.Second)
	w := newWorld(true)
	for i := range 200 {
		usual := noisy(50*time.Millisecond, uint64(i))
		w.add(fmt.Sprint(i), Limits{Concurrency: 4}, forEver, func(now time.Time, flying int) answer {
			a := usual(now, flying)
			if now.After(busyFrom) {
				a.takes *= 20
			}
			return a
		})
	}
	slowed, finished := 0, 0
	w.each = func(k *Key) {
		finished++
		if st := w.s.State(k, w.now); st.Slots < 4 {
			slowed++
		}
	}
	w.run(busyFrom.Add(time.Minute))
	if slowed*20 > finished {
		t.Errorf("slowed at %d of %d answers", slowed, finished)
	}
}

// limited refuses more than one request in a time.
func limited(every time.Duration) server {
	var free time.Time
	return func(now time.Time, _ int) answer {
		if now.Before(free) {
			return answer{takes: 2 * time.Millisecond, failed: true, refused: true}
		}
		free = now.Add(every)
		return answer{takes: 20 * time.Millisecond}
	}
}

// A host that refuses what is too much for it, and does not say for how long, is
// asked at about the rate that it grants.
func TestARefusalWithoutRetryAfterSlows(t *testing.T) {
	const every = 100 * time.Millisecond
	rates := map[bool]float64{}
	for _, adaptive := range []bool{false, true} {
		w := newWorld(adaptive)
		w.s.cfg.Base, w.s.cfg.Failures = 10*time.Millisecond, 0 // so that neither backoff nor breaker do it
		k := w.add("a", Limits{Concurrency: 2}, forEver, limited(every))
		w.run(epoch.Add(10 * time.Minute))
		got := w.served[k]
		rates[adaptive] = float64(got.refused) / float64(got.good+got.refused)
		if adaptive && got.good < int(10*time.Minute/every)/3 {
			t.Errorf("%d answers in ten minutes, of %d that the host grants", got.good, 10*time.Minute/every)
		}
	}
	if rates[true] > 0.1 || rates[true] > rates[false]/3 {
		t.Errorf("refused: %.3f, without adaptive %.3f", rates[true], rates[false])
	}
}

// One page that is broken, tried as often as may be, says nothing of its host;
// a host that fails every other request is asked less, and so is one that
// refuses once.
func TestWhatFailuresMakeOfAKey(t *testing.T) {
	const good, bad, no = 'g', 'b', 'n'
	for _, c := range []struct {
		name   string
		went   string // of each exchange: good, bad, no (refused)
		factor float64
	}{
		{"a broken page", "gggggggggggggbbbbggggbbb", 1},
		{"every other one", strings.Repeat("gb", 50), 4},
		{"one in four", strings.Repeat("gggb", 50), 1},
		{"one refusal", "ggggn", 2},
		{"two refusals", "ggggnn", 4},
		{"refusals have an end", "nnnnnnnnnnnnnn", 16},
		{"refusals are forgotten", "n" + fmt.Sprintf("%0100d", 0), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(Config{Adaptive: true, Random: func() float64 { return 0 }}, epoch)
			k := s.Add("a", Limits{1, time.Second}, nil)
			now := epoch
			for _, how := range c.went {
				now = now.Add(time.Second)
				s.Start(k, now)
				now = now.Add(time.Millisecond)
				s.Finish(k, now, Observation{Latency: time.Millisecond, FirstByte: time.Millisecond, Failed: how == bad || how == no, Refused: how == no})
			}
			got := s.State(k, now).Pause.Seconds()
			if math.Abs(got-c.factor) > c.factor/3 || c.factor == 1 && got > 1 {
				t.Errorf("a second's delay is %.2f s, want about %v", got, c.factor)
			}
			s.Pending(k, 1, 0)
			if why, _ := s.Why(k, now); (why == Slowed) != (c.factor > 1) {
				t.Errorf("why %s", why)
			}
		})
	}
}

// What was under way when the host refused says nothing new.
func TestRefusalsInFlightTogetherCountOnce(t *testing.T) {
	s := New(Config{Adaptive: true, Random: func() float64 { return 0 }}, epoch)
	k := s.Add("a", Limits{Concurrency: 8, Delay: 0}, nil)
	s.Pending(k, 100, 0)
	if n := len(startAll(s, at(0))); n != 8 {
		t.Fatalf("started %d", n)
	}
	for i := range 8 {
		ms := 100 + i
		s.Finish(k, at(ms), Observation{Latency: time.Duration(ms) * time.Millisecond, Failed: true, Refused: true})
	}
	if st := s.State(k, at(110)); st.Slots != 4 {
		t.Errorf("%d slots of 8, want 4", st.Slots)
	}
}

// However bad a key does, a minute is the most that it is slowed to, unless its
// limits say more.
func TestSlowingIsBounded(t *testing.T) {
	for _, c := range []struct{ delay, want time.Duration }{
		{time.Second, 16 * time.Second}, {10 * time.Second, time.Minute}, {2 * time.Minute, 2 * time.Minute}, {0, 160 * time.Millisecond}} {
		s := New(Config{Adaptive: true, Random: func() float64 { return 0 }}, epoch)
		k := s.Add("a", Limits{1, c.delay}, nil)
		for i := range 20 {
			s.Start(k, at(i*1000))
			s.Finish(k, at(i*1000+1), Observation{Latency: time.Millisecond, Failed: true, Refused: true})
		}
		if got := s.State(k, at(0)).Pause; got != c.want {
			t.Errorf("delay %v is %v at worst, want %v", c.delay, got, c.want)
		}
	}
}

// adaptive: false leaves everything as it is.
func TestWithoutAdaptiveNothingIsSlowed(t *testing.T) {
	w := newWorld(false)
	w.s.cfg.Failures = 0
	k := w.add("a", Limits{4, time.Millisecond}, forEver, limited(time.Second))
	w.each = func(k *Key) {
		if st := w.s.State(k, w.now); st.Slots != 4 || st.Pause != time.Millisecond {
			t.Fatalf("slowed: %+v", st)
		}
	}
	w.run(epoch.Add(time.Minute))
	if w.served[k].refused == 0 {
		t.Error("nothing was refused")
	}
}
