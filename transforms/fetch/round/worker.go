package round

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// workerPermit is the permit of a worker process that is not the command's: a
// lease of its own, for one round. The command holds the job lock and may die
// while its workers go on: they may finish their work, and nobody else starts
// before they have ended.
type workerPermit struct {
	heldPermit
	uri        string        // of the lease
	process    string        // who submitted the round
	wide       time.Duration // how often it is looked at who has the run
	widely     time.Time     // when that was
	superseded atomic.Bool
}

// errSuperseded: what this worker was told to do is somebody else's now.
var errSuperseded = fmt.Errorf("%w: another process goes on with the run, or another run has the job", ErrStopped)

// newWorkerPermit takes a permit, and only then looks whether there is a right
// to one: who ends a run tells its workers to stop before it looks for permits,
// and says who goes on with the run before it takes the stop back.
func newWorkerPermit(ctx context.Context, l lakeio.Lake, c Config) (Permit, error) {
	ttl := lockTTL(time.Duration(c.Fetch.Timeout))
	lease, err := lakeio.TakeWorkerPermit(ctx, l, c.Round, lakeio.LockConfig{Now: time.Now(), TTL: ttl})
	if err != nil {
		return nil, err
	}
	p := &workerPermit{heldPermit: heldPermit{lake: l, right: lease}, uri: lease.URI(), process: c.Process, wide: max(ttl/4, l.LookEvery())}
	err = p.Renew(ctx)
	if err == nil && p.stopped.Load() {
		err = fmt.Errorf("%w: before this worker began", ErrStopped)
	}
	if err != nil {
		return nil, errors.Join(err, p.Release())
	}
	return p, nil
}

func (p *workerPermit) Err() error {
	if p.superseded.Load() {
		return errSuperseded
	}
	return p.heldPermit.Err()
}

func (p *workerPermit) Until() time.Time {
	if p.superseded.Load() {
		return time.Time{}
	}
	return p.heldPermit.Until()
}

// Renew looks whether the run was asked to stop and, less often, whether it is
// still this worker's.
func (p *workerPermit) Renew(ctx context.Context) error {
	if err := p.Err(); err != nil {
		return err
	}
	if err := p.heldPermit.Renew(ctx); err != nil || p.stopped.Load() {
		return err
	}
	now := time.Now()
	if now.Sub(p.widely) < p.wide {
		return nil
	}
	p.widely = now
	superseded, err := p.lake.Superseded(ctx, p.process)
	if superseded {
		p.superseded.Store(true)
		return errSuperseded
	}
	if err != nil {
		p.stopped.Store(true)
	}
	return err
}

func (p *workerPermit) URI() string { return p.uri }
