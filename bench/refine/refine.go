package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/bench/internal/anywhere"
	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/bench/internal/quiet"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/transforms/dedup"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// roles are the processes of this benchmark.
var roles = measure.Roles{
	"generate": func(ctx context.Context, config []byte) (any, error) {
		var c refineCase
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, err
		}
		return generate(ctx, c)
	},
	"full": func(ctx context.Context, config []byte) (any, error) {
		var c refineCase
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, err
		}
		begun := time.Now()
		err := refineAll(ctx, c)
		return time.Since(begun), err
	},
	"refine": func(ctx context.Context, config []byte) (any, error) {
		var c refineCase
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, err
		}
		begun := time.Now()
		err := refine(ctx, c)
		return time.Since(begun), err
	},
}

// refineCase is what its processes are told.
type refineCase struct {
	Workspace, Job, Run, Spill string
	Lookup                     string // file that rows are joined with
	Rows, Limit                int64
	Shards                     int
	On                         anywhere.On

	rowBytes int64
}

// generated makes the rows of some cases.
func generated(ctx context.Context, dir string, rows int64) (c refineCase, err error) {
	run, err := lakeio.NewRunID()
	if err != nil {
		return c, err
	}
	c = refineCase{Workspace: filepath.Join(dir, "workspace"), Job: "bench", Run: run, Spill: filepath.Join(dir, "spill"), Rows: rows}
	_, err = measure.Run(ctx, "generate", c, &c.rowBytes)
	return c, err
}

func (c refineCase) lake() (lakeio.Lake, error) {
	store, err := lakeio.Open(c.Workspace)
	return lakeio.Lake{Store: store, Job: c.Job, Run: c.Run}, err
}

// stageDir is where a stage's files are.
func (c refineCase) stageDir(l lakeio.Lake) string {
	return filepath.Join(c.Workspace, filepath.FromSlash(l.Stage("refine")))
}

// drop removes the rows.
func (c refineCase) drop() error { return os.RemoveAll(c.Workspace) }

// refine is the pipeline: shuffle by key, keep one row of each, commit.
func refine(ctx context.Context, c refineCase) error {
	quiet.Beam()
	env := engine.Env{Workspace: c.Workspace, Job: c.Job, Run: c.Run, Stage: "refine", Memory: c.Limit, Spill: c.Spill, Shards: c.Shards}
	parsed := env
	parsed.Stage = "parse"
	p, s := beam.NewPipelineWithRoot()
	rows := parts.Commit(s.Scope("parse"), parsed, parts.None(s))
	kept := dedup.ByKey(s, env, dedup.Config{Record: rowType.Name, Key: []string{"key"}}, rows)
	parts.Commit(s, env, kept)
	_, err := runners.Execute(ctx, cmp.Or(c.On.Runner, "direct"), p, c.On.Options("harrow-"+c.Job+"-"+c.Run))
	return err
}

// run runs one case and checks what it kept.
func (c refineCase) run(ctx context.Context) (f figures, err error) {
	f = figures{rows: c.Rows, limit: c.Limit, shards: c.Shards, rowBytes: c.rowBytes}
	lake, err := c.lake()
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.stageDir(lake)), os.RemoveAll(c.Spill)) }()
	watched, stop := make(chan error, 1), make(chan struct{})
	go func() { watched <- c.watch(filepath.Join(c.stageDir(lake), "shuffle"), &f, stop) }()
	f.began = time.Now()
	f.Cost, err = measure.Run(ctx, "refine", c, &f.elapsed)
	close(stop)
	if err = errors.Join(err, <-watched); err != nil {
		return f, err
	}
	f.kept, err = c.check(ctx, lake)
	return f, err
}

// watch notes how much lies in shuffle files and intermediate ones at most.
func (c refineCase) watch(shuffle string, f *figures, stop <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		bytes, files := int64(0), 0
		for _, dir := range []string{shuffle, c.Spill} {
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					var info fs.FileInfo
					if info, err = d.Info(); err == nil {
						bytes += info.Size()
					}
					if dir == shuffle && strings.HasSuffix(path, ".arrow") {
						files++
					}
				}
				if errors.Is(err, fs.ErrNotExist) { // not yet, or not any more
					return nil
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		f.spilled, f.slices = max(f.spilled, bytes), max(f.slices, files)
	}
}

// check counts the rows of the stage and compares them with what the
// generator knows.
func (c refineCase) check(ctx context.Context, lake lakeio.Lake) (rows int64, err error) {
	m, err := lake.Manifest(ctx, "refine")
	if err != nil {
		return 0, err
	}
	g, s := newGenerator(c.Rows), uint64(0)
	for _, part := range m.Parts {
		for b, err := range lakeio.ReadBatches(ctx, lake.Store, part) {
			if err != nil {
				return rows, err
			}
			keys, ok1 := b.Column("key").(*array.String)
			numbers, ok2 := b.Column("number").(*array.Int64)
			copies, ok3 := b.Column("copy").(*array.Int64)
			if !ok1 || !ok2 || !ok3 {
				return rows, fmt.Errorf("part %s of table %s has other columns than the rows", part.URI, part.Table)
			}
			for i := range b.Rows() {
				if keys.Value(i) != key(numbers.Value(i)) {
					return rows, fmt.Errorf("row %d has the key %s", numbers.Value(i), keys.Value(i))
				}
				s += sum(numbers.Value(i), copies.Value(i))
			}
			rows += int64(b.Rows())
		}
	}
	if want := g.want(); rows != g.distinct || s != want {
		return rows, fmt.Errorf("%d rows kept with checksum %x; want %d with %x", rows, s, g.distinct, want)
	}
	return rows, nil
}
