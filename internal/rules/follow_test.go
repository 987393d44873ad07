package rules

import (
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
