package xpath

import (
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// hasClass is the predicate that XPath 1.0 needs for what CSS calls .name.
func hasClass(name string) string {
	return "[contains(concat(' ', normalize-space(@class), ' '), ' " + name + " ')]"
}

// pageFields are the fields of each kind of page, in XPath.
var pageFields = map[pages.Kind][]string{
	pages.Product: {
		"//h1", "//*" + hasClass("price--current"), "//th[contains(., 'UPC')]/following-sibling::*[1][self::td]", "//a[@itemprop='brand']",
		"//div" + hasClass("rating") + "/@data-value", "//*[@id='gallery']//img/@src", "//ul" + hasClass("tags") + "/li", "//meta[@name='description']/@content",
	},
	pages.Listing: {
		"//h1", "//*" + hasClass("toolbar") + "//*" + hasClass("result-count"), "//a[@rel='next']/@href", "//li" + hasClass("card") + "//h3/a",
		"//li" + hasClass("card") + "//*" + hasClass("price--current"), "//li" + hasClass("card") + "//img/@data-src",
		"//ol" + hasClass("breadcrumb") + "//li[not(following-sibling::*)]", "//link[@rel='canonical']/@href",
	},
	pages.Article: {
		"//h1", "//*" + hasClass("byline") + "//a", "//*" + hasClass("byline") + "//time/@datetime", "//p" + hasClass("lead"),
		"//*[@id='body']//h2", "//figure//figcaption", "//ul" + hasClass("tags") + "/li", "//meta[@property='og:image']/@content",
	},
}

func TestPagesGiveTheirValues(t *testing.T) {
	parser, doc := &html5.Parser{}, &dom.Tree{}
	for kind, exprs := range pageFields {
		for seed := range uint64(20) {
			page := pages.Make(kind, 8_000+int(seed)*3_000, seed)
			if err := parser.Parse(doc, page.HTML); err != nil {
				t.Fatal(err)
			}
			for i, f := range kind.Fields() {
				e, err := Compile(exprs[i])
				if err != nil {
					t.Fatal(err)
				}
				got, err := texts(e, doc, f.All, &Budget{1e6})
				for k := range got {
					got[k] = pages.Clean(got[k])
				}
				if value := strings.Join(got, "\n"); err != nil || value != page.Want[i] {
					t.Errorf("%s %d, %s by %s: %.200q, %v; want %.200q", kind, seed, f.Name, exprs[i], value, err, page.Want[i])
				}
			}
		}
	}
}

// BenchmarkXPath is eight fields of a page of 30 KB, together and one by one.
func BenchmarkXPath(b *testing.B) {
	page, doc := pages.Make(pages.Product, 30_000, 1), &dom.Tree{}
	if err := new(html5.Parser).Parse(doc, page.HTML); err != nil {
		b.Fatal(err)
	}
	exprs := pageFields[pages.Product]
	run := func(name string, sources ...string) {
		list := make([]*Expr, len(sources))
		for i, s := range sources {
			list[i], _ = Compile(s)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var nodes []Node
			for b.Loop() {
				for _, e := range list {
					var err error
					if nodes, _, _, err = e.Select(nodes[:0], doc, dom.Root, true, &Budget{1e9}); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(doc.Len()), "nodes")
		})
	}
	run("8 fields", exprs...)
	for _, s := range append(exprs, "//div", "//div[@class='x']", "//div[2]", "//text()", "count(//*)", "//none/following::*") {
		run(s, s)
	}
}
