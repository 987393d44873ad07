package polite

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func scheduler(limits Limits) *Scheduler {
	return New(Config{Limits: func(string) Limits { return limits }, Base: time.Second, Cap: 8 * time.Second,
		Failures: 3, CoolDown: time.Minute, Random: func() float64 { return 0.5 }})
}

// startAll starts whatever may start at now and returns the keys in order.
func startAll(s *Scheduler, now time.Time) (started []string) {
	for {
		name, _, ok := s.Next(now)
		if !ok {
			return started
		}
		s.Start(name, now)
		started = append(started, name)
	}
}

func TestAKeyKeepsItsDelayBetweenStarts(t *testing.T) {
	s := scheduler(Limits{Concurrency: 4, Delay: 100 * time.Millisecond})
	s.Pending("a", 3)
	if got := startAll(s, at(0)); len(got) != 1 {
		t.Fatalf("at 0 started %v, want one", got)
	}
	if _, wait, ok := s.Next(at(40)); ok || wait != 60*time.Millisecond {
		t.Errorf("at 40: ok %v wait %v, want 60ms", ok, wait)
	}
	if got := startAll(s, at(100)); len(got) != 1 {
		t.Errorf("at 100 started %v, want one", got)
	}
}

func TestAKeyKeepsItsConcurrency(t *testing.T) {
	s := scheduler(Limits{Concurrency: 2})
	s.Pending("a", 5)
	if got := startAll(s, at(0)); len(got) != 2 {
		t.Fatalf("started %v, want two", got)
	}
	if why, _ := s.Why("a", at(1)); why != InFlight {
		t.Errorf("why = %s, want %s", why, InFlight)
	}
	s.Finish("a", at(5), Observation{Latency: 5 * time.Millisecond})
	if got := startAll(s, at(5)); len(got) != 1 {
		t.Errorf("after one finished started %v, want one", got)
	}
}

func TestTheKeyWithTheMostTimeLeftGoesFirst(t *testing.T) {
	s := New(Config{Limits: func(name string) Limits {
		return map[string]Limits{"short": {1, time.Second}, "long": {1, time.Second}, "fast": {1, time.Millisecond}}[name]
	}, Random: func() float64 { return 0 }})
	s.Pending("short", 2)
	s.Pending("fast", 100)
	s.Pending("long", 9)
	if got := fmt.Sprint(startAll(s, at(0))); got != "[long short fast]" {
		t.Errorf("started %s", got)
	}
}

func TestWhatMovesAKeysNextStart(t *testing.T) {
	second := Observation{Latency: time.Millisecond, Failed: true, Attempt: 2}
	for _, c := range []struct {
		name string
		do   func(s *Scheduler)
		want time.Duration
		why  Wait
	}{
		{"delay", func(s *Scheduler) { s.Finish("a", at(10), Observation{}) }, 100 * time.Millisecond, Delay},
		{"crawl-delay from the last start on", func(s *Scheduler) { s.AtLeast("a", 5*time.Second); s.Finish("a", at(10), Observation{}) }, 5 * time.Second, CrawlDelay},
		{"a shorter crawl-delay changes nothing", func(s *Scheduler) { s.AtLeast("a", time.Millisecond); s.Finish("a", at(10), Observation{}) }, 100 * time.Millisecond, Delay},
		{"Retry-After from the answer on", func(s *Scheduler) {
			s.Finish("a", at(10), Observation{Failed: true, RetryAfter: 3 * time.Second, Attempt: 1})
		}, 3010 * time.Millisecond, RetryAfter},
		{"backoff doubles and has jitter", func(s *Scheduler) { s.Finish("a", at(10), second) }, 1010 * time.Millisecond, Backoff},
		{"backoff is capped", func(s *Scheduler) { s.Finish("a", at(10), Observation{Failed: true, Attempt: 30}) }, 4010 * time.Millisecond, Backoff},
		{"NotBefore", func(s *Scheduler) { s.Finish("a", at(10), Observation{}); s.NotBefore("a", at(9000), Cautious) }, 9 * time.Second, Cautious},
		{"NotBefore never moves forward", func(s *Scheduler) { s.Finish("a", at(10), Observation{}); s.NotBefore("a", at(1), Cautious) }, 100 * time.Millisecond, Delay},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scheduler(Limits{Concurrency: 1, Delay: 100 * time.Millisecond})
			s.Pending("a", 2)
			startAll(s, at(0))
			c.do(s)
			if _, wait, ok := s.Next(at(0)); ok || wait != c.want {
				t.Errorf("next start in %v (now: %v), want %v", wait, ok, c.want)
			}
			if why, until := s.Why("a", at(50)); why != c.why || !until.Equal(epoch.Add(c.want)) {
				t.Errorf("why %s until %v, want %s", why, until.Sub(epoch), c.why)
			}
		})
	}
}

func TestTheBreakerOpensHalfOpensAndGivesUp(t *testing.T) {
	s := scheduler(Limits{Concurrency: 4})
	s.Pending("a", 20)
	now := 0
	fail := func() {
		if got := startAll(s, at(now)); len(got) == 0 {
			t.Fatalf("at %d nothing started: %+v", now, s.Waiting(at(now)))
		}
		for s.InFlight() > 0 {
			now++
			s.Finish("a", at(now), Observation{Latency: time.Millisecond, Failed: true, Attempt: 1})
		}
	}
	fail() // four in flight: the third failure opens it, the fourth began before and says nothing
	if why, until := s.Why("a", at(now)); why != BreakerOpen || s.Dead("a") {
		t.Fatalf("why %s until %v, dead %v; want %s", why, until, s.Dead("a"), BreakerOpen)
	}
	now += 60_000
	if got := startAll(s, at(now)); len(got) != 1 {
		t.Fatalf("half open started %d, want one", len(got))
	}
	s.Finish("a", at(now+1), Observation{Latency: time.Millisecond})
	if s.Dead("a") {
		t.Fatal("dead after a trial that went well")
	}
	now += 2
	fail()
	now += 60_000
	fail()
	if !s.Dead("a") {
		t.Error("not dead after its trial failed")
	}
}

func TestASlowedKeyHasOneExchangeInFlight(t *testing.T) {
	s := scheduler(Limits{Concurrency: 4})
	s.Slow("a", at(1000))
	s.Pending("a", 8)
	if got := startAll(s, at(0)); len(got) != 1 {
		t.Errorf("started %d, want 1", len(got))
	}
	s.Finish("a", at(10), Observation{})
	if got := startAll(s, at(10)); len(got) != 1 {
		t.Errorf("then started %d, want 1", len(got))
	}
	s.Finish("a", at(1000), Observation{})
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

// TestNoLimitIsEverBroken plays random crawls on a virtual clock: whatever
// happens, a key has at most its concurrency in flight and its delay between
// starts, everything is asked in the end, and nothing waits without a reason.
func TestNoLimitIsEverBroken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := map[string]Limits{}
		for i := range rapid.IntRange(1, 6).Draw(t, "keys") {
			limits[fmt.Sprint("k", i)] = Limits{rapid.IntRange(1, 4).Draw(t, "concurrency"),
				time.Duration(rapid.IntRange(0, 50).Draw(t, "delay")) * time.Millisecond}
		}
		s := New(Config{Limits: func(n string) Limits { return limits[n] }, Base: 10 * time.Millisecond, Cap: time.Second,
			Failures: 4, CoolDown: 200 * time.Millisecond, Random: func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "jitter") }})
		left, flying, last := map[string]int{}, map[string]int{}, map[string]time.Time{}
		for n := range limits {
			left[n] = rapid.IntRange(0, 12).Draw(t, "requests")
			s.Pending(n, left[n])
		}
		type end struct {
			key   string
			at    time.Time
			began time.Time
		}
		var ends []end
		now := epoch
		for steps := 0; ; steps++ {
			if steps > 10_000 {
				t.Fatalf("no end in sight: left %v waiting %v", left, s.Waiting(now))
			}
			name, wait, ok := s.Next(now)
			if ok {
				if flying[name]++; flying[name] > limits[name].Concurrency {
					t.Fatalf("%s has %d in flight, limit %d", name, flying[name], limits[name].Concurrency)
				}
				if l, began := last[name]; began && now.Sub(l) < limits[name].Delay {
					t.Fatalf("%s started after %v, delay %v", name, now.Sub(l), limits[name].Delay)
				}
				last[name] = now
				left[name]--
				s.Start(name, now)
				ends = append(ends, end{name, now.Add(time.Duration(rapid.IntRange(1, 80).Draw(t, "latency")) * time.Millisecond), now})
				continue
			}
			next := -1
			for i := range ends {
				if next < 0 || ends[i].at.Before(ends[next].at) {
					next = i
				}
			}
			switch {
			case next >= 0 && (wait == 0 || !ends[next].at.After(now.Add(wait))):
				e := ends[next]
				ends = append(ends[:next], ends[next+1:]...)
				now = e.at
				flying[e.key]--
				failed := rapid.IntRange(0, 3).Draw(t, "failed") == 0
				s.Finish(e.key, now, Observation{Latency: now.Sub(e.began), Failed: failed, Attempt: 1})
				if failed {
					left[e.key]++
				}
				s.Pending(e.key, left[e.key])
			case wait > 0:
				now = now.Add(wait)
			default:
				for n, l := range left {
					if l > 0 {
						t.Fatalf("%s has %d left and nothing is awaited: %v", n, l, s.Waiting(now))
					}
				}
				return
			}
		}
	})
}

func TestStatesSayWhyEachKeyWaits(t *testing.T) {
	s := scheduler(Limits{Concurrency: 1, Delay: time.Second})
	for _, name := range []string{"busy", "crawl", "delay", "failed", "asked", "free"} {
		s.Pending(name, 5)
	}
	s.Pending("idle", 0)
	s.AtLeast("crawl", 10*time.Second)
	for _, name := range []string{"busy", "crawl", "delay", "failed", "asked"} {
		s.Start(name, at(0))
	}
	s.Finish("crawl", at(10), Observation{Latency: 10 * time.Millisecond})
	s.Finish("delay", at(3000), Observation{Latency: 3 * time.Second})
	s.NotBefore("delay", at(4000), Delay)
	s.Finish("failed", at(20), Observation{Failed: true, Attempt: 4, Latency: 20 * time.Millisecond})
	s.Finish("asked", at(30), Observation{Failed: true, RetryAfter: time.Minute, Latency: 30 * time.Millisecond})
	got := map[string]string{}
	s.States(at(3500), func(st State) {
		until := "-"
		if !st.Until.IsZero() {
			until = fmt.Sprint(st.Until.Sub(epoch).Milliseconds())
		}
		got[st.Name] = fmt.Sprintf("%s until %s, %d left, %d in flight, pace %s", st.Why, until, st.Pending, st.InFlight, st.Pace)
	})
	for name, want := range map[string]string{
		"busy":   "concurrency until -, 4 left, 1 in flight, pace 1s",
		"crawl":  "crawl-delay until 10000, 4 left, 0 in flight, pace 10s",
		"delay":  "delay until 4000, 4 left, 0 in flight, pace 3s",
		"failed": "backoff until 4020, 4 left, 0 in flight, pace 1s",
		"asked":  "retry-after until 60030, 4 left, 0 in flight, pace 1s",
		"free":   "ready until 3500, 5 left, 0 in flight, pace 1s",
		"idle":   "idle until -, 0 left, 0 in flight, pace 1s",
	} {
		if got[name] != want {
			t.Errorf("%s: %s; want %s", name, got[name], want)
		}
	}
}
