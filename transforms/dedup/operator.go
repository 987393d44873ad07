package dedup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func init() { harrow.RegisterOperator("dedup", newOperator) }

// operator keeps one row per key of rows that come sorted by (key, _url,
// _ordinal). It holds one candidate, by its batch, and the rows it kept until
// they make a batch.
type operator struct {
	config Config
	out    string // table

	schema  *arrow.Schema
	keys    []comparer
	data    []int // data columns
	latest  comparer
	copier  *lakeio.RowCopier
	best    harrow.Batch // with the candidate; the zero Batch when there is none
	bestRow int
	filled  int // non-null data columns of the candidate
	ages    ages
}

// comparer orders values of one column.
type comparer struct {
	column int
	cmp    compareFunc
}

func newOperator(config json.RawMessage) (harrow.Operator, error) {
	var c Config
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("dedup: config: %w", err)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if len(c.Key) == 0 {
		return nil, errors.New("dedup: Key is empty; want columns")
	}
	return &operator{config: c, out: lakeio.RecordsPrefix + c.Record}, nil
}

// Process implements [harrow.Operator].
func (o *operator) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if in.Rows() == 0 {
		return nil
	}
	if err := o.learn(in.Arrow().Schema()); err != nil {
		return fmt.Errorf("dedup %s: %w", o.config.Record, err)
	}
	before := o.best
	for row := range in.Rows() {
		if column, ok := o.nullKey(in, row); ok {
			if err := out.Reject(o.reject(in, row, column)); err != nil {
				return err
			}
			continue
		}
		sameKey := o.best.Rows() > 0 && o.sameKey(in, row)
		outdated := o.ages.same(in, row, sameKey)
		if sameKey {
			if !outdated && o.better(in, row) {
				o.take(in, row)
			}
			continue
		}
		if err := o.keep(out); err != nil {
			return err
		}
		o.take(in, row)
	}
	// The candidate must outlive this call; the one before it has its copy.
	if o.best != before {
		o.best.Retain()
		if before.Rows() > 0 {
			before.Release()
		}
	}
	return nil
}

// Finish implements [harrow.Operator]: the last key's row, and what is left of
// the others.
func (o *operator) Finish(_ context.Context, out harrow.Output) error {
	if o.copier == nil {
		return nil
	}
	if err := o.keep(out); err != nil {
		return err
	}
	if o.best.Rows() > 0 {
		o.best.Release()
		o.best = harrow.Batch{}
	}
	err := o.emit(out)
	o.copier.Release()
	o.copier, o.schema = nil, nil
	return err
}

// learn resolves the columns once per schema; a shard has one.
func (o *operator) learn(s *arrow.Schema) error {
	if o.schema == s {
		return nil
	}
	if o.schema != nil {
		if !o.schema.Equal(s) {
			return fmt.Errorf("parts differ in their columns: %s, then %s", o.schema, s)
		}
		o.schema = s
		return nil
	}
	o.keys, o.latest = o.keys[:0], comparer{column: -1}
	for _, name := range o.config.Key {
		c, err := comparerOf(s, name)
		if err != nil {
			return err
		}
		o.keys = append(o.keys, c)
	}
	var err error
	if column := o.config.latest(); column != "" {
		if o.latest, err = comparerOf(s, column); err != nil {
			return err
		}
	}
	if o.data, err = dataColumns(s, o.config.Columns); err != nil {
		return err
	}
	o.schema, o.ages.column = s, -1
	if o.config.Aged {
		if o.ages, err = agesOf(s); err != nil {
			return err
		}
		if s, err = younger(s, o.config.Record); err != nil {
			return err
		}
	}
	o.copier, err = lakeio.NewRowCopier(s)
	return err
}

func dataColumns(s *arrow.Schema, names []string) (at []int, err error) {
	for _, name := range names {
		i := s.FieldIndices(name)
		if len(i) == 0 {
			return nil, fmt.Errorf("the record has no column %q", name)
		}
		at = append(at, i[0])
	}
	for i, f := range s.Fields() {
		if len(names) == 0 && !strings.HasPrefix(f.Name, "_") {
			at = append(at, i)
		}
	}
	return at, nil
}

func comparerOf(s *arrow.Schema, name string) (comparer, error) {
	i := s.FieldIndices(name)
	if len(i) == 0 {
		return comparer{}, fmt.Errorf("the record has no column %q", name)
	}
	cmp, err := compareOf(s.Field(i[0]).Type)
	if err != nil {
		return comparer{}, fmt.Errorf("column %s: %w", name, err)
	}
	return comparer{i[0], cmp}, nil
}

func (o *operator) nullKey(b harrow.Batch, row int) (column string, ok bool) {
	for i, k := range o.keys {
		if b.Arrow().Column(k.column).IsNull(row) {
			return o.config.Key[i], true
		}
	}
	return "", false
}

// order compares the row with the candidate by one column.
func (o *operator) order(c comparer, b harrow.Batch, row int) int {
	return c.cmp(b.Arrow().Column(c.column), row, o.best.Arrow().Column(c.column), o.bestRow)
}

func (o *operator) sameKey(b harrow.Batch, row int) bool {
	for _, k := range o.keys {
		if o.order(k, b, row) != 0 {
			return false
		}
	}
	return true
}

// better reports whether the row, which comes after the candidate in (_url,
// _ordinal), takes its place.
func (o *operator) better(b harrow.Batch, row int) bool {
	switch {
	case o.latest.column >= 0:
		return o.order(o.latest, b, row) > 0
	case o.config.Keep.Policy == harrow.KeepMostComplete:
		return o.count(b, row) > o.filled
	}
	return false
}

func (o *operator) take(b harrow.Batch, row int) {
	o.best, o.bestRow = b, row
	if o.config.Keep.Policy == harrow.KeepMostComplete {
		o.filled = o.count(b, row)
	}
}

func (o *operator) count(b harrow.Batch, row int) (n int) {
	for _, i := range o.data {
		if b.Arrow().Column(i).IsValid(row) {
			n++
		}
	}
	return n
}

// keep copies the candidate to the output.
func (o *operator) keep(out harrow.Output) error {
	if o.best.Rows() == 0 || o.ages.old(o.best, o.bestRow) {
		return nil
	}
	o.copier.Append(o.best, o.bestRow)
	if o.copier.Full() {
		return o.emit(out)
	}
	return nil
}

func (o *operator) emit(out harrow.Output) error {
	if o.copier.Rows() == 0 {
		return nil
	}
	b := o.copier.Batch()
	defer b.Release()
	return out.Emit(o.out, b)
}

func (o *operator) reject(b harrow.Batch, row int, column string) harrow.Reject {
	r := lakeio.RowReject(b, row, o.config.Record)
	r.Class, r.Code, r.Field = harrow.DataFault, "key", column
	r.Reason = "column " + column + " of the key is null"
	return r
}
