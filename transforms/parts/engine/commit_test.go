package engine

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func TestCommitCountsReferencesOnce(t *testing.T) {
	w := newTestWorker(t)
	a, b := writeItems(t, w, someItems(1, 5), 5), writeItems(t, w, someItems(2, 6), 5)
	refs := []harrow.Part{{}, b, a, b, {Tag: `{"requests":2,"hops":1}`}, {}, {Tag: `{"requests":3}`},
		{URI: "shard-1", Tag: `{"requests":10}`}, {URI: "shard-1", Tag: `{"requests":10}`}}
	parts, err := w.Commit(t.Context(), refs)
	if err != nil || len(parts) != 2 || parts[0].Rows+parts[1].Rows != 11 {
		t.Fatalf("parts %v, %v", parts, err)
	}
	m, err := w.lake.Manifest(t.Context(), "refine")
	if err != nil || m.Counters["requests"] != 15 || m.Counters["hops"] != 1 {
		t.Errorf("counters %v, %v", m.Counters, err)
	}
	again, err := w.Commit(t.Context(), []harrow.Part{{}, a})
	if err != nil || !slices.Equal(again, parts) {
		t.Errorf("a second commit gave %v, %v; want the first one's parts", again, err)
	}
	if done, err := w.Committed(t.Context()); err != nil || !done {
		t.Errorf("committed: %v, %v", done, err)
	}
}

func TestCommitOfNothingIsAManifest(t *testing.T) {
	w := newTestWorker(t)
	parts, err := w.Commit(t.Context(), []harrow.Part{{}})
	if err != nil || len(parts) != 0 {
		t.Fatalf("parts %v, %v", parts, err)
	}
	if done, err := w.Committed(t.Context()); err != nil || !done {
		t.Errorf("committed: %v, %v", done, err)
	}
}

func TestCommitsAtOnceHaveOneWinner(t *testing.T) {
	w := newTestWorker(t)
	var got [4][]harrow.Part
	var wg sync.WaitGroup
	for i := range got {
		part := writeItems(t, w, someItems(uint64(i), 5+i), 5)
		wg.Go(func() {
			var err error
			if got[i], err = w.Commit(t.Context(), []harrow.Part{part}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, parts := range got {
		if len(parts) != 1 || !slices.Equal(parts, got[0]) {
			t.Errorf("winners %v and %v", parts, got[0])
		}
	}
}

func TestCommitDropsTheShuffle(t *testing.T) {
	w := newTestWorker(t)
	sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Shards: 1}, Step{}, []harrow.Part{writeItems(t, w, someItems(1, 5), 5)})...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if left := files(t, w, "job/runs/run/refine/shuffle"); len(left) != 0 {
		t.Errorf("%v stays", left)
	}
	// A merge that comes too late finds its slices gone and the stage committed.
	if parts, err := runTasks(t, w.Merge(step(`{}`), 0, byShard(sliced)[0], 1)); err != nil || len(parts) != 0 {
		t.Errorf("a late merge: %v, %v", parts, err)
	}
}

func TestStepsThatComeAfterTheCommitMakeNothing(t *testing.T) {
	for name, late := range map[string]func(w *Worker, gone harrow.Part, slice Slice) (int, error){
		"map": func(w *Worker, gone harrow.Part, _ Slice) (int, error) {
			out, err := runTasks(t, w.Map(step(`{}`), gone))
			return len(out), err
		},
		"spill": func(w *Worker, gone harrow.Part, _ Slice) (int, error) {
			out, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}}, Step{}, []harrow.Part{gone})...)
			return len(out), err
		},
		"merge": func(w *Worker, _ harrow.Part, slice Slice) (int, error) {
			out, err := runTasks(t, w.Merge(step(`{}`), 0, []Slice{slice}, 1))
			return len(out), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestWorker(t)
			gone := harrow.Part{Table: itemTable, URI: "job/runs/run/refine/shuffle/gone.arrow", Rows: 5}
			slice := Slice{URI: gone.URI, Table: itemTable, Batches: 1, Rows: 5}
			if _, err := late(w, gone, slice); !errors.Is(err, lakeio.ErrNotFound) {
				t.Fatalf("before the commit: %v, want not found", err)
			}
			if _, err := w.Commit(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if n, err := late(w, gone, slice); err != nil || n != 0 {
				t.Errorf("after it: %d parts, %v", n, err)
			}
		})
	}
}

func TestACommitThatCantRemoveTheShuffleStands(t *testing.T) {
	w := newTestWorker(t)
	part := writeItems(t, w, someItems(1, 5), 5)
	if _, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}}, Step{}, []harrow.Part{part})...); err != nil {
		t.Fatal(err)
	}
	store := flaky(w)
	store.stuck.Store(100)
	if _, err := w.Commit(t.Context(), []harrow.Part{part}); !errors.Is(err, errTest) || !strings.Contains(err.Error(), "refine is committed") {
		t.Fatalf("error %v", err)
	}
	if m, err := w.lake.Manifest(t.Context(), "refine"); err != nil || len(m.Parts) != 1 {
		t.Fatalf("manifest %v, %v", m, err)
	}
	// What goes on with the run removes them, and so does it where a process
	// was killed between the manifest and the removal.
	store.stuck.Store(0)
	if parts, err := w.Commit(t.Context(), nil); err != nil || len(parts) != 1 {
		t.Fatalf("parts %v, %v", parts, err)
	}
	if left := files(t, w, "job/runs/run/refine/shuffle"); len(left) != 0 {
		t.Errorf("%v stays", left)
	}
}

func TestCountersThatAreNone(t *testing.T) {
	if _, err := newTestWorker(t).Commit(t.Context(), []harrow.Part{{Tag: "many"}}); err == nil || !strings.Contains(err.Error(), "many") {
		t.Errorf("error %v", err)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		tables []string
		table  string
		want   bool
	}{
		{nil, "x", true}, {[]string{}, "x", false}, {[]string{"records/*"}, "records/book", true}, {[]string{"records/*"}, "rejects", false},
		{[]string{"a", "records/b"}, "records/b", true}, {[]string{"records/b"}, "records/book", false},
	} {
		if got := Match(c.tables, c.table); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.tables, c.table, got)
		}
	}
}

func TestStageNameIsWithoutItsRound(t *testing.T) {
	for stage, want := range map[string]string{"fetch-0": "fetch", "fetch-12": "fetch", "parse": "parse", "two-words": "two-words", "-1": "-1"} {
		if got := (Env{Stage: stage}).stageName(); got != want {
			t.Errorf("stage %q is %q, want %q", stage, got, want)
		}
	}
}
