package pgio

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

const secret = "s3cr3t-w0rd"

func TestABadConfigNamesItsKey(t *testing.T) {
	const good = `"url": "postgres://me:` + secret + `@127.0.0.1:1/db"`
	for config, want := range map[string]string{
		`{}`:          "url: is missing",
		`{"url": ""}`: "url: is missing",
		`{"url": 5}`:  "url: got number",
		`{"url": "mysql://me:` + secret + `@h/d"}`:                       "url: can't be read; expected postgres://",
		`{"url": "postgres://me:` + secret + `@h:port/d"}`:               "url: can't be read",
		`{"url": "postgres://me:` + secret + `@h/d?sslmode=perhaps"}`:    "url: can't be read",
		`{"url": "postgres://me:` + secret + `%zz@h/d"}`:                 "url: can't be read",
		`{"url": "host=h password=` + secret + `"}`:                      "url: can't be read",
		`{` + good + `, "isolation": "other"}`:                           `isolation: got "other"; expected schema or database`,
		`{` + good + `, "schema": "public"}`:                             `schema: "public" is everybody's`,
		`{` + good + `, "schema": "pg_x"}`:                               `schema: "pg_x" is PostgreSQL's own`,
		`{` + good + `, "schema": "information_schema"}`:                 "schema: ",
		`{` + good + `, "schema": "a\u0000"}`:                            "schema: ",
		`{` + good + `, "schema": "` + strings.Repeat("é", 32) + `"}`:    "has 64 bytes; expected at most 63",
		`{` + good + `, "schema": "postgres", "isolation": "database"}`:  "schema: ",
		`{` + good + `, "schema": "template1", "isolation": "database"}`: "schema: ",
		`{` + good + `, "tables": 1}`:                                    "tables: unknown key; expected url, schema, isolation",
	} {
		_, err := New(json.RawMessage(config), harrow.SinkEnv{Job: "shop"})
		wrong := (*harrow.ConfigError)(nil)
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &wrong) {
			t.Errorf("%s: %v, want %s", config, err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the password shows: %v", config, err)
		}
	}
}

func TestWhereTheTablesAre(t *testing.T) {
	for config, want := range map[Config]string{
		{URL: "postgres://me@h/d"}:                                     "postgres h:5432, database d, schema my_shop",
		{URL: "postgresql://me@h:6/d", Schema: "Other"}:                "postgres h:6, database d, schema Other",
		{URL: "postgres://me@h/d", Isolation: "schema"}:                "postgres h:5432, database d, schema my_shop",
		{URL: "postgres://me@h/d", Isolation: "database"}:              "postgres h:5432, database my_shop, schema my_shop",
		{URL: "postgres://me@h"}:                                       "postgres h:5432, database me, schema my_shop",
		{URL: "postgres:///d?host=/run/pg&user=me&password=" + secret}: "postgres /run/pg, database d, schema my_shop",
	} {
		p, err := config.place("my-shop")
		if err != nil || p.String() != want {
			t.Errorf("%+v: %s, %v; want %s", config, p, err, want)
		}
	}
	if _, err := (Config{URL: "postgres://me@h/d"}).place(strings.Repeat("x", 64)); err == nil || !strings.Contains(err.Error(), "schema: ") {
		t.Errorf("a job's name that is too long for a schema: %v", err)
	}
}

// Behind a pooler nothing may outlive its transaction.
func TestNoStatementHasAName(t *testing.T) {
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1")), harrow.Counts{Added: 1})
	c := s.conns.idle[0]
	var prepared, temporary int
	var role, path, timeout string
	err := c.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND pg_table_is_visible(oid)),
		current_user, current_setting('search_path'), current_setting('lock_timeout')`).Scan(&prepared, &temporary, &role, &path, &timeout)
	if err != nil || prepared != 0 || temporary != 0 || role != "postgres" || path != `"$user", public` || timeout != "0" {
		t.Errorf("%d prepared, %d temporary, role %s, path %s, lock_timeout %s, %v", prepared, temporary, role, path, timeout, err)
	}
}

func TestNamesAreNeverCut(t *testing.T) {
	long := strings.Repeat("é", 31)
	a, b := derived("key", long+"a"), derived("key", long+"b")
	if a == b || len(a) > maxName || len(b) > maxName || !strings.HasPrefix(a, "_harrow_key_éé") {
		t.Errorf("%s, %s", a, b)
	}
	if got := derived("key", "book"); got != "_harrow_key_book" {
		t.Error(got)
	}
	for name, want := range map[string]string{
		"": "without a name", "a\x00": "without NUL", "\xff": "UTF-8", long + "aa": "at most 63 bytes", "_Harrow_x": "reserved", "ctid": "of its own", "xmax": "of its own",
	} {
		rt := harrow.RecordType{Name: "x", Columns: []harrow.Column{{Name: name, Type: harrow.Type{Kind: harrow.Text}}}}
		if err := checkNames([]harrow.RecordType{rt}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("column %q: %v, want %s", name, err, want)
		}
	}
	for _, name := range []string{"ctid", "Book", long + "a", "sqlite_x"} {
		if err := checkName("table", name); err != nil {
			t.Error(err)
		}
	}
	twice := harrow.RecordType{Name: "x", Columns: []harrow.Column{book.Columns[0], book.Columns[0]}}
	if err := checkNames([]harrow.RecordType{twice}); err == nil || !strings.Contains(err.Error(), `two columns "upc"`) {
		t.Error(err)
	}
}
