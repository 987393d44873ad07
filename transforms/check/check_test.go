package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

var book = harrow.RecordType{Name: "book", Columns: []harrow.Column{
	{Name: "title", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "price", Type: harrow.DefaultDecimal},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "day", Type: harrow.Type{Kind: harrow.Date}},
	{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
	{Name: "f", Type: harrow.Type{Kind: harrow.Float}},
	{Name: "ok", Type: harrow.Type{Kind: harrow.Bool}},
}}

func batch(t testing.TB, rows ...[]any) harrow.Batch {
	t.Helper()
	b := lakeio.NewRecordBuilder(book)
	defer b.Release()
	for i, r := range rows {
		values := append(slices.Clone(r), make([]any, len(book.Columns)-len(r))...)
		if err := b.Append(values, lakeio.Origin{URL: "http://a.example/", Ordinal: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Batch()
}

type output struct {
	same    bool // a batch was handed on as it is
	in      harrow.Batch
	rows    []int64 // _ordinal of what passed
	rejects []harrow.Reject
}

func (o *output) Emit(table string, b harrow.Batch) error {
	if table != "records/book" {
		return fmt.Errorf("table %s", table)
	}
	o.same = b == o.in
	for i := range b.Rows() {
		o.rows = append(o.rows, b.Column("_ordinal").(*array.Int64).Value(i))
	}
	return nil
}

func (o *output) Reject(r harrow.Reject) error { o.rejects = append(o.rejects, r); return nil }

func run(t testing.TB, checks string, b harrow.Batch) *output {
	t.Helper()
	defer b.Release()
	cfg := Config{Record: book}
	if err := json.Unmarshal([]byte(checks), &cfg.Checks); err != nil {
		t.Fatal(err)
	}
	step, err := Rows(cfg)
	if err != nil {
		t.Fatal(err)
	}
	op, err := newOperator(step.Config)
	if err != nil {
		t.Fatal(err)
	}
	out := &output{in: b}
	if err := op.Process(t.Context(), b, out); err != nil {
		t.Fatal(err)
	}
	if err := op.Finish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheFirstFailedCheckIsNamed(t *testing.T) {
	num := decimal.RequireFromString
	row := []any{"A title", num("9.99"), int64(3), time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC), []string{"a", "b"}, 0.5, true}
	nulls := make([]any, 7)
	for _, c := range []struct {
		checks string
		row    []any
		want   string // "" passes; else field: reason
	}{
		{`[{"field":"price","min":0}]`, row, ""},
		{`[{"field":"price","min":0}]`, nulls, ""},
		{`[{"field":"price","min":9.99,"max":9.99}]`, row, ""},
		{`[{"field":"price","min":"9.990000000"}]`, row, ""},
		{`[{"field":"price","max":9.98999999999999999999}]`, row, "price: price is 9.99; expected at most 9.98999999999999999999"},
		{`[{"field":"stock","min":4},{"field":"price","min":100}]`, row, "stock: stock is 3; expected at least 4"},
		{`[{"field":"stock","in":[1,2]}]`, row, "stock: stock is 3; expected one of 1, 2"},
		{`[{"field":"title","in":["A title","it's"]}]`, row, ""},
		{`[{"field":"title","pattern":"^a"}]`, row, "title: title is A title; expected a match of ^a"},
		{`[{"field":"title","pattern":"tit"}]`, row, ""},
		{`[{"field":"title","length":{"min":8}}]`, row, "title: title is A title; expected a length of at least 8"},
		{`[{"field":"title","length":{"min":1,"max":6}}]`, row, "title: title is A title; expected a length of 1 to 6"},
		{`[{"field":"tags","length":{"max":1}}]`, row, `tags: tags is ["a","b"]; expected a length of 0 to 1`},
		{`[{"field":"title","required":true}]`, nulls, "title: title is null; expected a value"},
		{`[{"field":"day","min":"2024-05-02"}]`, row, "day: day is 2024-05-01; expected at least 2024-05-02"},
		{`[{"field":"f","min":0.6}]`, row, "f: f is 0.5; expected at least 0.6"},
		{`[{"field":"ok","in":[false]}]`, row, "ok: ok is true; expected one of false"},
		{`[{"field":"_ordinal","min":1}]`, row, "_ordinal: _ordinal is 0; expected at least 1"},
		{`[{"expr":"price * stock < 30"}]`, row, ""},
		{`[{"expr":"price * stock < 29"}]`, row, ": not so: price * stock < 29"},
		{`[{"expr":"price / (stock - 3) > 0"}]`, row, ": price / (stock - 3) > 0: division by zero"},
		{`[{"expr":"price < 0"}]`, nulls, ""},
		{`[]`, row, ""},
	} {
		out := run(t, c.checks, batch(t, c.row))
		got := ""
		for _, r := range out.rejects {
			got = r.Field + ": " + r.Reason
			if r.Class != harrow.DataFault || r.Code != "check" || r.Record != "book" || r.URL != "http://a.example/" || !json.Valid([]byte(r.Payload)) {
				t.Errorf("%s: %+v", c.checks, r)
			}
		}
		if got != c.want || len(out.rejects)+len(out.rows) != 1 {
			t.Errorf("%s\n got %q, %d rows\nwant %q", c.checks, got, len(out.rows), c.want)
		}
	}
}

func TestRowsThatPassStayInOrderAndAWholeBatchIsNotCopied(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		stocks := rapid.SliceOfN(rapid.Int64Range(0, 3), 1, 50).Draw(rt, "stocks")
		var rows [][]any
		var want []int64
		for i, s := range stocks {
			rows = append(rows, []any{"t", nil, s})
			if s > 0 {
				want = append(want, int64(i))
			}
		}
		out := run(t, `[{"field":"stock","min":1}]`, batch(t, rows...))
		if !slices.Equal(out.rows, want) || len(out.rejects) != len(stocks)-len(want) {
			rt.Fatalf("%v: %v and %d rejects", stocks, out.rows, len(out.rejects))
		}
		if out.same != (len(want) == len(stocks)) {
			rt.Fatalf("%v: handed on as it is: %v", stocks, out.same)
		}
	})
}

func TestConfigsThatCanNotBeUsed(t *testing.T) {
	for config, want := range map[string]string{
		`{"record":{"name":"book"},"checks":[{"field":"x","min":1}]}`: "check book[0].min: at character 1: there is no column x",
		`{"rekord":1}`: "unknown field",
		`{"record":{"name":"b"},"checks":[{"expr":"1 + 1"}]}`: "expected one that is true or false",
	} {
		if _, err := newOperator(json.RawMessage(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", config, err, want)
		}
	}
}
