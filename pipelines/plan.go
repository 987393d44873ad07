package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Shards in one process, where limits say auto.
const (
	autoFetchShards = 1
	autoShards      = 16
)

// decision is which run a command is about.
type decision struct {
	run     lakeio.Run
	resumed bool
	inputs  []inputFile // to be copied into a new run
	lastEnd time.Time
}

// inputFile is a file that a run copies.
type inputFile struct {
	path, name string
	use        string // as lakeio.Input has it
	memory     int64
}

// decide finds the run to go on with, or designs a new one.
func decide(ctx context.Context, store lakeio.Store, job *Job, req Request) (decision, error) {
	files, digest, err := inputs(job, req)
	if err != nil {
		return decision{}, err
	}
	d := decision{inputs: files}
	last, err := lakeio.LastRun(ctx, store, job.Name)
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) {
		return d, err
	}
	d.lastEnd = last.EndedAt
	if req.Run != "" && req.Run != "new" && req.Run != "last" {
		if last, err = lakeio.ReadRun(ctx, store, job.Name, req.Run); err != nil {
			return d, usage{err}
		}
	}
	if req.From == "" && req.Run != "new" {
		switch {
		case last.ID != "" && last.State != lakeio.Done:
			if last.Digest != digest {
				return d, usagef("%s: the job file, its inputs or --limit changed since run %s, which is not finished: "+
					"start again with --run new, or keep its first stages with --from STAGE", job.Path, last.ID)
			}
			d.run, d.resumed = last, true
			return d, nil
		case req.Run != "":
			return d, usagef("--run %s: run %q is finished or not there; want --run new, or --from STAGE to use its stages again", req.Run, last.ID)
		}
	}
	d.run, err = newRun(ctx, store, job, req, digest, last)
	return d, err
}

// newRun designs a run; nothing is written yet.
func newRun(ctx context.Context, store lakeio.Store, job *Job, req Request, digest string, last lakeio.Run) (lakeio.Run, error) {
	r := lakeio.Run{Job: job.Name, JobFile: string(job.Source.Text), Digest: digest, Limit: int(req.Limit), CreatedAt: time.Now().UTC(),
		State: lakeio.Active, FetchShards: orAuto(job.Limits.FetchShards, autoFetchShards), Shards: orAuto(job.Limits.Shards, autoShards),
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
		if err := takeStages(ctx, store, &r, last, req); err != nil {
			return r, err
		}
	}
	spec := job.Job
	if len(spec.Discover.Scope.Hosts) == 0 {
		if spec.Discover.Scope.Hosts, err = SeedHosts(ctx, job); err != nil {
			return r, err
		}
	}
	r.Spec, err = json.Marshal(spec)
	return r, err
}

// takeStages points the stages before --from at the runs that committed them.
func takeStages(ctx context.Context, store lakeio.Store, r *lakeio.Run, parent lakeio.Run, req Request) error {
	if !slices.Contains(lakeio.Stages, req.From) {
		return usagef("--from %s: want one of %v", req.From, lakeio.Stages)
	}
	if parent.ID == "" {
		return usagef("--from %s: job %s has no run whose stages could be used", req.From, r.Job)
	}
	r.Parent, r.From, r.Sources = parent.ID, req.From, map[string]string{}
	for _, stage := range lakeio.Stages[:slices.Index(lakeio.Stages, req.From)] {
		owner := parent.Source(stage)
		names := []string{stage}
		if stage == "fetch" {
			r.Rounds, r.FetchShards, r.PagesRun = parent.Rounds, parent.FetchShards, parent.PagesRun
			names = nil
			for n := range parent.Rounds {
				names = append(names, lakeio.FetchStage(n))
			}
		}
		for _, name := range names {
			done, err := lakeio.Lake{Store: store, Job: r.Job, Run: owner}.Committed(ctx, name)
			if err != nil {
				return err
			}
			if !done {
				return usagef("--from %s: run %s has not committed %s", req.From, owner, name)
			}
		}
		r.Sources[stage] = owner
	}
	return nil
}

// previous is the newest finished run: what it deferred is asked first.
func previous(ctx context.Context, store lakeio.Store, job string) (string, error) {
	runs, err := lakeio.Runs(ctx, store, job)
	if err != nil {
		return "", err
	}
	for _, id := range slices.Backward(runs) {
		r, err := lakeio.ReadRun(ctx, store, job, id)
		if err != nil {
			return "", err
		}
		if r.State == lakeio.Done && r.Source("fetch") == r.ID {
			return id, nil
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

// inputs lists the seed and lookup files and the digest of all that makes two runs the
// same.
func inputs(job *Job, req Request) ([]inputFile, string, error) {
	paths, err := job.Source.SeedFiles()
	if err != nil {
		return nil, "", usage{err}
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
	for _, name := range job.lookupFiles() {
		in, err := lakeio.DigestFile(beside(job.Path, name), name)
		if err != nil {
			return nil, "", usage{err}
		}
		files = append(files, inputFile{path: beside(job.Path, name), name: name, use: lakeio.InputLookup})
		extra = append(extra, "lookup "+name+" "+in.Digest)
	}
	return files, job.Source.Digest(extra...), nil
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

// plan reads back what is to be composed.
func plan(workspace string, d decision, job *Job, until string) (Plan, error) {
	p := Plan{Workspace: workspace, Run: d.run, Types: job.Types, Lookups: job.Lookups, LastEnd: d.lastEnd, Until: until}
	if err := json.Unmarshal(d.run.Spec, &p.Job); err != nil {
		return p, fmt.Errorf("run %s: spec: %w", d.run.ID, err)
	}
	return p, nil
}
