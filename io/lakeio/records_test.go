package lakeio

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

// everyKind has a column of each kind.
var everyKind = harrow.RecordType{Name: "every", Columns: []harrow.Column{
	{Name: "text", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "int", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "float", Type: harrow.Type{Kind: harrow.Float}},
	{Name: "bool", Type: harrow.Type{Kind: harrow.Bool}},
	{Name: "amount", Type: harrow.Type{Kind: harrow.Decimal, Precision: 5, Scale: 2}},
	{Name: "wide", Type: harrow.DefaultDecimal},
	{Name: "day", Type: harrow.Type{Kind: harrow.Date}},
	{Name: "at", Type: harrow.Type{Kind: harrow.Timestamp}},
	{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
	{Name: "ints", Type: harrow.Type{Kind: harrow.Int, List: true}},
	{Name: "floats", Type: harrow.Type{Kind: harrow.Float, List: true}},
	{Name: "bools", Type: harrow.Type{Kind: harrow.Bool, List: true}},
	{Name: "amounts", Type: harrow.Type{Kind: harrow.Decimal, Precision: 5, Scale: 2, List: true}},
	{Name: "days", Type: harrow.Type{Kind: harrow.Date, List: true}},
	{Name: "times", Type: harrow.Type{Kind: harrow.Timestamp, List: true}},
}}

func TestRecordTypesComeBackFromTheirSchema(t *testing.T) {
	got, err := RecordTypeOf(RecordSchema(everyKind))
	check(t, err)
	if !reflect.DeepEqual(got, everyKind) {
		t.Errorf("%+v, want %+v", got, everyKind)
	}
	names := []string{}
	for _, f := range RecordSchema(everyKind).Fields()[len(everyKind.Columns):] {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "_id _url _ordinal _rule _digest _fetched_at _run" {
		t.Errorf("provenance is %s", got)
	}
}

func TestSchemasThatAreNoRecordsAreRefused(t *testing.T) {
	_, err := RecordTypeOf(Captures.Schema())
	wants(t, err, nil, "table captures holds no records")
	_, err = RecordTypeOf(arrow.NewSchema(nil, nil))
	wants(t, err, nil, "harrow.table")
	for _, typ := range []arrow.DataType{arrow.PrimitiveTypes.Uint8, arrow.ListOf(arrow.PrimitiveTypes.Uint8), arrow.ListOf(arrow.ListOf(arrow.PrimitiveTypes.Int64)), headerType} {
		_, err = RecordTypeOf(withMeta([]arrow.Field{{Name: "odd", Type: typ}}, "records/x", 1))
		wants(t, err, nil, "column odd", typ.String())
	}
}

func TestRecordsHoldWhatWasAppended(t *testing.T) {
	rb := NewRecordBuilder(everyKind)
	defer rb.Release()
	rapid.Check(t, func(t *rapid.T) {
		var rows [][]any
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			rows = append(rows, anyValues(t))
		}
		for i, row := range rows {
			if err := rb.Append(row, Origin{Ordinal: int64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		b := rb.Batch()
		defer b.Release()
		for i, row := range rows {
			for j, want := range row {
				if got := valueAt(b.Arrow().Column(j), i); !sameValue(got, want) {
					t.Fatalf("row %d, %s: %v, want %v", i, everyKind.Columns[j].Name, got, want)
				}
			}
			if got := valueAt(b.Column("_ordinal"), i); got != int64(i) {
				t.Fatalf("_ordinal %v, want %d", got, i)
			}
		}
	})
}

func anyValues(t *rapid.T) []any {
	amount := rapid.Map(rapid.Int64Range(-99999, 99999), func(n int64) decimal.Decimal { return decimal.New(n, -2) })
	day := rapid.Map(rapid.Int64Range(-700000, 2900000), func(n int64) time.Time { return time.Unix(86400*n, 0).UTC() })
	at := rapid.Map(rapid.Int64Range(-62135596800000000, 253402300799999999), func(n int64) time.Time { return time.UnixMicro(n).UTC() })
	wide := decimal.New(rapid.Int64().Draw(t, "high"), 9).Add(decimal.New(rapid.Int64().Draw(t, "low"), -9))
	values := []any{
		anyText(t), rapid.Int64().Draw(t, "int"), rapid.Float64().Draw(t, "float"), rapid.Bool().Draw(t, "bool"),
		amount.Draw(t, "amount"), wide, day.Draw(t, "day"), at.Draw(t, "at"),
		[]string{anyText(t), anyText(t)}[:rapid.IntRange(0, 2).Draw(t, "tags")],
		rapid.SliceOfN(rapid.Int64(), 0, 2).Draw(t, "ints"), rapid.SliceOfN(rapid.Float64(), 0, 2).Draw(t, "floats"),
		rapid.SliceOfN(rapid.Bool(), 0, 2).Draw(t, "bools"), rapid.SliceOfN(amount, 0, 2).Draw(t, "amounts"),
		rapid.SliceOfN(day, 0, 2).Draw(t, "days"), rapid.SliceOfN(at, 0, 2).Draw(t, "times"),
	}
	for i := range values {
		if rapid.IntRange(0, 3).Draw(t, "is null") == 0 {
			values[i] = nil
		}
	}
	return values
}

// valueAt reads a value back by arrow's own accessors.
func valueAt(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return a.Value(i)
	case *array.Int64:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.Boolean:
		return a.Value(i)
	case *array.Decimal128:
		return decimal.NewFromBigInt(a.Value(i).BigInt(), -a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Date32:
		return dateOf(a.Value(i))
	case *array.Timestamp:
		return time.UnixMicro(int64(a.Value(i))).UTC()
	case *array.List:
		from, to := a.ValueOffsets(i)
		list := []any{}
		for j := from; j < to; j++ {
			list = append(list, valueAt(a.ListValues(), int(j)))
		}
		return list
	}
	return a.ValueStr(i)
}

func sameValue(got, want any) bool {
	switch w := want.(type) {
	case string:
		return got == strings.ToValidUTF8(w, "\uFFFD")
	case []string, []int64, []float64, []bool, []decimal.Decimal, []time.Time:
		g, ok := got.([]any)
		list := reflect.ValueOf(w)
		ok = ok && len(g) == list.Len()
		for i := 0; ok && i < len(g); i++ {
			ok = sameValue(g[i], list.Index(i).Interface())
		}
		return ok
	case decimal.Decimal:
		g, ok := got.(decimal.Decimal)
		return ok && g.Equal(w)
	case float64:
		g, ok := got.(float64)
		return ok && math.Float64bits(g) == math.Float64bits(w)
	}
	return got == want
}

func TestValuesThatDontFitAreRefusedWhole(t *testing.T) {
	dec := decimal.RequireFromString
	for _, c := range []struct {
		column int
		value  any
		want   string
	}{
		{0, 1, "column text: value of Go type int"},
		{0, int64(1), "column text: value of Go type int64; text wants string"},
		{0, []byte("x"), "column text: value of Go type []uint8"},
		{1, "1", "column int: value of Go type string"},
		{1, 1.0, "column int: value of Go type float64"},
		{2, int64(1), "column float"},
		{3, "true", "column bool"},
		{4, 1.5, "column amount: value of Go type float64; decimal(5,2) wants decimal.Decimal"},
		{4, dec("1000"), "column amount: 1000 has more digits than decimal(5,2)"},
		{4, dec("-1000"), "-1000 has more digits"},
		{4, dec("0.001"), "0.001 has more digits"},
		{4, decimal.New(1, math.MaxInt32), "exponent 2147483647 has more digits"},
		{4, decimal.New(1, math.MinInt32), "exponent -2147483648 has more digits"},
		{4, dec(strings.Repeat("9", 2000)), "2000 digits"},
		{5, dec(strings.Repeat("9", 30)), "has more digits than decimal(38,9)"},
		{6, "2024-01-01", "column day"},
		{6, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "column day: year 10000; want 1 to 9999"},
		{7, time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), "column at: year -1"},
		{7, time.Unix(1<<60, 0), "column at: year "},
		{8, "x", "column tags"},
		{8, []any{"x"}, "column tags"},
		{8, []int64{}, "column tags: value of Go type []int64; list wants []string"},
		{9, []string{}, "column ints: value of Go type []string; list(int) wants []int64"},
		{9, int64(1), "column ints: value of Go type int64"},
		{9, []int{1}, "column ints: value of Go type []int;"},
		{1, []int64{1}, "column int: value of Go type []int64; int wants int64"},
		{4, []decimal.Decimal{dec("1")}, "column amount: value of Go type []decimal.Decimal"},
		{12, dec("1"), "column amounts: value of Go type decimal.Decimal"},
		{12, []decimal.Decimal{dec("1"), dec("1000")}, "column amounts: item 1: 1000 has more digits than decimal(5,2)"},
		{13, []time.Time{{}, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "column days: item 1: year 10000"},
		{14, []time.Time{time.Unix(1<<60, 0)}, "column times: item 0: year "},
	} {
		rb := NewRecordBuilder(everyKind)
		row := make([]any, len(everyKind.Columns))
		row[c.column] = c.value
		wants(t, rb.Append(row, Origin{}), nil, "record every", c.want)
		if rb.Rows() != 0 {
			t.Errorf("%v: the row was added", c.value)
		}
		rb.Release()
	}
	rb := NewRecordBuilder(everyKind)
	defer rb.Release()
	wants(t, rb.Append([]any{"x"}, Origin{}), nil, "1 values for 15 columns")
}

func TestDecimalsAtTheBoundOfTheirPrecision(t *testing.T) {
	for _, p := range []int32{1, 5, 18, 19, 37, 38} {
		for _, scale := range []int32{0, p / 2, p} {
			typ := harrow.RecordType{Name: "d", Columns: []harrow.Column{{Name: "n", Type: harrow.Type{Kind: harrow.Decimal, Precision: p, Scale: scale}}}}
			most := decimal.RequireFromString(strings.Repeat("9", int(p))).Shift(-scale)
			rb := NewRecordBuilder(typ)
			for _, n := range []decimal.Decimal{most, most.Neg(), decimal.Zero, decimal.New(0, 900), decimal.New(10, -scale-1)} {
				check(t, rb.Append([]any{n}, Origin{}))
				b := rb.Batch()
				if got := valueAt(b.Arrow().Column(0), 0).(decimal.Decimal); !got.Equal(n) {
					t.Errorf("decimal(%d,%d): %s came back as %s", p, scale, n, got)
				}
				b.Release()
			}
			for _, n := range []decimal.Decimal{most.Add(decimal.New(1, -scale)), decimal.New(1, -scale-1)} {
				wants(t, rb.Append([]any{n}, Origin{}), nil, "has more digits than")
			}
			rb.Release()
		}
	}
}

func TestOriginIsWrittenBehindTheData(t *testing.T) {
	rb := NewRecordBuilder(harrow.RecordType{Name: "x"})
	defer rb.Release()
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.FixedZone("", 3600))
	check(t, rb.Append(nil, Origin{harrow.ID{0xab}, "http://a.example/", 7, "rule", "digest", at, "run"}))
	b := rb.Batch()
	defer b.Release()
	want := []any{"ab" + strings.Repeat("0", 30), "http://a.example/", int64(7), "rule", "digest", at.UTC(), "run"}
	for i, w := range want {
		if got := valueAt(b.Arrow().Column(i), 0); got != w {
			t.Errorf("%s: %v, want %v", harrow.Provenance[i].Name, got, w)
		}
	}
}
