package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// all is a struct of every type of column.
type all struct {
	T  string            `harrow:"t"`
	N  int64             `harrow:"n"`
	F  float64           `harrow:"f"`
	B  bool              `harrow:"b"`
	P  decimal.Decimal   `harrow:"p"`
	D  time.Time         `harrow:"d"`
	At time.Time         `harrow:"at"`
	L  []string          `harrow:"l"`
	M  []decimal.Decimal `harrow:"m"`
	TP *string           `harrow:"tp"`
	PP *decimal.Decimal  `harrow:"pp"`
}

var every = harrow.RecordType{Name: "every", Columns: []harrow.Column{
	{Name: "t", Type: harrow.Type{Kind: harrow.Text}}, {Name: "n", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "f", Type: harrow.Type{Kind: harrow.Float}}, {Name: "b", Type: harrow.Type{Kind: harrow.Bool}},
	{Name: "p", Type: harrow.Type{Kind: harrow.Decimal, Precision: 18, Scale: 2}}, {Name: "d", Type: harrow.Type{Kind: harrow.Date}},
	{Name: "at", Type: harrow.Type{Kind: harrow.Timestamp}}, {Name: "l", Type: harrow.Type{Kind: harrow.Text, List: true}},
	{Name: "m", Type: harrow.Type{Kind: harrow.Decimal, Precision: 38, Scale: 9, List: true}},
	{Name: "tp", Type: harrow.Type{Kind: harrow.Text}}, {Name: "pp", Type: harrow.DefaultDecimal},
}}

// counted adds a column and repeats or drops rows.
type counted struct {
	Index int64 `harrow:"index"`
}

type numbered struct {
	N *int64 `harrow:"n"`
}

func init() {
	harrow.RegisterRows("test-same", func(json.RawMessage) (harrow.RowFunc[all, all], error) {
		return func(_ context.Context, row all, emit func(all)) error { emit(row); return nil }, nil
	})
	harrow.RegisterRows("test-repeat", func(config json.RawMessage) (harrow.RowFunc[numbered, counted], error) {
		if string(config) == `"bad"` {
			return nil, errors.New("bad config")
		}
		return func(_ context.Context, row numbered, emit func(counted)) error {
			if row.N == nil {
				return errors.New("n is null")
			}
			for i := range *row.N {
				emit(counted{i})
			}
			if *row.N == 7 {
				panic("seven")
			}
			return nil
		}, nil
	})
	harrow.RegisterOperator("test-typed", func(json.RawMessage) (harrow.Operator, error) { return typed{}, nil })
}

// typed is an operator over batches that would make a column twice.
type typed struct{}

func (typed) Process(context.Context, harrow.Batch, harrow.Output) error { return nil }
func (typed) Finish(context.Context, harrow.Output) error                { return nil }
func (typed) Type(in harrow.RecordType) (harrow.RecordType, error) {
	in.Columns = append(slices.Clone(in.Columns), harrow.Column{Name: "T", Type: harrow.Type{Kind: harrow.Text}})
	return in, nil
}

type output struct {
	rows    []string
	rejects []harrow.Reject
}

func (o *output) Emit(_ string, b harrow.Batch) error {
	for i := range b.Rows() {
		o.rows = append(o.rows, string(lakeio.AppendJSON(nil, b, i, nil)))
	}
	return nil
}

func (o *output) Reject(r harrow.Reject) error { o.rejects = append(o.rejects, r); return nil }

func batch(t testing.TB, rows [][]any) harrow.Batch {
	t.Helper()
	b := lakeio.NewRecordBuilder(every)
	defer b.Release()
	for i, r := range rows {
		if err := b.Append(r, lakeio.Origin{URL: "u", Ordinal: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Batch()
}

func run(t testing.TB, use harrow.OperatorUse, keyed bool, in harrow.Batch) *output {
	t.Helper()
	link, err := Link(use, every, keyed)
	if err != nil {
		t.Fatal(err)
	}
	f, err := harrow.LookupOperator(link.Operator)
	if err != nil {
		t.Fatal(err)
	}
	op, err := f(link.Config)
	if err != nil {
		t.Fatal(err)
	}
	out := &output{}
	if err := errors.Join(op.Process(t.Context(), in, out), op.Finish(t.Context(), out)); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRowsComeBackAsTheyWere sends random rows through structs and back; nulls
// are zero values where a field is no pointer.
func TestRowsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var rows, want [][]any
		for range rapid.IntRange(1, 20).Draw(rt, "rows") {
			at := time.UnixMicro(rapid.Int64Range(-1e15, 4e15).Draw(rt, "at")).UTC()
			row := []any{rapid.String().Draw(rt, "t"), rapid.Int64().Draw(rt, "n"), rapid.Float64().Draw(rt, "f"), rapid.Bool().Draw(rt, "b"),
				decimal.New(rapid.Int64Range(-1e15, 1e15).Draw(rt, "p"), -2), at.Truncate(24 * time.Hour), at,
				rapid.SliceOf(rapid.String()).Draw(rt, "l"), []decimal.Decimal{decimal.New(5, -1)}, "x", decimal.New(1, 9)}
			back := slices.Clone(row)
			for i, zero := range []any{"", int64(0), 0.0, false, decimal.Decimal{}, time.Time{}, time.Time{}, nil, nil, nil, nil} {
				if i != 5 && i != 6 && rapid.IntRange(0, 4).Draw(rt, "null") == 0 { // the zero time is in the year 1
					row[i], back[i] = nil, zero
				}
			}
			rows, want = append(rows, row), append(want, back)
		}
		in, expected := batch(t, rows), batch(t, want)
		defer in.Release()
		defer expected.Release()
		out := run(t, harrow.OperatorUse{Use: "test-same"}, false, in)
		all := &output{}
		_ = all.Emit("", expected)
		if !slices.Equal(out.rows, all.rows) || len(out.rejects) > 0 {
			rt.Fatalf("got\n%s\nwant\n%s\n%v", strings.Join(out.rows, "\n"), strings.Join(all.rows, "\n"), out.rejects)
		}
	})
}

func TestAnOperatorMakesNoneOneOrSeveralRows(t *testing.T) {
	row := func(n any) []any { return append([]any{"t", n}, make([]any, 9)...) }
	for _, c := range []struct {
		name  string
		keyed bool
		in    []any
		rows  string // _ordinal/index
		fault string
	}{
		{"one each", false, []any{int64(1), int64(1)}, "0/0 1/0", ""},
		{"several", true, []any{int64(2), int64(0), int64(1)}, "0/0 0/1 2/0", ""},
		{"several without a key", false, []any{int64(1), int64(2)}, "0/0", "operator test-repeat: it made 2 rows of one; expected a key in refine that tells them apart"},
		{"an error", true, []any{nil, int64(1)}, "1/0", "operator test-repeat: n is null"},
		{"a panic", true, []any{int64(7), int64(1)}, "1/0", "operator test-repeat: panic: seven"},
	} {
		var rows [][]any
		for _, n := range c.in {
			rows = append(rows, row(n))
		}
		in := batch(t, rows)
		out := run(t, harrow.OperatorUse{Use: "test-repeat"}, c.keyed, in)
		in.Release()
		var got []string
		for _, r := range out.rows {
			var v struct {
				Ordinal int64 `json:"_ordinal"`
				Index   int64 `json:"index"`
				T       string
			}
			if err := json.Unmarshal([]byte(r), &v); err != nil || v.T != "t" {
				t.Errorf("%s: %v", r, err)
			}
			got = append(got, fmt.Sprintf("%d/%d", v.Ordinal, v.Index))
		}
		fault := ""
		for _, r := range out.rejects {
			fault = r.Reason
			if r.Code != "operator" || r.Class != harrow.DataFault || r.Payload == "" {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
		if strings.Join(got, " ") != c.rows || fault != c.fault || len(out.rejects) > 1 {
			t.Errorf("%s: %v, %q; want %s, %q", c.name, got, fault, c.rows, c.fault)
		}
	}
}

func TestUsesThatCanNotBe(t *testing.T) {
	for _, c := range []struct {
		use  harrow.OperatorUse
		in   harrow.RecordType
		want string
	}{
		{harrow.OperatorUse{Use: "nobody"}, every, `no operator is called "nobody"; known: test-named, test-repeat, test-same, test-typed, test-unpack`},
		{harrow.OperatorUse{Use: "rows"}, every, `no operator is called "rows"`},
		{harrow.OperatorUse{Use: "chain"}, every, `no operator is called "chain"`},
		{harrow.OperatorUse{Use: "test-repeat", With: json.RawMessage(`"bad"`)}, every, "operator test-repeat: bad config"},
		{harrow.OperatorUse{Use: "test-repeat"}, harrow.RecordType{Name: "x", Columns: []harrow.Column{{Name: "n", Type: harrow.Type{Kind: harrow.Text}}}}, "operator test-repeat: it reads column n as int; in x it is text"},
		{harrow.OperatorUse{Use: "test-repeat"}, harrow.RecordType{Name: "x", Columns: every.Columns[:1]}, "operator test-repeat: it reads a column n; x has t"},
		{harrow.OperatorUse{Use: "test-repeat"}, harrow.RecordType{Name: "x", Columns: append(slices.Clone(every.Columns), harrow.Column{Name: "Index"})}, "it sets column index; x has Index"},
		{harrow.OperatorUse{Use: "test-typed"}, every, "operator test-typed makes the column T twice"},
	} {
		if _, err := Link(c.use, c.in, true); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.use.Use, err, c.want)
		}
	}
}
