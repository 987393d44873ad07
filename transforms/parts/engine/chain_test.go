package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// linkOp is a link of the tests: what it does is its config.
type linkOp struct {
	what string
	held harrow.Batch
}

func init() {
	harrow.RegisterOperator("test-link", func(config json.RawMessage) (harrow.Operator, error) {
		var what string
		err := json.Unmarshal(config, &what)
		return &linkOp{what: what}, err
	})
}

func (o *linkOp) Process(_ context.Context, in harrow.Batch, out harrow.Output) error {
	switch o.what {
	case "hold": // until Finish
		if o.held.Arrow() == nil {
			in.Retain()
			o.held = in
			return nil
		}
	case "drop a column":
		cols := in.Arrow().Columns()
		s := lakeio.RecordSchema(harrow.RecordType{Name: "item", Columns: itemType.Columns[:1]})
		b := harrow.NewBatch(array.NewRecord(s, append(slices.Clone(cols[:1]), cols[len(cols)-len(harrow.Provenance):]...), int64(in.Rows())))
		defer b.Release()
		return out.Emit(itemTable, b)
	case "own schema":
		b := harrow.NewBatch(array.NewRecord(arrow.NewSchema(in.Arrow().Schema().Fields(), nil), in.Arrow().Columns(), int64(in.Rows())))
		defer b.Release()
		return out.Emit(itemTable, b)
	case "to its table":
		return out.Emit(in.Table(), in)
	case "reject":
		return out.Reject(lakeio.RowReject(in, 0, "item"))
	case "panic":
		panic("at the disco")
	case "fail":
		return finalError{errTest}
	}
	return out.Emit(itemTable, in)
}

func (o *linkOp) Finish(_ context.Context, out harrow.Output) error {
	if o.held.Arrow() == nil {
		return nil
	}
	defer o.held.Release()
	return out.Emit(itemTable, o.held)
}

func chainOf(t *testing.T, counts []string, whats ...string) Step {
	t.Helper()
	var cfg ChainConfig
	cfg.Counts = counts
	for _, w := range whats {
		config, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Links = append(cfg.Links, Link{Step: Step{Operator: "test-link", Config: config}, Name: "user's " + w, Makes: itemType})
	}
	step, err := Chain(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return step
}

func TestAChainIsItsStepsOneAfterTheOther(t *testing.T) {
	w := newTestWorker(t)
	items := someItems(5, 300)
	part := writeItems(t, w, items, 100)
	for _, whats := range [][]string{{"pass"}, {"pass", "hold", "pass"}, {"hold", "hold"}, {"to its table"}, {"own schema", "to its table"}} {
		parts, err := runTasks(t, w.Map(chainOf(t, []string{"key", "n"}, whats...), part))
		if err != nil {
			t.Fatal(err)
		}
		got := readItems(t, w, only(parts, itemTable))
		slices.SortFunc(got, func(a, b item) int { return cmpItems(a, b) })
		want := slices.Clone(items)
		slices.SortFunc(want, func(a, b item) int { return cmpItems(a, b) })
		if !slices.Equal(got, want) {
			t.Errorf("%v: %d rows, not the %d that went in", whats, len(got), len(items))
		}
		keys := int64(0)
		for _, i := range items {
			if i.key != "" {
				keys++
			}
		}
		var counts map[string]int64
		for _, p := range parts {
			if p.Table == "" {
				if err := json.Unmarshal([]byte(p.Tag), &counts); err != nil {
					t.Fatal(err)
				}
			}
		}
		if counts["rows.item"] != 300 || counts["filled.item.n"] != 300 || counts["filled.item.key"] != keys {
			t.Errorf("%v: counted %v; want %d keys", whats, counts, keys)
		}
	}
	parts, err := runTasks(t, w.Map(chainOf(t, nil, "reject", "pass"), part))
	if err != nil || len(only(parts, itemTable)) > 0 || len(only(parts, "rejects")) != 1 || len(parts) != 1 {
		t.Errorf("rejects: %v, %v", parts, err)
	}
}

func cmpItems(a, b item) int {
	switch {
	case a.less(b) < 0:
		return -1
	case a.less(b) > 0:
		return 1
	}
	return 0
}

func TestAChainNamesTheOperatorAtFault(t *testing.T) {
	w := newTestWorker(t)
	part := writeItems(t, w, someItems(1, 10), 10)
	for what, want := range map[string]string{
		"panic":         "operator user's panic: panic: at the disco",
		"drop a column": "operator user's drop a column: column 2 of what it emitted to records/item is _id utf8; expected n int64",
		"fail":          "disk on fire",
	} {
		_, err := runTasks(t, w.Map(chainOf(t, nil, "pass", what, "pass"), part))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	if _, err := newChain(json.RawMessage(`{}`)); err == nil || !strings.Contains(err.Error(), "Links is empty") {
		t.Errorf("no links: %v", err)
	}
	if _, err := newChain(json.RawMessage(`{"links":[{"operator":"nobody"}]}`)); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("unknown: %v", err)
	}
}

// opener fails to open, and counts its Closes.
type opener struct {
	linkOp
	closed *int
	err    error
}

func (o *opener) Open(context.Context, lakeio.Lake) error { return o.err }
func (o *opener) Close()                                  { *o.closed++ }

func TestWhatWasOpenedIsClosed(t *testing.T) {
	closed := 0
	for _, err := range []error{nil, errTest} {
		c := &chain{links: []*chainLink{{name: "a", op: &opener{closed: &closed, err: err}}, {name: "b", op: &opener{closed: &closed}}}}
		got := c.Open(t.Context(), lakeio.Lake{})
		c.Close()
		if !errors.Is(got, err) {
			t.Errorf("%v, want %v", got, err)
		}
	}
	if closed != 3 {
		t.Errorf("%d closed, want both, then the one that failed", closed)
	}
}
