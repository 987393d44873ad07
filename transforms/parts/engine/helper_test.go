package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// item is a row of the tests' table records/item.
type item struct {
	key  string // "" is null
	n    int64
	text string
}

var itemType = harrow.RecordType{Name: "item", Columns: []harrow.Column{
	{Name: "key", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "n", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "text", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "price", Type: harrow.DefaultDecimal},
	{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
}}

const itemTable = "records/item"

func (i item) less(j item) int {
	return cmp.Or(cmp.Compare(i.key, j.key), cmp.Compare(i.n, j.n), cmp.Compare(i.text, j.text))
}

func newTestWorker(t testing.TB) *Worker {
	t.Helper()
	w, err := NewWorker(Env{Workspace: t.TempDir(), Job: "job", Run: "run", Stage: "refine", Spill: t.TempDir(), Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	w.batches, w.shuffle = memory.NewShare("batches", 64<<20), memory.NewShare("shuffle", 64<<20)
	w.backoff = []time.Duration{0, 0, 0}
	t.Cleanup(func() {
		if n := w.batches.Used() + w.shuffle.Used(); n != 0 {
			t.Errorf("%d bytes of the shares are still held", n)
		}
		if left, _ := os.ReadDir(w.env.Spill); len(left) != 0 {
			t.Errorf("limits.spill still has %v", left)
		}
	})
	return w
}

// writeItems writes one part, batch rows a batch.
func writeItems(t testing.TB, w *Worker, items []item, batch int) harrow.Part {
	t.Helper()
	p, err := lakeio.NewPart(t.Context(), w.lake.Store, "in/"+uuid.NewString()+".arrow", lakeio.RecordSchema(itemType), lakeio.LZ4)
	if err != nil {
		t.Fatal(err)
	}
	b := lakeio.NewRecordBuilder(itemType)
	defer b.Release()
	for rows := range slices.Chunk(items, batch) {
		for _, i := range rows {
			values := []any{i.key, i.n, i.text, decimal.New(i.n, -2), []string{i.text, "x"}}
			if i.key == "" {
				values[0] = nil
			}
			if err := b.Append(values, lakeio.Origin{URL: "http://x.example/" + i.text, Run: "run"}); err != nil {
				t.Fatal(err)
			}
		}
		rec := b.Batch()
		err := p.Write(rec)
		rec.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	part, err := p.Close()
	if err != nil {
		t.Fatal(err)
	}
	return part
}

func itemsOf(b harrow.Batch) []item {
	out := make([]item, b.Rows())
	for i := range out {
		out[i] = item{
			strings.Clone(b.Column("key").(*array.String).Value(i)), b.Column("n").(*array.Int64).Value(i),
			strings.Clone(b.Column("text").(*array.String).Value(i)),
		}
	}
	return out
}

func readItems(t testing.TB, w *Worker, parts []harrow.Part) (out []item) {
	t.Helper()
	for _, p := range parts {
		for b, err := range lakeio.ReadBatches(t.Context(), w.lake.Store, p) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, itemsOf(b)...)
		}
	}
	return out
}

// files lists what lies in a folder of the workspace, temporary files too, but
// no status.
func files(t testing.TB, w *Worker, folder string) (names []string) {
	t.Helper()
	root := filepath.Join(w.lake.Store.Local(), folder)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "status" {
			return filepath.SkipDir // rewritten every five seconds: a slow test has it
		}
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// runTasks runs tasks as a bundle would.
func runTasks[T any](t testing.TB, tasks ...Task[T]) ([]T, error) {
	t.Helper()
	g := NewGroup[T](t.Context())
	for _, task := range tasks {
		g.Go(task)
	}
	var out []T
	err := g.Drain(func(r T) { out = append(out, r) })
	return out, err
}

func byShard(sliced []Sliced) map[int][]Slice {
	shards := map[int][]Slice{}
	for _, s := range sliced {
		shards[s.Shard] = append(shards[s.Shard], s.Slice)
	}
	return shards
}

// testOperator passes batches on and fails where its config says so.
type testOperator struct {
	Fail  string // "process", "finish", "panic": at the second call where there is one
	Times int64  // how often to fail; 0: always
	Count string // name of a counter of calls in calls
	calls int
}

var (
	failures atomic.Int64
	errTest  = errors.New("disk on fire")
)

func (o *testOperator) fail() error {
	if o.Times > 0 && failures.Add(1) > o.Times {
		return nil
	}
	return errTest
}

func (o *testOperator) Process(_ context.Context, in harrow.Batch, out harrow.Output) error {
	o.calls++
	if err := out.Emit(itemTable, in); err != nil {
		return fmt.Errorf("hidden: %v", err) // %v on purpose: the engine must not need the chain
	}
	if err := out.Reject(harrow.Reject{Code: "seen", Reason: "again"}); err != nil {
		return err
	}
	switch o.Fail {
	case "process":
		return o.fail()
	case "panic":
		panic("out of cheese")
	}
	return nil
}

func (o *testOperator) Finish(context.Context, harrow.Output) error {
	if o.Fail == "finish" {
		return o.fail()
	}
	return nil
}

// groupOperator passes on the first row of each key. It fails when keys are
// not ascending, which a shuffle promises.
type groupOperator struct {
	started bool
	last    string
	copier  *lakeio.RowCopier
}

func (o *groupOperator) Process(_ context.Context, in harrow.Batch, out harrow.Output) error {
	if o.copier == nil {
		var err error
		if o.copier, err = lakeio.NewRowCopier(in.Arrow().Schema()); err != nil {
			return err
		}
	}
	key := in.Column("key").(*array.String)
	for i := range in.Rows() {
		k := key.Value(i)
		if o.started && k < o.last {
			return fmt.Errorf("key %q after %q", k, o.last)
		}
		if !o.started || k != o.last {
			o.copier.Append(in, i)
			o.last, o.started = strings.Clone(k), true
		}
	}
	if o.copier.Full() {
		return o.emit(out)
	}
	return nil
}

func (o *groupOperator) emit(out harrow.Output) error {
	b := o.copier.Batch()
	defer b.Release()
	return out.Emit(itemTable, b)
}

func (o *groupOperator) Finish(_ context.Context, out harrow.Output) error {
	if o.copier == nil {
		return nil
	}
	defer o.copier.Release()
	return o.emit(out)
}

func init() {
	harrow.RegisterOperator("test", func(config json.RawMessage) (harrow.Operator, error) {
		o := &testOperator{}
		return o, json.Unmarshal(config, o)
	})
	harrow.RegisterOperator("group", func(json.RawMessage) (harrow.Operator, error) { return &groupOperator{}, nil })
}

func step(config string) Step { return Step{Operator: "test", Config: json.RawMessage(config)} }

// flakyStore fails the writes or opens it is told to.
type flakyStore struct {
	lakeio.Store
	fails atomic.Int64 // opens that still fail
	full  atomic.Int64 // bytes left on the disk; 0: no limit
	short atomic.Int64 // closes that still fail
	stuck atomic.Int64 // deletes that still fail
}

func (s *flakyStore) Delete(ctx context.Context, uri string) error {
	if s.stuck.Add(-1) >= 0 {
		return fmt.Errorf("%s: %w", uri, errTest)
	}
	return s.Store.Delete(ctx, uri)
}

func (s *flakyStore) Open(ctx context.Context, uri string) (lakeio.Reader, error) {
	if s.fails.Add(-1) >= 0 {
		return nil, fmt.Errorf("%s: %w", uri, errTest)
	}
	return s.Store.Open(ctx, uri)
}

func (s *flakyStore) Writer(ctx context.Context, uri string) (lakeio.Writer, error) {
	w, err := s.Store.Writer(ctx, uri)
	return &flakyWriter{w, s}, err
}

type flakyWriter struct {
	lakeio.Writer
	store *flakyStore
}

func (w *flakyWriter) Write(p []byte) (int, error) {
	if w.store.full.Load() > 0 && w.store.full.Add(-int64(len(p))) <= 0 {
		w.store.full.Store(1)
		return 0, errTest
	}
	return w.Writer.Write(p)
}

func (w *flakyWriter) Close() error {
	if w.store.short.Add(-1) >= 0 {
		w.Writer.Abort()
		return errTest
	}
	return w.Writer.Close()
}

func flaky(w *Worker) *flakyStore {
	s := &flakyStore{Store: w.lake.Store}
	w.lake.Store = s
	return s
}
