package view

import (
	"cmp"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"

	"github.com/harrowdata/harrow/io/lakeio"
)

// ValueText is a value as text: what JSON says, a string without its quotes;
// empty for null.
func ValueText(a arrow.Array, row int) string {
	if a == nil || a.IsNull(row) {
		return ""
	}
	if s, ok := a.(*array.String); ok {
		return strings.Clone(s.Value(row)) // it points into the batch
	}
	text := lakeio.AppendJSONValue(nil, a, row)
	if n := len(text); n > 1 && text[0] == '"' {
		text = text[1 : n-1] // no other kind of value has anything to escape
	}
	return string(text)
}

// matches compares a value with what a user wrote: its text, or its JSON.
// Null is "" and null.
func matches(a arrow.Array, row int, want string) bool {
	if a == nil || a.IsNull(row) {
		return want == "" || want == "null"
	}
	if ValueText(a, row) == want {
		return true
	}
	return strings.HasPrefix(want, `"`) && string(lakeio.AppendJSONValue(nil, a, row)) == want
}

// numeric reports whether values of a column belong to the right.
func numeric(a arrow.Array) bool {
	switch a.(type) {
	case *array.Int32, *array.Int64, *array.Float64, *array.Decimal128:
		return true
	}
	return false
}

// sortKey is a value to sort by. One column has one kind of them.
type sortKey struct {
	null bool
	n    int64
	f    float64
	d    decimal128.Num
	s    string
}

func sortKeyOf(a arrow.Array, row int) sortKey {
	if a == nil || a.IsNull(row) {
		return sortKey{null: true}
	}
	switch a := a.(type) {
	case *array.Int32:
		return sortKey{n: int64(a.Value(row))}
	case *array.Int64:
		return sortKey{n: a.Value(row)}
	case *array.Float64:
		return sortKey{f: a.Value(row)}
	case *array.Decimal128:
		return sortKey{d: a.Value(row)}
	case *array.Timestamp:
		return sortKey{n: int64(a.Value(row))}
	case *array.Date32:
		return sortKey{n: int64(a.Value(row))}
	}
	return sortKey{s: ValueText(a, row)}
}

// compare orders two values; null comes last either way.
func (k sortKey) compare(l sortKey, descending bool) int {
	if k.null || l.null {
		switch {
		case k.null && l.null:
			return 0
		case k.null:
			return 1
		}
		return -1
	}
	c := cmp.Or(cmp.Compare(k.n, l.n), cmp.Compare(k.f, l.f), k.d.Cmp(l.d), cmp.Compare(k.s, l.s))
	if descending {
		return -c
	}
	return c
}
