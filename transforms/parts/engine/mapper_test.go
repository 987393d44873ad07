package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
)

func TestMapWritesPartsAndRejectsOfThePartsShard(t *testing.T) {
	w := newTestWorker(t)
	w.env.Stage = "fetch-3"
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	w.Now = func() time.Time { return at }
	items := someItems(3, 250)
	part := writeItems(t, w, items, 100)
	part.Shard = 7
	parts, err := runTasks(t, w.Map(step(`{}`), part))
	if err != nil {
		t.Fatal(err)
	}
	if got := readItems(t, w, only(parts, itemTable)); !slices.Equal(got, items) {
		t.Errorf("%d rows, not the %d that went in", len(got), len(items))
	}
	rejects := only(parts, "rejects")
	if len(parts) != 2 || len(rejects) != 1 {
		t.Fatalf("parts %v, want one of items and one of rejects", parts)
	}
	for r, err := range lakeio.ReadRows(t.Context(), w.lake.Store, lakeio.Rejects, rejects[0]) {
		if err != nil || r.Stage != "fetch" || !r.At.Equal(at) || r.Code != "seen" {
			t.Errorf("reject %+v, %v; want stage fetch at %v", r, err, at)
		}
	}
	for _, p := range parts {
		if p.Shard != 7 || !strings.HasPrefix(p.URI, "job/runs/run/fetch-3/"+p.Table+"/") {
			t.Errorf("part %+v, want shard 7 in its table's folder", p)
		}
	}
}

func TestMapFailures(t *testing.T) {
	for _, c := range []struct {
		name, config, want string
		times              int64
	}{
		{"an error stays", `{"Fail":"process"}`, "operator test: disk on fire", 0},
		{"an error passes", `{"Fail":"process","Times":2}`, "", 0},
		{"an error of Finish", `{"Fail":"finish"}`, "operator test: disk on fire", 0},
		{"a panic", `{"Fail":"panic"}`, "operator test on part in/", 0},
		{"an unfit config", `7`, "operator test: json", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			failures.Store(0)
			w := newTestWorker(t)
			part := writeItems(t, w, someItems(1, 30), 10)
			parts, err := runTasks(t, w.Map(step(c.config), part))
			if c.want == "" {
				if err != nil || len(parts) != 2 {
					t.Fatalf("parts %v, %v", parts, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), part.URI) {
				t.Fatalf("error %v, want %q with %s", err, c.want, part.URI)
			}
			if left := files(t, w, "job"); len(left) != len(parts) {
				t.Errorf("files %v, want %d parts", left, len(parts))
			}
		})
	}
	w := newTestWorker(t)
	part := writeItems(t, w, someItems(1, 3), 3)
	if _, err := runTasks(t, w.Map(Step{Operator: "nobody"}, part)); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("error %v of an unknown operator", err)
	}
	if _, err := runTasks(t, w.Map(Step{Operator: step(`{}`).Operator, Beside: []string{"bodies"}}, part)); err == nil || !strings.Contains(err.Error(), "BesideOperator") {
		t.Errorf("error %v of an operator that looks into no second table", err)
	}
}

func TestFullDiskIsReportedWhateverTheOperatorMakesOfIt(t *testing.T) {
	w := newTestWorker(t)
	part := writeItems(t, w, someItems(1, 3000), 10)
	flaky(w).full.Store(1)
	if _, err := runTasks(t, w.Map(step(`{}`), part)); !errors.Is(err, errTest) {
		t.Errorf("error %v, want that of the disk", err)
	}
	if left := files(t, w, "job"); len(left) != 0 {
		t.Errorf("%v stays", left)
	}
}

func TestCanceledMapEnds(t *testing.T) {
	w := newTestWorker(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Map(step(`{}`), harrow.Part{})(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestEmitRefusesABatchOfAnotherTable(t *testing.T) {
	w := newTestWorker(t)
	out := w.newOutput(t.Context(), 0)
	defer out.abort()
	for b, err := range lakeio.ReadBatches(t.Context(), w.lake.Store, writeItems(t, w, someItems(1, 3), 3)) {
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Emit("captures", b); err == nil || !strings.Contains(err.Error(), itemTable) {
			t.Errorf("error %v, want one that names both tables", err)
		}
	}
}

// peakOperator counts how many of it work at once.
type peakOperator struct{}

var peakNow, peakMost atomic.Int64

func (peakOperator) Process(context.Context, harrow.Batch, harrow.Output) error {
	n := peakNow.Add(1)
	defer peakNow.Add(-1)
	for p := peakMost.Load(); n > p && !peakMost.CompareAndSwap(p, n); p = peakMost.Load() {
	}
	return nil
}
func (peakOperator) Finish(context.Context, harrow.Output) error { return nil }

func init() {
	harrow.RegisterOperator("peak", func(json.RawMessage) (harrow.Operator, error) { return peakOperator{}, nil })
	harrow.RegisterOperator("besides", func(json.RawMessage) (harrow.Operator, error) { return &besides{}, nil })
}

func TestTasksWaitForMemory(t *testing.T) {
	w := newTestWorker(t)
	w.batches = memory.NewShare("batches", 1<<20) // less than one task wants: one at a time
	peakMost.Store(0)
	var tasks []Task[harrow.Part]
	for i := range 6 {
		tasks = append(tasks, w.Map(Step{Operator: "peak"}, writeItems(t, w, someItems(uint64(i), 50), 1)))
	}
	if _, err := runTasks(t, tasks...); err != nil || peakMost.Load() != 1 {
		t.Errorf("%d tasks at once, %v; memory is for one", peakMost.Load(), err)
	}
}

// besides looks items up by n: n is the first of n%3 rows of the part that its
// text names.
type besides struct{}

func (*besides) Process(context.Context, harrow.Batch, harrow.Output) error { return errTest }
func (*besides) Finish(context.Context, harrow.Output) error                { return nil }
func (*besides) ProcessBeside(_ context.Context, in harrow.Batch, second Beside, _ harrow.Output) error {
	for _, i := range itemsOf(in) {
		want := i.n
		for r, err := range second.Rows(i.text, i.n, i.n%3) {
			if err != nil {
				return err
			}
			if got := itemsOf(r.Batch)[r.Index].n; got != want {
				return fmt.Errorf("%s: row %d, want %d", i.text, got, want)
			}
			want++
		}
		if want != i.n+i.n%3 {
			return fmt.Errorf("%s: rows up to %d, want %d", i.text, want, i.n+i.n%3)
		}
	}
	return nil
}

func TestBesideWalksForwardAndBack(t *testing.T) {
	w := newTestWorker(t)
	numbered := make([]item, 40)
	for i := range numbered {
		numbered[i].n = int64(i)
	}
	a, b := writeItems(t, w, numbered, 7), writeItems(t, w, numbered, 3)
	lookUp := func(tables []string, items ...item) error {
		_, err := runTasks(t, w.Map(Step{Operator: "besides", Beside: tables}, writeItems(t, w, items, 10)))
		return err
	}
	all := []string{itemTable}
	if err := lookUp(all, item{n: 1, text: a.URI}, item{n: 5, text: a.URI}, item{n: 38, text: a.URI}, item{n: 20, text: a.URI},
		item{n: 2, text: a.URI}, item{n: 2, text: b.URI}, item{n: 35, text: b.URI}, item{n: 8, text: a.URI}); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"beyond the end":   lookUp(all, item{n: 44, text: a.URI}),
		"negative":         lookUp(all, item{n: -2, text: a.URI}),
		"no such part":     lookUp(all, item{n: 1, text: "in/none.arrow"}),
		"outside":          lookUp(all, item{n: 1, text: "../x"}),
		"of another table": lookUp([]string{"bodies"}, item{n: 1, text: a.URI}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
