package sinktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/internal/rows"
	"github.com/harrowdata/harrow/io/lakeio"
)

// heap is a store in memory that does all that is asked of one, but for the
// faults it is given. Its publisher is held.
type heap struct {
	mu     sync.Mutex
	tables map[string]map[string]map[string]any
	types  map[string]harrow.RecordType
	marks  map[string]done
	faults map[string]bool
	kept   []harrow.Batch
}

type done struct {
	counts  harrow.Counts
	rejects []harrow.Reject
}

func newHeap(faults ...string) *heap {
	h := &heap{tables: map[string]map[string]map[string]any{}, types: map[string]harrow.RecordType{}, marks: map[string]done{}, faults: map[string]bool{}}
	for _, f := range faults {
		h.faults[f] = true
	}
	return h
}

func (h *heap) Close() error {
	if h.faults["close fails"] {
		return errors.New("lost on close")
	}
	return nil
}

func (h *heap) Check(_ context.Context, types []harrow.RecordType) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range types {
		for _, c := range t.Columns {
			have, ok := h.types[t.Name].Column(c.Name)
			if ok && have.Type != c.Type && !h.faults["check passes all"] {
				return fmt.Errorf("column %s is stored as %s, not %s", c.Name, have.Type, c.Type)
			}
		}
		if h.faults["check refuses new columns"] && len(h.types[t.Name].Columns) > 0 && len(t.Columns) > len(h.types[t.Name].Columns) {
			return errors.New("a column more")
		}
	}
	return nil
}

func (h *heap) Load(ctx context.Context, s harrow.Shard) (n harrow.Counts, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := fmt.Sprint(s.Run, s.Record.Name, s.Input, s.Shard, s.Shards)
	if h.faults["mark ignores the input"] {
		id = fmt.Sprint(s.Run, s.Record.Name, s.Shard, s.Shards)
	}
	if h.faults["mark ignores the number of shards"] {
		id = fmt.Sprint(s.Run, s.Record.Name, s.Input, s.Shard)
	}
	if m, ok := h.marks[id]; ok && !h.faults["no mark"] {
		if h.faults["forgets rejects"] {
			m.rejects = nil
		}
		for _, r := range m.rejects {
			if err := s.Reject(r); err != nil {
				return n, err
			}
		}
		if h.faults["marked counts nothing"] {
			return n, nil
		}
		return m.counts, nil
	}
	table := map[string]map[string]any{}
	for k, v := range h.tables[s.Record.Name] {
		table[k] = v
	}
	if h.faults["half is left"] || h.faults["writes in place"] {
		if h.tables[s.Record.Name] != nil {
			table = h.tables[s.Record.Name]
		}
		h.tables[s.Record.Name] = table
	}
	var rejects []harrow.Reject
	for b, err := range s.Batches() {
		if err == nil && !h.faults["context ignored"] {
			err = ctx.Err()
		}
		if err != nil {
			if h.faults["input's error dropped"] {
				break
			}
			return harrow.Counts{}, err
		}
		if h.faults["keeps batches"] {
			b.Retain()
			h.kept = append(h.kept, b)
		}
		for i := range b.Rows() {
			r, err := h.row(table, s, b, i, &n)
			if err != nil {
				return harrow.Counts{}, err
			}
			if r != nil {
				rejects = append(rejects, *r)
				if h.faults["a reject fails the shard"] {
					return harrow.Counts{}, errors.New("a null in the key")
				}
				if err := s.Reject(*r); err != nil && !h.faults["reject's error dropped"] {
					return harrow.Counts{}, err
				}
			}
		}
	}
	if err := ctx.Err(); err != nil && !h.faults["context ignored"] {
		return harrow.Counts{}, err
	}
	h.tables[s.Record.Name], h.types[s.Record.Name], h.marks[id] = table, s.Record, done{n, rejects}
	return n, nil
}

func (h *heap) row(table map[string]map[string]any, s harrow.Shard, b harrow.Batch, i int, n *harrow.Counts) (*harrow.Reject, error) {
	values := map[string]any{}
	for _, c := range slices.Concat(s.Record.Columns, harrow.Provenance) {
		values[c.Name] = h.value(c.Type, b.Column(c.Name), i)
	}
	key := values[s.Key[0]]
	if key == nil && !h.faults["null keys are stored"] {
		n.Rejected++
		r := lakeio.RowReject(b, i, s.Record.Name)
		r.Class, r.Code, r.Reason = harrow.DataFault, "key", "the key is null"
		if h.faults["rejects say nothing"] {
			r = harrow.Reject{}
		}
		return &r, nil
	}
	id := rows.Text(harrow.Type{Kind: harrow.Text}, key)
	old, ok := table[id]
	data := func(v map[string]any) string { return fmt.Sprint(rows.Texts(s.Record, []map[string]any{v})) }
	switch {
	case !ok:
		n.Added++
	case data(old) == data(values) && !h.faults["touches equal rows"]:
		n.Unchanged++
		return nil, nil
	case less(values[s.Latest], old[s.Latest]) && !h.faults["writes stale rows"] || s.Latest != "_fetched_at" && h.faults["knows no other latest"]:
		n.Stale++
		return nil, nil
	default:
		n.Changed++
		if h.faults["counts changes as added"] {
			n.Changed, n.Added = n.Changed-1, n.Added+1
		}
	}
	table[id] = values
	return nil, nil
}

func less(a, b any) bool {
	x, _ := a.(int64)
	y, ok := b.(int64)
	if ok {
		return x < y
	}
	return fmt.Sprint(a) < fmt.Sprint(b)
}

func (h *heap) value(t harrow.Type, a arrow.Array, i int) any {
	if a == nil || a.IsNull(i) {
		return nil
	}
	switch v := a.(type) {
	case *array.String:
		if h.faults["texts are the batch's"] {
			return v.Value(i)
		}
		if text := strings.Clone(v.Value(i)); text != "" || !h.faults["empty is null"] {
			return text
		}
		return nil
	case *array.Int64:
		if h.faults["ints are floats"] {
			return int64(float64(v.Value(i)))
		}
		return v.Value(i)
	case *array.Float64:
		return v.Value(i)
	case *array.Boolean:
		return v.Value(i)
	case *array.Decimal128:
		d := lakeio.DecimalText(v.Value(i), t.Scale)
		if f, _ := decimal.RequireFromString(d).Float64(); h.faults["decimals are floats"] {
			return decimal.NewFromFloat(f)
		}
		return d
	case *array.List:
		if from, to := v.ValueOffsets(i); from == to && h.faults["empty lists are null"] {
			return nil
		}
	}
	return strings.Trim(string(lakeio.AppendJSONValue(nil, a, i)), `"`)
}

func (h *heap) store() Store {
	return Store{Open: func() (harrow.Sink, error) { return h, nil }, Rows: func(t harrow.RecordType) (list []map[string]any, err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, r := range h.tables[t.Name] {
			list = append(list, r)
		}
		return list, nil
	}}
}

// staged is a heap whose rows are shown by Publish.
type staged struct {
	*heap
	shown *heap
	runs  map[string]bool
}

func (p *staged) Publish(_ context.Context, l harrow.Loaded) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, n := range l.Counts {
		if n.Added > 0 && len(p.tables[name]) == 0 && !p.faults["publishes what is lost"] || p.marks[l.Run].counts.Added < 0 {
			return fmt.Errorf("record %s is lost", name)
		}
		if l.Input == "lost" && !p.faults["publishes what is lost"] {
			return errors.New("nothing was loaded")
		}
		for k, v := range p.tables[name] {
			if p.shown.tables[name] == nil {
				p.shown.tables[name] = map[string]map[string]any{}
			}
			if p.runs[l.Run] && p.faults["publishes twice"] {
				k += fmt.Sprint(len(p.shown.tables[name]))
			}
			p.shown.tables[name][k] = v
		}
	}
	p.runs[l.Run] = true
	return nil
}

func publisher(faults ...string) Store {
	p := &staged{heap: newHeap(faults...), shown: newHeap(), runs: map[string]bool{}}
	if p.faults["shows too early"] {
		p.shown = p.heap
	}
	st := p.shown.store()
	st.Open = func() (harrow.Sink, error) { return p, nil }
	return st
}

const collectsName = "collects what runs leave"

// collecting is a heap that forgets the marks of runs.
type collecting struct{ *heap }

func collector(faults ...string) Store {
	h := newHeap(faults...)
	st := h.store()
	st.Open = func() (harrow.Sink, error) { return collecting{h}, nil }
	return st
}

func (c collecting) Collect(_ context.Context, runs []string, dry bool) (n harrow.Collected, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults["collects nothing"] {
		return n, nil
	}
	of := func(id string) bool {
		return slices.ContainsFunc(runs, func(run string) bool { return strings.HasPrefix(id, run) })
	}
	for id, m := range c.marks {
		if !of(id) && !c.faults["collects other runs' marks"] {
			continue
		}
		n.Rows += 1 + int64(len(m.rejects))
		if !dry || c.faults["a dry run collects"] {
			delete(c.marks, id)
		}
	}
	if c.faults["collects rows"] && !dry {
		clear(c.tables)
	}
	if c.faults["counts what is gone"] && n.Rows == 0 {
		n.Rows = 1
	}
	return n, nil
}

func TestAGoodSinkPasses(t *testing.T) {
	Run(t, func(testing.TB) Store { return newHeap().store() })
	Run(t, func(testing.TB) Store { return collector() })
	Run(t, func(testing.TB) Store { return publisher() })
}

// Each fault, and the demand that finds it.
func TestTheSuiteCatches(t *testing.T) {
	faults := map[string]string{
		"empty is null": "keeps every type", "ints are floats": "keeps every type", "decimals are floats": "keeps every type", "empty lists are null": "keeps every type",
		"null keys are stored": "counts what it does", "rejects say nothing": "counts what it does", "a reject fails the shard": "counts what it does",
		"no mark": "loads a shard once", "forgets rejects": "loads a shard once", "marked counts nothing": "loads a shard once",
		"mark ignores the input": "takes another input for another load", "mark ignores the number of shards": "takes another input for another load",
		"touches equal rows": "leaves equal rows alone and writes changed ones", "counts changes as added": "leaves equal rows alone and writes changed ones",
		"writes stale rows": "doesn't write what is older", "knows no other latest": "doesn't write what is older",
		"input's error dropped": "returns errors and leaves nothing half", "reject's error dropped": "returns errors and leaves nothing half", "half is left": "returns errors and leaves nothing half",
		"context ignored": "ends with its context", "writes in place": "ends with its context",
		"keeps batches": "keeps no batch", "texts are the batch's": "keeps no batch",
		"check passes all": "checks types before anything is loaded", "check refuses new columns": "checks types before anything is loaded",
		"close fails":     "counts what it does",
		"shows too early": "publishes once", "publishes twice": "publishes once", "publishes what is lost": "publishes once",
		"collects nothing": collectsName, "collects other runs' marks": collectsName, "a dry run collects": collectsName, "collects rows": collectsName, "counts what is gone": collectsName,
	}
	for fault, name := range faults {
		t.Run(fault, func(t *testing.T) {
			d := demands[slices.IndexFunc(demands, func(d demand) bool { return d.name == name })]
			failed, said := rows.Try(t, func(tb testing.TB) {
				st := newHeap(fault).store()
				switch name {
				case "publishes once":
					st = publisher(fault)
				case collectsName:
					st = collector(fault)
				}
				d.check(&bench{TB: tb, store: st})
			})
			if !failed {
				t.Errorf("%q passes a sink with this fault", name)
			}
			if strings.Contains(said, "panic") {
				t.Errorf("it panics instead of saying what is wrong: %s", said)
			}
		})
	}
	covered := map[string]bool{"keeps names": true, "loads shards at once": true} // a heap has no trouble with those
	for _, name := range faults {
		covered[name] = true
	}
	for _, d := range demands {
		if !covered[d.name] {
			t.Errorf("no fault shows that %q can fail", d.name)
		}
	}
}

// History stores are judged by what they keep.
func TestTheSuiteCatchesAHistoryThatForgets(t *testing.T) {
	failed, said := rows.Try(t, func(tb testing.TB) {
		st := newHeap().store()
		st.History = true
		changes(&bench{TB: tb, store: st})
	})
	if !failed || !strings.Contains(said, "missing") && !strings.Contains(said, "counts") {
		t.Errorf("%v: %s", failed, said)
	}
}

// A sink that is not safe at once loses rows of one shard.
func TestTheSuiteCatchesShardsThatOverwriteEachOther(t *testing.T) {
	h := newHeap()
	st := h.store()
	st.Open = func() (harrow.Sink, error) { return overwriting{h}, nil }
	if failed, _ := rows.Try(t, func(tb testing.TB) { atOnce(&bench{TB: tb, store: st}) }); !failed {
		t.Error("shards that overwrite each other pass")
	}
}

type overwriting struct{ *heap }

func (o overwriting) Load(ctx context.Context, s harrow.Shard) (harrow.Counts, error) {
	o.mu.Lock()
	delete(o.tables, s.Record.Name)
	o.mu.Unlock()
	return o.heap.Load(ctx, s)
}
