package demosite

import (
	"bytes"
	"net/http"
	"slices"
	"sort"
	"strings"
)

// Book is one product as a correct harvest with testdata/demo/shop.yaml has it
// after refine: one for each UPC whose pages can be read.
type Book struct {
	UPC      string   `json:"upc"`
	URL      string   `json:"url"` // canonical, as every page of the product names it
	Title    string   `json:"title"`
	Amount   string   `json:"price_amount"` // plain decimal, two places: compare by value
	Currency string   `json:"price_currency"`
	Pounds   string   `json:"price_pounds"` // the amount by testdata/demo/rates.csv, rounded half up to two places
	Stock    int64    `json:"stock"`
	Rating   int64    `json:"rating"`
	Image    string   `json:"image"`
	Tags     []string `json:"tags"`
	Brand    string   `json:"brand"`

	URLs []string `json:"pages"` // of the requests whose captures carry the book, sorted: so many rows does parse make of it
}

// Offer is one product as the catalogue's listings show it.
type Offer struct {
	URL      string `json:"url"`
	Title    string `json:"title"`
	Amount   string `json:"price_amount"` // empty: the listing shows none, so the column is null
	Currency string `json:"price_currency"`
	Shop     string `json:"shop"` // the host of the listing
	Page     string `json:"page"` // the listing's request
}

// PageInfo is what a correct harvest from the home page records for one
// request.
type PageInfo struct {
	URL     string `json:"url"`
	Outcome string `json:"outcome"`          // of the closed set in DESIGN.md section 7
	Code    string `json:"code,omitempty"`   // "robots" where denied; else empty: the status says it
	Status  int    `json:"status"`           // of the last answer; 0: never asked
	Final   string `json:"final_url"`        // of the last answer
	Round   int    `json:"round"`            // that admits it
	Asks    int    `json:"asks"`             // exchanges it takes: retries and hops within the registered domain count, robots.txt doesn't
	Kind    string `json:"kind,omitempty"`   // "sitemap"; empty: a page
	Method  string `json:"method,omitempty"` // empty: GET
	Listing bool   `json:"listing"`          // the job looks for links in it: never asked conditionally
}

// Rejected is one dead letter that a correct harvest writes.
type Rejected struct {
	Stage  string `json:"stage"`
	Class  string `json:"class"`
	URL    string `json:"url"`
	Record string `json:"record,omitempty"`
	Field  string `json:"field,omitempty"`
	Value  string `json:"value,omitempty"` // what could not be read
}

// Change is how a book differs between two revisions.
type Change struct {
	UPC    string `json:"upc"`
	Kind   string `json:"kind"` // "added", "changed" or "vanished"; a vanished book stays in the sinks
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"` // prices: "12.50 EUR"
}

// Books returns the products that a harvest of the current revision has,
// sorted by UPC.
func (s *Site) Books() []Book { return s.plan.Load().books() }

// Offers returns what the listings of the current revision show, sorted by
// URL.
func (s *Site) Offers() []Offer { return s.plan.Load().offers() }

// Pages returns what a job's first run records for each request it admits,
// sorted by URL.
func (s *Site) Pages() []PageInfo { return s.plan.Load().infos() }

// PagesSince is Pages for a run whose job has harvested the site at an earlier
// revision already: pages that did not change since are not_modified.
func (s *Site) PagesSince(revision int) []PageInfo {
	now, before := s.plan.Load(), newPlan(s.options, revision)
	infos := now.infos()
	for i, info := range infos {
		old := before.pages[info.URL]
		if old == nil || old.status != http.StatusOK || info.Listing || info.Outcome != "fetched" {
			continue
		}
		page := now.pages[info.URL]
		same := page.etag && old.etag && bytes.Equal(page.body(), old.body())
		if same || !page.modified.IsZero() && page.modified.Equal(old.modified) {
			infos[i].Outcome, infos[i].Status = "not_modified", http.StatusNotModified
		}
	}
	return infos
}

// Rejects returns the dead letters of a harvest, sorted by URL.
func (s *Site) Rejects() []Rejected { return s.plan.Load().rejects() }

// Changes returns how the books of one revision differ from those of another,
// sorted by UPC.
func (s *Site) Changes(from, to int) []Change {
	return changes(newPlan(s.options, from).books(), newPlan(s.options, to).books())
}

// Hits returns how often a correct first run asks for each URL: robots.txt
// apart, once, save where an answer fails once or a redirect ends.
func (s *Site) Hits() map[string]int {
	hits := map[string]int{}
	for _, info := range s.Pages() {
		if info.Status == 0 {
			continue
		}
		hits[info.URL] += info.Asks
		if info.Final != info.URL {
			hits[info.URL]--
			hits[info.Final]++
		}
	}
	return hits
}

func (p *plan) books() []Book {
	var list []Book
	for i := range p.products {
		a := &p.products[i]
		if a.gone || !a.readable() || a.quirk == sixStars {
			continue
		}
		list = append(list, Book{UPC: a.upc, URL: a.url(), Title: a.title, Amount: a.amount(), Currency: a.currency, Pounds: a.pounds(), Stock: int64(a.stock),
			Rating: int64(a.rating), Image: a.image(), Tags: slices.Clone(a.tags), Brand: a.brand, URLs: p.carriers(a)})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].UPC < list[j].UPC })
	return list
}

// carriers are the requests whose captures carry the product.
func (p *plan) carriers(a *product) []string {
	var urls []string
	for _, g := range p.pages {
		if g.product == a && !g.unlinked {
			urls = append(urls, g.url)
		}
	}
	slices.Sort(urls)
	return urls
}

func (p *plan) offers() []Offer {
	var list []Offer
	for i, products := range p.listings {
		for _, a := range products {
			o := Offer{URL: a.link(), Title: a.title, Shop: Books, Page: p.listingURL(i)}
			if a.readable() {
				o.Amount, o.Currency = a.amount(), a.currency
			}
			list = append(list, o)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].URL < list[j].URL })
	return list
}

func (p *plan) infos() []PageInfo {
	var list []PageInfo
	for _, g := range p.sorted() {
		if !g.unlinked {
			list = append(list, g.info())
		}
	}
	return list
}

// info is what the page's request comes to.
func (g *page) info() PageInfo {
	info := PageInfo{URL: g.url, Status: g.status, Final: g.url, Round: g.round, Asks: 1, Listing: g.listing}
	if g.once != 0 {
		info.Asks++
	}
	if g.sitemap {
		info.Kind = "sitemap"
	}
	if g.method != http.MethodGet {
		info.Method = g.method
	}
	switch {
	case g.denied:
		info.Outcome, info.Code, info.Status, info.Asks = "denied", "robots", 0, 0
	case g.location != "" && g.product != nil: // stays in the registered domain: a hop of the same request
		info.Outcome, info.Status, info.Final = "fetched", http.StatusOK, g.product.url()
		info.Asks++
	case g.location != "":
		info.Outcome = "redirected"
	case g.status == http.StatusOK:
		info.Outcome = "fetched"
	case g.status == http.StatusNotFound || g.status == http.StatusGone:
		info.Outcome = "gone"
	default:
		info.Outcome = "failed"
	}
	return info
}

func (p *plan) rejects() []Rejected {
	var list []Rejected
	list = append(list, p.desk.rejects()...)
	for _, g := range p.sorted() {
		if g.info().Outcome == "failed" {
			list = append(list, Rejected{Stage: "fetch", Class: "permanent", URL: g.url})
		}
		if g.product == nil || g.unlinked {
			continue
		}
		r := Rejected{Stage: "parse", Class: "data", URL: g.url, Record: "book"}
		switch g.product.quirk {
		case noPrice:
			r.Field = "price"
		case onRequest:
			r.Field, r.Value = "price", priceOnRequest
		case sixStars:
			r.Field, r.Value = "rating", "star-rating Six"
		default:
			continue
		}
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b Rejected) int { return strings.Compare(a.URL, b.URL) })
	return list
}

func changes(before, after []Book) []Change {
	old := map[string]Book{}
	for _, b := range before {
		old[b.UPC] = b
	}
	price := func(b Book) string { return b.Amount + " " + b.Currency }
	var list []Change
	for _, b := range after {
		was, known := old[b.UPC]
		delete(old, b.UPC)
		switch {
		case !known:
			list = append(list, Change{UPC: b.UPC, Kind: "added", After: price(b)})
		case price(was) != price(b):
			list = append(list, Change{UPC: b.UPC, Kind: "changed", Before: price(was), After: price(b)})
		}
	}
	for _, b := range old {
		list = append(list, Change{UPC: b.UPC, Kind: "vanished", Before: price(b)})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].UPC < list[j].UPC })
	return list
}
