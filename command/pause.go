package command

import (
	"context"
	"errors"
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
	lake := lakeio.Lake{Store: store, Job: job}
	holder, held, err := holds(e.ctx, lake)
	if err != nil {
		return err
	}
	if !held || holder.Run == lakeio.CollectorRun {
		return c.workers(e, lake)
	}
	lake.Run = holder.Run
	if err := lake.Stop(e.ctx, pauseNote); err != nil {
		return err
	}
	if c.NoWait {
		_, err := fmt.Fprintf(e.stdout, "run %s was asked to stop\n", holder.Run)
		return err
	}
	fmt.Fprintf(e.stderr, "run %s drains\n", holder.Run)
	if err := drained(e.ctx, lake, holder); err != nil {
		return err
	}
	run, err := lakeio.ReadRun(e.ctx, store, job, holder.Run)
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) { // it had only begun
		return err
	}
	if run.State == lakeio.Done { // before it heard of it
		_, err = fmt.Fprintf(e.stdout, "run %s is done\n", holder.Run)
		return errors.Join(err, lake.ClearStop(e.ctx))
	}
	_, err = fmt.Fprintf(e.stdout, "run %s is paused; harrow run goes on with it\n", holder.Run)
	return err
}

// workers pauses a run that no command watches over any more, if it may have
// workers that go on without one. Between two rounds, and while they parse, they
// hold no permit: what they find when they go on must be there before.
func (c *pauseCmd) workers(e *env, lake lakeio.Lake) (err error) {
	run := lakeio.Run{State: lakeio.Done}
	if lake.Run, err = lakeio.WorkersRun(e.ctx, lake.Store, lake.Job); err == nil && lake.Run != "" {
		run, err = lakeio.ReadRun(e.ctx, lake.Store, lake.Job, lake.Run)
	}
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) {
		return err
	}
	if err != nil || run.State == lakeio.Done {
		_, err := fmt.Fprintf(e.stdout, "job %s is not running\n", lake.Job)
		return err
	}
	if err := lake.Stop(e.ctx, pauseNote); err != nil {
		return err
	}
	left, err := lake.Workers(e.ctx)
	if err != nil {
		return err
	}
	if c.NoWait {
		_, err := fmt.Fprintf(e.stdout, "run %s was asked to stop\n", lake.Run)
		return err
	}
	if len(left) == 0 {
		_, err := fmt.Fprintf(e.stdout, "run %s was asked to stop; no worker of it asks for anything now, and harrow run goes on with it\n", lake.Run)
		return err
	}
	if err := lakeio.AwaitWorkers(e.ctx, lake, e.waitingForWorkers); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "run %s is paused; harrow run goes on with it\n", lake.Run)
	return err
}

// pauseNote is what the stop file says.
const pauseNote = "harrow pause"

// holds says who holds a job. A lease that was not renewed for long by this
// machine's clock is looked at for as long as it lasts: clocks differ.
func holds(ctx context.Context, lake lakeio.Lake) (h lakeio.Holder, held bool, err error) {
	h, held, err = lakeio.ReadHolder(ctx, lake)
	if err != nil || held || h.Nonce == "" || !h.Ended.IsZero() {
		return h, held, err
	}
	err = lakeio.Free(ctx, lake, lakeio.LockConfig{})
	if errors.Is(err, lakeio.ErrLocked) {
		return h, true, nil
	}
	return h, false, err
}

// drained returns when a process holds the job no more. It asks again where
// nothing asks any more: the process may have been at its beginning, when what
// was asked of the one before it is cleared away.
func drained(ctx context.Context, lake lakeio.Lake, holder lakeio.Holder) error {
	every := drainPoll
	if lake.Store.Local() == "" { // a look is a request
		every = lake.LookEvery() / 2
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		now, held, err := holds(ctx, lake)
		if err != nil || !held || now.PID != holder.PID || now.Host != holder.Host || !now.Since.Equal(holder.Since) { // another process goes on: it was paused before
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
