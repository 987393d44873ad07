package stable

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow/soak/postgres"
)

// sqliteFile makes a database.
func sqliteFile(t *testing.T, statements ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "a.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range statements {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSQLiteShowsDataColumnsOnly(t *testing.T) {
	if _, err := SQLite(t.Context(), filepath.Join(t.TempDir(), "a.db")); err == nil {
		t.Error("no error for a database that is not there")
	}
	file := sqliteFile(t, `CREATE TABLE book (b TEXT, a INTEGER, _run TEXT)`, `INSERT INTO book VALUES ('it''s', NULL, 'r'), ('a', 1, 's')`,
		`CREATE TABLE _harrow_marks (x TEXT)`)
	got, err := SQLite(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string][]string{"stored book": {`{"a":1,"b":"a"}`, `{"a":null,"b":"it's"}`}}; Diff(got, want) != "" || len(got) != 1 {
		t.Errorf("%v, want %v", got, want)
	}
}

// Rows are equal as values, whatever a store's types are.
func TestEqualRowsOfSQLiteAndPostgreSQLCompareEqual(t *testing.T) {
	file := sqliteFile(t,
		`CREATE TABLE "Book" (upc TEXT, stock INTEGER, weight REAL, used BOOLEAN, price DECIMAL_TEXT(18,2), day DATE_TEXT, at TIMESTAMP_TEXT,
		 tags JSON_TEXT, prices "JSON_DECIMAL_TEXT(18,2)", days JSON_DATE_TEXT, many JSON_WHOLE_TEXT, _run TEXT)`,
		`INSERT INTO "Book" VALUES ('a "b" <c>'||char(10,1,8232), 9007199254740993, 0.5, 1, '12.5', '2024-02-29', '2024-02-29T12:00:00.000001Z',
		 '["x","y"]', '["0","-1.25"]', '["2024-02-29"]', '[9007199254740993]', 'r')`,
		`INSERT INTO "Book" VALUES ('b', 0, 1e21, 0, '0', '0001-01-01', '9999-12-31T23:59:59.999999Z', '[]', '[]', '[]', '[]', 'r')`,
		`INSERT INTO "Book" (_run) VALUES ('r')`, `CREATE TABLE _harrow_marks (x TEXT)`)
	url := postgres.Shared(t).Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`CREATE SCHEMA "my job"`,
		`CREATE TABLE "my job"."Book" (_run text, many bigint[], days date[], prices numeric(18,2)[], tags jsonb, at timestamptz, day date,
		 price numeric(18,2), used boolean, weight double precision, stock bigint, upc text)`,
		`INSERT INTO "my job"."Book" VALUES ('s', '{9007199254740993}', '{2024-02-29}', '{0.00,-1.25}', '["x", "y"]', '2024-02-29T13:00:00.000001+01',
		 '2024-02-29', 12.50, true, 0.5, 9007199254740993, E'a "b" <c>\n\u0001\u2028')`,
		`INSERT INTO "my job"."Book" VALUES ('s', '{}', '{}', '{}', '[]', '9999-12-31T23:59:59.999999Z', '0001-01-01', 0, false, 1e21, 0, 'b')`,
		`INSERT INTO "my job"."Book" (_run) VALUES ('s')`, `CREATE TABLE "my job"._harrow_marks (x text)`, `CREATE TABLE other (x text)`} {
		if _, err := conn.Exec(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	lite, err := SQLite(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	post, err := Postgres(t.Context(), url, "my job")
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(lite, post); diff != "" || len(post) != 1 || len(post["stored Book"]) != 3 {
		t.Errorf("%d tables: %s", len(post), diff)
	}
	if _, err := conn.Exec(t.Context(), `UPDATE "my job"."Book" SET price = 12.51 WHERE stock > 0`); err != nil {
		t.Fatal(err)
	}
	if post, err = Postgres(t.Context(), url, "my job"); err != nil || !strings.Contains(Diff(lite, post), "12.51") {
		t.Errorf("another price makes no difference: %v", err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Postgres(t.Context(), url, "nobody"); err == nil {
		t.Error("no error for a schema that is not there")
	}
}
