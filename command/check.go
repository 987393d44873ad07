package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"path/filepath"

	"github.com/harrowdata/harrow/command/trial"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/pipelines"
	"github.com/harrowdata/harrow/transforms/discover"
)

type checkCmd struct {
	workspaceFlag
	paramFlag
	JobFile string `arg:"" name:"job.yaml" help:"Job file."`
}

// Run implements the command.
func (c *checkCmd) Run(e *env) error {
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
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s is right: job %s\n", view.Printable(c.JobFile), job.Name)
	for _, t := range job.Types {
		columns := make([]string, len(t.Columns))
		for i, col := range t.Columns {
			columns[i] = col.Name + " " + col.Type.String()
		}
		fmt.Fprintf(&b, "record %s: %s\n", t.Name, strings.Join(columns, ", "))
	}
	for name := range job.Load {
		fmt.Fprintf(&b, "load into %s: ready\n", name)
	}
	_, err = e.stdout.Write(b.Bytes())
	return err
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

type tryCmd struct {
	paramFlag
	JobFile string `arg:"" name:"job.yaml" help:"Job file."`
	URL     string `arg:"" name:"url" help:"URL to try."`
	JSON    bool   `name:"json" help:"Write JSON."`
}

// Run implements the command.
func (c *tryCmd) Run(e *env) error {
	job, err := c.read(c.JobFile)
	if err != nil {
		return err
	}
	hosts, err := seedHosts(e.ctx, job)
	if err != nil {
		return err
	}
	report, err := trial.URL(e.ctx, trial.Config{Job: job.Job, Types: job.Types, Hosts: hosts, Env: os.LookupEnv,
		Wait: func(key string, d time.Duration) {
			fmt.Fprintf(e.stderr, "waiting %s before %s is asked again\n", view.Took(d), view.Printable(key))
		}}, c.URL)
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.stdout, report)
	} else {
		_, width := terminal(e.stdout)
		err = report.WriteText(e.stdout, width())
	}
	if err == nil && report.Outcome != "fetched" {
		err = errQuiet(exitFailed)
	}
	return err
}

// seedHosts are the hosts of the seeds: the scope of a job that names none.
func seedHosts(ctx context.Context, job *pipelines.Job) ([]string, error) {
	if len(job.Discover.Scope.Hosts) > 0 {
		return nil, nil
	}
	c, err := canon.New(canon.Policy{})
	if err != nil {
		return nil, err
	}
	var hosts []string
	add := func(text string) error {
		if u, err := c.Parse(text); err == nil {
			hosts = append(hosts, u.Host())
		}
		return nil
	}
	for _, text := range job.Discover.Seeds.URLs {
		_ = add(text) // never fails
	}
	files, err := job.Source.SeedFiles()
	if err != nil {
		return nil, usage(err)
	}
	for _, path := range files {
		if err := eachSeed(ctx, path, add); err != nil {
			return nil, err
		}
	}
	return hosts, nil
}

func eachSeed(ctx context.Context, path string, add func(string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = discover.EachSeed(ctx, path, io.Reader(f), add, func(int, string, string) error { return nil })
	return errors.Join(err, f.Close())
}
