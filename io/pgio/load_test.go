package pgio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func TestEveryKindIsStored(t *testing.T) {
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r1", bookRow("1", int64(3), day, "r1"), row{[]any{"2", nil, nil, nil, nil, nil, nil, nil}, day, "r1"}), harrow.Counts{Added: 2})
	wantRows(t, s, `SELECT upc, stock, weight, new, price, day, listed, tags, _id, _url, _ordinal, _rule, _digest, _fetched_at, _run FROM book ORDER BY upc`,
		`1|3|0.5|t|12.50|2024-03-01|2024-03-01 12:00:00+00|{a}|00000001000000000000000000000000|http://a.example/0|0|book||2024-03-01 12:00:00+00|r1`,
		`2|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|01000001000000000000000000000000|http://a.example/1|0|book||2024-03-01 12:00:00+00|r1`)
	wantRows(t, s, `SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'book'::regclass AND attnum BETWEEN 1 AND 8`,
		"text, bigint, double precision, boolean, numeric(18,2), date, timestamp with time zone, text[]")
	wantRows(t, s, `SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'book'::regclass`, "PRIMARY KEY (upc)")
	if err := s.Check(t.Context(), []harrow.RecordType{book}); err != nil {
		t.Error(err)
	}
}

func TestFloatsThatAreNoNumbersAreKept(t *testing.T) {
	s := newSink(t, home(t))
	var rows []row
	for i, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)} {
		r := bookRow(fmt.Sprint(i), nil, day, "r1")
		r.values[2] = v
		rows = append(rows, r)
	}
	load(t, s, bookShard(t, "r1", rows...), harrow.Counts{Added: 4})
	load(t, s, bookShard(t, "r2", rows...), harrow.Counts{Unchanged: 4})
	wantRows(t, s, "SELECT weight FROM book ORDER BY upc", "NaN", "Infinity", "-Infinity", "-0")
}

func TestAMarkedShardIsNotReadAgain(t *testing.T) {
	s := newSink(t, home(t))
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

// Somebody deletes marks, to have shards loaded again.
func TestAShardWhoseMarkIsDeletedIsLoadedAgain(t *testing.T) {
	t.Parallel()
	s := newSink(t, home(t))
	for _, want := range []harrow.Counts{{Added: 1, Rejected: 1}, {Unchanged: 1, Rejected: 1}} {
		load(t, s, bookShard(t, `r\1'`, bookRow("1", int64(1), day, "r1"), bookRow(nil, int64(1), day, "r1")), want)
		wantRows(t, s, "SELECT count(*) FROM _harrow_rejects", "1")
		dump(t, s, "DELETE FROM _harrow_marks")
	}
	load(t, s, bookShard(t, `r\1'`, bookRow("1", int64(1), day, "r1")), harrow.Counts{Unchanged: 1})
	wantRows(t, s, "SELECT count(*) FROM _harrow_rejects", "0")
}

// TestAnUnchangedRowIsNotTouched looks at xmin, and at xmax: it is not even
// locked.
func TestAnUnchangedRowIsNotTouched(t *testing.T) {
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1"), bookRow("2", int64(1), day, "r1")), harrow.Counts{Added: 2})
	const versions = "SELECT upc, ctid, xmin, xmax FROM book WHERE upc = '1'"
	before := dump(t, s, versions)
	later := day.Add(time.Hour)
	load(t, s, bookShard(t, "r2", bookRow("1", nil, later, "r2"), bookRow("2", int64(2), later, "r2"), bookRow("3", nil, later, "r2")),
		harrow.Counts{Added: 1, Changed: 1, Unchanged: 1})
	wantRows(t, s, "SELECT upc, stock, _run FROM book ORDER BY upc", "1|<nil>|r1", "2|2|r2", "3|<nil>|r2")
	wantRows(t, s, versions, before...)
}

func TestStaleRowsAreNotWritten(t *testing.T) {
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r1", bookRow("1", int64(1), day, "r1"), bookRow("2", int64(1), day, "r1")), harrow.Counts{Added: 2})
	load(t, s, bookShard(t, "r2", bookRow("1", int64(2), day.Add(-time.Microsecond), "r2"), bookRow("2", int64(2), day, "r2")), harrow.Counts{Changed: 1, Stale: 1})
	wantRows(t, s, "SELECT upc, stock FROM book ORDER BY upc", "1|1", "2|2")
}

func TestLatestByAColumn(t *testing.T) {
	num := func(s string) any { return decimal.RequireFromString(s) }
	s := newSink(t, home(t))
	for i, c := range []struct {
		column     string
		index      int
		old, newer any
	}{
		{"price", 4, num("9.5"), num("10")},
		{"stock", 1, int64(9), int64(10)},
		{"weight", 2, -1.5, 1e9},
		{"new", 3, false, true},
		{"day", 5, day, day.AddDate(0, 0, 1)},
		{"listed", 6, nil, day},
	} {
		for j, step := range []struct {
			v    any
			want harrow.Counts
		}{{c.old, harrow.Counts{Added: 1}}, {c.newer, harrow.Counts{Changed: 1}}, {c.old, harrow.Counts{Stale: 1}}, {c.newer, harrow.Counts{Unchanged: 1}}} {
			r := bookRow(fmt.Sprint(i), int64(1), day, "r")
			r.values[c.index] = step.v
			shard := bookShard(t, fmt.Sprint("r", i, j), r)
			shard.Latest = c.column
			load(t, s, shard, step.want)
		}
	}
}

// Texts compare by their bytes: in most languages a comes before B.
func TestLatestByATextGoesByItsBytes(t *testing.T) {
	s := newSink(t, home(t))
	rt := harrow.RecordType{Name: "release", Columns: []harrow.Column{{Name: "id", Type: harrow.Type{Kind: harrow.Int}}, {Name: "version", Type: harrow.Type{Kind: harrow.Text}}}}
	for i, step := range []struct {
		version string
		want    harrow.Counts
	}{{"B", harrow.Counts{Added: 1}}, {"a", harrow.Counts{Changed: 1}}, {"C", harrow.Counts{Stale: 1}}} {
		load(t, s, harrow.Shard{Run: fmt.Sprint(i), Record: rt, Key: []string{"id"}, Latest: "version", Shards: 1,
			Batches: batches(t, rt, []row{{[]any{int64(1), step.version}, day, "r"}})}, step.want)
	}
}

func TestWithoutAKeyRowsAreKnownByTheirOrigin(t *testing.T) {
	s := newSink(t, home(t))
	shard := bookShard(t, "r1", bookRow("1", int64(1), day, "r1"), bookRow("1", int64(1), day, "r1"))
	shard.Key = nil
	load(t, s, shard, harrow.Counts{Added: 2})
	shard.Run = "r2"
	load(t, s, shard, harrow.Counts{Unchanged: 2})
}

func TestARecordOfNothingButItsKey(t *testing.T) {
	s := newSink(t, home(t))
	rt := harrow.RecordType{Name: "tag", Columns: book.Columns[:1]}
	for i, want := range []harrow.Counts{{Added: 2, Unchanged: 1}, {Unchanged: 3}} {
		load(t, s, harrow.Shard{Run: fmt.Sprint(i), Record: rt, Key: []string{"upc"}, Shards: 1,
			Batches: batches(t, rt, []row{{[]any{"b"}, day, "r"}, {[]any{"a"}, day, "r"}, {[]any{"b"}, day, "r"}})}, want)
	}
}

// What comes again of a key comes after it, whatever lies between.
func TestRowsOfOneKeyGoOneAfterTheOther(t *testing.T) {
	s := newSink(t, home(t))
	at := func(i int) time.Time { return day.Add(time.Duration(i) * time.Hour) }
	load(t, s, bookShard(t, "r1", bookRow("a", int64(1), at(1), "r1")), harrow.Counts{Added: 1})
	load(t, s, bookShard(t, "r2",
		bookRow("a", int64(2), at(2), "r2"), // changed
		bookRow("b", int64(1), at(5), "r2"), // added
		bookRow("a", int64(1), at(3), "r2"), // changed, back to what it was
		bookRow("b", int64(1), at(7), "r2"), // unchanged: still of 5
		bookRow("b", int64(2), at(6), "r2"), // changed
		bookRow("a", int64(3), at(2), "r2"), // stale
		bookRow("b", int64(2), at(9), "r2"), // unchanged
	), harrow.Counts{Added: 1, Changed: 3, Unchanged: 2, Stale: 1})
	wantRows(t, s, "SELECT upc, stock, extract(hour FROM _fetched_at) - 12 FROM book ORDER BY upc", "a|1|3", "b|2|6")
}

func TestAFailureInTheMiddleLeavesNothing(t *testing.T) {
	s := newSink(t, home(t))
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
	if _, err := s.Load(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "disk on fire") || !strings.Contains(err.Error(), s.place.schema) {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count(*) FROM _harrow_marks UNION ALL SELECT count(*) FROM book", "0", "0")
	ctx, cancel := context.WithCancel(t.Context())
	broken.Batches = func() iter.Seq2[harrow.Batch, error] { cancel(); return whole.Batches() }
	if _, err := s.Load(ctx, broken); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	load(t, s, whole, harrow.Counts{Added: int64(len(rows))})
	wantRows(t, s, "SELECT count(*), sum(stock) FROM book", fmt.Sprintf("%d|%d", len(rows), len(rows)*(len(rows)-1)/2))
}

func TestShardsLoadAtOnce(t *testing.T) {
	c := home(t)
	shared := newSink(t, c)
	const shards, each = 12, 500
	var wg sync.WaitGroup
	for i := range shards {
		s := shared
		if i%3 == 1 {
			s = newSink(t, c)
		}
		var rows []row
		for j := range each {
			rows = append(rows, bookRow(fmt.Sprint(j*7919%each, "-", i), int64(j), day, "r1"))
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
	wantRows(t, shared, "SELECT count(*), sum(added) FROM _harrow_marks", fmt.Sprint(shards, "|", shards*each))
}

// Shards of different runs meet the same keys, in orders of their own: a
// zombie beside the run that took over.
func TestShardsOfTheSameKeysDontLockEachOtherOut(t *testing.T) {
	c := home(t)
	sinks := []*Sink{newSink(t, c), newSink(t, c)}
	load(t, sinks[0], bookShard(t, "r0"), harrow.Counts{})
	const each = 400
	var wg sync.WaitGroup
	for i := range 6 {
		var rows []row
		for j := range each {
			rows = append(rows, bookRow(fmt.Sprint((j*7919+i*13)%each), int64(i), day, "r1"))
		}
		shard := bookShard(t, fmt.Sprint("r", i+1), rows...)
		wg.Go(func() {
			if n, err := sinks[i%2].Load(t.Context(), shard); err != nil || n.Added+n.Changed+n.Unchanged+n.Stale != each {
				t.Errorf("%+v %v", n, err)
			}
		})
	}
	wg.Wait()
	wantRows(t, sinks[0], "SELECT sum(added), (SELECT count(*) FROM book) FROM _harrow_marks", fmt.Sprint(each, "|", each))
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
		s := newSink(b, home(b))
		load(b, s, bookShard(b, "r0", rows(0, 0)...), harrow.Counts{Added: n / 2})
		shard := bookShard(b, "r1", rows(0, 1)...)
		b.StartTimer()
		load(b, s, shard, harrow.Counts{Added: n / 2, Changed: n / 2})
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
}
