package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
)

// wordsExtractor emits a row for each line of a body; a line says what is odd
// about it.
type wordsExtractor struct{ Fail string }

func init() {
	harrow.RegisterExtractor("test_words", func(config json.RawMessage) (harrow.Extractor, error) {
		e := &wordsExtractor{}
		if len(config) > 0 {
			if err := json.Unmarshal(config, e); err != nil {
				return nil, err
			}
		}
		if e.Fail == "config" {
			return nil, errors.New("fail: want anything else")
		}
		return e, nil
	})
	harrow.RegisterExtractor("test_panics", func(json.RawMessage) (harrow.Extractor, error) { panic("no config") })
}

var wordType = harrow.RecordType{Name: "word", Columns: []harrow.Column{
	{Name: "text", Type: harrow.Type{Kind: harrow.Text}}, {Name: "n", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "price", Type: harrow.Type{Kind: harrow.Decimal, Precision: 5, Scale: 2}}, {Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
	{Name: "at", Type: harrow.Type{Kind: harrow.Timestamp}}, {Name: "day", Type: harrow.Type{Kind: harrow.Date}},
	{Name: "f", Type: harrow.Type{Kind: harrow.Float}}, {Name: "ok", Type: harrow.Type{Kind: harrow.Bool}},
	{Name: "ns", Type: harrow.Type{Kind: harrow.Int, List: true}}, {Name: "oks", Type: harrow.Type{Kind: harrow.Bool, List: true}},
	{Name: "fs", Type: harrow.Type{Kind: harrow.Float, List: true}}, {Name: "days", Type: harrow.Type{Kind: harrow.Date, List: true}},
	{Name: "prices", Type: harrow.Type{Kind: harrow.Decimal, Precision: 5, Scale: 2, List: true}},
}}

func (e *wordsExtractor) Records() []harrow.RecordType { return []harrow.RecordType{wordType} }

func (e *wordsExtractor) Extract(_ context.Context, page harrow.Page, emit func(harrow.Record) error) error {
	body := page.Body()
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	for _, line := range strings.Fields(string(text)) {
		r := harrow.Record{Name: "word", Values: map[string]any{"text": line}}
		switch line {
		case "panic":
			panic("at the disco")
		case "error":
			return errors.New("can't go on")
		case "record":
			r.Name = "sentence"
		case "column":
			r.Values["colour"] = "red"
		case "type":
			r.Values["n"] = 7
		}
		if err := emit(r); err != nil {
			return err
		}
	}
	return nil
}

func wordsProgram(t testing.TB) *Program {
	t.Helper()
	types, err := ExtractorRecords("test_words", nil)
	if err != nil {
		t.Fatal(err)
	}
	css := harrow.Rule{Record: "word", Fields: fields(t, `{"text":{"regex":"^\\w+"}}`)}
	p, err := Compile([]harrow.Rule{css, {Use: "test_words"}, css}, types)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestExtractor(t *testing.T) {
	for _, tt := range []struct {
		body string
		want []string
	}{
		{"a b", []string{`word#1 0 text="a"`, `test_words 1 text="a"`, `test_words 2 text="b"`, `word#3 3 text="a"`}},
		{"a error b", []string{`word#1 0 text="a"`, `word#3 1 text="a"`, `extract`}},
		{"a panic b", []string{`word#1 0 text="a"`, `word#3 1 text="a"`, `panic`}},
		{"record b", []string{`word#1 0 text="record"`, `test_words 1 text="b"`, `word#3 2 text="record"`, `extractor`}},
		{"a column b", []string{`word#1 0 text="a"`, `test_words 1 text="a"`, `test_words 3 text="b"`, `word#3 4 text="a"`, `extractor colour`}},
		{"type b", []string{`word#1 0 text="type"`, `test_words 2 text="b"`, `word#3 3 text="type"`, `extractor n`}},
		{"column error", []string{`word#1 0 text="column"`, `word#3 1 text="column"`, `extract`}},
	} {
		got := apply(t, wordsProgram(t), shopDocument(tt.body))
		if all := append(got.rows, got.codes()...); !slices.Equal(all, tt.want) {
			t.Errorf("%s: got  %q\nwant %q", tt.body, all, tt.want)
		}
		for _, r := range got.rejects {
			if r.ID.IsZero() || r.URL == "" || !strings.Contains(r.Reason, "test_words") {
				t.Errorf("%s: reject %+v", tt.body, r)
			}
		}
	}
}

// headings is an extractor that reads pages with goquery.
type headings struct{}

func init() {
	harrow.RegisterExtractor("test_headings", func(json.RawMessage) (harrow.Extractor, error) { return headings{}, nil })
}

func (headings) Records() []harrow.RecordType { return []harrow.RecordType{wordType} }

func (headings) Extract(_ context.Context, page harrow.Page, emit func(harrow.Record) error) (err error) {
	root, err := harrow.HTML(page)
	if err != nil {
		return err
	}
	goquery.NewDocumentFromNode(root).Find("h3").EachWithBreak(func(_ int, s *goquery.Selection) bool {
		err = emit(harrow.Record{Name: "word", Values: map[string]any{"text": s.Text()}})
		return err == nil
	})
	return err
}

func TestExtractorsWalkThePagesElements(t *testing.T) {
	p, err := Compile([]harrow.Rule{{Use: "test_headings"}, {Record: "word", Fields: fields(t, `{"text":{"css":"h3"}}`)}}, []harrow.RecordType{wordType})
	if err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat("<div>", 100_000) + "<h3>Deep</h3>"
	for _, tt := range []struct {
		contentType, body string
		want              []string
	}{
		{"text/html", listing, []string{`test_headings 0 text="One"`, `test_headings 1 text="Two"`, `test_headings 2 text="Three"`, `word#2 3 text="One"`}},
		{"text/html; charset=iso-8859-1", "<h3>caf\xe9", []string{`test_headings 0 text="café"`, `word#2 1 text="café"`}},
		{"application/atom+xml", "<feed><H3>x</H3></feed>", []string{`test_headings 0 text="x"`, `word#2 1 text="x"`}},
		{"text/html", strings.Repeat("<div>", 510) + "<h3>x</h3>", []string{`word#2 0 text="x"`, CodeNesting}},
		{"text/html", strings.Repeat("<div>", 509) + "<h3>x</h3>", []string{`test_headings 0 text="x"`, `word#2 1 text="x"`}},
		{"text/html", deep, []string{`word#2 0 text="Deep"`, CodeNesting}},
		{"application/pdf", "%PDF", []string{CodeContentType}},
	} {
		page := shopPage(tt.body)
		page.Capture.ContentType = tt.contentType
		got := apply(t, p, NewDocument(page, canonical, Limits{}))
		if all := append(got.rows, got.codes()...); !slices.Equal(all, tt.want) {
			t.Errorf("%s, %.20q: got  %q\nwant %q", tt.contentType, tt.body, all, tt.want)
		}
	}
}

func TestExtractorReadsWhatIsTooLargeForRules(t *testing.T) {
	page := shopPage("")
	page.Body, page.Capture.BodyBytes = nil, 100<<20
	page.Open = func() io.ReadCloser { return io.NopCloser(strings.NewReader("x y")) }
	got := apply(t, wordsProgram(t), NewDocument(page, canonical, Limits{}))
	if want := []string{`test_words 0 text="x"`, `test_words 1 text="y"`}; !slices.Equal(got.rows, want) || !slices.Equal(got.codes(), []string{CodeDocument}) {
		t.Errorf("got %q, %q", got.rows, got.codes())
	}
}

func TestExtractorRowsAreBounded(t *testing.T) {
	got := apply(t, wordsProgram(t), NewDocument(shopPage("a b c d e f"), canonical, Limits{Rows: 4}))
	if !slices.Equal(got.codes(), []string{CodeRows}) || len(got.rows) != 2 {
		t.Errorf("got %q, %q", got.rows, got.codes())
	}
}

func TestExtractorStopsWithTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p := wordsProgram(t)
	err := p.Apply(ctx, shopDocument("a b"), func(Row) error { cancel(); return nil }, func(harrow.Reject) error { return errors.New("rejected") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestExtractorIsNotKnownOrNotConfigured(t *testing.T) {
	for use, want := range map[string]string{
		"nobody": `no extractor is called "nobody"; known: test_headings, test_panics, test_words`, "test_words": `extractor test_words: fail: want anything else`, "test_panics": `panic: no config`,
	} {
		_, err := Compile([]harrow.Rule{{Use: use, With: json.RawMessage(`{"fail":"config"}`)}}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "parse[0].use: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", use, err)
		}
	}
	if _, err := Compile([]harrow.Rule{{Use: "test_words"}}, []harrow.RecordType{{Name: "word"}}); err == nil || !strings.Contains(err.Error(), "no column text of type text") {
		t.Errorf("got %v", err)
	}
}

func TestTypedValuesOfExtractors(t *testing.T) {
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for column, values := range map[string][2][]any{
		"text":   {{nil, "x"}, {1, []byte("x"), 'x'}},
		"n":      {{int64(1)}, {1, int32(1), 1.0, "1"}},
		"price":  {{decimal.RequireFromString("999.99"), decimal.RequireFromString("-1")}, {decimal.RequireFromString("1000"), decimal.RequireFromString("0.001"), decimal.New(1, math.MaxInt32), 1.0}},
		"tags":   {{[]string{"a"}, []string(nil)}, {"a", []any{"a"}, []int64{}, []int64{1}}},
		"ns":     {{[]int64{1, 2}, []int64{}, nil}, {int64(1), []int{1}, []string{}}},
		"oks":    {{[]bool{true}}, {[]any{true}}},
		"fs":     {{[]float64{1.5}}, {[]float64{1, math.NaN()}}},
		"days":   {{[]time.Time{day, day}}, {[]time.Time{day, day.Add(time.Hour)}, day}},
		"prices": {{[]decimal.Decimal{decimal.RequireFromString("9.99")}}, {[]decimal.Decimal{decimal.RequireFromString("1000")}, decimal.RequireFromString("1")}},
		"at":     {{day.Add(time.Nanosecond), day}, {"2026-01-02", time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"day":    {{day}, {day.Add(time.Hour)}},
		"f":      {{1.5}, {math.NaN(), math.Inf(1), float32(1)}},
		"ok":     {{true}, {"true", int64(1)}},
	} {
		c, _ := wordType.Column(column)
		for _, v := range values[0] {
			if got, err := typed(c.Type, v); err != nil {
				t.Errorf("%s %v (%T): %v", column, v, v, err)
			} else if at, ok := got.(time.Time); ok && at.Nanosecond()%1000 != 0 {
				t.Errorf("%s: %v has nanoseconds", column, at)
			}
		}
		for _, v := range values[1] {
			if got, err := typed(c.Type, v); err == nil {
				t.Errorf("%s %v (%T): got %v", column, v, v, got)
			}
		}
	}
	if got, _ := typed(wordType.Columns[0].Type, "a\xff\x00b"); got != "a\uFFFDb" {
		t.Errorf("got %q", got)
	}
}

// TestRejectsShowLists holds payloads to what plain and bounded make of lists.
func TestRejectsShowLists(t *testing.T) {
	amounts := []decimal.Decimal{decimal.RequireFromString("12.50"), decimal.New(1, math.MaxInt32)}
	long := slices.Repeat([]int64{7}, 2*maxPayloadList)
	p := payload{Fields: map[string]any{
		"amounts": bounded(plain(amounts)), "floats": bounded(plain([]float64{1.5, math.Inf(1)})), "tags": bounded(plain([]string{"a"})),
	}}
	const want = `{"rule":"","ordinal":0,"fields":{"amounts":["12.5","a decimal with exponent 2147483647"],"floats":[1.5,"+Inf"],"tags":["a"]}}`
	if got := p.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := bounded(plain(long)).([]any); len(got) != maxPayloadList {
		t.Errorf("%d items of %d", len(got), len(long))
	}
}

func TestEmitAfterTheEndIsAnError(t *testing.T) {
	x := &extraction{ended: true}
	if err := x.take(harrow.Record{}); err == nil {
		t.Error("no error")
	}
}

func ExampleProgram_Apply() {
	rule := harrow.Rule{Record: "book", Fields: harrow.Fields{{Name: "title", Field: harrow.Field{CSS: "h1"}}}}
	types := []harrow.RecordType{{Name: "book", Columns: rule.Fields[0].Columns("title")}}
	p, err := Compile([]harrow.Rule{rule}, types)
	if err != nil {
		panic(err)
	}
	page := Page{Capture: harrow.Capture{URL: "http://books.example/"}, Body: []byte("<h1> Tilth </h1>")}
	err = p.Apply(context.Background(), NewDocument(page, canonical, Limits{}), func(r Row) error {
		fmt.Println(types[r.Record].Name, r.Rule, r.Ordinal, r.Values)
		return nil
	}, func(harrow.Reject) error { return nil })
	if err != nil {
		panic(err)
	}
	// Output: book book#1 0 [Tilth]
}
