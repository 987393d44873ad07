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
// text a row, by "sqlite <table>". Columns and tables whose name begins with
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
	names, err := texts(ctx, db, `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	tables := map[string][]string{}
	for _, name := range names {
		if strings.HasPrefix(name, "_") || strings.HasPrefix(name, "sqlite_") {
			continue
		}
		columns, err := texts(ctx, db, `SELECT name FROM pragma_table_info(?) ORDER BY name`, name)
		if err != nil {
			return nil, fmt.Errorf("%s: table %s: %w", file, name, err)
		}
		var data []string
		for _, c := range columns {
			if !strings.HasPrefix(c, "_") {
				data = append(data, `'`+strings.ReplaceAll(c, `'`, `''`)+`=' || quote(`+ident(c)+`)`)
			}
		}
		rows, err := texts(ctx, db, `SELECT `+strings.Join(data, ` || ' ' || `)+` FROM `+ident(name))
		if err != nil {
			return nil, fmt.Errorf("%s: table %s: %w", file, name, err)
		}
		slices.Sort(rows)
		tables["sqlite "+name] = rows
	}
	return tables, nil
}

func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// texts returns the only column of a query.
func texts(ctx context.Context, db *sql.DB, query string, args ...any) (list []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}
