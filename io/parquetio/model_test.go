package parquetio

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/sqlio"
)

// drawValue draws a value of a type, or null. SQLite has no NUL in texts and
// no NaN: what differs by design is not drawn.
func drawValue(rt *rapid.T, c harrow.Column) any {
	if rapid.IntRange(0, 5).Draw(rt, c.Name+" null") == 0 {
		return nil
	}
	if c.Type.List {
		return drawList(rt, c)
	}
	switch c.Type.Kind {
	case harrow.Int:
		return rapid.Int64().Draw(rt, c.Name)
	case harrow.Float:
		return rapid.Float64().Draw(rt, c.Name)
	case harrow.Bool:
		return rapid.Bool().Draw(rt, c.Name)
	case harrow.Decimal:
		digits := rapid.StringMatching(fmt.Sprintf("-?[0-9]{1,%d}", c.Type.Precision)).Draw(rt, c.Name)
		return decimal.RequireFromString(digits + fmt.Sprintf("e-%d", c.Type.Scale))
	case harrow.Date:
		return date(1, 1, 1).AddDate(0, 0, rapid.IntRange(0, 3652058).Draw(rt, c.Name))
	case harrow.Timestamp:
		return time.UnixMicro(rapid.Int64Range(date(1, 1, 1).UnixMicro(), date(10000, 1, 1).UnixMicro()-1).Draw(rt, c.Name)).UTC()
	}
	return strings.ReplaceAll(rapid.String().Draw(rt, c.Name), "\x00", "")
}

func drawList(rt *rapid.T, c harrow.Column) any {
	element := harrow.Column{Name: c.Name, Type: c.Type.Element()}
	var list []any
	for range rapid.IntRange(0, 3).Draw(rt, c.Name+" length") {
		if v := drawValue(rt, element); v != nil {
			list = append(list, v)
		}
	}
	switch c.Type.Kind {
	case harrow.Int:
		return typed[int64](list)
	case harrow.Float:
		return typed[float64](list)
	case harrow.Bool:
		return typed[bool](list)
	case harrow.Decimal:
		return typed[decimal.Decimal](list)
	case harrow.Date, harrow.Timestamp:
		return typed[time.Time](list)
	}
	return typed[string](list)
}

func typed[T any](list []any) []T {
	out := []T{}
	for _, v := range list {
		out = append(out, v.(T))
	}
	return out
}

// Whatever rows a job has: what Parquet's readers find is what SQLite got.
func TestReadersFindWhatSQLiteGot(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about other programs")
	}
	dir := t.TempDir()
	s := newSink(t, filepath.Join(dir, "out"))
	db, err := sqlio.New(nil, harrow.SinkEnv{Job: "shop", Workspace: dir})
	check(t, err)
	defer func() { check(t, db.Close()) }()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		id := fmt.Sprintf("0190e000-0000-7000-8000-%012d", run)
		data := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) []any {
			values := make([]any, len(all.Columns))
			for i, c := range all.Columns {
				values[i] = drawValue(rt, c)
			}
			return values
		}), 1, 5).Draw(rt, "rows")
		shard := shardOf(t, all, id, data...)
		shard.Key = []string{"_run", "_ordinal"}
		load(t, s, shard, added(int64(len(data))))
		n, err := db.Load(t.Context(), shard)
		check(t, err)
		if n != added(int64(len(data))) {
			rt.Errorf("SQLite counts %+v", n)
		}
		check(t, publish(t.Context(), s, id, map[string]harrow.Counts{"all": n}))
		got := rows(t, filepath.Join(dir, "out", "all", "run="+id))
		for i := range got {
			got[i] = normal(t, got[i])
		}
		slices.Sort(got)
		if want := stored(t, filepath.Join(dir, "shop", "shop.db"), id); !slices.Equal(got, want) {
			rt.Fatalf("\n got %s\nwant %s", got, want)
		}
	})
	want := stored(t, filepath.Join(dir, "shop", "shop.db"), "%")
	for _, reader := range []string{"pyarrow", "polars", "duckdb"} {
		t.Run(reader, func(t *testing.T) {
			var got reading
			python(t, reader, &got, "parquet_"+reader+".py", filepath.Join(dir, "out", "all"), run1)
			list := make([]string, len(got.Rows))
			for i, r := range got.Rows {
				list[i] = normal(t, r)
			}
			slices.Sort(list)
			same(t, "rows", list, want)
		})
	}
}

// stored reads rows of table all, of runs like a pattern.
func stored(t testing.TB, file, run string) (list []string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	check(t, err)
	defer db.Close()
	columns := all.AllColumns()
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = `"` + c.Name + `"`
	}
	rows, err := db.QueryContext(t.Context(), "SELECT "+strings.Join(names, ", ")+` FROM "all" WHERE _run LIKE ?`, run)
	check(t, err)
	defer rows.Close()
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		check(t, rows.Scan(to...))
		for i, c := range columns {
			if v, ok := values[i].(string); ok && c.Type.List {
				values[i] = json.RawMessage(v)
			}
			if v, ok := values[i].(int64); ok && c.Type.Kind == harrow.Bool {
				values[i] = v == 1
			}
		}
		data, err := json.Marshal(values)
		check(t, err)
		list = append(list, normal(t, string(data)))
	}
	check(t, rows.Err())
	slices.Sort(list)
	return list
}

// normal brings a row, an object or an array of all columns in JSON, into one
// form, whoever wrote its floats.
func normal(t testing.TB, row string) string {
	t.Helper()
	columns := all.AllColumns()
	var values []any
	var byName map[string]any
	d := json.NewDecoder(strings.NewReader(row))
	d.UseNumber()
	if strings.HasPrefix(row, "{") {
		check(t, d.Decode(&byName))
		for _, c := range columns {
			values = append(values, byName[c.Name])
		}
	} else {
		check(t, d.Decode(&values))
	}
	for i, c := range columns {
		values[i] = number(t, c.Type, values[i])
	}
	data, err := json.Marshal(values)
	check(t, err)
	return string(data)
}

func number(t testing.TB, ct harrow.Type, v any) any {
	t.Helper()
	if list, ok := v.([]any); ok {
		for i := range list {
			list[i] = number(t, ct, list[i])
		}
	} else if v != nil && ct.Kind == harrow.Float {
		f, err := strconv.ParseFloat(fmt.Sprint(v), 64) // of Python's float.hex too
		check(t, err)
		return f + 0 // SQLite has no -0
	}
	return v
}
