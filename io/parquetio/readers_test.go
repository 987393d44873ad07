package parquetio

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
)

// all has a column of every type.
var all = harrow.RecordType{Name: "all", Columns: []harrow.Column{
	{Name: "text", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "weight", Type: harrow.Type{Kind: harrow.Float}},
	{Name: "new", Type: harrow.Type{Kind: harrow.Bool}},
	{Name: "price", Type: harrow.Type{Kind: harrow.Decimal, Precision: 18, Scale: 2}},
	{Name: "small", Type: harrow.Type{Kind: harrow.Decimal, Precision: 5, Scale: 5}},
	{Name: "large", Type: harrow.DefaultDecimal},
	{Name: "day", Type: harrow.Type{Kind: harrow.Date}},
	{Name: "listed", Type: harrow.Type{Kind: harrow.Timestamp}},
	{Name: "texts", Type: harrow.Type{Kind: harrow.Text, List: true}},
	{Name: "ints", Type: harrow.Type{Kind: harrow.Int, List: true}},
	{Name: "floats", Type: harrow.Type{Kind: harrow.Float, List: true}},
	{Name: "bools", Type: harrow.Type{Kind: harrow.Bool, List: true}},
	{Name: "prices", Type: harrow.Type{Kind: harrow.Decimal, Precision: 18, Scale: 2, List: true}},
	{Name: "days", Type: harrow.Type{Kind: harrow.Date, List: true}},
	{Name: "times", Type: harrow.Type{Kind: harrow.Timestamp, List: true}},
}}

func num(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// extremes are rows of [all]: nulls, the ends of each type's range, texts that
// are hard on somebody.
func extremes() [][]any {
	most := strings.Repeat("9", 29) + "." + strings.Repeat("9", 9)
	first, last := date(1, 1, 1), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	return [][]any{
		make([]any, len(all.Columns)),
		{"", int64(0), 0.0, false, num("0"), num("0"), num("0"), date(1970, 1, 1), date(1970, 1, 1),
			[]string{}, []int64{}, []float64{}, []bool{}, []decimal.Decimal{}, []time.Time{}, []time.Time{}},
		{"last", int64(math.MaxInt64), math.MaxFloat64, true, num("9999999999999999.99"), num("0.99999"), num(most), date(9999, 12, 31), last,
			[]string{"", "a", ""}, []int64{math.MaxInt64, 0, math.MinInt64}, []float64{math.MaxFloat64, 0.1}, []bool{true, false}, []decimal.Decimal{num("0.01"), num("-9999999999999999.99")},
			[]time.Time{first, date(9999, 12, 31)}, []time.Time{first, last}},
		{"first", int64(math.MinInt64), -math.MaxFloat64, false, num("-9999999999999999.99"), num("-0.99999"), num("-" + most), first, first,
			[]string{"x"}, []int64{1}, []float64{math.SmallestNonzeroFloat64}, []bool{true}, []decimal.Decimal{num("1")}, []time.Time{date(1582, 10, 10)}, []time.Time{day}},
		{"quote ' \" \\ , \t \r\n % _ \u00a0 \u2028 é 漢字 👩‍🌾 \u202e {}[]", int64(-1), math.SmallestNonzeroFloat64, true, num("-0.01"), num("0.00001"), num("0.000000001"), date(1582, 10, 10), day,
			[]string{"'", "漢", "a,b", "[]"}, []int64{-1}, []float64{-0.5}, []bool{false}, []decimal.Decimal{num("-0.01")}, []time.Time{date(1969, 12, 31)}, []time.Time{date(1969, 12, 31).Add(-time.Microsecond)}},
		{strings.Repeat("漢字 long ", 100_000), int64(7), math.Inf(1), nil, num("12.50"), nil, num("12.5"), date(2024, 2, 29), day.Add(time.Microsecond),
			slices.Repeat([]string{"x"}, 5000), nil, []float64{math.Inf(-1)}, nil, nil, nil, nil},
	}
}

// reading is what a script of testdata/python prints.
type reading struct {
	Columns         []string
	Rows            []string
	Run, Cheap, Old int
	Stock           json.Number
	Price           string
}

// python runs a script; where there is no Python with what it needs, the test
// is skipped.
func python(t *testing.T, needs string, result any, script string, args ...string) {
	t.Helper()
	root := filepath.Join("..", "..")
	interpreter := os.Getenv("HARROW_PYTHON")
	if interpreter == "" {
		interpreter = filepath.Join(root, ".build", "venv", "bin", "python")
	}
	probe := exec.CommandContext(t.Context(), interpreter, "-c", "import "+needs)
	if out, err := probe.CombinedOutput(); err != nil {
		if os.Getenv("HARROW_TEST_REQUIRE") == "1" {
			t.Fatalf("no Python with %s at %s (HARROW_PYTHON): %v %s", needs, interpreter, err, out)
		}
		t.Skipf("no Python with %s at %s (HARROW_PYTHON): %v", needs, interpreter, err)
	}
	cmd := exec.CommandContext(t.Context(), interpreter, append([]string{filepath.Join(root, "testdata", "python", script)}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, result)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%.2000s", script, err, stderr.String(), out)
	}
}

// The same rows, sums and selections, whoever reads them: two runs, two shards
// each, more than one row group.
func TestEveryReaderSeesTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about other programs")
	}
	dir := t.TempDir()
	s := newSink(t, dir)
	s.limits.rowBytes = 1 << 10
	want := reading{Run: 0, Stock: "0"}
	price, stock := decimal.Zero, new(big.Int)
	for _, run := range []string{run1, run2} {
		for i := range 2 {
			data := extremes()
			shard := shardOf(t, all, run, data...)
			shard.Shard, shard.Key = i, nil
			load(t, s, shard, added(int64(len(data))))
			for ordinal, r := range data {
				want.Rows = append(want.Rows, rowText(r, ordinal, run))
				if r[4] != nil {
					price = price.Add(r[4].(decimal.Decimal))
					stock.Add(stock, big.NewInt(r[1].(int64)))
					want.Cheap += truth(r[4].(decimal.Decimal).IsNegative())
					want.Old += truth(r[7].(time.Time).Year() < 1900)
				}
			}
		}
		check(t, publish(t.Context(), s, run, map[string]harrow.Counts{"all": added(int64(2 * len(extremes())))}))
	}
	slices.Sort(want.Rows)
	want.Run, want.Price, want.Stock = len(want.Rows)/2, price.String(), json.Number(stock.String())
	for _, c := range all.AllColumns() {
		want.Columns = append(want.Columns, c.Name)
	}
	for _, reader := range []struct{ name, needs string }{{"pyarrow", "pyarrow"}, {"polars", "polars"}, {"duckdb", "duckdb"}, {"spark", "pyspark"}} {
		t.Run(reader.name, func(t *testing.T) {
			var got reading
			python(t, reader.needs, &got, "parquet_"+reader.name+".py", filepath.Join(dir, "all"), run2)
			same(t, "columns", got.Columns, want.Columns)
			if len(got.Rows) != len(want.Rows) {
				t.Errorf("%d rows, want %d", len(got.Rows), len(want.Rows))
			}
			for i := range min(len(got.Rows), len(want.Rows)) {
				if got.Rows[i] != want.Rows[i] {
					t.Errorf("row %d:\n got %.1500s\nwant %.1500s", i, got.Rows[i], want.Rows[i])
				}
			}
			got.Rows, got.Columns = nil, nil
			if w := (reading{Run: want.Run, Cheap: want.Cheap, Old: want.Old, Stock: want.Stock, Price: want.Price}); fmt.Sprint(got) != fmt.Sprint(w) {
				t.Errorf("selections and sums: got %+v, want %+v", got, w)
			}
		})
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rowText is a row as parquet_rows.py writes it.
func rowText(values []any, ordinal int, run string) string {
	var list []any
	for i, v := range values {
		list = append(list, valueText(v, all.Columns[i].Type))
	}
	id := harrow.ID{byte(ordinal), 0, 0, 1}.String()
	list = append(list, id, fmt.Sprint("http://a.example/", ordinal), ordinal, all.Name, "", timeText(day), run)
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = jsonText(v)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// jsonText is Python's json.dumps(v, ensure_ascii=False).
func jsonText(v any) string {
	if list, ok := v.([]any); ok {
		parts := make([]string, len(list))
		for i, e := range list {
			parts[i] = jsonText(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(strings.TrimSuffix(b.String(), "\n"))
}

func timeText(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z") }

func valueText(v any, t harrow.Type) any {
	switch v := v.(type) {
	case float64:
		return floatText(v)
	case decimal.Decimal:
		return v.String()
	case time.Time:
		if t.Kind == harrow.Date {
			return v.Format("2006-01-02")
		}
		return timeText(v)
	case []string:
		return texts(v, t)
	case []int64:
		return texts(v, t)
	case []float64:
		return texts(v, t)
	case []bool:
		return texts(v, t)
	case []decimal.Decimal:
		return texts(v, t)
	case []time.Time:
		return texts(v, t)
	}
	return v
}

func texts[T any](list []T, t harrow.Type) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = valueText(v, t)
	}
	return out
}

// floatText is Python's float.hex.
func floatText(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	case v == 0:
		return "0x0.0p+0"
	}
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	bits := math.Float64bits(v)
	exp, frac := int(bits>>52)-1023, bits&(1<<52-1)
	lead := "1"
	if exp == -1023 {
		lead, exp = "0", -1022
	}
	return sign + "0x" + lead + "." + fmt.Sprintf("%013x", frac) + "p" + fmt.Sprintf("%+d", exp)
}
