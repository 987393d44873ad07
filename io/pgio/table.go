package pgio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harrowdata/harrow"
)

// kinds are what pg_class.relkind says of what is no plain table.
var kinds = map[string]string{
	"v": "view", "m": "materialised view", "f": "foreign table", "p": "partitioned table", "i": "index", "I": "index",
	"S": "sequence", "c": "type", "t": "TOAST table",
}

// missing compares a record with the stored table and returns the columns to
// add, and whether there is a table. A column of another type is an error.
func (c session) missing(ctx context.Context, t harrow.RecordType) (add []harrow.Column, there bool, err error) {
	var kind, user string
	var crashes, owns, writes bool
	err = c.conn.QueryRow(ctx, `SELECT c.relkind::text, c.relpersistence = 'u', current_user::text, pg_has_role(c.relowner, 'USAGE'), CASE WHEN c.relkind = 'r' THEN
		has_any_column_privilege(c.oid, 'SELECT') AND has_any_column_privilege(c.oid, 'INSERT') AND has_any_column_privilege(c.oid, 'UPDATE') ELSE true END
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, c.place.schema, t.Name).Scan(&kind, &crashes, &user, &owns, &writes)
	if errors.Is(err, pgx.ErrNoRows) {
		return t.AllColumns(), false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if what, ok := kinds[kind]; ok {
		return nil, true, final{fmt.Errorf("table %s: the schema has a %s of this name; expected a plain table or none", t.Name, what)}
	}
	switch {
	case crashes:
		return nil, true, final{fmt.Errorf("table %s is UNLOGGED: a crash of the server empties it; ALTER TABLE … SET LOGGED", t.Name)}
	case !writes:
		return nil, true, final{fmt.Errorf("table %s: role %s may not read, insert and update its rows", t.Name, user)}
	}
	stored, err := c.storedColumns(ctx, t.Name)
	if err != nil {
		return nil, true, err
	}
	var errs []error
	for _, col := range t.AllColumns() {
		have, ok := stored[col.Name]
		if !ok {
			add = append(add, col)
		} else if want := declared(col.Type); have != want {
			errs = append(errs, fmt.Errorf("table %s: column %s is stored as %s, the job's type is %s (%s)", t.Name, col.Name, have, col.Type, want))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, true, final{err}
	}
	if len(add) > 0 && !owns {
		return nil, true, final{fmt.Errorf("table %s lacks column %s, and role %s, which isn't its owner, may not add it", t.Name, add[0].Name, user)}
	}
	return add, true, nil
}

// storedColumns are the types of a table's columns.
func (c session) storedColumns(ctx context.Context, table string) (map[string]string, error) {
	rows, err := c.conn.Query(ctx, `SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped`, c.place.schema, table)
	if err != nil {
		return nil, err
	}
	stored := map[string]string{}
	var name, kind string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind}, func() error { stored[name] = kind; return nil })
	return stored, err
}

// wanted is what the loader wants of its table.
func (l *loader) wanted() string { return fmt.Sprint(l.shard.Record.Columns, l.shard.Key) }

// prepareTable makes the table and its key, or adds what they lack.
func (c session) prepareTable(ctx context.Context, t harrow.RecordType, key []string) error {
	add, there, err := c.missing(ctx, t)
	if err != nil {
		return err
	}
	if !there {
		defs := make([]string, len(add))
		for i, col := range add {
			defs[i] = quote(col.Name) + " " + declared(col.Type)
		}
		if err := c.exec(ctx, "CREATE TABLE "+c.place.table(t.Name)+" ("+strings.Join(defs, ", ")+")"); err != nil {
			return err
		}
	} else if len(add) > 0 {
		clauses := make([]string, len(add))
		for i, col := range add {
			clauses[i] = "ADD COLUMN " + quote(col.Name) + " " + declared(col.Type)
		}
		if err := c.exec(ctx, "ALTER TABLE "+c.place.table(t.Name)+" "+strings.Join(clauses, ", ")); err != nil {
			return err
		}
	}
	if err := c.describe(ctx, t, add, !there); err != nil {
		return err
	}
	return c.prepareKey(ctx, t.Name, key)
}

// uniques are the constraints of a table, and its plain unique indexes, that
// an upsert can go by: of whole columns, all rows, checked at once.
const uniques = `SELECT COALESCE(k.conname, '')::text, i.indisprimary,
	(SELECT array_agg(a.attname::text ORDER BY p.at) FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS p(num, at)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = p.num WHERE p.at <= i.indnkeyatts) AS columns
	FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u') AND k.conrelid = c.oid
	WHERE n.nspname = $1 AND c.relname = $2 AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL`

// prepareKey makes the key. When the job's key changed it is made anew, which
// the rows stored under the old one must bear.
func (c session) prepareKey(ctx context.Context, table string, key []string) error {
	ours := derived("key", table)
	rows, err := c.conn.Query(ctx, uniques, c.place.schema, table)
	if err != nil {
		return err
	}
	var name string
	var primary, found, others bool // others: somebody else's primary key
	var columns, old []string
	_, err = pgx.ForEachRow(rows, []any{&name, &primary, &columns}, func() error {
		switch {
		case same(columns, key):
			found = true
		case name == ours:
			old = slices.Clone(columns)
		case primary:
			others = true
		}
		return nil
	})
	if err != nil || found && old == nil {
		return err
	}
	return c.changeKey(ctx, table, key, old, found, others)
}

// changeKey drops the old key, and makes the new one unless something else
// sees to it.
func (c session) changeKey(ctx context.Context, table string, key, old []string, there, othersPrimary bool) error {
	var clauses []string
	if old != nil {
		clauses = append(clauses, "DROP CONSTRAINT "+quote(derived("key", table)))
		for _, name := range old {
			if !othersPrimary && !slices.Contains(key, name) {
				clauses = append(clauses, "ALTER COLUMN "+quote(name)+" DROP NOT NULL")
			}
		}
	}
	kind := "PRIMARY KEY"
	if othersPrimary {
		kind = "UNIQUE"
	}
	if !there {
		clauses = append(clauses, "ADD CONSTRAINT "+quote(derived("key", table))+" "+kind+" ("+quoteAll(key)+")")
	}
	err := c.exec(ctx, "ALTER TABLE "+c.place.table(table)+" "+strings.Join(clauses, ", "))
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		switch e.Code {
		case "23505":
			return final{fmt.Errorf("table %s: the job's key is (%s), but several stored rows have the same: %s: %w", table, strings.Join(key, ", "), e.Detail, err)}
		case "23502":
			return final{fmt.Errorf("table %s: the job's key is (%s), but stored rows have a null in it: %w", table, strings.Join(key, ", "), err)}
		}
	}
	return err
}

// same compares two sets of names.
func same(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(n string) bool { return !slices.Contains(b, n) })
}
