package pipelines

import (
	"context"
	"errors"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// Where a runner's workers are other processes, the run's own has the job but
// asks for nothing. Nobody else may have a run's hosts asked before its workers
// have ended, so they are told to stop, and waited for, when the run ends before
// its work is done, and again, if this process dies, by the next one that wants
// the job.

// drainFor is how long workers that were told to stop may take to end what they
// have in flight and to append it, before their job is cancelled on the runner.
func drainFor(lake lakeio.Lake, p Plan) time.Duration {
	return time.Duration(p.Job.Fetch.Timeout) + 2*lake.LookEvery() + 5*time.Second
}

// endFor bounds the wait for workers at the end of a run: one that is dead is
// known to be after a TTL.
func endFor(lake lakeio.Lake, p Plan) time.Duration {
	return 2*lockTTL(time.Duration(p.Job.Fetch.Timeout)) + drainFor(lake, p)
}

// endOthers ends the workers of whatever run the job was submitted for last.
func (d *decision) endOthers(ctx context.Context, req Request, lake lakeio.Lake) error {
	had, err := lakeio.EndWorkers(ctx, lake.Store, lake.Job, "run "+lake.Run+" takes the job", req.Workers)
	if had { // they may have asked for something just now
		d.died, d.lastEnd = true, time.Now()
	}
	return stoppedBy(ctx, err)
}

// watchWorkers is watchStop for a run whose workers are other processes: they
// are told first, and the runner when they have ended, or take too long. ctx is
// the command's, run ends when the runner is to.
func watchWorkers(ctx, run context.Context, lake lakeio.Lake, lock *lakeio.JobLock, p Plan, cancel context.CancelCauseFunc) {
	asked, ask := context.WithCancelCause(ctx)
	defer ask(nil)
	defer context.AfterFunc(run, func() { ask(nil) })()
	watchStop(asked, lake, lock, ask)
	if run.Err() != nil {
		return
	}
	why := context.Cause(asked)
	drain, over := context.WithTimeout(run, drainFor(lake, p))
	defer over()
	if mine, err := holds(drain, lake, lock, p); !mine { // the workers are somebody else's to tell
		cancel(errors.Join(why, err))
		return
	}
	if ctx.Err() != nil {
		why = ErrStopped
	}
	err := lake.Stop(drain, "harrow run was stopped")
	if err == nil {
		err = lakeio.AwaitWorkers(drain, lake, nil)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // it is waited for them again when the runner has cancelled
	}
	cancel(errors.Join(why, err))
}

// endWorkers sees to it that no worker of the run is left when it ends, with err
// or without one. Of a run that has committed its work none can start anything.
func endWorkers(ctx context.Context, req Request, lake lakeio.Lake, lock *lakeio.JobLock, p Plan, err error) error {
	if !p.Remote {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endFor(lake, p))
	defer cancel()
	if mine, herr := holds(ctx, lake, lock, p); !mine {
		return herr
	}
	if err == nil {
		return lake.ForgetWorkers(ctx, p.Process)
	}
	return lake.EndWorkers(ctx, p.Process, "harrow run has ended", req.Workers)
}

// holds reports whether the run, and the job, are still this process's. One that
// slept longer than its lease lasts may be woken up before that has met its
// successor's: a lease that may be over is none.
func holds(ctx context.Context, lake lakeio.Lake, lock *lakeio.JobLock, p Plan) (bool, error) {
	if lock.Err() != nil || lock.Left() == 0 {
		return false, nil
	}
	others, err := lake.Superseded(ctx, p.Process)
	return err == nil && !others, err
}
