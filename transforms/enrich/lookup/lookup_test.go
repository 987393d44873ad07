package lookup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/refine"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
)

// table reads a CSV file for records that are joined by their text column
// code.
func table(t *testing.T, text string, only ...string) (*lookup.Table, *refine.Enrichment, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.csv")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	columns, err := lookup.Columns(t.Context(), path, "f.csv")
	if err != nil {
		t.Fatal(err)
	}
	record := harrow.RecordType{Name: "item", Columns: []harrow.Column{{Name: "code", Type: harrow.Type{Kind: harrow.Text}}}}
	e, problems := refine.Enrich(harrow.Enrich{Lookup: harrow.Lookup{File: "f.csv", Join: map[string]string{"code": "id"}},
		Add: harrow.Additions{{Name: "word", Expr: "name"}}}, record, columns)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var take func([]byte) bool
	if only != nil {
		wanted := map[string]bool{}
		for _, k := range only {
			wanted[string(key(t, k))] = true
		}
		take = func(k []byte) bool { return wanted[string(k)] }
	}
	tab, err := lookup.LoadLocal(t.Context(), path, "f.csv", e, take)
	return tab, e, err
}

func key(t *testing.T, text string) []byte {
	t.Helper()
	k, ok := lookup.RowKey(nil, []*expr.Vector{{Kind: expr.Text, Rows: 1, Texts: []string{text}}}, 0)
	if !ok {
		t.Fatalf("%q is no key", text)
	}
	return k
}

func TestATableHasTheRowsThatAreAskedFor(t *testing.T) {
	var many strings.Builder
	many.WriteString("id,name\n")
	for i := range 10_000 { // more than a chunk
		fmt.Fprintf(&many, "%d,n%d\n", i, i)
	}
	for _, c := range []struct {
		name, file string
		only       []string // nil: all
		ask        string
		want       string // the columns name of the rows asked for
	}{
		{"all", "id,name\na,one\nb,two\n,nobody\n", nil, "b a x", `"two" "one" null`},
		{"some", "id,name\na,one\nb,two\n,nobody\n", []string{"b"}, "b a x", `"two" null null`},
		{"of several chunks", many.String(), []string{"9999", "3", "5000"}, "3 9999 5000 4", `"n3" "n9999" "n5000" null`},
		{"none of it", "id,name\na,one\n", []string{"x"}, "a x", `null null`},
		{"no rows", "id,name\n", nil, "a", `null`},
		{"a key that nobody asks for comes twice", "id,name\na,one\nb,two\nb,three\n", []string{"a"}, "a", `"one"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, e, err := table(t, c.file, c.only...)
			if err != nil {
				t.Fatal(err)
			}
			var rows []int32
			for k := range strings.FieldsSeq(c.ask) {
				rows = append(rows, tab.Find(key(t, k)))
			}
			v := tab.Column(1, rows)
			var got []string
			for i := range rows {
				if v.IsNull(i) {
					got = append(got, "null")
				} else {
					got = append(got, fmt.Sprintf("%q", v.Show(i)))
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("%s, want %s", s, c.want)
			}
			if e.File[1].Name != "name" {
				t.Fatal(e.File)
			}
		})
	}
	if _, _, err := table(t, "id,name\nb,two\nb,three\n"); err == nil || !strings.Contains(err.Error(), `f.csv: "b" comes twice`) {
		t.Errorf("%v", err)
	}
}
