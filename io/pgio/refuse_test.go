package pgio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harrowdata/harrow"
)

// rejected loads a shard and returns what it refused, as CODE FIELD UPC.
func rejected(t *testing.T, s *Sink, shard harrow.Shard, want harrow.Counts) (list []harrow.Reject, upcs []string) {
	t.Helper()
	shard.Reject = func(r harrow.Reject) error {
		var payload struct {
			UPC *string `json:"upc"`
		}
		if err := json.Unmarshal([]byte(r.Payload), &payload); err != nil || r.ID.IsZero() || r.URL == "" || r.Record != shard.Record.Name || r.Class != harrow.DataFault {
			t.Errorf("%+v: %v", r, err)
		}
		upc := "null"
		if payload.UPC != nil {
			upc = *payload.UPC
		}
		list, upcs = append(list, r), append(upcs, strings.Join([]string{r.Code, r.Field, upc}, " "))
		return nil
	}
	load(t, s, shard, want)
	return list, upcs
}

// Each way to refuse a row, and what the reject says; the rows around it are
// loaded.
func TestARefusedRowIsARejectAndTheOthersAreLoaded(t *testing.T) {
	for name, c := range map[string]struct {
		alter string
		set   func(*row)
		want  []string // in the reason
		field string
	}{
		"NUL":            {"", func(r *row) { r.values[7] = []string{"a\x00"} }, []string{"22021", "column tags", "NUL"}, "tags"},
		"null in key":    {"", func(r *row) { r.values[0] = nil }, []string{"null"}, "upc"},
		"key too long":   {"", func(r *row) { r.values[0] = noise(9000) }, []string{"54000", "index row"}, ""},
		"CHECK":          {`ALTER TABLE book ADD CONSTRAINT few CHECK (stock < 100)`, func(r *row) { r.values[1] = int64(100) }, []string{"23514", "few"}, ""},
		"NOT NULL":       {`ALTER TABLE book ALTER weight SET NOT NULL`, func(r *row) { r.values[2] = nil }, []string{"23502"}, "weight"},
		"foreign key":    {`CREATE TABLE stocks (n bigint PRIMARY KEY); INSERT INTO stocks VALUES (1); ALTER TABLE book ADD CONSTRAINT known FOREIGN KEY (stock) REFERENCES stocks`, func(r *row) { r.values[1] = int64(2) }, []string{"23503", "known"}, ""},
		"deferred":       {`CREATE TABLE stocks (n bigint PRIMARY KEY); INSERT INTO stocks VALUES (1); ALTER TABLE book ADD CONSTRAINT known FOREIGN KEY (stock) REFERENCES stocks DEFERRABLE INITIALLY DEFERRED`, func(r *row) { r.values[1] = int64(2) }, []string{"23503", "known"}, ""},
		"unique index":   {`CREATE UNIQUE INDEX theirs ON book (listed) WHERE stock = 7; UPDATE book SET stock = 7 WHERE upc = '0'`, func(r *row) { r.values[1], r.values[6] = int64(7), day }, []string{"23505", "theirs", "already exists"}, ""},
		"exclusion":      {`UPDATE book SET weight = upc::float; ALTER TABLE book ADD CONSTRAINT apart EXCLUDE USING btree (weight WITH =) WHERE (weight < 1)`, func(r *row) { r.values[2] = 0.0 }, []string{"23P01", "apart"}, ""},
		"trigger":        {trigger("RAISE EXCEPTION 'too many: %', NEW.stock"), func(r *row) { r.values[1] = int64(100) }, []string{"P0001", "too many: 100"}, ""},
		"trigger's code": {trigger("RAISE EXCEPTION 'no' USING ERRCODE = 'HR001'"), func(r *row) { r.values[1] = int64(100) }, []string{"HR001"}, ""},
		"silent trigger": {trigger("RETURN NULL"), func(r *row) { r.values[1] = int64(100) }, []string{"keeps the row out"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSink(t, home(t))
			load(t, s, bookShard(t, "r0", bookRow("0", int64(1), day, "r0")), harrow.Counts{Added: 1})
			if c.alter != "" {
				dump(t, s, c.alter)
			}
			var rows []row
			for i := range 37 {
				r := bookRow(fmt.Sprintf("%02d", i), int64(1), day, "r1")
				r.values[2], r.values[6] = float64(i+10), day.Add(time.Duration(i+1)*time.Second)
				if i == 0 || i == 20 || i == 36 {
					c.set(&r)
				}
				rows = append(rows, r)
			}
			want := harrow.Counts{Added: 34, Rejected: 3}
			list, _ := rejected(t, s, bookShard(t, "r1", rows...), want)
			for _, r := range list {
				for _, part := range c.want {
					if !strings.Contains(r.Reason, part) || r.Field != c.field {
						t.Errorf("field %q, reason %q; want %q, %q in it", r.Field, r.Reason, c.field, part)
					}
				}
			}
			wantRows(t, s, "SELECT count(*) FROM book", "35")
			if again, _ := rejected(t, s, bookShard(t, "r1", rows...), want); !slices.Equal(again, list) || len(list) != 3 {
				t.Errorf("from the mark: %+v, want %+v", again, list)
			}
		})
	}
}

// trigger is one of book's that does something for rows with a stock of 100.
func trigger(what string) string {
	return `CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.stock = 100 THEN ` + what + `; END IF; RETURN NEW; END $$;
		CREATE TRIGGER few BEFORE INSERT OR UPDATE ON book FOR EACH ROW EXECUTE FUNCTION few()`
}

// noise is a text that can't be compressed into an index.
func noise(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; {
		x = x*1664525 + 1013904223
		fmt.Fprintf(&b, "%08x", x)
	}
	return b.String()
}

// A refused row of a key that comes again leaves the one before in force.
func TestARefusedRowAmongOthersOfItsKey(t *testing.T) {
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r0"), harrow.Counts{})
	dump(t, s, `ALTER TABLE book ADD CONSTRAINT few CHECK (stock < 100)`)
	_, upcs := rejected(t, s, bookShard(t, "r1",
		bookRow("a", int64(1), day, "r1"), bookRow("b", int64(100), day, "r1"), bookRow("a", int64(100), day, "r1"),
		bookRow("a", int64(1), day, "r1"), bookRow("b", int64(5), day, "r1"), bookRow("a", int64(2), day, "r1"),
	), harrow.Counts{Added: 2, Changed: 1, Unchanged: 1, Rejected: 2})
	if want := []string{"refused  b", "refused  a"}; !slices.Equal(upcs, want) {
		t.Errorf("%q, want %q", upcs, want)
	}
	wantRows(t, s, "SELECT upc, stock FROM book ORDER BY upc", "a|2", "b|5")
}

// A shard of one row meets somebody who writes its key and has not yet
// committed: the row is good, whatever he does.
func TestARowThatSomebodyWritesAtTheSameTimeIsNoReject(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before []row
		theirs string
		want   harrow.Counts
	}{
		"both insert": {nil, "INSERT INTO %s (upc, stock, _id, _url, _ordinal) VALUES ('1', 1, '', '', 0)", harrow.Counts{Changed: 1}},
		"both update": {[]row{bookRow("1", int64(1), day, "r0")}, "UPDATE %s SET stock = 2", harrow.Counts{Unchanged: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSink(t, home(t))
			load(t, s, bookShard(t, "r0", c.before...), harrow.Counts{Added: int64(len(c.before))})
			other, err := pgx.Connect(t.Context(), s.place.base.ConnString())
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close(context.WithoutCancel(t.Context()))
			if _, err := other.Exec(t.Context(), "BEGIN; "+fmt.Sprintf(c.theirs, s.place.table("book"))); err != nil {
				t.Fatal(err)
			}
			var done sync.WaitGroup
			defer done.Wait()
			done.Go(func() {
				load(t, s, bookShard(t, s.place.schema, bookRow("1", int64(2), day, "r1")), c.want)
			})
			for dump(t, s, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'harrow shop "+s.place.schema+"'")[0] != "1" {
				<-time.After(5 * time.Millisecond)
			}
			if _, err := other.Exec(t.Context(), "COMMIT"); err != nil {
				t.Fatal(err)
			}
			done.Wait()
			wantRows(t, s, "SELECT upc, stock FROM book", "1|2")
		})
	}
}

// Rows that are refused one after the other cost a try each, not two, and those
// between them are loaded.
func TestManyRowsThatTheTableRefuses(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of rejects")
	}
	t.Parallel()
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r0"), harrow.Counts{})
	dump(t, s, `CREATE SEQUENCE tries; CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			PERFORM nextval('`+s.place.schema+`.tries'); IF NEW.stock % 500 <> 499 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
		CREATE TRIGGER few BEFORE INSERT ON book FOR EACH ROW EXECUTE FUNCTION few(); GRANT ALL ON SEQUENCE tries TO PUBLIC`)
	const n = 1500
	list, _ := rejected(t, s, bookShard(t, "r1", manyRows(n)...), harrow.Counts{Added: 3, Rejected: n - 3})
	for i, r := range list {
		if want := fmt.Sprint("http://a.example/", i+i/499); r.URL != want {
			t.Fatalf("reject %d is of %s, want %s", i, r.URL, want)
		}
	}
	wantRows(t, s, "SELECT stock FROM book ORDER BY stock", "499", "999", "1499")
	wantRows(t, s, fmt.Sprintf("SELECT last_value < %d FROM tries", n*11/10), "t")
}

// More rejects than are held come through all the same.
func TestAShardOfNothingButRejects(t *testing.T) {
	s := newSink(t, home(t))
	var rows []row
	for i := range 6000 {
		rows = append(rows, bookRow([]any{nil, "x\x00"}[i%2], int64(i), day, "r1"))
	}
	rows = append(rows, bookRow("good", int64(1), day, "r1"))
	list, _ := rejected(t, s, bookShard(t, "r1", rows...), harrow.Counts{Added: 1, Rejected: 6000})
	for i, r := range list {
		if r.URL != fmt.Sprint("http://a.example/", i) {
			t.Fatalf("reject %d is of %s", i, r.URL)
		}
	}
}

// What is held of rejects is bounded within a batch too.
func TestABatchOfRejectsIsNotHeldWhole(t *testing.T) {
	t.Parallel()
	var rows []row
	text := []string{noise(30_000)}
	for i := range 200 {
		r := bookRow([]any{nil, fmt.Sprint(i)}[i%2], nil, day, "r1")
		r.values[7] = text
		rows = append(rows, r)
	}
	l, err := newLoader(place{}, bookShard(t, "r1"))
	if err != nil {
		t.Fatal(err)
	}
	got, copies := 0, 0
	src := newRowSource(batches(t, book, rows)())
	defer src.close()
	src.encode = func(dst []byte, b harrow.Batch, from int) ([]byte, int, error) { return l.encode(dst, b, from) }
	src.full = l.refused.full
	for ; !src.done; copies++ {
		src.again()
		if _, err := io.Copy(io.Discard, src); err != nil {
			t.Fatal(err)
		}
		if l.refused.size > 2*maxRefused {
			t.Errorf("%d bytes of rejects are held", l.refused.size)
		}
		got += len(l.refused.rows)
		l.refused = refusals{}
	}
	if got != 100 || l.read != 200 || copies < 3 {
		t.Errorf("%d rejects of %d rows in %d copies", got, l.read, copies)
	}
	s := newSink(t, home(t))
	list, _ := rejected(t, s, bookShard(t, "r1", rows...), harrow.Counts{Added: 100, Rejected: 100})
	for i, r := range list {
		if r.URL != fmt.Sprint("http://a.example/", 2*i) {
			t.Fatalf("reject %d is of %s", i, r.URL)
		}
	}
}

// What the columns of a batch hold beyond PostgreSQL's range.
func TestValuesOutOfRangeAreRejects(t *testing.T) {
	days := func(v arrow.Date32) arrow.Array { return arrayOf(array.NewDate32Builder, v) }
	micros := func(v arrow.Timestamp) arrow.Array {
		b := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"})
		defer b.Release()
		b.Append(v)
		return b.NewArray()
	}
	numbers := func(n decimal128.Num) arrow.Array {
		b := array.NewDecimal128Builder(memory.DefaultAllocator, &arrow.Decimal128Type{Precision: 5, Scale: 2})
		defer b.Release()
		b.Append(n)
		return b.NewArray()
	}
	date, stamp := harrow.Type{Kind: harrow.Date}, harrow.Type{Kind: harrow.Timestamp}
	number := harrow.Type{Kind: harrow.Decimal, Precision: 5, Scale: 2}
	for _, c := range []struct {
		typ  harrow.Type
		a    arrow.Array
		want string // code of the error, empty for none
	}{
		{date, days(math.MinInt32), "22008"}, {date, days(math.MaxInt32), "22008"},
		{date, days(minDate + epochDays), ""}, {date, days(minDate + epochDays - 1), "22008"},
		{date, days(endDate + epochDays - 1), ""}, {date, days(endDate + epochDays), "22008"},
		{stamp, micros(math.MinInt64), "22008"}, {stamp, micros(minMicros + epochMicros), ""}, {stamp, micros(minMicros + epochMicros - 1), "22008"},
		{stamp, micros(math.MaxInt64), ""},
		{harrow.Type{Kind: harrow.Text}, arrayOf(array.NewStringBuilder, "a\xff"), "22021"}, {harrow.Type{Kind: harrow.Text}, arrayOf(array.NewStringBuilder, "\x00"), "22021"},
		{number, numbers(decimal128.FromI64(99999)), ""}, {number, numbers(decimal128.FromI64(-99999)), ""}, {number, numbers(decimal128.FromI64(100000)), "22003"},
	} {
		dst, err := appenderOf(c.typ)([]byte("x"), c.a, 0)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s: %v, want %q", c.typ, c.a, err, c.want)
		}
		if c.want != "" && string(dst) != "x" {
			t.Errorf("%s %s leaves %q", c.typ, c.a, dst)
		}
	}
}

func arrayOf[B interface {
	Append(T)
	NewArray() arrow.Array
}, T any](build func(memory.Allocator) B, v T) arrow.Array {
	b := build(memory.DefaultAllocator)
	b.Append(v)
	return b.NewArray()
}

func TestWhatIsTheRowsFault(t *testing.T) {
	for code, want := range map[string]bool{
		"22021": true, "22P05": true, "23514": true, "54000": true, "P0001": true, "44000": true,
		"42501": false, "53100": false, "53200": false, "57014": false, "57P01": false, "08006": false, "25006": false, "40001": false, "42P01": false, "XX001": false, "": false,
	} {
		if _, ok := refusal(fmt.Errorf("x: %w", &pgconn.PgError{Code: code})); ok != want {
			t.Errorf("%s: %v, want %v", code, ok, want)
		}
	}
	if _, ok := refusal(errors.New("x")); ok {
		t.Error("any error is a row's fault")
	}
}
