package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/bench/internal/quiet"
	"github.com/harrowdata/harrow/bench/internal/rows"
	"github.com/harrowdata/harrow/io/lakeio"
	_ "github.com/harrowdata/harrow/io/pgio" // sink postgres
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/transforms/dedup"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
	"github.com/harrowdata/harrow/transforms/upsert"
)

// roles are the processes of this benchmark: what makes a set's rows and
// refines them, and what is measured.
var roles = measure.Roles{
	"generate": measure.Role(func(ctx context.Context, c input) (int64, error) {
		lake, err := c.lake()
		if err != nil {
			return 0, err
		}
		return rows.Commit(ctx, lake, rowType, c.Rows, c.Set.row(c.Run))
	}),
	"refine": measure.Role(func(ctx context.Context, c input) (int, error) { return 0, refine(ctx, c) }),
	"load": measure.Role(func(ctx context.Context, c input) (time.Duration, error) {
		begun := time.Now()
		err := load(ctx, c)
		return time.Since(begun), err
	}),
}

const (
	jobName = "bench"
	// shards is what a run takes where the job file says nothing.
	shards = 16
)

// input is a set as its processes know it: a run whose stage refine has
// committed.
type input struct {
	Workspace, Run string
	Set            set
	Rows, Memory   int64
	URL            string // of the database to load into
}

func (c input) lake() (lakeio.Lake, error) {
	store, err := lakeio.Open(c.Workspace)
	return lakeio.Lake{Store: store, Job: jobName, Run: c.Run}, err
}

func (c input) env(stage string) engine.Env {
	return engine.Env{Workspace: c.Workspace, Job: jobName, Run: c.Run, Stage: stage, Memory: c.Memory,
		Spill: filepath.Join(c.Workspace, "spill"), Shards: shards}
}

// newInput makes a set's run up to its stage refine.
func newInput(ctx context.Context, workspace string, s set, n, memory int64) (c input, rowBytes int64, err error) {
	c = input{Workspace: workspace, Set: s, Rows: n, Memory: memory}
	if c.Run, err = lakeio.NewRunID(); err != nil {
		return c, 0, err
	}
	lake, err := c.lake()
	if err != nil {
		return c, 0, err
	}
	run := lakeio.Run{ID: c.Run, Job: jobName, CreatedAt: time.Now(), State: lakeio.Active, Rounds: 1, FetchShards: 1, Shards: shards}
	if err := lakeio.CreateRun(ctx, lake.Store, run); err != nil {
		return c, 0, err
	}
	if _, err := measure.Run(ctx, "generate", c, &rowBytes); err != nil {
		return c, 0, err
	}
	_, err = measure.Run(ctx, "refine", c, new(int))
	return c, rowBytes, errors.Join(err, c.drop("parse"), os.RemoveAll(c.env("refine").Spill))
}

// drop removes a stage and what it committed.
func (c input) drop(stage string) error {
	lake, err := c.lake()
	if err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(c.Workspace, filepath.FromSlash(lake.Stage(stage))))
}

func refine(ctx context.Context, c input) error {
	quiet.Beam()
	p, s := beam.NewPipelineWithRoot()
	parsed := parts.Commit(s.Scope("parse"), c.env("parse"), parts.None(s))
	env := c.env("refine")
	parts.Commit(s, env, dedup.ByKey(s, env, dedup.Config{Record: rowType.Name, Key: []string{"key"}}, parsed))
	_, err := runners.Execute(ctx, "direct", p, runners.Options{})
	return err
}

// load is stage load as a run has it.
func load(ctx context.Context, c input) error {
	quiet.Beam()
	p, s := beam.NewPipelineWithRoot()
	refined := parts.Commit(s.Scope("refine"), c.env("refine"), parts.None(s))
	cfg, err := c.config()
	if err != nil {
		return err
	}
	env := c.env("load")
	parts.Commit(s, env, upsert.Rows(s, env, cfg, refined))
	_, err = runners.Execute(ctx, "direct", p, runners.Options{})
	return err
}

func (c input) config() (upsert.Config, error) {
	sink, err := json.Marshal(map[string]string{"url": c.URL})
	return upsert.Config{Load: map[string]json.RawMessage{"postgres": sink}, Records: map[string]upsert.Record{rowType.Name: {Key: []string{"key"}}}}, err
}

// loaded loads the set into a database in a process of its own, and says what
// that took and what load has counted.
func (c input) loaded(ctx context.Context, url string) (f figures, n harrow.Counts, err error) {
	c.URL = url
	if err := c.drop("load"); err != nil {
		return f, n, err
	}
	if f.Cost, err = measure.Run(ctx, "load", c, &f.wall); err != nil {
		return f, n, err
	}
	lake, err := c.lake()
	if err != nil {
		return f, n, err
	}
	m, err := lake.Manifest(ctx, "load")
	if err != nil {
		return f, n, err
	}
	n, ok := m.Loads()["postgres"][rowType.Name]
	if !ok {
		err = fmt.Errorf("load committed no counts: %v", m.Counters)
	}
	return f, n, err
}
