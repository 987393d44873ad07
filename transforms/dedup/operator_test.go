package dedup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
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

var day = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)

var book = harrow.RecordType{Name: "book", Columns: []harrow.Column{
	{Name: "upc", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "edition", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "title", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "price", Type: harrow.DefaultDecimal},
}}

// row is a row of book; at is µs after day. Its url says which row it is.
type row struct {
	upc, edition, title, price any
	url                        string
	ordinal                    int64
	at                         int
}

// batch makes one batch; the caller releases it.
func batch(t testing.TB, rows ...row) harrow.Batch {
	t.Helper()
	rb := lakeio.NewRecordBuilder(book)
	defer rb.Release()
	for _, r := range rows {
		o := lakeio.Origin{ID: harrow.ID{1}, URL: r.url, Ordinal: r.ordinal, FetchedAt: day.Add(time.Duration(r.at) * time.Microsecond)}
		if err := rb.Append([]any{r.upc, r.edition, r.title, r.price}, o); err != nil {
			t.Fatal(err)
		}
	}
	return rb.Batch()
}

// output collects "url#ordinal" of what is emitted.
type output struct {
	rows    []string
	batches []int
	rejects []harrow.Reject
	fail    error
}

func (o *output) Emit(table string, b harrow.Batch) error {
	if table != "records/book" {
		return fmt.Errorf("table %s", table)
	}
	for i := range b.Rows() {
		o.rows = append(o.rows, fmt.Sprintf("%s#%d", b.Column("_url").(*array.String).Value(i), b.Column("_ordinal").(*array.Int64).Value(i)))
	}
	o.batches = append(o.batches, b.Rows())
	return o.fail
}

func (o *output) Reject(r harrow.Reject) error {
	o.rejects = append(o.rejects, r)
	return o.fail
}

func newOp(t testing.TB, c Config) harrow.Operator {
	t.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := harrow.LookupOperator("dedup")
	if err != nil {
		t.Fatal(err)
	}
	op, err := f(data)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// run sends rows through an operator in batches of size.
func run(t testing.TB, c Config, size int, rows []row) *output {
	t.Helper()
	op, out := newOp(t, c), &output{}
	for chunk := range slices.Chunk(rows, size) {
		b := batch(t, chunk...)
		err := op.Process(t.Context(), b, out)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := op.Finish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOneRowPerKeyStays(t *testing.T) {
	num := func(s string) any { return decimal.RequireFromString(s) }
	rows := []row{
		{"1", int64(1), nil, num("9.5"), "a", 0, 2},
		{"1", int64(1), "x", num("10"), "a", 1, 1},
		{"1", int64(2), "y", nil, "b", 0, 2},
		{"2", int64(1), nil, nil, "c", 0, 1},
		{"3", int64(1), "x", nil, "d", 0, 1},
		{"3", int64(1), "y", nil, "e", 0, 3},
		{"3", int64(1), "z", num("-1"), "f", 0, 3},
	}
	for _, c := range []struct {
		key  []string
		keep string
		want string
	}{
		{[]string{"upc"}, `"first"`, "a#0 c#0 d#0"},
		{[]string{"upc"}, `"most_complete"`, "a#1 c#0 f#0"},
		{[]string{"upc"}, `"latest"`, "a#0 c#0 e#0"},
		{[]string{"upc"}, `""`, "a#0 c#0 e#0"},
		{[]string{"upc"}, `{"latest":"price"}`, "a#1 c#0 f#0"},
		{[]string{"upc"}, `{"latest":"title"}`, "b#0 c#0 f#0"},
		{[]string{"upc"}, `{"latest":"edition"}`, "b#0 c#0 d#0"},
		{[]string{"upc", "edition"}, `"first"`, "a#0 b#0 c#0 d#0"},
		{[]string{"_id", "_url", "_ordinal"}, `"first"`, "a#0 a#1 b#0 c#0 d#0 e#0 f#0"},
	} {
		config := Config{Record: "book", Key: c.key}
		if err := json.Unmarshal([]byte(c.keep), &config.Keep); err != nil {
			t.Fatal(err)
		}
		for size := 1; size <= len(rows); size++ {
			if got := strings.Join(run(t, config, size, rows).rows, " "); got != c.want {
				t.Errorf("%v %s in batches of %d: %s, want %s", c.key, c.keep, size, got, c.want)
			}
		}
	}
}

func TestMostCompleteCountsTheColumnsItIsTold(t *testing.T) {
	rows := []row{{"1", nil, "x", nil, "a", 0, 0}, {"1", int64(1), nil, nil, "b", 0, 0}}
	out := run(t, Config{Record: "book", Key: []string{"upc"}, Keep: harrow.Keep{Policy: harrow.KeepMostComplete}, Columns: []string{"edition", "price"}}, 2, rows)
	if !slices.Equal(out.rows, []string{"b#0"}) {
		t.Error(out.rows)
	}
}

func TestANullInTheKeyIsAReject(t *testing.T) {
	rows := []row{{nil, int64(1), "x", nil, "a", 0, 0}, {nil, nil, nil, nil, "b", 0, 0}, {"1", nil, nil, nil, "c", 0, 0}, {"1", int64(1), nil, nil, "d", 0, 0}}
	out := run(t, Config{Record: "book", Key: []string{"upc", "edition"}}, 2, rows)
	if !slices.Equal(out.rows, []string{"d#0"}) || len(out.rejects) != 3 {
		t.Fatalf("%+v", out)
	}
	r := out.rejects[2]
	if r.Class != harrow.DataFault || r.Code != "key" || r.Field != "edition" || r.Record != "book" || r.URL != "c" || r.ID.IsZero() ||
		!strings.HasPrefix(r.Payload, `{"upc":"1","edition":null,`) {
		t.Errorf("%+v", r)
	}
}

func TestBatchesAreFullAndBounded(t *testing.T) {
	var rows []row
	for i := range 2*lakeio.BatchRows + 10 {
		rows = append(rows, row{fmt.Sprintf("%06d", i), int64(1), nil, nil, "a", int64(i), 0})
	}
	out := run(t, Config{Record: "book", Key: []string{"upc"}}, 1000, rows)
	if want := []int{lakeio.BatchRows, lakeio.BatchRows, 10}; !slices.Equal(out.batches, want) {
		t.Errorf("batches of %v, want %v", out.batches, want)
	}
}

func TestAShardAfterTheOther(t *testing.T) {
	op := newOp(t, Config{Record: "book", Key: []string{"upc"}})
	for range 2 {
		out := &output{}
		b := batch(t, row{"1", nil, nil, nil, "a", 0, 0})
		err := errors.Join(op.Process(t.Context(), b, out), op.Process(t.Context(), harrow.Batch{}, out), op.Finish(t.Context(), out))
		b.Release()
		if err != nil || !slices.Equal(out.rows, []string{"a#0"}) {
			t.Errorf("%v %v", out.rows, err)
		}
	}
	if err := op.Finish(t.Context(), &output{}); err != nil { // of a shard without rows
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "Record is empty", `{"record":"book"}`: "Key is empty", `{"record":"book","key":["a","a"]}`: "each column once",
		`{"record":"book","key":["a"],"keep":"last"}`: "expected latest", `{"other":1}`: "unknown field", ``: "config",
	} {
		if _, err := newOperator(json.RawMessage(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", config, err, want)
		}
	}
	if err := (Config{Record: "book", Keep: harrow.Keep{Policy: harrow.KeepFirst, Column: "a"}}).Validate(); err == nil {
		t.Error("first by a column")
	}
	b := batch(t, row{upc: "1", url: "a"}, row{url: "b"})
	defer b.Release()
	for _, c := range []Config{{Record: "book", Key: []string{"none"}}, {Record: "book", Key: []string{"upc"}, Keep: harrow.Keep{Policy: harrow.KeepLatest, Column: "none"}},
		{Record: "book", Key: []string{"upc"}, Columns: []string{"none"}}} {
		if err := newOp(t, c).Process(t.Context(), b, &output{}); err == nil || !strings.Contains(err.Error(), `no column "none"`) {
			t.Error(err)
		}
	}
	full := errors.New("full")
	if err := newOp(t, Config{Record: "book", Key: []string{"upc"}}).Process(t.Context(), b, &output{fail: full}); !errors.Is(err, full) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newOp(t, Config{Record: "book", Key: []string{"upc"}}).Process(ctx, b, &output{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestAgreesWithSorting compares the streaming operator with the definition:
// of each group the best by (policy, url, ordinal).
func TestAgreesWithSorting(t *testing.T) {
	optional := func(g *rapid.Generator[string]) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			if rapid.Bool().Draw(t, "null") {
				return nil
			}
			return g.Draw(t, "text")
		})
	}
	text := rapid.SampledFrom([]string{"a", "b", "c"})
	rapid.Check(t, func(rt *rapid.T) {
		var rows []row
		for i := range rapid.IntRange(0, 30).Draw(rt, "rows") {
			rows = append(rows, row{text.Draw(rt, "upc"), nil, optional(text).Draw(rt, "title"), nil, text.Draw(rt, "url"), int64(i), rapid.IntRange(0, 3).Draw(rt, "at")})
		}
		slices.SortFunc(rows, func(a, b row) int {
			return cmp.Or(strings.Compare(a.upc.(string), b.upc.(string)), strings.Compare(a.url, b.url), cmp.Compare(a.ordinal, b.ordinal))
		})
		keep := rapid.SampledFrom([]harrow.Keep{{Policy: "first"}, {Policy: "most_complete"}, {Policy: "latest"}, {Policy: "latest", Column: "title"}}).Draw(rt, "keep")
		score := func(r row) string {
			title, _ := r.title.(string)
			switch {
			case keep.Column != "":
				return title
			case keep.Policy == "latest":
				return fmt.Sprint(r.at)
			case keep.Policy == "most_complete":
				return fmt.Sprint(len(title))
			}
			return ""
		}
		var want []string
		for i := 0; i < len(rows); {
			best, n := rows[i], i
			for ; n < len(rows) && rows[n].upc == best.upc; n++ {
				if score(rows[n]) > score(best) {
					best = rows[n]
				}
			}
			want = append(want, fmt.Sprintf("%s#%d", best.url, best.ordinal))
			i = n
		}
		out := run(t, Config{Record: "book", Key: []string{"upc"}, Keep: keep}, rapid.IntRange(1, 9).Draw(rt, "batch"), rows)
		if !slices.Equal(out.rows, want) || len(out.rejects) > 0 {
			rt.Fatalf("%v: %v, want %v", keep, out.rows, want)
		}
	})
}

func TestCompareOrdersEveryKind(t *testing.T) {
	kinds := harrow.RecordType{Name: "book"}
	ascending := [][]any{
		{nil, nil, nil, nil, nil, nil, nil, nil},
		{"", int64(-9), -1.5, false, decimal.RequireFromString("-10"), day, day, []string{}},
		{"a", int64(10), 2.0, true, decimal.RequireFromString("9.5"), day.AddDate(0, 0, 1), day.Add(time.Microsecond), []string{"a"}},
		{"b", int64(11), 3.0, true, decimal.RequireFromString("10"), day.AddDate(9, 0, 1), day.Add(time.Hour), []string{"a", ""}},
	}
	for i, k := range []harrow.Kind{harrow.Text, harrow.Int, harrow.Float, harrow.Bool, harrow.Decimal, harrow.Date, harrow.Timestamp, "list"} {
		typ := harrow.Type{Kind: k}
		switch k {
		case harrow.Decimal:
			typ = harrow.DefaultDecimal
		case "list":
			typ = harrow.Type{Kind: harrow.Text, List: true}
		}
		kinds.Columns = append(kinds.Columns, harrow.Column{Name: fmt.Sprint("c", i), Type: typ})
	}
	rb := lakeio.NewRecordBuilder(kinds)
	defer rb.Release()
	for _, values := range ascending {
		if err := rb.Append(values, lakeio.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	b := rb.Batch()
	defer b.Release()
	for i, c := range kinds.Columns {
		compare, err := compareOf(b.Column(c.Name).DataType())
		if err != nil {
			t.Fatal(err)
		}
		for x := range ascending {
			for y := range ascending {
				want := cmp.Compare(x, y)
				if c.Type.Kind == harrow.Bool {
					want = cmp.Compare(min(x, 2), min(y, 2))
				}
				if got := compare(b.Column(c.Name), x, b.Column(c.Name), y); got != want {
					t.Errorf("%s: %v and %v: %d, want %d", c.Type, ascending[x][i], ascending[y][i], got, want)
				}
			}
		}
	}
}

func TestNoAllocationPerRow(t *testing.T) {
	var rows []row
	for i := range 1000 {
		rows = append(rows, row{fmt.Sprintf("%06d", i/2), int64(1), "x", nil, "a", int64(i), 0})
	}
	b := batch(t, rows...)
	defer b.Release()
	o, out := newOp(t, Config{Record: "book", Key: []string{"upc"}}), discard{}
	process := func() {
		if err := errors.Join(o.Process(context.Background(), b, out), o.Finish(context.Background(), out)); err != nil {
			t.Fatal(err)
		}
	}
	if got := testing.AllocsPerRun(10, process); got > 500 {
		t.Errorf("%v allocations for %d rows", got, len(rows))
	}
}

type discard struct{}

func (discard) Emit(string, harrow.Batch) error { return nil }
func (discard) Reject(harrow.Reject) error      { return nil }
