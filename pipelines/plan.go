package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/build"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
)

// Shards where limits say auto: at least those of one process, and several for
// each bundle that the runner has at work at once.
const (
	autoFetchShards = 1
	autoShards      = 16
	shardsEach      = 4
)

// autoOf is how many shards there are, the least or what the runner's
// parallelism wants.
func autoOf(least int, req Request) int {
	if !runners.Remote(req.Runner, req.Options) {
		return least
	}
	return max(least, shardsEach*runners.Parallelism(req.Runner, req.Options))
}

// decision is which run a command is about.
type decision struct {
	run     lakeio.Run
	resumed bool
	inputs  []inputFile // to be copied into a new run
	last    lakeio.Run  // the job's newest one when it was decided
	lastEnd time.Time
	died    bool // the job's process before this one
}

// inputFile is a file that a run copies.
type inputFile struct {
	path, name string
	use        string // as lakeio.Input has it
	memory     int64
}

// decide finds the run to go on with, or designs a new one.
func decide(ctx context.Context, store lakeio.Store, job *Job, req Request) (decision, error) {
	last, err := lakeio.LastRun(ctx, store, job.Name)
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) {
		return decision{}, err
	}
	d := decision{last: last, lastEnd: last.EndedAt}
	if req.Replay != nil {
		return d, d.replay(ctx, store, job, req, last)
	}
	switch {
	case req.From != "" && (req.Run == "" || req.Run == "last"):
		if last, err = lastWhole(ctx, store, last); err != nil {
			return d, err
		}
	case req.Run != "" && req.Run != "new" && req.Run != "last":
		last, err = lakeio.FindRun(ctx, store, job.Name, req.Run)
		if errors.Is(err, lakeio.ErrNotFound) {
			err = usage{fmt.Errorf("--run: %w", err)}
		}
		if err != nil {
			return d, err
		}
	}
	if req.From == "" && req.Run != "new" {
		switch {
		case last.ID != "" && last.State != lakeio.Done:
			return d, d.goOn(ctx, store, job, req, last)
		case req.Run != "":
			return d, usagef("--run %s: run %q is finished or not there; want --run new, or --from STAGE to use its stages again", req.Run, last.ID)
		}
	}
	return d, d.begin(ctx, store, job, req, last)
}

// goOn decides for an unfinished run.
func (d *decision) goOn(ctx context.Context, store lakeio.Store, job *Job, req Request, run lakeio.Run) error {
	_, digest, err := inputsOf(ctx, job, req, run.Replay, run.Source("discover") == run.ID)
	if err != nil {
		return err
	}
	if run.Digest != digest {
		return usagef("%s: the job file, its inputs or --limit changed since run %s, which is not finished: "+
			"start again with --run new, or keep its first stages with --from STAGE", job.Path, run.ID)
	}
	if run.ID != d.last.ID {
		if err := notOvertaken(ctx, store, run); err != nil {
			return err
		}
	}
	d.run, d.resumed = run, true
	return nil
}

// lastWhole is the newest run of a job that does not replay rejects: what one
// that does has fetched and parsed is a few pages of what its parent has.
func lastWhole(ctx context.Context, store lakeio.Store, last lakeio.Run) (lakeio.Run, error) {
	if last.Replay == nil {
		return last, nil
	}
	for r, err := range lakeio.NewestRuns(ctx, store, last.Job) {
		if err != nil || r.Replay == nil {
			return r, err
		}
	}
	return last, nil // the runs before it are gone
}

// notOvertaken: a run may go on after newer ones unless one of these has
// fetched: what is known of the site since is theirs.
func notOvertaken(ctx context.Context, store lakeio.Store, run lakeio.Run) error {
	for newer, err := range lakeio.NewestRuns(ctx, store, run.Job) {
		if err != nil || newer.ID <= run.ID {
			return err
		}
		if newer.Source("fetch") == newer.ID {
			return usagef("--run %s: run %s came after it and fetches for itself; want --run new, or --from STAGE to use what %s has committed", run.ID, newer.ID, run.ID)
		}
	}
	return nil
}

// begin decides for a new run; nothing is written yet.
func (d *decision) begin(ctx context.Context, store lakeio.Store, job *Job, req Request, parent lakeio.Run) (err error) {
	digest := ""
	replay := parent.Replay
	if !takesOver(req.From, "discover") {
		replay = nil
	}
	if d.inputs, digest, err = inputsOf(ctx, job, req, replay, replay == nil && !takesOver(req.From, "discover")); err != nil {
		return err
	}
	d.run, err = newRun(ctx, store, job, req, digest, parent)
	return err
}

// takesOver reports whether a run from a stage on has another stage from its
// parent.
func takesOver(from, stage string) bool { return from != "" && after(from, stage) }

// newRun designs a run.
func newRun(ctx context.Context, store lakeio.Store, job *Job, req Request, digest string, parent lakeio.Run) (lakeio.Run, error) {
	r := lakeio.Run{Job: job.Name, JobFile: string(job.Source.Text), Digest: digest, Limit: int(req.Limit), CreatedAt: time.Now().UTC(),
		State: lakeio.Active, FetchShards: orAuto(job.Limits.FetchShards, autoOf(autoFetchShards, req)), Shards: orAuto(job.Limits.Shards, autoOf(autoShards, req)),
		Rounds: job.Discover.Rounds + 1, Releases: releases()}
	var err error
	if r.Dir, err = filepath.Abs(job.Source.Dir); err != nil {
		return r, fmt.Errorf("the job file's folder: %w", err)
	}
	if r.ID, err = lakeio.NewRunID(); err != nil {
		return r, err
	}
	if r.Previous, err = previous(ctx, store, job.Name); err != nil {
		return r, err
	}
	if req.From != "" {
		if err := takeStages(ctx, store, &r, parent, job, req); err != nil {
			return r, err
		}
		if err := forgetsNothing(ctx, store, r); err != nil {
			return r, err
		}
	}
	// A run that doesn't fetch has no scope, and its seeds need not be there.
	r.Spec, err = specOf(ctx, job, r.Source("fetch") == r.ID)
	return r, err
}

// specOf is a job as run.json has it: with defaults, and with the scope's hosts
// if they are wanted.
func specOf(ctx context.Context, job *Job, scope bool) (json.RawMessage, error) {
	spec := job.Job
	if len(spec.Discover.Scope.Hosts) == 0 && scope {
		hosts, err := SeedHosts(ctx, job)
		if err != nil {
			return nil, err
		}
		spec.Discover.Scope.Hosts = hosts
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", job.Name, err)
	}
	return data, nil
}

// previous is the newest run that has fetched to the end: what it deferred is
// asked first. It need not be finished: another may have taken its fetch over.
func previous(ctx context.Context, store lakeio.Store, job string) (string, error) {
	for r, err := range lakeio.NewestRuns(ctx, store, job) {
		if err != nil {
			return "", err
		}
		if r.Source("fetch") != r.ID {
			continue
		}
		last := lakeio.FetchStage(r.Rounds - 1)
		if done, err := (lakeio.Lake{Store: store, Job: job, Run: r.ID}).Committed(ctx, last); done || err != nil {
			return r.ID, err
		}
	}
	return "", nil
}

func orAuto(n harrow.Auto, auto int) int {
	if n == 0 {
		return auto
	}
	return int(n)
}

// inputsOf is inputs, or what stands for it in a run that replays.
func inputsOf(ctx context.Context, job *Job, req Request, replay *lakeio.Replay, seeds bool) ([]inputFile, string, error) {
	if replay != nil {
		return replayInputs(ctx, job, req.Limit, *replay)
	}
	return inputs(job, req, seeds)
}

// inputs lists the lookup files, and the seed files of a run that reads them,
// and the digest of all that makes two runs the same.
func inputs(job *Job, req Request, seeds bool) ([]inputFile, string, error) {
	var paths []string
	if seeds {
		var err error
		if paths, err = job.Source.SeedFiles(); err != nil {
			return nil, "", usage{err}
		}
	}
	var files []inputFile
	extra := []string{"limit " + strconv.FormatInt(req.Limit, 10)}
	for _, p := range paths {
		name := p
		if rel, err := filepath.Rel(job.Source.Dir, p); err == nil {
			name = filepath.ToSlash(rel)
		}
		in, err := lakeio.DigestFile(p, name)
		if err != nil {
			return nil, "", usage{err}
		}
		files = append(files, inputFile{path: p, name: name})
		extra = append(extra, name+" "+in.Digest)
	}
	lookups, digests, err := lookupInputs(job)
	if err != nil {
		return nil, "", err
	}
	return append(files, lookups...), job.Source.Digest(append(extra, digests...)...), nil
}

// lookupInputs lists the lookup files, with a text for the digest of each.
func lookupInputs(job *Job) (files []inputFile, digests []string, err error) {
	for _, name := range job.lookupFiles() {
		in, err := lakeio.DigestFile(beside(job.Path, name), name)
		if err != nil {
			return nil, nil, usage{err}
		}
		files = append(files, inputFile{path: beside(job.Path, name), name: name, use: lakeio.InputLookup})
		digests = append(digests, "lookup "+name+" "+in.Digest)
	}
	return files, digests, nil
}

// releases names what wrote the run.
func releases() map[string]string {
	v := map[string]string{"harrow": harrow.Version}
	if info, ok := debug.ReadBuildInfo(); ok {
		v["go"] = info.GoVersion
		for _, dep := range info.Deps {
			switch dep.Path {
			case "github.com/apache/beam/sdks/v2", "github.com/apache/arrow/go/v17":
				v[dep.Path] = dep.Version
			}
		}
	}
	return v
}

// workspaceURI is what workers open the workspace by: the absolute path of a
// local folder, since theirs may be another working directory, and any other
// URI as it was given.
func workspaceURI(given string, store lakeio.Store) string {
	if scheme, _, ok := strings.Cut(given, "://"); ok && scheme != "file" {
		return given
	}
	return store.Local()
}

// plan reads back what is to be composed, for the runner that is asked for.
func plan(req Request, workspace string, d decision, job *Job) (p Plan, err error) {
	p = Plan{Workspace: workspace, Run: d.run, Types: job.Types, Lookups: job.Lookups, LastEnd: d.lastEnd, Died: d.died, Process: d.run.Process, Until: req.Until,
		Remote: runners.Remote(req.Runner, req.Options)}
	if p.Remote && (p.Until == "" || p.Until == "load") {
		p.Secrets = job.Source.SecretNames()
	}
	if runners.TriesOnce(req.Runner) {
		p.Submission = p.Process
	}
	if p.Job, err = specIn(d.run); err != nil {
		return p, err
	}
	if program := runners.Program(req.Runner, req.Options); program != "" {
		p.Build, err = build.Of(program)
	} else {
		p.Build, err = build.Self()
	}
	return p, err
}
