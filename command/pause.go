package command

import (
	"context"
	"fmt"
	"time"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

type pauseCmd struct {
	workspaceFlag
	Job    string `arg:"" name:"job.yaml" help:"Job file, or the name of a job."`
	NoWait bool   `help:"Don't wait until the run has drained."`
}

// drainPoll is how often the lock is looked at while a run drains.
const drainPoll = 200 * time.Millisecond

// Run implements the command.
func (c *pauseCmd) Run(e *env) error {
	store, err := view.Open(c.Workspace)
	if err != nil {
		return err
	}
	job, err := view.FindJob(e.ctx, store, c.Job)
	if err != nil {
		return err
	}
	holder, err := view.Held(e.ctx, store, job)
	if err != nil {
		return err
	}
	if holder == nil || holder.Run == lakeio.CollectorRun {
		_, err := fmt.Fprintf(e.stdout, "job %s is not running\n", job)
		return err
	}
	lake := lakeio.Lake{Store: store, Job: job, Run: holder.Run}
	if err := lake.Stop(e.ctx, pauseNote); err != nil {
		return err
	}
	if c.NoWait {
		_, err := fmt.Fprintf(e.stdout, "run %s was asked to stop\n", holder.Run)
		return err
	}
	fmt.Fprintf(e.stderr, "run %s drains\n", holder.Run)
	if err := drained(e.ctx, lake, *holder); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "run %s is paused; harrow run goes on with it\n", holder.Run)
	return err
}

// pauseNote is what the stop file says.
const pauseNote = "harrow pause"

// drained returns when a process holds the job no more. It asks again where
// nothing asks any more: the process may have been at its beginning, when what
// was asked of the one before it is cleared away.
func drained(ctx context.Context, lake lakeio.Lake, holder view.Holder) error {
	every := drainPoll
	if lake.Store.Local() == "" { // a look is a request
		every = lake.LookEvery() / 2
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		now, err := view.Held(ctx, lake.Store, lake.Job)
		if err != nil || now == nil || *now != holder { // another process goes on: it was paused before
			return err
		}
		asked, err := lake.Stopped(ctx)
		if err == nil && !asked {
			err = lake.Stop(ctx, pauseNote)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
