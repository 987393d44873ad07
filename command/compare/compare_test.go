package compare_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/compare"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

const bookColumns = "upc:text title:text price_amount:decimal tags:list seen:timestamp"

func price(s string) any {
	if s == "" {
		return nil
	}
	return decimal.RequireFromString(s)
}

func bookRow(upc, title, amount string, page byte) row {
	return row{[]any{upc, title, price(amount), []string{"a", "b"}, begun}, page, 0}
}

// shops are two runs in which a rule for titles and one for prices changed.
func shops(t testing.TB) (s *shelf, a, b lakeio.Lake) {
	s = newShelf(t)
	a, b = s.run([]string{"upc"}), s.run([]string{"upc"})
	other := bookRow("4", "Four", "4", 4)
	other.values[3], other.values[4] = nil, begun.Add(time.Microsecond)
	s.commit(a, "refine", s.part(a, "refine", "book", bookColumns,
		bookRow("2", " Two", "2.50", 2), bookRow("1", "One", "", 1), bookRow("5", "Five", "5", 5), bookRow("4", "Four", "4", 4), bookRow("3", "Three", "3", 3)),
		s.rejects(a, "refine", harrow.Reject{Class: harrow.DataFault, Code: "required", Record: "book", Field: "title"}))
	s.commit(b, "refine", s.part(b, "refine", "book", bookColumns, bookRow("1", "One", "1.00", 1), other, bookRow("6", "Six\x1b[31m", "6", 6)),
		s.part(b, "refine", "book", bookColumns, bookRow("2", "Two", "2.5", 2), bookRow("3", "Three", "3", 3)),
		s.rejects(b, "refine", harrow.Reject{Class: harrow.DataFault, Code: "required", Record: "book", Field: "title"},
			harrow.Reject{Class: harrow.DataFault, Code: "required", Record: "book", Field: "title"}))
	return s, a, b
}

const shopText = `job shop, records of refine
  first   run 0198c0de-0000-7000-8000-000000000001, done, begun 2026-03-01 12:00:00Z
  second  run 0198c0de-0000-7000-8000-000000000002, done, begun 2026-03-01 12:00:00Z
record  first  second  equal  changed  removed  added  matched by
book        5       5      1        3        1      1  upc
book: rows that differ in price_amount 1, seen 1, tags 1, title 1
rejects that are not as many in both:
  stage   class  code      record  field  first  second
  refine  data   required  book    title      1       2
`

const shopRows = `
book
~ upc="1"  http://books.example/001
    price_amount  null → 1
~ upc="2"  http://books.example/002
    title  " Two" → "Two"
~ upc="4"  http://books.example/004
    tags  ["a","b"] → null
    seen  2026-03-01T12:00:00.000000Z → 2026-03-01T12:00:00.000001Z
- upc="5"  http://books.example/005
+ upc="6"  http://books.example/006
`

func TestDiffIsReadByPeople(t *testing.T) {
	s, a, b := shops(t)
	if got, sum := s.must(a, b, compare.Query{}, view.Text); got != shopText+shopRows || !sum.Differ {
		t.Errorf("got\n%s", got)
	}
	if got, _ := s.must(a, b, compare.Query{Summary: true}, view.Text); got != shopText {
		t.Errorf("got\n%s", got)
	}
	got, _ := s.must(a, b, compare.Query{Limit: 1, Fields: []string{"title"}}, view.Text)
	if !strings.Contains(got, "      3        1        1      1  upc\nbook: rows that differ in title 1\n") || !strings.HasSuffix(got, "Two\"\n  … and 2 more; --limit 0 shows all\n") {
		t.Errorf("got\n%s", got)
	}
	if got, sum := s.must(a, a, compare.Query{}, view.Text); !strings.HasSuffix(got, "upc\nno difference\n") || sum.Differ || strings.Contains(got, "rejects") {
		t.Errorf("got\n%s", got)
	}
}

func TestDiffOnATerminalIsColouredAndFits(t *testing.T) {
	s, a, b := shops(t)
	long := strings.Repeat("the same ", 20)
	c := s.run([]string{"upc"})
	d := s.run([]string{"upc"})
	s.commit(c, "refine", s.part(c, "refine", "book", bookColumns, bookRow("1", long+"one", "1", 1)))
	s.commit(d, "refine", s.part(d, "refine", "book", bookColumns, bookRow("1", long+"two "+long, "1", 1)))
	got, _, err := s.diff(c, d, compare.Query{}, view.Output{Terminal: true, Width: 50}, true)
	check(t, err)
	if !strings.HasSuffix(got, "    title  \x1b[31m…he same one\"\x1b[0m → \x1b[32m…he same two the same …\x1b[0m\n") {
		t.Errorf("got\n%q", got)
	}
	got, _, err = s.diff(a, b, compare.Query{}, view.Output{Terminal: true, Width: 30}, true)
	check(t, err)
	if !strings.Contains(got, "\x1b[1mbook\x1b[0m\n") || !strings.Contains(got, "\x1b[31m- upc=\"5\"  http://books.examp…\x1b[0m\n") || !strings.Contains(got, "\x1b[32m+ upc=\"6\"") {
		t.Errorf("got\n%q", got)
	}
	for _, f := range []view.Format{view.Text, view.JSON, view.CSV} {
		got, _, err := s.diff(a, b, compare.Query{}, view.Output{Format: f, Terminal: true, Width: 80}, false)
		check(t, err)
		if strings.Contains(got, "\x1b") {
			t.Errorf("a terminal is sent an escape: %q", got)
		}
	}
}

func TestDiffAsJSON(t *testing.T) {
	s, a, b := shops(t)
	got, _ := s.must(a, b, compare.Query{}, view.JSON)
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	var first struct{ Summary compare.Summary }
	check(t, json.Unmarshal([]byte(lines[0]), &first))
	if r := first.Summary.Records[0]; !first.Summary.Differ || first.Summary.Stage != "refine" || r.Equal != 1 || r.Changed != 3 || r.Fields["title"] != 1 ||
		first.Summary.First.Run != a.Run || first.Summary.Rejects[0].Second != 2 {
		t.Errorf("%+v", first)
	}
	want := []string{
		`{"change":"changed","record":"book","key":{"upc":"1"},"url":"http://books.example/001","fields":{"price_amount":{"old":null,"new":"1"}}}`,
		`{"change":"changed","record":"book","key":{"upc":"2"},"url":"http://books.example/002","fields":{"title":{"old":" Two","new":"Two"}}}`,
		`{"change":"changed","record":"book","key":{"upc":"4"},"url":"http://books.example/004","fields":{"tags":{"old":["a","b"],"new":null},"seen":{"old":"2026-03-01T12:00:00.000000Z","new":"2026-03-01T12:00:00.000001Z"}}}`,
		`{"change":"removed","record":"book","key":{"upc":"5"},"url":"http://books.example/005","row":{"upc":"5","title":"Five","price_amount":"5","tags":["a","b"],"seen":"2026-03-01T12:00:00.000000Z"}}`,
		`{"change":"added","record":"book","key":{"upc":"6"},"url":"http://books.example/006","row":{"upc":"6","title":"Six\u001b[31m","price_amount":"6","tags":["a","b"],"seen":"2026-03-01T12:00:00.000000Z"}}`,
	}
	if strings.Join(lines[1:], "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines[1:], "\n"), strings.Join(want, "\n"))
	}
	if empty, _ := s.must(a, a, compare.Query{}, view.JSON); !strings.Contains(empty, `"differ":false`) || !strings.Contains(empty, `"columns":[]`) || !strings.Contains(empty, `"rejects":[]`) {
		t.Error(empty)
	}
}

func TestDiffAsCSV(t *testing.T) {
	s, a, b := shops(t)
	got, _ := s.must(a, b, compare.Query{Fields: []string{"title", "upc"}}, view.CSV)
	lines, err := csv.NewReader(strings.NewReader(got)).ReadAll()
	check(t, err)
	want := [][]string{{"change", "record", "key", "url", "field", "old", "new"},
		{"changed", "book", `{"upc":"2"}`, "http://books.example/002", "title", " Two", "Two"},
		{"removed", "book", `{"upc":"5"}`, "http://books.example/005", "", "", ""},
		{"added", "book", `{"upc":"6"}`, "http://books.example/006", "", "", ""}}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("got\n%q", lines)
	}
}

func TestColumnsThatChangedAreNamedAndComparedByTheirText(t *testing.T) {
	s := newShelf(t)
	a, b := s.run([]string{"id"}), s.run([]string{"id"})
	// The key itself was a number and is a text.
	s.commit(a, "refine", s.part(a, "refine", "book", "id:int price:decimal(18,2) stock:text old:text",
		row{[]any{int64(10), price("1.50"), "7", "x"}, 1, 0}, row{[]any{int64(9), price("2"), nil, "y"}, 2, 0}))
	s.commit(b, "refine", s.part(b, "refine", "book", "id:text stock:int price:decimal brand:text",
		row{[]any{"9", nil, price("2.000000001"), "z"}, 2, 0}, row{[]any{"10", int64(7), price("1.5"), nil}, 1, 0}))
	got, sum := s.must(a, b, compare.Query{}, view.Text)
	for _, want := range []string{
		"book        2       2      1        1        0      0  id\nbook: rows that differ in price 1\n" +
			"book: column id was int and is text: compared as text\nbook: column price was decimal(18,2) and is decimal(38,9): compared as text\n" +
			"book: column stock was text and is int: compared as text\nbook: column old (text) is only in the first\nbook: column brand (text) is only in the second\n",
		"~ id=\"9\"  http://books.example/002\n    price  \"2\" → \"2.000000001\"\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if !sum.Differ {
		t.Error("columns that only one has are a difference")
	}
	if got, sum := s.must(a, b, compare.Query{Fields: []string{"stock", "old"}}, view.Text); sum.Records[0].Equal != 2 || strings.Contains(got, "brand") || !strings.Contains(got, "column old") {
		t.Errorf("got\n%s", got)
	}
}

func TestTheKeyIsTheSecondRuns(t *testing.T) {
	rows := []row{bookRow("1", "One", "1", 1), bookRow("2", "Two", "2", 2)}
	for _, c := range []struct {
		name          string
		first, second []string
		match, note   string
	}{
		{"same", []string{"upc"}, []string{"upc"}, "upc", ""},
		{"another", []string{"upc"}, []string{"title", "upc"}, "title upc", "the key was (upc) and is (title, upc): rows are matched by the latter"},
		{"a new one", nil, []string{"upc"}, "upc", "the key was (_id, _ordinal) and is (upc): rows are matched by the latter"},
		{"none", nil, nil, "_id _ordinal", ""},
		{"one that is not there", []string{"isbn"}, []string{"isbn"}, "_id _ordinal", "the first run has no column isbn of the key: rows are matched by (_id, _ordinal)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t)
			a, b := s.run(c.first), s.run(c.second)
			s.commit(a, "refine", s.part(a, "refine", "book", bookColumns, rows...))
			s.commit(b, "refine", s.part(b, "refine", "book", bookColumns, rows...))
			_, sum := s.must(a, b, compare.Query{}, view.Text)
			if r := sum.Records[0]; strings.Join(r.MatchedBy, " ") != c.match || strings.Join(r.Notes, "; ") != c.note || r.Equal != 2 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestRowsOfParseAreMatchedPageByPage(t *testing.T) {
	s := newShelf(t)
	a, b := s.run([]string{"upc"}), s.run([]string{"upc"})
	at := func(upc string, page byte, ordinal int64, title string) row {
		return row{[]any{upc, title, nil, nil, nil}, page, ordinal}
	}
	nameless := at("", 9, 0, "no key")
	nameless.values[0] = nil
	s.commit(a, "parse", s.part(a, "parse", "book", bookColumns, at("1", 3, 0, "c"), at("1", 2, 0, "b"), at("1", 1, 0, "a"), at("1", 1, 1, "a2"), nameless))
	// Page 2 is gone, and on page 1 a row came before what was there.
	s.commit(b, "parse", s.part(b, "parse", "book", bookColumns, at("1", 1, 1, "a"), at("2", 1, 0, "new"), at("1", 1, 2, "a3"), at("1", 3, 0, "c"), nameless))
	got, _ := s.must(a, b, compare.Query{}, view.Text)
	want := "book        5       5      3        1        1      1  upc, _id\n"
	rows := "\nbook\n~ upc=\"1\"  _id=\"01000000000000000000000000000000\"  http://books.example/001\n    title  \"a2\" → \"a3\"\n" +
		"- upc=\"1\"  _id=\"02000000000000000000000000000000\"  http://books.example/002\n+ upc=\"2\"  _id=\"01000000000000000000000000000000\"  http://books.example/001\n"
	if !strings.Contains(got, want) || !strings.HasSuffix(got, rows) {
		t.Errorf("got\n%s", got)
	}
}

func TestStageIsTheLastThatBothHave(t *testing.T) {
	s := newShelf(t)
	a, b := s.run(nil), s.run(nil)
	_, _, err := s.diff(a, b, compare.Query{}, view.Output{}, false)
	if err == nil || err.Error() != "run "+a.Run+" has not committed parse yet" {
		t.Errorf("%v", err)
	}
	for _, l := range []lakeio.Lake{a, b} {
		s.commit(l, "parse", s.part(l, "parse", "book", bookColumns, bookRow("p", "", "", 1)))
	}
	s.commit(a, "refine")
	if _, sum := s.must(a, b, compare.Query{}, view.Text); sum.Stage != "parse" {
		t.Errorf("%+v", sum)
	}
	if _, _, err := s.diff(a, b, compare.Query{Stage: "refine"}, view.Output{}, false); err == nil || err.Error() != "run "+b.Run+" has not committed refine yet" || errors.Is(err, view.ErrUsage) {
		t.Errorf("%v", err)
	}
	s.commit(b, "refine", s.part(b, "refine", "book", bookColumns, bookRow("r", "", "", 1)))
	if _, sum := s.must(a, b, compare.Query{}, view.Text); sum.Stage != "refine" || sum.Records[0].Added != 1 {
		t.Errorf("%+v", sum)
	}
	if _, sum := s.must(a, b, compare.Query{Stage: "parse"}, view.Text); sum.Stage != "parse" || sum.Records[0].Equal != 1 {
		t.Errorf("%+v", sum)
	}
}

func TestRecordsThatOnlyOneRunHas(t *testing.T) {
	s := newShelf(t)
	a := s.run([]string{"upc"}, func(_ *lakeio.Run, j *harrow.Job) { j.Parse = append(j.Parse, harrow.Rule{Record: "sale"}) })
	b := s.run([]string{"upc"})
	s.commit(a, "refine", s.part(a, "refine", "sale", "day:text", row{[]any{"mon"}, 1, 0}))
	s.commit(b, "refine", s.part(b, "refine", "book", bookColumns, bookRow("1", "One", "1", 1)),
		s.rejects(b, "refine", harrow.Reject{Class: harrow.DataFault, Code: "type", Record: "sale"}, harrow.Reject{Class: harrow.Permanent, Code: "http_403"}))
	s.commit(a, "fetch-0")
	got, _ := s.must(a, b, compare.Query{}, view.Text)
	for _, want := range []string{"book        0       1      0        0        0      1  upc\n", "sale        1       0      0        0        1      0  _id, _ordinal\n",
		"sale: the second run's rules make no such record\n", "\nsale\n- _id=\"01000000000000000000000000000000\"  _ordinal=0  http://books.example/001\n", "  refine  data       type      sale"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if strings.Contains(got, "column") {
		t.Errorf("columns of a run without rows are not known\n%s", got)
	}
	if got, sum := s.must(a, b, compare.Query{Records: []string{"book"}}, view.Text); len(sum.Records) != 1 || len(sum.Rejects) != 1 || strings.Contains(got, "sale") {
		t.Errorf("got\n%s", got)
	}
}

func TestDiffSaysWhatIsWrong(t *testing.T) {
	s, a, b := shops(t)
	for _, c := range []struct {
		q    compare.Query
		want string
	}{
		{compare.Query{Stage: "fetch"}, "--stage fetch: want parse or refine"},
		{compare.Query{Limit: -1}, "--limit -1: want 0 or more"},
		{compare.Query{Records: []string{"bok"}}, "--record bok: want one of book"},
		{compare.Query{Fields: []string{"titel"}}, `--fields: no record has a column "titel"; known: price_amount, seen, tags, title, upc`},
		{compare.Query{Fields: []string{"_url"}}, "--fields _url: only data columns are compared, not those that say where a row comes from"},
	} {
		if _, _, err := s.diff(a, b, c.q, view.Output{}, false); err == nil || err.Error() != c.want || !errors.Is(err, view.ErrUsage) {
			t.Errorf("%+v: %v; want %s", c.q, err, c.want)
		}
	}
}

func TestADamagedPartIsNamed(t *testing.T) {
	s := newShelf(t)
	a, b := s.run(nil), s.run(nil)
	good, bad := s.part(a, "parse", "book", bookColumns, bookRow("1", "One", "1", 1)), s.part(b, "parse", "book", bookColumns, bookRow("1", "One", "1", 1))
	foreign := s.part(b, "parse", "book", "upc:int", row{[]any{int64(1)}, 1, 0})
	s.commit(a, "parse", good)
	s.commit(b, "parse", bad)
	s.damage(bad)
	if _, _, err := s.diff(a, b, compare.Query{}, view.Output{}, false); !errors.Is(err, lakeio.ErrCorrupt) || !strings.Contains(err.Error(), bad.URI) {
		t.Errorf("%v; want %s named", err, bad.URI)
	}
	c := s.run(nil)
	s.commit(c, "parse", good, foreign)
	if _, _, err := s.diff(a, c, compare.Query{}, view.Output{}, false); !errors.Is(err, lakeio.ErrCorrupt) || !strings.Contains(err.Error(), foreign.URI) {
		t.Errorf("%v; want %s named", err, foreign.URI)
	}
}

func TestRowsThatWereTakenOverAreTheOwners(t *testing.T) {
	s, a, b := shops(t)
	child := s.run([]string{"upc"}, func(r *lakeio.Run, _ *harrow.Job) {
		r.Parent, r.From, r.Sources = b.Run, "load", map[string]string{"discover": a.Run, "fetch": a.Run, "parse": b.Run, "refine": b.Run}
	})
	if got, sum := s.must(b, child, compare.Query{}, view.Text); sum.Differ || sum.Records[0].Equal != 5 || !strings.Contains(got, ", from load of run "+b.Run+"\n") {
		t.Errorf("got\n%s", got)
	}
	if _, sum := s.must(a, child, compare.Query{}, view.Text); sum.Records[0].Changed != 3 || sum.Second.Owner != b.Run || len(sum.Rejects) != 1 {
		t.Errorf("%+v", sum)
	}
}
