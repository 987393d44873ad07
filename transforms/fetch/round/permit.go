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
	// Lasts reports whether the right, which may have been given to somebody
	// else when it ended, has not ended by time: else nothing may be sent any
	// more, not even what was to be sent before.
	Lasts() bool
	// URI is what shard records name it by; empty: it is the job lock.
	URI() string
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

// newPermit takes what gives a process of a round the right to start exchanges.
func newPermit(ctx context.Context, l lakeio.Lake, c Config) (Permit, error) {
	if c.Remote {
		return newWorkerPermit(ctx, l, c)
	}
	return newLockPermit(ctx, l, time.Duration(c.Fetch.Timeout))
}

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
var errLapsed = errors.New("the right to start exchanges could not be renewed in time and is over")

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

func (p *lockPermit) Lasts() bool { return p.lock.Left() > 0 }

func (p *lockPermit) URI() string { return "" }

func (p *lockPermit) Release() error { return p.lock.Release(time.Now()) }
