package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
)

func someItems(seed uint64, n int) []item {
	r := rand.New(rand.NewPCG(seed, 1))
	items := make([]item, n)
	for i := range items {
		items[i] = item{fmt.Sprintf("key-%d", r.IntN(n/3+1)), int64(r.IntN(5)) - 2, fmt.Sprintf("%x", r.Uint64()) + strings.Repeat("y", r.IntN(80))}
		if r.IntN(20) == 0 {
			items[i].key = ""
		}
	}
	return items
}

// only narrows parts to a table's.
func only(parts []harrow.Part, table string) (out []harrow.Part) {
	for _, p := range parts {
		if p.Table == table {
			out = append(out, p)
		}
	}
	return out
}

// writeParts spreads items over parts.
func writeParts(t testing.TB, w *Worker, items []item, parts, batch int) (out []harrow.Part) {
	t.Helper()
	for c := range slices.Chunk(items, (len(items)+parts-1)/parts) {
		out = append(out, writeItems(t, w, c, batch))
	}
	return out
}

func TestShuffleIsSortBySlices(t *testing.T) {
	for _, shards := range []int{1, 4, 32} {
		for _, passes := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d shards, %d passes", shards, passes), func(t *testing.T) {
				testShuffle(t, shards, passes)
			})
		}
	}
}

func testShuffle(t *testing.T, shards, passes int) {
	w := newTestWorker(t)
	// So little that every batch of the input is a spill.
	w.shuffle = memory.NewShare("shuffle", 60<<10)
	items := someItems(uint64(shards), 1600)
	key := Key{Columns: []string{"key"}, Order: []string{"n"}, Shards: shards}
	sliced, err := runTasks(t, w.Spill(key, Step{}, writeParts(t, w, items, 4, 100))...)
	if err != nil {
		t.Fatal(err)
	}
	merged, home := map[int][]item{}, map[string]int{}
	for shard, sl := range byShard(sliced) {
		most := 32
		if passes > 1 {
			most = 3
		}
		// What lets most slices be open at once; a quarter of it is for the output.
		w.shuffle = memory.NewShare("shuffle", int64(most)*2*largest(sl)*8/3+8)
		if shards < 32 && (len(sl) != 16 || fanIn(runsOf(w, sl), w.shuffle.Size()/8*3) != most) {
			t.Fatalf("%d slices of which %d fit; the test wants 16 and %d", len(sl), fanIn(runsOf(w, sl), w.shuffle.Size()/8*3), most)
		}
		parts, err := runTasks(t, w.Merge(step(`{}`), shard, sl, 1))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if p.Shard != shard {
				t.Errorf("part %v of shard %d", p, shard)
			}
		}
		merged[shard] = readItems(t, w, only(parts, itemTable))
		for _, i := range merged[shard] {
			if at, ok := home[i.key]; ok && at != shard {
				t.Fatalf("key %q is in shards %d and %d", i.key, at, shard)
			}
			home[i.key] = shard
		}
	}
	model := map[int][]item{}
	for _, i := range items {
		model[home[i.key]] = append(model[home[i.key]], i)
	}
	for shard, m := range model {
		slices.SortFunc(m, item.less)
		if !slices.Equal(m, merged[shard]) {
			t.Errorf("shard %d: %d rows merged, not what sort makes of %d", shard, len(merged[shard]), len(m))
		}
	}
}

func largest(sl []Slice) (n int64) {
	for _, s := range sl {
		n = max(n, s.Largest)
	}
	return n
}

func runsOf(w *Worker, sl []Slice) (runs []run) {
	for _, s := range sl {
		runs = append(runs, run{w.lake.Store, s})
	}
	return runs
}

func TestShuffleDoesNotDependOnMemoryOrParts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newTestWorker(t)
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) item {
			return item{rapid.StringN(0, 3, -1).Draw(t, "key"), rapid.Int64().Draw(t, "n"), rapid.String().Draw(t, "text")}
		}), 1, 60).Draw(rt, "items")
		for i := range items {
			items[i].key, items[i].text = strings.ToValidUTF8(items[i].key, "?"), strings.ToValidUTF8(items[i].text, "?")
		}
		parts := writeParts(t, w, items, rapid.IntRange(1, 4).Draw(rt, "parts"), rapid.IntRange(1, 9).Draw(rt, "batch"))
		w.shuffle = memory.NewShare("shuffle", rapid.Int64Range(100, 1<<20).Draw(rt, "memory"))
		sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Order: []string{"n"}, Shards: 1}, Step{}, parts)...)
		if err != nil {
			rt.Fatal(err)
		}
		out, err := runTasks(t, w.Merge(step(`{}`), 0, byShard(sliced)[0], 1))
		if err != nil {
			rt.Fatal(err)
		}
		got := readItems(t, w, only(out, itemTable))
		slices.SortFunc(items, item.less)
		if !slices.Equal(got, items) {
			rt.Fatalf("got %v, want %v", got, items)
		}
	})
}

func TestOperatorSeesKeysGrouped(t *testing.T) {
	w := newTestWorker(t)
	w.shuffle = memory.NewShare("shuffle", 200<<10)
	items := someItems(5, 4000)
	sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Order: []string{"n"}}, Step{}, writeParts(t, w, items, 3, 100))...)
	if err != nil {
		t.Fatal(err)
	}
	var tasks []Task[harrow.Part]
	for shard, s := range byShard(sliced) {
		tasks = append(tasks, w.Merge(Step{Operator: "group"}, shard, s, 4))
	}
	parts, err := runTasks(t, tasks...)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, i := range items {
		keys[i.key] = true
	}
	if got := readItems(t, w, parts); len(got) != len(keys) {
		t.Errorf("%d groups of %d keys", len(got), len(keys))
	}
}

func TestSlicesStayBelowTheirBound(t *testing.T) {
	w := newTestWorker(t)
	items := make([]item, 3000)
	for i := range items {
		items[i] = item{fmt.Sprint(i % 7), int64(i), strings.Repeat("z", 1000)}
	}
	items[17].text = strings.Repeat("w", 1<<20)
	sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Shards: 2}, Step{}, []harrow.Part{writeItems(t, w, items, 1000)})...)
	if err != nil {
		t.Fatal(err)
	}
	huge := 0
	for _, s := range sliced {
		r, err := lakeio.OpenPart(t.Context(), w.lake.Store, s.Slice.URI, itemTable)
		if err != nil {
			t.Fatal(err)
		}
		for i := s.Slice.First; i < s.Slice.First+s.Slice.Batches; i++ {
			b, err := r.Batch(i)
			if err != nil {
				t.Fatal(err)
			}
			size := lakeio.BatchSize(b)
			if size > s.Slice.Largest {
				t.Errorf("a batch of %d bytes, the slice says at most %d", size, s.Slice.Largest)
			}
			if size > sliceBatchBytes {
				huge++
			}
			b.Release()
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if huge != 1 {
		t.Errorf("%d batches over the bound, want the one with the huge row", huge)
	}
}

func TestReadSlicesGivesEveryRowWithoutItsSortKey(t *testing.T) {
	w := newTestWorker(t)
	w.shuffle = memory.NewShare("shuffle", 50<<10)
	items := someItems(9, 500)
	sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Shards: 3}, Step{}, writeParts(t, w, items, 2, 50))...)
	if err != nil {
		t.Fatal(err)
	}
	var got []item
	for _, s := range byShard(sliced) {
		err := ReadSlices(t.Context(), w.lake, s, func(b harrow.Batch) error {
			if b.Column(sortColumn) != nil {
				t.Fatal("a batch with the sort key")
			}
			if table, _, err := lakeio.TableOf(b.Arrow().Schema()); err != nil || table != itemTable {
				t.Fatalf("table %q, %v", table, err)
			}
			got = append(got, itemsOf(b)...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(got, item.less)
	slices.SortFunc(items, item.less)
	if !slices.Equal(got, items) {
		t.Errorf("%d rows, want %d", len(got), len(items))
	}
}

func TestDamagedSlicesAreNamed(t *testing.T) {
	for name, damage := range map[string]func(file string, s *Slice) error{
		"truncated": func(file string, _ *Slice) error { return os.Truncate(file, 300) },
		"missing":   func(file string, _ *Slice) error { return os.Remove(file) },
		"overwritten": func(file string, _ *Slice) error {
			data, err := os.ReadFile(file)
			for i := 600; err == nil && i < len(data)/2; i++ {
				data[i] ^= 0x5A
			}
			return errors.Join(err, os.WriteFile(file, data, 0o666))
		},
		"other rows":  func(_ string, s *Slice) error { s.Rows++; return nil },
		"beyond":      func(_ string, s *Slice) error { s.First = 99; return nil },
		"other table": func(_ string, s *Slice) error { s.Table = "captures"; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestWorker(t)
			sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Shards: 1}, Step{}, writeParts(t, w, someItems(2, 400), 1, 400))...)
			if err != nil {
				t.Fatal(err)
			}
			s := sliced[0].Slice
			if err := damage(filepath.Join(w.lake.Store.Local(), s.URI), &s); err != nil {
				t.Fatal(err)
			}
			_, err = runTasks(t, w.Merge(step(`{}`), 0, []Slice{s}, 1))
			if err == nil || !strings.Contains(err.Error(), s.URI) {
				t.Errorf("error %v, want one that names %s", err, s.URI)
			}
			if left := files(t, w, "job/runs/run/refine/records"); len(left) != 0 {
				t.Errorf("output %v stays", left)
			}
		})
	}
}

func TestFailedMergesLeaveNothing(t *testing.T) {
	for _, config := range []string{`{"Fail":"process"}`, `{"Fail":"finish"}`, `{"Fail":"panic"}`} {
		t.Run(config, func(t *testing.T) {
			w := newTestWorker(t)
			w.shuffle = memory.NewShare("shuffle", 50<<10)
			sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Shards: 1}, Step{}, writeParts(t, w, someItems(2, 1000), 1, 50))...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = runTasks(t, w.Merge(step(config), 0, byShard(sliced)[0], 1)); err == nil || !strings.Contains(err.Error(), "operator test") {
				t.Errorf("error %v, want one that names the operator", err)
			}
			for _, table := range []string{"records", "rejects"} {
				if left := files(t, w, "job/runs/run/refine/"+table); len(left) != 0 {
					t.Errorf("output %v stays", left)
				}
			}
		})
	}
}

func TestFailedSpillsLeaveNoTemporaryFile(t *testing.T) {
	w := newTestWorker(t)
	parts := writeParts(t, w, someItems(2, 1000), 1, 50)
	flaky(w).full.Store(20_000)
	if _, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Shards: 1}, Step{}, parts)...); !errors.Is(err, errTest) {
		t.Errorf("error %v, want that of the disk", err)
	}
	if left := files(t, w, "job"); len(left) != 0 {
		t.Errorf("%v stays", left)
	}
}

func TestFaultsThatPassAreNotSeen(t *testing.T) {
	w := newTestWorker(t)
	items := someItems(2, 1000)
	parts := writeParts(t, w, items, 1, 50)
	store := flaky(w)
	store.fails.Store(2)
	store.short.Store(2)
	sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Shards: 1}, Step{}, parts)...)
	if err != nil {
		t.Fatal(err)
	}
	store.fails.Store(1)
	store.short.Store(2)
	out, err := runTasks(t, w.Merge(step(`{}`), 0, byShard(sliced)[0], 1))
	if err != nil {
		t.Fatal(err)
	}
	rows := int64(0)
	for _, p := range out {
		if p.Table == itemTable {
			rows += p.Rows
		}
	}
	if rows != int64(len(items)) {
		t.Errorf("%d rows, want %d", rows, len(items))
	}
	if n := len(files(t, w, "job/runs/run/refine")); n != len(out)+1 {
		t.Errorf("%d files, want %d parts and one slice", n, len(out))
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	w := newTestWorker(t)
	part := writeItems(t, w, someItems(1, 3), 3)
	for _, key := range []Key{{}, {Columns: []string{"nope"}}, {Columns: []string{"key"}, Order: []string{"nope"}}, {Columns: []string{"key"}, Shards: -1}} {
		if _, err := runTasks(t, w.Spill(key, Step{}, []harrow.Part{part})...); err == nil {
			t.Errorf("key %v gave no error", key)
		}
	}
	if _, err := plainSchema(withSort(lakeio.RecordSchema(itemType))); err == nil {
		t.Error("a table with a column _sort gave no error")
	}
}

func TestSchemaOfAShuffleForgetsCounters(t *testing.T) {
	s, err := plainSchema(lakeio.WithCounters(lakeio.RecordSchema(itemType), map[string]int64{"x": 1}))
	if err != nil {
		t.Fatal(err)
	}
	meta := s.Metadata()
	if want := lakeio.RecordSchema(itemType).Metadata(); !meta.Equal(want) {
		t.Errorf("metadata %v, want %v", meta, want)
	}
	if back := withoutSort(withSort(s)); !back.Equal(s) || arrow.Metadata.FindKey(back.Metadata(), "harrow.table") < 0 {
		t.Errorf("schema %v after adding and taking away the sort key", back)
	}
}

func TestTablesMeetInOneOrder(t *testing.T) {
	w := newTestWorker(t)
	other := itemType
	other.Name = "other"
	b := lakeio.NewRecordBuilder(other)
	defer b.Release()
	for i := range 3 {
		if err := b.Append([]any{fmt.Sprintf("key-%d", i), int64(i), nil, nil, nil}, lakeio.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	out := w.newOutput(t.Context(), 0)
	rec := b.Batch()
	defer rec.Release()
	if err := out.Emit("records/other", rec); err != nil {
		t.Fatal(err)
	}
	parts, err := out.close()
	if err != nil {
		t.Fatal(err)
	}
	parts = append(parts, writeItems(t, w, []item{{"key-0", 0, "a"}, {"key-1", 0, "b"}, {"key-2", 9, "c"}}, 3))
	sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Order: []string{"n"}, Shards: 1}, Step{}, parts)...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = mergeRuns(t.Context(), runsOf(w, byShard(sliced)[0]), func(c *cursor) error {
		i := itemsOf(c.batch)[c.row]
		got = append(got, fmt.Sprintf("%s/%d %s", i.key, i.n, c.slice.Table))
		return nil
	})
	want := []string{"key-0/0 records/item", "key-0/0 records/other", "key-1/0 records/item", "key-1/1 records/other", "key-2/2 records/other", "key-2/9 records/item"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}
