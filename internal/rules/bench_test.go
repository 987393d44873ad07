package rules

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"github.com/harrowdata/harrow"
)

// benchPage is a product page of about 30 KB.
func benchPage() []byte {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>Tilth</title></head><body><header><ul class=nav>\n")
	for i := range 120 {
		fmt.Fprintf(&b, "<li class=\"nav-item level-%d\"><a href=\"/subject/%d/index.html\" data-track=nav-%d>Subject &amp; %d</a></li>\n", i%3, i, i, i)
	}
	b.WriteString(`</ul></header><article class="product_page"><div id="gallery"><img src="../media/7.jpg" alt="cover"></div><h1> Tilth of Places </h1>
<p class="price_color">£51.77</p><p class="instock availability"><i class="icon-ok"></i> In stock (22 available)</p><p class="star-rating Two"></p>
<table><tr><th>UPC</th><td>9780000000007</td></tr><tr><th>Publisher</th><td>Seedbed</td></tr></table><ul class="tags"><li>Soil</li><li>Fields</li></ul>`)
	for i := 0; b.Len() < 29_000; i++ {
		fmt.Fprintf(&b, "<p class=t>Paragraph %d <b>of</b> running text that <i>goes on</i> for a while, as they do, and ends.</p>\n<div class=\"card c%d\"><span>more</span></div>\n", i, i)
	}
	b.WriteString("</article><footer></footer></body></html>")
	return []byte(b.String())
}

const benchFields = `{"upc":{"css":"th:contains('UPC') + td","required":true},"title":{"css":"h1","required":true},"price":{"css":".price_color","type":"money","currency":"GBP"},
"stock":{"css":".availability","regex":"(\\d+) available","type":"int"},"rating":{"css":"p.star-rating@class","map":{"star-rating Two":2},"type":"int"},
"image":{"css":"#gallery img@src","type":"url"},"tags":{"css":"ul.tags li","type":"list"},"brand":{"css":"th:contains('Publisher') + td"}}`

// BenchmarkApply is a page as parse reads it. [BenchmarkGoquery] is the same by
// hand; compare within one run.
func BenchmarkApply(b *testing.B) {
	page := shopPage(string(benchPage()))
	p := mustCompile(b, harrow.Rule{Record: "book", Match: []string{"/catalogue/*/index.html"}, Fields: fields(b, benchFields)})
	var shared Pages
	b.ReportAllocs()
	b.SetBytes(int64(len(page.Body)))
	for b.Loop() {
		rows := 0
		d := shared.Document(page, canonical, Limits{})
		err := p.Apply(context.Background(), d, func(Row) error { rows++; return nil }, func(r harrow.Reject) error { return fmt.Errorf("%+v", r) })
		d.Close()
		if err != nil || rows != 1 {
			b.Fatal(rows, err)
		}
	}
}

// BenchmarkLinks is a page as a round of fetching looks into it.
func BenchmarkLinks(b *testing.B) {
	page := shopPage(string(benchPage()))
	f := mustFollow(b, harrow.Follow{CSS: "a@href"})
	var shared Pages
	b.ReportAllocs()
	b.SetBytes(int64(len(page.Body)))
	for b.Loop() {
		links := 0
		d := shared.Document(page, canonical, Limits{})
		if err := f.Links(d, func(Link) error { links++; return nil }); err != nil || links != 120 {
			b.Fatal(links, err)
		}
		d.Close()
	}
}

// BenchmarkSelectors is one field by each kind of selector, the page's pieces
// made once.
func BenchmarkSelectors(b *testing.B) {
	page := NewDocument(shopPage(string(benchPage())), canonical, Limits{})
	data := strings.Repeat(`{"upc":"1","brand":{"name":"x"},"tags":["a","b"]},`, 300)
	value := pageOf("application/json", "/", `{"items":[`+data+`{"upc":"2","brand":{"name":"Seedbed"},"tags":["z"]}]}`)
	for _, bm := range []struct {
		name, field string
		d           *Document
	}{
		{"css", `{"css":"article table th + td"}`, page},
		{"xpath", `{"xpath":"//article//table//th/following-sibling::td"}`, page},
		{"xpath by class", `{"xpath":"//p[contains(concat(' ', @class, ' '), ' price_color ')]"}`, page},
		{"css by class", `{"css":"p.price_color"}`, page},
		{"any", `{"any":[{"css":"h6"},{"xpath":"//h5"},{"css":"p.price_color"}]}`, page},
		{"regex", `{"regex":"price_color.>(.*?)<"}`, page},
		{"jsonpath by name", `{"jsonpath":"$.items[300].brand.name"}`, value},
		{"jsonpath by filter", `{"jsonpath":"$.items[?@.upc == '2'].brand.name"}`, value},
		{"jsonpath, all below", `{"jsonpath":"$..name","type":"list"}`, value},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := mustCompile(b, harrow.Rule{Record: "r", Fields: fields(b, `{"f":`+bm.field+`}`)})
			b.ReportAllocs()
			for b.Loop() {
				bm.d.budget.Left = maxVisits
				err := p.Apply(context.Background(), bm.d, func(r Row) error {
					if r.Values[0] == nil {
						return fmt.Errorf("nothing selected")
					}
					return nil
				}, func(r harrow.Reject) error { return fmt.Errorf("%+v", r) })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGoquery is the plain loop that somebody would write by hand.
func BenchmarkGoquery(b *testing.B) {
	body := benchPage()
	number := regexp.MustCompile(`(\d+) available`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		doc, err := goquery.NewDocumentFromReader(bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		text := func(css string) string { return strings.Join(strings.Fields(doc.Find(css).First().Text()), " ") }
		upc, title, price, brand := text("th:contains('UPC') + td"), text("h1"), text(".price_color"), text("th:contains('Publisher') + td")
		stock := number.FindStringSubmatch(text(".availability"))
		rating, _ := doc.Find("p.star-rating").Attr("class")
		image, _ := doc.Find("#gallery img").Attr("src")
		tags := doc.Find("ul.tags li").Map(func(_ int, s *goquery.Selection) string { return s.Text() })
		if upc == "" || title == "" || price == "" || brand == "" || stock == nil || rating == "" || image == "" || len(tags) != 2 {
			b.Fatal("a field is missing")
		}
	}
}
