package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
)

// drainSorted reads all rows and checks that their keys go upwards.
func drainSorted(t testing.TB, s *Sorted) (rows []item) {
	t.Helper()
	var before []byte
	for {
		row, ok, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if bytes.Compare(before, row.Key) > 0 {
			t.Fatalf("key %q comes after %q", row.Key, before)
		}
		before = append(before[:0], row.Key...)
		rows = append(rows, itemsOf(row.Batch)[row.Index])
	}
	if _, ok, err := s.Next(t.Context()); ok || err != nil {
		t.Errorf("after the last row: %v, %v", ok, err)
	}
	return rows
}

func TestSortIsSortAndLeavesNothing(t *testing.T) {
	w := newTestWorker(t)
	items := someItems(3, 800)
	parts := writeParts(t, w, items, 4, 100)
	slices.SortFunc(items, item.less)
	for _, memory := range []int64{0, 200 << 10, 4 << 20} { // a file a batch and several passes; some files; one
		s, err := Sort(t.Context(), w.lake.Store, parts, SortConfig{Key: Key{Columns: []string{"key"}, Order: []string{"n"}}, Memory: memory, Spill: w.env.Spill})
		if err != nil {
			t.Fatal(err)
		}
		got := drainSorted(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, items) {
			t.Errorf("with %d bytes: %d rows, want %d, in order", memory, len(got), len(items))
		}
		if left, _ := os.ReadDir(w.env.Spill); len(left) != 0 {
			t.Errorf("limits.spill still has %v", left)
		}
	}
}

func TestSortTakesWhatIsMadeOfABatch(t *testing.T) {
	w := newTestWorker(t)
	parts := writeParts(t, w, []item{{"b", 1, "x"}, {"a", 2, "y"}, {"", 3, "z"}}, 1, 2)
	made := 0
	s, err := Sort(t.Context(), w.lake.Store, parts, SortConfig{Key: Key{Columns: []string{"key"}}, Memory: 1 << 20, Spill: w.env.Spill,
		Of: func(b harrow.Batch) (harrow.Batch, error) {
			made++
			meta := b.Arrow().Schema().Metadata()
			schema := arrow.NewSchema(b.Arrow().Schema().Fields()[:3], &meta)
			return harrow.NewBatch(array.NewRecord(schema, b.Arrow().Columns()[:3], int64(b.Rows()))), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	if got := drainSorted(t, s); made != 2 || len(got) != 3 || got[0].text != "z" || got[2].key != "b" {
		t.Errorf("%v of %d batches", got, made)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_, err = Sort(t.Context(), w.lake.Store, parts, SortConfig{Key: Key{Columns: []string{"key"}}, Memory: 1 << 20, Spill: w.env.Spill,
		Of: func(harrow.Batch) (harrow.Batch, error) { return harrow.Batch{}, errTest }})
	if !errors.Is(err, errTest) || !strings.Contains(err.Error(), parts[0].URI) {
		t.Errorf("%v; want the file's name", err)
	}
}

func TestSortOfNothingHasNoRows(t *testing.T) {
	w := newTestWorker(t)
	s, err := Sort(t.Context(), w.lake.Store, nil, SortConfig{Key: Key{Columns: []string{"key"}}, Spill: w.env.Spill})
	if err != nil {
		t.Fatal(err)
	}
	if got := drainSorted(t, s); got != nil {
		t.Error(got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestSortSaysWhatIsWrong(t *testing.T) {
	w := newTestWorker(t)
	parts := writeParts(t, w, someItems(1, 300), 2, 50)
	cfg := SortConfig{Key: Key{Columns: []string{"key"}}, Memory: 1 << 20, Spill: w.env.Spill}
	wrong := func(what, want string, cfg SortConfig) {
		t.Helper()
		s, err := Sort(t.Context(), w.lake.Store, parts, cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", what, err, want)
		}
		if err == nil && s.Close() != nil {
			t.Error("not closed")
		}
	}
	bad := cfg
	bad.Key = Key{}
	wrong("no key", "Key.Columns", bad)
	bad.Key = Key{Columns: []string{"none"}}
	wrong("a column that is not there", `columns called "none"`, bad)
	bad = cfg
	bad.Spill = filepath.Join(w.env.Spill, "file")
	if err := os.WriteFile(bad.Spill, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	wrong("a spill that is no folder", "limits.spill", bad)
	if err := os.Remove(bad.Spill); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.lake.Store.Local(), filepath.FromSlash(parts[1].URI))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/3] ^= 1
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	wrong("a damaged file", parts[1].URI, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Sort(ctx, w.lake.Store, parts[:1], cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("%v after the context's end", err)
	}
}
