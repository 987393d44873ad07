package pipelines

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/transforms/fetch/round"
	"github.com/harrowdata/harrow/transforms/parts/engine"
	"github.com/harrowdata/harrow/transforms/upsert"
)

// execute runs the pipeline and watches the stop file. Only a stop that was
// asked for is ErrStopped; whatever else ended the run is its error.
func execute(ctx context.Context, req Request, lake lakeio.Lake, lock *lakeio.JobLock, p Plan) (runners.Result, error) {
	pipeline, root := beam.NewPipelineWithRoot()
	Harvest(root, p)
	run, cancel := context.WithCancelCause(ctx)
	watch := func() { watchStop(run, lake, lock, cancel) }
	if p.Remote {
		if err := lake.BeginWorkers(ctx, p.Process); err != nil {
			return runners.Result{}, stoppedBy(ctx, err)
		}
		run, cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		watch = func() { watchWorkers(ctx, run, lake, lock, p, cancel) }
	}
	watched := make(chan struct{})
	go func() { defer close(watched); watch() }()
	// Before the runner hears of an end, so that nothing it still lets through is
	// committed.
	job, end := context.WithCancelCause(context.WithoutCancel(run))
	defer end(nil)
	defer context.AfterFunc(run, func() {
		engine.GiveUp(p.Submission, context.Cause(run))
		end(context.Cause(run))
	})()
	options := optionsOf(req, lake)
	options.Holds = func(ctx context.Context) bool {
		mine, err := holds(ctx, lake, lock, p)
		return mine && err == nil
	}
	res, err := runners.Execute(job, req.Runner, pipeline, options)
	cause := context.Cause(run)
	cancel(nil)
	<-watched
	// A runner that gave up may leave bundles behind: what they fetched is
	// appended, and they let go of the job.
	err = errors.Join(err, round.Shutdown(lake))
	if err == nil && res.State == runners.Staged {
		return res, nil // whoever launches it begins workers
	}
	if err == nil {
		return res, endWorkers(ctx, req, lake, lock, p, nil)
	}
	asked := ctx.Err() != nil || errors.Is(cause, ErrStopped)
	if !asked {
		var ferr error // the watcher may not have looked yet
		asked, ferr = lake.Stopped(context.WithoutCancel(ctx))
		err = errors.Join(cause, err, ferr)
	}
	err = errors.Join(err, endWorkers(ctx, req, lake, lock, p, err))
	if asked {
		return res, fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return res, err
}

// publish lets the sinks show what stage load has committed.
func publish(ctx context.Context, p Plan) error {
	err := upsert.Publish(ctx, p.env("load"), upsert.ConfigOf(p.Job, p.Run.Dir))
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return err
}

// watchStop ends the context when the run is asked to stop, when that can't be
// known any more, or when the job is somebody else's.
func watchStop(ctx context.Context, lake lakeio.Lake, lock *lakeio.JobLock, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(lake.LookEvery())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := lock.Err(); err != nil {
				cancel(err)
				return
			}
			switch stopped, err := lake.Stopped(ctx); {
			case err != nil && ctx.Err() == nil:
				cancel(err)
				return
			case stopped:
				cancel(ErrStopped)
				return
			}
		}
	}
}
