package lakeio

import (
	"context"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

func TestRowsComeBackFromTheirTables(t *testing.T) {
	t.Run("requests", func(t *testing.T) { roundTrip(t, Requests) })
	t.Run("deferred", func(t *testing.T) { roundTrip(t, DeferredRequests) })
	t.Run("captures", func(t *testing.T) { roundTrip(t, Captures) })
	t.Run("bodies", func(t *testing.T) { roundTrip(t, Bodies) })
	t.Run("exchanges", func(t *testing.T) { roundTrip(t, Exchanges) })
	t.Run("links", func(t *testing.T) { roundTrip(t, Links) })
	t.Run("rejects", func(t *testing.T) { roundTrip(t, Rejects) })
	t.Run("pages", func(t *testing.T) { roundTrip(t, Pages) })
	t.Run("parts", func(t *testing.T) { roundTrip(t, partsList) })
}

// roundTrip writes any rows in any batches to a part and reads them back.
func roundTrip[R any](t *testing.T, table *Table[R]) {
	s := openTemp(t)
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) R {
			var r R
			anyRow(t, reflect.ValueOf(&r).Elem())
			if q, ok := any(&r).(*harrow.Request); ok && table.Name() == "requests" {
				q.Reason = "" // only deferred has it
			}
			return r
		}), 0, 4).Draw(t, "rows")
		cuts := rapid.SliceOfN(rapid.Bool(), len(rows), len(rows)).Draw(t, "cuts")
		part := writeRows(t, s, "p.arrow", table, rows, cuts, LZ4) // zstd's encoders are slow to make
		if part.Table != table.Name() || part.Rows != int64(len(rows)) {
			t.Fatalf("%+v", part)
		}
		i := 0
		for got, err := range ReadRows(t.Context(), s, table, part) {
			if err != nil {
				t.Fatal(err)
			}
			want := rows[i]
			expected(reflect.ValueOf(&want).Elem())
			expected(reflect.ValueOf(&got).Elem()) // nil and empty are one
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("row %d:\n%+v, want\n%+v", i, got, want)
			}
			i++
		}
		if i != len(rows) {
			t.Fatalf("%d rows, want %d", i, len(rows))
		}
	})
}

type fatal interface {
	Context() context.Context
	Fatal(...any)
	Helper()
}

// writeRows writes a part, with the end of a batch after each row whose cut is
// true.
func writeRows[R any](t fatal, s Store, uri string, table *Table[R], rows []R, cuts []bool, codec Codec) harrow.Part {
	t.Helper()
	w, err := NewPart(t.Context(), s, uri, table.Schema(), codec)
	if err != nil {
		t.Fatal(err)
	}
	b := table.NewBuilder()
	defer b.Release()
	for i, r := range rows {
		b.Append(r)
		if i == len(rows)-1 || i < len(cuts) && cuts[i] {
			batch := b.Batch()
			err := w.Write(batch)
			batch.Release()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	part, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return part
}

// anyRow fills a row with any values a server could make us write.
func anyRow(t *rapid.T, row reflect.Value) {
	for i := range row.NumField() {
		name, f := row.Type().Field(i).Name, row.Field(i)
		if rapid.Bool().Draw(t, name+" is zero") {
			continue
		}
		switch v := f.Addr().Interface().(type) {
		case *harrow.ID:
			copy(v[:], rapid.SliceOfN(rapid.Byte(), len(v), len(v)).Draw(t, name))
		case *time.Time:
			*v = time.UnixMicro(rapid.Int64().Draw(t, name)).UTC()
		case *[]byte:
			*v = rapid.SliceOf(rapid.Byte()).Draw(t, name)
		case *[]harrow.Header:
			for range rapid.IntRange(0, 3).Draw(t, name) {
				*v = append(*v, harrow.Header{Name: anyText(t), Value: anyText(t)})
			}
		case *bool:
			*v = rapid.Bool().Draw(t, name)
		default:
			if f.Kind() == reflect.String {
				f.SetString(anyText(t))
			} else {
				f.SetInt(rapid.Int64().Draw(t, name))
			}
		}
	}
}

func anyText(t *rapid.T) string {
	if rapid.Bool().Draw(t, "is UTF-8") {
		return rapid.String().Draw(t, "text")
	}
	return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
}

// expected turns a row into what comes back: text is UTF-8, and there is no
// empty list.
func expected(row reflect.Value) {
	for i := range row.NumField() {
		f := row.Field(i)
		switch v := f.Addr().Interface().(type) {
		case *[]byte:
			if len(*v) == 0 {
				*v = nil
			}
		case *[]harrow.Header:
			if len(*v) == 0 {
				*v = nil
			}
			for j, h := range *v {
				(*v)[j] = harrow.Header{Name: strings.ToValidUTF8(h.Name, "\uFFFD"), Value: strings.ToValidUTF8(h.Value, "\uFFFD")}
			}
		default:
			if f.Kind() == reflect.String {
				f.SetString(strings.ToValidUTF8(f.String(), "\uFFFD"))
			}
		}
	}
}

func TestWhatIsUnsetIsNull(t *testing.T) {
	b := Captures.NewBuilder()
	defer b.Release()
	b.Append(harrow.Capture{})
	b.Append(harrow.Capture{ID: harrow.ID{1}, Parent: harrow.ID{2}, URL: "x", StartedAt: time.Unix(0, 0), Headers: []harrow.Header{{}}})
	batch := b.Batch()
	defer batch.Release()
	for _, name := range []string{"id", "parent", "url", "started_at", "headers"} {
		if c := batch.Column(name); !c.IsNull(0) || c.IsNull(1) {
			t.Errorf("%s: null in row 0: %t, in row 1: %t", name, c.IsNull(0), c.IsNull(1))
		}
	}
	for _, name := range []string{"depth", "status", "truncated", "body_row"} {
		if c := batch.Column(name); c.IsNull(0) {
			t.Errorf("%s is null, want zero", name)
		}
	}
}

func TestBuildersBeginAnewAfterABatch(t *testing.T) {
	b := Requests.NewBuilder()
	defer b.Release()
	for n := range 4 { // the second batch has the first one's room
		for i := range n * 3 {
			b.Append(harrow.Request{URL: strings.Repeat("u", i), Headers: []harrow.Header{{Name: "n", Value: "v"}}})
		}
		if b.Rows() != n*3 || (b.Bytes() > 0) != (n > 0) {
			t.Errorf("%d rows, %d bytes after %d rows", b.Rows(), b.Bytes(), n*3)
		}
		batch := b.Batch()
		for i, r := range Requests.Rows(batch) {
			if len(r.URL) != i || len(r.Headers) != 1 {
				t.Errorf("row %d: %+v", i, r)
			}
		}
		if batch.Rows() != n*3 || b.Rows() != 0 || b.Bytes() != 0 {
			t.Errorf("batch of %d, builder left with %d rows and %d bytes", batch.Rows(), b.Rows(), b.Bytes())
		}
		batch.Release()
	}
}

func TestBuildersSayWhenABatchIsFull(t *testing.T) {
	b := Bodies.NewBuilder()
	defer b.Release()
	chunk := make([]byte, ChunkBytes)
	for i := range 4 {
		if b.Full() {
			t.Fatalf("full after %d chunks of 4 MiB", i)
		}
		b.Append(harrow.Body{Body: chunk})
	}
	if !b.Full() {
		t.Error("not full after 16 MiB")
	}
	b.Batch().Release()
	for range BatchRows {
		if b.Full() {
			t.Fatal("full too early")
		}
		b.Append(harrow.Body{})
	}
	if !b.Full() {
		t.Errorf("not full after %d rows", BatchRows)
	}
}

func TestTableOfRefusesForeignSchemas(t *testing.T) {
	schema := func(kv ...string) *arrow.Schema {
		var keys, values []string
		for i := 0; i < len(kv); i += 2 {
			keys, values = append(keys, kv[i]), append(values, kv[i+1])
		}
		meta := arrow.NewMetadata(keys, values)
		return arrow.NewSchema(nil, &meta)
	}
	for want, s := range map[string]*arrow.Schema{
		"no harrow.table":     schema("x", "y"),
		`table "nonsense"`:    schema(metaTable, "nonsense", metaVersion, "1"),
		"want a number":       schema(metaTable, "captures", metaVersion, "new"),
		"has version 0":       schema(metaTable, "captures", metaVersion, "0"),
		"captures has vers":   schema(metaTable, "captures", metaVersion, "2"),
		"records/book has ve": schema(metaTable, "records/book", metaVersion, "2"),
	} {
		_, _, err := TableOf(s)
		wants(t, err, nil, want)
	}
	if name, version, err := TableOf(schema(metaTable, "records/book", metaVersion, "1")); name != "records/book" || version != 1 || err != nil {
		t.Error(name, version, err)
	}
}

var update = flag.Bool("update", false, "rewrite golden files")

// TestDocsListTheTables holds TABLES.md to what is written.
func TestDocsListTheTables(t *testing.T) {
	want := renderTables()
	if *update {
		check(t, os.WriteFile("TABLES.md", []byte(want), 0o666))
	}
	got, err := os.ReadFile("TABLES.md")
	check(t, err)
	if string(got) != want {
		t.Error("TABLES.md is not what Tables() says; run: go test ./io/lakeio -run Docs -update")
	}
	for _, table := range Tables() {
		for _, c := range table.Columns {
			if c.Doc == "" {
				t.Errorf("%s.%s has no documentation", table.Name, c.Name)
			}
		}
		if names := columnNames(table); len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
			t.Errorf("%s has a column twice", table.Name)
		}
	}
}

func columnNames(t TableInfo) (names []string) {
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return names
}

// provenanceDocs says what the columns of harrow.Provenance hold.
var provenanceDocs = map[string]string{
	"_id":         "of the request",
	"_url":        "the capture's url, not its final_url",
	"_ordinal":    "position among the capture's rows of this record, from 0",
	"_rule":       "the rule or extractor that made the row",
	"_digest":     "of the body",
	"_fetched_at": "when the capture's answer came",
	"_run":        "the run that parsed it",
}

func renderTables() string {
	var b strings.Builder
	b.WriteString(`# Tables

Written by ` + "`go test ./io/lakeio -run Docs -update`" + `; don't edit. Files are Arrow IPC files with
checksums: see "Formats" in [doc.go](doc.go). The schema of each has the metadata
` + "`harrow.table` and `harrow.version`" + `. Any column may hold nulls; a zero id, an empty text
and an unset time are null.
`)
	row := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	head := func(name string, version int) {
		fmt.Fprintf(&b, "\n## %s, version %d\n\n", name, version)
		row("column", "type", "holds")
		row("---", "---", "---")
	}
	for _, t := range Tables() {
		head(t.Name, t.Version)
		for _, c := range t.Columns {
			row(c.Name, "`"+c.Type+"`", c.Doc)
		}
	}
	head(RecordsPrefix+"NAME", recordsVersion)
	row("the record's columns", "by its type, see below", "the values of its fields")
	for _, c := range harrow.Provenance {
		row(c.Name, "`"+ArrowType(c.Type).String()+"`", provenanceDocs[c.Name])
	}
	b.WriteString("\n## Types of record columns\n\n")
	row("type", "in Arrow")
	row("---", "---")
	for _, k := range []harrow.Kind{harrow.Text, harrow.Int, harrow.Float, harrow.Bool, harrow.Decimal, harrow.Date, harrow.Timestamp} {
		typ := harrow.Type{Kind: k}
		if k == harrow.Decimal {
			typ = harrow.DefaultDecimal
		}
		row(typ.String(), "`"+ArrowType(typ).String()+"`")
		typ.List = true
		row(typ.String(), "`"+ArrowType(typ).String()+"`")
	}
	return b.String()
}
