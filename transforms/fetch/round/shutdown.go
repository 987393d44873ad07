package round

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/harrowdata/harrow/io/lakeio"
)

// closed: this process has ended its rounds for good; under processesMu.
var closed bool

// errClosed is what a bundle gets that comes too late.
var errClosed = fmt.Errorf("this worker is ending: %w", ErrStopped)

// ShutdownAll ends what this process runs of any run, for good: no round can
// be joined any more. Starts end at once. Exchanges in flight may end by
// themselves until ctx does; those that haven't are cut off then, and are asked
// again by whoever goes on. It returns when what was fetched is appended to the
// shard records and the permits are given back.
func ShutdownAll(ctx context.Context) error {
	processesMu.Lock()
	closed = true
	for name, p := range processes {
		delete(processes, name)
		leaving[p] = true
	}
	left := slices.Collect(maps.Keys(leaving))
	processesMu.Unlock()
	for _, p := range left {
		defer context.AfterFunc(ctx, p.cut)()
	}
	ended := make(chan error, len(left))
	for _, p := range left {
		go func() { ended <- p.leave() }()
	}
	var errs []error
	for range left {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// Close gives one Join back; the last one ends the process's goroutines.
func (p *Process) Close() error {
	processesMu.Lock()
	p.refs--
	last := p.refs == 0
	if last && processes[p.cfg.identity()] == p {
		delete(processes, p.cfg.identity())
		leaving[p] = true
	}
	processesMu.Unlock()
	if !last {
		return nil
	}
	return p.leave()
}

// Shutdown ends what this process still runs of a run, after its pipeline
// ended: exchanges in flight end, rolls are appended, the job lock is let go.
func Shutdown(l lakeio.Lake) error {
	processesMu.Lock()
	for name, p := range processes {
		if p.lake.Job == l.Job && p.lake.Run == l.Run && p.lake.Store.Local() == l.Store.Local() {
			delete(processes, name)
			leaving[p] = true
		}
	}
	var left []*Process
	for p := range leaving {
		if p.lake.Job == l.Job && p.lake.Run == l.Run && p.lake.Store.Local() == l.Store.Local() {
			left = append(left, p)
		}
	}
	processesMu.Unlock()
	var errs []error
	for _, p := range left {
		errs = append(errs, p.leave())
	}
	restRobots(l.Run)
	return errors.Join(errs...)
}

// leave ends the process once, however often it is asked to.
func (p *Process) leave() error {
	p.left.Do(func() {
		p.stop(nil)
		<-p.ended
		p.cancel()
		if p.released != nil { // the workspace may be there again
			p.released = p.permit.Release()
		}
		p.leftErr = errors.Join(p.released, p.free())
		processesMu.Lock()
		delete(leaving, p)
		processesMu.Unlock()
	})
	return p.leftErr
}
