package round

import (
	"cmp"
	"slices"
	"time"

	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// whyRobots and whyLast are reasons that the scheduler doesn't know: requests
// that wait for their robots.txt, and the last ones of a key in flight.
const (
	whyRobots = "robots"
	whyLast   = "last"
	whyDNS    = "dns"
)

// status is what the process does at now.
func (p *Process) status(now time.Time) lakeio.Status {
	sample := p.sampler.report()
	p.mu.Lock()
	st := lakeio.Status{Worker: p.worker, Stage: p.cfg.Env.Stage, At: now.UTC(), Started: p.begun.UTC(),
		InFlight: p.sched.InFlight(), Queued: p.counts.queued, Waiting: map[string]int{}, Sample: sample,
		Counters: map[string]int64{"requests": p.counts.admitted, "exchanges": p.counts.exchanges, "bytes": p.counts.bytes}}
	for o, n := range p.counts.outcomes {
		st.Counters["captures."+string(o)] = n
	}
	if p.counts.left > 0 {
		st.Counters["left"] = p.counts.left
	}
	st.Rates = p.minute.rates(now, st.Counters)
	st.Blocked = p.blocked(now)
	done := len(p.shards) > 0
	for _, s := range p.shards {
		if s.held {
			st.Held++
		}
		done = done && s.closed && s.err == nil
	}
	st.Ended = done && p.stopping
	p.mu.Unlock()
	p.eachKey(func(k *key) { p.keyStatus(&st, k, now) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.namelessStatus(&st, now)
	return st
}

// keySlice is how many keys are looked at under one lock: the dispatcher waits
// for it, and there may be a million keys.
const keySlice = 512

// eachKey visits every key, under mu but not under one hold of it: keys and
// what they say may change in between.
func (p *Process) eachKey(do func(*key)) {
	for i := 0; ; {
		p.mu.Lock()
		end := min(i+keySlice, p.sched.Len())
		for ; i < end; i++ {
			do(p.sched.At(i).Value.(*key))
		}
		all := i == p.sched.Len()
		p.mu.Unlock()
		if all {
			return
		}
	}
}

// keyStatus says why a key waits: it is counted, and named if it is among those
// that will take longest; under mu.
func (p *Process) keyStatus(st *lakeio.Status, k *key, now time.Time) {
	s := p.sched.State(k.pol, now)
	queued := p.front.Count(k.name) + int64(len(k.parked))
	one := lakeio.KeyStatus{Key: k.name, Why: whyOf(k, s.Why, s.InFlight), Until: s.Until, Queued: queued, InFlight: s.InFlight,
		Concurrency: s.Slots, Delay: s.Pause, Latency: s.Latency, Left: time.Duration(queued) * s.Pace}
	if k.draining || one.Why == string(polite.Idle) {
		return // nothing of it is asked any more, or there is nothing
	}
	note(st, one)
}

// note counts a key that waits.
func note(st *lakeio.Status, one lakeio.KeyStatus) {
	st.Waiting[one.Why]++
	if !one.Until.IsZero() && (st.Next.IsZero() || one.Until.Before(st.Next)) {
		st.Next = one.Until.UTC()
	}
	st.Keys = keepLongest(st.Keys, one)
}

// keepLongest puts a key into the list of those with most time left; what is
// equal goes by name, so that the list stands still.
func keepLongest(keys []lakeio.KeyStatus, k lakeio.KeyStatus) []lakeio.KeyStatus {
	at, _ := slices.BinarySearchFunc(keys, k, func(a, b lakeio.KeyStatus) int {
		return cmp.Or(cmp.Compare(b.Left, a.Left), cmp.Compare(a.Key, b.Key))
	})
	if at >= lakeio.StatusKeys {
		return keys
	}
	k.Until = k.Until.UTC()
	keys = slices.Insert(keys, at, k)
	return keys[:min(len(keys), lakeio.StatusKeys)]
}

// minute remembers the counters of the last minute.
type minute struct{ past []snapshot }

type snapshot struct {
	at       time.Time
	counters map[string]int64
}

// rates is what each counter gained in the last minute, or since the first
// snapshot; the counters are kept and must not change.
func (m *minute) rates(now time.Time, counters map[string]int64) map[string]int64 {
	for len(m.past) > 1 && now.Sub(m.past[1].at) >= time.Minute {
		m.past = m.past[1:]
	}
	m.past = append(m.past, snapshot{now, counters})
	then, gained := m.past[0].counters, map[string]int64{}
	for name, n := range counters {
		if d := n - then[name]; d > 0 {
			gained[name] = d
		}
	}
	return gained
}
