package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow/command/doctor"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/build"
	"github.com/harrowdata/harrow/pipelines"
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/transforms/probe/look"
)

type doctorCmd struct {
	workspaceFlag
	paramFlag
	runnerFlags
	JobFile  string        `arg:"" name:"job.yaml" help:"Job file."`
	Probe    bool          `help:"Have the runner's workers look around: default, but with dataflow, where it starts machines." xor:"probe"`
	NoProbe  bool          `help:"Look only at what can be seen from here." xor:"probe"`
	Patience time.Duration `help:"How long the workers may take to answer." default:"3m" placeholder:"DURATION"`
	JSON     bool          `name:"json" help:"Print the checks as JSON."`
}

// Run implements the command: it looks at everything a run leans on, and
// touches none.
func (c *doctorCmd) Run(e *env) error {
	o := c.options(e)
	if err := runners.Check(c.Runner, o); err != nil {
		return usage(err)
	}
	if c.Patience <= 0 {
		return view.Usagef("--patience %s: want more than 0", c.Patience)
	}
	if _, err := c.params(); err != nil {
		return err
	}
	ctx, done := signal.NotifyContext(e.ctx, syscall.SIGINT, syscall.SIGTERM)
	defer done()
	quietBeam(e.stderr)
	v := &visit{doctorCmd: c, env: e, options: o}
	v.program()
	v.here(ctx)
	v.there(ctx)
	v.probe(ctx)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", pipelines.ErrStopped, err)
	}
	if err := v.write(); err != nil {
		return err
	}
	if !v.report.OK() {
		return errQuiet(exitFailed)
	}
	return nil
}

// visit is what one doctor has found so far.
type visit struct {
	*doctorCmd
	env      *env
	options  runners.Options
	report   doctor.Report
	job      *pipelines.Job // nil: it can't be read
	machines int            // that have workers, where the runner told
	build    string         // of this program
	fresh    bool           // the workspace is not there yet
}

func (v *visit) write() error {
	if v.JSON {
		return writeJSON(v.env.stdout, v.report)
	}
	return v.report.WriteText(v.env.stdout)
}

// program says what runs here: workers must run the same.
func (v *visit) program() {
	name, err := build.Self()
	if err != nil {
		v.report.Add(doctor.Failed("program", "let this process read its own executable", err))
		return
	}
	v.build = name
	v.report.Add(doctor.Fine("program", name))
}

// here looks at what this machine has: the job file, its secrets and stores.
func (v *visit) here(ctx context.Context) {
	job, err := v.read(v.JobFile)
	if err == nil {
		_, err = job.Source.SeedFiles()
	}
	if err != nil {
		for _, line := range errorLines(err) {
			v.report.Add(doctor.Failed("job file", "mend it: docs/job.schema.json lets an editor help", errors.New(line)))
		}
		return
	}
	v.job = job
	v.report.Add(doctor.Fine("job file", fmt.Sprintf("%s is right: job %s", v.JobFile, job.Name)))
	v.stores(ctx)
}

func (v *visit) stores(ctx context.Context) {
	store, err := readOnly(v.Workspace)
	if err != nil {
		v.report.Add(doctor.Failed("workspace", "name another with --workspace, or mend the way to it", err))
		return
	}
	if _, v.fresh = store.(absent); v.fresh {
		v.report.Add(doctor.Fine("workspace", v.Workspace+" is not there yet; the first run makes it"))
	} else if err := look.Writable(ctx, v.Workspace); err != nil {
		v.report.Add(doctor.Failed("workspace", "from here it must be written too: this process holds the job's lock", err))
	} else {
		v.report.Add(doctor.Fine("workspace", v.Workspace+" can be written from here"))
	}
	if !v.shared(store.Local()) {
		return
	}
	if err := pipelines.CheckShared(v.job, store, v.Runner, v.options); err != nil {
		v.report.Add(doctor.Failed("load", "with another runner it can stay", errors.New(errorLines(err)[0])))
		return
	}
	if err := pipelines.CheckStores(ctx, v.job, store); err != nil {
		v.report.Add(doctor.Failed("load", "mend the job file or the store; harrow check says the same", errors.New(errorLines(err)[0])))
		return
	}
	v.report.Add(doctor.Fine("load", strings.Join(slices.Sorted(maps.Keys(v.job.Load)), ", ")+" can be loaded into from here"))
}

// shared looks whether other machines can have the workspace, where it is a
// folder.
func (v *visit) shared(folder string) bool {
	switch {
	case folder == "" || !runners.Remote(v.Runner, v.options):
	case v.Runner == "dataflow":
		v.report.Add(doctor.Failed("workspace", "name one at gs:// with --workspace", errors.New("its machines have no folder "+folder)))
		return false
	case v.Runner == "flink" && !ofThisMachine(v.FlinkMaster):
		v.report.Add(doctor.Unsure("workspace", "the cluster is elsewhere, and "+folder+" is a folder", "all its machines must share it; better take a gs:// workspace"))
	}
	return true
}

// probe has the runner's workers look around.
func (v *visit) probe(ctx context.Context) {
	switch {
	case v.NoProbe || v.Runner == "dataflow" && !v.Probe:
		v.report.Add(doctor.Unsure("workers", "not asked", "with --probe a job of one step has them look for themselves"))
		return
	case !v.report.OK():
		v.report.Add(doctor.Unsure("workers", "not asked", "mend what failed first"))
		return
	}
	if v.fresh { // as the workers do now, and a run
		if err := look.Writable(ctx, v.Workspace); err != nil {
			v.report.Add(doctor.Failed("workspace", "name another with --workspace, or mend the way to it", err))
			return
		}
	}
	fmt.Fprintf(v.env.stderr, "asking the workers of runner %s, %s at most\n", v.Runner, v.Patience)
	v.options.Name = v.name()
	ctx, cancel := context.WithTimeout(ctx, v.Patience)
	defer cancel()
	p, err := pipelines.Probe(ctx, v.job, v.Workspace, v.Runner, v.options)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %s: %w", v.Patience, err)
		}
		v.report.Add(doctor.Failed("workers", v.advice(), errors.New(view.Truncate(view.Cause(err.Error()), 2000))))
		return
	}
	v.report.Add(doctor.Workers(p.Workers, doctor.Wanted{
		Build: v.build, Machines: v.machines, Memory: int64(v.job.Limits.Memory), Secrets: v.job.Source.SecretNames(),
		Sinks: slices.Sorted(maps.Keys(v.job.Load)), Workspace: v.Workspace, Spill: v.job.Limits.Spill, Began: p.Began, Over: p.Over})...)
}

// name is the probe's on the runner: no run's, and no other job's, since a run
// ends what is left there of its own.
func (v *visit) name() string {
	id := uuid.NewString()
	if v.Runner == "dataflow" { // whose names have no other characters, and whose runs end only their own
		return "harrow-doctor-" + id
	}
	return "harrow-" + v.job.Name + ".doctor-" + id
}

// advice is what to do where workers could not be asked.
func (v *visit) advice() string {
	if pool := runners.Pool(v.Runner, v.options); pool != "" {
		return "is `harrow worker --pool` running, and reachable at " + pool + " from each machine of the runner? Its log and the runner's say why a worker did not start"
	}
	return "the runner's own log says more"
}
