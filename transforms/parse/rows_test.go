package parse

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/rules"
)

// salesConfig is of rules that read the same data file, each for itself.
func salesConfig(records ...string) Config {
	c := Config{Run: "run-1", Limits: rules.Limits{Document: 64}}
	for _, record := range records {
		rule := harrow.Rule{Record: record, Rows: harrow.Rows{Format: harrow.RowsCSV}, Fields: harrow.Fields{
			{Name: "id", Field: harrow.Field{Column: "id", Type: "int"}},
			{Name: "name", Field: harrow.Field{Column: "name"}},
		}}
		c.Rules = append(c.Rules, rule)
		c.Types = append(c.Types, harrow.RecordType{Name: record, Columns: []harrow.Column{
			{Name: "id", Type: harrow.Type{Kind: harrow.Int}}, {Name: "name", Type: harrow.Type{Kind: harrow.Text}}}})
	}
	return c
}

// chunks cuts a text into rows of the table bodies.
func chunks(text string, size int) (rows []harrow.Body) {
	for len(text) > size {
		rows = append(rows, body(text[:size]))
		text = text[size:]
	}
	return append(rows, body(text))
}

func TestDataFilesStreamWhateverTheLimitOfDocuments(t *testing.T) {
	text := "id,name\n1,one\n\"2\",\"t\nwo\"\nx,bad\n4,four\n5,five,bad\n6,six\n7," + strings.Repeat("seven ", 20) + "\n8,eight\n"
	for size := 1; size < len(text); size++ { // rows are cut anywhere
		rows := chunks(text, size)
		o, out := made(t, salesConfig("sale", "copy")), &outcome{}
		in := batchOf(capture(1, 0, int64(len(rows)), len(text)))
		if err := errors.Join(o.ProcessBeside(t.Context(), in, &shelf{rows: rows}, out), o.Finish(t.Context(), out)); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i, record := range []string{"sale", "copy"} {
			for _, row := range []struct {
				ordinal  int
				id, name string
			}{{0, "1", "one"}, {1, "2", "t wo"}, {3, "4", "four"}, {5, "6", "six"}, {7, "8", "eight"}} {
				want = append(want, fmt.Sprintf("records/%s id=%s name=%s _url=http://books.example/1 _ordinal=%d _rule=%s#%d _digest=d _run=run-1",
					record, row.id, row.name, row.ordinal, record, i+1))
			}
		}
		var codes []string
		for _, r := range out.rejects {
			codes = append(codes, r.Record+" "+r.Code)
		}
		wantCodes := []string{"sale type", "sale row", "sale row_size", "copy type", "copy row", "copy row_size"}
		if !slices.Equal(out.rows, want) || !slices.Equal(codes, wantCodes) {
			t.Fatalf("in rows of %d bytes: got %q\n%q", size, out.rows, codes)
		}
	}
}

func TestRowsOfADataFileLeaveAsBatchesFill(t *testing.T) {
	text := "id,name\n" + strings.Repeat("1,x\n", 10_000)
	o, out := made(t, salesConfig("sale")), &outcome{}
	rows := chunks(text, 1000)
	if err := o.ProcessBeside(t.Context(), batchOf(capture(1, 0, int64(len(rows)), len(text))), &shelf{rows: rows}, out); err != nil {
		t.Fatal(err)
	}
	if want := "records/sale 4096"; !slices.Equal(out.batches, []string{want, want}) {
		t.Errorf("before the end: %q", out.batches)
	}
}

func TestADataFileThatCanNotBeReadBackIsAnErrorNotAReject(t *testing.T) {
	text := "id,name\n" + strings.Repeat("1,x\n", 100)
	rows := chunks(text, 100)
	for fail := int64(1); fail <= int64(len(rows)); fail++ {
		o, out := made(t, salesConfig("sale")), &outcome{}
		err := o.ProcessBeside(t.Context(), batchOf(capture(1, 0, int64(len(rows)), len(text))), &shelf{rows: rows, fail: fail}, out)
		if err == nil || !strings.Contains(err.Error(), "disk") || len(out.rejects) > 0 {
			t.Errorf("row %d: %v, rejects %+v", fail, err, out.rejects)
		}
	}
}
