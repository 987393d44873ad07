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

// heldPermit is a right that lasts as long as it is renewed in the background,
// unless the stop file is there. That of an in-process runner is the job lock
// (on a local disk freed by death, elsewhere a lease); epochs of shard records
// guard the rest.
type heldPermit struct {
	lake    lakeio.Lake
	right   right
	looked  time.Time // at the stop file
	stopped atomic.Bool
	lapsed  atomic.Bool
}

// right is a job lock, or a worker's own lease.
type right interface {
	Left() time.Duration
	Err() error
	Release(now time.Time) error
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
	p := &heldPermit{lake: l, right: lock}
	if err := p.Renew(ctx); err != nil {
		return nil, errors.Join(err, p.Release())
	}
	return p, nil
}

func (p *heldPermit) Until() time.Time {
	if p.stopped.Load() || p.Err() != nil {
		return time.Time{}
	}
	return time.Now().Add(p.right.Left())
}

// errLapsed ends starts for good: what is left to do is for a resume.
var errLapsed = errors.New("the right to start exchanges could not be renewed in time and is over")

func (p *heldPermit) Err() error {
	if err := p.right.Err(); err != nil {
		return err
	}
	if p.lapsed.Load() || p.right.Left() == 0 {
		p.lapsed.Store(true)
		return errLapsed
	}
	return nil
}

// Renew looks whether the run was asked to stop; the right renews itself.
func (p *heldPermit) Renew(ctx context.Context) error {
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

func (p *heldPermit) Lasts() bool { return p.right.Left() > 0 }

func (p *heldPermit) URI() string { return "" }

func (p *heldPermit) Release() error { return p.right.Release(time.Now()) }
