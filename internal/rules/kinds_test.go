package rules

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

// pageOf is a page of a content type and a path.
func pageOf(contentType, path, body string) *Document {
	p := shopPage(body)
	p.Capture.ContentType, p.Capture.FinalURL = contentType, "http://books.example"+path
	return NewDocument(p, canonical, Limits{})
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const feed = `<?xml version="1.0" encoding="iso-8859-1"?><!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>
<rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/"><channel><title>Fields &amp; soil</title><link>http://books.example/</link>
<item><guid isPermaLink="false">7</guid><link>http://books.example/7</link><pubDate>Sun, 06 Nov 1994 08:49:37 GMT</pubDate><media:content url="7.png"/><b>&b;</b></item>
<item><guid>8</guid><title><![CDATA[A <b>bold</b> ]]>claim&nbsp;&eacute;</title><empty/><link>http://books.example/8</link></item></channel></rss>`

func TestKindsOfPages(t *testing.T) {
	for _, tt := range []struct{ name, contentType, path, body, field, want string }{
		{"XML by css", "application/rss+xml", "/feed", feed, `{"css":"item > link","type":"list"}`, `f=["http://books.example/7" "http://books.example/8"]`},
		{"XML by css, names in any case", "text/xml", "/feed", feed, `{"css":"item pubDate"}`, `f="Sun, 06 Nov 1994 08:49:37 GMT"`},
		{"XML attributes by css", "text/xml", "/feed", feed, `{"css":"guid[isPermaLink=false]"}`, `f="7"`},
		{"XML attribute's value by css", "text/xml", "/feed", feed, `{"css":"guid@isPermaLink"}`, `f="false"`},
		{"XML prefix by css", "text/xml", "/feed", feed, `{"css":"media\\:content@url"}`, `f="7.png"`},
		{"XML by xpath keeps its capitals", "text/xml", "/feed", feed, `{"xpath":"//item/pubDate","type":"timestamp","format":"%a, %d %b %Y %T %Z"}`, `f=1994-11-06 08:49:37 +0000 UTC`},
		{"XML by xpath, another case", "text/xml", "/feed", feed, `{"xpath":"//item/pubdate"}`, ``},
		{"XML prefix by xpath", "text/xml", "/feed", feed, `{"xpath":"//media:content/@url"}`, `f="7.png"`},
		{"XML text is text", "text/xml", "/feed", feed, `{"xpath":"//item[2]/title"}`, `f="A <b>bold</b> claim é"`},
		{"XML entities that are declared stay what they are", "text/xml", "/feed", feed, `{"xpath":"//item/b"}`, `f="&b;"`},
		{"XML empty elements end", "text/xml", "/feed", feed, `{"xpath":"count(//empty/following-sibling::*)","type":"int"}`, `f=1`},
		{"XML of a default namespace", "application/atom+xml", "/feed", `<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id></entry></feed>`, `{"xpath":"//entry/id"}`, `f="1"`},
		{"XML whose tags are not closed", "text/xml", "/feed", `<a><b>1<c>2</a><d>`, `{"xpath":"//b/c"}`, `f="2"`},
		{"XML with control characters", "text/xml", "/feed", "<a>1\x00\x08</a>", `{"css":"a"}`, "f=\"1\uFFFD\uFFFD\""},
		{"XML that is none", "text/xml", "/feed", `<a b=>&<<`, `{"css":"a"}`, `!xml`},
		{"XML that is XHTML", "application/xml", "/x", `<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><body><br/>1<P>2</P></body></html>`, `{"css":"p"}`, `f="2"`},
		{"XHTML", "application/xhtml+xml", "/x", `<html><body><p>1<p>2`, `{"css":"p + p"}`, `f="2"`},
		{"JSON", "application/json", "/x", `{"a":[{"n":1.50},{"n":2}]}`, `{"jsonpath":"$.a[*].n","type":"list(decimal)"}`, `f=[1.5 2]`},
		{"JSON filters", "application/json", "/x", `[{"n":1,"t":"x"},{"n":2,"t":"y"}]`, `{"jsonpath":"$[?@.n > 1].t"}`, `f="y"`},
		{"JSON filters that look at the root", "application/json", "/x", `{"most":1,"a":[{"n":1},{"n":2,"t":"$..y"}]}`, `{"jsonpath":"$.a[?@.n > $.most].t"}`, `f="$..y"`},
		{"JSON names that are words", "application/json", "/x", `{"a":{"null":1,"b":{"true":2}}}`, `{"jsonpath":"$.a['null','b']..true"}`, `f="2"`},
		{"JSON null", "application/json", "/x", `{"a":null}`, `{"jsonpath":"$.a","required":true}`, `!required`},
		{"JSON objects", "application/json", "/x", `{"a":{"c":1,"b":[2]}}`, `{"jsonpath":"$.a"}`, `f="{\"b\":[2],\"c\":1}"`},
		{"JSON that the server calls something else", "text/html", "/x", ` {"a":1}`, `{"jsonpath":"$.a","type":"int"}`, `f=1`},
		{"JSON with a byte order mark", "application/json", "/x", "\ufeff{\"a\":1}", `{"jsonpath":"$.a","type":"int"}`, `f=1`},
		{"JSON in UTF-16", "application/json", "/x", "\xff\xfe{\x00\"\x00a\x00\"\x00:\x00\"\x00\x3d\xd8\x00\xde\"\x00}\x00", `{"jsonpath":"$.a"}`, `f="😀"`},
		{"JSON in UTF-16, big end first, without a mark", "application/problem+json", "/x", "\x00[\x001\x00]", `{"jsonpath":"$[0]"}`, `f="1"`},
		{"JSON in the encoding the server names", "application/json; charset=\"ISO-8859-1\"", "/x", "[\"\xe4\"]", `{"jsonpath":"$[0]"}`, `f="ä"`},
		{"JSON in no encoding", "application/json", "/x", "[\"\xe4\"]", `{"jsonpath":"$[0]"}`, `!json`},
		{"JSON with half a surrogate", "application/json", "/x", "\xff\xfe[\x00\"\x00\x3d\xd8\"\x00]\x00", `{"jsonpath":"$[0]"}`, `!json`},
		{"JSON of an odd length", "application/json", "/x", "\xff\xfe[\x00]", `{"jsonpath":"$[0]"}`, `!json`},
		{"JSON with something behind", "application/json", "/x", "{} {}", `{"jsonpath":"$.a"}`, `!json`},
		{"JSON that ends early", "application/json", "/x", `{"a":`, `{"jsonpath":"$.a"}`, `!json`},
		{"JSON with a comment", "application/json", "/x", `{"a":1 /* one */}`, `{"jsonpath":"$.a"}`, `!json`},
		{"JSON with NaN", "application/json", "/x", `{"a":NaN}`, `{"jsonpath":"$.a"}`, `!json`},
		{"no JSON", "text/html", "/x", `<p>{"a":1}`, `{"jsonpath":"$.a"}`, `!content_type`},
		{"nothing", "application/json", "/x", ``, `{"jsonpath":"$.a"}`, ``},
		{"css on JSON", "application/json", "/x", `{}`, `{"css":"p"}`, `!content_type`},
		{"xpath on text", "text/plain", "/x", `x`, `{"xpath":"//p"}`, `!content_type`},
		{"regex on text", "text/plain", "/x", "a=1\nb=2", `{"regex":"(?m)^b=(\\d)$","type":"int"}`, `f=2`},
		{"regex on JSON", "application/json", "/x", `{"a":"7"`, `{"regex":"\"a\":\"(\\d)"}`, `f="7"`},
		{"any on JSON", "application/json", "/x", `{"a":1}`, `{"any":[{"css":"p"},{"xpath":"//p"},{"jsonld":"$.a"},{"jsonpath":"$.a"}]}`, `f="1"`},
		{"any, none for this kind of page", "text/plain", "/x", `x`, `{"any":[{"css":"p"},{"jsonpath":"$.a"}]}`, `!content_type`},
		{"any, one for this kind of page", "text/plain", "/x", `x`, `{"any":[{"css":"p"},{"regex":"y"}],"default":"z"}`, `f="z"`},
		{"any on broken JSON", "application/json", "/x", `{`, `{"any":[{"jsonpath":"$.a"},{"regex":"."}]}`, `!json`},
		{"gzip of XML", "application/gzip", "/feed.xml.gz", gzipped(t, feed), `{"xpath":"//channel/title"}`, `f="Fields & soil"`},
		{"gzip of JSON", "application/octet-stream", "/a.json.gz", gzipped(t, `{"a":1}`), `{"any":[{"css":"p"},{"jsonpath":"$.a"}]}`, `f="1"`},
		{"gzip with a wrong header", "text/html", "/x", gzipped(t, "<p>1"), `{"css":"p"}`, `f="1"`},
		{"gzip of text", "application/x-gzip", "/x.txt.gz", gzipped(t, "<p>1"), `{"regex":"\\d"}`, `f="1"`},
		{"gzip of nothing known is HTML", "application/gzip", "/x.gz", gzipped(t, "<p>1"), `{"css":"p"}`, `f="1"`},
		{"gzip that is broken", "application/gzip", "/x.gz", gzipped(t, "<p>1")[:20], `{"css":"p"}`, `!gzip`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mustCompile(t, harrow.Rule{Record: "r", Fields: fields(t, `{"f":`+tt.field+`}`)})
			got := apply(t, p, pageOf(tt.contentType, tt.path, tt.body))
			code, rejected := strings.CutPrefix(tt.want, "!")
			if rejected {
				if len(got.rows) != 0 || len(got.rejects) != 1 || got.rejects[0].Code != code {
					t.Errorf("got %q, rejects %+v; want %s", got.rows, got.rejects, tt.want)
				}
				return
			}
			if want := strings.TrimSpace("r#1 0 " + tt.want); !slices.Equal(got.rows, []string{want}) || len(got.rejects) > 0 {
				t.Errorf("got %q, rejects %+v; want %s", got.rows, got.rejects, want)
			}
			for _, trace := range p.Explain(pageOf(tt.contentType, tt.path, tt.body)) {
				if trace.Field != "f" || trace.Value == nil && trace.Note == "" {
					t.Errorf("trace %+v", trace)
				}
			}
		})
	}
}

// fewVisits is a budget that saves seconds.
func fewVisits() int64 {
	if testing.Short() {
		return maxVisits / 200
	}
	return maxVisits / 20
}

// TestHostilePagesAreRejects makes what a page can be made of to hurt: each is
// rows or rejects, within memory.
func TestHostilePagesAreRejects(t *testing.T) {
	const deep, many = 100_000, 300_000
	p := mustCompile(t,
		harrow.Rule{Record: "r", Fields: fields(t, `{"a":{"any":[{"css":"p"},{"jsonpath":"$..x"}]},"b":{"xpath":"//*[@id='x'][last()]"}}`)},
		harrow.Rule{Record: "s", Fields: fields(t, `{"c":{"jsonpath":"$..[?@..y].z","type":"list"}}`)},
		harrow.Rule{Record: "u", Each: "*", Fields: fields(t, `{"d":{"xpath":"count(//*)","type":"int"}}`)})
	follow := mustFollow(t, harrow.Follow{XPath: "//*/@href"}, harrow.Follow{JSONPath: "$..*"})
	bomb := `<!DOCTYPE a [<!ENTITY x0 "x">`
	for i := range 30 {
		bomb += fmt.Sprintf(`<!ENTITY x%d "&x%d;&x%d;&x%d;&x%d;">`, i+1, i, i, i, i)
	}
	for _, tt := range []struct{ name, contentType, body string }{
		{"nested elements", "text/html", strings.Repeat("<div>", deep)},
		{"nested formatting", "text/html", strings.Repeat("<b><p>", deep)},
		{"nested XML", "text/xml", strings.Repeat("<a>", deep)},
		{"nested arrays", "application/json", strings.Repeat("[", deep) + strings.Repeat("]", deep)},
		{"nested objects", "application/json", strings.Repeat(`{"x":`, deep) + "1" + strings.Repeat("}", deep)},
		{"an entity bomb", "text/xml", bomb + "]><a>&x30;</a>"},
		{"a large attribute", "text/html", `<p id="` + strings.Repeat("x", 9<<20) + `">`},
		{"an attribute over the limit", "text/html", `<p id="` + strings.Repeat("x", 50<<20) + `">`},
		{"many attributes", "text/html", "<p" + strings.Repeat(" a=b", 2*many) + ">"},
		{"many attributes of XML", "text/xml", "<p" + strings.Repeat(" a='b'", many) + "/>"},
		{"many elements", "text/html", strings.Repeat("<i/><p>", many/2)},
		{"many elements of XML", "text/xml", "<a>" + strings.Repeat("<b/>", many) + "</a>"},
		{"many objects", "application/json", "[" + strings.Repeat("{},", many) + "{}]"},
		{"many members", "application/json", "{" + strings.Repeat(`"":1,`, many) + `"x":1}`},
		{"NUL", "text/html", strings.Repeat("\x00<p\x00>", 1000)},
		{"no UTF-8", "text/html; charset=utf-8", strings.Repeat("<p>\xff\xc0", 1000)},
		{"no UTF-16", "text/html; charset=utf-16", strings.Repeat("<p>\xd8\x00", 1001)},
		{"no UTF-16 in JSON", "application/json", "\xff\xfe" + strings.Repeat("\xd8", 1001)},
		{"text of XML without an end", "text/xml", "<a><![CDATA[" + strings.Repeat("]", many)},
		{"comments of XML without an end", "text/xml", "<a>" + strings.Repeat("<!--", deep)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runtime.GC()
			debug.SetMemoryLimit(1 << 30)
			defer debug.SetMemoryLimit(1 << 62)
			d := pageOf(tt.contentType, "/x", tt.body)
			d.budget.Left = fewVisits()
			got := apply(t, p, d)
			if len(got.rows)+len(got.rejects) == 0 {
				t.Error("neither rows nor rejects")
			}
			_ = follow.Links(d, func(Link) error { return nil })
		})
	}
}

// TestDeepPagesCostNoMoreThanTheirBudget has every element of a deep page
// selected, each of which has the page's whole text below it.
func TestDeepPagesCostNoMoreThanTheirBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("copies hundreds of megabytes, which the race detector watches byte by byte")
	}
	const deep = 100_000
	body, large := strings.Repeat("<div> ", deep), strings.Repeat("<div>", 1000)+strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name string
		rule harrow.Rule
		body string
		code string
	}{
		{"the text of rows, which is white space", harrow.Rule{Record: "r", Each: "div", Fields: fields(t, `{"a":{"css":":scope"}}`)}, body, CodeCost},
		{"the attribute that none below a row has", harrow.Rule{Record: "r", Each: "div", Fields: fields(t, `{"a":{"css":"div@id"}}`)}, body, CodeCost},
		{"a list of texts", harrow.Rule{Record: "r", Fields: fields(t, `{"a":{"css":"div","list":"all"}}`)}, body, CodeCost},
		{"a list of long texts", harrow.Rule{Record: "r", Fields: fields(t, `{"a":{"css":"div","list":"all"}}`)}, large, CodeRows},
		{"a list of long texts by XPath", harrow.Rule{Record: "r", Fields: fields(t, `{"a":{"xpath":"//div","list":"all"}}`)}, large, CodeRows},
		{"a list of attributes", harrow.Rule{Record: "r", Fields: fields(t, `{"a":{"css":"div@class","list":"all"}}`)}, body, ""},
	} {
		p := mustCompile(t, tt.rule)
		d := shopDocument(tt.body)
		d.budget.Left = fewVisits()
		got := apply(t, p, d)
		if codes := strings.Join(got.codes(), " "); codes != tt.code {
			t.Errorf("%s: %d rows, rejects %s, want %s", tt.name, len(got.rows), codes, tt.code)
		}
	}
	follow := mustFollow(t, harrow.Follow{CSS: "div", Regex: "x"})
	d := shopDocument(body)
	d.budget.Left = fewVisits()
	var fault *Fault
	if err := follow.Links(d, func(Link) error { return nil }); !errors.As(err, &fault) || fault.Code != CodeCost && fault.Code != CodeRows {
		t.Errorf("links: %v", err)
	}
}

func TestPagesThatCostTooMuchAreRejects(t *testing.T) {
	p := mustCompile(t,
		harrow.Rule{Record: "r", Fields: fields(t, `{"a":{"css":"p"}}`)},
		harrow.Rule{Record: "s", Each: "p", Fields: fields(t, `{"b":{"xpath":"count(//*[count(//*) > 99999])","type":"int"}}`)})
	d := shopDocument(strings.Repeat("<p>", 20_000))
	d.budget.Left = fewVisits()
	got := apply(t, p, d)
	if !slices.Equal(got.rows, []string{"r#1 0"}) || !slices.Equal(got.codes(), []string{CodeCost}) {
		t.Errorf("got %q, %q", got.rows, got.codes())
	}
	// A path whose filter looks at all of the page for each of its values.
	p = mustCompile(t, harrow.Rule{Record: "r", Fields: fields(t, `{"a":{"jsonpath":"$[?count($..*) > 90000]"}}`)})
	d = pageOf("application/json", "/", "["+strings.Repeat("0,", 50_000)+"1]")
	d.budget.Left = fewVisits()
	got = apply(t, p, d)
	if len(got.rows) != 0 || !slices.Equal(got.codes(), []string{CodeCost}) {
		t.Errorf("got %q, %q", got.rows, got.codes())
	}
}
