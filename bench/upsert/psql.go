package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/postgres"
)

// server is what both sides load into. It writes as a server does that must
// not lose anything; what would disturb by the clock alone is put off.
var settings = []string{"fsync=on", "full_page_writes=on", "synchronous_commit=on", "wal_level=replica", "shared_buffers=1GB", "max_wal_size=4GB",
	"checkpoint_timeout=1h", "autovacuum=off"}

// table is where the sink puts the record.
const table = jobName + ".item"

// columns of the table, provenance included.
func columns() (names []string) {
	for _, c := range slices.Concat(rowType.Columns, harrow.Provenance) {
		names = append(names, c.Name)
	}
	return names
}

// text writes what stage refine committed as COPY's text format, in the order
// of the parts.
func (c input) text(ctx context.Context, file string) (err error) {
	lake, err := c.lake()
	if err != nil {
		return err
	}
	m, err := lake.Manifest(ctx, "refine")
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	parts := slices.SortedFunc(slices.Values(m.TablesOf(lakeio.RecordsPrefix+rowType.Name)), func(a, b harrow.Part) int { return a.Shard - b.Shard })
	for _, part := range parts {
		for b, err := range lakeio.ReadBatches(ctx, lake.Store, part) {
			if err != nil {
				return err
			}
			if err := writeText(w, b); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

func writeText(w *bufio.Writer, b harrow.Batch) (err error) {
	var line, value []byte
	names := columns()
	for row := range b.Rows() {
		line = line[:0]
		for i, name := range names {
			if i > 0 {
				line = append(line, '\t')
			}
			value = lakeio.AppendJSONValue(value[:0], b.Column(name), row)
			if line, err = appendText(line, value); err != nil {
				return fmt.Errorf("column %s: %w", name, err)
			}
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// escapes of COPY's text format.
var escapes = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

// appendText turns a JSON value into one of COPY's text format.
func appendText(dst, value []byte) ([]byte, error) {
	switch {
	case string(value) == "null":
		return append(dst, `\N`...), nil
	case value[0] == '"':
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return dst, err
		}
		return append(dst, escapes.Replace(text)...), nil
	case value[0] == '[': // an array's elements are quoted as in JSON, where they hold nothing that needs more
		value[0], value[len(value)-1] = '{', '}'
		return append(dst, escapes.Replace(string(value))...), nil
	}
	return append(dst, value...), nil
}

// merge is what is written by hand: COPY into a temporary table, then one
// statement.
func merge(file string) string {
	var set, have, want []string
	for _, name := range columns() {
		if name != "key" {
			set = append(set, name+" = excluded."+name)
		}
	}
	for _, c := range rowType.Columns[1:] {
		have, want = append(have, "t."+c.Name), append(want, "excluded."+c.Name)
	}
	names := strings.Join(columns(), ", ")
	return fmt.Sprintf(`BEGIN;
CREATE TEMPORARY TABLE incoming (LIKE %[1]s) ON COMMIT DROP;
\copy incoming (%[2]s) FROM '%[3]s'
INSERT INTO %[1]s AS t (%[2]s) SELECT %[2]s FROM incoming
ON CONFLICT (key) DO UPDATE SET %[4]s WHERE (%[5]s) IS DISTINCT FROM (%[6]s);
COMMIT;
`, table, names, file, strings.Join(set, ", "), strings.Join(have, ", "), strings.Join(want, ", "))
}

// byHand loads the set's text file with psql.
func byHand(ctx context.Context, s *postgres.Server, database, file string) (f figures, err error) {
	begun := time.Now()
	_, err = s.SQL(ctx, database, merge(file))
	f.wall = time.Since(begun)
	return f, err
}

// content is what a table holds: two tables are equal when theirs is.
type content struct{ rows, prices, sum string }

func contentOf(ctx context.Context, s *postgres.Server, database string) (c content, err error) {
	text, err := s.SQL(ctx, database, fmt.Sprintf("SELECT count(*), sum(%s * 100)::bigint, sum(hashtextextended(concat_ws('|', %s), 0)) FROM %s",
		priceColumn, strings.Join(columns(), ", "), table))
	if err != nil {
		return c, err
	}
	fields := strings.Split(text, "|")
	if len(fields) != 3 {
		return c, fmt.Errorf("content of %s: got %q, want three values", table, text)
	}
	return content{fields[0], fields[1], fields[2]}, nil
}

// fill makes the databases that every case begins with: full, which holds the
// first set, and empty, the same without rows or marks.
func fill(ctx context.Context, s *postgres.Server, first input) error {
	if _, err := s.SQL(ctx, "postgres", "CREATE DATABASE filled"); err != nil {
		return err
	}
	if _, _, err := first.loaded(ctx, s.URL("filled")); err != nil {
		return err
	}
	if _, err := s.SQL(ctx, "filled", "VACUUM (FREEZE, ANALYZE)"); err != nil {
		return err
	}
	if err := branch(ctx, s, "filled", "emptied"); err != nil {
		return err
	}
	tables, err := s.SQL(ctx, "emptied", "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables WHERE schemaname = '"+jobName+
		"' AND tablename IN ('item', '_harrow_marks', '_harrow_rejects')")
	if err != nil {
		return err
	}
	_, err = s.SQL(ctx, "emptied", "TRUNCATE "+tables)
	return err
}

// branch copies a database, file by file.
func branch(ctx context.Context, s *postgres.Server, from, to string) error {
	_, err := s.SQL(ctx, "postgres", fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy;\nCHECKPOINT", to, from))
	return err
}
