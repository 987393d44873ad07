package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/transforms/fetch/round"
)

// ErrStopped: the run was paused or interrupted; it can go on.
var ErrStopped = round.ErrStopped

// Request is what `harrow run` asks for.
type Request struct {
	JobFile   string
	Workspace string
	Params    map[string]string
	Runner    string          // empty: runners.Default
	Options   runners.Options // what the runner is told; Name and Workspace are filled in
	Run       string          // "" (go on, or new), new, last or an id
	From      string          // first stage to run again; the others are the given run's
	Until     string          // last stage to run
	Limit     int64           // requests per politeness key; 0: no limit
	// Replay makes it a run that replays the rejects of Replay.Run ("", last or
	// an id) that its filters want; the rest of it is filled in. Run, From, Until
	// and Limit are not for it. Without a JobFile the rules are those that run
	// had, of the job called Job.
	Replay *lakeio.Replay
	Job    string
	// Started is called when the run has its id and the lock.
	Started func(lakeio.Lake, lakeio.Run)
	// Waiting is called when it has to be waited, for longest, to see whether
	// the job's holder is alive.
	Waiting func(h lakeio.Holder, longest time.Duration)
	// Workers is called when it has to be waited for worker processes of a run
	// to end: those that hold a permit yet; again every minute. See
	// [lakeio.EndWorkers].
	Workers func(run string, left []lakeio.Holder)
}

// Result is how a run ended that did not fail.
type Result struct {
	Run     lakeio.Run
	Exit    int    // 0, or 3 with the reason in Why
	Why     string //
	Resumed bool
	Job     runners.Result // what the runner says of its job
}

// staged reports whether the job was written down as a template for somebody to
// launch: nothing has run, the run is paused.
func (r Result) staged() bool { return r.Job.State == runners.Staged }

// launch says what the template is good for. It is of this one run: what that
// has committed, by whatever launch, is not done again.
func (r Result) launch() string {
	return fmt.Sprintf("staged as template %s, which runs this one run: launch it (gcloud dataflow jobs run %s --gcs-location=%s), "+
		"and when that job is done, harrow run ends the run", r.Job.Link, runners.JobName(r.Run.Job, r.Run.ID), r.Job.Link)
}

// optionsOf names the run's job to the runner, and what the job's lock is about.
func optionsOf(req Request, lake lakeio.Lake) runners.Options {
	o := req.Options
	o.Name, o.Workspace = runners.JobName(lake.Job, lake.Run), lakeio.Name(lake.Store)
	return o
}

// Run runs a job, or goes on with its unfinished run. When ctx ends, exchanges
// in flight end, what was fetched is kept and the run can be resumed: the
// error is ErrStopped. ErrUsage: nothing was started. lakeio.ErrLocked: another
// run holds the job. Any other error: the run failed and can be resumed.
func Run(ctx context.Context, req Request) (Result, error) {
	if err := checkRequest(&req); err != nil {
		return Result{}, err
	}
	job, store, err := readJob(ctx, req)
	if err != nil {
		return Result{}, err
	}
	lockAs := lakeio.LockConfig{Now: time.Now(), TTL: lockTTL(time.Duration(job.Fetch.Timeout)), Waiting: req.Waiting}
	// Who runs the job now is said before anything of a job file that may have
	// changed under it.
	if err := lakeio.Free(ctx, lakeio.Lake{Store: store, Job: job.Name}, lockAs); err != nil {
		return Result{}, stoppedBy(ctx, err)
	}
	if err := checkRemote(req, job, store); err != nil {
		return Result{}, err
	}
	d, err := decide(ctx, store, job, req)
	if err != nil {
		return Result{}, err
	}
	if err := d.checkLookups(ctx, job); err != nil {
		return Result{}, err
	}
	if err := CheckStores(ctx, job, store); err != nil {
		return Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrStopped, err)
	}
	if err := runners.Ready(ctx, req.Runner, req.Options); err != nil {
		return Result{}, stoppedBy(ctx, err)
	}
	lake := lakeio.Lake{Store: store, Job: job.Name, Run: d.run.ID}
	lockAs.Now = time.Now()
	lock, err := lakeio.LockJob(ctx, lake, lockAs)
	if err != nil {
		return Result{}, stoppedBy(ctx, err)
	}
	res, err := locked(ctx, req, job, lake, d, lock)
	return res, errors.Join(err, lock.Release(time.Now()))
}

// readJob reads the job file, or takes the rules that a run has kept, and opens
// the workspace.
func readJob(ctx context.Context, req Request) (*Job, lakeio.Store, error) {
	if req.JobFile != "" || req.Replay == nil {
		job, err := ReadJob(req.JobFile, req.Params)
		if err != nil {
			return nil, nil, err
		}
		store, err := openWorkspace(req.Workspace)
		return job, store, err
	}
	store, err := openWorkspace(req.Workspace)
	if err != nil {
		return nil, nil, err
	}
	last, err := lakeio.LastRun(ctx, store, req.Job)
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) {
		return nil, nil, err
	}
	run, err := replayed(ctx, store, req.Job, *req.Replay, last)
	if err != nil {
		return nil, nil, err
	}
	if last.State != lakeio.Done {
		run = last // which is gone on with, by its own rules
	}
	job, err := KeptJob(ctx, store, run)
	return job, store, err
}

// lockTTL is lakeio.TTL, but in tests.
var lockTTL = lakeio.TTL

// stoppedBy tells an interrupt from other errors.
func stoppedBy(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return err
}

func checkRequest(req *Request) error {
	if req.Runner == "" {
		req.Runner = runners.Default
	}
	if err := runners.Check(req.Runner, req.Options); err != nil {
		return usage{err}
	}
	if req.Until != "" && !slices.Contains(lakeio.Stages, req.Until) {
		return usagef("--until %s: want one of %v", req.Until, lakeio.Stages)
	}
	if req.From != "" && req.Until != "" && after(req.From, req.Until) {
		return usagef("--from %s comes after --until %s", req.From, req.Until)
	}
	if req.Replay != nil && req.Replay.Stage != "" && !slices.Contains(lakeio.Stages, req.Replay.Stage) {
		return usagef("--stage %s: want one of %v", req.Replay.Stage, lakeio.Stages)
	}
	if req.Limit < 0 {
		return usagef("--limit %d: want 0 or more", req.Limit)
	}
	if req.Limit > 0 && takesOver(req.From, "fetch") {
		return usagef("--limit %d is about what is asked, and --from %s asks nothing: leave it out", req.Limit, req.From)
	}
	return nil
}

// openWorkspace opens a workspace. One that can't be is the command's fault
// (ErrUsage), unless it may well be there.
func openWorkspace(uri string) (lakeio.Store, error) {
	store, err := lakeio.Open(uri)
	var path *os.PathError
	if err == nil || errors.Is(err, lakeio.ErrUnavailable) || errors.As(err, &path) || os.IsPermission(err) {
		return store, err
	}
	return nil, usage{err}
}

// locked does what needs the job lock: it prepares the run, runs it and
// writes down how it ended.
func locked(ctx context.Context, req Request, job *Job, lake lakeio.Lake, d decision, lock *lakeio.JobLock) (Result, error) {
	switch prior := lock.Prior(); {
	case d.last.State == lakeio.Active, prior.Run != "" && prior.Ended.IsZero():
		d.died, d.lastEnd = true, time.Now() // it may be just now
	case d.lastEnd.IsZero():
		d.lastEnd = prior.Ended
	}
	if err := d.endOthers(ctx, req, lake); err != nil {
		return Result{}, err
	}
	if err := prepare(ctx, lake, &d); err != nil {
		return Result{}, err
	}
	res := Result{Run: d.run, Resumed: d.resumed}
	if req.Started != nil {
		req.Started(lake, d.run)
	}
	p, err := plan(req, workspaceURI(req.Workspace, lake.Store), d, job)
	if err != nil {
		return res, err
	}
	before := time.Now()
	res.Job, err = execute(ctx, req, lake, lock, p)
	if err == nil {
		err = lock.Err() // another process goes on with it
	}
	switch {
	case err != nil:
	case res.staged():
		res.Why = res.launch()
	default:
		if err = publish(ctx, p); err == nil {
			res.Exit, res.Why, err = verdict(ctx, lake, p)
		}
	}
	// The context may be over, but how the run ended must be written.
	end := context.WithoutCancel(ctx)
	elapsed, eerr := stageTimes(end, lake, p, before)
	run, werr := lakeio.ChangeRun(end, lake.Store, lake.Job, lake.Run, func(r *lakeio.Run) error {
		if r.Process != d.run.Process { // it was resumed elsewhere, and goes on there
			return fmt.Errorf("run %s: %w", r.ID, lakeio.ErrLocked)
		}
		r.State, r.Exit, r.Error, r.EndedAt = endState(req, res, err), exitOf(res, err), "", time.Now().UTC()
		if err != nil {
			r.Error = err.Error()
		}
		if r.Elapsed == nil {
			r.Elapsed = map[string]int64{}
		}
		for stage, ms := range elapsed {
			r.Elapsed[stage] += ms
		}
		return nil
	})
	if werr == nil {
		res.Run = run
	}
	return res, errors.Join(err, eerr, werr)
}

func endState(req Request, res Result, err error) lakeio.State {
	switch {
	case errors.Is(err, ErrStopped):
		return lakeio.Paused
	case err != nil:
		return lakeio.Broken
	case res.staged(), req.Until != "" && req.Until != lakeio.Stages[len(lakeio.Stages)-1]:
		return lakeio.Paused
	}
	return lakeio.Done
}

func exitOf(res Result, err error) int {
	switch {
	case errors.Is(err, ErrStopped):
		return 130
	case err != nil:
		return 1
	}
	return res.Exit
}

// prepare writes a new run, or makes an old one active again.
func prepare(ctx context.Context, lake lakeio.Lake, d *decision) error {
	last, err := lakeio.LastRun(ctx, lake.Store, lake.Job)
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) {
		return err
	}
	if last.ID != d.last.ID || last.Process != d.last.Process || !d.resumed && last.ID > d.run.ID {
		// What was decided, before there was the lock, holds no more.
		return fmt.Errorf("job %s: run %s began or went on meanwhile; try again", lake.Job, last.ID)
	}
	process, err := lakeio.NewRunID()
	if err != nil {
		return err
	}
	if d.resumed {
		d.run, err = lakeio.ChangeRun(ctx, lake.Store, lake.Job, lake.Run, func(r *lakeio.Run) error {
			if r.State == lakeio.Done {
				return fmt.Errorf("job %s: run %s was finished meanwhile; try again", lake.Job, r.ID)
			}
			r.State, r.Process, r.Error, r.EndedAt = lakeio.Active, process, "", time.Time{}
			return nil
		})
		if err != nil {
			return err
		}
		// Only now: a late worker of the process before looks for the stop
		// first, then whether the run is still that one's.
		return lake.ClearStop(ctx)
	}
	if err := unremoved(ctx, lake.Store, d.run); err != nil {
		return err
	}
	d.run.Process = process
	if last.ID != "" && last.State != lakeio.Done {
		// Its holder is dead, or this process would not have the lock.
		old := lakeio.Lake{Store: lake.Store, Job: lake.Job, Run: last.ID}
		if err := old.Stop(ctx, "run "+lake.Run+" took the job"); err != nil {
			return err
		}
	}
	if d.run.Source("fetch") == d.run.ID {
		// Under the lock: no other run commits one now.
		if d.run.PagesRun, err = lakeio.CurrentPages(ctx, lake.Store, lake.Job); err != nil {
			return err
		}
	}
	for _, f := range d.inputs {
		in, err := lake.CopyInput(ctx, f.path, f.name)
		if err != nil {
			return err
		}
		in.Use, in.Memory = f.use, f.memory
		d.run.Inputs = append(d.run.Inputs, in)
	}
	if err := lakeio.CreateRun(ctx, lake.Store, d.run); err != nil {
		return err
	}
	return nil
}

// stageTimes reckons from the manifests what each stage took since before.
func stageTimes(ctx context.Context, lake lakeio.Lake, p Plan, before time.Time) (map[string]int64, error) {
	elapsed := map[string]int64{}
	for _, stage := range lakeio.Stages {
		for _, name := range p.Run.Manifests(stage) {
			m, err := lake.Manifest(ctx, name)
			if errors.Is(err, lakeio.ErrNotFound) {
				continue
			}
			if err != nil {
				return elapsed, err
			}
			if m.At.After(before) {
				elapsed[stage] += m.At.Sub(before).Milliseconds()
				before = m.At
			}
		}
	}
	return elapsed, nil
}
