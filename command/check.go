package command

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/docs"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/pipelines"
)

type checkCmd struct {
	workspaceFlag
	paramFlag
	JobFile string `arg:"" optional:"" name:"job.yaml" help:"Job file."`
	Plan    bool   `help:"Say what a run will ask for, of whom, how long that takes at least, what a cluster would be of use, and what looks wrong. Asks nobody."`
	Keys    int    `help:"With --plan: name this many hosts, those that take longest first." placeholder:"N" default:"20"`
	JSON    bool   `name:"json" help:"With --plan: write JSON."`
	Schema  bool   `help:"Print the JSON Schema of job files, for editors, and check nothing."`
}

// Run implements the command.
func (c *checkCmd) Run(e *env) error {
	switch {
	case c.Schema && c.JobFile != "":
		return view.Usagef("check --schema prints the schema of every job file; leave %s out", c.JobFile)
	case c.Schema:
		_, err := e.stdout.Write(docs.JobSchema)
		return err
	case c.JSON && !c.Plan:
		return view.Usagef("check --json goes with --plan")
	case c.JobFile == "":
		return view.Usagef("check: want a job file, or --schema")
	}
	job, err := c.read(c.JobFile)
	if err != nil {
		return err
	}
	if _, err := job.Source.SeedFiles(); err != nil {
		return usage(err)
	}
	store, err := readOnly(c.Workspace)
	if err != nil {
		return err
	}
	if err := pipelines.CheckStores(e.ctx, job, store); err != nil {
		return err
	}
	if c.Plan {
		return c.plan(e, job, store)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s is right: job %s\n", view.Printable(c.JobFile), job.Name)
	for _, t := range job.Refined {
		columns := make([]string, len(t.Columns))
		for i, col := range t.Columns {
			columns[i] = col.Name + " " + col.Type.String()
		}
		fmt.Fprintf(&b, "record %s: %s\n", t.Name, strings.Join(columns, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(job.Load)) {
		fmt.Fprintf(&b, "load into %s: ready\n", name)
	}
	_, err = e.stdout.Write(b.Bytes())
	return err
}

// plan says what a run is in for.
func (c *checkCmd) plan(e *env, job *pipelines.Job, store lakeio.Store) error {
	if _, none := store.(absent); none {
		store = nil
	}
	f, err := view.Plan(e.ctx, store, job.Job, job.Types, func(do func(canon.URL)) error { return pipelines.EachSeed(e.ctx, job, do) })
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.stdout, f)
	}
	_, width := terminal(e.stdout)
	return f.WriteText(e.stdout, c.Keys, width())
}

// read reads a job file and checks it.
func (p paramFlag) read(path string) (*pipelines.Job, error) {
	params, err := p.params()
	if err != nil {
		return nil, err
	}
	return pipelines.ReadJob(path, params)
}

func usage(err error) error { return view.Usagef("%w", err) }

// readOnly opens a workspace without making it. One that isn't there yet has
// nothing in it that a job could contradict.
func readOnly(workspace string) (lakeio.Store, error) {
	store, err := view.Open(workspace)
	if err == nil {
		return store, nil
	}
	if _, serr := os.Stat(strings.TrimPrefix(workspace, "file://")); !errors.Is(serr, os.ErrNotExist) || strings.Contains(workspace, "://") {
		return nil, err
	}
	root, err := filepath.Abs(workspace)
	return absent{root: root}, err
}

// absent stands for a workspace that isn't there: only its place is known.
type absent struct {
	lakeio.Store
	root string
}

// Local is where the workspace would be.
func (a absent) Local() string { return a.root }
