package lakeio

import (
	"math/big"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
)

// Vector is a column of a record as expressions see it. It may refer to the
// array's memory: it is valid as long as that. An array of a type that no
// record has is all null.
func Vector(a arrow.Array) *expr.Vector {
	v := &expr.Vector{Rows: a.Len(), Nulls: nullsOf(a)}
	switch a := a.(type) {
	case *array.String:
		v.Kind, v.Texts = expr.Text, make([]string, a.Len())
		for i := range v.Texts {
			v.Texts[i] = a.Value(i)
		}
	case *array.Int64:
		v.Kind, v.Ints = expr.Number, a.Int64Values()
	case *array.Float64:
		v.Kind, v.Floats = expr.Float, a.Float64Values()
	case *array.Boolean:
		v.Kind, v.Bools = expr.Bool, make([]bool, a.Len())
		for i := range v.Bools {
			v.Bools[i] = a.Value(i)
		}
	case *array.Decimal128:
		v.Kind = expr.Number
		decimalVector(v, a)
	case *array.Date32:
		v.Kind, v.Ints = expr.Date, widened(a.Date32Values())
	case *array.Timestamp:
		v.Kind, v.Ints = expr.Timestamp, widened(a.TimestampValues())
	case *array.List:
		v.Kind, v.Ints = expr.List, make([]int64, a.Len())
		for i := range v.Ints {
			from, to := a.ValueOffsets(i)
			v.Ints[i] = to - from
		}
	}
	return v
}

func nullsOf(a arrow.Array) []bool {
	if a.NullN() == 0 {
		return nil
	}
	nulls := make([]bool, a.Len())
	for i := range nulls {
		nulls[i] = a.IsNull(i)
	}
	return nulls
}

func widened[T ~int32 | ~int64](in []T) []int64 {
	out := make([]int64, len(in))
	for i, n := range in {
		out[i] = int64(n)
	}
	return out
}

func decimalVector(v *expr.Vector, a *array.Decimal128) {
	scale := a.DataType().(*arrow.Decimal128Type).Scale
	v.Scale, v.Ints = scale, make([]int64, a.Len())
	for i := range v.Ints {
		if a.IsNull(i) {
			continue // the value of a null may be anything
		}
		n := a.Value(i)
		low := int64(n.LowBits())
		if n.HighBits() != low>>63 { // it doesn't fit 64 bits
			v.Ints, v.Scale = nil, 0
			v.Decs = decimals(a, scale)
			return
		}
		v.Ints[i] = low
	}
	v.Reduce()
}

func decimals(a *array.Decimal128, scale int32) []decimal.Decimal {
	out := make([]decimal.Decimal, a.Len())
	for i := range out {
		if a.IsValid(i) {
			out[i] = decimal.NewFromBigInt(a.Value(i).BigInt(), -scale)
		}
	}
	return out
}

// AppendVector appends a row of a vector that was made for the type (see
// expr.Program.To) to the builder of its column and returns about how many
// bytes it takes.
func AppendVector(b array.Builder, t harrow.Type, v *expr.Vector, row int) int {
	if v.IsNull(row) {
		b.AppendNull()
		return 8
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		s := valid(v.Text(row))
		b.Append(s)
		return len(s) + 4
	case *array.Int64Builder:
		if v.Decs == nil && v.Scale == 0 {
			b.Append(v.Int(row))
		} else {
			b.Append(v.Decimal(row).IntPart())
		}
	case *array.Float64Builder:
		b.Append(v.Float(row))
	case *array.BooleanBuilder:
		b.Append(v.Bool(row))
		return 1
	case *array.Decimal128Builder:
		if v.Decs == nil && v.Scale == t.Scale {
			b.Append(decimal128.FromI64(v.Int(row)))
		} else {
			b.Append(decimal128.FromBigInt(unscaled(v.Decimal(row), t.Scale)))
		}
		return 16
	case *array.Date32Builder:
		b.Append(arrow.Date32(v.Int(row)))
		return 4
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.Int(row)))
	default:
		b.AppendNull()
	}
	return 8
}

func unscaled(d decimal.Decimal, scale int32) *big.Int { return d.Shift(scale).BigInt() }

// Vectors are the columns of a batch as expressions see them, each made when
// it is first asked for. They are valid as long as the batch.
type Vectors struct {
	batch harrow.Batch
	made  []*expr.Vector
}

// NewVectors returns those of a batch.
func NewVectors(b harrow.Batch) *Vectors {
	return &Vectors{b, make([]*expr.Vector, b.Arrow().NumCols())}
}

// At is the column of that index.
func (v *Vectors) At(i int) *expr.Vector {
	if v.made[i] == nil {
		v.made[i] = Vector(v.batch.Arrow().Column(i))
	}
	return v.made[i]
}

// ValueText is a value of a column as the column value of a reject has it: the
// text itself, and anything else as in JSON, without quotes; empty for null.
func ValueText(a arrow.Array, row int) string {
	if a == nil || a.IsNull(row) {
		return ""
	}
	if s, ok := a.(*array.String); ok {
		return strings.Clone(s.Value(row))
	}
	return strings.Trim(string(AppendJSONValue(nil, a, row)), `"`)
}
