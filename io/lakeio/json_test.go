package lakeio

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

func TestDecimalTextIsPlainAndShortest(t *testing.T) {
	for _, c := range []struct {
		n     string
		scale int32
		want  string
	}{
		{"0", 0, "0"}, {"0", 9, "0"}, {"100", 0, "100"}, {"100", 2, "1"}, {"101", 2, "1.01"}, {"-5", 1, "-0.5"},
		{"-5", 3, "-0.005"}, {"1999000000", 8, "19.99"}, {"7", -2, "700"}, {"0", -2, "0"},
		{"9223372036854775808", 0, "9223372036854775808"}, {"-9223372036854775808", 18, "-9.223372036854775808"},
		{"99999999999999999999999999999999999999", 38, "0.99999999999999999999999999999999999999"},
		{"-99999999999999999999999999999999999990", 1, "-9999999999999999999999999999999999999"},
	} {
		n, _ := new(big.Int).SetString(c.n, 10)
		if got := DecimalText(decimal128.FromBigInt(n), c.scale); got != c.want {
			t.Errorf("DecimalText(%s, %d) = %s, want %s", c.n, c.scale, got, c.want)
		}
	}
}

func TestDecimalTextAgreesWithDecimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := decimal128.New(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "high"), rapid.Uint64().Draw(t, "low"))
		if rapid.Bool().Draw(t, "small") {
			n = decimal128.FromI64(rapid.Int64().Draw(t, "n"))
		}
		scale := rapid.Int32Range(-4, 38).Draw(t, "scale")
		want := decimal.NewFromBigInt(n.BigInt(), -scale).String()
		if got := DecimalText(n, scale); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}

func TestRecordRowAsJSON(t *testing.T) {
	rb := NewRecordBuilder(harrow.RecordType{Name: "book", Columns: []harrow.Column{
		{Name: "title", Type: harrow.Type{Kind: harrow.Text}},
		{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
		{Name: "weight", Type: harrow.Type{Kind: harrow.Float}},
		{Name: "new", Type: harrow.Type{Kind: harrow.Bool}},
		{Name: "price", Type: harrow.DefaultDecimal},
		{Name: "day", Type: harrow.Type{Kind: harrow.Date}},
		{Name: "listed", Type: harrow.Type{Kind: harrow.Timestamp}},
		{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
	}})
	defer rb.Release()
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	o := Origin{ID: harrow.ID{1}, URL: "http://a.example/", Ordinal: 2, Rule: "book", Digest: "d", FetchedAt: day.Add(1500 * time.Microsecond), Run: "r"}
	for _, values := range [][]any{
		{"a \"b\"\\\n\x01é", int64(-3), 0.25, true, decimal.RequireFromString("12.50"), day, day.Add(time.Hour), []string{"x", "\t"}},
		make([]any, 8),
	} {
		if err := rb.Append(values, o); err != nil {
			t.Fatal(err)
		}
	}
	b := rb.Batch()
	defer b.Release()
	const tail = `,"_id":"01000000000000000000000000000000","_url":"http://a.example/","_ordinal":2,"_rule":"book","_digest":"d","_fetched_at":"2024-02-29T00:00:00.001500Z","_run":"r"}`
	for i, want := range []string{
		`{"title":"a \"b\"\\\n\u0001é","stock":-3,"weight":0.25,"new":true,"price":"12.5","day":"2024-02-29","listed":"2024-02-29T01:00:00.000000Z","tags":["x","\t"]` + tail,
		`{"title":null,"stock":null,"weight":null,"new":null,"price":null,"day":null,"listed":null,"tags":null` + tail,
	} {
		if got := string(AppendJSON(nil, b, i, nil)); got != want {
			t.Errorf("row %d:\n%s, want\n%s", i, got, want)
		}
	}
	if got := string(AppendJSON([]byte("x"), b, 0, []string{"stock", "none", "_ordinal"})); got != `x{"stock":-3,"none":null,"_ordinal":2}` {
		t.Error(got)
	}
	r := RowReject(b, 1, "book")
	if r.ID != o.ID || r.URL != o.URL || r.Record != "book" || !json.Valid([]byte(r.Payload)) {
		t.Errorf("%+v", r)
	}
}

func TestListsAsJSON(t *testing.T) {
	rb := NewRecordBuilder(harrow.RecordType{Name: "x", Columns: everyKind.Columns[9:]})
	defer rb.Release()
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	check(t, rb.Append([]any{[]int64{1, -2}, []float64{0.5}, []bool{true, false}, []decimal.Decimal{decimal.RequireFromString("12.50")},
		[]time.Time{day}, []time.Time{day.Add(time.Hour)}}, Origin{}))
	check(t, rb.Append([]any{[]int64{}, nil, nil, nil, nil, nil}, Origin{}))
	b := rb.Batch()
	defer b.Release()
	columns := []string{"ints", "floats", "bools", "amounts", "days", "times"}
	for i, want := range []string{
		`{"ints":[1,-2],"floats":[0.5],"bools":[true,false],"amounts":["12.5"],"days":["2024-02-29"],"times":["2024-02-29T01:00:00.000000Z"]}`,
		`{"ints":[],"floats":null,"bools":null,"amounts":null,"days":null,"times":null}`,
	} {
		if got := string(AppendJSON(nil, b, i, columns)); got != want {
			t.Errorf("row %d:\n%s, want\n%s", i, got, want)
		}
	}
}

func TestTableRowAsJSON(t *testing.T) {
	b := Requests.NewBuilder()
	defer b.Release()
	b.Append(harrow.Request{URL: "http://a.example/", Body: []byte{0, 255}, Headers: []harrow.Header{{Name: "B", Value: "2"}, {Name: "A", Value: "1"}}})
	batch := b.Batch()
	defer batch.Release()
	const want = `{"headers":[["B","2"],["A","1"]],"body":"AP8=","id":null,"depth":0}`
	if got := string(AppendJSON(nil, batch, 0, []string{"headers", "body", "id", "depth"})); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestJSONIsValidForAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "unicode") {
			text = rapid.String().Draw(t, "text")
		}
		quoted := appendJSONString(nil, text)
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil {
			t.Fatalf("%q: %v", quoted, err)
		}
		want := ""
		for _, r := range text { // each bad byte is one U+FFFD
			want += string(r)
		}
		if back != want {
			t.Fatalf("%q, want %q", back, want)
		}
	})
}

func TestJSONFloats(t *testing.T) {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	defer b.Release()
	for v, want := range map[float64]string{0: "0", 1e20: "100000000000000000000", 1e21: "1e+21", 1e-7: "1e-07", math.Inf(1): "null", math.NaN(): "null", -2.5: "-2.5"} {
		b.Append(v)
		a := b.NewArray()
		got := string(AppendJSONValue(nil, a, 0))
		a.Release()
		if got != want || !json.Valid([]byte(got)) {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestJSONTimesOfAnyValue(t *testing.T) {
	ts := array.NewTimestampBuilder(memory.DefaultAllocator, timestampType)
	defer ts.Release()
	days := array.NewDate32Builder(memory.DefaultAllocator)
	defer days.Release()
	for _, v := range []int64{0, -1, 253402300799999999, math.MaxInt64, math.MinInt64} {
		ts.Append(arrow.Timestamp(v))
		days.Append(arrow.Date32(v >> 32))
		at, day := ts.NewArray(), days.NewArray()
		for _, a := range []arrow.Array{at, day} {
			if got := AppendJSONValue(nil, a, 0); !json.Valid(got) {
				t.Errorf("%d: %s", v, got)
			}
		}
		if want := fmt.Sprintf("%q", time.UnixMicro(v).UTC().Format(TimestampLayout)); string(AppendJSONValue(nil, at, 0)) != want {
			t.Errorf("%d: want %s", v, want)
		}
		at.Release()
		day.Release()
	}
	if got := dateOf(-1).Format(DateLayout); !strings.HasPrefix(got, "1969-12-31") {
		t.Error(got)
	}
}
