package lakeio

import (
	"fmt"

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

// RowCopier gathers single rows of batches of one schema into new batches.
type RowCopier struct {
	gatherer
	copy []copyFunc
}

// copyFunc appends value i of a to b and returns about its size.
type copyFunc func(b array.Builder, a arrow.Array, i int) int

// NewRowCopier returns a copier for batches of the schema; a column of a type
// that no table has is an error. Release frees it.
func NewRowCopier(s *arrow.Schema) (*RowCopier, error) {
	c := &RowCopier{gatherer: newGatherer(s)}
	for _, f := range s.Fields() {
		fn, err := copierOf(f.Type)
		if err != nil {
			c.Release()
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		c.copy = append(c.copy, fn)
	}
	return c, nil
}

// Append copies row i of the batch; its columns beyond the schema's are passed
// over.
func (c *RowCopier) Append(b harrow.Batch, i int) {
	c.begin()
	rec := b.Arrow()
	for j, fn := range c.copy {
		c.bytes += int64(fn(c.rb.Field(j), rec.Column(j), i))
	}
}

// orNull guards a copyFunc against nulls, which take width bytes.
func orNull(width int, fn copyFunc) copyFunc {
	return func(b array.Builder, a arrow.Array, i int) int {
		if a.IsNull(i) {
			b.AppendNull()
			return width
		}
		return fn(b, a, i)
	}
}

func copierOf(t arrow.DataType) (copyFunc, error) {
	switch t := t.(type) {
	case *arrow.StringType:
		return orNull(4, func(b array.Builder, a arrow.Array, i int) int {
			v := a.(*array.String).Value(i)
			b.(*array.StringBuilder).Append(v)
			return len(v) + 4
		}), nil
	case *arrow.LargeBinaryType:
		return orNull(8, func(b array.Builder, a arrow.Array, i int) int {
			v := a.(*array.LargeBinary).Value(i)
			b.(*array.BinaryBuilder).Append(v)
			return len(v) + 8
		}), nil
	case *arrow.BinaryType:
		return orNull(4, func(b array.Builder, a arrow.Array, i int) int {
			v := a.(*array.Binary).Value(i)
			b.(*array.BinaryBuilder).Append(v)
			return len(v) + 4
		}), nil
	case *arrow.Int32Type:
		return orNull(4, func(b array.Builder, a arrow.Array, i int) int {
			b.(*array.Int32Builder).Append(a.(*array.Int32).Value(i))
			return 4
		}), nil
	case *arrow.Int64Type:
		return orNull(8, func(b array.Builder, a arrow.Array, i int) int {
			b.(*array.Int64Builder).Append(a.(*array.Int64).Value(i))
			return 8
		}), nil
	case *arrow.Float64Type:
		return orNull(8, func(b array.Builder, a arrow.Array, i int) int {
			b.(*array.Float64Builder).Append(a.(*array.Float64).Value(i))
			return 8
		}), nil
	case *arrow.BooleanType:
		return orNull(1, func(b array.Builder, a arrow.Array, i int) int {
			b.(*array.BooleanBuilder).Append(a.(*array.Boolean).Value(i))
			return 1
		}), nil
	case *arrow.Decimal128Type:
		return orNull(16, func(b array.Builder, a arrow.Array, i int) int {
			b.(*array.Decimal128Builder).Append(a.(*array.Decimal128).Value(i))
			return 16
		}), nil
	case *arrow.TimestampType:
		return orNull(8, func(b array.Builder, a arrow.Array, i int) int {
			b.(*array.TimestampBuilder).Append(a.(*array.Timestamp).Value(i))
			return 8
		}), nil
	case *arrow.Date32Type:
		return orNull(4, func(b array.Builder, a arrow.Array, i int) int {
			b.(*array.Date32Builder).Append(a.(*array.Date32).Value(i))
			return 4
		}), nil
	case *arrow.ListType:
		return listCopier(t)
	case *arrow.StructType:
		return structCopier(t)
	}
	return nil, fmt.Errorf("no table has a column of Arrow type %s", t)
}

func listCopier(t *arrow.ListType) (copyFunc, error) {
	elem, err := copierOf(t.Elem())
	if err != nil {
		return nil, err
	}
	return orNull(4, func(b array.Builder, a arrow.Array, i int) int {
		in, out := a.(*array.List), b.(*array.ListBuilder)
		out.Append(true)
		n := 4
		from, to := in.ValueOffsets(i)
		for j := from; j < to; j++ {
			n += elem(out.ValueBuilder(), in.ListValues(), int(j))
		}
		return n
	}), nil
}

func structCopier(t *arrow.StructType) (copyFunc, error) {
	fields := make([]copyFunc, t.NumFields())
	for i := range fields {
		var err error
		if fields[i], err = copierOf(t.Field(i).Type); err != nil {
			return nil, err
		}
	}
	return orNull(1, func(b array.Builder, a arrow.Array, i int) int {
		in, out := a.(*array.Struct), b.(*array.StructBuilder)
		out.Append(true)
		n := 1
		for j, fn := range fields {
			n += fn(out.FieldBuilder(j), in.Field(j), i)
		}
		return n
	}), nil
}
