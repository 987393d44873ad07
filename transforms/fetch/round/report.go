package round

import (
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// counts is what the status file tells; under Process.mu.
type counts struct {
	admitted  int64
	queued    int64
	exchanges int64
	bytes     int64
	outcomes  map[harrow.Outcome]int64
}

func newCounts() counts { return counts{outcomes: map[harrow.Outcome]int64{}} }

const (
	defaultStatus = 5 * time.Second
	renewEvery    = time.Second
)

// report renews the permit and rewrites the status file until it is told to
// stop; the last thing it does is to write how things ended.
func (p *Process) report(stop <-chan struct{}) {
	every := p.cfg.Status
	if every <= 0 {
		every = defaultStatus
	}
	renew := time.NewTicker(min(renewEvery, every))
	defer renew.Stop()
	written := time.Time{}
	for {
		now := time.Now()
		if err := p.permit.Renew(p.ctx); err != nil {
			p.stop(err)
		}
		if p.permit.Until().Before(now) {
			p.stop(nil)
		}
		if now.Sub(written) >= every {
			written = now
			p.putStatus(now)
		}
		select {
		case <-renew.C:
		case <-stop:
			p.putStatus(time.Now())
			return
		}
	}
}

// putStatus writes the status file. Nothing depends on it: where it can't be
// written, the rolls can't either, and say so.
func (p *Process) putStatus(now time.Time) {
	st := p.status(now)
	_ = p.lake.PutStatus(p.ctx, st)
}

func (p *Process) status(now time.Time) lakeio.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := lakeio.Status{Worker: fmt.Sprintf("%s-%d", p.cfg.Env.Stage, os.Getpid()), Stage: p.cfg.Env.Stage, At: now.UTC(), Started: p.begun.UTC(),
		InFlight: p.sched.InFlight(), Queued: p.counts.queued, Waiting: map[string]int{},
		Counters: map[string]int64{"requests": p.counts.admitted, "exchanges": p.counts.exchanges, "bytes": p.counts.bytes}}
	for o, n := range maps.All(p.counts.outcomes) {
		st.Counters["captures."+string(o)] = n
	}
	for why, n := range p.sched.Waiting(now) {
		st.Waiting[string(why)] = n
	}
	if n := len(p.robots); n > 0 {
		st.Waiting["robots"] = n
	}
	if p.stopping {
		st.Blocked = "stopped"
	} else if p.budget.Bodies.Used() >= p.budget.Bodies.Size() {
		st.Blocked = "memory for bodies"
	}
	return st
}

// bound is the least time that the limits of the shard's keys allow for what
// was asked of them; under mu.
func (p *Process) bound(s *shard) time.Duration {
	var most time.Duration
	p.sched.Stats(func(name string, st polite.Stats) {
		if k := p.keys[name]; k != nil && k.shard == s {
			most = max(most, st.Bound())
		}
	})
	return most
}

func (p *Process) elapsed() time.Duration { return time.Since(p.begun) }
