package enrich

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	shares "github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/refine"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func TestMain(m *testing.M) { ptest.Main(m) }

var item = harrow.RecordType{Name: "item", Columns: []harrow.Column{
	{Name: "sku", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "n", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "price", Type: harrow.DefaultDecimal},
}}

// workbench is a lake with a part of items and a lookup file.
type workbench struct {
	env  engine.Env
	lake lakeio.Lake
	part harrow.Part
}

func newWorkbench(t testing.TB, dir string, rows [][]any) workbench {
	t.Helper()
	env := engine.Env{Workspace: dir, Job: "shop", Run: "r1", Stage: "refine", Memory: 64 << 20, Spill: dir, Shards: 3}
	lake, err := env.Open()
	if err != nil {
		t.Fatal(err)
	}
	b := lakeio.NewRecordBuilder(item)
	defer b.Release()
	for i, r := range rows {
		if err := b.Append(r, lakeio.Origin{URL: fmt.Sprintf("u%04d", i), Ordinal: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	batch := b.Batch()
	defer batch.Release()
	part := laketest.Write(t, lake.Store, lake.Stage("parse")+"/in.arrow", batch)
	return workbench{env, lake, part}
}

// config puts the file into the run and makes the step's config.
func (w workbench) config(ctx context.Context, file string, entry harrow.Enrich) (Config, *refine.Enrichment, error) {
	in, err := w.lake.CopyInput(ctx, file, filepath.Base(file))
	if err != nil {
		return Config{}, nil, err
	}
	entry.Lookup.File = filepath.Base(file)
	cfg := Config{Record: item, Entry: entry, URI: w.lake.InputURI(in.Digest)}
	if cfg.File, err = lookup.Columns(ctx, file, entry.Lookup.File); err != nil {
		return cfg, nil, err
	}
	e, err := cfg.compile()
	if err != nil {
		return cfg, nil, err
	}
	_, err = lookup.Check(ctx, file, entry.Lookup.File, e, shares.NewShare("seen", 1<<20), filepath.Dir(file))
	return cfg, e, err
}

// rows runs one of the two ways and returns what it commits: rows and rejects.
func (w workbench) rows(t testing.TB, cfg Config, stage string, shuffled bool) (out []string) {
	t.Helper()
	env := w.env
	env.Stage = stage
	p, s := beam.NewPipelineWithRoot()
	in := parts.Collection{Col: beam.Create(s, w.part)}
	var made parts.Collection
	if shuffled {
		made = Shuffled(s, env, cfg, nil, nil, in)
	} else {
		step, _, err := Lookup(cfg)
		if err != nil {
			t.Fatal(err)
		}
		made = parts.Map(s, "rows", env, step, in)
	}
	parts.Commit(s, env, made)
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	m, err := w.lake.Manifest(t.Context(), stage)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range m.Parts {
		var columns []string // of rejects without when
		if part.Table == lakeio.Rejects.Name() {
			columns = []string{"class", "code", "reason", "url", "record", "field", "payload"}
		}
		for b, err := range lakeio.ReadBatches(t.Context(), w.lake.Store, part) {
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.Rows() {
				out = append(out, part.Table+string(lakeio.AppendJSON(nil, b, i, columns)))
			}
		}
	}
	slices.Sort(out)
	return out
}

var itemEntry = harrow.Enrich{Lookup: harrow.Lookup{Join: map[string]string{"sku": "code", "n": "number"}}, Add: harrow.Additions{
	{Name: "cost", Expr: "price * rate", Type: "decimal"},
	{Name: "double", Expr: "cost * 2", Type: "decimal(18,2)"},
	{Name: "note", Expr: "coalesce(word, 'none')"},
}}

// TestBothWaysMakeTheSameRows joins random rows with a random file, in memory
// and by shuffle, and compares both with what a join is.
func TestBothWaysMakeTheSameRows(t *testing.T) {
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > 25 {
			return // a pipeline each
		}
		dir := t.TempDir()
		skus := []string{"a", "b", "é", "", "1"}
		var rows [][]any
		for range rapid.IntRange(0, 40).Draw(rt, "rows") {
			row := []any{rapid.SampledFrom(skus).Draw(rt, "sku"), rapid.Int64Range(0, 2).Draw(rt, "n"), decimal.New(rapid.Int64Range(0, 5000).Draw(rt, "price"), -2)}
			for i := range row {
				if rapid.IntRange(0, 6).Draw(rt, "null") == 0 {
					row[i] = nil
				}
			}
			rows = append(rows, row)
		}
		type key struct {
			sku string
			n   int64
		}
		file, text := map[key][2]string{}, "code,number,rate,word\n"
		for range rapid.IntRange(0, 12).Draw(rt, "lines") {
			k := key{rapid.SampledFrom(skus[:3]).Draw(rt, "code"), rapid.Int64Range(0, 2).Draw(rt, "number")}
			if _, twice := file[k]; twice {
				continue
			}
			file[k] = [2]string{rapid.SampledFrom([]string{"1", "0.5", "x", ""}).Draw(rt, "rate"), rapid.SampledFrom([]string{"", "w", "two words"}).Draw(rt, "word")}
			number := []string{fmt.Sprint(k.n), fmt.Sprintf("%d.0", k.n), fmt.Sprintf("%de0", k.n)}[rapid.IntRange(0, 2).Draw(rt, "form")]
			text += k.sku + "," + number + "," + file[k][0] + "," + file[k][1] + "\n"
		}
		path := filepath.Join(dir, "f.csv")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			rt.Fatal(err)
		}
		w := newWorkbench(t, dir, rows)
		cfg, _, err := w.config(t.Context(), path, itemEntry)
		if err != nil {
			rt.Fatal(err)
		}
		memory := w.rows(t, cfg, "refine", false)
		merged := w.rows(t, cfg, "parse", true)
		if !slices.Equal(memory, merged) {
			rt.Fatalf("in memory\n%s\nby shuffle\n%s", strings.Join(memory, "\n"), strings.Join(merged, "\n"))
		}
		rejects := 0
		for _, r := range rows {
			var hit [2]string
			if r[0] != nil && r[1] != nil {
				hit = file[key{r[0].(string), r[1].(int64)}]
			}
			if hit[0] == "x" { // a row whose price is null has it read, too
				rejects++
			}
		}
		got := 0
		for _, r := range memory {
			if strings.HasPrefix(r, "rejects") {
				got++
				if !strings.Contains(r, `is no number`) || !strings.Contains(r, `"code":"enrich"`) || !strings.Contains(r, `"field":"cost"`) {
					rt.Fatalf("reject %s", r)
				}
			}
		}
		if len(memory) != len(rows) || got != rejects {
			rt.Fatalf("%d rows came of %d, %d of them rejects; want %d\n%s", len(memory), len(rows), got, rejects, strings.Join(memory, "\n"))
		}
	})
}

func TestJoinedValues(t *testing.T) {
	dir := t.TempDir()
	w := newWorkbench(t, dir, [][]any{{"a", int64(1), decimal.New(10, 0)}, {"b", int64(1), decimal.New(10, 0)}, {nil, int64(1), nil}})
	path := filepath.Join(dir, "f.jsonl")
	if err := os.WriteFile(path, []byte("\uFEFF{\"code\":\"a\",\"number\":1.0,\"rate\":0.25,\"word\":[1]}\n\n{\"code\":null,\"number\":1,\"rate\":2}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := w.config(t.Context(), path, itemEntry)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(w.rows(t, cfg, "refine", false), "\n")
	for _, want := range []string{`"sku":"a","n":1,"price":"10","cost":"2.5","double":"5","note":"[1]"`, `"sku":"b","n":1,"price":"10","cost":null,"double":null,"note":"none"`, `"sku":null,"n":1,"price":null,"cost":null`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nis not in\n%s", want, got)
		}
	}
}

func TestAFileWithoutRowsGivesNulls(t *testing.T) {
	dir := t.TempDir()
	w := newWorkbench(t, dir, [][]any{{"a", int64(1), decimal.New(10, 0)}})
	path := filepath.Join(dir, "f.csv")
	if err := os.WriteFile(path, []byte("code,number,rate,word\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := w.config(t.Context(), path, itemEntry)
	if err != nil {
		t.Fatal(err)
	}
	for _, shuffled := range []bool{false, true} {
		got := strings.Join(w.rows(t, cfg, fmt.Sprint("refine", shuffled), shuffled), "\n")
		if want := `"sku":"a","n":1,"price":"10","cost":null,"double":null,"note":"none"`; !strings.Contains(got, want) {
			t.Errorf("shuffled %v: %s\nis not in\n%s", shuffled, want, got)
		}
	}
}

// arrowTable has a column of many a type.
func arrowTable(t *testing.T) arrow.Record {
	t.Helper()
	s := arrow.NewSchema([]arrow.Field{
		{Name: "code", Type: arrow.BinaryTypes.LargeString, Nullable: true}, {Name: "number", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
		{Name: "rate", Type: &arrow.Decimal128Type{Precision: 20, Scale: 4}, Nullable: true}, {Name: "word", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}, Nullable: true}, {Name: "blob", Type: arrow.ListOf(arrow.BinaryTypes.Binary), Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	if err := b.UnmarshalJSON([]byte(`{"code":"a","number":1,"rate":"0.2500","word":"w","at":"2024-05-01T12:00:00Z"}
{"code":"b","number":2,"rate":null,"word":null,"at":null}`)); err != nil {
		t.Fatal(err)
	}
	return b.NewRecord()
}

func TestParquetAndArrowFilesHaveTheirTypes(t *testing.T) {
	dir := t.TempDir()
	rec := arrowTable(t)
	defer rec.Release()
	table := array.NewTableFromRecords(rec.Schema(), []arrow.Record{rec})
	defer table.Release()
	pq, err := os.Create(filepath.Join(dir, "f.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if err := pqarrow.WriteTable(table, pq, 1, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps()); err != nil {
		t.Fatal(err)
	}
	writeArrow(t, filepath.Join(dir, "f.arrow"), rec)
	entry := itemEntry
	entry.Add = append(slices.Clone(entry.Add), harrow.Addition{Name: "at", Expr: "at", Type: "timestamp"})
	for _, name := range []string{"f.parquet", "f.arrow"} {
		w := newWorkbench(t, t.TempDir(), [][]any{{"a", int64(1), decimal.New(10, 0)}, {"b", int64(1), decimal.New(10, 0)}})
		cfg, e, err := w.config(t.Context(), filepath.Join(dir, name), entry)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := fmt.Sprint(cfg.File[1].Type, cfg.File[2].Type, cfg.File[4].Type, e.Needed()); got != "int decimal(20,4) timestamp [0 1 2 3 4]" {
			t.Errorf("%s: %s", name, got)
		}
		want := `"sku":"a","n":1,"price":"10","cost":"2.5","double":"5","note":"w","at":"2024-05-01T12:00:00.000000Z"`
		for i, shuffled := range []bool{false, true} {
			if got := strings.Join(w.rows(t, cfg, []string{"refine", "parse"}[i], shuffled), "\n"); !strings.Contains(got, want) {
				t.Errorf("%s, by shuffle %v:\n%s", name, shuffled, got)
			}
		}
		entry := itemEntry
		entry.Add = harrow.Additions{{Name: "x", Expr: "blob"}}
		if _, _, err := w.config(t.Context(), filepath.Join(dir, name), entry); err == nil || !strings.Contains(err.Error(), "column blob is of the Arrow type list") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostileFilesAreErrorsThatNameThem(t *testing.T) {
	dir := t.TempDir()
	wide := strings.Repeat("a,", 1_000_000) + "b\n"
	for _, c := range []struct{ name, text, want string }{
		{"wide.csv", wide, "wide.csv: line 1: the first line is longer than 1048576 bytes"},
		{"columns.csv", strings.Repeat("a,", 5000) + "b\n", "columns.csv: line 1: the first line names 5001 columns; at most 4096 are read"},
		{"long.csv", "code,number,rate,word\na,1,\"" + strings.Repeat("x", 40<<20), "long.csv: line 2: the row is longer than 16777216 bytes"},
		{"header.csv", strings.Repeat("x", 40<<20), "header.csv: line 1: the first line is longer than 1048576 bytes"},
		{"long.jsonl", `{"code":"` + strings.Repeat("x", 40<<20), "long.jsonl: line 1: the line is longer than 16777216 bytes"},
		{"wide.jsonl", wideObject(5000), "wide.jsonl: line 1 has 5000 keys; expected at most 4096"},
		{"deep.jsonl", `{"code":` + strings.Repeat("[", 100_000), "deep.jsonl: line 1: the row nests more than 128 levels"},
		{"short.csv", "code,number,rate,word\na,1,2,w\nb\n", "short.csv: line 3: the row has 1 cells; the first line has 4"},
		{"bytes.csv", "code,number,rate,word\na\xff,1,2,w\n", "bytes.csv: line 2: byte 1 of the row is no UTF-8"},
		{"list.jsonl", "{}\n[1]\n", "list.jsonl: line 2: \"[1]\"; expected a JSON object"},
		{"empty.csv", "", "empty.csv: line 1: the file has no line that names the columns"},
		{"twice.csv", "code,code\n", `twice.csv: it has two columns "code"`},
		{"no.parquet", "PAR1 nonsense PAR1", "no.parquet: "},
		{"no.arrow", "ARROW1\x00\x00" + strings.Repeat("\xff", 100) + "ARROW1", "no.arrow: "},
		{"empty.arrow", "", "empty.arrow: "},
		{"what.xlsx", "", "what.xlsx: expected a file that ends in .csv, .jsonl, .parquet or .arrow"},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		w := newWorkbench(t, t.TempDir(), nil)
		_, _, err := w.config(t.Context(), path, itemEntry)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 1000 {
			t.Errorf("%s: %.300v, want %s", c.name, err, c.want)
		}
	}
	if _, err := lookup.Columns(t.Context(), filepath.Join(dir, "none.csv"), "none.csv"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func wideObject(n int) string {
	o := map[string]int{}
	for i := range n {
		o[fmt.Sprint("k", i)] = i
	}
	data, _ := json.Marshal(o)
	return string(data)
}

// TestATableIsReadOnceWhileItIsUsed borrows it several times.
func TestATableIsReadOnceWhileItIsUsed(t *testing.T) {
	dir := t.TempDir()
	w := newWorkbench(t, dir, nil)
	path := filepath.Join(dir, "f.csv")
	if err := os.WriteFile(path, []byte("code,number,rate,word\na,1,2,w\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cfg, e, err := w.config(t.Context(), path, itemEntry)
	if err != nil {
		t.Fatal(err)
	}
	a, back1, err := borrow(t.Context(), w.lake, cfg.URI, "f.csv", "k", e)
	if err != nil {
		t.Fatal(err)
	}
	back1()
	b, back2, err := borrow(t.Context(), w.lake, cfg.URI, "f.csv", "k", e)
	if err != nil || a != b {
		t.Errorf("%p and %p, %v: want one table", a, b, err)
	}
	back2()
	if _, _, err := borrow(t.Context(), w.lake, "nowhere", "f.csv", "k", e); !errors.Is(err, lakeio.ErrNotFound) {
		t.Errorf("a file that isn't there: %v", err)
	}
	tables.Lock()
	defer tables.Unlock()
	for key := range tables.by {
		if strings.Contains(key, "nowhere") {
			t.Error("what couldn't be read is kept")
		}
	}
}
