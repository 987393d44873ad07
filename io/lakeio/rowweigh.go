package lakeio

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
)

// RowWeigher tells about how many bytes of memory each row of a batch takes:
// its values, and the offsets of what has no fixed width, but no bitmaps.
type RowWeigher struct{ columns []weighFunc }

// weighFunc adds to each of weights what the value of that row takes; there
// are as many as a has values.
type weighFunc func(a arrow.Array, weights []int32)

// NewRowWeigher returns one for batches of the schema; a column of a type that
// no table has is an error.
func NewRowWeigher(s *arrow.Schema) (*RowWeigher, error) {
	w := &RowWeigher{}
	for _, f := range s.Fields() {
		fn, err := weigherOf(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		w.columns = append(w.columns, fn)
	}
	return w, nil
}

// Rows is the weight of each row of the batch, whose columns beyond the
// schema's are passed over. It is in the memory of buf if that is enough.
func (w *RowWeigher) Rows(b harrow.Batch, buf []int32) []int32 {
	weights := zeros(buf, b.Rows())
	for j, fn := range w.columns {
		fn(b.Arrow().Column(j), weights)
	}
	return weights
}

func zeros(buf []int32, n int) []int32 {
	if cap(buf) < n {
		return make([]int32, n)
	}
	clear(buf[:n])
	return buf[:n]
}

func weigherOf(t arrow.DataType) (weighFunc, error) {
	switch t := t.(type) {
	case *arrow.StringType:
		return func(a arrow.Array, w []int32) { weighData(a.(*array.String), 4, w) }, nil
	case *arrow.LargeBinaryType:
		return func(a arrow.Array, w []int32) { weighData(a.(*array.LargeBinary), 8, w) }, nil
	case *arrow.BinaryType:
		return func(a arrow.Array, w []int32) { weighData(a.(*array.Binary), 4, w) }, nil
	case *arrow.BooleanType, *arrow.Int32Type, *arrow.Int64Type, *arrow.Float64Type, *arrow.Decimal128Type, *arrow.TimestampType, *arrow.Date32Type:
		width := int32(t.(arrow.FixedWidthDataType).BitWidth()+7) / 8
		return func(_ arrow.Array, w []int32) { weighFixed(width, w) }, nil
	case *arrow.ListType:
		return listWeigher(t)
	case *arrow.StructType:
		return structWeigher(t)
	}
	return nil, fmt.Errorf("no table has a column of Arrow type %s", t)
}

func weighFixed(width int32, weights []int32) {
	for i := range weights {
		weights[i] += width
	}
}

// weighData is for values of any length: a's offsets tell where each begins,
// and where the last one ends.
func weighData[T int32 | int64](a interface{ ValueOffsets() []T }, width int32, weights []int32) {
	if len(weights) == 0 {
		return // without values there may be no offsets
	}
	offsets := a.ValueOffsets()
	for i := range weights {
		weights[i] += int32(offsets[i+1]-offsets[i]) + width
	}
}

func listWeigher(t *arrow.ListType) (weighFunc, error) {
	elem, err := weigherOf(t.Elem())
	if err != nil {
		return nil, err
	}
	var each []int32
	return func(a arrow.Array, weights []int32) {
		list := a.(*array.List)
		each = zeros(each, list.ListValues().Len())
		elem(list.ListValues(), each)
		for i := range weights {
			weights[i] += 4
			from, to := list.ValueOffsets(i)
			for _, n := range each[from:to] {
				weights[i] += n
			}
		}
	}, nil
}

func structWeigher(t *arrow.StructType) (weighFunc, error) {
	fields := make([]weighFunc, t.NumFields())
	for i := range fields {
		var err error
		if fields[i], err = weigherOf(t.Field(i).Type); err != nil {
			return nil, err
		}
	}
	return func(a arrow.Array, weights []int32) {
		weighFixed(1, weights)
		for i, fn := range fields {
			fn(a.(*array.Struct).Field(i), weights)
		}
	}, nil
}
