package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

func mustFollow(t testing.TB, rules ...harrow.Follow) *Follower {
	t.Helper()
	f, err := CompileFollow(rules)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func links(t testing.TB, f *Follower, d *Document) (list []string) {
	t.Helper()
	if err := f.Links(d, func(l Link) error { list = append(list, l.Ref+"|"+l.Text); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLinksInDocumentOrderRuleByRule(t *testing.T) {
	f := mustFollow(t,
		harrow.Follow{Within: []string{"/no"}, CSS: "a@href"},
		harrow.Follow{Within: []string{"/catalogue/**"}, CSS: "a@href"},
		harrow.Follow{CSS: "link[rel=next]@href"},
		harrow.Follow{CSS: "loc"})
	d := shopDocument(`<link rel=next href="?page=2"><a href=" b "> B <i>b</i></a><a>none</a><a href="">self</a><a href="#x"></a><loc> http://x/ </loc>`)
	want := []string{" b |B b", "|self", "#x|", "?page=2|", " http://x/ |http://x/"}
	if got := links(t, f, d); !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

func TestLinkTextIsBounded(t *testing.T) {
	f := mustFollow(t, harrow.Follow{CSS: "a@href"})
	for _, text := range []string{strings.Repeat("é", 500), "x" + strings.Repeat("<i>é</i>", 500), "x" + strings.Repeat("é", 1<<20)} {
		got := links(t, f, shopDocument(`<a href=x>`+text+`</a>`))
		if n := len(got[0]) - 2; n > MaxLinkText || n < MaxLinkText-2 || strings.ContainsRune(got[0], '\uFFFD') {
			t.Errorf("got %d bytes", n)
		}
	}
}

func TestLinksAreBounded(t *testing.T) {
	f := mustFollow(t, harrow.Follow{CSS: "a@href"})
	n := 0
	err := f.Links(shopDocument(strings.Repeat("<a href=x>", MaxLinks+5)), func(Link) error { n++; return nil })
	var fault *Fault
	if !errors.As(err, &fault) || fault.Code != CodeLinks && fault.Code != CodeNesting {
		t.Errorf("got %v", err)
	}
	n = 0
	err = f.Links(shopDocument(strings.Repeat("<a href=x></a>", MaxLinks+5)), func(Link) error { n++; return nil })
	if !errors.As(err, &fault) || fault.Code != CodeLinks || n != MaxLinks {
		t.Errorf("got %d links, %v", n, err)
	}
}

func TestLinksOfWhatIsNoMarkup(t *testing.T) {
	f := mustFollow(t, harrow.Follow{CSS: "a@href"})
	page := shopPage(`<a href=x>`)
	page.Capture.ContentType = "application/pdf"
	if got := links(t, f, NewDocument(page, canonical, Limits{})); got != nil {
		t.Errorf("got %q", got)
	}
	stop := errors.New("stop")
	if err := f.Links(shopDocument(`<a href=x>`), func(Link) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("emit's error: got %v", err)
	}
}

func TestLooksInto(t *testing.T) {
	f := mustFollow(t, harrow.Follow{Within: []string{"/", "/catalogue/page-*.html"}, CSS: "a@href"})
	for url, want := range map[string]bool{"http://a.example/": true, "http://a.example/catalogue/page-2.html": true, "http://a.example/catalogue/x/index.html": false} {
		u, err := canonical.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.LooksInto(u); got != want {
			t.Errorf("%s: got %v", url, got)
		}
		if !mustFollow(t, harrow.Follow{CSS: "a@href"}).LooksInto(u) || mustFollow(t).LooksInto(u) {
			t.Errorf("%s: without within every page, without rules none", url)
		}
	}
}

func TestLinksBySelector(t *testing.T) {
	const page = `<h1> Soil </h1><a href=1 onclick="go('x1')">one</a><p><a href=2><b>two</b></a><a>none</a></p><!-- http://books.example/c --><i>3</i>`
	for _, tt := range []struct {
		name, contentType, body, rules, want string
	}{
		{"xpath attributes", "text/html", page, `[{"xpath":"//a/@href"}]`, "1|one 2|two"},
		{"xpath elements", "text/html", page, `[{"xpath":"//i | //p/preceding-sibling::a"}]`, "1|one 3|3"},
		{"an element that links somewhere is taken by its href", "text/html", page, `[{"css":"p > a, i"}]`, "2|two none|none 3|3"},
		{"xpath texts of links", "text/html", page, `[{"xpath":"//a[@href='1']/text()"}]`, "one|"},
		{"xpath texts", "text/html", page, `[{"xpath":"//i/text()"}]`, "3|"},
		{"css and a regex", "text/html", page, `[{"css":"a@onclick","regex":"'(.*?)'"}]`, "x1|one"},
		{"regex alone", "text/html", page, `[{"regex":"http://[^ ]+"}]`, "http://books.example/c|"},
		{"regex on text", "text/plain", "see http://a.example/1 and http://a.example/2", `[{"regex":"http://\\S+"}]`, "http://a.example/1| http://a.example/2|"},
		{"jsonpath", "application/json", `{"items":[{"url":"1"},{"url":"2"}],"next":null}`, `[{"jsonpath":"$.items[*].url"},{"jsonpath":"$.next"}]`, "1| 2|"},
		{"rules for other kinds of pages have none", "application/json", `["1"]`, `[{"css":"a@href"},{"xpath":"//a"},{"jsonpath":"$[*]"}]`, "1|"},
		{"jsonpath on a page", "text/html", page, `[{"jsonpath":"$..url"},{"css":"a[href='1']@href"}]`, "1|one"},
		{"links of a feed", "application/atom+xml", `<feed><entry><link href="1"/></entry><Link>2</Link></feed>`, `[{"xpath":"//link/@href"},{"xpath":"//Link"}]`, "1| 2|2"},
		{"broken JSON", "application/json", `{`, `[{"jsonpath":"$.a"}]`, "!json"},
		{"carry", "text/html", page, `[{"css":"i","carry":{"z":{"css":"h1"},"a":{"css":"h6"},"m":{"css":"i","map":{"3":"<three>"}},"u":{"css":"a@href","type":"url"},"p":{"from":"carry:rank"}}}]`,
			`3|3{"a":null,"m":"<three>","p":"1.5","u":"http://books.example/catalogue/tilth_1/1","z":"Soil"}`},
		{"carry that isn't in its map", "text/html", page, `[{"css":"i","carry":{"a":{"css":"i","map":{"4":"x"}}}}]`, `3|3{"a":null}`},
		{"carry of another kind of page", "text/html", page, `[{"css":"i","carry":{"a":{"jsonpath":"$.a"},"b":{"css":"h1","default":"x"},"c":{"css":"h6","default":"x"}}}]`, `3|3{"a":null,"b":"Soil","c":"x"}`},
		{"each rule its own carry", "text/html", page, `[{"css":"i","carry":{"a":{"css":"h1"}}},{"css":"a[href='2']@href"}]`, `3|3{"a":"Soil"} 2|two`},
		{"required carry keeps the rule's links back, not the others'", "text/html", page, `[{"css":"a@href","carry":{"a":{"css":"h6","required":true}}},{"css":"i"}]`, "3|3 !carry"},
		{"required carry where there are no links", "text/html", page, `[{"css":"u","carry":{"a":{"css":"h6","required":true}}}]`, ""},
		{"carry of JSON", "application/json", `{"a":"1","c":{"b":2}}`, `[{"jsonpath":"$.a","carry":{"c":{"jsonpath":"$.c"},"n":{"jsonpath":"$.c.b"}}}]`, `1|{"c":"{\"b\":2}","n":"2"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var defs []harrow.Follow
			if err := json.Unmarshal([]byte(tt.rules), &defs); err != nil {
				t.Fatal(err)
			}
			var got []string
			err := mustFollow(t, defs...).Links(pageOf(tt.contentType, "/catalogue/tilth_1/", tt.body), func(l Link) error {
				got = append(got, l.Ref+"|"+l.Text+l.Carry)
				return nil
			})
			var fault *Fault
			if errors.As(err, &fault) {
				got = append(got, "!"+fault.Code)
			} else if err != nil {
				t.Fatal(err)
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
		})
	}
}

func TestExplainShowsWhatWasTried(t *testing.T) {
	p := mustCompile(t, harrow.Rule{Record: "r", Fields: fields(t, `{"a":{"any":[{"css":"h6"},{"css":"h1","regex":"x(.)"},{"jsonpath":"$.a"},{"css":"i"},{"css":"b"}],"type":"int"},
"b":{"any":[{"css":"h6"},{"css":"h5"}],"default":"x"},"c":{"css":"h1","regex":"none"}}`)})
	traces := p.Explain(shopDocument("<h1>Soil</h1><i>three</i>"))
	if len(traces) != 3 {
		t.Fatalf("%+v", traces)
	}
	a, b, c := traces[0], traces[1], traces[2]
	if a.Selector != "css: i" || a.Raw != "three" || a.Value != nil || !strings.HasPrefix(a.Note, "type: ") || len(a.Tried) != 4 {
		t.Errorf("%+v", a)
	}
	if got := a.Tried[1]; got.Selector != "css: h1, regex: x(.)" || got.Raw != nil {
		t.Errorf("%+v", got)
	}
	if got := a.Tried[2]; !strings.Contains(got.Note, "the body is no JSON") {
		t.Errorf("%+v", got)
	}
	if b.Selector != "any: [css: h6, css: h5]" || b.Raw != nil || b.Value != "x" || b.Note != "nothing selected: the default" || len(b.Tried) != 2 {
		t.Errorf("%+v", b)
	}
	if c.Raw != "Soil" || c.Note != "nothing is left of what was selected" || c.Tried != nil {
		t.Errorf("%+v", c)
	}
}

func carryOf(css string) harrow.Fields {
	return harrow.Fields{{Name: "n", Field: harrow.Field{CSS: css}}}
}

func TestFollowErrorsNameTheRule(t *testing.T) {
	for want, def := range map[string]harrow.Follow{
		`css "a[": `:                   {CSS: "a["},
		`within: pattern "x"`:          {CSS: "a", Within: []string{"x"}},
		`xpath "//a[": `:               {XPath: "//a["},
		`xpath "count(//a)": the expr`: {XPath: "count(//a)"},
		`jsonpath "a": `:               {JSONPath: "a"},
		`regex "(": `:                  {Regex: "("},
		`regex "[": `:                  {CSS: "a", Regex: "["},
		`got 2 selectors; want one of`: {CSS: "a", XPath: "//a"},
		`got 0 selectors; want one of`: {},
		`carry.n: css "b[": `:          {CSS: "a", Carry: carryOf("b[")},
		`carry.n: css "@id" means a r`: {CSS: "a", Carry: carryOf("@id")},
		`carry.n: list: one value is `: {CSS: "a", Carry: harrow.Fields{{Name: "n", Field: harrow.Field{CSS: "b", List: harrow.ListAll}}}},
		`carry.n: type int belongs to`: {CSS: "a", Carry: harrow.Fields{{Name: "n", Field: harrow.Field{CSS: "b", Type: "int"}}}},
		`css "@href" means a rule's e`: {CSS: "@href"},
	} {
		_, err := CompileFollow([]harrow.Follow{{CSS: "a@href"}, def})
		if err == nil || !strings.HasPrefix(err.Error(), "discover.follow[1]: "+want) {
			t.Errorf("got %v; want %s", err, want)
		}
	}
}

func fuzzFollower(t testing.TB) *Follower {
	return mustFollow(t, harrow.Follow{CSS: "a@href", Carry: carryOf("h1")}, harrow.Follow{XPath: "//a/@href | //b"}, harrow.Follow{JSONPath: "$..url"}, harrow.Follow{Regex: `https?://\S+`})
}

func fuzzProgram(t testing.TB) *Program {
	return mustCompile(t,
		harrow.Rule{Record: "a", Fields: fields(t, `{"h":{"css":"h1","required":true},"u":{"css":"a@href","type":"url","list":"all"},"l":{"jsonld":"$..name"},"r":{"regex":"(\\w+)@(\\w+)","type":"list"}}`)},
		harrow.Rule{Record: "b", Each: "li, p", Fields: fields(t, `{"n":{"css":":scope","type":"int"},"m":{"css":"b","type":"money"},"d":{"jsonld":"$.price","type":"decimal(9,2)"},"k":{"css":"i","map":{"x":"y"}}}`)},
		harrow.Rule{Record: "d", Fields: fields(t, `{"x":{"xpath":"//*[@id]/following::text()","type":"list"},"y":{"jsonpath":"$..[?@.a > 1].b","type":"list(float)"},"z":{"any":[{"xpath":"string(//i)"},{"jsonpath":"$[0]"},{"jsonld":"$.*"},{"regex":"\\d{4}-\\d+"}],"type":"timestamp","default":"2020-01-01"},"w":{"from":"carry:rank","type":"bool"}}`)},
		harrow.Rule{Record: "c", ContentType: []string{"text/*"}, Fields: fields(t, fmt.Sprintf(`{"s":{"css":"td + td"},"c":{"css":%q}}`, "th:contains('UPC') + td"))})
}
