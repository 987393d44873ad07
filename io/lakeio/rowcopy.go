package lakeio

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
)

// BatchSize is the size in memory of the buffers a batch refers to.
func BatchSize(b harrow.Batch) int64 {
	if b.Arrow() == nil {
		return 0
	}
	n := int64(0)
	for _, c := range b.Arrow().Columns() {
		n += dataSize(c.Data())
	}
	return n
}

func dataSize(d arrow.ArrayData) int64 {
	n := int64(0)
	for _, b := range d.Buffers() {
		if b != nil {
			n += int64(b.Len())
		}
	}
	for _, c := range d.Children() {
		n += dataSize(c)
	}
	return n
}

// RowCopier gathers single rows of batches of one schema into new batches. It
// copies some rows at a time, column by column: where rows lie far apart in
// memory, they are waited for together and not one after the other.
type RowCopier struct {
	gatherer
	copy    []copyFunc
	weigher *RowWeigher
	weighed arrow.Record // whose weights these are
	weights []int32
	pending []pick
	held    int64 // bytes of the rows pending
}

// So many rows, or bytes of them, are copied at a time. The bytes bound what
// batches stay in memory for it.
const (
	pendingRows  = 256
	pendingBytes = 128 << 10
)

// pick is a row to copy, of a record that is retained for it.
type pick struct {
	rec arrow.Record
	row int
}

// copyFunc appends value i of a to b.
type copyFunc func(b array.Builder, a arrow.Array, i int)

// NewRowCopier returns a copier for batches of the schema; a column of a type
// that no table has is an error. Release frees it.
func NewRowCopier(s *arrow.Schema) (*RowCopier, error) {
	w, err := NewRowWeigher(s)
	if err != nil {
		return nil, err
	}
	c := &RowCopier{gatherer: newGatherer(s), weigher: w}
	for _, f := range s.Fields() {
		c.copy = append(c.copy, copierOf(f.Type))
	}
	return c, nil
}

// Append takes row i of the batch; its columns beyond the schema's are passed
// over.
func (c *RowCopier) Append(b harrow.Batch, i int) {
	if rec := b.Arrow(); rec != c.weighed {
		c.weighed, c.weights = rec, c.weigher.Rows(b, c.weights)
	}
	c.AppendWeighed(b, i, c.weights[i])
}

// AppendWeighed is Append where a [RowWeigher] has told what the row weighs:
// for rows of many batches in turn.
func (c *RowCopier) AppendWeighed(b harrow.Batch, i int, weight int32) {
	c.begin()
	c.bytes += int64(weight)
	c.held += int64(weight)
	rec := b.Arrow()
	rec.Retain()
	c.pending = append(c.pending, pick{rec, i})
	if len(c.pending) >= pendingRows || c.held >= pendingBytes {
		c.flush()
	}
}

// flush copies the rows pending.
func (c *RowCopier) flush() {
	for j, fn := range c.copy {
		b := c.rb.Field(j)
		for _, p := range c.pending {
			fn(b, p.rec.Column(j), p.row)
		}
	}
	c.drop()
}

func (c *RowCopier) drop() {
	for _, p := range c.pending {
		p.rec.Release()
	}
	clear(c.pending)
	c.pending, c.held = c.pending[:0], 0
}

// Batch returns the rows and begins anew. The caller releases it.
func (c *RowCopier) Batch() harrow.Batch {
	c.flush()
	return c.gatherer.Batch()
}

// Release frees the copier and drops the rows it has.
func (c *RowCopier) Release() {
	c.drop()
	c.gatherer.Release()
}

// values is an array with values of type T.
type values[T any] interface {
	arrow.Array
	Value(int) T
}

// appends is a builder of an array with values of type T.
type appends[T any] interface {
	array.Builder
	Append(T)
}

func copies[A values[T], B appends[T], T any](b array.Builder, a arrow.Array, i int) {
	if a.IsNull(i) {
		b.AppendNull()
		return
	}
	b.(B).Append(a.(A).Value(i))
}

// copierOf is for the types that weigherOf takes.
func copierOf(t arrow.DataType) copyFunc {
	switch t := t.(type) {
	case *arrow.StringType:
		return copies[*array.String, *array.StringBuilder]
	case *arrow.LargeBinaryType:
		return copies[*array.LargeBinary, *array.BinaryBuilder]
	case *arrow.BinaryType:
		return copies[*array.Binary, *array.BinaryBuilder]
	case *arrow.Int32Type:
		return copies[*array.Int32, *array.Int32Builder]
	case *arrow.Int64Type:
		return copies[*array.Int64, *array.Int64Builder]
	case *arrow.Float64Type:
		return copies[*array.Float64, *array.Float64Builder]
	case *arrow.BooleanType:
		return copies[*array.Boolean, *array.BooleanBuilder]
	case *arrow.Decimal128Type:
		return copies[*array.Decimal128, *array.Decimal128Builder]
	case *arrow.TimestampType:
		return copies[*array.Timestamp, *array.TimestampBuilder]
	case *arrow.Date32Type:
		return copies[*array.Date32, *array.Date32Builder]
	case *arrow.ListType:
		return listCopier(t)
	case *arrow.StructType:
		return structCopier(t)
	}
	return nil
}

func listCopier(t *arrow.ListType) copyFunc {
	elem := copierOf(t.Elem())
	return func(b array.Builder, a arrow.Array, i int) {
		if a.IsNull(i) {
			b.AppendNull()
			return
		}
		in, out := a.(*array.List), b.(*array.ListBuilder)
		out.Append(true)
		from, to := in.ValueOffsets(i)
		for j := from; j < to; j++ {
			elem(out.ValueBuilder(), in.ListValues(), int(j))
		}
	}
}

func structCopier(t *arrow.StructType) copyFunc {
	fields := make([]copyFunc, t.NumFields())
	for i := range fields {
		fields[i] = copierOf(t.Field(i).Type)
	}
	return func(b array.Builder, a arrow.Array, i int) {
		if a.IsNull(i) {
			b.AppendNull()
			return
		}
		in, out := a.(*array.Struct), b.(*array.StructBuilder)
		out.Append(true)
		for j, fn := range fields {
			fn(out.FieldBuilder(j), in.Field(j), i)
		}
	}
}
