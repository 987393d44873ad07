package demosite

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// The hosts of the site. The first two share a registered domain.
const (
	Books   = "books.example"
	Media   = "media.books.example"
	Partner = "partner.example"
)

// Hosts are the hosts the site answers for: what `fetch.resolve` has to name.
var Hosts = []string{Books, Media, Partner}

// quirk is what is odd about a product or its page.
type quirk int

const (
	plain          quirk = iota
	noPrice              // the page has no price: a required field is missing
	onRequest            // the price is words: the type can't be read
	sixStars             // the rating is not in the job's map
	moved                // an old address answers 301 on the same host
	elsewhere            // linked by an address that answers 302 to another host of the registered domain
	acrossDomains        // reached only by a redirect from another registered domain
	partnersOnly         // linked only by the partner's site
	failsOnce            // 500, then fine
	limitedOnce          // 429 with Retry-After, then fine
	brokenMarkup         // unclosed and badly nested tags
	latin1               // ISO-8859-1, and only the header says so
	windows1252          // only the meta tag says so
	badBytes             // bytes that are not the UTF-8 the page claims to be
	twice                // a second page on the same host has the same UPC
	twiceElsewhere       // a second page on the media host has the same UPC
)

// quirks says which product has which. The numbers are part of the model: they
// leave the hosts and layouts below as these need them.
var quirks = map[int]quirk{
	3: noPrice, 8: onRequest, 13: sixStars, 5: moved, 12: elsewhere, 11: acrossDomains, 14: partnersOnly,
	16: failsOnce, 17: limitedOnce, 19: brokenMarkup, 20: latin1, 21: windows1252, 22: badBytes,
	25: twice, 26: twice, 27: twice, 28: twice, 29: twice, 31: twiceElsewhere, 32: twiceElsewhere, 33: twiceElsewhere,
}

const (
	firstPlain  = 34 // from here on no product has a quirk: these vanish
	minProducts = 40
)

// euroThousands is the one product whose price reads like "€1.234,56".
const euroThousands = 38

// product is one article of the catalogue at one revision.
type product struct {
	n      int // from 1
	quirk  quirk
	host   string
	layout string // "A" or "B"

	upc, title, brand string
	tags              []string
	stock, rating     int
	pence             int64  // the price in hundredths
	currency          string // GBP or EUR
	priced            int    // the revision its price is from
	gone              bool   // vanished by this revision
}

// products returns the catalogue at a revision: n at first, one more with each
// revision; those that vanished are there, marked gone.
func products(seed uint64, n, revision int) []product {
	list := make([]product, 0, n+revision)
	for i := 1; i <= n+revision; i++ {
		p := newProduct(seed, i)
		if i > n {
			p.priced = i - n
		}
		p.reprice(seed, revision)
		if r := i - firstPlain + 1; i >= firstPlain && i <= n && r <= revision {
			p.gone = true
		}
		list = append(list, p)
	}
	return list
}

func newProduct(seed uint64, n int) product {
	r := random(seed, uint64(n))
	p := product{n: n, quirk: quirks[n], host: Books, layout: "A", currency: "GBP"}
	switch {
	case n%12 == 11:
		p.host = Partner
	case n%6 == 0:
		p.host = Media
	}
	if p.host == Partner || n%3 == 1 && !needsA(p.quirk) {
		p.layout = "B"
	}
	p.title = title(r)
	if p.quirk == latin1 || p.quirk == windows1252 {
		p.title = "Café " + p.title
	}
	p.upc = fmt.Sprintf("978%05d%05d", r.IntN(100000), n)
	p.brand = pick(r, brands)
	for _, i := range r.Perm(len(subjects))[:1+r.IntN(3)] {
		p.tags = append(p.tags, subjects[i])
	}
	p.stock, p.rating = r.IntN(40), 1+r.IntN(5)
	p.pence = 399 + r.Int64N(7600)
	if n%17 == 15 || n == euroThousands {
		p.pence += 100000 + r.Int64N(300000)
	}
	if n%9 == 4 || n == euroThousands {
		p.currency = "EUR"
	}
	return p
}

// needsA says that a quirk is one of layout A's mark-up.
func needsA(q quirk) bool {
	switch q {
	case noPrice, onRequest, sixStars, brokenMarkup, latin1, windows1252, badBytes:
		return true
	}
	return false
}

// reprice applies the price changes of the revisions since the product is
// there: every tenth product changes, another tenth each time, and a changed
// price always differs from the one before.
func (p *product) reprice(seed uint64, revision int) {
	for k := p.priced + 1; k <= revision; k++ {
		if (p.n+3*k)%10 != 0 {
			continue
		}
		delta := 1 + random(seed, uint64(p.n), uint64(k)).Int64N(250)
		if k%2 == 0 && p.pence > 500 {
			delta = -delta
		}
		p.pence += delta
		p.priced = k
	}
}

func title(r *rand.Rand) string {
	a, n := pick(r, adjectives), pick(r, nouns)
	switch r.IntN(4) {
	case 0:
		return "The " + a + " " + n
	case 1:
		return a + " " + n + " & Other Stories"
	case 2:
		return "A " + n + " in " + pick(r, places)
	}
	return "The " + n + " of " + pick(r, places)
}

// path is the product's address on its host, or on another that has it too.
// Layouts have addresses of their own, as after a half-done relaunch.
func (p *product) path() string {
	dir := "catalogue"
	if p.layout == "B" {
		dir = "item"
	}
	return fmt.Sprintf("/%s/%s_%d/index.html", dir, slug(p.title), p.n)
}

// url is the page that the product's pages name as canonical.
func (p *product) url() string { return "http://" + p.host + p.path() }

// second is the other page with the same UPC; empty when there is none.
func (p *product) second() string {
	switch p.quirk {
	case twice:
		return "http://" + Books + strings.Replace(p.path(), "_", "-reissue_", 1)
	case twiceElsewhere:
		return "http://" + Media + p.path()
	}
	return ""
}

// link is the address the catalogue links to.
func (p *product) link() string {
	if p.quirk == elsewhere {
		return "http://" + Books + p.path()
	}
	return p.url()
}

// listed says that the catalogue's listings show the product.
func (p *product) listed() bool {
	return !p.gone && p.quirk != partnersOnly && p.quirk != acrossDomains
}

// readable says that a price can be read from the product's pages.
func (p *product) readable() bool { return p.quirk != noPrice && p.quirk != onRequest }

// image is where the product's picture lies.
func (p *product) image() string { return fmt.Sprintf("http://%s/media/%d.png", p.host, p.n) }

// amount is the price as a plain decimal: "1234.56".
func (p *product) amount() string { return fmt.Sprintf("%d.%02d", p.pence/100, p.pence%100) }

// pounds is the amount in pounds sterling at 0.8625 to the euro.
func (p *product) pounds() string {
	pence := p.pence
	if p.currency == "EUR" {
		pence = (pence*8625 + 5000) / 10000
	}
	return fmt.Sprintf("%d.%02d", pence/100, pence%100)
}

// number is the price as the shop writes it, without the currency's sign:
// "1,234.56", or "1.234,56" in euro.
func (p *product) number() string {
	thousands, decimal := ",", "."
	if p.currency == "EUR" {
		thousands, decimal = decimal, thousands
	}
	whole := strconv.FormatInt(p.pence/100, 10)
	if len(whole) > 3 {
		whole = whole[:len(whole)-3] + thousands + whole[len(whole)-3:]
	}
	return fmt.Sprintf("%s%s%02d", whole, decimal, p.pence%100)
}

// price is the price as the shop writes it: "£51.77", "€12,50".
func (p *product) price() string {
	if p.currency == "EUR" {
		return "€" + p.number()
	}
	return "£" + p.number()
}
