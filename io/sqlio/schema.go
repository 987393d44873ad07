package sqlio

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
)

// reserved begins the names of what is the sink's own.
const reserved = "_harrow"

// declared is the type a column is declared with. All that hold text contain
// "TEXT", which gives the column TEXT affinity: SQLite leaves it as it is.
func declared(t harrow.Type) string {
	if t.List {
		return declaredList(t)
	}
	switch t.Kind {
	case harrow.Int:
		return "INTEGER"
	case harrow.Float:
		return "REAL"
	case harrow.Bool:
		return "BOOLEAN"
	case harrow.Decimal:
		return fmt.Sprintf("DECIMAL_TEXT(%d,%d)", t.Precision, t.Scale)
	case harrow.Date:
		return "DATE_TEXT"
	case harrow.Timestamp:
		return "TIMESTAMP_TEXT"
	}
	return "TEXT"
}

// declaredList is the type of a column that holds JSON arrays. The letters INT
// anywhere would make its affinity INTEGER.
func declaredList(t harrow.Type) string {
	switch t.Kind {
	case harrow.Int:
		return "JSON_WHOLE_TEXT"
	case harrow.Float, harrow.Bool:
		return "JSON_" + declared(t.Element()) + "_TEXT"
	case harrow.Decimal, harrow.Date, harrow.Timestamp:
		return "JSON_" + declared(t.Element())
	}
	return "JSON_TEXT"
}

// quote makes an identifier of any name that checkName lets through.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteAll(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = quote(n)
	}
	return strings.Join(list, ", ")
}

// lower folds a name as SQLite does: ASCII only.
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("sqlite: a %s without a name", what)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("sqlite: %s %q: a name can't hold NUL", what, name)
	case strings.HasPrefix(lower(name), reserved), strings.HasPrefix(lower(name), "sqlite_"):
		return fmt.Errorf("sqlite: %s %q: names that begin with %s or sqlite_ are reserved", what, name, reserved)
	}
	return nil
}

// checkNames finds names that can't be tables or columns, or that are one name
// to SQLite, which doesn't tell upper from lower case.
func checkNames(types []harrow.RecordType) error {
	var errs []error
	tables := map[string]string{}
	for _, t := range types {
		errs = append(errs, checkName("table", t.Name))
		if other, dup := tables[lower(t.Name)]; dup {
			errs = append(errs, fmt.Errorf("sqlite: records %q and %q would be one table: SQLite ignores case", other, t.Name))
		}
		tables[lower(t.Name)] = t.Name
		columns := map[string]string{}
		for _, c := range t.AllColumns() {
			errs = append(errs, checkName("column", c.Name))
			if other, dup := columns[lower(c.Name)]; dup {
				errs = append(errs, fmt.Errorf("sqlite: record %q: %q and %q would be one column: SQLite ignores case", t.Name, other, c.Name))
			}
			columns[lower(c.Name)] = c.Name
		}
	}
	return errors.Join(errs...)
}

// missing compares a record with the stored table and returns the columns to
// add. A column of another type is an error; no table at all misses all.
func (c session) missing(t harrow.RecordType) ([]harrow.Column, error) {
	kind := ""
	err := c.query(func(row []driver.Value) error { kind, _ = row[0].(string); return nil },
		`SELECT type FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'`, t.Name)
	if err != nil {
		return nil, err
	}
	if kind != "" && kind != "table" {
		return nil, fmt.Errorf("table %s: the file has a %s of this name", t.Name, kind)
	}
	stored := map[string]string{}
	err = c.query(func(row []driver.Value) error {
		name, _ := row[0].(string)
		stored[lower(name)], _ = row[1].(string)
		return nil
	}, `SELECT name, type FROM pragma_table_xinfo(?1, 'main')`, t.Name)
	if err != nil {
		return nil, err
	}
	var add []harrow.Column
	var errs []error
	for _, col := range t.AllColumns() {
		have, ok := stored[lower(col.Name)]
		if !ok {
			add = append(add, col)
		} else if want := declared(col.Type); !strings.EqualFold(strings.ReplaceAll(have, " ", ""), want) {
			errs = append(errs, fmt.Errorf("table %s: column %s is stored as %s, the job's type is %s (%s)", t.Name, col.Name, have, col.Type, want))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return add, &harrow.ConfigError{Err: err}
	}
	return add, nil
}

// prepareTable makes the table and its key, or adds what they lack.
func (c session) prepareTable(t harrow.RecordType, key []string) error {
	add, err := c.missing(t)
	if err != nil {
		return err
	}
	if all := t.AllColumns(); len(add) == len(all) {
		defs := make([]string, len(all))
		for i, col := range all {
			defs[i] = quote(col.Name) + " " + declared(col.Type)
		}
		// It may be there and share no column with the record.
		if err := c.exec("CREATE TABLE IF NOT EXISTS main." + quote(t.Name) + " (" + strings.Join(defs, ", ") + ")"); err != nil {
			return err
		}
		if add, err = c.missing(t); err != nil {
			return err
		}
	}
	for _, col := range add {
		if err := c.exec("ALTER TABLE main." + quote(t.Name) + " ADD COLUMN " + quote(col.Name) + " " + declared(col.Type)); err != nil {
			return err
		}
	}
	return c.prepareKey(t.Name, key)
}

// prepareKey makes the unique index on the key. When the job's key changed the
// index is made anew, which the rows stored under the old one must bear.
func (c session) prepareKey(table string, key []string) error {
	index := reserved + "_key_" + table
	var have []string
	err := c.query(func(row []driver.Value) error {
		name, _ := row[0].(string)
		have = append(have, lower(name))
		return nil
	}, `SELECT name FROM pragma_index_info(?1, 'main') ORDER BY seqno`, index)
	if err != nil {
		return err
	}
	if slices.EqualFunc(have, key, func(a, b string) bool { return a == lower(b) }) {
		return nil
	}
	if err := c.exec("DROP INDEX IF EXISTS main." + quote(index)); err != nil {
		return err
	}
	err = c.exec("CREATE UNIQUE INDEX main." + quote(index) + " ON " + quote(table) + " (" + quoteAll(key) + ")")
	if refusal(err) {
		return fmt.Errorf("table %s: the job's key is (%s), but several stored rows have the same: %w", table, strings.Join(key, ", "), err)
	}
	return err
}
