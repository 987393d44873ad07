package parquetio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	pq "github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	run1 = "0190e000-0000-7000-8000-000000000001"
	run2 = "0190e000-0000-7000-8000-000000000002"
)

var day = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

var book = harrow.RecordType{Name: "book", Columns: []harrow.Column{
	{Name: "upc", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
}}

// shardOf is a shard of rows, each a value per data column, in batches of a
// few.
func shardOf(t testing.TB, rt harrow.RecordType, run string, rows ...[]any) harrow.Shard {
	t.Helper()
	return harrow.Shard{Run: run, Record: rt, Key: []string{rt.Columns[0].Name}, Latest: "_fetched_at", Input: "digest-" + run, Shards: 4,
		Batches: batches(t, rt, run, 3, rows)}
}

func batches(t testing.TB, rt harrow.RecordType, run string, size int, rows [][]any) func() iter.Seq2[harrow.Batch, error] {
	return func() iter.Seq2[harrow.Batch, error] {
		return func(yield func(harrow.Batch, error) bool) {
			rb := lakeio.NewRecordBuilder(rt)
			defer rb.Release()
			for i, r := range rows {
				o := lakeio.Origin{ID: harrow.ID{byte(i), byte(i >> 8), byte(i >> 16), 1}, URL: fmt.Sprint("http://a.example/", i), Ordinal: int64(i), Rule: rt.Name, FetchedAt: day, Run: run}
				if err := rb.Append(r, o); err != nil {
					t.Error(err)
				}
				if rb.Rows() == size || i == len(rows)-1 {
					b := rb.Batch()
					more := yield(b, nil)
					b.Release()
					if !more {
						return
					}
				}
			}
		}
	}
}

func newSink(t testing.TB, path string, partitionBy ...string) *Sink {
	t.Helper()
	c := map[string]any{"path": path}
	if len(partitionBy) > 0 {
		c["partition_by"] = partitionBy
	}
	config, err := json.Marshal(c)
	check(t, err)
	s, err := New(config, harrow.SinkEnv{Job: "shop"})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s.(*Sink)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// load loads a shard, which must come to these counts.
func load(t testing.TB, s *Sink, shard harrow.Shard, want harrow.Counts) {
	t.Helper()
	got, err := s.Load(t.Context(), shard)
	check(t, err)
	if got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// publish publishes what was loaded of a run.
func publish(ctx context.Context, s *Sink, run string, counts map[string]harrow.Counts) error {
	return s.Publish(ctx, harrow.Loaded{Run: run, Input: "digest-" + run, Shards: 4, Counts: counts})
}

func added(n int64) harrow.Counts { return harrow.Counts{Added: n} }

func books(n int64) map[string]harrow.Counts { return map[string]harrow.Counts{"book": added(n)} }

// visible lists the files that a reader of the folder finds, relative to it.
func visible(t testing.TB, dir string) (list []string) {
	t.Helper()
	for _, f := range everything(t, dir) {
		if !strings.HasPrefix(f, hidden+"/") {
			list = append(list, f)
		}
	}
	return list
}

func everything(t testing.TB, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		rel, rerr := filepath.Rel(dir, path)
		list = append(list, filepath.ToSlash(rel))
		return errors.Join(err, rerr)
	})
	check(t, err)
	slices.Sort(list)
	return list
}

// rows reads every visible row as JSON, sorted.
func rows(t testing.TB, dir string, columns ...string) (list []string) {
	t.Helper()
	for _, f := range visible(t, dir) {
		list = append(list, rowsOf(t, filepath.Join(dir, f), columns...)...)
	}
	slices.Sort(list)
	return list
}

func rowsOf(t testing.TB, file string, columns ...string) (list []string) {
	t.Helper()
	r, err := pq.OpenParquetFile(file, false)
	check(t, err)
	defer r.Close()
	fr, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	check(t, err)
	table, err := fr.ReadTable(t.Context())
	check(t, err)
	defer table.Release()
	tr := array.NewTableReader(table, 0)
	defer tr.Release()
	for tr.Next() {
		b := harrow.NewBatch(tr.Record())
		for i := range b.Rows() {
			list = append(list, string(lakeio.AppendJSON(nil, b, i, columns)))
		}
	}
	return list
}

// metaOf is a file's key-value metadata.
func metaOf(t testing.TB, file string) map[string]string {
	t.Helper()
	r, err := pq.OpenParquetFile(file, false)
	check(t, err)
	defer r.Close()
	kv, m := r.MetaData().KeyValueMetadata(), map[string]string{}
	for i, k := range kv.Keys() {
		m[k] = kv.Values()[i]
	}
	return m
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// invalidBatch has a column a of texts, whatever their bytes, and a column l
// of lists of one of them.
func invalidBatch(t testing.TB, texts ...string) harrow.Batch {
	t.Helper()
	rb := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "l", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}, {Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}}, nil))
	defer rb.Release()
	for _, text := range texts {
		l := rb.Field(0).(*array.ListBuilder)
		l.Append(true)
		l.ValueBuilder().(*array.StringBuilder).Append(text)
		rb.Field(1).(*array.StringBuilder).Append(text)
	}
	return harrow.NewBatch(rb.NewRecord())
}

func one(b harrow.Batch) func() iter.Seq2[harrow.Batch, error] {
	return func() iter.Seq2[harrow.Batch, error] {
		return func(yield func(harrow.Batch, error) bool) { yield(b, nil) }
	}
}
