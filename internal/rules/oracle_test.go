package rules

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// oracleSelectors are of every kind that cascadia takes, with what is taken of
// an element behind an @.
var oracleSelectors = []string{
	"h1", "a@href", "a@title", "img@src", "*", "p.price_color", ".instock.availability", "p[class]@class", "#gallery img@alt", "li:first-child", "li:last-child a",
	"li:nth-child(2n+1)", "tr:nth-last-child(-n+2) td", "p:only-child", "td:nth-of-type(1)", "th:contains('UPC') + td", "th ~ td", "article > h3 > a@href", "ul li a",
	"a[href^='/'], link[rel=stylesheet]", "a[href$='.html']@href", "a[href*=index]", "[class~=star-rating]@class", "[lang|=en]@lang", "a:not([title])@href", "div:has(img)@class",
	"p:empty@class", "body > *:not(header, footer)@class", "title", "meta@content", "option@value", "h6", "table tr:first-of-type > *", "span:matches('[0-9]+')", "a:containsOwn(e)@href", ":root@lang",
}

// oraclePages are pages of the demo's site, made ones, and fixtures.
func oraclePages(t *testing.T) (list []Page) {
	site := demosite.New(demosite.Options{})
	for _, info := range site.Pages() {
		if info.Outcome == "fetched" && info.Kind == "" && info.Method == "" {
			if page := demoPage(t, site, info); isMarkup(mediaType(page.Capture.ContentType)) && !isXML(mediaType(page.Capture.ContentType)) {
				list = append(list, page)
			}
		}
	}
	for _, kind := range pages.Kinds {
		for seed, size := range []int{5000, 30_000} {
			list = append(list, shopPage(string(pages.Make(kind, size, uint64(seed)).HTML)))
		}
	}
	for _, body := range []string{shopHTML, listing, pieces, string(benchPage())} {
		list = append(list, shopPage(body))
	}
	return list
}

// oracle is what goquery selects: rows of one list of texts each.
func oracle(t *testing.T, text []byte, each, css string, all bool) (rows []string) {
	doc, err := goquery.NewDocumentFromReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	scopes := doc.Selection
	if each != "" {
		scopes = doc.Find(each)
	}
	selector, attribute, _ := strings.Cut(css, "@")
	scopes.Each(func(_ int, scope *goquery.Selection) {
		var texts []string
		found := scope
		if selector != "" {
			found = scope.Find(selector)
		}
		found.EachWithBreak(func(_ int, s *goquery.Selection) bool {
			text, ok := s.Text(), true
			if attribute != "" {
				text, ok = attributeOf(s.Nodes[0], attribute)
			}
			if ok {
				texts = append(texts, text)
			}
			return all || !ok
		})
		kept := texts[:0]
		for _, text := range texts {
			if text = tidy(text); text != "" {
				kept = append(kept, text)
			}
		}
		rows = append(rows, fmt.Sprintf("%q", kept))
	})
	return rows
}

// attributeOf is goquery's Attr, but for attributes such as xlink:href, which
// goquery knows by the last part of their name alone.
func attributeOf(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Namespace == "" && a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func TestRulesSelectWhatGoquerySelects(t *testing.T) {
	var whole, each harrow.Fields
	for i, css := range oracleSelectors {
		whole = append(whole, harrow.NamedField{Name: fmt.Sprint("all", i), Field: harrow.Field{CSS: css, List: harrow.ListAll}},
			harrow.NamedField{Name: fmt.Sprint("one", i), Field: harrow.Field{CSS: css}})
	}
	const rows = "li, tr, article"
	eachCSS := []string{"a@href", "a", "*", "@class", "td:last-child", "article b", ":root a"}
	for i, css := range eachCSS {
		each = append(each, harrow.NamedField{Name: fmt.Sprint("all", i), Field: harrow.Field{CSS: css, List: harrow.ListAll}})
	}
	p := mustCompile(t, harrow.Rule{Record: "w", Fields: whole}, harrow.Rule{Record: "e", Each: rows, Fields: each})
	follow := mustFollow(t, harrow.Follow{CSS: "a@href"})
	var shared Pages
	for i, page := range oraclePages(t) {
		if testing.Short() && i%5 > 0 {
			continue
		}
		d := shared.Document(page, canonical, Limits{})
		got := make([][]string, 2*len(oracleSelectors)+len(eachCSS))
		err := p.Apply(t.Context(), d, func(r Row) error {
			at := 0
			if r.Record == 1 {
				at = 2 * len(oracleSelectors)
			}
			for k, v := range r.Values {
				text := "[]"
				if list, ok := v.([]string); ok {
					text = fmt.Sprintf("%q", list)
				} else if one, ok := v.(string); ok {
					text = fmt.Sprintf("%q", []string{one})
				}
				got[at+k] = append(got[at+k], text)
			}
			return nil
		}, func(r harrow.Reject) error { return fmt.Errorf("%+v", r) })
		if err != nil {
			t.Fatal(err)
		}
		text, _ := d.Text()
		check := func(got []string, each, css string, all bool) {
			if want := oracle(t, text, each, css, all); !slices.Equal(got, want) {
				t.Errorf("%s, each %q, css %q, all %v:\ngot  %.400q\nwant %.400q", page.Capture.URL, each, css, all, got, want)
			}
		}
		for k, css := range oracleSelectors {
			check(got[2*k], "", css, true)
			check(got[2*k+1], "", css, false)
		}
		for k, css := range eachCSS {
			check(got[2*len(oracleSelectors)+k], rows, css, true)
		}
		var refs []string
		if err := follow.Links(d, func(l Link) error { refs = append(refs, tidy(strings.Clone(l.Ref))); return nil }); err != nil {
			t.Fatal(err)
		}
		refs = slices.DeleteFunc(refs, func(ref string) bool { return ref == "" })
		check([]string{fmt.Sprintf("%q", refs)}, "", "a@href", true)
		d.Close()
		if t.Failed() {
			return
		}
	}
}

func TestMadePagesGiveTheirValues(t *testing.T) {
	for _, kind := range pages.Kinds {
		var list harrow.Fields
		for _, f := range kind.Fields() {
			css := f.CSS
			if f.Attr != "" {
				css += "@" + f.Attr
			}
			field := harrow.Field{CSS: css}
			if f.All {
				field.List = harrow.ListAll
			}
			list = append(list, harrow.NamedField{Name: f.Name, Field: field})
		}
		p := mustCompile(t, harrow.Rule{Record: "r", Fields: list})
		for seed := range uint64(5) {
			page := pages.Make(kind, 30_000, seed)
			err := p.Apply(t.Context(), shopDocument(string(page.HTML)), func(r Row) error {
				for i, v := range r.Values {
					got, _ := v.(string)
					if texts, ok := v.([]string); ok {
						got = strings.Join(texts, "\n")
					}
					if got != page.Want[i] {
						t.Errorf("%s %d, %s: %q, want %q", kind, seed, list[i].Name, got, page.Want[i])
					}
				}
				return nil
			}, func(r harrow.Reject) error { return fmt.Errorf("%+v", r) })
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
