// Package sinktest is the conformance suite of sinks: one call in the test of
// a plug-in holds it to what Harrow relies on.
package sinktest

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/internal/rows"
)

// Store is an empty store to try a sink on.
type Store struct {
	// Open makes a sink of the store. It is called several times, and the
	// sinks are used at once. The suite closes them.
	Open func() (harrow.Sink, error)
	// Rows reads all that the store shows of a record: one map a row, by
	// column, provenance columns too; none where there is no such record. A
	// value is of the Go type that harrow.Kind names, or text as in the JSON
	// of `harrow cat` (decimals, dates, timestamps; a list is a JSON array).
	Rows func(t harrow.RecordType) ([]map[string]any, error)
	// History says that the store keeps the rows of all runs side by side
	// instead of updating them by their key.
	History bool
}

// Run runs the suite, each demand as a subtest on a store of its own:
//
//   - every type survives, with nulls and the ends of its range, and so do
//     names with quotes and letters of all scripts, unless Check refuses them;
//   - counts say what was done and add up to the rows; a row whose key is null
//     is a reject, and the others are loaded;
//   - a shard that is loaded is not loaded again, whoever tries: its counts and
//     rejects are reported, nothing changes; with another digest of the input
//     or another number of shards it is;
//   - a row that is equal in its data columns is not touched, a changed one is
//     written, and one that is older than the stored one is stale (not with
//     History);
//   - an error of the input or of Reject, and the end of the context, are
//     returned and leave nothing half;
//   - shards may be loaded at once, through one sink and through several, and
//     no batch is used beyond its turn;
//   - Check refuses a column of another type than the stored one, before
//     anything is loaded;
//   - of a [harrow.Publisher] nothing is shown before Publish, and nothing
//     twice however often it is called;
//   - a [harrow.Collector] removes what it keeps of the runs it is given, says
//     before what that will be, and touches nothing that is shown.
func Run(t *testing.T, empty func(tb testing.TB) Store) {
	t.Helper()
	for _, d := range demands {
		t.Run(d.name, func(t *testing.T) { d.check(&bench{TB: t, store: empty(t)}) })
	}
}

// demand is one subtest.
type demand struct {
	name  string
	check func(*bench)
}

var demands = []demand{
	{"keeps every type", everyType},
	{"keeps names", names},
	{"counts what it does", counts},
	{"loads a shard once", once},
	{"takes another input for another load", another},
	{"leaves equal rows alone and writes changed ones", changes},
	{"doesn't write what is older", stale},
	{"returns errors and leaves nothing half", errorsLeaveNothing},
	{"ends with its context", endsWithContext},
	{"loads shards at once", atOnce},
	{"keeps no batch", keepsNoBatch},
	{"checks types before anything is loaded", checks},
	{"publishes once", publishes},
	{"collects what runs leave", collects},
}

// bench is a store under test.
type bench struct {
	testing.TB
	store Store
	sum   map[string]map[string]harrow.Counts // of loads that came through, by run and record
	seen  map[string]bool
	mu    sync.Mutex
}

const (
	run1 = "0190e000-0000-7000-8000-000000000001"
	run2 = "0190e000-0000-7000-8000-000000000002"
	run3 = "0190e000-0000-7000-8000-000000000003"

	shards = 4
)

var item = harrow.RecordType{Name: "item", Columns: []harrow.Column{
	{Name: "code", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "note", Type: harrow.Type{Kind: harrow.Text}},
}}

func (b *bench) open() harrow.Sink {
	b.Helper()
	s, err := b.store.Open()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Errorf("Close: %v", err)
		}
	})
	return s
}

// shard is a shard of rows, in batches of two.
func (b *bench) shard(t harrow.RecordType, run string, list ...rows.Row) harrow.Shard {
	b.Helper()
	return harrow.Shard{Run: run, Record: t, Key: []string{t.Columns[0].Name}, Latest: "_fetched_at", Input: "digest of " + run, Shards: shards,
		Batches: rows.Batches(b, &rows.Memory{}, t, run, list, slices.Repeat([]int{2}, len(list))...), Reject: func(harrow.Reject) error { return nil }}
}

// items are rows of item; stock goes up from n.
func items(n int64, codes ...any) []rows.Row {
	var list []rows.Row
	for i, code := range codes {
		list = append(list, rows.Row{Values: map[string]any{"code": code, "stock": n + int64(i), "note": "of a suite"}})
	}
	return list
}

// load loads a shard, which must come to these counts.
func (b *bench) load(s harrow.Sink, shard harrow.Shard, want harrow.Counts) {
	b.Helper()
	got, err := s.Load(b.Context(), shard)
	if err != nil {
		b.Fatal(err)
	}
	if got != want {
		b.Errorf("counts %+v, want %+v", got, want)
	}
	b.note(shard, got)
}

// note remembers what a run has loaded: that is what it commits.
func (b *bench) note(shard harrow.Shard, n harrow.Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := fmt.Sprint(shard.Run, shard.Record.Name, shard.Input, shard.Shard, shard.Shards)
	if b.seen[key] {
		return
	}
	if b.seen == nil {
		b.seen, b.sum = map[string]bool{}, map[string]map[string]harrow.Counts{}
	}
	b.seen[key] = true
	load := loadedKey(shard.Run, shard.Input, shard.Shards)
	if b.sum[load] == nil {
		b.sum[load] = map[string]harrow.Counts{}
	}
	b.sum[load][shard.Record.Name] = b.sum[load][shard.Record.Name].Add(n)
}

func loadedKey(run, input string, shards int) string { return fmt.Sprint(run, input, shards) }

// commit does what follows stage load: a publisher shows the run.
func (b *bench) commit(s harrow.Sink, run string) {
	b.Helper()
	p, ok := s.(harrow.Publisher)
	if !ok {
		return
	}
	if err := p.Publish(b.Context(), b.loaded(run)); err != nil {
		b.Fatalf("Publish: %v", err)
	}
}

func (b *bench) loaded(run string) harrow.Loaded {
	input := "digest of " + run
	return harrow.Loaded{Run: run, Input: input, Shards: shards, Counts: b.sum[loadedKey(run, input, shards)]}
}

// shows compares what the store shows of a record with what it should.
func (b *bench) shows(what string, t harrow.RecordType, want []map[string]any, others ...string) {
	b.Helper()
	rows.Same(b, what, rows.Texts(t, b.rows(t), others...), rows.Texts(t, want, others...))
}

func (b *bench) rows(t harrow.RecordType) []map[string]any {
	b.Helper()
	got, err := b.store.Rows(t)
	if err != nil {
		b.Fatalf("reading record %s: %v", t.Name, err)
	}
	return got
}

// values are the data columns of rows, with the run that wrote them.
func values(run string, list []rows.Row) []map[string]any {
	var out []map[string]any
	for _, r := range list {
		v := map[string]any{"_run": run}
		for name, value := range r.Values {
			v[name] = value
		}
		out = append(out, v)
	}
	return out
}

func added(n int) harrow.Counts { return harrow.Counts{Added: int64(n)} }

func names(b *bench) {
	t := harrow.RecordType{Name: `it'em "x" 品`, Columns: []harrow.Column{
		{Name: "code", Type: harrow.Type{Kind: harrow.Text}}, {Name: `a "quoted" name`, Type: harrow.Type{Kind: harrow.Text}},
		{Name: "Größe", Type: harrow.Type{Kind: harrow.Int}}, {Name: "select", Type: harrow.Type{Kind: harrow.Text}}, {Name: "a; DROP TABLE x --", Type: harrow.Type{Kind: harrow.Text}}}}
	s := b.open()
	if err := s.Check(b.Context(), []harrow.RecordType{t}); err != nil {
		b.Logf("Check refuses such names: %v", err)
		return
	}
	list := rows.Of(map[string]any{"code": `'"\`, `a "quoted" name`: `'); DROP TABLE x; --`, "Größe": int64(1), "select": "%s", "a; DROP TABLE x --": "\u202e漢字 👩‍🌾"})
	b.load(s, b.shard(t, run1, list...), added(1))
	b.commit(s, run1)
	b.shows("rows", t, values(run1, list))
}

func counts(b *bench) {
	s := b.open()
	list := items(1, "a", nil, "b", nil, "c")
	shard := b.shard(item, run1, list...)
	var rejects []harrow.Reject
	shard.Reject = func(r harrow.Reject) error { rejects = append(rejects, r); return nil }
	b.load(s, shard, harrow.Counts{Added: 3, Rejected: 2})
	for _, r := range rejects {
		if r.Class != harrow.DataFault || r.Code == "" || r.Reason == "" || r.Record != item.Name || r.ID.IsZero() || !strings.Contains(r.Payload, "of a suite") {
			b.Errorf("reject %+v: want class data, a code, a reason, the record, the id and the row as payload", r)
		}
	}
	if len(rejects) != 2 {
		b.Errorf("%d rejects, want 2", len(rejects))
	}
	b.commit(s, run1)
	b.shows("rows", item, values(run1, []rows.Row{list[0], list[2], list[4]}), "_run")
}

func once(b *bench) {
	s := b.open()
	list := items(1, "a", nil, "b", "c")
	want := harrow.Counts{Added: 3, Rejected: 1}
	b.load(s, b.shard(item, run1, list...), want)
	again := []harrow.Sink{s, b.open()} // this process, and another
	for _, s := range again {
		shard := b.shard(item, run1, list...)
		n := 0
		shard.Reject = func(harrow.Reject) error { n++; return nil }
		b.load(s, shard, want)
		if n != 1 {
			b.Errorf("%d rejects of a shard that is loaded already, want the same 1: its own may not have been committed", n)
		}
		// Were it loaded, this would show.
		b.load(s, b.shard(item, run1, items(100, "x", nil, "y", "z")...), want)
	}
	b.commit(s, run1)
	b.shows("rows", item, values(run1, []rows.Row{list[0], list[2], list[3]}), "_run")
	b.load(b.open(), b.shard(item, run1, list...), want)
	b.shows("rows after one more load", item, values(run1, []rows.Row{list[0], list[2], list[3]}), "_run")
}

func another(b *bench) {
	s := b.open()
	list := items(1, "a", "b")
	b.load(s, b.shard(item, run1, list...), added(2))
	again := harrow.Counts{Unchanged: 2}
	if b.store.History {
		again = added(2)
	}
	for i, change := range []func(*harrow.Shard){
		func(s *harrow.Shard) { s.Input = "another" },
		func(s *harrow.Shard) { s.Shards++ },
		func(s *harrow.Shard) { s.Shard++; s.Batches = b.shard(item, run1, items(9, "c", "d")...).Batches },
	} {
		shard := b.shard(item, run1, list...)
		change(&shard)
		if i == 2 {
			again = added(2)
		}
		b.load(s, shard, again)
	}
	b.commit(s, run1)
	b.shows("rows", item, values(run1, append(list, items(9, "c", "d")...)))
}

func changes(b *bench) {
	if b.store.History {
		history(b)
		return
	}
	s := b.open()
	first := items(1, "a", "b", "c")
	b.load(s, b.shard(item, run1, first...), added(3))
	b.commit(s, run1)
	second := items(1, "a", "b", "d")
	second[1].Values["note"] = nil
	for i := range second {
		second[i].FetchedAt = rows.At.AddDate(0, 0, 1)
	}
	b.load(s, b.shard(item, run2, second...), harrow.Counts{Added: 1, Changed: 1, Unchanged: 1})
	b.commit(s, run2)
	want := append(values(run1, []rows.Row{first[0], first[2]}), values(run2, second[1:])...)
	b.shows("rows", item, want, "_run") // an equal row still says which run wrote it
}

// history is what changes are to a store that keeps all runs.
func history(b *bench) {
	s := b.open()
	first, second := items(1, "a", "b"), items(7, "b", "c")
	for run, list := range map[string][]rows.Row{run1: first, run2: second} {
		b.load(s, b.shard(item, run, list...), added(2))
		b.commit(s, run)
	}
	b.shows("rows", item, append(values(run1, first), values(run2, second)...), "_run")
}

func stale(b *bench) {
	if b.store.History {
		return
	}
	s := b.open()
	first := items(5, "a", "b")
	b.load(s, b.shard(item, run1, first...), added(2))
	b.commit(s, run1)
	old := items(1, "a", "b")
	for i := range old {
		old[i].FetchedAt = rows.At.AddDate(0, 0, -1)
	}
	b.load(s, b.shard(item, run2, old...), harrow.Counts{Stale: 2})
	b.commit(s, run2)
	b.shows("rows", item, values(run1, first), "_run")
	// By a column: 5 and 6 are stored.
	shard := b.shard(item, run3, rows.Of(map[string]any{"code": "a", "stock": int64(4)}, map[string]any{"code": "b", "stock": int64(7)})...)
	shard.Latest = "stock"
	b.load(s, shard, harrow.Counts{Changed: 1, Stale: 1})
	b.commit(s, run3)
	b.shows("by a column", item, append(values(run1, first[:1]), values(run3, rows.Of(map[string]any{"code": "b", "stock": int64(7)}))...), "_run")
}

func keepsNoBatch(b *bench) {
	s := b.open()
	memory := &rows.Memory{}
	var list []rows.Row
	for i := range 50 {
		list = append(list, items(int64(i), fmt.Sprintf("code %03d", i))...)
	}
	shard := b.shard(item, run1)
	shard.Batches = rows.Batches(b, memory, item, run1, list, slices.Repeat([]int{1}, 50)...)
	b.load(s, shard, added(50))
	if n := memory.Held(); n != 0 {
		b.Errorf("after Load %d bytes of its batches are held: Release what you Retain", n)
	}
	b.commit(s, run1)
	b.shows("rows", item, values(run1, list), "_run")
}

func checks(b *bench) {
	s := b.open()
	if err := s.Check(b.Context(), []harrow.RecordType{item}); err != nil {
		b.Errorf("Check of an empty store: %v", err)
	}
	list := items(1, "a")
	b.load(s, b.shard(item, run1, list...), added(1))
	b.commit(s, run1)
	s = b.open()
	more := item
	more.Columns = append(slices.Clone(item.Columns), harrow.Column{Name: "added", Type: harrow.Type{Kind: harrow.Text}})
	for _, t := range []harrow.RecordType{item, more} {
		if err := s.Check(b.Context(), []harrow.RecordType{t}); err != nil {
			b.Errorf("Check of what is stored, and a column more: %v", err)
		}
	}
	other := item
	other.Columns = slices.Clone(item.Columns)
	other.Columns[1].Type = harrow.Type{Kind: harrow.Bool}
	if err := s.Check(b.Context(), []harrow.RecordType{other}); err == nil || !strings.Contains(err.Error(), "stock") {
		b.Errorf("column stock is stored as int, Check is asked for bool: %v; want an error that names the column", err)
	}
	b.shows("rows", item, values(run1, list), "_run")
}

func publishes(b *bench) {
	s := b.open()
	p, ok := s.(harrow.Publisher)
	if !ok {
		return
	}
	list := items(1, "a", "b")
	b.load(s, b.shard(item, run1, list...), added(2))
	if got := b.rows(item); len(got) > 0 {
		b.Errorf("%d rows are shown before the run has committed", len(got))
	}
	other, _ := b.open().(harrow.Publisher) // as after a restart
	for _, p := range []harrow.Publisher{p, other, p} {
		if err := p.Publish(b.Context(), b.loaded(run1)); err != nil {
			b.Fatalf("Publish: %v", err)
		}
		b.shows("rows after Publish", item, values(run1, list), "_run")
	}
	if err := p.Publish(b.Context(), harrow.Loaded{Run: run2, Input: "nothing", Shards: shards}); err != nil {
		b.Errorf("a run without rows: %v", err)
	}
	if err := p.Publish(b.Context(), harrow.Loaded{Run: run3, Input: "lost", Shards: shards, Counts: map[string]harrow.Counts{item.Name: added(2)}}); err == nil {
		b.Error("a run that has committed 2 rows, of which the store has none, is published")
	}
	b.load(other, b.shard(item, run1, list...), added(2))
	b.commit(other, run1)
	b.shows("rows after a late load", item, values(run1, list), "_run")
}

// cutShort yields the first batch, does something, and goes on.
func cutShort(shard harrow.Shard, after func() error) harrow.Shard {
	all := shard.Batches
	shard.Batches = func() iter.Seq2[harrow.Batch, error] {
		return func(yield func(harrow.Batch, error) bool) {
			for batch, err := range all() {
				if !yield(batch, err) {
					return
				}
				if err := after(); err != nil {
					yield(harrow.Batch{}, err)
					return
				}
			}
		}
	}
	return shard
}
