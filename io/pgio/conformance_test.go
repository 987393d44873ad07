package pgio

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/sinktest"
)

func TestTheSinkIsOne(t *testing.T) {
	sinktest.Run(t, func(tb testing.TB) sinktest.Store {
		c := home(tb)
		return sinktest.Store{
			Open: func() (harrow.Sink, error) { return open(c, "shop") },
			Rows: func(rt harrow.RecordType) ([]map[string]any, error) { return readRows(tb, c, rt) },
		}
	})
}

// readRows reads a table as another program would: as JSON.
func readRows(tb testing.TB, config Config, rt harrow.RecordType) (list []map[string]any, err error) {
	ctx := tb.Context()
	c, err := pgx.Connect(ctx, config.URL)
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "SET extra_float_digits = 1; SET timezone = 'UTC'"); err != nil {
		return nil, err
	}
	var columns []string
	for _, col := range rt.AllColumns() {
		value := quote(col.Name)
		switch {
		case col.Type.Kind == harrow.Timestamp && col.Type.List:
			value = fmt.Sprintf(`(SELECT array_agg(to_char(v, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) FROM unnest(%s) v)`, value)
			value = fmt.Sprintf("CASE WHEN %s = '{}' THEN '{}' ELSE %s END", quote(col.Name), value)
		case col.Type.Kind == harrow.Timestamp:
			value = fmt.Sprintf(`to_char(%s, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`, value)
		case col.Type.Kind == harrow.Decimal && col.Type.List:
			value += "::text[]"
		case col.Type.Kind == harrow.Decimal:
			value += "::text"
		}
		columns = append(columns, "to_json("+value+")::text")
	}
	rows, err := c.Query(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+quote(config.Schema)+"."+quote(rt.Name))
	if err != nil && strings.Contains(err.Error(), "42P01") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		texts := make([]*string, len(columns))
		to := make([]any, len(columns))
		for i := range texts {
			to[i] = &texts[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		row := map[string]any{}
		for i, col := range rt.AllColumns() {
			if texts[i] == nil {
				continue
			}
			if col.Type.List {
				row[col.Name] = *texts[i]
				continue
			}
			d := json.NewDecoder(strings.NewReader(*texts[i]))
			d.UseNumber()
			var v any
			if err := d.Decode(&v); err != nil {
				return nil, err
			}
			row[col.Name] = v
		}
		list = append(list, row)
	}
	return list, rows.Err()
}
