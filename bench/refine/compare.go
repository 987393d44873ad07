package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/bench/internal/quiet"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/transforms/check"
	"github.com/harrowdata/harrow/transforms/dedup"
	"github.com/harrowdata/harrow/transforms/enrich"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

//go:embed duck.py
var duckScript []byte

// python has DuckDB and pyarrow in it: make setup installs them.
const python = ".build/venv/bin/python"

// refined is what either side took and made.
type refined struct {
	Wall float64 `json:"wall"` // seconds
	CPU  float64 `json:"cpu"`  // seconds, user and system
	Rows int64   `json:"rows"`
	Sum  string  `json:"sum"` // of the added column, exact
}

// compare takes the rows through check, dedup and enrich, and has DuckDB do the
// same from Parquet; both must make the same. Time is printed, not judged.
func (c refineCase) compare(ctx context.Context, dir string, out io.Writer) (err error) {
	interpreter, err := filepath.Abs(python)
	if err == nil {
		_, err = os.Stat(interpreter)
	}
	if err != nil && os.Getenv("HARROW_TEST_REQUIRE") != "1" {
		_, err = fmt.Fprintf(out, "\n%s is not there: make setup installs what it is compared with\n", python)
		return err
	}
	if err != nil {
		return err
	}
	c.Lookup = filepath.Join(dir, "factors.csv")
	if err := os.WriteFile(c.Lookup, factors(), 0o666); err != nil {
		return err
	}
	ours, err := c.ours(ctx)
	if err != nil {
		return fmt.Errorf("refine: %w", err)
	}
	theirs, err := c.theirs(ctx, interpreter, dir)
	if err != nil {
		return fmt.Errorf("DuckDB: %w", err)
	}
	return report(c, ours, theirs, out)
}

func report(c refineCase, ours, theirs refined, out io.Writer) error {
	a, err1 := decimal.NewFromString(ours.Sum)
	b, err2 := decimal.NewFromString(theirs.Sum)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if ours.Rows != theirs.Rows || !a.Equal(b) {
		return fmt.Errorf("refine made %d rows with the sum %s, DuckDB %d with %s", ours.Rows, a, theirs.Rows, b)
	}
	text := fmt.Sprintf("%.1f s, %.0f rows/s, %.1f s CPU; DuckDB %.1f s, %.1f s CPU: %.2f × its time, %.2f × its CPU; the same %d rows",
		ours.Wall, float64(c.Rows)/ours.Wall, ours.CPU, theirs.Wall, theirs.CPU, ours.Wall/theirs.Wall, ours.CPU/theirs.CPU, ours.Rows)
	if _, err := fmt.Fprintf(out, "\ncheck, dedup, enrich of %d rows with %d MiB: %s\n", c.Rows, c.Limit/mib, text); err != nil {
		return err
	}
	return measure.SoakRow("refine beside DuckDB", fmt.Sprint(seed), fmt.Sprintf("check, dedup, enrich of %d rows", c.Rows), text)
}

// factors is the lookup file: a factor for every stock.
func factors() []byte {
	var b bytes.Buffer
	b.WriteString("code,factor\n")
	for i := range 1 << 14 {
		fmt.Fprintf(&b, "%d,%d.%02d\n", i, i%7, i%100)
	}
	return b.Bytes()
}

func (c refineCase) ours(ctx context.Context) (r refined, err error) {
	var elapsed time.Duration
	cost, err := measure.Run(ctx, "full", c, &elapsed)
	if err != nil {
		return r, err
	}
	r.Wall, r.CPU = elapsed.Seconds(), cost.CPU.Seconds()
	lake, err := c.lake()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.stageDir(lake)), os.RemoveAll(c.Spill)) }()
	m, err := lake.Manifest(ctx, "refine")
	if err != nil {
		return r, err
	}
	sum := decimal.Decimal{}
	for _, part := range m.TablesOf(lakeio.RecordsPrefix + rowType.Name) {
		for b, err := range lakeio.ReadBatches(ctx, lake.Store, part) {
			if err != nil {
				return r, err
			}
			values, ok := b.Column("value").(*array.Decimal128)
			if !ok {
				return r, fmt.Errorf("part %s has no decimals in column value", part.URI)
			}
			scale := values.DataType().(*arrow.Decimal128Type).Scale
			for i := range b.Rows() {
				sum = sum.Add(decimal.NewFromBigInt(values.Value(i).BigInt(), -scale))
			}
			r.Rows += int64(b.Rows())
		}
	}
	r.Sum = sum.String()
	return r, nil
}

// refineAll is the pipeline: one shuffle, whose rows go through a chain.
func refineAll(ctx context.Context, c refineCase) error {
	quiet.Beam()
	env := engine.Env{Workspace: c.Workspace, Job: c.Job, Run: c.Run, Stage: "refine", Memory: c.Limit, Spill: c.Spill, Shards: c.Shards}
	parsed := env
	parsed.Stage = "parse"
	lake, err := c.lake()
	if err != nil {
		return err
	}
	in, err := lake.CopyInput(ctx, c.Lookup, "factors.csv")
	if err != nil {
		return err
	}
	chain, cfg, err := c.chain(ctx, lake.InputURI(in.Digest))
	if err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	rows := parts.Commit(s.Scope("parse"), parsed, parts.None(s)).Of(lakeio.RecordsPrefix + rowType.Name)
	parts.Commit(s, env, parts.Shuffle(s, "rows", env, dedup.Key(cfg, c.Shards), chain, rows))
	_, err = runners.Execute(ctx, "direct", p, runners.Options{})
	return err
}

func (c refineCase) chain(ctx context.Context, uri string) (engine.Step, dedup.Config, error) {
	cfg := dedup.Config{Record: rowType.Name, Key: []string{"key"}}
	most := 200
	checks, err := check.Rows(check.Config{Record: rowType, Checks: []harrow.Check{
		{Field: "stock", Min: "100"}, {Expr: "number * 2 >= 0"}, {Field: "title", Length: &harrow.Length{Max: &most}}}})
	if err != nil {
		return engine.Step{}, cfg, err
	}
	columns, err := lookup.Columns(ctx, c.Lookup, "factors.csv")
	if err != nil {
		return engine.Step{}, cfg, err
	}
	lookup, after, err := enrich.Lookup(enrich.Config{Record: rowType, File: columns, URI: uri, Entry: harrow.Enrich{
		Lookup: harrow.Lookup{File: "factors.csv", Join: map[string]string{"stock": "code"}},
		Add:    harrow.Additions{{Name: "value", Expr: "number * factor", Type: "decimal(24,2)"}}}})
	if err != nil {
		return engine.Step{}, cfg, err
	}
	step, err := engine.Chain(engine.ChainConfig{Links: []engine.Link{
		{Step: checks, Makes: rowType}, {Step: dedup.Step(cfg), Makes: rowType}, {Step: lookup, Makes: after}}})
	return step, cfg, err
}

// theirs has DuckDB do it, from the same rows as Parquet.
func (c refineCase) theirs(ctx context.Context, interpreter, dir string) (r refined, err error) {
	script, rows, made := filepath.Join(dir, "duck.py"), filepath.Join(dir, "rows.parquet"), filepath.Join(dir, "made.parquet")
	spill := filepath.Join(dir, "duck")
	if err := os.WriteFile(script, duckScript, 0o666); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.Remove(rows), os.Remove(made), os.RemoveAll(spill)) }()
	lake, err := c.lake()
	if err != nil {
		return r, err
	}
	folder := filepath.Join(c.Workspace, filepath.FromSlash(lake.Stage("parse")), "records", rowType.Name)
	if _, err := output(ctx, interpreter, script, "convert", folder, rows); err != nil {
		return r, err
	}
	text, err := output(ctx, interpreter, script, "refine", rows, c.Lookup, made, strconv.FormatInt(c.Limit/mib*4, 10), spill)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(text), &r)
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(args[:2], " "), err, errs.String())
	}
	return out.String(), nil
}
