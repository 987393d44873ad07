package stable

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"
)

// Postgres returns the data columns of every table of a PostgreSQL schema,
// sorted, one text a row, by "stored <table>": what [SQLite] returns of a
// database with the same rows. Columns and tables whose name begins with an
// underscore are provenance and marks: they are left out. A schema that is not
// there is an error.
func Postgres(ctx context.Context, url, schema string) (_ map[string][]string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	there := false
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)`, schema).Scan(&there); err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("schema %s: not there", schema)
	}
	rows, err := conn.Query(ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p')`, pgx.Identifier{schema}.Sanitize())
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", schema, err)
	}
	tables := map[string][]string{}
	for _, name := range names {
		if provenance(name) {
			continue
		}
		list, err := postgresRows(ctx, conn, pgx.Identifier{schema, name}.Sanitize())
		if err != nil {
			return nil, fmt.Errorf("schema %s: table %s: %w", schema, name, err)
		}
		slices.Sort(list)
		tables[storedPrefix+name] = list
	}
	return tables, nil
}

func postgresRows(ctx context.Context, conn *pgx.Conn, table string) (list []string, err error) {
	rows, err := conn.Query(ctx, `SELECT * FROM `+table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		row := map[string]any{}
		for i, f := range rows.FieldDescriptions() {
			if provenance(f.Name) {
				continue
			}
			if row[f.Name], err = postgresValue(f.DataTypeOID, values[i], rows.RawValues()[i]); err != nil {
				return nil, fmt.Errorf("column %s: %w", f.Name, err)
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

// elements are the types of an array's elements, where how a value is written
// depends on it.
var elements = map[uint32]uint32{pgtype.DateArrayOID: pgtype.DateOID}

// postgresValue is a value as line takes it; raw is it as the server sent it.
func postgresValue(oid uint32, v any, raw []byte) (any, error) {
	switch oid {
	case pgtype.JSONOID:
		if v == nil {
			return nil, nil
		}
		return decoded(string(raw))
	case pgtype.JSONBOID: // its binary form has a version in front
		if v == nil {
			return nil, nil
		}
		return decoded(strings.TrimPrefix(string(raw), "\x01"))
	}
	switch v := v.(type) {
	case nil, bool, string, int16, int32, int64:
		return v, nil
	case float32:
		return float(float64(v)), nil
	case float64:
		return float(v), nil
	case time.Time:
		if oid == pgtype.DateOID {
			return dateText(v), nil
		}
		return timestampText(v), nil
	case pgtype.Numeric:
		if v.NaN || v.InfinityModifier != pgtype.Finite {
			return nil, fmt.Errorf("a numeric that is no number: %v", v)
		}
		return decimalText(decimal.NewFromBigInt(v.Int, v.Exp)), nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = postgresValue(elements[oid], v[i], nil); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("a value of type %T (oid %d) is in no job's table", v, oid)
}
