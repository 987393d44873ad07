package demosite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strconv"
	"strings"
)

// priceOnRequest is the price that can't be read.
const priceOnRequest = "on request"

// pixel is a picture: one transparent pixel.
var pixel = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89" +
	"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x03\x00\x08\xfc\x02\xfe\xa7\x9a\xa0\xa0\x00\x00\x00\x00IEND\xaeB`\x82")

// debris is mark-up so broken that the template package won't have it.
const debris = "<!-- a comment -- that -> ends in its own way --!>\n<p <a href=\"/catalogue/nowhere\" href=again>&nosuch; &#x110000; "

// productView is what the product templates see.
type productView struct {
	Title, Canonical, UPC, Brand, Price, Image string
	Stock, Stars                               string
	Tags                                       []string
	Text                                       []string
	LD                                         []template.JS
	Broken                                     bool
	Debris                                     template.HTML
	Charset                                    string
}

// renderProduct is a product's page as the host serves it: bytes in the page's
// own encoding.
func renderProduct(seed uint64, a *product, host string) []byte {
	v := productView{Title: a.title, Canonical: a.url(), UPC: a.upc, Brand: a.brand, Price: a.price(), Image: a.image(),
		Stock: strconv.Itoa(a.stock), Stars: ratings[a.rating-1], Tags: a.tags, Broken: a.quirk == brokenMarkup, Charset: "utf-8"}
	r := random(seed, uint64(a.n), 1<<32)
	for range 2 + r.IntN(3) {
		v.Text = append(v.Text, string(appendText(nil, r, 300)))
	}
	if host == a.host && a.layout == "A" {
		v.Image = fmt.Sprintf("../../media/%d.png", a.n)
	}
	switch a.quirk {
	case noPrice:
		v.Price = ""
	case onRequest:
		v.Price = priceOnRequest
	case sixStars:
		v.Stars = "Six"
	case windows1252:
		v.Charset = "windows-1252"
		v.Text[0] = "“" + v.Text[0] + "”"
	case brokenMarkup:
		v.Debris = debris
	case badBytes:
		v.Text[0] = "Not UTF-8: caf\xe9, na\xefve, \xff\xfe. " + v.Text[0]
	}
	if a.layout == "B" {
		v.LD = linkedData(a)
		return execute("B", v)
	}
	body := execute("A", v)
	if a.quirk == latin1 || a.quirk == windows1252 {
		return singleByte(body)
	}
	return body
}

// linkedData is the JSON-LD of a layout B page: a Product alone, in a @graph,
// or in a block after another.
func linkedData(a *product) []template.JS {
	price := a.amount()
	if a.currency != "GBP" || a.pence >= 100000 {
		price = strconv.Quote(strings.TrimPrefix(a.price(), "£")) // as people write it: "1,234.56", "€12,50"
	}
	product := map[string]any{
		"@type": "Product", "name": a.title, "gtin13": a.upc, "image": a.image(), "keywords": a.tags,
		"brand":           map[string]any{"@type": "Brand", "name": a.brand},
		"aggregateRating": map[string]any{"@type": "AggregateRating", "ratingValue": a.rating, "bestRating": 5},
		"offers":          map[string]any{"@type": "Offer", "price": json.RawMessage(price), "priceCurrency": a.currency},
	}
	crumbs := map[string]any{"@type": "BreadcrumbList", "itemListElement": []any{map[string]any{"@type": "ListItem", "position": 1, "item": "http://" + Books + "/"}}}
	blocks := []any{product}
	switch a.n / 3 % 3 {
	case 1:
		blocks = []any{map[string]any{"@context": "https://schema.org", "@graph": []any{crumbs, product}}}
	case 2:
		crumbs["@context"] = "https://schema.org"
		product["@context"] = "https://schema.org"
		blocks = []any{crumbs, product}
	default:
		product["@context"] = "https://schema.org"
	}
	scripts := make([]template.JS, len(blocks))
	for i, b := range blocks {
		text, err := json.MarshalIndent(b, "", "  ")
		if err != nil {
			panic(err) // maps of strings and numbers of our own
		}
		scripts[i] = template.JS(text)
	}
	return scripts
}

// singleByte encodes a page as ISO-8859-1, and the curly quotation marks as
// windows-1252 has them.
func singleByte(utf8 []byte) []byte {
	out := make([]byte, 0, len(utf8))
	for _, r := range string(utf8) {
		switch {
		case r == '“':
			out = append(out, 0x93)
		case r == '”':
			out = append(out, 0x94)
		case r < 0x100:
			out = append(out, byte(r))
		default:
			out = append(out, '?')
		}
	}
	return out
}

// card is one product in a listing.
type card struct {
	URL, Decorated, Title, Price, Image string
}

type listingView struct {
	Page, Pages    int
	Previous, Next string
	Products       []card
	Odd            []string
}

func (p *plan) renderListing(i int) []byte {
	v := listingView{Page: i + 1, Pages: len(p.listings)}
	if i > 0 {
		v.Previous = p.listingURL(i - 1)
	}
	if i+1 < len(p.listings) {
		v.Next = p.listingURL(i + 1)
	}
	for _, a := range p.listings[i] {
		c := card{URL: a.link(), Title: a.title, Image: a.image(), Decorated: a.link() + "?utm_source=grid&utm_medium=thumb#top"}
		if a.readable() {
			c.Price = a.price()
		}
		if a.n%4 == 0 { // the same address, written in another way
			c.Decorated = strings.Replace(a.link(), "http://"+a.linkHost(), "HTTP://"+strings.ToUpper(a.linkHost())+":80", 1)
		}
		if a.linkHost() == Books {
			c.URL = strings.TrimPrefix(c.URL, "http://"+Books)
		}
		v.Products = append(v.Products, c)
	}
	if i == 0 {
		v.Odd = p.odd()
	}
	return execute("listing", v)
}

func (a *product) linkHost() string { return strings.Split(a.link(), "/")[2] }

func (p *plan) renderMediaHome() []byte {
	links := []string{"/media/poster.png"}
	for i := 1; i <= galleries; i++ {
		links = append(links, fmt.Sprintf("/gallery/%d.html", i))
	}
	for i := range p.products {
		if a := &p.products[i]; a.host == Media && a.listed() && a.quirk != elsewhere {
			links = append(links, a.path())
		}
	}
	return execute("index", indexView{Title: "Pictures", Links: links})
}

func (p *plan) renderPartnerHome() []byte {
	links := []string{"staff/rota.html", "imprint.html"}
	for i := range p.products {
		switch a := &p.products[i]; {
		case a.host == Partner && a.listed():
			links = append(links, strings.TrimPrefix(a.path(), "/"))
		case a.quirk == partnersOnly:
			links = append(links, a.url())
		}
	}
	// Relative to a base that is not the page's own folder.
	for i, l := range links {
		if !strings.HasPrefix(l, "http") {
			links[i] = "../" + l
		}
	}
	return execute("index", indexView{Title: "The partner's shop", Base: "http://" + Partner + "/shop/", Links: links})
}

func (p *plan) renderGallery(i int) []byte {
	v := indexView{Title: "Gallery " + strconv.Itoa(i)}
	for j := range p.products {
		if a := &p.products[j]; a.host == Media && a.n%galleries == i%galleries {
			v.Images = append(v.Images, a.image())
		}
	}
	return execute("index", v)
}

type indexView struct {
	Title, Base   string
	Links, Images []string
}

// notice is a page that says one thing.
func notice(heading, text string) func() []byte {
	return func() []byte { return execute("notice", [2]string{heading, text}) }
}

func execute(name string, view any) []byte {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, view); err != nil {
		panic(fmt.Sprintf("demosite: template %s: %v", name, err)) // the templates and what they see are ours
	}
	return b.Bytes()
}
