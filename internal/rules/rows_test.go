package rules

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/harrowdata/harrow"
)

func rowRule(t testing.TB, rows, text string) harrow.Rule {
	t.Helper()
	r := harrow.Rule{Record: "report", Fields: fields(t, text)}
	if err := json.Unmarshal([]byte(rows), &r.Rows); err != nil {
		t.Fatal(err)
	}
	return r
}

const salesFields = `{"day":{"column":"day","required":true},"amount":{"column":"amount","type":"decimal(18,2)"},"url":{"from":"path"}}`

// dataPage is a page that streams: its body is handed out in small pieces.
func dataPage(body, contentType string) Page {
	p := shopPage("")
	p.Capture.ContentType, p.Capture.BodyBytes = contentType, int64(len(body))
	p.Open = func() io.ReadCloser { return io.NopCloser(iotest.HalfReader(strings.NewReader(body))) }
	return p
}

func applyData(t testing.TB, r harrow.Rule, body, contentType string) applied {
	t.Helper()
	return apply(t, mustCompile(t, r), NewDocument(dataPage(body, contentType), canonical, Limits{Document: 1000}))
}

func TestRowsOfDataFiles(t *testing.T) {
	const want = `report#1 0 day="1" amount=2.5 url="/catalogue/tilth_1/index.html"; report#1 1 day="2" url="/catalogue/tilth_1/index.html"`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte("day,amount\n1,2.50\n2,\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	utf16, err := unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().String("day,amount\n1,2.50\n2,\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, rows, body, contentType string }{
		{"csv", `"csv"`, "day,amount\n 1 ,2.50\n2,\n", "text/csv"},
		{"tabs", `"csv"`, "day\tamount,x\tamount\n1\t,\t2.50\n2\t\t\n", "text/tab-separated-values"},
		{"gzip", `"csv"`, zipped.String(), "application/gzip"},
		{"UTF-16", `"csv"`, utf16, "text/csv"},
		{"UTF-8 with its mark", `"csv"`, "\uFEFFday,amount\n1,2.50\n2,\n", "text/csv; charset=windows-1252"},
		{"JSON Lines", `"jsonl"`, `{"day":"1","amount":2.50}` + "\n" + `{"amount":null,"day":[[],"2"]}`, ""},
		{"JSON", `{"json":"$.items[*]"}`, `{"items":[{"day":1,"amount":"2.50"},{"day":2}]}`, "application/json"},
		{"JSON as a whole", `{"json":"$..items[*]"}`, `{"items":[{"day":1,"amount":"2.50"},{"day":2}]}`, "application/json"},
	} {
		got := applyData(t, rowRule(t, test.rows, salesFields), test.body, test.contentType)
		if rows := strings.Join(got.rows, "; "); rows != want || len(got.rejects) > 0 {
			t.Errorf("%s: got %s\nwant %s; %+v", test.name, rows, want, got.rejects)
		}
	}
}

func TestEncodingsOfDataFiles(t *testing.T) {
	latin, err := charmap.ISO8859_1.NewEncoder().String("day\nZürich, größer, schön und süß, für Äpfel über Öl, Höfe und Türen\n")
	if err != nil {
		t.Fatal(err)
	}
	rule := rowRule(t, `"csv"`, `{"day":{"column":"day"}}`)
	latin = strings.ReplaceAll(latin, ",", "")
	for contentType, text := range map[string]string{"text/csv; charset=iso-8859-1": latin, "text/csv": latin} {
		if got := applyData(t, rule, text, contentType); len(got.rows) != 1 || !strings.Contains(got.rows[0], `"Zürich größer`) {
			t.Errorf("%s: %s %+v", contentType, got.rows, got.rejects)
		}
	}
	// What is wrong behind the head that tells the encoding is a fault of its row.
	late := "day\n" + strings.Repeat("x\n", 40_000) + "Z\xfcrich\nx\n"
	if got := applyData(t, rule, late, "text/csv"); len(got.rows) != 40_001 || !slices.Equal(got.codes(), []string{"encoding"}) {
		t.Errorf("%d rows, %q", len(got.rows), got.codes())
	}
	// A character that the head cuts in two is none of that.
	cut := "day\n" + strings.Repeat("x", 65531) + "é\n"
	if d := dataDecoder([]byte(cut)[:64<<10], "text/csv"); d != nil {
		t.Errorf("a cut character makes it %T", d)
	}
}

func TestBadRowsOfDataFilesAreRejected(t *testing.T) {
	for _, test := range []struct {
		name, rows, body string
		good             int
		want             []string // code, then the payload without the rule
	}{
		{"csv", `"csv"`, "day,amount\n1,2\n1,2,3\n,4\n2,x\n3,4\n", 2, []string{
			`row {"ordinal":1,"line":3,"offset":15,"row":"1,2,3"}`,
			`required {"ordinal":2,"fields":{"amount":"4","day":"","url":"/catalogue/tilth_1/index.html"},"line":4,"offset":21,"row":",4"}`,
			`type {"ordinal":3,"fields":{"amount":"x","day":"2","url":"/catalogue/tilth_1/index.html"},"line":5,"offset":24,"row":"2,x"}`,
		}},
		{"jsonl", `"jsonl"`, "{\"day\":1}\n{\"day\":\n{\"day\":2,\"amount\":{\"a\":1}}\n{\"day\":3}\n", 2, []string{
			`row {"ordinal":1,"line":2,"offset":10,"row":"{\"day\":"}`,
			`type {"ordinal":2,"fields":{"amount":"{\"a\":1}","day":"2","url":"/catalogue/tilth_1/index.html"},"line":3,"offset":18,"row":"{\"day\":2,\"amount\":{\"a\":1}}"}`,
		}},
		{"json", `{"json":"$[*]"}`, `[{"day":1},{"day":2,"amount":"x"},{"day":3},{"day"`, 2, []string{
			`type {"ordinal":1,"fields":{"amount":"x","day":"2","url":"/catalogue/tilth_1/index.html"},"offset":11,"row":"{\"day\":2,\"amount\":\"x\"}"}`,
			`data {"ordinal":3,"offset":50,"row":"{\"day\""}`,
		}},
		{"json as a whole", `{"json":"$..[?@.day]"}`, `[{"day":1},{"day":2,"amount":"x"}]`, 1, []string{
			`type {"ordinal":1,"fields":{"amount":"x","day":"2","url":"/catalogue/tilth_1/index.html"},"row":"{\"amount\":\"x\",\"day\":2}"}`,
		}},
		{"a long row", `"csv"`, "day,amount\n" + strings.Repeat("x", 5000) + ",1\n1,2\n", 1, []string{
			`row_size {"ordinal":0,"line":2,"offset":11,"row":"` + strings.Repeat("x", 1000) + `"}`,
		}},
		{"a document over the limit", `{"json":"$..a"}`, "[" + strings.Repeat(" ", 2000) + "]", 0, []string{`data {"ordinal":0,"row":"[` + strings.Repeat(" ", 1000) + `"}`}},
		{"a broken document", `{"json":"$..a"}`, "[1", 0, []string{`data {"ordinal":0,"row":"[1"}`}},
		{"no such column", `"csv"`, "tag;amount\n1;2\n3;4\n", 0, []string{`columns {"ordinal":0,"line":1,"row":"tag;amount"}`}},
		{"broken gzip", `"csv"`, "\x1f\x8bxxxxxxxxxxxxxxx", 0, []string{`data {"ordinal":0}`}},
	} {
		got := applyData(t, rowRule(t, test.rows, salesFields), test.body, "")
		var shown []string
		for _, r := range got.rejects {
			shown = append(shown, r.Code+" "+strings.Replace(r.Payload, `"rule":"report#1",`, "", 1))
			if r.URL != "http://books.example/old" || r.Record != "report" || r.Class != harrow.DataFault {
				t.Errorf("%s: %+v", test.name, r)
			}
		}
		if len(got.rows) != test.good || !slices.Equal(shown, test.want) {
			t.Errorf("%s: %d rows, rejects\n%s\nwant\n%s", test.name, len(got.rows), strings.Join(shown, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

func TestTheLastRowOfABodyThatWasCutIsNoRow(t *testing.T) {
	for rows, body := range map[string]string{
		`"csv"`: "day,amount\n1,2\n2,31", `"jsonl"`: "{\"day\":1}\n{\"day\":2}", `{"json":"$"}`: `{"day":2`,
		`{"json":"$[*]"}`: `[{"day":1},{"day":2`, `{"json":"$..a"}`: `{"a":1}`,
	} {
		p := dataPage(body, "")
		p.Capture.Truncated = true
		got := apply(t, mustCompile(t, rowRule(t, rows, salesFields)), NewDocument(p, canonical, Limits{}))
		want := strings.Count(body, "day\":1}") // each was read in full
		if rows == `"csv"` {
			want = 1
		}
		if len(got.rows) != want || !slices.Equal(got.codes(), []string{CodeData}) || !strings.HasSuffix(got.rejects[0].Reason, "cut at fetch.max_body") {
			t.Errorf("%s: rows %q, rejects %+v", rows, got.rows, got.rejects)
		}
	}
}

func TestPathsOfRows(t *testing.T) {
	const doc = `{"items":[{"n":1,"a":5},{"n":2},{"n":3,"a":[{"n":4}]}],"b":{"n":6},"least":1}`
	for path, want := range map[string]string{
		"$.items[*]":                  "1 2 3",
		"$.items[?@.a]":               "1 3",
		"$.items[?@.a == 5]":          "1",
		"$.items[?@.n > $.least]":     "2 3",
		"$.items[-1]":                 "3",
		"$.items[2,0]":                "3 1",
		"$.items[::-1]":               "3 2 1",
		"$..[?@.n]":                   "6 1 2 3 4",
		"$.*[?@.a].a[?count(@..*)>0]": "4",
	} {
		rule := rowRule(t, `"csv"`, `{"n":{"jsonpath":"$.n"}}`)
		rule.Rows = harrow.Rows{Format: harrow.RowsJSON, Path: path}
		var got []string
		applied := applyData(t, rule, doc, "application/json")
		for _, row := range applied.rows {
			_, n, _ := strings.Cut(row, "=")
			got = append(got, strings.Trim(n, `"`))
		}
		if strings.Join(got, " ") != want || len(applied.rejects) > 0 {
			t.Errorf("%s: got %q, want %s; %+v", path, got, want, applied.rejects)
		}
	}
}

func TestRowsCostNoMoreThanByTheirLength(t *testing.T) {
	// Each of the values asks for all below the root.
	row := "[" + strings.Repeat("1,", 20_000) + "1]"
	p := dataPage(row+"\n[1]\n", "")
	got := apply(t, mustCompile(t, rowRule(t, `"jsonl"`, `{"n":{"jsonpath":"$[?count($..*) < 0]","required":true}}`)), NewDocument(p, canonical, Limits{}))
	if want := []string{CodeCost + " n", "required n"}; !slices.Equal(got.codes(), want) {
		t.Errorf("got %q, want %q", got.codes(), want)
	}
}

func TestReasonsOfRejectedRowsSayWhere(t *testing.T) {
	got := applyData(t, rowRule(t, `"csv"`, salesFields), "tag;amount\n1;2\n", "")
	if want := `record report, rule report#1: line 1: the first line has no column "day"; it has "tag", "amount"`; got.rejects[0].Reason != want {
		t.Errorf("got  %s\nwant %s", got.rejects[0].Reason, want)
	}
}

func TestOrdinalsOfRowsGoOnAcrossRules(t *testing.T) {
	rule := rowRule(t, `"csv"`, `{"day":{"column":"day"}}`)
	p := mustCompile(t, rule, rule)
	got := apply(t, p, NewDocument(dataPage("day\n1\n2,2\n3\n", ""), canonical, Limits{}))
	want := []string{`report#1 0 day="1"`, `report#1 2 day="3"`, `report#2 3 day="1"`, `report#2 5 day="3"`}
	if !slices.Equal(got.rows, want) {
		t.Errorf("got %q, want %q", got.rows, want)
	}
}

func TestDataFilesHaveMoreRowsThanDocumentsMay(t *testing.T) {
	rule := rowRule(t, `"csv"`, `{"day":{"column":"day"}}`)
	body := "day\n" + strings.Repeat("1\n", 500)
	d := NewDocument(dataPage(body, ""), canonical, Limits{Rows: 100})
	if got := apply(t, mustCompile(t, rule), d); len(got.rows) != 500 || len(got.rejects) > 0 {
		t.Errorf("%d rows, %+v", len(got.rows), got.rejects)
	}
	// But not so many that are rejected,
	d = NewDocument(dataPage(strings.ReplaceAll(body, "1\n", "1,2\n"), ""), canonical, Limits{Rows: 100})
	if got := apply(t, mustCompile(t, rule), d); len(got.rejects) != 101 || got.rejects[100].Code != CodeRows {
		t.Errorf("%d rejects", len(got.rejects))
	}
	d = NewDocument(dataPage(body, ""), canonical, Limits{Data: 7})
	if got := apply(t, mustCompile(t, rule), d); len(got.rows) != 7 || len(got.rejects) > 0 {
		t.Errorf("%d rows of 7 asked for, %+v", len(got.rows), got.rejects)
	}
	// nor where the file is read as a document.
	rule = rowRule(t, `{"json":"$..day"}`, `{"day":{"column":"day"}}`)
	d = NewDocument(dataPage("["+strings.Repeat(`{"day":1},`, 200)+"1]", ""), canonical, Limits{Rows: 100})
	if got := apply(t, mustCompile(t, rule), d); len(got.rows) != 100 || !slices.Equal(got.codes(), []string{CodeRows}) {
		t.Errorf("%d rows, %q", len(got.rows), got.codes())
	}
}

func TestABodyThatCanNotBeReadIsNoReject(t *testing.T) {
	p := dataPage("", "")
	p.Open = func() io.ReadCloser {
		return io.NopCloser(io.MultiReader(strings.NewReader("day,amount\n1,2\n"), iotest.ErrReader(errors.New("disk"))))
	}
	rows := 0
	err := mustCompile(t, rowRule(t, `"csv"`, salesFields)).Apply(t.Context(), NewDocument(p, canonical, Limits{}),
		func(Row) error { rows++; return nil }, func(r harrow.Reject) error { return fmt.Errorf("reject %s", r.Reason) })
	if err == nil || err.Error() != "rule report#1: disk" || rows != 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

func TestErrorsOfEmitAndRejectEndADataFile(t *testing.T) {
	full := errors.New("full")
	p := mustCompile(t, rowRule(t, `"csv"`, salesFields))
	for _, limit := range []int{1, 100} {
		d := NewDocument(dataPage("day,amount\n,1\n1,2\n", ""), canonical, Limits{Rows: limit})
		for _, test := range []struct{ emit, reject error }{{full, nil}, {nil, full}} {
			if limit == 1 && test.emit != nil {
				continue // the reject before it ends the file
			}
			err := p.Apply(t.Context(), d, func(Row) error { return test.emit }, func(harrow.Reject) error { return test.reject })
			if !errors.Is(err, full) {
				t.Errorf("limit %d: %v", limit, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	rows := 0
	err := p.Apply(ctx, NewDocument(dataPage("day,amount\n"+strings.Repeat("1,2\n", 10_000), ""), canonical, Limits{}),
		func(Row) error { rows++; cancel(); return nil }, func(harrow.Reject) error { return nil })
	if !errors.Is(err, context.Canceled) || rows > 300 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

func TestColumnsOfJSONRows(t *testing.T) {
	got := applyData(t, rowRule(t, `"jsonl"`, `{"a":{"column":"a.b"},"l":{"column":"l","type":"list(int)"}}`),
		`{"a.b":true,"l":[1,[2,null],3]}`+"\n"+`{"a":{"b":1},"l":4}`+"\n[1]\n7\nnull\n", "")
	want := []string{`report#1 0 a="true" l=[1 2 3]`, `report#1 1 l=[4]`, `report#1 2`, `report#1 3`, `report#1 4`}
	if !slices.Equal(got.rows, want) {
		t.Errorf("got %q, want %q", got.rows, want)
	}
}

func TestRowRulesThatCanNotWork(t *testing.T) {
	for _, test := range []struct{ rows, fields, want string }{
		{`"csv"`, `{"a":{"css":"h1"}}`, `parse[0].fields.a: css selects nothing in rows of csv`},
		{`"csv"`, `{"a":{"jsonpath":"$.a"}}`, `parse[0].fields.a: jsonpath selects nothing in rows of csv`},
		{`"csv"`, `{"a":{"any":[{"column":"a"},{"xpath":"//a"}]}}`, `parse[0].fields.a: xpath selects nothing in rows of csv`},
		{`"jsonl"`, `{"a":{"jsonld":"$.a"}}`, `parse[0].fields.a: jsonld selects nothing in rows of jsonl`},
		{`"jsonl"`, `{"a":{"regex":"a"}}`, `parse[0].fields.a: regex alone selects nothing in rows of jsonl`},
		{`{"json":"items"}`, `{"a":{"column":"a"}}`, `parse[0].rows: jsonpath "items": `},
		{`""`, `{"a":{"column":"a"}}`, `parse[0].fields.a: column "a" means a row's, and the rule has no rows`},
	} {
		rule := rowRule(t, test.rows, test.fields)
		if _, err := Compile([]harrow.Rule{rule}, typesOf(rule)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s %s: %v\nwant %s", test.rows, test.fields, err, test.want)
		}
	}
	rule := rowRule(t, `"csv"`, `{"a":{"column":"a"}}`)
	rule.Each = "tr"
	if _, err := Compile([]harrow.Rule{rule}, typesOf(rule)); err == nil {
		t.Error("each goes with rows")
	}
}

func TestRowsAreExplained(t *testing.T) {
	p := mustCompile(t, rowRule(t, `"csv"`, salesFields))
	explain := func(body string) (notes []string, traces []FieldTrace) {
		for _, trace := range p.Explain(NewDocument(dataPage(body, ""), canonical, Limits{})) {
			if trace.Row < 0 {
				notes = append(notes, trace.Note)
			} else {
				traces = append(traces, trace)
			}
		}
		return notes, traces
	}
	notes, traces := explain("day,amount\n1,x\n1,2,3\n2,3\n")
	if len(traces) != 6 || traces[1].Selector != "column: amount" || traces[1].Raw != "x" || !strings.HasPrefix(traces[1].Note, "type: ") ||
		traces[3].Row != 2 || traces[3].Value != "2" || traces[3].Note != "" || !slices.Equal(notes, []string{"row: line 3: the row has 3 cells; the first line has 2"}) {
		t.Errorf("%+v %q", traces, notes)
	}
	notes, traces = explain("day,amount\n" + strings.Repeat("1,2\n", 1000))
	if len(traces) != 3*maxExplained || !slices.Equal(notes, []string{fmt.Sprintf("only the first %d rows are explained", maxExplained)}) {
		t.Errorf("%d traces, %q", len(traces), notes)
	}
	if notes, _ := explain("day,amount\n"); !slices.Equal(notes, []string{"the file has no rows"}) {
		t.Errorf("%q", notes)
	}
	if notes, _ := explain(""); !slices.Equal(notes, []string{"columns: line 1: the file has no line that names the columns"}) {
		t.Errorf("%q", notes)
	}
}
