package view

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Open opens a workspace that is there. It makes none: reading leaves no
// trace.
func Open(workspace string) (lakeio.Store, error) {
	path, local := strings.CutPrefix(workspace, "file://")
	if !local && strings.Contains(workspace, "://") {
		store, err := lakeio.Open(workspace)
		if err != nil && !errors.Is(err, lakeio.ErrUnavailable) {
			err = usage{err}
		}
		return store, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, Usagef("there is no workspace at %s; name one with --workspace, harrow run makes it", path)
	case err != nil:
		return nil, fmt.Errorf("workspace: %w", err)
	case !info.IsDir():
		return nil, Usagef("workspace %s is no folder", path)
	}
	return lakeio.Open(workspace)
}

var jobNames = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// JobName returns the name of a job that is given by its name or by its job
// file. Of the file only the key job is read: nothing else has to be right.
func JobName(which string) (string, error) {
	if jobNames.MatchString(which) {
		return which, nil
	}
	data, err := os.ReadFile(which)
	if err != nil {
		return "", Usagef("job %q: want the name of a job or a job file: %w", which, err)
	}
	var file struct {
		Job string `yaml:"job"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return "", Usagef("%s: want a job file: %s", which, first)
	}
	if !jobNames.MatchString(file.Job) {
		return "", Usagef("%s: job is %q; want a name like bookshop: [a-z][a-z0-9-]{0,62}", which, file.Job)
	}
	return file.Job, nil
}

// FindJob returns the name of a job that has runs in the workspace; which may
// be empty when there is only one.
func FindJob(ctx context.Context, store lakeio.Store, which string) (string, error) {
	jobs, err := lakeio.Jobs(ctx, store)
	if err != nil {
		return "", err
	}
	if which != "" {
		name, err := JobName(which)
		if err == nil && !slices.Contains(jobs, name) {
			err = Usagef("no job %s in workspace %s; %s", name, lakeio.Name(store), known(jobs))
		}
		return name, err
	}
	if len(jobs) != 1 {
		return "", Usagef("say which job with --job; workspace %s: %s", lakeio.Name(store), known(jobs))
	}
	return jobs[0], nil
}

func known(names []string) string {
	if len(names) == 0 {
		return "it has none yet"
	}
	return "known: " + strings.Join(names, ", ")
}

// Run is a run to be looked at.
type Run struct {
	lakeio.Run
	Store lakeio.Store
	Job   harrow.Job // as the run has it, with defaults
}

// FindRun returns a run of a job, named as [lakeio.FindRun] has it; "" is the
// newest one.
func FindRun(ctx context.Context, store lakeio.Store, job, which string) (Run, error) {
	r, err := lakeio.FindRun(ctx, store, job, cmp.Or(which, "last"))
	if errors.Is(err, lakeio.ErrNotFound) {
		err = usage{err}
	}
	if err != nil {
		return Run{}, err
	}
	return OpenRun(store, r)
}

// OpenRun makes a Run of what run.json says.
func OpenRun(store lakeio.Store, r lakeio.Run) (Run, error) {
	run := Run{Run: r, Store: store}
	if err := json.Unmarshal(r.Spec, &run.Job); err != nil {
		return run, fmt.Errorf("run %s: spec: %w", r.ID, err)
	}
	return run, nil
}

// Owner is the run whose output of a stage this run uses.
func (r Run) Owner(stage string) lakeio.Lake {
	return lakeio.Lake{Store: r.Store, Job: r.Run.Job, Run: r.Source(lakeio.BaseStage(stage))}
}

// Manifest reads what a stage committed, whichever run did; ok is false while
// it has not.
func (r Run) Manifest(ctx context.Context, stage string) (m lakeio.Manifest, ok bool, err error) {
	m, err = r.Owner(stage).Manifest(ctx, stage)
	if errors.Is(err, lakeio.ErrNotFound) {
		return m, false, nil
	}
	return m, err == nil, err
}
