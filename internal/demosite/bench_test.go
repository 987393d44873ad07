package demosite

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

func benchPage(t testing.TB, h http.Handler, url string) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", url, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d", url, w.Code)
	}
	return w.Body.Bytes()
}

func TestBenchListsEveryPage(t *testing.T) {
	const pages = 2*benchListing + 7
	h := Bench(pages, 10<<10)
	found := map[string]bool{}
	at, _ := url.Parse("http://" + BenchHost + "/")
	for next := at; next != nil; {
		d, err := goquery.NewDocumentFromReader(bytes.NewReader(benchPage(t, h, next.String())))
		if err != nil {
			t.Fatal(err)
		}
		d.Find(".product_pod a").Each(func(_ int, s *goquery.Selection) {
			u, _ := at.Parse(s.AttrOr("href", ""))
			found[u.String()] = true
		})
		next = nil
		if href, ok := d.Find("a.next").Attr("href"); ok {
			next, _ = at.Parse(href)
		}
	}
	for i := range pages {
		if !found[BenchURL(i)] {
			t.Errorf("%s is not listed", BenchURL(i))
		}
	}
	if len(found) != pages {
		t.Errorf("%d pages listed, want %d", len(found), pages)
	}
	for _, path := range []string{fmt.Sprintf("/p/%d.html", pages), "/p/-1.html", "/p/01.html", "/p/x.html", "/list/0.html", "/list/3.html", "/robots.txt", "/q.html"} {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
}

func TestBenchPagesHaveTheirSizeAndDiffer(t *testing.T) {
	for _, size := range []int{8 << 10, 30_000, 100_001} {
		h := Bench(1000, size)
		for i := range 300 {
			if n := len(benchPage(t, h, BenchURL(i))); n != size {
				t.Fatalf("page %d has %d bytes, want %d", i, n, size)
			}
		}
	}
	h := Bench(10, 30_000)
	a, b := benchPage(t, h, BenchURL(1)), benchPage(t, h, BenchURL(2))
	if !bytes.Equal(a, benchPage(t, h, BenchURL(1))) {
		t.Error("a page differs from itself")
	}
	// Like a real page, it compresses some four times, and its neighbour helps
	// only as far as the frame they share.
	alone, both := zipped(a), zipped(append(bytes.Clone(a), b...))
	if ratio := float64(len(a)) / float64(alone); ratio < 2.5 || ratio > 6 {
		t.Errorf("a page compresses %.1f times", ratio)
	}
	if both < alone*3/2 {
		t.Errorf("two pages compress to %d bytes, one to %d", both, alone)
	}
	d, err := goquery.NewDocumentFromReader(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	for _, selector := range []string{"h1", ".price_color", ".availability", "p.star-rating", "th:contains('UPC') + td", "#gallery img", "ul.tags li", `script[type="application/ld+json"]`} {
		if d.Find(selector).Length() == 0 {
			t.Errorf("no %s", selector)
		}
	}
	if text := d.Find("h1").Text(); !strings.Contains(text, "1") {
		t.Errorf("title %q", text)
	}
}

func zipped(b []byte) int {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Len()
}

func BenchmarkBenchPage(b *testing.B) {
	h := Bench(10_000, 30_000).(*bench)
	var buf bytes.Buffer
	for i := 0; b.Loop(); i++ {
		buf.Reset()
		h.product(&buf, i%10_000)
	}
}
