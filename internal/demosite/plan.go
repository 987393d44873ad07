package demosite

import (
	"fmt"
	"net/http"
	"sort"
	"strings"
	"time"
)

// perListing is how many products a page of the catalogue shows.
const perListing = 20

// page is one address of the site and everything that is decided about it.
type page struct {
	url      string
	method   string // that it answers to; default GET
	wants    string // body of the request that it answers to
	sitemap  bool   // lists pages instead of being one
	status   int    // of the answer, once it is fine
	location string // of a redirect, relative or absolute
	once     int    // status of the very first answer; 0: fine at once
	denied   bool   // robots.txt disallows it
	round    int    // the fetch round that a harvest from the home page asks it in
	listing  bool   // the job looks for links in it
	unlinked bool   // served, but only redirects lead to it

	contentType string
	etag        bool      // answers with an ETag and honours If-None-Match
	modified    time.Time // answers with Last-Modified and honours If-Modified-Since; zero: neither

	product *product // whose record the page carries; nil: none
	body    func() []byte
}

// plan is the whole site at one revision; it is immutable.
type plan struct {
	revision int
	products []product
	desk     *desk
	pages    map[string]*page // by URL
	listings [][]*product     // what /, /catalogue/page-2.html, … show
}

// epoch is when the shop's pages were last modified at revision 0.
var epoch = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

// newPlan decides everything: it is what the site serves and what the
// expectations are read from.
func newPlan(o Options, revision int) *plan {
	p := &plan{revision: revision, products: products(o.Seed, o.Products, revision), pages: map[string]*page{}}
	var listed []*product
	for i := range p.products {
		if a := &p.products[i]; a.listed() {
			listed = append(listed, a)
		}
	}
	for len(listed) > 0 {
		n := min(perListing, len(listed))
		p.listings = append(p.listings, listed[:n])
		listed = listed[n:]
	}
	for i := range p.listings {
		p.add(&page{url: p.listingURL(i), listing: true, etag: true, body: func() []byte { return p.renderListing(i) }})
	}
	for i := range p.products {
		p.addProduct(o.Seed, &p.products[i])
	}
	p.addMedia()
	p.addPartner()
	p.addOddities()
	p.desk = newDesk(o.Seed, p.products)
	p.addDesk()
	return p
}

// add completes a page's defaults and takes it in.
func (p *plan) add(g *page) {
	if g.status == 0 {
		g.status = http.StatusOK
	}
	if g.method == "" {
		g.method = http.MethodGet
	}
	if g.contentType == "" && g.body != nil {
		g.contentType = "text/html; charset=utf-8"
	}
	if strings.HasPrefix(g.url, "http://"+Partner+"/") && g.round == 0 {
		g.round = 1
	}
	if _, dup := p.pages[g.url]; dup {
		panic("demosite: two pages at " + g.url)
	}
	p.pages[g.url] = g
}

// listingURL is the address of the i-th page of the catalogue, from 0.
func (p *plan) listingURL(i int) string {
	if i == 0 {
		return "http://" + Books + "/"
	}
	return fmt.Sprintf("http://%s/catalogue/page-%d.html", Books, i+1)
}

// addProduct adds the pages of one product.
func (p *plan) addProduct(seed uint64, a *product) {
	main := &page{url: a.url(), product: a, body: func() []byte { return renderProduct(seed, a, a.host) }}
	if a.gone {
		p.add(&page{url: a.url(), status: http.StatusGone, body: notice("410 Gone", "This title is no longer sold.")})
		return
	}
	// What a redirect ends at carries no validators, so that what a second run
	// sees does not depend on whether a client sends them along the hops.
	switch {
	case a.quirk == moved || a.quirk == elsewhere || a.quirk == acrossDomains:
	case a.layout == "A":
		main.etag = true
	default:
		main.modified = epoch.AddDate(0, 0, a.priced)
	}
	switch a.quirk {
	case failsOnce:
		main.once = http.StatusInternalServerError
	case limitedOnce:
		main.once = http.StatusTooManyRequests
	case latin1:
		main.contentType = "text/html; charset=ISO-8859-1"
	case windows1252:
		main.contentType = "text/html"
	case moved:
		p.add(&page{url: p.oldURL(a), status: http.StatusMovedPermanently, location: "../" + strings.SplitN(a.path(), "/", 3)[2], product: a})
	case elsewhere:
		main.unlinked = true
		p.add(&page{url: a.link(), status: http.StatusFound, location: a.url(), product: a})
	case acrossDomains:
		p.add(&page{url: "http://" + Books + "/go/partner", status: http.StatusFound, location: a.url()})
	case partnersOnly:
		main.round = 2
	}
	p.add(main)
	if u := a.second(); u != "" {
		host := strings.Split(u, "/")[2]
		p.add(&page{url: u, product: a, etag: true, body: func() []byte { return renderProduct(seed, a, host) }})
	}
}

// oldURL is the address that the moved product had.
func (p *plan) oldURL(a *product) string {
	return fmt.Sprintf("http://%s/catalogue/former-title_%d/index.html", Books, a.n)
}

// galleries is the number of picture pages on the media host.
const galleries = 6

func (p *plan) addMedia() {
	root := "http://" + Media
	p.add(&page{url: root + "/", listing: true, etag: true, body: p.renderMediaHome})
	for i := 1; i <= galleries; i++ {
		p.add(&page{url: fmt.Sprintf("%s/gallery/%d.html", root, i), etag: true, body: func() []byte { return p.renderGallery(i) }})
	}
	p.add(&page{url: root + "/media/poster.png", contentType: "image/png", etag: true, body: func() []byte { return pixel }})
}

func (p *plan) addPartner() {
	root := "http://" + Partner
	p.add(&page{url: root + "/", listing: true, etag: true, body: p.renderPartnerHome})
	p.add(&page{url: root + "/staff/rota.html", denied: true, body: notice("Rota", "Not for robots.")})
	p.add(&page{url: root + "/imprint.html", etag: true, body: notice("Imprint", "A shop that sells what its neighbour prints.")})
}

// addOddities adds the pages that are no products.
func (p *plan) addOddities() {
	root := "http://" + Books
	p.add(&page{url: root + "/about.html", etag: true, body: notice("About us", "We sell books that nobody wrote.")})
	p.add(&page{url: root + "/private/press.html", etag: true, body: notice("Press", "The one page in /private/ that robots may read.")})
	p.add(&page{url: root + "/private/stock.html", denied: true, body: notice("Stock", "Not for robots.")})
	p.add(&page{url: root + "/catalogue/blank.html", body: func() []byte { return nil }})
	p.add(&page{url: root + "/catalogue/lost-book_9001/index.html", status: http.StatusNotFound, body: notice("404 Not Found", "No such book.")})
	p.add(&page{url: root + "/catalogue/out-of-print_9002/index.html", status: http.StatusGone, body: notice("410 Gone", "Out of print.")})
	p.add(&page{url: root + "/trade/prices.html", status: http.StatusForbidden, body: notice("403 Forbidden", "Trade customers only.")})
}

// odd lists what the home page links to beside the catalogue, in order.
func (p *plan) odd() []string {
	root := "http://" + Books
	links := []string{"/about.html", "/private/press.html", "/private/stock.html", "/catalogue/blank.html", "/catalogue/lost-book_9001/index.html",
		"/catalogue/out-of-print_9002/index.html", "/trade/prices.html", "/go/partner", "http://" + Media + "/", "http://" + Partner + "/"}
	links = append(links, deskLinks()...)
	for i := range p.products {
		switch a := &p.products[i]; {
		case a.gone:
			links = append(links, a.url())
		case a.quirk == moved:
			links = append(links, p.oldURL(a))
		case a.second() != "":
			links = append(links, a.second())
		}
	}
	for i, l := range links {
		links[i] = strings.TrimPrefix(l, root)
	}
	return links
}

// sorted returns the pages by URL.
func (p *plan) sorted() []*page {
	list := make([]*page, 0, len(p.pages))
	for _, g := range p.pages {
		list = append(list, g)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].url < list[j].url })
	return list
}
