package dedup

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// agedRow is a row with its age; type book unless another is given.
type agedRow struct {
	row
	age int
}

// kept sends what the first operator emits to the second.
type kept struct {
	t  *testing.T
	to harrow.Operator
	*output
}

func (k kept) Emit(table string, b harrow.Batch) error {
	if table != "records/book.between" || b.Table() != table {
		k.t.Errorf("table %s, by its schema %s", table, b.Table())
	}
	return k.to.Process(k.t.Context(), b, k.output)
}

// byAge sends rows, which are in order, through both operators.
func byAge(t *testing.T, keep string, rows ...agedRow) []string {
	t.Helper()
	op, out := newOp(t, Config{Record: "book", Key: []string{"upc"}, Keep: harrow.Keep{Policy: keep}, Columns: []string{"upc", "edition", "title", "price"}, Aged: true}), &output{}
	for _, r := range rows {
		b := batch(t, r.row)
		age(t, book, r.age, b, kept{t, op, out})
		b.Release()
	}
	if err := op.Finish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	return out.rows
}

func age(t *testing.T, into harrow.RecordType, n int, b harrow.Batch, out harrow.Output) {
	t.Helper()
	config, err := json.Marshal(agerConfig{into, n})
	if err != nil {
		t.Fatal(err)
	}
	ager, err := newAger(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := ager.Process(t.Context(), b, out); err != nil {
		t.Fatal(err)
	}
	if err := ager.Finish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
}

func TestARowOfNowStaysOnlyWhereNoOlderOneDoes(t *testing.T) {
	at := func(upc, url string, ordinal int64, age int, more ...any) agedRow {
		r := row{upc: upc, url: url, ordinal: ordinal}
		if len(more) > 0 {
			r.title = more[0]
		}
		return agedRow{r, age}
	}
	for _, c := range []struct {
		name, keep string
		rows       []agedRow
		want       []string
	}{
		{"an older one is first", harrow.KeepFirst, []agedRow{at("1", "/a", 0, 1), at("1", "/b", 0, 0), at("2", "/b", 1, 0)}, []string{"/b#1"}},
		{"an older one has more", harrow.KeepMostComplete, []agedRow{at("1", "/a", 0, 0), at("1", "/b", 0, 1, "x")}, nil},
		{"one of now is first", harrow.KeepFirst, []agedRow{at("1", "/a", 0, 0), at("1", "/b", 0, 1)}, []string{"/a#0"}},
		{"one of now has more", harrow.KeepMostComplete, []agedRow{at("1", "/a", 0, 1), at("1", "/b", 0, 0, "x")}, []string{"/b#0"}},
		{"the same row, made again", harrow.KeepFirst, []agedRow{at("1", "/a", 0, 0), at("1", "/a", 0, 1), at("1", "/a", 0, 2)}, []string{"/a#0"}},
		{"the same row had more", harrow.KeepMostComplete, []agedRow{at("1", "/a", 0, 0), at("1", "/a", 0, 1, "x"), at("1", "/a", 0, 2, "x")}, []string{"/a#0"}},
		{"behind another, the same row had more", harrow.KeepMostComplete, []agedRow{at("1", "/a", 0, 0), at("1", "/a", 1, 0), at("1", "/a", 1, 1, "x")}, []string{"/a#0"}},
		{"the same place has another key", harrow.KeepFirst, []agedRow{at("1", "/a", 0, 0), at("2", "/a", 0, 1), at("2", "/b", 0, 0)}, []string{"/a#0"}},
		{"nothing of now", harrow.KeepFirst, []agedRow{at("1", "/a", 0, 1), at("2", "/a", 1, 2)}, nil},
	} {
		if got := byAge(t, c.keep, c.rows...); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// typed keeps what an ager emits as JSON.
type typed struct{ rows []string }

func (o *typed) Emit(_ string, b harrow.Batch) error {
	for i := range b.Rows() {
		o.rows = append(o.rows, string(lakeio.AppendJSON(nil, b, i, []string{"upc", "pages", "_url", ageColumn})))
	}
	return nil
}

func (o *typed) Reject(harrow.Reject) error { return nil }

func TestOlderRowsBecomeOfTodaysType(t *testing.T) {
	text, number := harrow.Type{Kind: harrow.Text}, harrow.Type{Kind: harrow.Int}
	b := batch(t, row{upc: "1", title: "x", edition: int64(2), url: "/a"}, row{upc: "2", url: "/b"})
	defer b.Release()
	out := &typed{}
	age(t, harrow.RecordType{Name: "book", Columns: []harrow.Column{{Name: "upc", Type: text}, {Name: "pages", Type: number}}}, 3, b, out)
	if want := []string{`{"upc":"1","pages":null,"_url":"/a","_age":3}`, `{"upc":"2","pages":null,"_url":"/b","_age":3}`}; !slices.Equal(out.rows, want) {
		t.Errorf("got %v, want %v", out.rows, want)
	}
	out = &typed{}
	age(t, harrow.RecordType{Name: "book", Columns: []harrow.Column{{Name: "upc", Type: text}, {Name: "title", Type: number}}}, 1, b, out)
	if len(out.rows) != 1 { // the title of the other one is no number
		t.Errorf("got %v", out.rows)
	}
}
