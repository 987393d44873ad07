package engine

import (
	"bytes"
	"cmp"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

// column is one kind of column: how values are drawn, appended and compared.
type column struct {
	draw    func(*rapid.T) any
	put     func(array.Builder, any)
	compare func(a, b any) int
}

func simple[T cmp.Ordered](g *rapid.Generator[T], put func(array.Builder, T)) column {
	return column{
		func(t *rapid.T) any { return g.Draw(t, "value") },
		func(b array.Builder, v any) { put(b, v.(T)) },
		func(a, b any) int { return cmp.Compare(a.(T), b.(T)) },
	}
}

func compareBool(a, b any) int {
	switch {
	case a == b:
		return 0
	case a.(bool):
		return 1
	}
	return -1
}

var columns = map[string]struct {
	t arrow.DataType
	c column
}{
	"text": {arrow.BinaryTypes.String, simple(rapid.StringOf(rapid.RuneFrom([]rune{0, 1, 'a', 'b', 0xFF, 0x10FFFF})), func(b array.Builder, v string) { b.(*array.StringBuilder).Append(v) })},
	"binary": {arrow.BinaryTypes.Binary, simple(rapid.StringOf(rapid.RuneFrom([]rune{0, 'a'})), func(b array.Builder, v string) {
		b.(*array.BinaryBuilder).AppendString(v)
	})},
	"large": {arrow.BinaryTypes.LargeBinary, simple(rapid.StringOf(rapid.RuneFrom([]rune{0, 'a'})), func(b array.Builder, v string) {
		b.(*array.BinaryBuilder).AppendString(v)
	})},
	"int32": {arrow.PrimitiveTypes.Int32, simple(rapid.Int32(), func(b array.Builder, v int32) { b.(*array.Int32Builder).Append(v) })},
	"int64": {arrow.PrimitiveTypes.Int64, simple(rapid.Int64(), func(b array.Builder, v int64) { b.(*array.Int64Builder).Append(v) })},
	"float": {arrow.PrimitiveTypes.Float64, simple(rapid.Float64(), func(b array.Builder, v float64) { b.(*array.Float64Builder).Append(v) })},
	"time":  {arrow.FixedWidthTypes.Timestamp_us, simple(rapid.Int64(), func(b array.Builder, v int64) { b.(*array.TimestampBuilder).Append(arrow.Timestamp(v)) })},
	"date":  {arrow.FixedWidthTypes.Date32, simple(rapid.Int32(), func(b array.Builder, v int32) { b.(*array.Date32Builder).Append(arrow.Date32(v)) })},
	"bool": {arrow.FixedWidthTypes.Boolean, column{
		func(t *rapid.T) any { return rapid.Bool().Draw(t, "value") },
		func(b array.Builder, v any) { b.(*array.BooleanBuilder).Append(v.(bool)) },
		compareBool,
	}},
	"decimal": {&arrow.Decimal128Type{Precision: 38, Scale: 9}, column{
		func(t *rapid.T) any {
			return new(big.Int).Mul(big.NewInt(rapid.Int64().Draw(t, "value")), big.NewInt(rapid.Int64().Draw(t, "factor")))
		},
		func(b array.Builder, v any) {
			b.(*array.Decimal128Builder).Append(decimal128.FromBigInt(v.(*big.Int)))
		},
		func(a, b any) int { return a.(*big.Int).Cmp(b.(*big.Int)) },
	}},
	"list": {arrow.ListOf(arrow.BinaryTypes.String), column{
		func(t *rapid.T) any {
			return rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "a\x00"}), 0, 3).Draw(t, "value")
		},
		func(b array.Builder, v any) {
			list := b.(*array.ListBuilder)
			list.Append(true)
			for _, s := range v.([]string) {
				list.ValueBuilder().(*array.StringBuilder).Append(s)
			}
		},
		func(a, b any) int { return slices.Compare(a.([]string), b.([]string)) },
	}},
	"struct": {arrow.StructOf(arrow.Field{Name: "s", Type: arrow.BinaryTypes.String}), column{
		func(t *rapid.T) any { return rapid.SampledFrom([]string{"", "a", "ab", "b"}).Draw(t, "value") },
		func(b array.Builder, v any) {
			b.(*array.StructBuilder).Append(true)
			b.(*array.StructBuilder).FieldBuilder(0).(*array.StringBuilder).Append(v.(string))
		},
		func(a, b any) int { return strings.Compare(a.(string), b.(string)) },
	}},
}

// The order of sort keys is the order of (key, order), nulls first, whatever
// the types are, and equal keys are equal bytes.
func TestSortKeysOrderAsTheirValuesDo(t *testing.T) {
	names := []string{}
	for n := range columns {
		names = append(names, n)
	}
	slices.Sort(names)
	rapid.Check(t, func(t *rapid.T) {
		first, second := columns[rapid.SampledFrom(names).Draw(t, "key")], columns[rapid.SampledFrom(names).Draw(t, "order")]
		schema := arrow.NewSchema([]arrow.Field{{Name: "k", Type: first.t, Nullable: true}, {Name: "o", Type: second.t, Nullable: true}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		var rows [2][2]any
		for i := range rows {
			for j, c := range []column{first.c, second.c} {
				switch {
				case rapid.IntRange(0, 9).Draw(t, "null") == 0:
					b.Field(j).AppendNull()
					continue
				case i == 1 && rapid.Bool().Draw(t, "same") && rows[0][j] != nil:
					rows[i][j] = rows[0][j]
				default:
					rows[i][j] = c.draw(t)
				}
				c.put(b.Field(j), rows[i][j])
			}
		}
		rec := b.NewRecord()
		defer rec.Release()
		e, err := newKeyEncoder(Key{Columns: []string{"k"}, Order: []string{"o"}}, schema)
		if err != nil {
			t.Fatal(err)
		}
		x, nx := e.append(nil, rec, 0)
		y, ny := e.append(nil, rec, 1)
		key := compareNull(first.c, rows[0][0], rows[1][0])
		if got := bytes.Compare(x[:nx], y[:ny]); got != key {
			t.Fatalf("keys %v and %v compare as %d, want %d", rows[0][0], rows[1][0], got, key)
		}
		want := cmp.Or(key, compareNull(second.c, rows[0][1], rows[1][1]))
		if got := bytes.Compare(x, y); got != want {
			t.Fatalf("rows %v and %v compare as %d, want %d", rows[0], rows[1], got, want)
		}
		if px, py := prefix(x), prefix(y); px != py && cmp.Compare(px, py) != want {
			t.Fatalf("prefixes of %x and %x compare as %d, want %d", x, y, cmp.Compare(px, py), want)
		}
		c, err := newRowComparer(schema)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.compare(harrow.NewBatch(rec), 0, harrow.NewBatch(rec), 1); got != want {
			t.Fatalf("whole rows %v and %v compare as %d, want %d", rows[0], rows[1], got, want)
		}
	})
}

func compareNull(c column, a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return c.compare(a, b)
}

func TestFloatsThatAreOneKey(t *testing.T) {
	for _, c := range []struct {
		a, b float64
		want int
	}{{math.Copysign(0, -1), 0, 0}, {math.NaN(), -math.NaN(), 0}, {math.Inf(1), math.NaN(), -1}, {math.Inf(-1), -1, -1}} {
		if got := bytes.Compare(appendFloat(nil, c.a), appendFloat(nil, c.b)); got != c.want {
			t.Errorf("%v and %v compare as %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// Files that a shuffle wrote must land in the same shards after an update.
func TestShardsAreStable(t *testing.T) {
	for key, want := range map[string]int{"\x01a\x00\x00": 15, "\x00": 8, "\x01http://books.example/\x00\x00": 13} {
		if got := shardOf([]byte(key), 16); got != want {
			t.Errorf("key %q is in shard %d, want %d", key, got, want)
		}
	}
}
