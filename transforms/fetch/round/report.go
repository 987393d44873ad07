package round

import (
	"time"

	"github.com/harrowdata/harrow"
)

// counts is what the status file tells; under Process.mu.
type counts struct {
	admitted  int64
	queued    int64
	exchanges int64
	bytes     int64
	outcomes  map[harrow.Outcome]int64
	left      int64 // to the next round
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
			p.stop(p.permit.Err())
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

// bound is the least time that the limits of the shard's keys allow for what
// was asked of them.
func (p *Process) bound(s *shard) time.Duration {
	var most time.Duration
	p.eachKey(func(k *key) {
		if k.shard == s {
			most = max(most, k.pol.Stats().Bound())
		}
	})
	return most
}

func (p *Process) elapsed() time.Duration { return time.Since(p.begun) }
