package compare

import (
	"bytes"
	"errors"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"golang.org/x/sync/errgroup"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// record compares one record and shows its rows.
func (c *comparison) record(name string, w writer) (r Record, err error) {
	p, err := c.pair(name)
	if err != nil {
		return r, err
	}
	for _, s := range p.sides {
		for _, col := range s.rtype.Columns {
			c.seen = append(c.seen, col.Name)
		}
	}
	r = Record{Record: name, MatchedBy: p.match, FirstRows: p.sides[0].rows, SecondRows: p.sides[1].rows,
		Fields: map[string]int64{}, Columns: p.columns(c.query.Fields), Notes: p.notes}
	sorted, err := c.sort(p)
	defer func() {
		for _, s := range sorted {
			if s != nil {
				err = errors.Join(err, s.Close())
			}
		}
	}()
	if err != nil {
		return r, err
	}
	j := &join{c: c, p: p, r: &r, w: w, sorted: sorted}
	if err := j.run(); err != nil {
		return r, err
	}
	return r, w.end(r)
}

// sort sorts both sides at once, each with half of the memory.
func (c *comparison) sort(p *pair) (sorted [2]*engine.Sorted, err error) {
	limits := c.runs[1].Job.Limits
	share := memory.For(int64(limits.Memory)).Shuffle.Size()
	g, ctx := errgroup.WithContext(c.ctx)
	for i, s := range p.sides {
		cfg := engine.SortConfig{Key: engine.Key{Columns: p.match, Order: p.order}, Memory: share / 2, Spill: limits.Spill, Of: s.narrow(p.name)}
		g.Go(func() (err error) {
			sorted[i], err = engine.Sort(ctx, c.runs[i].Store, s.parts, cfg)
			return err
		})
	}
	return sorted, g.Wait()
}

// join walks through both sides in the order of what rows are matched by.
type join struct {
	c      *comparison
	p      *pair
	r      *Record
	w      writer
	sorted [2]*engine.Sorted

	rows [2]engine.SortedRow
	more [2]bool
	bufs [2][]byte
	diff []string // columns of the present rows
}

// next takes a side on by a row.
func (j *join) next(side int) (err error) {
	j.rows[side], j.more[side], err = j.sorted[side].Next(j.c.ctx)
	return err
}

func (j *join) run() error {
	if err := errors.Join(j.next(0), j.next(1)); err != nil {
		return err
	}
	for j.more[0] || j.more[1] {
		order := 0
		switch {
		case !j.more[1]:
			order = -1
		case !j.more[0]:
			order = 1
		default:
			order = bytes.Compare(j.rows[0].Key, j.rows[1].Key)
		}
		if err := j.step(order); err != nil {
			return err
		}
	}
	return nil
}

// step takes what comes first: a row of the first side, of the second, or of
// both.
func (j *join) step(order int) (err error) {
	switch {
	case order < 0:
		j.r.Removed++
		err = j.w.row(j.change(removed, 0))
	case order > 0:
		j.r.Added++
		err = j.w.row(j.change(added, 1))
	case j.equal():
		j.r.Equal++
	default:
		j.r.Changed++
		for _, name := range j.diff {
			j.r.Fields[name]++
		}
		err = j.w.row(j.change(changed, 1))
	}
	if err == nil && order <= 0 {
		err = j.next(0)
	}
	if err == nil && order >= 0 {
		err = j.next(1)
	}
	return err
}

// equal compares the rows of both sides; what differs is in diff.
func (j *join) equal() bool {
	j.diff = j.diff[:0]
	for _, name := range j.p.compare {
		if !j.same(j.rows[0].Batch.Column(name), j.rows[0].Index, j.rows[1].Batch.Column(name), j.rows[1].Index) {
			j.diff = append(j.diff, name)
		}
	}
	return len(j.diff) == 0
}

// same compares two values of one type by what cat shows.
func (j *join) same(a arrow.Array, i int, b arrow.Array, k int) bool {
	if a.IsNull(i) || b.IsNull(k) {
		return a.IsNull(i) == b.IsNull(k)
	}
	switch a := a.(type) {
	case *array.String:
		return a.Value(i) == b.(*array.String).Value(k)
	case *array.Int64:
		return a.Value(i) == b.(*array.Int64).Value(k)
	case *array.Decimal128:
		return a.Value(i) == b.(*array.Decimal128).Value(k)
	case *array.Timestamp:
		return a.Value(i) == b.(*array.Timestamp).Value(k)
	}
	j.bufs[0] = lakeio.AppendJSONValue(j.bufs[0][:0], a, i)
	j.bufs[1] = lakeio.AppendJSONValue(j.bufs[1][:0], b, k)
	return bytes.Equal(j.bufs[0], j.bufs[1])
}

// Kinds of changes.
const (
	removed = "removed" // only the first run has the row
	added   = "added"   // only the second
	changed = "changed"
)

// change is a row that differs; it is valid until the next step.
type change struct {
	kind    string
	pair    *pair
	rows    [2]engine.Row
	of      int // the side that key and URL are of
	columns []string
}

func (j *join) change(kind string, of int) change {
	return change{kind: kind, pair: j.p, rows: [2]engine.Row{j.rows[0].Row, j.rows[1].Row}, of: of, columns: j.diff}
}

// batch is the row that key and URL are of.
func (c change) batch() (harrow.Batch, int) { return c.rows[c.of].Batch, c.rows[c.of].Index }

// data are the data columns of the row, in the order of its files.
func (c change) data() []string {
	wants := c.pair.sides[c.of].wants
	return wants[:len(wants)-3]
}
