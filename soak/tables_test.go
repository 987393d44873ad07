package soak

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/testdata/demo"
)

// column is what a table's column comes to: see testdata/tables.py.
type column struct {
	Kind  string
	Nulls int
	Sum   string
}

type summary struct {
	Rows    int
	Columns map[string]column
}

func TestPyarrowAndPolarsReadEveryTableAsCatShowsIt(t *testing.T) {
	seed := rig.Seed(t)
	shop := demosite.New(demosite.Options{})
	addr, stop, err := shop.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	dir := t.TempDir()
	store, err := lakeio.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	desk := t.TempDir() // the demo's job loads into a folder beside it
	if err := demo.LayOut(desk); err != nil {
		t.Fatal(err)
	}
	names, rows := map[string]bool{}, 0
	for _, job := range []struct {
		name, file string
		exit       int
	}{{"shop", filepath.Join(desk, "shop.yaml"), rig.ExitDone}, {"tables", filepath.Join("testdata", "tables.yaml"), rig.ExitDeferred}} {
		start(t, "run", job.file, "--workspace", dir, "--param", "site="+addr).Want(job.exit)
		run, err := lakeio.LastRun(t.Context(), store, job.name)
		if err != nil {
			t.Fatal(err)
		}
		rows += readEverywhere(t, lakeio.Lake{Store: store, Job: job.name, Run: run.ID}, run, names)
	}
	for _, table := range lakeio.Tables() {
		if table.Name != "parts" && !names[table.Name] {
			t.Errorf("no run has table %s: it was not read", table.Name)
		}
	}
	t.Logf("%d tables, %d rows", len(names), rows)
	rig.Report(t, seed, "%d tables, %d rows by pyarrow, Polars and cat", len(names), rows)
}

// readEverywhere compares what each library makes of a run's tables with what
// cat shows, stage by stage. It notes the tables' names and returns how many
// rows they have.
func readEverywhere(t *testing.T, lake lakeio.Lake, run lakeio.Run, names map[string]bool) (rows int) {
	t.Helper()
	var read map[string]struct {
		Pyarrow, Polars summary
		Parts, Listed   int
		Name            string
	}
	dir := lake.Store.Local()
	python(t, &read, "tables.py", filepath.Join(dir, filepath.FromSlash(lake.RunDir())), dir)
	tables := 0
	for _, stage := range run.StageNames() {
		m, err := lake.Manifest(t.Context(), stage)
		if err != nil {
			t.Fatal(err)
		}
		for table, listed := range m.Tables {
			tables++
			name := stage + " " + table
			r, ok := read[name]
			if !ok {
				t.Errorf("%s was not read", name)
				continue
			}
			if int64(r.Parts) != listed.Parts || int64(r.Listed) != listed.Rows || r.Name != table {
				t.Errorf("%s: manifest.arrow lists %d parts, %d rows of %s; manifest.json %+v", name, r.Parts, r.Listed, r.Name, listed)
			}
			shown := sum(t, r.Pyarrow, dir, table, "--job", lake.Job, "--stage", stage, "--run", run.ID, "--body")
			names[table] = true
			rows += shown.Rows
			compare(t, name, "pyarrow", r.Pyarrow, shown)
			compare(t, name, "Polars", r.Polars, shown)
		}
	}
	if tables != len(read) {
		t.Errorf("the manifests name %d tables, %d were read", tables, len(read))
	}
	return rows
}

func compare(t *testing.T, table, by string, got, want summary) {
	t.Helper()
	if got.Rows != want.Rows {
		t.Errorf("%s: %d rows by %s, cat has %d", table, got.Rows, by, want.Rows)
	}
	for name, c := range want.Columns {
		if got.Columns[name] != c {
			t.Errorf("%s.%s: %s has %+v, cat %+v", table, name, by, got.Columns[name], c)
		}
	}
	if len(got.Columns) != len(want.Columns) {
		t.Errorf("%s: %d columns by %s, cat has %d", table, len(got.Columns), by, len(want.Columns))
	}
}

// sum reckons from what cat shows of a table what tables.py reckons from its
// files. JSON does not tell texts from times and decimals: like says what a
// column is.
func sum(t *testing.T, like summary, workspace string, args ...string) summary {
	t.Helper()
	s := summary{Columns: map[string]column{}}
	totals := map[string]decimal.Decimal{}
	cat(t, func(row []byte) {
		s.Rows++
		var members map[string]any
		d := json.NewDecoder(strings.NewReader(string(row)))
		d.UseNumber()
		if err := d.Decode(&members); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
		for name, value := range members {
			c := s.Columns[name]
			c.Kind = like.Columns[name].Kind
			if value == nil {
				c.Nulls++
			} else if n, err := size(c.Kind, value); err != nil {
				t.Fatalf("%s: %s", name, err)
			} else {
				totals[name] = totals[name].Add(n)
			}
			s.Columns[name] = c
		}
	}, workspace, args...)
	for name, c := range s.Columns {
		c.Sum = totals[name].String()
		s.Columns[name] = c
	}
	return s
}

// size is what one value adds to its column's sum.
func size(kind string, value any) (decimal.Decimal, error) {
	whole := func(n int64, err error) (decimal.Decimal, error) { return decimal.NewFromInt(n), err }
	switch v := value.(type) {
	case json.Number:
		if slices.Contains([]string{"int", "float"}, kind) {
			return decimal.NewFromString(v.String())
		}
	case bool:
		if v {
			return whole(1, nil)
		}
		return whole(0, nil)
	case []any:
		return whole(int64(len(v)), nil)
	case string:
		switch kind {
		case "text":
			return whole(int64(len(v)), nil)
		case "bytes":
			data, err := base64.StdEncoding.DecodeString(v)
			return whole(int64(len(data)), err)
		case "decimal":
			if _, ok := new(big.Rat).SetString(v); !ok || strings.ContainsAny(v, "eE/") {
				return decimal.Decimal{}, fmt.Errorf("%q is no decimal in plain notation", v)
			}
			return decimal.NewFromString(v)
		case "timestamp":
			at, err := time.Parse(lakeio.TimestampLayout, v)
			return whole(at.UnixMicro(), err)
		case "date":
			at, err := time.Parse(lakeio.DateLayout, v)
			return whole(at.Unix()/(24*60*60), err)
		}
	}
	return decimal.Decimal{}, fmt.Errorf("%v in a column of kind %q", value, kind)
}
