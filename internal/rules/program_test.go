package rules

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

const listing = `<article id=1><h3>One</h3><b>1</b></article><article id=2><h3>Two</h3><b>x</b></article><article id=3><h3>Three</h3><b>3</b></article>`

func TestRulesOfAPage(t *testing.T) {
	name := fields(t, `{"name":{"css":"h3"}}`)
	for _, tt := range []struct {
		what  string
		rules []harrow.Rule
		page  func(*Page)
		want  []string
	}{
		{what: "every rule that matches", rules: []harrow.Rule{{Record: "a", Fields: name}, {Record: "b", Fields: name}},
			want: []string{`a#1 0 name="One"`, `b#2 0 name="One"`}},
		{what: "last stops, if it matches", rules: []harrow.Rule{{Record: "a", Match: []string{"/no"}, Last: true, Fields: name}, {Record: "a", Last: true, Fields: name}, {Record: "a", Fields: name}},
			want: []string{`a#2 0 name="One"`}},
		{what: "match is of the final URL", rules: []harrow.Rule{{Record: "a", Match: []string{"/old"}, Fields: name}, {Record: "b", Match: []string{"/x", "/catalogue/*/index.html"}, Fields: name}},
			want: []string{`b#2 0 name="One"`}},
		{what: "content type without parameters", rules: []harrow.Rule{{Record: "a", ContentType: []string{"Text/HTML"}, Fields: name}, {Record: "b", ContentType: []string{"text/*"}, Fields: name}, {Record: "c", ContentType: []string{"application/json"}, Fields: name}},
			want: []string{`a#1 0 name="One"`, `b#2 0 name="One"`}},
		{what: "one row an element, selectors below it", rules: []harrow.Rule{{Record: "a", Each: "article", Fields: fields(t, `{"id":{"css":"@id"},"name":{"css":"h3"},"all":{"css":":scope"},"u":{"from":"host"}}`)}},
			want: []string{`a#1 0 id="1" name="One" all="One1" u="books.example"`, `a#1 1 id="2" name="Two" all="Twox" u="books.example"`, `a#1 2 id="3" name="Three" all="Three3" u="books.example"`}},
		{what: "each that selects nothing", rules: []harrow.Rule{{Record: "a", Each: "section", Fields: name}}},
		{what: "ordinals go on through the rules of a record", rules: []harrow.Rule{{Record: "a", Each: "article", Fields: name}, {Record: "b", Fields: name}, {Record: "a", Fields: fields(t, `{"n":{"css":"b"}}`)}},
			want: []string{`a#1 0 name="One"`, `a#1 1 name="Two"`, `a#1 2 name="Three"`, `b#2 0 name="One"`, `a#3 3 n="1"`}},
		{what: "a rejected row keeps its ordinal", rules: []harrow.Rule{{Record: "a", Each: "article", Fields: fields(t, `{"n":{"css":"b","type":"int"}}`)}},
			want: []string{`a#1 0 n=1`, `a#1 2 n=3`, `type n`}},
		{what: "a page without a type is HTML", rules: []harrow.Rule{{Record: "a", Fields: name}}, page: func(p *Page) { p.Capture.ContentType = "" },
			want: []string{`a#1 0 name="One"`}},
		{what: "XML", rules: []harrow.Rule{{Record: "a", Fields: name}}, page: func(p *Page) { p.Capture.ContentType = "application/atom+xml" },
			want: []string{`a#1 0 name="One"`}},
		{what: "an empty body selects nothing", rules: []harrow.Rule{{Record: "a", Fields: fields(t, `{"name":{"css":"h3"},"h":{"from":"host"}}`)}}, page: func(p *Page) { p.Body, p.Capture.BodyBytes, p.Capture.ContentType = nil, 0, "image/png" },
			want: []string{`a#1 0 h="books.example"`}},
		{what: "css in what is no markup is one reject; other rules apply", rules: []harrow.Rule{{Record: "a", Fields: name}, {Record: "b", Each: "b", Fields: fields(t, `{"h":{"from":"host"}}`)}, {Record: "c", Fields: fields(t, `{"id":{"regex":"id=(\\d)"}}`)}},
			page: func(p *Page) { p.Capture.ContentType = "application/pdf" }, want: []string{`c#3 0 id="1"`, `content_type`}},
		{what: "a body over the limit", rules: []harrow.Rule{{Record: "a", Fields: name}, {Record: "b", Fields: fields(t, `{"id":{"regex":"id=(\\d)"}}`)}, {Record: "c", Fields: fields(t, `{"h":{"from":"host"}}`)}},
			page: func(p *Page) { p.Capture.BodyBytes = 10<<20 + 1 }, want: []string{`c#3 0 h="books.example"`, `document`}},
		{what: "nesting is no reason to lose a page", rules: []harrow.Rule{{Record: "a", Fields: name}}, page: func(p *Page) { p.Body = []byte(strings.Repeat("<div>", 100_000) + "<h3>Deep") },
			want: []string{`a#1 0 name="Deep"`}},
		{what: "formatting elements that repeat themselves", rules: []harrow.Rule{{Record: "a", Fields: name}}, page: func(p *Page) { p.Body = append([]byte("<h3>One</h3>"), formattingBomb(50_000)...) },
			want: []string{`a#1 0 name="One"`}},
		{what: "a final URL that is none", rules: []harrow.Rule{{Record: "a", Match: []string{"/**"}, Fields: name}}, page: func(p *Page) { p.Capture.FinalURL = "ftp://x/" },
			want: []string{`url`}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			page := shopPage(listing)
			if tt.page != nil {
				tt.page(&page)
			}
			got := apply(t, mustCompile(t, tt.rules...), NewDocument(page, canonical, Limits{}))
			if all := append(got.rows, got.codes()...); !slices.Equal(all, tt.want) {
				t.Errorf("got  %q\nwant %q", all, tt.want)
			}
		})
	}
}

func TestElementsAreBounded(t *testing.T) {
	p := mustCompile(t, harrow.Rule{Record: "a", Fields: fields(t, `{"name":{"css":"p"},"n":{"xpath":"count(//@id)"}}`)})
	for _, tt := range []struct {
		contentType, body string
		limit             int // of elements: twice as many nodes and attributes
		want              string
	}{
		{"text/html", "<p id=1>x", 4, `a#1 0 name="x" n="1"`}, // the document, html, head, body, p, its text and id
		{"text/html", "<p id=1>x", 3, CodeElements},
		{"text/html", "<p id=1 class=x lang=en>x", 4, CodeElements},
		{"text/xml", "<p id='1' a=''>x</p>", 2, `a#1 0 name="x" n="1"`},
		{"text/xml", "<p id='1' a='' b=''>x</p>", 2, CodeElements},
	} {
		page := shopPage(tt.body)
		page.Capture.ContentType = tt.contentType
		got := apply(t, p, NewDocument(page, canonical, Limits{Elements: tt.limit}))
		if all := strings.Join(append(got.rows, got.codes()...), " "); all != tt.want {
			t.Errorf("%s, up to %d: got %s, want %s", tt.body, tt.limit, all, tt.want)
		}
	}
}

// formattingBomb is a page of which every few bytes make 400 elements.
func formattingBomb(paragraphs int) []byte {
	var b strings.Builder
	b.WriteString("<p>")
	for i := range 400 {
		fmt.Fprintf(&b, "<b id=%d>", i)
	}
	b.WriteString(strings.Repeat("</p><p>x", paragraphs))
	return []byte(b.String())
}

func TestRejectsCarryWhatReplaysThem(t *testing.T) {
	p := mustCompile(t, harrow.Rule{Record: "book", Each: "article", Fields: fields(t,
		`{"name":{"css":"h3"},"n":{"css":"b","type":"int"},"tags":{"css":"h3, b","type":"list"},"gone":{"css":"u","required":true}}`)})
	got := apply(t, p, shopDocument(`<article><h3>One&amp;</h3><b> x  y </b></article>`)).rejects
	if len(got) != 1 {
		t.Fatalf("got %d rejects; want 1, for the first faulty field", len(got))
	}
	r := got[0]
	if r.ID != (harrow.ID{1}) || r.URL != "http://books.example/old" || r.Record != "book" || r.Field != "n" || r.Value != "x y" ||
		r.Code != CodeType || r.Class != harrow.DataFault || !strings.Contains(r.Reason, "book#1") || !strings.Contains(r.Reason, "field n") {
		t.Errorf("got %+v", r)
	}
	if want := `{"rule":"book#1","ordinal":0,"fields":{"gone":null,"n":"x y","name":"One&","tags":["One&","x y"]}}`; r.Payload != want {
		t.Errorf("payload %s; want %s", r.Payload, want)
	}
}

func TestRejectsAreBounded(t *testing.T) {
	p := mustCompile(t, harrow.Rule{Record: "book", Fields: fields(t, `{"n":{"css":"b","type":"int"},"l":{"css":"i","type":"list"}}`)})
	got := apply(t, p, shopDocument("<b>"+strings.Repeat("ä", 100_000)+"</b>"+strings.Repeat("<i>x</i>", 1000))).rejects[0]
	if len(got.Value) > maxRejectValue || len(got.Reason) > maxReason || len(got.Payload) > 2*maxPayloadText {
		t.Errorf("value %d, reason %d, payload %d bytes", len(got.Value), len(got.Reason), len(got.Payload))
	}
}

func TestRowsAreBounded(t *testing.T) {
	p := mustCompile(t, harrow.Rule{Record: "a", Each: "i", Fields: fields(t, `{"x":{"css":":scope"}}`)}, harrow.Rule{Record: "b", Fields: fields(t, `{"h":{"from":"host"}}`)})
	got := apply(t, p, NewDocument(shopPage(strings.Repeat("<i>x</i>", 9)), canonical, Limits{Rows: 5}))
	if len(got.rows) != 5 || !slices.Equal(got.codes(), []string{CodeRows}) {
		t.Errorf("got %d rows, %q", len(got.rows), got.codes())
	}
}

func TestErrorsOfTheStageEndIt(t *testing.T) {
	disk := errors.New("disk")
	p := mustCompile(t, harrow.Rule{Record: "a", Each: "article", Fields: fields(t, `{"n":{"css":"b","type":"int"}}`)})
	fine := func(Row) error { return nil }
	none := func(harrow.Reject) error { return nil }
	if err := p.Apply(context.Background(), shopDocument(listing), func(Row) error { return disk }, none); !errors.Is(err, disk) {
		t.Errorf("emit: got %v", err)
	}
	if err := p.Apply(context.Background(), shopDocument(listing), fine, func(harrow.Reject) error { return disk }); !errors.Is(err, disk) {
		t.Errorf("reject: got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Apply(ctx, shopDocument(listing), fine, none); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestRowsOfARecordShareItsColumns(t *testing.T) {
	rules := []harrow.Rule{{Record: "a", Fields: fields(t, `{"x":{"css":"h3"},"y":{"css":"b"}}`)}, {Record: "a", Fields: fields(t, `{"y":{"css":"h3"},"z":{"from":"status","type":"int"}}`)}}
	got := apply(t, mustCompile(t, rules...), shopDocument(listing))
	if want := []string{`a#1 0 x="One" y="1"`, `a#2 1 y="One" z=200`}; !slices.Equal(got.rows, want) {
		t.Errorf("got %q; want %q", got.rows, want)
	}
}

func TestExplainTellsRawAndTypedValueOrWhyNot(t *testing.T) {
	rules := []harrow.Rule{
		{Record: "no", Match: []string{"/x"}, Fields: fields(t, `{"a":{"css":"h3"}}`)},
		{Record: "book", Each: "article", Last: true, Fields: fields(t, `{"n":{"css":"b","type":"int"},"p":{"css":"b","type":"money","currency":"GBP"},"u":{"css":"u"}}`)},
		{Record: "no", Fields: fields(t, `{"a":{"css":"h3"}}`)},
	}
	var got []string
	for _, tr := range mustCompile(t, rules...).Explain(shopDocument(`<article><b> 1 </b></article><article><b>x</b></article>`)) {
		note, _, _ := strings.Cut(tr.Note, ":")
		got = append(got, fmt.Sprintf("%s %d %s %s %v %v %s", tr.Rule, tr.Row, tr.Field, tr.Selector, tr.Raw, tr.Value, note))
	}
	want := []string{
		"no#1 -1   <nil> <nil> no match",
		"book#2 0 n css: b 1 1 ", "book#2 0 p css: b 1 [1 GBP] ", "book#2 0 u css: u <nil> <nil> nothing selected",
		"book#2 1 n css: b x <nil> type", "book#2 1 p css: b x <nil> type", "book#2 1 u css: u <nil> <nil> nothing selected",
		"book#2 -1   <nil> <nil> last",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSameRowsEveryTime(t *testing.T) {
	p := mustCompile(t, harrow.Rule{Record: "a", Fields: fields(t, `{"x":{"jsonld":"$..*","type":"list"},"y":{"jsonld":"$..[?@.v > 1].n","type":"list"}}`)})
	var members []string
	for i := range 30 {
		members = append(members, fmt.Sprintf(`"k%d":{"v":%d,"n":"n%d","deep":{"x":[%d,{"y":%d}]}}`, i, i, i, i, i))
	}
	page := `<script type="application/ld+json">{` + strings.Join(members, ",") + `}</script>`
	first := apply(t, p, shopDocument(page)).rows
	for range 20 {
		if again := apply(t, p, shopDocument(page)).rows; !slices.Equal(first, again) {
			t.Fatalf("got %q; before %q", again, first)
		}
	}
	if !strings.Contains(first[0], `"n2"`) {
		t.Errorf("got %q", first)
	}
}
