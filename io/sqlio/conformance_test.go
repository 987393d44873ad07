package sqlio

import (
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/sinktest"
)

func TestTheSinkIsOne(t *testing.T) {
	sinktest.Run(t, func(tb testing.TB) sinktest.Store {
		env := harrow.SinkEnv{Job: "shop", Workspace: tb.TempDir()}
		return sinktest.Store{
			Open: func() (harrow.Sink, error) { return New(nil, env) },
			Rows: func(rt harrow.RecordType) ([]map[string]any, error) { return readRows(tb, env, rt) },
		}
	})
}

// readRows reads a table as another program would.
func readRows(tb testing.TB, env harrow.SinkEnv, rt harrow.RecordType) (list []map[string]any, err error) {
	path, err := Config{}.file(env)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	db, err := sql.Open("sqlite", dataSource(path, "ro", nil))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(tb.Context(), "SELECT * FROM "+quote(rt.Name))
	if err != nil && strings.Contains(err.Error(), "no such table") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values, to := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		row := map[string]any{}
		for i, name := range names {
			row[name] = values[i]
			if c, _ := rt.Column(name); c.Type.Kind == harrow.Bool && !c.Type.List && values[i] != nil {
				row[name] = values[i] == int64(1) || values[i] == true
			}
		}
		list = append(list, row)
	}
	return list, rows.Err()
}
