package collect

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// fate is what becomes of a run.
type fate int

const (
	none  fate = iota // its folder has no run.json: it never began, or is no more
	live              // it is active, or can be gone on with
	stays             // it is finished, or another run took the job; nothing comes to it
	goes
	begins // it may be about to get its run.json
)

// run is a folder below runs/.
type run struct {
	lakeio.Run
	lake lakeio.Lake
	fate fate
	over time.Time    // when a newer run began to fetch, and nobody could go on with this one; zero: none did
	file lakeio.Entry // run.json of a run that may go

	asked bool // it has fetched to the end: it may be what the next run's first requests come from
}

func (r *run) uri(names ...string) string {
	return path.Join(append([]string{r.lake.RunDir()}, names...)...)
}

// errSinks marks errors that only keep a run.
var errSinks = errors.New("what sinks keep could not be removed")

// decide reads the runs and says what becomes of each. An error that is
// errSinks comes with everything decided.
func (c *collector) decide(ctx context.Context) error {
	if err := c.readRuns(ctx); err != nil {
		return err
	}
	if err := c.lookAtLock(ctx); err != nil {
		return err
	}
	if c.Keep > 0 {
		if err := c.condemn(ctx); err != nil {
			return err
		}
	}
	c.spareOwners()
	err := c.askSinks(ctx)
	c.spareLastAsked()
	c.spareOwners()
	return err
}

// readRuns reads every run.json. All runs stay; those are live that are not
// finished, as long as no newer run has fetched for itself.
func (c *collector) readRuns(ctx context.Context) error {
	var newer *run // that fetches for itself
	for _, id := range slices.Backward(c.ids) {
		r := &run{lake: lakeio.Lake{Store: c.store, Job: c.Job, Run: id}, fate: stays}
		c.runs[id] = r
		var err error
		switch r.Run, err = lakeio.ReadRun(ctx, c.store, c.Job, id); {
		case errors.Is(err, lakeio.ErrNotFound):
			r.fate = none
			continue
		case err != nil:
			return err
		case newer == nil && r.State != lakeio.Done:
			r.fate = live
		case newer != nil:
			r.over = newer.CreatedAt
		}
		if r.Source("fetch") == id {
			newer = r
			if r.asked, err = r.lake.Committed(ctx, lakeio.FetchStage(r.Rounds-1)); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookAtLock spares the run that the job's lock names: a run that begins holds
// it before it has a run.json.
func (c *collector) lookAtLock(ctx context.Context) error {
	if c.lock != nil {
		return nil
	}
	h, _, err := lakeio.ReadHolder(ctx, lakeio.Lake{Store: c.store, Job: c.Job})
	if err != nil {
		return err
	}
	if r, ok := c.runs[h.Run]; ok && r.fate == none {
		r.fate = begins
	}
	return nil
}

// condemn lets all runs go but those that are needed.
func (c *collector) condemn(ctx context.Context) error {
	kept, asked := 0, false
	for _, id := range slices.Backward(c.ids) {
		r := c.runs[id]
		last := r.asked && !asked // the next run asks what this one deferred
		asked = asked || r.asked
		if r.fate != stays {
			continue
		}
		switch {
		case r.State != lakeio.Done:
		case r.Replay != nil: // a part of an older one, which is what counts
			if kept < c.Keep {
				continue
			}
		default:
			if kept++; kept <= c.Keep {
				continue
			}
		}
		if last {
			if some, err := c.deferred(ctx, r); err != nil {
				return err
			} else if some {
				continue
			}
		}
		old, err := c.overAndOld(ctx, r)
		if err != nil {
			return err
		}
		if old {
			r.fate = goes
		}
	}
	return c.spareBeginnings(ctx)
}

// spareOwners keeps the runs whose stages those took over that stay: whoever
// takes these over from them looks at how they were made.
func (c *collector) spareOwners() {
	for _, id := range slices.Backward(c.ids) { // an owner is older
		r := c.runs[id]
		if r.fate != live && r.fate != stays {
			continue
		}
		for _, owner := range r.Sources {
			c.spare(owner)
		}
	}
}

// spareLastAsked keeps the last run that asked where an older one stays: the
// next run would ask what that one deferred, long after it was asked.
func (c *collector) spareLastAsked() {
	var last *run
	for _, id := range slices.Backward(c.ids) {
		r := c.runs[id]
		if !r.asked {
			continue
		}
		if last == nil {
			last = r
		}
		if r.fate != goes {
			if last.fate == goes {
				last.fate = stays
			}
			return
		}
	}
}

// deferred reports whether a run has left something to be asked.
func (c *collector) deferred(ctx context.Context, r *run) (bool, error) {
	n, err := lakeio.CountRows(ctx, c.store, c.Job, r.Leaves(), lakeio.DeferredRequests.Name())
	return n > 0, err
}

// overAndOld reports whether nobody can go on with a run since long enough.
func (c *collector) overAndOld(ctx context.Context, r *run) (old bool, err error) {
	if r.State != lakeio.Done && r.over.After(c.cutoff) {
		return false, nil
	}
	err = c.store.Scan(ctx, r.lake.RunDir()+"/", func(e lakeio.Entry) error {
		if e.Name == "run.json" {
			old, r.file = c.old(e), e
		}
		return nil
	})
	return old, err
}

// spareBeginnings keeps what a run that has not committed discover begins
// with, and the run whose rejects one replays: whoever goes on with it looks at
// that one.
func (c *collector) spareBeginnings(ctx context.Context) error {
	for _, r := range c.runs {
		if r.fate != live {
			continue
		}
		if r.Replay != nil {
			c.spare(r.Replay.Run)
		}
		if r.Source("discover") != r.ID {
			continue
		}
		done, err := r.lake.Committed(ctx, "discover")
		if err != nil {
			return err
		}
		if !done {
			c.spare(r.Previous)
			c.spare(r.Parent)
		}
	}
	return nil
}

// spare keeps a run that was to go.
func (c *collector) spare(id string) {
	if r, ok := c.runs[id]; ok && r.fate == goes {
		r.fate = stays
	}
}

// askSinks lets sinks remove what they keep of runs that nobody goes on with.
// That comes before such a run goes: then nobody would know of it any more.
func (c *collector) askSinks(ctx context.Context) (errs error) {
	if c.Sinks == nil {
		return nil
	}
	for _, id := range c.ids {
		r := c.runs[id]
		switch {
		case r.fate == goes:
		case r.fate != stays || r.State == lakeio.Done:
			continue
		default:
			if old, err := c.overAndOld(ctx, r); err != nil {
				return err
			} else if !old {
				continue
			}
		}
		n, err := c.Sinks(ctx, r.Run, c.DryRun)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			if errs = errors.Join(errs, fmt.Errorf("run %s stays: %w: %w", id, errSinks, err)); r.fate == goes {
				r.fate = stays
			}
			continue
		}
		if n.Files+n.Rows > 0 {
			c.count(Sinks, Count{n.Files, n.Bytes, n.Rows})
		}
	}
	return errs
}
