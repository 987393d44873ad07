package rules

import (
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
)

// listOf makes of a column's items the slice that [harrow.Type] names for
// their kind.
func listOf(kind harrow.Kind, items []any) any {
	switch kind {
	case harrow.Int:
		return sliceOf[int64](items)
	case harrow.Float:
		return sliceOf[float64](items)
	case harrow.Bool:
		return sliceOf[bool](items)
	case harrow.Decimal:
		return sliceOf[decimal.Decimal](items)
	case harrow.Date, harrow.Timestamp:
		return sliceOf[time.Time](items)
	}
	return sliceOf[string](items)
}

func sliceOf[T any](items []any) []T {
	list := make([]T, len(items))
	for i, item := range items {
		list[i] = item.(T)
	}
	return list
}

// itemsOf returns the items of a column's list; false: the value is none.
func itemsOf(v any) ([]any, bool) {
	switch v := v.(type) {
	case []string:
		return anyOf(v), true
	case []int64:
		return anyOf(v), true
	case []float64:
		return anyOf(v), true
	case []bool:
		return anyOf(v), true
	case []decimal.Decimal:
		return anyOf(v), true
	case []time.Time:
		return anyOf(v), true
	}
	return nil, false
}

func anyOf[T any](list []T) []any {
	items := make([]any, len(list))
	for i, item := range list {
		items[i] = item
	}
	return items
}

// textSize is about how many bytes a value takes beside its place in the row.
func textSize(value any) (n int) {
	const item = 16 // a string's header, a number, a time
	switch value := value.(type) {
	case string:
		return len(value)
	case []string:
		for _, s := range value {
			n += item + len(s)
		}
	case []int64:
		n = item * len(value)
	case []float64:
		n = item * len(value)
	case []bool:
		n = len(value)
	case []decimal.Decimal:
		for _, d := range value {
			n += 2*item + d.Coefficient().BitLen()/8
		}
	case []time.Time:
		n = 2 * item * len(value)
	}
	return n
}
