// Package polite decides which politeness key may start an exchange, and when.
//
// A key is a host (or a registered domain). At most Concurrency exchanges of a
// key are in flight and at least Delay lies between two starts; crawl-delay,
// Retry-After, backoff and the breaker only ever move a key's next start. Of
// the keys that may start now the one with the most politeness time left goes
// first, since the slowest key bounds the run.
//
// The package reads no clock and starts nothing: the caller asks Next, starts
// the exchange, and tells Finish how it went.
package polite

import (
	"container/heap"
	"time"
)

// Limits are what one key allows.
type Limits struct {
	Concurrency int           // exchanges in flight; at least 1
	Delay       time.Duration // between two starts
}

// Config is what a Scheduler goes by.
type Config struct {
	Limits   func(key string) Limits // of a key, as configured
	Base     time.Duration           // of the backoff
	Cap      time.Duration           // of the backoff
	Failures int                     // transient failures in a row that open the breaker; 0: never
	CoolDown time.Duration           // how long the breaker stays open
	Random   func() float64          // in [0, 1), for full jitter
}

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

// key is the state of one politeness key. It is in at most one of the two
// heaps: waiting (by next start) or ready (by time left).
type key struct {
	name     string
	limits   Limits
	pending  int // requests that could start
	inFlight int
	next     time.Time // no start before
	why      Wait      // what moved next
	raised   bool      // the delay is longer than configured
	last     time.Time // of the last start
	slowTill time.Time // concurrency 1 until then
	latency  time.Duration
	fails    int  // transient failures in a row
	trial    bool // half open: one exchange decides
	opened   int  // how often in a row the breaker opened
	openedAt time.Time
	place    place
	index    int
	stats    Stats
}

type place int8

const (
	nowhere place = iota
	waiting
	ready
)

// Stats is what a key was subjected to.
type Stats struct {
	Limits    Limits
	Exchanges int64         // finished
	Latency   time.Duration // sum over them
}

// Scheduler holds the keys of one process. It is not safe for concurrent use:
// its owner serialises the calls.
type Scheduler struct {
	cfg      Config
	keys     map[string]*key
	waiting  keyHeap
	ready    keyHeap
	inFlight int
}

// New returns an empty Scheduler.
func New(cfg Config) *Scheduler {
	s := &Scheduler{cfg: cfg, keys: map[string]*key{}}
	s.waiting.less = func(a, b *key) bool { return a.next.Before(b.next) }
	s.ready.less = func(a, b *key) bool { return a.left() > b.left() }
	return s
}

// left is about how long the key's requests take at the pace it allows.
func (k *key) left() time.Duration {
	return time.Duration(k.pending) * k.pace()
}

func (s *Scheduler) key(name string) *key {
	k, ok := s.keys[name]
	if !ok {
		k = &key{name: name, limits: s.cfg.Limits(name), why: Delay}
		s.keys[name] = k
	}
	return k
}

// NotBefore keeps a key from starting before t; it never moves a start
// forward.
func (s *Scheduler) NotBefore(name string, t time.Time, why Wait) {
	k := s.key(name)
	if t.After(k.next) {
		k.next, k.why = t, why
		s.place(k)
	}
}

// Slow holds a key to one exchange at a time until t: what a former owner
// started may still be running.
func (s *Scheduler) Slow(name string, t time.Time) { s.key(name).slowTill = t }

// AtLeast raises a key's delay to d (crawl-delay, or what a shard record
// remembers); a shorter one changes nothing.
func (s *Scheduler) AtLeast(name string, d time.Duration) {
	k := s.key(name)
	if d > k.limits.Delay {
		k.limits.Delay, k.raised = d, true
		if !k.last.IsZero() {
			s.NotBefore(name, k.last.Add(d), Delay)
		}
	}
}

// Limits returns what the key allows now.
func (s *Scheduler) Limits(name string) Limits { return s.key(name).limits }

// Pending says how many of a key's requests could start.
func (s *Scheduler) Pending(name string, n int) {
	k := s.key(name)
	k.pending = n
	s.place(k)
}

// Next returns a key that may start an exchange at now. Where none may, ok is
// false and wait is the time until one may (0: not before something finishes
// or is added).
func (s *Scheduler) Next(now time.Time) (name string, wait time.Duration, ok bool) {
	for len(s.waiting.keys) > 0 {
		k := s.waiting.keys[0]
		if k.next.After(now) {
			break
		}
		s.remove(k)
		s.insert(&s.ready, ready, k)
	}
	for len(s.ready.keys) > 0 {
		k := s.ready.keys[0]
		if k.inFlight < s.allowed(k, now) {
			return k.name, 0, true
		}
		// Slowed since it was placed: it comes back when something finishes.
		s.remove(k)
	}
	if len(s.waiting.keys) > 0 {
		return "", s.waiting.keys[0].next.Sub(now), false
	}
	return "", 0, false
}

func (s *Scheduler) allowed(k *key, now time.Time) int {
	if k.trial || now.Before(k.slowTill) {
		return 1
	}
	return max(1, k.limits.Concurrency)
}

// Start takes a slot of the key that Next named.
func (s *Scheduler) Start(name string, now time.Time) {
	k := s.key(name)
	k.pending--
	k.inFlight++
	s.inFlight++
	k.last = now
	k.next, k.why = now.Add(k.limits.Delay), Delay
	s.place(k)
}

// Observation is how an exchange went.
type Observation struct {
	Latency    time.Duration // of the whole exchange
	FirstByte  time.Duration // from its start to the answer's first byte; 0: there was none
	Failed     bool          // transiently: 408, 425, 429, 5xx, timeout, refused, …
	RetryAfter time.Duration // what the server asked for; 0: nothing
	Attempt    int           // of the request, from 1: how far the backoff goes
}

// Finish gives the slot back.
func (s *Scheduler) Finish(name string, now time.Time, o Observation) {
	k := s.key(name)
	k.inFlight--
	s.inFlight--
	k.stats.Exchanges++
	k.stats.Latency += o.Latency
	if k.latency == 0 {
		k.latency = o.Latency
	}
	k.latency += (o.Latency - k.latency) / 8
	if o.Failed {
		s.failed(k, now, o)
	} else {
		k.fails, k.trial, k.opened = 0, false, 0
	}
	if o.RetryAfter > 0 {
		s.NotBefore(name, now.Add(o.RetryAfter), RetryAfter)
	}
	s.place(k)
}

func (s *Scheduler) failed(k *key, now time.Time, o Observation) {
	k.fails++
	if !k.openedAt.IsZero() && !now.Add(-o.Latency).After(k.openedAt) {
		return // started before the breaker opened: says nothing new
	}
	if s.cfg.Failures > 0 && (k.trial || k.fails >= s.cfg.Failures) {
		k.fails, k.trial, k.openedAt = 0, true, now
		k.opened++
		s.NotBefore(k.name, now.Add(s.cfg.CoolDown), BreakerOpen)
		return
	}
	if o.RetryAfter <= 0 {
		s.NotBefore(k.name, now.Add(s.backoff(o.Attempt)), Backoff)
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

// Dead reports whether the breaker opened again on its trial: what is left of
// the key is better deferred.
func (s *Scheduler) Dead(name string) bool {
	k, ok := s.keys[name]
	return ok && k.opened >= 2
}

// InFlight is the number of exchanges started and not finished.
func (s *Scheduler) InFlight() int { return s.inFlight }

// place puts a key where it belongs.
func (s *Scheduler) place(k *key) {
	s.remove(k)
	if k.pending > 0 && (k.inFlight == 0 || k.inFlight < max(1, k.limits.Concurrency)) {
		s.insert(&s.waiting, waiting, k)
	}
}

func (s *Scheduler) insert(h *keyHeap, p place, k *key) {
	k.place = p
	heap.Push(h, k)
}

func (s *Scheduler) remove(k *key) {
	switch k.place {
	case waiting:
		heap.Remove(&s.waiting, k.index)
	case ready:
		heap.Remove(&s.ready, k.index)
	}
	k.place = nowhere
}

// Why says why the key is not started at now, and until when.
func (s *Scheduler) Why(name string, now time.Time) (Wait, time.Time) {
	k, ok := s.keys[name]
	if !ok {
		return Idle, time.Time{}
	}
	return s.why(k, now)
}

func (s *Scheduler) why(k *key, now time.Time) (Wait, time.Time) {
	switch {
	case k.pending == 0:
		return Idle, time.Time{}
	case k.inFlight >= s.allowed(k, now):
		return InFlight, time.Time{}
	case k.next.After(now) && k.why == Delay && k.raised:
		return CrawlDelay, k.next
	case k.next.After(now):
		return k.why, k.next
	}
	return Ready, now
}

// Waiting counts the keys with something to ask by why they wait.
func (s *Scheduler) Waiting(now time.Time) map[Wait]int {
	counts := map[Wait]int{}
	for _, k := range s.keys {
		if why, _ := s.why(k, now); why != Idle {
			counts[why]++
		}
	}
	return counts
}

// Stats returns what each key was subjected to.
func (s *Scheduler) Stats(each func(name string, st Stats)) {
	for name, k := range s.keys {
		st := k.stats
		st.Limits = k.limits
		each(name, st)
	}
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

type keyHeap struct {
	keys []*key
	less func(a, b *key) bool
}

func (h *keyHeap) Len() int           { return len(h.keys) }
func (h *keyHeap) Less(i, j int) bool { return h.less(h.keys[i], h.keys[j]) }
func (h *keyHeap) Swap(i, j int) {
	h.keys[i], h.keys[j] = h.keys[j], h.keys[i]
	h.keys[i].index, h.keys[j].index = i, j
}
func (h *keyHeap) Push(x any) {
	k := x.(*key)
	k.index = len(h.keys)
	h.keys = append(h.keys, k)
}
func (h *keyHeap) Pop() any {
	last := len(h.keys) - 1
	k := h.keys[last]
	h.keys[last] = nil
	h.keys = h.keys[:last]
	return k
}
