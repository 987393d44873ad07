package dedup

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// compareFunc orders value i of a and value j of b, arrays of one type; null
// is lowest.
type compareFunc func(a arrow.Array, i int, b arrow.Array, j int) int

// compareOf returns the order of a column's type, as records have them.
func compareOf(t arrow.DataType) (compareFunc, error) {
	switch t := t.(type) {
	case *arrow.StringType:
		return nullLowest(func(a arrow.Array, i int, b arrow.Array, j int) int {
			return strings.Compare(a.(*array.String).Value(i), b.(*array.String).Value(j))
		}), nil
	case *arrow.Int64Type:
		return nullLowest(func(a arrow.Array, i int, b arrow.Array, j int) int {
			return cmp.Compare(a.(*array.Int64).Value(i), b.(*array.Int64).Value(j))
		}), nil
	case *arrow.Float64Type:
		return nullLowest(func(a arrow.Array, i int, b arrow.Array, j int) int {
			return cmp.Compare(a.(*array.Float64).Value(i), b.(*array.Float64).Value(j))
		}), nil
	case *arrow.BooleanType:
		return nullLowest(func(a arrow.Array, i int, b arrow.Array, j int) int {
			x, y := a.(*array.Boolean).Value(i), b.(*array.Boolean).Value(j)
			switch {
			case x == y:
				return 0
			case y:
				return -1
			}
			return 1
		}), nil
	case *arrow.Decimal128Type: // one type has one scale
		return nullLowest(func(a arrow.Array, i int, b arrow.Array, j int) int {
			return a.(*array.Decimal128).Value(i).Cmp(b.(*array.Decimal128).Value(j))
		}), nil
	case *arrow.TimestampType:
		return nullLowest(func(a arrow.Array, i int, b arrow.Array, j int) int {
			return cmp.Compare(a.(*array.Timestamp).Value(i), b.(*array.Timestamp).Value(j))
		}), nil
	case *arrow.Date32Type:
		return nullLowest(func(a arrow.Array, i int, b arrow.Array, j int) int {
			return cmp.Compare(a.(*array.Date32).Value(i), b.(*array.Date32).Value(j))
		}), nil
	case *arrow.ListType:
		return compareLists(t)
	}
	return nil, fmt.Errorf("no record has a column of Arrow type %s", t)
}

func nullLowest(f compareFunc) compareFunc {
	return func(a arrow.Array, i int, b arrow.Array, j int) int {
		x, y := a.IsValid(i), b.IsValid(j)
		switch {
		case x && y:
			return f(a, i, b, j)
		case x:
			return 1
		case y:
			return -1
		}
		return 0
	}
}

// compareLists goes item by item; of two lists that begin alike the shorter
// is lower.
func compareLists(t *arrow.ListType) (compareFunc, error) {
	items, err := compareOf(t.Elem())
	if err != nil {
		return nil, err
	}
	return nullLowest(func(a arrow.Array, i int, b arrow.Array, j int) int {
		x, y := a.(*array.List), b.(*array.List)
		i1, i2 := x.ValueOffsets(i)
		j1, j2 := y.ValueOffsets(j)
		for n := range min(i2-i1, j2-j1) {
			if c := items(x.ListValues(), int(i1+n), y.ListValues(), int(j1+n)); c != 0 {
				return c
			}
		}
		return cmp.Compare(i2-i1, j2-j1)
	}), nil
}
