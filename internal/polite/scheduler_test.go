package polite

import (
	"fmt"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// one returns a Scheduler, which backs off for half of what it may, and its one
// key.
func one(limits Limits) (*Scheduler, *Key) {
	s := New(Config{Base: time.Second, Cap: 8 * time.Second, Failures: 3, CoolDown: time.Minute, Random: func() float64 { return 0.5 }}, epoch)
	return s, s.Add("a", limits, nil)
}

// startAll starts whatever may start at now and returns the keys in order.
func startAll(s *Scheduler, now time.Time) (started []string) {
	for {
		k, _ := s.Next(now)
		if k == nil {
			return started
		}
		s.Start(k, now)
		started = append(started, k.Name())
	}
}

// whys says why each key with something to do waits at now.
func whys(s *Scheduler, now time.Time) map[string]Wait {
	all := map[string]Wait{}
	for i := range s.Len() {
		if w, _ := s.Why(s.At(i), now); w != Idle {
			all[s.At(i).Name()] = w
		}
	}
	return all
}

func TestAKeyKeepsItsDelayBetweenStarts(t *testing.T) {
	s, a := one(Limits{Concurrency: 4, Delay: 100 * time.Millisecond})
	s.Pending(a, 3, 0)
	if got := startAll(s, at(0)); len(got) != 1 {
		t.Fatalf("at 0 started %v, want one", got)
	}
	if k, wait := s.Next(at(40)); k != nil || wait != 60*time.Millisecond {
		t.Errorf("at 40: %v, wait %v, want 60ms", k, wait)
	}
	if got := startAll(s, at(100)); len(got) != 1 {
		t.Errorf("at 100 started %v, want one", got)
	}
}

func TestAKeyKeepsItsConcurrency(t *testing.T) {
	s, a := one(Limits{Concurrency: 2})
	s.Pending(a, 5, 0)
	if got := startAll(s, at(0)); len(got) != 2 {
		t.Fatalf("started %v, want two", got)
	}
	if why, _ := s.Why(a, at(1)); why != InFlight {
		t.Errorf("why = %s, want %s", why, InFlight)
	}
	s.Finish(a, at(5), Observation{Latency: 5 * time.Millisecond})
	if got := startAll(s, at(5)); len(got) != 1 {
		t.Errorf("after one finished started %v, want one", got)
	}
}

func TestTheKeyWithTheMostTimeLeftGoesFirst(t *testing.T) {
	s := New(Config{Random: func() float64 { return 0 }}, epoch)
	s.Pending(s.Add("short", Limits{1, time.Second}, nil), 2, 0)
	s.Pending(s.Add("fast", Limits{1, time.Millisecond}, nil), 100, 0)
	s.Pending(s.Add("long", Limits{1, time.Second}, nil), 9, 0)
	s.Pending(s.Add("longest, but for its robots.txt", Limits{1, time.Second}, nil), 1, 20)
	if got := fmt.Sprint(startAll(s, at(0))); got != "[longest, but for its robots.txt long short fast]" {
		t.Errorf("started %s", got)
	}
}

func TestWhatMovesAKeysNextStart(t *testing.T) {
	second := Observation{Latency: time.Millisecond, Failed: true, Attempt: 2}
	for _, c := range []struct {
		name string
		do   func(s *Scheduler, a *Key)
		want time.Duration
		why  Wait
	}{
		{"delay", func(s *Scheduler, a *Key) { s.Finish(a, at(10), Observation{}) }, 100 * time.Millisecond, Delay},
		{"crawl-delay from the last start on", func(s *Scheduler, a *Key) { s.AtLeast(a, 5*time.Second); s.Finish(a, at(10), Observation{}) }, 5 * time.Second, CrawlDelay},
		{"a shorter crawl-delay changes nothing", func(s *Scheduler, a *Key) { s.AtLeast(a, time.Millisecond); s.Finish(a, at(10), Observation{}) }, 100 * time.Millisecond, Delay},
		{"Retry-After from the answer on", func(s *Scheduler, a *Key) {
			s.Finish(a, at(10), Observation{Failed: true, RetryAfter: 3 * time.Second, Attempt: 1})
		}, 3010 * time.Millisecond, RetryAfter},
		{"backoff doubles and has jitter", func(s *Scheduler, a *Key) { s.Finish(a, at(10), second) }, 1010 * time.Millisecond, Backoff},
		{"backoff is capped", func(s *Scheduler, a *Key) { s.Finish(a, at(10), Observation{Failed: true, Attempt: 30}) }, 4010 * time.Millisecond, Backoff},
		{"NotBefore", func(s *Scheduler, a *Key) { s.Finish(a, at(10), Observation{}); s.NotBefore(a, at(9000), Cautious) }, 9 * time.Second, Cautious},
		{"NotBefore never moves forward", func(s *Scheduler, a *Key) { s.Finish(a, at(10), Observation{}); s.NotBefore(a, at(1), Cautious) }, 100 * time.Millisecond, Delay},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, a := one(Limits{Concurrency: 1, Delay: 100 * time.Millisecond})
			s.Pending(a, 2, 0)
			startAll(s, at(0))
			c.do(s, a)
			if k, wait := s.Next(at(0)); k != nil || wait != c.want {
				t.Errorf("next start in %v (now: %v), want %v", wait, k, c.want)
			}
			if why, until := s.Why(a, at(50)); why != c.why || !until.Equal(epoch.Add(c.want)) {
				t.Errorf("why %s until %v, want %s", why, until.Sub(epoch), c.why)
			}
		})
	}
}

func TestTheBreakerOpensHalfOpensAndGivesUp(t *testing.T) {
	s, a := one(Limits{Concurrency: 4})
	s.Pending(a, 20, 0)
	now := 0
	fail := func() {
		if got := startAll(s, at(now)); len(got) == 0 {
			t.Fatalf("at %d nothing started: %+v", now, whys(s, at(now)))
		}
		for s.InFlight() > 0 {
			now++
			s.Finish(a, at(now), Observation{Latency: time.Millisecond, Failed: true, Attempt: 1})
		}
	}
	fail() // four in flight: the third failure opens it, the fourth began before and says nothing
	if why, until := s.Why(a, at(now)); why != BreakerOpen || a.Dead() {
		t.Fatalf("why %s until %v, dead %v; want %s", why, until, a.Dead(), BreakerOpen)
	}
	now += 60_000
	if got := startAll(s, at(now)); len(got) != 1 {
		t.Fatalf("half open started %d, want one", len(got))
	}
	s.Finish(a, at(now+1), Observation{Latency: time.Millisecond})
	if a.Dead() {
		t.Fatal("dead after a trial that went well")
	}
	now += 2
	fail()
	now += 60_000
	fail()
	if !a.Dead() {
		t.Error("not dead after its trial failed")
	}
}

func TestASlowedKeyHasOneExchangeInFlight(t *testing.T) {
	s, a := one(Limits{Concurrency: 4})
	s.Slow(a, at(1000))
	s.Pending(a, 8, 0)
	if got := startAll(s, at(0)); len(got) != 1 {
		t.Errorf("started %d, want 1", len(got))
	}
	s.Finish(a, at(10), Observation{})
	if got := startAll(s, at(10)); len(got) != 1 {
		t.Errorf("then started %d, want 1", len(got))
	}
	s.Finish(a, at(1000), Observation{})
	if got := startAll(s, at(1000)); len(got) != 4 {
		t.Errorf("afterwards started %d, want 4", len(got))
	}
}

func TestBoundIsRobotsThenTheSlowerOfLatencyAndDelay(t *testing.T) {
	for _, c := range []struct {
		st   Stats
		want time.Duration
	}{
		{Stats{}, 0},
		{Stats{Limits{1, 0}, 1, time.Second}, time.Second},
		{Stats{Limits{1, 2 * time.Second}, 11, 11 * time.Second}, 2*time.Second + 9*2*time.Second + time.Second},
		{Stats{Limits{4, 0}, 10, 10 * time.Second}, time.Second + 3*time.Second},
	} {
		if got := c.st.Bound(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.st, got, c.want)
		}
	}
}
