package stable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // driver sqlite
)

// SQLite returns the data columns of every table of a database, sorted, one
// text a row, by "stored <table>". Columns and tables whose name begins with
// an underscore are provenance and marks: they are left out.
func SQLite(ctx context.Context, file string) (_ map[string][]string, err error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err // opening it would make it
	}
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	names, err := tableNames(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	tables := map[string][]string{}
	for _, name := range names {
		if provenance(name) || strings.HasPrefix(name, "sqlite_") {
			continue
		}
		rows, err := sqliteRows(ctx, db, name)
		if err != nil {
			return nil, fmt.Errorf("%s: table %s: %w", file, name, err)
		}
		slices.Sort(rows)
		tables[storedPrefix+name] = rows
	}
	return tables, nil
}

func tableNames(ctx context.Context, db *sql.DB) (list []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table'`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, rows.Err()
}

func sqliteRows(ctx context.Context, db *sql.DB, table string) (list []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT * FROM "`+strings.ReplaceAll(table, `"`, `""`)+`"`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	values, places := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		places[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		row := map[string]any{}
		for i, c := range columns {
			if provenance(c.Name()) {
				continue
			}
			if row[c.Name()], err = sqliteValue(c.DatabaseTypeName(), values[i]); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.Name(), err)
			}
		}
		text, err := line(row)
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

// sqliteValue is a value as line takes it: what SQLite has no type for is text
// in the form that lines have it in, but for lists.
func sqliteValue(declared string, v any) (any, error) {
	switch v := v.(type) {
	case float64:
		return float(v), nil
	case int64:
		if declared == "BOOLEAN" {
			return v != 0, nil
		}
	case string:
		if strings.HasPrefix(declared, "JSON") {
			return decoded(v)
		}
	}
	return v, nil
}
