package upsert

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
	_ "github.com/harrowdata/harrow/io/sqlio"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func TestMain(m *testing.M) {
	harrow.RegisterSink("fake", func(config json.RawMessage, env harrow.SinkEnv) (harrow.Sink, error) {
		var name string
		if err := json.Unmarshal(config, &name); err != nil {
			return nil, err
		}
		v, ok := fakes.Load(name)
		if !ok {
			return nil, fmt.Errorf("no fake %s", name)
		}
		return v.(*fake), nil
	})
	ptest.Main(m)
}

var fakes sync.Map

// fake is a sink that fails for a while and then refuses every second row.
type fake struct {
	mu       sync.Mutex
	failures int
	loads    []harrow.Shard
	closeErr error
}

func newFake(t *testing.T, f *fake) json.RawMessage {
	fakes.Store(t.Name(), f)
	config, _ := json.Marshal(t.Name())
	return config
}

func (f *fake) Check(context.Context, []harrow.RecordType) error { return nil }
func (f *fake) Close() error                                     { return f.closeErr }

func (f *fake) Load(_ context.Context, s harrow.Shard) (n harrow.Counts, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loads = append(f.loads, s)
	for b, err := range s.Batches() {
		if err != nil {
			return n, err
		}
		for i := range b.Rows() {
			if i%2 == 0 {
				n.Added++
				continue
			}
			n.Rejected++
			if err := s.Reject(lakeio.RowReject(b, i, s.Record.Name)); err != nil {
				return n, err
			}
		}
	}
	if f.failures != 0 {
		f.failures--
		return n, errors.New("the store is away")
	}
	return n, nil
}

const run = "0190e000-0000-7000-8000-000000000001"

var (
	ids  = harrow.RecordType{Name: "book", Columns: []harrow.Column{{Name: "upc", Type: harrow.Type{Kind: harrow.Text}}, {Name: "stock", Type: harrow.Type{Kind: harrow.Int}}}}
	when = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
)

// workspace is a lake whose refine stage has committed parts of two records:
// book in two shards of a shuffle, note without a key.
func workspace(t *testing.T) (engine.Env, []harrow.Part) {
	t.Helper()
	env := engine.Env{Workspace: t.TempDir(), Job: "shop", Run: run, Stage: "load", Shards: 4}
	lake, err := env.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := lakeio.CreateRun(t.Context(), lake.Store, lakeio.Run{ID: run, Job: "shop"}); err != nil {
		t.Fatal(err)
	}
	note := ids
	note.Name = "note"
	var list []harrow.Part
	for i, p := range []struct {
		rt    harrow.RecordType
		shard int
		upcs  []any
	}{
		{ids, 0, []any{"1", "2"}}, {ids, 3, []any{"3", nil}}, {ids, 3, []any{"4"}},
		{note, 0, []any{"1", "1"}}, {note, 0, nil},
	} {
		list = append(list, writePart(t, lake, i, p.rt, p.shard, p.upcs))
	}
	if _, err := lake.Commit(t.Context(), "refine", list, nil, when); err != nil {
		t.Fatal(err)
	}
	return env, append(list, harrow.Part{Table: "rejects", URI: "shop/none.arrow", Rows: 1}, harrow.Part{Tag: `{"x":1}`})
}

func writePart(t *testing.T, lake lakeio.Lake, i int, rt harrow.RecordType, shard int, upcs []any) harrow.Part {
	t.Helper()
	rb := lakeio.NewRecordBuilder(rt)
	defer rb.Release()
	for j, upc := range upcs {
		if err := rb.Append([]any{upc, int64(1)}, lakeio.Origin{ID: harrow.ID{byte(i + 1)}, Ordinal: int64(j), URL: "http://a.example/", FetchedAt: when, Run: run}); err != nil {
			t.Fatal(err)
		}
	}
	b := rb.Batch()
	defer b.Release()
	p := laketest.Write(t, lake.Store, fmt.Sprintf("%s/%d.arrow", lake.Stage("refine"), i), b)
	p.Shard = shard
	return p
}

func config(load map[string]json.RawMessage) Config {
	return Config{Load: load, Records: map[string]Record{"book": {Key: []string{"upc"}}}}
}

// tasksOf groups parts as the pipeline does.
func tasksOf(c Config, shards int, parts []harrow.Part) []task {
	by := map[shardKey][]harrow.Part{}
	for _, p := range parts {
		if k, ok := c.shardOf(p, shards); ok {
			by[k] = append(by[k], p)
		}
	}
	var tasks []task
	for k, in := range by {
		tasks = append(tasks, task{k, in})
	}
	return tasks
}

// counters sums the counters among references, and returns the others.
func counters(t *testing.T, out []harrow.Part) (sum map[string]int64, parts []harrow.Part) {
	t.Helper()
	sum = map[string]int64{}
	for _, p := range out {
		if p.Table != "" {
			parts = append(parts, p)
			continue
		}
		var some map[string]int64
		if err := json.Unmarshal([]byte(p.Tag), &some); err != nil {
			t.Fatal(err)
		}
		for k, n := range some {
			sum[k] += n
		}
	}
	maps.DeleteFunc(sum, func(_ string, n int64) bool { return n == 0 })
	return sum, parts
}

func TestShardsAreLoadedIntoEverySink(t *testing.T) {
	env, parts := workspace(t)
	f := &fake{}
	c := config(map[string]json.RawMessage{"sqlite": nil, "fake": newFake(t, f)})
	tasks := tasksOf(c, env.Shards, parts)
	if len(tasks) != 3 {
		t.Fatalf("tasks %+v", tasks)
	}
	for range 2 { // marks make the second time the same
		out, err := loadAll(t.Context(), env, c, tasks)
		if err != nil {
			t.Fatal(err)
		}
		got, rejects := counters(t, out)
		want := map[string]int64{"load.sqlite.book.added": 4, "load.sqlite.book.rejected": 1, "load.sqlite.note.added": 2,
			"load.fake.book.added": 3, "load.fake.book.rejected": 2, "load.fake.note.added": 1, "load.fake.note.rejected": 1}
		if !maps.Equal(got, want) {
			t.Errorf("counters %v, want %v", got, want)
		}
		checkRejects(t, env, rejects, 4)
	}
	lake, _ := env.Open()
	m, err := lake.Manifest(t.Context(), "refine")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.loads {
		if s.Input != m.Digest || s.Run != run || s.Shards != 4 || s.Latest != "_fetched_at" ||
			s.Record.Name == "book" && !slices.Equal(s.Key, []string{"upc"}) || s.Record.Name == "note" && !slices.Equal(s.Key, []string{"_id", "_ordinal"}) {
			t.Errorf("shard %+v", s)
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(env.Workspace, "shop", "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT count(*) FROM book").Scan(&n); err != nil || n != 4 {
		t.Error(n, err)
	}
}

func checkRejects(t *testing.T, env engine.Env, parts []harrow.Part, want int) {
	t.Helper()
	lake, _ := env.Open()
	n := 0
	for _, p := range parts {
		for r, err := range lakeio.ReadRows(t.Context(), lake.Store, lakeio.Rejects, p) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Stage != "load" || r.At.IsZero() || r.URL != "http://a.example/" || !json.Valid([]byte(r.Payload)) {
				t.Errorf("%+v", r)
			}
			n++
		}
	}
	if n != want {
		t.Errorf("%d rejects, want %d", n, want)
	}
}

func TestAStoreThatIsAwayIsTriedAgain(t *testing.T) {
	env, parts := workspace(t)
	f := &fake{failures: 3}
	c := config(map[string]json.RawMessage{"fake": newFake(t, f)})
	l, err := newLoader(t.Context(), env, c)
	if err != nil {
		t.Fatal(err)
	}
	l.backoff = make([]time.Duration, 3)
	key, _ := c.shardOf(parts[0], env.Shards)
	out, err := l.load(t.Context(), key, parts[:1])
	if err != nil || len(f.loads) != 4 {
		t.Fatal(err, len(f.loads))
	}
	got, rejects := counters(t, out) // of the last try alone
	if want := map[string]int64{"load.fake.book.added": 1, "load.fake.book.rejected": 1}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	checkRejects(t, env, rejects, 1)

	f.failures, f.loads = -1, nil
	if _, err = l.load(t.Context(), key, parts[:1]); err == nil || !strings.Contains(err.Error(), "load.fake: the store is away") || len(f.loads) != 4 {
		t.Error(err, len(f.loads))
	}
	f.loads = nil
	gone := parts[0]
	gone.URI = "shop/gone.arrow"
	if _, err = l.load(t.Context(), key, []harrow.Part{gone}); !errors.Is(err, lakeio.ErrNotFound) || len(f.loads) != 0 {
		t.Error(err)
	}
	l.backoff = []time.Duration{time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = l.load(ctx, key, parts[:1]); err == nil {
		t.Error("a run that was stopped went on")
	}
	f.closeErr = errors.New("lost on close")
	if err := l.close(); err == nil || !strings.Contains(err.Error(), "load.fake: lost on close") {
		t.Error(err)
	}
}

func TestWhatCannotBeginNamesTheReason(t *testing.T) {
	env, _ := workspace(t)
	t.Setenv("SET", "x")
	for _, c := range []struct {
		change func(*engine.Env)
		load   map[string]json.RawMessage
		want   []string
	}{
		{nil, map[string]json.RawMessage{"none": nil}, []string{"load.none: on worker ", `no sink is called "none"`}},
		{nil, map[string]json.RawMessage{"fake": json.RawMessage(`"${UNSET_NAME}"`)}, []string{"load.fake: on worker ", "${UNSET_NAME} has no value"}},
		{nil, map[string]json.RawMessage{"fake": json.RawMessage(`"${SET}"`)}, []string{"load.fake: on worker ", "no fake x"}},
		{func(e *engine.Env) { e.Run = "0190e000-0000-7000-8000-000000000002" }, map[string]json.RawMessage{"sqlite": nil}, []string{"not found"}},
	} {
		env := env
		if c.change != nil {
			c.change(&env)
		}
		_, err := newLoader(t.Context(), env, config(c.load))
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q in it", err, want)
			}
		}
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("no sink is fine")
	}
	if err := config(map[string]json.RawMessage{"none": nil}).Validate(); err == nil {
		t.Error("an unknown sink is fine")
	}
}

func TestRefineOfAnotherRunIsTheInput(t *testing.T) {
	env, _ := workspace(t)
	lake, _ := env.Open()
	const child = "0190e000-0000-7000-8000-000000000003"
	if err := lakeio.CreateRun(t.Context(), lake.Store, lakeio.Run{ID: child, Job: "shop", Parent: run, Sources: map[string]string{"refine": run}}); err != nil {
		t.Fatal(err)
	}
	env.Run = child
	l, err := newLoader(t.Context(), env, config(map[string]json.RawMessage{"sqlite": nil}))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := lake.Manifest(t.Context(), "refine")
	if l.input != m.Digest {
		t.Errorf("%s, want %s", l.input, m.Digest)
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}

func TestShardKeysSurviveTheirText(t *testing.T) {
	for _, k := range []shardKey{{"book", 0}, {"a/b", 65535}, {"", 100000}} {
		if got, err := parseShardKey(k.String()); got != k || err != nil {
			t.Errorf("%v: %v %v", k, got, err)
		}
	}
	for _, s := range []string{"", "1", "x/book"} {
		if _, err := parseShardKey(s); err == nil {
			t.Errorf("%q is a shard", s)
		}
	}
}

func TestConfigOfAJob(t *testing.T) {
	c := ConfigOf(harrow.Job{Refine: map[string]harrow.Refine{
		"book": {Key: []string{"upc"}, Keep: harrow.Keep{Policy: harrow.KeepLatest, Column: "listed"}}, "note": {}}}, "/jobs")
	if len(c.Records) != 1 || c.Records["book"].Latest != "listed" || c.Dir != "/jobs" {
		t.Errorf("%+v", c)
	}
}

// TestRowsCommit goes through both DoFns and the commit, then again when the
// stage has committed.
func TestRowsCommit(t *testing.T) {
	env, in := workspace(t)
	cfg := config(map[string]json.RawMessage{"sqlite": json.RawMessage(`{"path":"other.db"}`)})
	for range 2 {
		p, s := beam.NewPipelineWithRoot()
		passert.Count(s, parts.Commit(s, env, Rows(s, env, cfg, parts.Collection{Col: beam.CreateList(s, in)})).Col, "parts", 1)
		if _, err := direct.Execute(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		lake, _ := env.Open()
		m, err := lake.Manifest(t.Context(), "load")
		if err != nil {
			t.Fatal(err)
		}
		if c := m.Counters; c["load.sqlite.book.added"] != 4 || c["load.sqlite.book.rejected"] != 1 || c["load.sqlite.note.added"] != 2 {
			t.Errorf("counters %v", c)
		}
		checkRejects(t, env, m.Parts, 1)
		cfg.Load = map[string]json.RawMessage{"fake": newFake(t, &fake{failures: -1})} // isn't asked any more
	}
}

func TestOnlyNarrowedTablesAreLoaded(t *testing.T) {
	env, in := workspace(t)
	p, s := beam.NewPipelineWithRoot()
	f := &fake{}
	cfg := config(map[string]json.RawMessage{"fake": newFake(t, f)})
	out := Rows(s, env, cfg, parts.Collection{Col: beam.CreateList(s, in), Tables: []string{"records/note"}})
	passert.Count(s, out.Col, "references", 2) // counters and rejects
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if len(f.loads) != 1 || f.loads[0].Record.Name != "note" {
		t.Errorf("%+v", f.loads)
	}
}
