package lakeio

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
)

// checkValue says what is wrong with a column's value.
func checkValue(t harrow.Type, v any) error {
	ok := false
	switch v := v.(type) {
	case nil:
		return nil
	case []string, []int64, []float64, []bool, []decimal.Decimal, []time.Time:
		return checkList(t, v)
	case string:
		ok = t.Kind == harrow.Text
	case int64:
		ok = t.Kind == harrow.Int
	case float64:
		ok = t.Kind == harrow.Float
	case bool:
		ok = t.Kind == harrow.Bool
	case time.Time:
		ok = t.Kind == harrow.Timestamp || t.Kind == harrow.Date
		if y := v.UTC().Year(); ok && (y < 1 || y > 9999) {
			return fmt.Errorf("year %d; want 1 to 9999", y)
		}
	case decimal.Decimal:
		if t.Kind == harrow.Decimal && !t.List {
			_, err := decimal128Of(v, t)
			return err
		}
	}
	if !ok || t.List {
		return wrongType(t, v)
	}
	return nil
}

func wrongType(t harrow.Type, v any) error {
	return fmt.Errorf("value of Go type %T; %s wants %s", v, t, t.GoType())
}

// checkList checks a slice and each of its items.
func checkList(t harrow.Type, v any) error {
	if !t.List {
		return wrongType(t, v)
	}
	switch v := v.(type) {
	case []string:
		return checkItems(t, v)
	case []int64:
		return checkItems(t, v)
	case []float64:
		return checkItems(t, v)
	case []bool:
		return checkItems(t, v)
	case []decimal.Decimal:
		return checkItems(t, v)
	case []time.Time:
		return checkItems(t, v)
	}
	return wrongType(t, v)
}

func checkItems[T any](t harrow.Type, items []T) error {
	var zero T // fits every type of its kind, so an empty list of another is found
	if checkValue(t.Element(), zero) != nil {
		return wrongType(t, items)
	}
	for i, item := range items {
		if err := checkValue(t.Element(), item); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

// decimal128Of scales d exactly; more digits than t has are an error.
func decimal128Of(d decimal.Decimal, t harrow.Type) (decimal128.Num, error) {
	if d.Exponent() < -1000 || d.Exponent() > 1000 || d.NumDigits() > 1000 { // would be written out below
		return decimal128.Num{}, fmt.Errorf("a number of %d digits and exponent %d has more digits than %s", d.NumDigits(), d.Exponent(), t)
	}
	scaled := d.Shift(t.Scale)
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Precision)), nil)
	if n := scaled.BigInt(); scaled.IsInteger() && n.CmpAbs(limit) < 0 {
		return decimal128.FromBigInt(n), nil
	}
	return decimal128.Num{}, fmt.Errorf("%s has more digits than %s", d, t)
}

// appendValue appends a checked value and returns about its size.
func appendValue(b array.Builder, t harrow.Type, v any) int64 {
	switch v := v.(type) {
	case nil:
		b.AppendNull()
	case string:
		b.(*array.StringBuilder).Append(valid(v))
		return int64(len(v)) + 4
	case []string, []int64, []float64, []bool, []decimal.Decimal, []time.Time:
		return appendList(b.(*array.ListBuilder), t.Element(), v)
	case int64:
		b.(*array.Int64Builder).Append(v)
	case float64:
		b.(*array.Float64Builder).Append(v)
	case bool:
		b.(*array.BooleanBuilder).Append(v)
	case decimal.Decimal:
		n, _ := decimal128Of(v, t) // checked before
		b.(*array.Decimal128Builder).Append(n)
		return 16
	case time.Time:
		if t.Kind == harrow.Date {
			b.(*array.Date32Builder).Append(arrow.Date32FromTime(v))
		} else {
			b.(*array.TimestampBuilder).Append(arrow.Timestamp(v.UnixMicro()))
		}
	}
	return 8
}

// appendList appends a checked list with elements of type t.
func appendList(b *array.ListBuilder, t harrow.Type, v any) int64 {
	b.Append(true)
	switch v := v.(type) {
	case []string:
		return appendItems(b, t, v)
	case []int64:
		return appendItems(b, t, v)
	case []float64:
		return appendItems(b, t, v)
	case []bool:
		return appendItems(b, t, v)
	case []decimal.Decimal:
		return appendItems(b, t, v)
	case []time.Time:
		return appendItems(b, t, v)
	}
	return 4
}

func appendItems[T any](b *array.ListBuilder, t harrow.Type, items []T) int64 {
	n := int64(4)
	for _, item := range items {
		n += appendValue(b.ValueBuilder(), t, item)
	}
	return n
}

// Value is value i of a record's column as the Go type that [harrow.Type]
// names; nil for null. Texts are copies.
func Value(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return strings.Clone(a.Value(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.Boolean:
		return a.Value(i)
	case *array.Decimal128:
		return decimalAt(a, i)
	case *array.Timestamp:
		return timeAt(a, i)
	case *array.Date32:
		return dateOf(a.Value(i))
	case *array.List:
		return listValue(a, i)
	}
	return nil
}

func decimalAt(a *array.Decimal128, i int) decimal.Decimal {
	return decimal.NewFromBigInt(a.Value(i).BigInt(), -a.DataType().(*arrow.Decimal128Type).Scale)
}

func timeAt(a *array.Timestamp, i int) time.Time { return time.UnixMicro(int64(a.Value(i))).UTC() }

func listValue(a *array.List, i int) any {
	from, to := a.ValueOffsets(i)
	switch v := a.ListValues().(type) {
	case *array.String:
		return listOf(from, to, func(j int) string { return strings.Clone(v.Value(j)) })
	case *array.Int64:
		return listOf(from, to, v.Value)
	case *array.Float64:
		return listOf(from, to, v.Value)
	case *array.Boolean:
		return listOf(from, to, v.Value)
	case *array.Decimal128:
		return listOf(from, to, func(j int) decimal.Decimal { return decimalAt(v, j) })
	case *array.Timestamp:
		return listOf(from, to, func(j int) time.Time { return timeAt(v, j) })
	case *array.Date32:
		return listOf(from, to, func(j int) time.Time { return dateOf(v.Value(j)) })
	}
	return nil
}

func listOf[T any](from, to int64, value func(int) T) []T {
	list := make([]T, 0, to-from)
	for j := from; j < to; j++ {
		list = append(list, value(int(j)))
	}
	return list
}

// CheckValue says why a column of type t can't hold a value of Go; nil is
// null.
func CheckValue(t harrow.Type, v any) error { return checkValue(t, v) }

// AppendValue appends a value that [CheckValue] has found right to the builder
// of its column.
func AppendValue(b array.Builder, t harrow.Type, v any) { appendValue(b, t, v) }
