package lakeio

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
)

// column ties one column of a table to one field of its Go type R.
type column[R any] struct {
	field arrow.Field
	doc   string
	// put appends the field's value and returns about how many bytes it took.
	put func(b array.Builder, r *R) int
	// get sets the field from row i; a null gives the zero value.
	get func(a arrow.Array, i int, r *R)
}

func newColumn[R any](name, doc string, t arrow.DataType, put func(array.Builder, *R) int, get func(arrow.Array, int, *R)) column[R] {
	return column[R]{arrow.Field{Name: name, Type: t, Nullable: true}, doc, put, get}
}

// valid replaces what is no UTF-8: a server's bytes must not make a column
// that other readers of Arrow refuse.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// text is a string column; an empty string is null.
func text[R any, S ~string](name, doc string, at func(*R) *S) column[R] {
	return newColumn(name, doc, arrow.BinaryTypes.String,
		func(b array.Builder, r *R) int {
			v := *at(r)
			if v == "" {
				b.AppendNull()
			} else {
				b.(*array.StringBuilder).Append(valid(string(v)))
			}
			return len(v) + 4
		},
		func(a arrow.Array, i int, r *R) { *at(r) = S(a.(*array.String).Value(i)) })
}

// id is a request id as 32 hexadecimal digits; the zero id is null.
func id[R any](name, doc string, at func(*R) *harrow.ID) column[R] {
	return newColumn(name, doc, arrow.BinaryTypes.String,
		func(b array.Builder, r *R) int {
			v := at(r)
			if v.IsZero() {
				b.AppendNull()
			} else {
				b.(*array.StringBuilder).Append(v.String())
			}
			return 36
		},
		func(a arrow.Array, i int, r *R) {
			// Only this package writes ids; a foreign file was refused when it was opened.
			_ = at(r).UnmarshalText([]byte(a.(*array.String).Value(i)))
		})
}

func int32s[R any](name, doc string, at func(*R) *int32) column[R] {
	return newColumn(name, doc, arrow.PrimitiveTypes.Int32,
		func(b array.Builder, r *R) int { b.(*array.Int32Builder).Append(*at(r)); return 4 },
		func(a arrow.Array, i int, r *R) { *at(r) = a.(*array.Int32).Value(i) })
}

func int64s[R any, N ~int64 | ~int](name, doc string, at func(*R) *N) column[R] {
	return newColumn(name, doc, arrow.PrimitiveTypes.Int64,
		func(b array.Builder, r *R) int { b.(*array.Int64Builder).Append(int64(*at(r))); return 8 },
		func(a arrow.Array, i int, r *R) { *at(r) = N(a.(*array.Int64).Value(i)) })
}

func bools[R any](name, doc string, at func(*R) *bool) column[R] {
	return newColumn(name, doc, arrow.FixedWidthTypes.Boolean,
		func(b array.Builder, r *R) int { b.(*array.BooleanBuilder).Append(*at(r)); return 1 },
		func(a arrow.Array, i int, r *R) { *at(r) = a.(*array.Boolean).Value(i) })
}

// times is a timestamp in µs, UTC; the zero time is null.
func times[R any](name, doc string, at func(*R) *time.Time) column[R] {
	return newColumn(name, doc, timestampType,
		func(b array.Builder, r *R) int {
			if t := *at(r); t.IsZero() {
				b.AppendNull()
			} else {
				b.(*array.TimestampBuilder).Append(arrow.Timestamp(t.UnixMicro()))
			}
			return 8
		},
		func(a arrow.Array, i int, r *R) { *at(r) = time.UnixMicro(int64(a.(*array.Timestamp).Value(i))).UTC() })
}

// payload is a large binary column; nil is null.
func payload[R any](name, doc string, at func(*R) *[]byte) column[R] {
	return newColumn(name, doc, arrow.BinaryTypes.LargeBinary,
		func(b array.Builder, r *R) int {
			v := *at(r)
			if v == nil {
				b.AppendNull()
			} else {
				b.(*array.BinaryBuilder).Append(v)
			}
			return len(v) + 8
		},
		func(a arrow.Array, i int, r *R) { *at(r) = a.(*array.LargeBinary).Value(i) })
}

var (
	timestampType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	headerType    = arrow.StructOf(
		arrow.Field{Name: "name", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "value", Type: arrow.BinaryTypes.String})
)

// headers is a list of (name, value), in order.
func headers[R any](name, doc string, at func(*R) *[]harrow.Header) column[R] {
	return newColumn(name, doc, arrow.ListOf(headerType),
		func(b array.Builder, r *R) int {
			list, n := b.(*array.ListBuilder), 4
			if len(*at(r)) == 0 {
				list.AppendNull()
				return n
			}
			list.Append(true)
			entry := list.ValueBuilder().(*array.StructBuilder)
			for _, h := range *at(r) {
				entry.Append(true)
				entry.FieldBuilder(0).(*array.StringBuilder).Append(valid(h.Name))
				entry.FieldBuilder(1).(*array.StringBuilder).Append(valid(h.Value))
				n += len(h.Name) + len(h.Value) + 8
			}
			return n
		},
		func(a arrow.Array, i int, r *R) {
			list := a.(*array.List)
			from, to := list.ValueOffsets(i)
			entry := list.ListValues().(*array.Struct)
			names, values := entry.Field(0).(*array.String), entry.Field(1).(*array.String)
			*at(r) = make([]harrow.Header, 0, to-from)
			for j := int(from); j < int(to); j++ {
				*at(r) = append(*at(r), harrow.Header{Name: names.Value(j), Value: values.Value(j)})
			}
		})
}
