package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/collect"
	"github.com/harrowdata/harrow/pipelines"
)

type gcCmd struct {
	workspaceFlag
	Job       string          `help:"Only this job." placeholder:"NAME|JOB.yaml"`
	Keep      int             `help:"Remove old runs, too: all but a job's last N finished ones (replays are not counted) and what these or pages need, as far as they are older than --older-than. 0: remove no runs. It holds the job as a run does: exit 1 where one is running, and harrow run says so until it is through." placeholder:"N"`
	OlderThan harrow.Duration `help:"Remove nothing younger, by the workspace's clock (default 24h)." placeholder:"DURATION" default:"24h"`
	DryRun    bool            `help:"Say what would be removed."`
	JSON      bool            `name:"json" help:"Write JSON."`
}

// Help says more than a line.
func (*gcCmd) Help() string {
	return `Removes what no manifest, shard record, run.json or version of pages refers to: parts of attempts that lost, shuffle files, ` +
		`temporary files, versions of pages that no run names, folders of runs that never began, and what sinks keep for runs that nobody goes on with. ` +
		`It may be run beside a harvest, whose own files it leaves alone. With --keep old runs go, too; of these stays what is still needed, such as ` +
		`the bodies of pages that did not change since. What sinks keep is asked of them, with today's secrets. A run that is active or can be resumed stays in any case. Interrupted, it can be begun again.`
}

// Run implements the command.
func (c *gcCmd) Run(e *env) error {
	if c.Keep < 0 || c.OlderThan < 0 {
		return view.Usagef("--keep %d --older-than %s: want no less than 0", c.Keep, c.OlderThan)
	}
	store, err := view.Open(c.Workspace)
	if err != nil {
		return err
	}
	jobs, err := lakeio.Jobs(e.ctx, store)
	if err != nil {
		return err
	}
	if c.Job != "" {
		job, err := view.FindJob(e.ctx, store, c.Job)
		if err != nil {
			return err
		}
		jobs = []string{job}
	}
	ctx, done := e.interruptible("what was removed is gone, the rest is whole")
	defer done()
	reports, err := c.collect(ctx, e, store, jobs)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("%w: %w", pipelines.ErrStopped, err)
	}
	if c.JSON {
		return errors.Join(writeJSON(e.stdout, map[string]any{"dry_run": c.DryRun, "jobs": reports}), err)
	}
	return errors.Join(view.WriteCollected(e.stdout, reports, c.DryRun), err)
}

// collect goes from job to job; one that fails keeps nobody from the others.
func (c *gcCmd) collect(ctx context.Context, e *env, store lakeio.Store, jobs []string) (reports []collect.Report, errs error) {
	reports = []collect.Report{}
	for _, job := range jobs {
		meter := &collect.Meter{}
		stop := e.meter(job, meter)
		report, err := collect.Job(ctx, store, collect.Config{Job: job, Keep: c.Keep, OlderThan: time.Duration(c.OlderThan), DryRun: c.DryRun, Now: time.Now, Meter: meter,
			Waiting: e.waiting, Workers: e.endedWorkers,
			Sinks: func(ctx context.Context, run lakeio.Run, dry bool) (harrow.Collected, error) {
				return pipelines.CollectSinks(ctx, store, run, dry)
			}})
		stop()
		reports = append(reports, report)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("job %s: %w", job, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return reports, errs
}

// meter tells every few seconds how far a collection has come, until it is
// told to stop.
func (e *env) meter(job string, m *collect.Meter) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(plainEvery)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				fmt.Fprintf(e.stderr, "job %s: %s files looked at, %s removed\n", job, view.Count(m.Looked.Load()), view.Count(m.Removed.Load()))
			}
		}
	}()
	return func() { close(over); <-ended }
}
