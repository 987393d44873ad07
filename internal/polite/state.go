package polite

import "time"

// State is how one key stands.
type State struct {
	Name      string
	Why       Wait
	Until     time.Time // no start before; zero where that is not a matter of time
	Pending   int       // requests that could start
	InFlight  int
	Limits    Limits
	Latency   time.Duration // smoothed; 0: not known yet
	Pace      time.Duration // what one request takes of the key's time, about
	Exchanges int64         // finished
}

// States hands out every key, in no order.
func (s *Scheduler) States(now time.Time, each func(State)) {
	for _, k := range s.keys {
		st := State{Name: k.name, Pending: k.pending, InFlight: k.inFlight, Limits: k.limits, Latency: k.latency, Pace: k.pace(),
			Exchanges: k.stats.Exchanges}
		st.Why, st.Until = s.why(k, now)
		each(st)
	}
}

// pace is what one request takes of the key's time, about.
func (k *key) pace() time.Duration {
	pace := k.limits.Delay
	if c := k.limits.Concurrency; c > 0 && k.latency/time.Duration(c) > pace {
		pace = k.latency / time.Duration(c)
	}
	return max(pace, time.Microsecond)
}
