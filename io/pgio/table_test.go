package pgio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/soak/postgres"
)

func column1(name string, k harrow.Kind) harrow.Column {
	return harrow.Column{Name: name, Type: harrow.Type{Kind: k, Precision: 10, Scale: 2}}
}

func TestAKeyIsMadeAnew(t *testing.T) {
	s := newSink(t, home(t))
	rows := []row{bookRow("1", int64(1), day, "r1"), bookRow("2", int64(1), day, "r1")}
	load(t, s, bookShard(t, "r1", rows...), harrow.Counts{Added: 2})
	shard := bookShard(t, "r2", rows...)
	shard.Key = []string{"upc", "stock"}
	load(t, s, shard, harrow.Counts{Unchanged: 2})
	shard = bookShard(t, "r3", rows...)
	shard.Key = []string{"stock"}
	if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), "key is (stock), but several stored rows have the same") {
		t.Error(err)
	}
	shard.Key = []string{"_url"}
	load(t, s, shard, harrow.Counts{Unchanged: 2})
	load(t, s, bookShard(t, "r4", row{[]any{"3", nil, nil, nil, nil, nil, nil, nil}, day, "r4"}), harrow.Counts{Added: 1})
	shard = bookShard(t, "r5", rows...)
	shard.Key = []string{"weight"}
	if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), "null") && !strings.Contains(err.Error(), "several") {
		t.Error(err)
	}
	wantRows(t, s, `SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'book'::regclass`, "_harrow_key_book|PRIMARY KEY (upc)")
	wantRows(t, s, `SELECT attname FROM pg_attribute WHERE attrelid = 'book'::regclass AND attnotnull AND attnum > 0`, "upc")
	for _, key := range [][]string{{"none"}, {"upc", "upc"}} {
		shard.Key = key
		if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), "the key names") {
			t.Error(err)
		}
	}
	shard.Key, shard.Latest = []string{"upc"}, "none"
	if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), `latest names "none"`) {
		t.Error(err)
	}
}

// A table that somebody made, with a key of his own, is taken as it is.
func TestATableOfAnothersMakingKeepsItsKey(t *testing.T) {
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r0"), harrow.Counts{})
	dump(t, s, `CREATE TABLE own (id bigserial PRIMARY KEY, upc text); CREATE TABLE same (upc text UNIQUE);
		ALTER TABLE own OWNER TO `+s.actor+`; ALTER TABLE same OWNER TO `+s.actor)
	for _, table := range []string{"own", "same"} {
		shard := bookShard(t, table, bookRow("1", int64(1), day, "r1"))
		shard.Record.Name = table
		shard.Batches = batches(t, shard.Record, []row{bookRow("1", int64(1), day, "r1")})
		load(t, s, shard, harrow.Counts{Added: 1})
		shard.Run += " again"
		load(t, s, shard, harrow.Counts{Unchanged: 1})
	}
	wantRows(t, s, `SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN ('own'::regclass, 'same'::regclass) ORDER BY 1, 2`,
		"own|_harrow_key_own|UNIQUE (upc)", "own|own_pkey|PRIMARY KEY (id)", "same|same_upc_key|UNIQUE (upc)")
}

// Somebody's unique index is good for the job's new key, but not beside the old
// one: that would refuse rows.
func TestTheOldKeyGoesWhereAnotherIndexHasTheNewOne(t *testing.T) {
	t.Parallel()
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r1", bookRow("1", int64(1), day, "r1")), harrow.Counts{Added: 1})
	dump(t, s, `CREATE UNIQUE INDEX theirs ON book (upc, stock)`)
	shard := bookShard(t, "r2", bookRow("1", int64(2), day, "r2"))
	shard.Key = []string{"upc", "stock"}
	load(t, s, shard, harrow.Counts{Added: 1})
	wantRows(t, s, `SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'book'::regclass`, "theirs")
	shard.Run = "r3"
	load(t, newSink(t, Config{URL: s.place.base.ConnString(), Schema: s.place.schema}), shard, harrow.Counts{Unchanged: 1})
}

func TestColumnsAreAddedAndOthersLeftAlone(t *testing.T) {
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r1", bookRow("1", int64(1), day, "r1")), harrow.Counts{Added: 1})
	wider := harrow.RecordType{Name: "book", Columns: []harrow.Column{book.Columns[0], {Name: "author", Type: harrow.Type{Kind: harrow.Text}}}}
	if err := s.Check(t.Context(), []harrow.RecordType{wider}); err != nil {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'book'::regclass AND attname = 'author'", "0")
	shard := harrow.Shard{Run: "r2", Record: wider, Key: []string{"upc"}, Input: "d", Shards: 1, Batches: batches(t, wider, []row{{[]any{"1", "A. Author"}, day, "r2"}})}
	load(t, s, shard, harrow.Counts{Changed: 1})
	wantRows(t, s, "SELECT upc, stock, author, _run FROM book", "1|1|A. Author|r2")
}

func TestCheckNamesWhatDiffers(t *testing.T) {
	s := newSink(t, home(t))
	if err := s.Check(t.Context(), []harrow.RecordType{book}); err != nil {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count(*) FROM pg_namespace WHERE nspname = '"+s.place.schema+"'", "0")
	load(t, s, bookShard(t, "r1"), harrow.Counts{})
	dump(t, s, `CREATE VIEW looks AS SELECT 1; CREATE MATERIALIZED VIEW kept AS SELECT 1; CREATE TABLE parted (upc text) PARTITION BY LIST (upc);
		CREATE EXTENSION IF NOT EXISTS file_fdw SCHEMA public; CREATE SERVER IF NOT EXISTS files FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE far (a text) SERVER files OPTIONS (filename '/dev/null');
		CREATE SEQUENCE counted; CREATE TYPE shape AS (a int)`)
	for _, c := range []struct {
		rt   harrow.RecordType
		want string
	}{
		{harrow.RecordType{Name: "book", Columns: []harrow.Column{column1("price", harrow.Decimal)}}, "table book: column price is stored as numeric(18,2), the job's type is decimal(10,2) (numeric(10,2))"},
		{harrow.RecordType{Name: "book", Columns: []harrow.Column{column1("day", harrow.Text)}}, "column day is stored as date, the job's type is text (text)"},
		{harrow.RecordType{Name: "book", Columns: []harrow.Column{{Name: "tags", Type: harrow.Type{Kind: harrow.Int, List: true}}}}, "column tags is stored as text[], the job's type is list(int) (bigint[])"},
		{harrow.RecordType{Name: "_harrow_marks"}, "reserved"},
		{harrow.RecordType{Name: strings.Repeat("x", 64)}, "at most 63 bytes"},
		{harrow.RecordType{Name: "looks"}, "table looks: the schema has a view of this name"},
		{harrow.RecordType{Name: "kept"}, "has a materialised view of this name"},
		{harrow.RecordType{Name: "parted"}, "has a partitioned table of this name"},
		{harrow.RecordType{Name: "far"}, "has a foreign table of this name"},
		{harrow.RecordType{Name: "counted"}, "has a sequence of this name"},
		{harrow.RecordType{Name: "shape"}, "has a type of this name"},
	} {
		err := s.Check(t.Context(), []harrow.RecordType{c.rt})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q in it", c.rt, err, c.want)
		}
		if wrong := (*harrow.ConfigError)(nil); !errors.As(err, &wrong) || wrong.Key != "" {
			t.Errorf("%v: %v is no fault of the configuration as a whole", c.rt, err)
		}
		shard := harrow.Shard{Run: "r", Record: c.rt, Input: "d", Batches: batches(t, c.rt, nil)}
		if _, err := s.Load(t.Context(), shard); err == nil {
			t.Errorf("%v was loaded", c.rt)
		}
		if s.actor != "harrow_postgres_"+s.place.schema {
			t.Fatalf("after %v shards are loaded by %q", c.rt, s.actor)
		}
	}
}

// What only the configuration mends is the configuration's fault; what passes,
// or what somebody else has to mend, is not.
func TestCheckTellsAWrongURLFromAServerThatIsDown(t *testing.T) {
	server := postgres.Shared(t)
	own, err := url.Parse(server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(own.Path, "/")
	if _, err := server.SQL(t.Context(), database, "CREATE ROLE stranger LOGIN PASSWORD 'right'; REVOKE ALL ON DATABASE "+database+" FROM PUBLIC"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := server.SQL(context.WithoutCancel(t.Context()), "postgres", "DROP ROLE stranger"); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct{ name, url, key string }{
		{"a wrong password", "postgres://postgres:wrong@" + own.Host + "/" + database, "url"},
		{"a role that is not there", "postgres://nobody:right@" + own.Host + "/" + database, "url"},
		{"a role that may not connect", "postgres://stranger:right@" + own.Host + "/" + database, "url"},
		{"a database that is not there", "postgres://stranger:right@" + own.Host + "/none", "url"},
		{"a server that is down", "postgres://stranger:right@127.0.0.1:1/none", "-"},
	} {
		sink, err := New(json.RawMessage(`{"url": "`+c.url+`"}`), harrow.SinkEnv{Job: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		s, _ := sink.(*Sink)
		s.pauses = nil
		err = errors.Join(s.Check(t.Context(), []harrow.RecordType{book}), s.Close())
		wrong := &harrow.ConfigError{Key: "-"}
		if errors.As(err, &wrong); err == nil || wrong.Key != c.key {
			t.Errorf("%s: %v is about %q, want %q", c.name, err, wrong.Key, c.key)
		}
		if err != nil && strings.Contains(err.Error(), "right@") {
			t.Errorf("%s: %v tells the password", c.name, err)
		}
	}
}

func TestAnyNameIsQuoted(t *testing.T) {
	s := newSink(t, home(t))
	names := []string{"select", `a"b`, "ключ", "Upper", "upper", `x]y'z\`, "a b; DROP TABLE book", "$1", "  ", "c0", "n", "s", "t"}
	for _, table := range names {
		rt := harrow.RecordType{Name: table}
		var r row
		for i, n := range names {
			rt.Columns = append(rt.Columns, harrow.Column{Name: n, Type: harrow.Type{Kind: harrow.Text}})
			r.values = append(r.values, fmt.Sprint("v", i))
		}
		r.at = day
		if err := s.Check(t.Context(), []harrow.RecordType{rt}); err != nil {
			t.Error(err)
		}
		shard := harrow.Shard{Run: "r1", Record: rt, Key: names[:3], Input: "d", Shards: 1, Batches: batches(t, rt, []row{r})}
		load(t, s, shard, harrow.Counts{Added: 1})
		r.values[4] = "other"
		shard.Run, shard.Batches = "r2", batches(t, rt, []row{r})
		load(t, s, shard, harrow.Counts{Changed: 1})
		wantRows(t, s, "SELECT "+quoteAll(names[:5])+" FROM "+quote(table), "v0|v1|v2|v3|other")
	}
}

// Who looks into the database finds what everything is.
func TestEverythingIsDescribed(t *testing.T) {
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r1"), harrow.Counts{})
	wantRows(t, s, `SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped
		WHERE c.relnamespace = '`+s.place.schema+`'::regnamespace AND c.relkind = 'r' AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)`)
	wantRows(t, s, `SELECT obj_description('`+s.place.schema+`'::regnamespace), obj_description('book'::regclass)`,
		"Harrow job shop: a table for each record; _harrow… are the loader's own.|Record book of Harrow job shop: one row for each key. A column that the job no longer has, and a row that a run no longer finds, stay as they are.")
	dump(t, s, `COMMENT ON COLUMN book.upc IS 'ours'`)
	load(t, s, bookShard(t, "r2"), harrow.Counts{})
	wantRows(t, newSink(t, Config{URL: s.place.base.ConnString(), Schema: s.place.schema}), `SELECT col_description('book'::regclass, 1)`, "ours")
}
