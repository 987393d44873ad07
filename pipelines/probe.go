package pipelines

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/uuid"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/transforms/probe"
	"github.com/harrowdata/harrow/transforms/probe/look"
)

// CheckShared refuses what the workers of a runner can't share, as Run does. The
// error is ErrUsage, with its place in the job file.
func CheckShared(job *Job, store lakeio.Store, runner string, o runners.Options) error {
	return checkRemote(Request{Runner: runner, Options: o}, job, store)
}

// probes is how many elements a probe has for each bundle that the runner
// processes at once: runners spread them by turns, or by chance.
const probes = 8

// Probed is what the workers of a runner told of themselves.
type Probed struct {
	Workers     []look.Report // by host and process
	Began, Over time.Time     // of the probe, by this machine's clock
	Result      runners.Result
}

// Probe runs a pipeline of one step on a runner: its workers look at what the
// job needs and tell. Nothing of the job's runs is touched, and no lock is
// taken. An error is the runner's.
func Probe(ctx context.Context, job *Job, workspace, runner string, o runners.Options) (Probed, error) {
	dir, err := filepath.Abs(job.Source.Dir)
	if err != nil {
		return Probed{}, fmt.Errorf("the job file's folder: %w", err)
	}
	store, err := openWorkspace(workspace)
	if err != nil {
		return Probed{}, err
	}
	cfg := look.Config{Probe: uuid.NewString(), Workspace: workspaceURI(workspace, store), Job: job.Name, Dir: dir,
		Secrets: job.Source.SecretNames(), Load: job.Load, Types: job.Refined, Spill: job.Limits.Spill}
	pipeline, root := beam.NewPipelineWithRoot()
	probe.Workers(root, cfg, probes*runners.Parallelism(runner, o))
	p := Probed{Began: time.Now()}
	p.Result, err = runners.Execute(ctx, runner, pipeline, o)
	p.Over = time.Now()
	if err != nil {
		return p, err
	}
	p.Workers, err = probe.Reports(p.Result.Counters)
	return p, err
}
