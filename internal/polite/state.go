package polite

import "time"

// Wait says why a key is not started.
type Wait string

// Reasons to wait.
const (
	Idle        Wait = "idle"        // nothing to ask
	Ready       Wait = "ready"       // may start now
	InFlight    Wait = "concurrency" // as many in flight as allowed
	Delay       Wait = "delay"       // the configured delay
	CrawlDelay  Wait = "crawl-delay" // a longer one that the host asked for
	RetryAfter  Wait = "retry-after" // the server asked for it
	Backoff     Wait = "backoff"     // after a failure
	BreakerOpen Wait = "breaker"     // too many failures in a row
	Slowed      Wait = "adaptive"    // the host answers more slowly, or fails more often, than it did
	Cautious    Wait = "resume"      // a former owner may have started something
)

// why is a Wait that a NotBefore may have, in one byte.
type why uint8

const (
	whyDelay why = iota
	whyBackoff
	whyBreaker
	whyCautious
)

var waits = [...]Wait{whyDelay: Delay, whyBackoff: Backoff, whyBreaker: BreakerOpen, whyCautious: Cautious}

func whyOf(w Wait) why {
	for i, known := range waits {
		if w == known {
			return why(i)
		}
	}
	return whyDelay
}

// Why says why the key is not started at now, and until when; the zero time
// where that is not a matter of time.
func (s *Scheduler) Why(k *Key, now time.Time) (Wait, time.Time) {
	at := s.moment(now)
	inFlight := int(k.inFlight)
	switch {
	case k.pending <= 0:
		return Idle, time.Time{}
	case k.trial && inFlight > 0:
		return BreakerOpen, time.Time{}
	case inFlight >= k.limits.Concurrency:
		return InFlight, time.Time{}
	case inFlight >= k.slots():
		return Slowed, time.Time{}
	}
	due, _ := s.due(k)
	if due <= at {
		return Ready, now
	}
	return k.reason(due), s.time(due)
}

// reason is what keeps a key with a free slot from starting before due.
func (k *Key) reason(due int64) Wait {
	switch due {
	case k.held:
		return RetryAfter
	case k.last + int64(k.pause()):
		switch {
		case k.pause() > k.limits.Delay:
			return Slowed
		case k.raised:
			return CrawlDelay
		}
		return Delay
	case k.next:
		return waits[k.why]
	}
	return Cautious // its slots were cut down to one
}

// State is how one key stands.
type State struct {
	Why       Wait
	Until     time.Time // no start before; zero where that is not a matter of time
	Pending   int       // requests that could start
	InFlight  int
	Limits    Limits        // as configured, or as the host asked for
	Slots     int           // exchanges in flight that adaptive slowing and the breaker leave
	Pause     time.Duration // between two starts, adaptive slowing included
	Latency   time.Duration // smoothed; 0: not known yet
	Pace      time.Duration // what one request takes of the key's time, about
	Exchanges int64         // finished
}

// State says how a key stands at now.
func (s *Scheduler) State(k *Key, now time.Time) State {
	st := State{Pending: k.pending, InFlight: int(k.inFlight), Limits: k.limits, Slots: k.slots(), Pause: k.pause(),
		Latency: k.latency, Pace: k.pace(), Exchanges: k.finished}
	st.Why, st.Until = s.Why(k, now)
	return st
}

// Stats is what a key was subjected to.
type Stats struct {
	Limits    Limits
	Exchanges int64         // finished
	Latency   time.Duration // sum over them
}

// Stats returns what the key was subjected to.
func (k *Key) Stats() Stats {
	return Stats{Limits: k.limits, Exchanges: k.finished, Latency: k.total}
}

// Bound is the least wall time that the key's limits allow for its exchanges:
// max(L, delay) + max(⌈n/c⌉·L, (n−1)·delay + L), where n is the number of
// exchanges but for robots.txt, whose share the first term is, and L the
// server's latency.
func (st Stats) Bound() time.Duration {
	if st.Exchanges == 0 {
		return 0
	}
	n, l := st.Exchanges-1, st.Latency/time.Duration(st.Exchanges)
	bound := l
	if n > 0 {
		c := int64(max(1, st.Limits.Concurrency))
		bound = max(l, st.Limits.Delay) +
			max(time.Duration((n+c-1)/c)*l, time.Duration(n-1)*st.Limits.Delay+l)
	}
	return bound
}
