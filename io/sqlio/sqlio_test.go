package sqlio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var day = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// book has a column of every kind.
var book = harrow.RecordType{Name: "book", Columns: []harrow.Column{
	{Name: "upc", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "weight", Type: harrow.Type{Kind: harrow.Float}},
	{Name: "new", Type: harrow.Type{Kind: harrow.Bool}},
	{Name: "price", Type: harrow.Type{Kind: harrow.Decimal, Precision: 18, Scale: 2}},
	{Name: "day", Type: harrow.Type{Kind: harrow.Date}},
	{Name: "listed", Type: harrow.Type{Kind: harrow.Timestamp}},
	{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
}}

// row is one row of a test: its data and what of the provenance matters.
type row struct {
	values []any
	at     time.Time
	run    string
}

func bookRow(upc any, stock any, at time.Time, run string) row {
	return row{[]any{upc, stock, 0.5, true, decimal.RequireFromString("12.50"), day, day, []string{"a"}}, at, run}
}

func batches(t testing.TB, rt harrow.RecordType, rows []row) func() iter.Seq2[harrow.Batch, error] {
	t.Helper()
	return func() iter.Seq2[harrow.Batch, error] {
		return func(yield func(harrow.Batch, error) bool) {
			rb := lakeio.NewRecordBuilder(rt)
			defer rb.Release()
			for i, r := range rows {
				o := lakeio.Origin{ID: harrow.ID{byte(i), byte(i >> 8), byte(i >> 16), 1}, URL: fmt.Sprint("http://a.example/", i), Rule: rt.Name, FetchedAt: r.at, Run: r.run}
				if err := rb.Append(r.values, o); err != nil {
					t.Error(err)
				}
				if rb.Full() || i == len(rows)-1 {
					b := rb.Batch()
					more := yield(b, nil)
					b.Release()
					if !more {
						return
					}
				}
			}
		}
	}
}

func bookShard(t testing.TB, run string, rows ...row) harrow.Shard {
	return harrow.Shard{Run: run, Record: book, Key: []string{"upc"}, Input: "digest-" + run, Shards: 1, Batches: batches(t, book, rows)}
}

func newSink(t testing.TB, dir string) *Sink {
	t.Helper()
	s, err := New(nil, harrow.SinkEnv{Job: "shop", Workspace: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.(*Sink)
}

func load(t testing.TB, s *Sink, shard harrow.Shard, want harrow.Counts) {
	t.Helper()
	got, err := s.Load(t.Context(), shard)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// dump returns rows as text, null as <nil>.
func dump(t testing.TB, s *Sink, query string) []string {
	t.Helper()
	rows, err := s.db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	var all []string
	for rows.Next() {
		values := make([]any, len(columns))
		texts := make([]string, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			texts[i] = fmt.Sprint(*v.(*any))
		}
		all = append(all, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func wantRows(t testing.TB, s *Sink, query string, want ...string) {
	t.Helper()
	if got := dump(t, s, query); !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", query, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEveryKindIsStored(t *testing.T) {
	s := newSink(t, t.TempDir())
	load(t, s, bookShard(t, "r1", bookRow("1", int64(3), day, "r1"), row{[]any{"2", nil, nil, nil, nil, nil, nil, nil}, day, "r1"}), harrow.Counts{Added: 2})
	wantRows(t, s, `SELECT *, typeof(price), typeof("new") FROM book ORDER BY upc`,
		`1|3|0.5|1|12.5|2024-03-01|2024-03-01T12:00:00.000000Z|["a"]|00000001000000000000000000000000|http://a.example/0|0|book||2024-03-01T12:00:00.000000Z|r1|text|integer`,
		`2|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|01000001000000000000000000000000|http://a.example/1|0|book||2024-03-01T12:00:00.000000Z|r1|null|null`)
	wantRows(t, s, `SELECT type FROM pragma_table_info('book') LIMIT 8`,
		"TEXT", "INTEGER", "REAL", "BOOLEAN", "DECIMAL_TEXT(18,2)", "DATE_TEXT", "TIMESTAMP_TEXT", "JSON_TEXT")
	if err := s.Check(t.Context(), []harrow.RecordType{book}); err != nil {
		t.Error(err)
	}
}

func TestListsAreJSON(t *testing.T) {
	lists := harrow.RecordType{Name: "lists"}
	for i, k := range []harrow.Kind{harrow.Text, harrow.Int, harrow.Float, harrow.Bool, harrow.Decimal, harrow.Date, harrow.Timestamp} {
		typ := harrow.Type{Kind: k, List: true}
		if k == harrow.Decimal {
			typ.Precision, typ.Scale = 9, 3
		}
		lists.Columns = append(lists.Columns, harrow.Column{Name: fmt.Sprint("c", i), Type: typ})
	}
	values := []any{
		[]string{"a", "\x00"}, []int64{1, -2}, []float64{0.5, 1e21}, []bool{true, false},
		[]decimal.Decimal{decimal.RequireFromString("12.50")}, []time.Time{day.Truncate(24 * time.Hour)}, []time.Time{day, day},
	}
	s := newSink(t, t.TempDir())
	load(t, s, harrow.Shard{Run: "r1", Record: lists, Key: []string{"_url"}, Input: "d", Shards: 1,
		Batches: batches(t, lists, []row{{values, day, "r1"}, {make([]any, 7), day, "r1"}})}, harrow.Counts{Added: 2})
	wantRows(t, s, `SELECT c0, c1, c2, c3, c4, c5, c6, typeof(c1) FROM lists ORDER BY _url`,
		`["a","\u0000"]|[1,-2]|[0.5,1e+21]|[true,false]|["12.5"]|["2024-03-01"]|["2024-03-01T12:00:00.000000Z","2024-03-01T12:00:00.000000Z"]|text`,
		`<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|null`)
	wantRows(t, s, `SELECT type FROM pragma_table_info('lists') LIMIT 7`, "JSON_TEXT", "JSON_WHOLE_TEXT", "JSON_REAL_TEXT", "JSON_BOOLEAN_TEXT",
		"JSON_DECIMAL_TEXT(9,3)", "JSON_DATE_TEXT", "JSON_TIMESTAMP_TEXT")
	wantRows(t, s, `SELECT sum(value) FROM lists, json_each(c1)`, "-1")
	lists.Columns[1].Type.Kind = harrow.Float
	if err := s.Check(t.Context(), []harrow.RecordType{lists}); err == nil || !strings.Contains(err.Error(), "column c1 is stored as JSON_WHOLE_TEXT, the job's type is list(float) (JSON_REAL_TEXT)") {
		t.Error(err)
	}
}

func TestAMarkedShardIsNotReadAgain(t *testing.T) {
	s := newSink(t, t.TempDir())
	shard := bookShard(t, "r1", bookRow("1", int64(1), day, "r1"), bookRow(nil, int64(1), day, "r1"))
	var first, second []harrow.Reject
	shard.Reject = func(r harrow.Reject) error { first = append(first, r); return nil }
	load(t, s, shard, harrow.Counts{Added: 1, Rejected: 1})
	read := shard.Batches
	shard.Batches = func() iter.Seq2[harrow.Batch, error] { t.Error("read again"); return read() }
	shard.Reject = func(r harrow.Reject) error { second = append(second, r); return nil }
	load(t, s, shard, harrow.Counts{Added: 1, Rejected: 1})
	if len(first) != 1 || !slices.Equal(first, second) {
		t.Errorf("rejects %+v, then %+v", first, second)
	}
	if r := first[0]; r.Class != harrow.DataFault || r.Code != "key" || r.Field != "upc" || r.URL != "http://a.example/1" || r.ID.IsZero() || !json.Valid([]byte(r.Payload)) {
		t.Errorf("%+v", r)
	}
	shard.Batches = read
	for _, other := range []func(*harrow.Shard){
		func(s *harrow.Shard) { s.Input = "other" },
		func(s *harrow.Shard) { s.Shards = 2 },
		func(s *harrow.Shard) { s.Shard = 1 },
		func(s *harrow.Shard) { s.Run = "r2" },
	} {
		again := shard
		other(&again)
		load(t, s, again, harrow.Counts{Unchanged: 1, Rejected: 1})
	}
	wantRows(t, s, "SELECT count(*) FROM _harrow_marks", "5")
}

func TestAnUnchangedRowIsNotTouched(t *testing.T) {
	s := newSink(t, t.TempDir())
	load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1"), bookRow("2", int64(1), day, "r1")), harrow.Counts{Added: 2})
	later := day.Add(time.Hour)
	load(t, s, bookShard(t, "r2", bookRow("1", nil, later, "r2"), bookRow("2", int64(2), later, "r2"), bookRow("3", nil, later, "r2")),
		harrow.Counts{Added: 1, Changed: 1, Unchanged: 1})
	wantRows(t, s, "SELECT upc, stock, _run FROM book ORDER BY upc", "1|<nil>|r1", "2|2|r2", "3|<nil>|r2")
}

func TestStaleRowsAreNotWritten(t *testing.T) {
	s := newSink(t, t.TempDir())
	load(t, s, bookShard(t, "r1", bookRow("1", int64(1), day, "r1"), bookRow("2", int64(1), day, "r1")), harrow.Counts{Added: 2})
	load(t, s, bookShard(t, "r2", bookRow("1", int64(2), day.Add(-time.Microsecond), "r2"), bookRow("2", int64(2), day, "r2")), harrow.Counts{Changed: 1, Stale: 1})
	wantRows(t, s, "SELECT upc, stock FROM book ORDER BY upc", "1|1", "2|2")
}

func TestLatestByAColumn(t *testing.T) {
	num := func(s string) any { return decimal.RequireFromString(s) }
	for _, c := range []struct {
		column     string
		index      int
		old, newer any
	}{
		{"price", 4, num("9.5"), num("10")}, // as text it would be the other way round
		{"price", 4, num("-10"), num("-9.5")},
		{"stock", 1, int64(9), int64(10)},
		{"weight", 2, -1.5, 1e9},
		{"new", 3, false, true},
		{"day", 5, day, day.AddDate(0, 0, 1)},
		{"listed", 6, day, day.Add(time.Microsecond)},
		{"listed", 6, nil, day},
	} {
		t.Run(c.column, func(t *testing.T) {
			s := newSink(t, t.TempDir())
			for i, step := range []struct {
				v    any
				want harrow.Counts
			}{{c.old, harrow.Counts{Added: 1}}, {c.newer, harrow.Counts{Changed: 1}}, {c.old, harrow.Counts{Stale: 1}}, {c.newer, harrow.Counts{Unchanged: 1}}} {
				r := bookRow("1", int64(1), day, "r")
				r.values[c.index] = step.v
				shard := bookShard(t, fmt.Sprint("r", i), r)
				shard.Latest = c.column
				load(t, s, shard, step.want)
			}
		})
	}
}

func TestWithoutAKeyRowsAreKnownByTheirOrigin(t *testing.T) {
	s := newSink(t, t.TempDir())
	shard := bookShard(t, "r1", bookRow("1", int64(1), day, "r1"), bookRow("1", int64(1), day, "r1"))
	shard.Key = nil
	load(t, s, shard, harrow.Counts{Added: 2})
	shard.Run = "r2"
	load(t, s, shard, harrow.Counts{Unchanged: 2})
}

func TestTextsAreCleaned(t *testing.T) {
	for in, want := range map[string]string{"a\x00b": "a\uFFFDb", "\xff\xfe": "\uFFFD", "é": "é"} {
		if got := clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	s := newSink(t, t.TempDir())
	shard := bookShard(t, "r1", bookRow("a\x00\xff", nil, day, "r1"))
	load(t, s, shard, harrow.Counts{Added: 1})
	shard.Run = "r2"
	load(t, s, shard, harrow.Counts{Unchanged: 1})
	wantRows(t, s, "SELECT upc, length(upc) FROM book", "a\uFFFD\uFFFD|3")
}

func TestARefusedRowIsARejectAndTheOthersAreLoaded(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	load(t, s, bookShard(t, "r0"), harrow.Counts{})
	if _, err := s.db.Exec(`CREATE UNIQUE INDEX theirs ON book (stock)`); err != nil {
		t.Fatal(err)
	}
	shard := bookShard(t, "r1", bookRow("1", int64(1), day, "r1"), bookRow("2", int64(1), day, "r1"), bookRow("3", int64(3), day, "r1"))
	var refused []harrow.Reject
	shard.Reject = func(r harrow.Reject) error { refused = append(refused, r); return nil }
	load(t, s, shard, harrow.Counts{Added: 2, Rejected: 1})
	if len(refused) != 1 || refused[0].Code != "refused" || !strings.Contains(refused[0].Reason, "book.stock") || !strings.Contains(refused[0].Payload, `"upc":"2"`) {
		t.Errorf("%+v", refused)
	}
	shard.Run, shard.Reject = "r2", func(harrow.Reject) error { return errors.New("no room for rejects") }
	if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), "no room for rejects") {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count(*) FROM _harrow_marks", "2")
}

func TestAFailureInTheMiddleLeavesNothing(t *testing.T) {
	s := newSink(t, t.TempDir())
	var rows []row
	for i := range 3 * lakeio.BatchRows {
		rows = append(rows, bookRow(fmt.Sprint(i), int64(i), day, "r1"))
	}
	whole := bookShard(t, "r1", rows...)
	broken := whole
	broken.Batches = func() iter.Seq2[harrow.Batch, error] {
		return func(yield func(harrow.Batch, error) bool) {
			for b := range whole.Batches() {
				yield(b, nil)
				break
			}
			yield(harrow.Batch{}, errors.New("disk on fire"))
		}
	}
	if _, err := s.Load(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "disk on fire") || !strings.Contains(err.Error(), s.Path()) {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count(*) FROM sqlite_schema", "0")
	ctx, cancel := context.WithCancel(t.Context())
	broken.Batches = func() iter.Seq2[harrow.Batch, error] { cancel(); return whole.Batches() }
	if _, err := s.Load(ctx, broken); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	load(t, s, whole, harrow.Counts{Added: int64(len(rows))})
	wantRows(t, s, "SELECT count(*), sum(stock) FROM book", fmt.Sprintf("%d|%d", len(rows), len(rows)*(len(rows)-1)/2))
}

// TestAKilledProcessLeavesNothing runs this test again in a process that exits
// in the middle of a shard.
func TestAKilledProcessLeavesNothing(t *testing.T) {
	const variable = "HARROW_SQLIO_CRASH"
	rows := []row{bookRow("1", int64(1), day, "r1"), bookRow("2", int64(2), day, "r1")}
	if dir := os.Getenv(variable); dir != "" {
		shard := bookShard(t, "r1", rows...)
		shard.Batches = func() iter.Seq2[harrow.Batch, error] {
			return func(yield func(harrow.Batch, error) bool) {
				for b, err := range batches(t, book, rows)() {
					yield(b, err)
				}
				os.Exit(7)
			}
		}
		_, err := newSink(t, dir).Load(t.Context(), shard)
		t.Fatal("still alive", err)
	}
	dir := t.TempDir()
	s := newSink(t, dir)
	load(t, s, bookShard(t, "r0", bookRow("0", nil, day, "r0")), harrow.Counts{Added: 1})
	cmd := exec.Command(os.Args[0], "-test.run=^TestAKilledProcessLeavesNothing$")
	cmd.Env = append(os.Environ(), variable+"="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Fatalf("%v\n%s", err, out)
	}
	wantRows(t, s, "SELECT upc FROM book", "0")
	load(t, s, bookShard(t, "r1", rows...), harrow.Counts{Added: 2})
	load(t, s, bookShard(t, "r1", rows...), harrow.Counts{Added: 2})
	wantRows(t, s, "SELECT upc FROM book ORDER BY upc", "0", "1", "2")
}

func TestShardsLoadAtOnce(t *testing.T) {
	dir := t.TempDir()
	shared := newSink(t, dir)
	const shards, each = 8, 50
	var wg sync.WaitGroup
	for i := range shards {
		s := shared
		if i%2 == 1 {
			s = newSink(t, dir)
		}
		var rows []row
		for j := range each {
			rows = append(rows, bookRow(fmt.Sprint(i, "-", j), int64(j), day, "r1"))
		}
		shard := bookShard(t, "r1", rows...)
		shard.Shard, shard.Shards = i, shards
		wg.Go(func() {
			if n, err := s.Load(t.Context(), shard); err != nil || n.Added != each {
				t.Errorf("%+v %v", n, err)
			}
		})
	}
	wg.Wait()
	wantRows(t, shared, "SELECT count(*) FROM book", fmt.Sprint(shards*each))
	wantRows(t, shared, "SELECT count(*) FROM _harrow_marks", fmt.Sprint(shards))
}

func TestAFullDiskIsAnErrorAndCanGoOn(t *testing.T) {
	s := newSink(t, t.TempDir())
	load(t, s, bookShard(t, "r0"), harrow.Counts{})
	var rows []row
	for i := range lakeio.BatchRows {
		rows = append(rows, bookRow(fmt.Sprint(i), nil, day, "r1"))
	}
	limit := func(pages int) {
		if _, err := s.db.Exec(fmt.Sprint("PRAGMA max_page_count = ", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(20)
	if _, err := s.Load(t.Context(), bookShard(t, "r1", rows...)); err == nil || !strings.Contains(err.Error(), "full") || !strings.Contains(err.Error(), s.Path()) {
		t.Error(err)
	}
	limit(1 << 30)
	load(t, s, bookShard(t, "r1", rows...), harrow.Counts{Added: int64(len(rows))})
}

func BenchmarkLoad(b *testing.B) {
	const n = 100_000
	rows := func(from int, stock int64) (rows []row) {
		for i := from; i < n; i += 2 - int(stock) {
			rows = append(rows, bookRow(fmt.Sprintf("upc-%08d", i), stock, day, "r"))
		}
		return rows
	}
	for b.Loop() {
		b.StopTimer()
		s := newSink(b, b.TempDir())
		load(b, s, bookShard(b, "r0", rows(0, 0)...), harrow.Counts{Added: n / 2})
		shard := bookShard(b, "r1", rows(0, 1)...)
		b.StartTimer()
		load(b, s, shard, harrow.Counts{Added: n / 2, Changed: n / 2})
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
}
