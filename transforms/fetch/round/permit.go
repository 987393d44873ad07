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
	// Err is why the right ended without anybody asking for it; nil: it has
	// not, or the run was asked to stop.
	Err() error
	// Release gives it up.
	Release() error
}

// lockPermit is the permit of an in-process runner: the job lock (on a local
// disk freed by death, elsewhere a lease) and the stop file. Epochs of shard
// records guard the rest.
type lockPermit struct {
	lake    lakeio.Lake
	lock    *lakeio.JobLock
	looked  time.Time // at the stop file
	stopped atomic.Bool
	lapsed  atomic.Bool
}

// lockTTL is lakeio.TTL, but in tests.
var lockTTL = lakeio.TTL

// newLockPermit takes the job lock, or a share of it. With an error there is no
// permit, and nothing is held.
func newLockPermit(ctx context.Context, l lakeio.Lake, timeout time.Duration) (Permit, error) {
	lock, err := lakeio.LockJob(ctx, l, lakeio.LockConfig{Now: time.Now(), TTL: lockTTL(timeout)})
	if err != nil {
		return nil, err
	}
	p := &lockPermit{lake: l, lock: lock}
	if err := p.Renew(ctx); err != nil {
		return nil, errors.Join(err, p.Release())
	}
	return p, nil
}

func (p *lockPermit) Until() time.Time {
	if p.stopped.Load() || p.Err() != nil {
		return time.Time{}
	}
	return time.Now().Add(p.lock.Left())
}

// errLapsed ends starts for good: what is left to do is for a resume.
var errLapsed = errors.New("the job lock could not be renewed in time: the right to start exchanges is over")

func (p *lockPermit) Err() error {
	if err := p.lock.Err(); err != nil {
		return err
	}
	if p.lapsed.Load() || p.lock.Left() == 0 {
		p.lapsed.Store(true)
		return errLapsed
	}
	return nil
}

// Renew looks whether the run was asked to stop; the lock renews itself.
func (p *lockPermit) Renew(ctx context.Context) error {
	if err := p.Err(); err != nil {
		return err
	}
	now := time.Now()
	if now.Sub(p.looked) < p.lake.LookEvery() {
		return nil
	}
	p.looked = now
	stopped, err := p.lake.Stopped(ctx)
	if stopped || err != nil {
		p.stopped.Store(true)
	}
	return err
}

func (p *lockPermit) Release() error { return p.lock.Release(time.Now()) }
