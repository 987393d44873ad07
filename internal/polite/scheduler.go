// Package polite decides which politeness key may start an exchange, and when.
//
// A key is a host, a registered domain or an address: to the package it is a
// name. At most Concurrency exchanges of a key are in flight and at least Delay
// lies between two starts; crawl-delay, Retry-After, backoff, the breaker and
// adaptive slowing only ever move a key's next start to a later moment. Of the
// keys that may start now the one with the most politeness time left goes
// first, since the slowest key bounds the run.
//
// The package reads no clock and starts nothing: the caller asks Next, starts
// the exchange, and tells Finish how it went.
//
// # Adaptive slowing
//
// With [Config].Adaptive a key in trouble is asked at 1/f of the rate that its
// limits and its usual latency allow, f between 1 and 16: ceil(concurrency ÷ f)
// exchanges at once, and f × max(delay, latency ÷ concurrency, 10 ms) between
// two starts, of which a minute at most is f's doing. f is never below 1, so
// nothing is ever faster than configured, and the bound that a run is measured
// by knows nothing of it. f is the larger of two factors:
//
//   - Refusals. An answer 429 or 503 says in so many words that the host is asked
//     too much, so it doubles the factor. Any other transient failure (5xx,
//     timeout, reset, …) makes it half as large again, up to 4, while more than
//     40 % of the last sixteen or so exchanges failed: one broken page, tried
//     four times, is no such time. What began before the factor last rose says
//     nothing new, as with a congestion window: four refusals in flight are one.
//     Each exchange that went well takes off 1/32 of what is above 1: a limit
//     that the host has is found out by one refusal in thirty answers or so.
//   - Latency. Two medians of the time to the first byte are kept per key, one
//     that follows a change within ten answers or so and one that takes some
//     hundred. Where the first is above three times the second, and by more than
//     250 ms, the factor is two thirds of their ratio, at most 8. Medians,
//     because a page that takes long says nothing of the next; 250 ms, because
//     less is within what networks and busy machines do; a slow baseline rather
//     than a fixed one, because a site may have a part that is slower than the
//     rest. Failures don't count: they are often fast. The first sixteen answers
//     of a key are what the baseline is learnt from.
//
// When this machine, its network or a proxy is what became slow, all keys slow
// down alike; asking less would be wrong then. So a key's ratio is divided by
// the median ratio of other keys that answered within the last half minute,
// where there are at least five.
package polite

import (
	"math"
	"time"
)

// Limits are what one key allows.
type Limits struct {
	Concurrency int           // exchanges in flight; at least 1
	Delay       time.Duration // between two starts
}

// Config is what a Scheduler goes by.
type Config struct {
	Base     time.Duration  // of the backoff
	Cap      time.Duration  // of the backoff
	Failures int            // transient failures in a row that open the breaker; 0: never
	CoolDown time.Duration  // how long the breaker stays open
	Adaptive bool           // slow keys in trouble down
	Random   func() float64 // in [0, 1), for full jitter

	// Order says which of the keys that may start goes first: the least. It is
	// asked when something changes of a key. Nil: most time left first.
	Order func(*Key) int64
}

// Key is the state of one politeness key in its Scheduler.
type Key struct {
	Value any // the caller's own

	name     string
	limits   Limits // as configured, raised by AtLeast
	next     int64  // no start before, whatever the delay says
	held     int64  // no start before: the host asked for it
	last     int64  // last start; long ago if there was none
	slowTill int64  // one exchange at a time until then
	openedAt int64  // when the breaker opened; long ago if it never did
	latency  time.Duration
	total    time.Duration // of the latencies of what finished
	finished int64
	strain   strain
	pending  int // requests that could start
	later    int // more requests, that can't yet
	inFlight int32
	index    int32 // in the queue it is in
	fails    int32 // transient failures in a row
	opened   int32 // how often in a row the breaker opened
	trial    bool  // half open: one exchange decides
	raised   bool  // the delay is longer than configured
	why      why   // what moved next
	in       place
}

// Name is what the key was added by.
func (k *Key) Name() string { return k.name }

// Limits returns what the key allows now, adaptive slowing aside.
func (k *Key) Limits() Limits { return k.limits }

// InFlight is the number of the key's exchanges started and not finished.
func (k *Key) InFlight() int { return int(k.inFlight) }

// Dead reports whether the breaker opened again on its trial: what is left of
// the key is better deferred.
func (k *Key) Dead() bool { return k.opened >= 2 }

// place is the queue that a key is in.
type place int8

const (
	nowhere place = iota
	waiting
	ready
)

// longAgo is before any moment that a Scheduler is asked about, with room to
// add a delay to.
const longAgo = math.MinInt64 / 2

// Scheduler holds the keys of one process. It is not safe for concurrent use:
// its owner serialises the calls. A call costs O(log keys) and allocates
// nothing, but for Add.
type Scheduler struct {
	cfg      Config
	zero     time.Time // moments inside are nanoseconds since
	now      int64     // the latest that Next was asked about
	keys     []*Key
	waiting  queue // by the next start that is allowed
	ready    queue // most time left first
	inFlight int
	recent   recent
}

// New returns an empty Scheduler; now is any moment of the clock that its
// owner goes by.
func New(cfg Config, now time.Time) *Scheduler {
	return &Scheduler{cfg: cfg, zero: now, waiting: queue{in: waiting}, ready: queue{in: ready}, now: longAgo}
}

func (s *Scheduler) moment(t time.Time) int64    { return int64(t.Sub(s.zero)) }
func (s *Scheduler) time(moment int64) time.Time { return s.zero.Add(time.Duration(moment)) }

// Add adds a key. Names are the caller's to keep apart; value is kept for it.
func (s *Scheduler) Add(name string, limits Limits, value any) *Key {
	limits.Concurrency = max(1, limits.Concurrency)
	k := &Key{Value: value, name: name, limits: limits, next: longAgo, held: longAgo, last: longAgo, slowTill: longAgo, openedAt: longAgo}
	s.keys = append(s.keys, k)
	return k
}

// Len is the number of keys added.
func (s *Scheduler) Len() int { return len(s.keys) }

// At returns the i-th key added: what has to look at all of them can do so in
// slices and let others at the Scheduler in between.
func (s *Scheduler) At(i int) *Key { return s.keys[i] }

// InFlight is the number of exchanges started and not finished.
func (s *Scheduler) InFlight() int { return s.inFlight }

// NotBefore keeps a key from starting before t; it never moves a start to an
// earlier moment.
func (s *Scheduler) NotBefore(k *Key, t time.Time, because Wait) {
	s.notBefore(k, s.moment(t), whyOf(because))
	s.place(k)
}

func (s *Scheduler) notBefore(k *Key, t int64, because why) {
	if t > k.next {
		k.next, k.why = t, because
	}
}

// Hold keeps a key from starting before t, since its host asked for rest; it
// never shortens a hold.
func (s *Scheduler) Hold(k *Key, t time.Time) {
	k.held = max(k.held, s.moment(t))
	s.place(k)
}

// Held is until when the key's host asked for rest, now or in the past; the
// zero time when it never did.
func (s *Scheduler) Held(k *Key) time.Time {
	if k.held == longAgo {
		return time.Time{}
	}
	return s.time(k.held)
}

// Slow holds a key to one exchange at a time until t: what a former owner
// started may still be running.
func (s *Scheduler) Slow(k *Key, t time.Time) {
	k.slowTill = max(k.slowTill, s.moment(t))
	s.place(k)
}

// AtLeast raises a key's delay to d (crawl-delay, or what a shard record
// remembers), which counts from its last start; a shorter one changes nothing.
func (s *Scheduler) AtLeast(k *Key, d time.Duration) {
	if d > k.limits.Delay {
		k.limits.Delay, k.raised = d, true
		s.place(k)
	}
}

// Pending says how many of a key's requests could start, and how many more
// there are that can't yet, since they wait for a robots.txt: these count for
// the time the key has left.
func (s *Scheduler) Pending(k *Key, n, later int) {
	if k.pending != n || k.later != later {
		k.pending, k.later = n, later
		s.place(k)
	}
}

// Next returns a key that may start an exchange at now. Where none may, it is
// nil and wait is the time until one may (0: not before something finishes or
// is added).
func (s *Scheduler) Next(now time.Time) (k *Key, wait time.Duration) {
	s.now = max(s.now, s.moment(now))
	for len(s.waiting.items) > 0 && s.waiting.items[0].order <= s.now {
		k := s.waiting.items[0].key
		s.waiting.remove(k)
		s.ready.put(k, s.order(k))
	}
	if len(s.ready.items) > 0 {
		return s.ready.items[0].key, 0
	}
	if len(s.waiting.items) > 0 {
		return nil, time.Duration(s.waiting.items[0].order - s.now)
	}
	return nil, 0
}

// Start takes a slot of the key that Next named.
func (s *Scheduler) Start(k *Key, now time.Time) {
	k.pending--
	k.inFlight++
	s.inFlight++
	k.last = max(k.last, s.moment(now))
	s.place(k)
}

// Cancel gives back the slot of an exchange that was started and never begun.
// The delay counts from its start all the same.
func (s *Scheduler) Cancel(k *Key) {
	k.inFlight--
	s.inFlight--
	s.place(k)
}

// Began says when an exchange that was started really began, or that somebody
// else began one: the key's delay counts from then.
func (s *Scheduler) Began(k *Key, at time.Time) {
	k.last = max(k.last, s.moment(at))
	s.place(k)
}

// Observation is how an exchange went.
type Observation struct {
	Latency    time.Duration // of the whole exchange
	FirstByte  time.Duration // from its start to the answer's first byte; 0: not known, or not to be judged by
	Failed     bool          // transiently: 408, 425, 429, 5xx, timeout, refused, …
	Refused    bool          // the host said that it is asked too much: 429, 503
	RetryAfter time.Duration // what the server asked for; 0: nothing
	Attempt    int           // of the request, from 1: how far the backoff goes
	Unasked    bool          // it never came to the host: nothing is learned from it
}

// Finish gives the slot back.
func (s *Scheduler) Finish(k *Key, now time.Time, o Observation) {
	at := s.moment(now)
	k.inFlight--
	s.inFlight--
	if o.Unasked {
		s.place(k)
		return
	}
	k.finished++
	k.total += o.Latency
	if k.latency == 0 {
		k.latency = o.Latency
	}
	k.latency += (o.Latency - k.latency) / 8
	if o.Failed {
		s.failed(k, at, o)
	} else {
		k.fails, k.trial, k.opened = 0, false, 0
	}
	if o.RetryAfter > 0 {
		k.held = max(k.held, at+int64(o.RetryAfter))
	}
	if s.cfg.Adaptive {
		s.adapt(k, at, o)
	}
	s.place(k)
}

func (s *Scheduler) failed(k *Key, now int64, o Observation) {
	k.fails++
	if now-int64(o.Latency) <= k.openedAt {
		return // started before the breaker opened: says nothing new
	}
	if s.cfg.Failures > 0 && (k.trial || int(k.fails) >= s.cfg.Failures) {
		k.fails, k.trial, k.openedAt = 0, true, now
		k.opened++
		s.notBefore(k, now+int64(s.cfg.CoolDown), whyBreaker)
		return
	}
	if o.RetryAfter <= 0 {
		s.notBefore(k, now+int64(s.backoff(o.Attempt)), whyBackoff)
	}
}

// backoff has full jitter: uniform in [0, min(cap, base·2^(attempt-1))).
func (s *Scheduler) backoff(attempt int) time.Duration {
	d := s.cfg.Base
	for range min(max(attempt-1, 0), 32) {
		if d *= 2; d >= s.cfg.Cap {
			break
		}
	}
	return time.Duration(s.cfg.Random() * float64(min(d, s.cfg.Cap)))
}

// place puts a key where it belongs.
func (s *Scheduler) place(k *Key) {
	due, ok := s.due(k)
	switch {
	case !ok:
		s.withdraw(k)
	case due <= s.now && k.in == ready: // it may have more or less left than it had
		s.ready.put(k, s.order(k))
	default:
		if k.in == ready {
			s.ready.remove(k)
		}
		s.waiting.put(k, due)
	}
}

func (s *Scheduler) order(k *Key) int64 {
	if s.cfg.Order != nil {
		return s.cfg.Order(k)
	}
	return -int64(k.left())
}

func (s *Scheduler) withdraw(k *Key) {
	switch k.in {
	case waiting:
		s.waiting.remove(k)
	case ready:
		s.ready.remove(k)
	}
}

// due is the first moment at which the key may start an exchange, as long as
// none of its own finishes; ok is false when there is none.
func (s *Scheduler) due(k *Key) (at int64, ok bool) {
	if k.pending <= 0 || int(k.inFlight) >= k.slots() {
		return 0, false
	}
	at = max(k.next, k.held, k.last+int64(k.pause()))
	if k.inFlight > 0 {
		at = max(at, k.slowTill)
	}
	return at, true
}

// slots is how many exchanges of the key may be in flight.
func (k *Key) slots() int {
	if k.trial {
		return 1
	}
	return k.strain.slots(k.limits.Concurrency)
}

// pause is the least time between two starts of the key.
func (k *Key) pause() time.Duration { return k.strain.pause(k.limits) }

// pace is what one request takes of the key's time, about.
func (k *Key) pace() time.Duration {
	return max(k.pause(), k.latency/time.Duration(k.strain.slots(k.limits.Concurrency)), time.Microsecond)
}

// left is about how long the key's requests take at the pace it allows.
func (k *Key) left() time.Duration {
	pace, n := k.pace(), time.Duration(k.pending+k.later)
	if n > 0 && pace > math.MaxInt64/n {
		return math.MaxInt64
	}
	return n * pace
}
