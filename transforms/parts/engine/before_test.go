package engine

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func init() {
	harrow.RegisterOperator("even", func(json.RawMessage) (harrow.Operator, error) { return &even{}, nil })
	harrow.RegisterOperator("refuses", func(json.RawMessage) (harrow.Operator, error) { return refuses{}, nil })
}

// even hands on the rows of even n, the last batch of them in Finish.
type even struct{ copier *lakeio.RowCopier }

func (o *even) Process(_ context.Context, in harrow.Batch, out harrow.Output) (err error) {
	if o.copier == nil {
		if o.copier, err = lakeio.NewRowCopier(in.Arrow().Schema()); err != nil {
			return err
		}
	}
	for i, it := range itemsOf(in) {
		if it.n%2 == 0 {
			o.copier.Append(in, i)
		}
		if o.copier.Rows() == 3 {
			if err := o.emit(out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *even) emit(out harrow.Output) error {
	b := o.copier.Batch()
	defer b.Release()
	return out.Emit(itemTable, b)
}

func (o *even) Finish(_ context.Context, out harrow.Output) error {
	defer o.copier.Release()
	return o.emit(out)
}

type refuses struct{}

func (refuses) Process(_ context.Context, _ harrow.Batch, out harrow.Output) error {
	return out.Reject(harrow.Reject{Code: "odd", Reason: "it is odd"})
}
func (refuses) Finish(context.Context, harrow.Output) error { return nil }

func TestAnOperatorBeforeAShuffleSaysWhatIsShuffled(t *testing.T) {
	w := newTestWorker(t)
	items := someItems(7, 500)
	want := map[int64]int{}
	for _, it := range items {
		if it.n%2 == 0 {
			want[it.n]++
		}
	}
	sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Order: []string{"n"}, Shards: 1}, Step{Operator: "even"}, writeParts(t, w, items, 3, 40))...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := runTasks(t, w.Merge(step(`{}`), 0, byShard(sliced)[0], 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range readItems(t, w, only(out, itemTable)) {
		want[it.n]--
	}
	for n, left := range want {
		if left != 0 {
			t.Errorf("n=%d: %d rows are missing", n, left)
		}
	}
}

func TestAnOperatorBeforeAShuffleCannotReject(t *testing.T) {
	w := newTestWorker(t)
	_, err := runTasks(t, w.Spill(Key{Columns: []string{"key"}, Shards: 1}, Step{Operator: "refuses"}, writeParts(t, w, someItems(1, 5), 1, 5))...)
	if err == nil || !strings.Contains(err.Error(), "operator refuses") || !strings.Contains(err.Error(), "it is odd") {
		t.Errorf("got %v, want an error with operator and reason", err)
	}
	_, err = runTasks(t, w.Spill(Key{Columns: []string{"key"}, Shards: 1}, Step{Operator: "nobody"}, writeParts(t, w, someItems(1, 5), 1, 5))...)
	if err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("got %v, want an error that names the operator", err)
	}
}

func TestAMergeLooksIntoASecondTable(t *testing.T) {
	w := newTestWorker(t)
	numbered := make([]item, 60)
	for i := range numbered {
		numbered[i].n = int64(i)
	}
	second := writeItems(t, w, numbered, 7)
	var items []item
	for i := range int64(50) {
		items = append(items, item{"k", (i * 37) % 50, second.URI})
	}
	spill := func(items []item) []Slice {
		sliced, err := runTasks(t, w.Spill(Key{Columns: []string{"text"}, Order: []string{"n"}, Shards: 1}, Step{}, writeParts(t, w, items, 5, 3))...)
		if err != nil {
			t.Fatal(err)
		}
		return byShard(sliced)[0]
	}
	beside := []string{itemTable}
	if _, err := runTasks(t, w.Merge(Step{Operator: "besides", Beside: beside}, 0, spill(items), 1)); err != nil {
		t.Error(err)
	}
	items[3].n = 62 // beyond the end
	if _, err := runTasks(t, w.Merge(Step{Operator: "besides", Beside: beside}, 0, spill(items), 1)); err == nil || !strings.Contains(err.Error(), second.URI) {
		t.Errorf("a row that is not there: %v, want an error that names the part", err)
	}
	if _, err := runTasks(t, w.Merge(Step{Operator: "group", Beside: beside}, 0, spill(items), 1)); err == nil || !strings.Contains(err.Error(), "BesideOperator") {
		t.Errorf("an operator that can't look beside: %v", err)
	}
}

func TestWhatIsStoredIsReadAndNothingIsCommitted(t *testing.T) {
	w := newTestWorker(t)
	if parts, err := w.Stored(t.Context(), []harrow.Part{{}}); err != nil || len(parts) != 0 {
		t.Errorf("before a commit: %v, %v", parts, err)
	}
	if parts, err := w.Taken(t.Context(), nil); !errors.Is(err, lakeio.ErrNotFound) || len(parts) != 0 || !strings.Contains(err.Error(), w.env.Run) {
		t.Errorf("taken before a commit: %v, %v", parts, err)
	}
	if done, err := w.Committed(t.Context()); done || err != nil {
		t.Fatalf("asking for it committed it: %v, %v", done, err)
	}
	part := writeItems(t, w, someItems(1, 5), 5)
	if _, err := w.Commit(t.Context(), []harrow.Part{part}); err != nil {
		t.Fatal(err)
	}
	for _, read := range []func(context.Context, []harrow.Part) ([]harrow.Part, error){w.Stored, w.Taken} {
		if parts, err := read(t.Context(), nil); err != nil || len(parts) != 1 || parts[0] != part {
			t.Errorf("after a commit: %v, %v", parts, err)
		}
	}
}
