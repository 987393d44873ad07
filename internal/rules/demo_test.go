package rules

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/jobfile"
)

// TestDemoShop applies the demo's job to every page of the demo's site and
// holds the books, offers and rejects against what the site knows it shows.
func TestDemoShop(t *testing.T) {
	job, _, err := jobfile.Read("../../testdata/demo/shop.yaml", map[string]string{"site": "127.0.0.1:1"}, jobfile.Options{
		CheckSelector: CheckSelector, CheckGlob: func(p string) error { _, err := canon.CompileGlob(p); return err }, ExtractorRecords: ExtractorRecords,
	})
	if err != nil {
		t.Fatal(err)
	}
	types, err := jobfile.RecordTypes(job, ExtractorRecords)
	if err != nil {
		t.Fatal(err)
	}
	program, err := Compile(job.Parse, types)
	if err != nil {
		t.Fatal(err)
	}
	site := demosite.New(demosite.Options{})
	var books, offers, rejects []string
	for _, info := range site.Pages() {
		if info.Outcome != "fetched" || info.Kind != "" || info.Method != "" {
			continue // a sitemap is no page, and what wants POST is asked in pipelines
		}
		got := apply(t, program, NewDocument(demoPage(t, site, info), canonical, Limits{}))
		for _, row := range got.rows {
			if strings.HasPrefix(row, "book#") {
				books = append(books, info.URL+row[len("book#0 0"):])
			} else if strings.HasPrefix(row, "offer#") {
				offers = append(offers, info.URL+row[len("offer#0"):])
			}
		}
		for _, r := range got.rejects {
			rejects = append(rejects, fmt.Sprint(r.Class, r.URL, r.Record, r.Field, r.Value))
		}
	}
	var wantBooks, wantRejects []string
	for _, b := range site.Books() {
		for _, page := range b.URLs {
			wantBooks = append(wantBooks, fmt.Sprintf("%s upc=%q url=%q title=%q price_amount=%s price_currency=%q stock=%d rating=%d image=%q tags=%q brand=%q",
				page, b.UPC, b.URL, b.Title, decimal.RequireFromString(b.Amount), b.Currency, b.Stock, b.Rating, b.Image, b.Tags, b.Brand))
		}
	}
	for _, r := range site.Rejects() {
		if r.Stage == "parse" {
			wantRejects = append(wantRejects, fmt.Sprint(r.Class, r.URL, r.Record, r.Field, r.Value))
		}
	}
	same(t, "books", books, wantBooks)
	same(t, "rejects", rejects, wantRejects)
	if len(offers) < len(site.Offers()) || len(wantBooks) == 0 {
		t.Errorf("%d offers, want %d", len(offers), len(site.Offers()))
	}
}

// same compares two lists as multisets.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("%s: got  %s", what, g)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s: want %s", what, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: got %d, want %d", what, len(got), len(want))
	}
}

// demoPage asks the site for what a harvest fetches: the page at the end of
// its redirects, again after a first failure.
func demoPage(t *testing.T, site *demosite.Site, info demosite.PageInfo) Page {
	t.Helper()
	for range 3 {
		r := httptest.NewRequest(http.MethodGet, info.Final, nil)
		w := httptest.NewRecorder()
		site.Handler().ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			body := w.Body.Bytes()
			return Page{Body: body, Capture: harrow.Capture{ID: harrow.ID{1}, URL: info.URL, FinalURL: info.Final, Status: 200,
				ContentType: w.Header().Get("Content-Type"), BodyBytes: int64(len(body))}}
		}
	}
	t.Fatalf("%s is not served", info.Final)
	return Page{}
}
