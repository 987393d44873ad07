package demosite

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// BenchHost is the host of BenchURL. The handler of Bench answers for every
// host, so one server can stand for many.
const BenchHost = "bench.example"

// benchListing is how many products a listing of Bench links to.
const benchListing = 200

// BenchURL is the address of the i-th product page of Bench, from 0.
func BenchURL(i int) string { return "http://" + BenchHost + benchPath(i) }

func benchPath(i int) string { return "/p/" + strconv.Itoa(i) + ".html" }

// bench is what Bench serves: pages put together from parts rendered before.
type bench struct {
	pages, size int
	head, nav   []byte
	foot        []byte
	pool        []byte   // running text that the pages take their paragraphs from
	cards       [][]byte // other products, as pages show them
	buffers     sync.Pool
}

// Bench returns a site for measurements: pages product pages of size bytes at
// /p/0.html, /p/1.html, … in layout A with JSON-LD, and listings at /,
// /list/1.html, … of 200 products each, every one linking to the next. A page
// is never shorter than what frames its text, about 6 KB. Answering costs the
// server a copy of the page: text comes from 4 MiB that are generated once, cut
// differently for every page, so that pages compress like text and share
// little beyond their frame. There is no robots.txt: 404.
func Bench(pages, size int) http.Handler {
	b := &bench{pages: max(pages, 0), size: size}
	b.pool = appendText(nil, random(1, 7), 4<<20)
	b.head, b.nav, b.foot = benchFrame()
	for i := range benchCards {
		b.cards = append(b.cards, benchCard(i))
	}
	b.buffers.New = func() any { return new(bytes.Buffer) }
	return b
}

func benchFrame() (head, nav, foot []byte) {
	var n, f bytes.Buffer
	n.WriteString("<header class=\"site-header\"><ul class=\"nav nav-list\">\n")
	for i := range 40 {
		s := subjects[i%len(subjects)]
		fmt.Fprintf(&n, "<li class=\"nav-item level-%d\"><a href=\"/subject/%d/index.html\" data-track=\"nav-%d\">%s %d</a></li>\n", i%3, i, i, strings.ReplaceAll(s, "&", "&amp;"), i)
	}
	n.WriteString("</ul></header>\n")
	f.WriteString("<footer class=\"site-footer\"><div class=\"columns\">\n")
	for i := range 12 {
		fmt.Fprintf(&f, "<div class=\"column\"><h4>%s</h4><a href=\"/help/%d.html\">Help</a></div>\n", brands[i%len(brands)][:4], i)
	}
	f.WriteString("</div></footer>\n<script>window.shop = {cart: [], track: function (e) { this.cart.push(e); }};</script>\n</body></html>\n")
	return []byte("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><link rel=\"stylesheet\" href=\"/static/shop.css\">\n"), n.Bytes(), f.Bytes()
}

func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf := b.buffers.Get().(*bytes.Buffer)
	defer b.buffers.Put(buf)
	buf.Reset()
	if !b.render(buf, r.URL.Path) {
		http.Error(w, "no such page", http.StatusNotFound)
		return
	}
	h := w.Header()
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	h["Content-Length"] = []string{strconv.Itoa(buf.Len())}
	_, _ = w.Write(buf.Bytes()) // an error: the client has gone
}

// render writes the page of that path; false: there is none.
func (b *bench) render(buf *bytes.Buffer, path string) bool {
	if path == "/" {
		b.listing(buf, 0)
		return true
	}
	name, ok := strings.CutSuffix(path, ".html")
	if !ok {
		return false
	}
	product, isProduct := strings.CutPrefix(name, "/p/")
	list, isList := strings.CutPrefix(name, "/list/")
	switch {
	case isProduct:
		i, err := strconv.Atoi(product)
		if err != nil || i < 0 || i >= b.pages || benchPath(i) != path {
			return false
		}
		b.product(buf, i)
	case isList:
		i, err := strconv.Atoi(list)
		if err != nil || i < 1 || i*benchListing >= b.pages {
			return false
		}
		b.listing(buf, i)
	default:
		return false
	}
	return true
}

func (b *bench) listing(buf *bytes.Buffer, k int) {
	buf.Write(b.head)
	buf.WriteString("<title>Listing</title></head><body>\n")
	buf.Write(b.nav)
	for i := k * benchListing; i < min((k+1)*benchListing, b.pages); i++ {
		path := benchPath(i)
		buf.WriteString("<article class=\"product_pod\"><h3><a href=\"" + path + "\">Product " + strconv.Itoa(i) + "</a></h3></article>\n")
	}
	if (k+1)*benchListing < b.pages {
		buf.WriteString("<a class=\"next\" href=\"/list/" + strconv.Itoa(k+1) + ".html\">next</a>\n")
	}
	buf.Write(b.foot)
}

// product writes page i: the same facts as layout A, then text up to size.
func (b *bench) product(buf *bytes.Buffer, i int) {
	h := mix(uint64(i))
	n := strconv.Itoa(i)
	name := nouns[h%32] + " of " + places[h>>5%20] + " " + n
	price := strconv.Itoa(int(3+h>>10%90)) + "." + strconv.Itoa(int(10+h>>17%90))
	brand := [...]string{"Tilth House", "Harbour Lane", "Seedbed", "North Field"}[h>>24%4]
	buf.Write(b.head)
	buf.WriteString("<title>" + name + "</title><link rel=\"canonical\" href=\"http://" + BenchHost + benchPath(i) + "\">\n")
	buf.WriteString(`<script type="application/ld+json">{"@context":"https://schema.org","@type":"Product","name":"` + name + `","gtin13":"978` + pad(i) +
		`","brand":{"@type":"Brand","name":"` + brand + `"},"offers":{"@type":"Offer","price":"` + price + `","priceCurrency":"GBP"}}</script></head><body>` + "\n")
	buf.Write(b.nav)
	buf.WriteString(`<article class="product_page"><div id="gallery"><img src="../media/` + n + `.jpg" alt="cover"></div><h1>` + name + `</h1><p class="price_color">£` + price +
		`</p><p class="instock availability">In stock (` + strconv.Itoa(int(h>>30%50)) + ` available)</p><p class="star-rating ` + ratings[h>>36%5] +
		`"></p><table><tr><th>UPC</th><td>978` + pad(i) + `</td></tr><tr><th>Publisher</th><td>` + brand + `</td></tr></table><ul class="tags"><li>` +
		subjects[h>>40%7] + `</li><li>` + subjects[7] + `</li></ul>` + "\n")
	end := b.size - len(b.foot) - len("</article>\n")
	b.text(buf, h, buf.Len()+(end-buf.Len())/5)
	buf.WriteString("<section class=\"reviews\"><h2>What readers say</h2>\n")
	for k := 0; k < 6 && buf.Len()+1200 < end; k++ {
		h = mix(h)
		b.review(buf, h)
	}
	buf.WriteString("</section>\n<section class=\"related\"><h2>More like this</h2><ol class=\"row\">\n")
	const tail = "</ol></section>\n"
	for {
		h = mix(h)
		card := b.cards[h%benchCards]
		if buf.Len()+len(card)+len(tail) > end {
			break
		}
		buf.Write(card)
	}
	buf.WriteString(tail)
	b.text(buf, h, end)
	buf.WriteString("</article>\n")
	buf.Write(b.foot)
}

// benchCards is how many other products pages show.
const benchCards = 1 << 10

func benchCard(i int) []byte {
	h := mix(uint64(i) + 1<<40)
	n := strconv.Itoa(i)
	name := nouns[h%32] + " of " + places[h>>5%20]
	return []byte(`  <li class="col-xs-6 col-sm-4 col-md-3 col-lg-3">
    <article class="product_pod">
      <div class="image_container">
        <a href="` + benchPath(i) + `"><img src="../media/cache/` + n + `.jpg" alt="` + name + `" class="thumbnail"></a>
      </div>
      <p class="stars ` + ratings[h>>36%5] + `"><i class="icon-star"></i><i class="icon-star"></i><i class="icon-star"></i><i class="icon-star"></i><i class="icon-star"></i></p>
      <h3><a href="` + benchPath(i) + `" title="` + name + `">` + name + `</a></h3>
      <div class="product_price">
        <span class="amount">£` + strconv.Itoa(int(3+h>>10%90)) + "." + strconv.Itoa(int(10+h>>17%90)) + `</span>
        <span class="instock"><i class="icon-ok"></i> In stock</span>
        <form><button type="submit" class="btn btn-primary btn-block" data-loading-text="Adding...">Add to basket</button></form>
      </div>
    </article>
  </li>
`)
}

// review writes what a reader said.
func (b *bench) review(buf *bytes.Buffer, h uint64) {
	at := int(h >> 16 % uint64(len(b.pool)-400))
	buf.WriteString(`<div class="review"><h4>` + nouns[h>>40%32] + ` <small>` + places[h>>46%20] + `</small></h4><p class="date"><time datetime="2024-0` + strconv.Itoa(int(1+h>>52%9)) + `-11">` +
		strconv.Itoa(int(1+h>>52%9)) + ` months ago</time></p><p>`)
	buf.Write(b.pool[at : at+200+int(h%200)])
	buf.WriteString("</p></div>\n")
}

// text adds paragraphs until the buffer is size bytes long, each cut from
// another place of the pool.
func (b *bench) text(buf *bytes.Buffer, h uint64, size int) {
	const frame = len("<p class=\"t\"></p>\n")
	for left := size - buf.Len(); left > 0; left = size - buf.Len() {
		h = mix(h)
		n := 300 + int(h%900)
		if left < n+2*frame { // the last one
			n = left - frame
		}
		if n <= 0 {
			buf.WriteString(strings.Repeat(" ", left))
			return
		}
		at := int(h >> 16 % uint64(len(b.pool)-n))
		buf.WriteString("<p class=\"t\">")
		buf.Write(b.pool[at : at+n])
		buf.WriteString("</p>\n")
	}
}

// pad is i in ten digits.
func pad(i int) string {
	s := strconv.Itoa(i)
	return "0000000000"[min(len(s), 10):] + s
}

// mix is the finaliser of splitmix64: a cheap, well spread function of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
