package round

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// Permit is the right to start exchanges: one may start only if the permit
// outlives the exchange's deadline.
type Permit interface {
	// Until is when the right ends; a time in the past: it is lost.
	Until() time.Time
	// Renew is called every second.
	Renew(ctx context.Context) error
	// Release gives it up.
	Release() error
}

// lockPermit is the permit of an in-process runner on a local disk: the job
// lock, freed by death, and the stop file. Epochs of shard records guard the
// rest.
type lockPermit struct {
	lake    lakeio.Lake
	lock    *lakeio.JobLock
	stopped atomic.Bool
}

// newLockPermit takes the job lock, or a share of it. With an error there is no
// permit, and nothing is held.
func newLockPermit(ctx context.Context, l lakeio.Lake) (Permit, error) {
	lock, err := lakeio.LockJob(ctx, l, time.Now())
	if err != nil {
		return nil, err
	}
	p := &lockPermit{lake: l, lock: lock}
	if err := p.Renew(ctx); err != nil {
		return nil, errors.Join(err, p.Release())
	}
	return p, nil
}

// heldFor is how far into the future a held flock reaches: it ends only with
// its process, and so do the process's exchanges.
const heldFor = 1000 * time.Hour

func (p *lockPermit) Until() time.Time {
	if p.stopped.Load() {
		return time.Time{}
	}
	return time.Now().Add(heldFor)
}

func (p *lockPermit) Renew(ctx context.Context) error {
	stopped, err := p.lake.Stopped(ctx)
	if stopped || err != nil {
		p.stopped.Store(true)
	}
	return err
}

func (p *lockPermit) Release() error { return p.lock.Release(time.Now()) }
