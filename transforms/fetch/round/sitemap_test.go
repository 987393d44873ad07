package round

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/memory/memorytest"
	"github.com/harrowdata/harrow/io/lakeio"
)

func urlset(urls ...string) string { return sitemapOf("urlset", "url", urls) }
func index(urls ...string) string  { return sitemapOf("sitemapindex", "sitemap", urls) }

func sitemapOf(root, entry string, urls []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0"?><%s xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">`, root)
	for _, u := range urls {
		fmt.Fprintf(&b, "<%s><loc>%s</loc></%[1]s>\n", entry, u)
	}
	return b.String() + "</" + root + ">"
}

func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// files serves texts by host and path, or by path alone; any other page that is
// asked for by GET is there.
type files map[string]string

func (f files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := f[r.Host+r.URL.Path]
	if !ok {
		text, ok = f[r.URL.Path]
	}
	if !ok && (r.URL.Path == "/robots.txt" || strings.HasSuffix(r.URL.Path, ".xml")) {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte(text))
}

func sitemapAt(url string) harrow.Request {
	return harrow.Request{Method: "GET", URL: url, Kind: harrow.KindSitemap, Priority: harrow.SitemapPriority}
}

// edges are links as from → kind to, by their hosts and paths.
func edges(t *testing.T, b *bench, parts []harrow.Part) map[string]harrow.Link {
	t.Helper()
	names := map[harrow.ID]string{}
	for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
		names[c.ID] = strings.TrimPrefix(strings.Clone(c.URL), "http://")
	}
	got := map[string]harrow.Link{}
	for _, l := range rowsOf(t, b.lake, lakeio.Links, parts) {
		from := names[l.FromID]
		if l.FromID.IsZero() {
			from = "robots.txt"
		}
		l.URL, l.Kind, l.Rel = strings.Clone(l.URL), strings.Clone(l.Kind), strings.Clone(l.Rel)
		got[fmt.Sprintf("%s %s→ %s %s", from, l.Rel, l.Kind, strings.TrimPrefix(l.URL, "http://"))] = l
	}
	return got
}

func sameKeys[V any](t *testing.T, what string, got map[string]V, want ...string) {
	t.Helper()
	slices.Sort(want)
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("%s: got\n\t%s\nwant\n\t%s", what, strings.Join(keys, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestASitemapsPagesAreAskedAsSeedsAreAndItsIndexesReadOn(t *testing.T) {
	b := newBench(t, files{
		"/index.xml":  index("http://one.example/a.xml.gz", "http://www.one.example/b.txt", "http://two.example/c.xml", "http://out.test/d.xml", "http://one.example/index.xml"),
		"/a.xml.gz":   gzipped(urlset("http://one.example/in/1", "http://one.example/in/2?utm_source=x", "http://one.example/no/3", "//", "http://two.example/in/4")),
		"/b.txt":      "http://one.example/in/1\nhttp://www.one.example/in/5\n",
		"/sub/in.xml": "",
	})
	b.cfg.Scope.Include = []string{"/in/**"}
	zero := 0
	b.cfg.Scope.MaxDepth = &zero // a sitemap's pages are at depth 0
	b.cfg.Canonical.Strip = harrow.DefaultStrip
	r := sitemapAt("http://one.example/index.xml")
	r.Carry = `{"a":1}`
	parts, err := b.fetch(t.Context(), all(r))
	if err != nil {
		t.Fatal(err)
	}
	captures := map[string]harrow.Capture{}
	for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
		captures[strings.Clone(c.Kind)+" "+strings.TrimPrefix(c.URL, "http://")] = c
		if c.Outcome != harrow.Fetched || c.Carry != r.Carry {
			t.Errorf("capture %+v", c)
		}
	}
	sameKeys(t, "captures", captures, "sitemap one.example/index.xml", "sitemap one.example/a.xml.gz", "sitemap www.one.example/b.txt",
		"page one.example/in/1", "page one.example/in/2", "page www.one.example/in/5")
	links := edges(t, b, parts)
	sameKeys(t, "links", links, "one.example/index.xml sitemap→ sitemap one.example/a.xml.gz", "one.example/index.xml sitemap→ sitemap www.one.example/b.txt",
		"one.example/index.xml sitemap→ sitemap two.example/c.xml", "one.example/index.xml sitemap→ sitemap one.example/index.xml",
		"one.example/a.xml.gz sitemap→ page one.example/in/1", "one.example/a.xml.gz sitemap→ page one.example/in/2", "one.example/a.xml.gz sitemap→ page two.example/in/4",
		"www.one.example/b.txt sitemap→ page one.example/in/1", "www.one.example/b.txt sitemap→ page www.one.example/in/5")
	for name, l := range links {
		if wants := strings.Contains(name, "→ sitemap"); (l.Depth != 0) != wants || l.SameDomain == strings.Contains(name, " two.") {
			t.Errorf("%s: %+v", name, l)
		}
	}
	next, err := RequestOf(plain, harrow.KeyHost, links["one.example/index.xml sitemap→ sitemap two.example/c.xml"])
	if err != nil || next.Kind != harrow.KindSitemap || next.Priority != harrow.SitemapPriority || next.Depth != 1 || next.Carry != r.Carry {
		t.Errorf("the next round's request: %+v, %v", next, err)
	}
	if tag := parts[len(parts)-1].Tag; tag != `{"links_not_taken.host":1,"links_not_taken.include":1,"links_not_taken.invalid":1}` {
		t.Errorf("counters %s", tag)
	}
}

func TestSitemapsThatAreNoneAreRejectsAndWhatTheyListedBeforeCounts(t *testing.T) {
	for _, c := range []struct {
		name, text, reason string
		pages              int
	}{
		{"broken", "<urlset><url><loc>http://one.example/1</loc></url><url></urlset>", "after 1 entries: line 1: </urlset> closes nothing", 1},
		{"a page", "<html></html>", "after 0 entries: line 1: it is no sitemap", 0},
		{"too large", "<urlset><url><loc>http://one.example/1</loc></url>" + strings.Repeat("<!--"+strings.Repeat("x", 99_000)+"-->\n", 600), "goes on beyond 52428800 bytes", 1},
		{"too large, gzipped", gzipped("<urlset><url><loc>http://one.example/1</loc></url>" + strings.Repeat("<!--"+strings.Repeat("x", 99_000)+"-->\n", 600)), "goes on beyond 52428800 bytes", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, files{"/s": c.text})
			parts, err := b.fetch(t.Context(), all(sitemapAt("http://one.example/s")))
			if err != nil {
				t.Fatal(err)
			}
			rejects := rowsOf(t, b.lake, lakeio.Rejects, parts)
			if len(rejects) != 1 || rejects[0].Class != harrow.DataFault || rejects[0].Code != "sitemap" || !strings.Contains(rejects[0].Reason, c.reason) {
				t.Errorf("rejects %+v; want one: %s", rejects, c.reason)
			}
			if got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)); len(got) != 1+c.pages || got["http://one.example/s"] != "fetched" {
				t.Errorf("outcomes %v", got)
			}
		})
	}
}

// Each index lists another one, for ever.
func TestIndexesEndSomewhere(t *testing.T) {
	var asked atomic.Int64
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(index(fmt.Sprintf("http://one.example/%d.xml", asked.Add(1)))))
	}))
	parts, err := b.fetch(t.Context(), all(sitemapAt("http://one.example/0.xml")))
	if err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 1+maxNesting {
		t.Errorf("%d sitemaps were asked for; want %d", n, 1+maxNesting)
	}
	if tag := parts[len(parts)-1].Tag; !strings.Contains(tag, `"links_not_taken.nesting":1`) {
		t.Errorf("counters %s", tag)
	}
}

func TestSitemapsOfRobotsTxtOfTheSeeds(t *testing.T) {
	site := files{
		"one.example/robots.txt":     "Sitemap: http://one.example/s.xml\nSitemap: /relative.xml\nSitemap: http://two.example/s.xml\nSitemap: http://out.test/s.xml\nUser-agent: *\nDisallow: /private",
		"www.one.example/robots.txt": "Sitemap: http://one.example/www.xml", // of no seed
		"/s.xml":                     urlset("http://one.example/1", "http://one.example/private", "http://www.one.example/2"),
		"/relative.xml":              urlset(),
		"/www.xml":                   urlset("http://one.example/3"),
	}
	seed := harrow.Request{Method: "GET", URL: "http://one.example/"}
	linked := harrow.Request{Method: "GET", URL: "http://www.one.example/linked", Parent: harrow.ID{1}, Priority: 1 << 20} // deferred by an earlier run
	for _, auto := range []bool{true, false} {
		t.Run(fmt.Sprint(auto), func(t *testing.T) {
			b := newBench(t, site)
			b.cfg.Sitemaps = auto
			b.cfg.Scope.Include = []string{"/", "/linked", "/1", "/2", "/private"} // says which pages, not which sitemaps
			parts, err := b.fetch(t.Context(), all(linked, seed))
			if err != nil {
				t.Fatal(err)
			}
			got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))
			links := edges(t, b, parts)
			if !auto {
				sameKeys(t, "outcomes", got, "http://one.example/", "http://www.one.example/linked")
				sameKeys(t, "links", links)
				return
			}
			sameKeys(t, "outcomes", got, "http://one.example/", "http://www.one.example/linked", "http://one.example/s.xml", "http://one.example/relative.xml",
				"http://one.example/1", "http://one.example/private", "http://www.one.example/2")
			if got["http://one.example/private"] != "denied robots" {
				t.Errorf("outcomes %v", got)
			}
			sameKeys(t, "links", links, "robots.txt sitemap→ sitemap one.example/s.xml", "robots.txt sitemap→ sitemap one.example/relative.xml", "robots.txt sitemap→ sitemap two.example/s.xml",
				"one.example/s.xml sitemap→ page one.example/1", "one.example/s.xml sitemap→ page one.example/private", "one.example/s.xml sitemap→ page www.one.example/2")
			if tag := parts[len(parts)-1].Tag; tag != `{"links_not_taken.host":1}` {
				t.Errorf("counters %s", tag)
			}
		})
	}
}

// A kill in the middle of a sitemap: the next owner loses nothing, whatever of
// the first one's rolls counts, and what robots.txt named is asked for again.
func TestASitemapThatWasCutOffByAKillIsReadAgain(t *testing.T) {
	const pages = 2000
	var urls []string
	for i := range pages {
		urls = append(urls, fmt.Sprintf("http://one.example/%d", i))
	}
	var asked, most atomic.Int64 // most: how many requests are answered
	site := files{"/robots.txt": "Sitemap: http://one.example/index.xml", "/index.xml": index("http://one.example/s.xml"), "/s.xml": urlset(urls...)}
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for n := asked.Add(1); n > most.Load() && r.Context().Err() == nil; {
			time.Sleep(time.Millisecond)
		}
		site.ServeHTTP(w, r)
	}))
	b.cfg.Sitemaps = true
	b.cfg.Fetch.Politeness.Default.Concurrency = 16
	for i, after := range []int64{2, 4, 300} { // requests the killed owner was let to make
		b.cfg.Fetch.Roll.Bytes = harrow.ByteSize(20_000)
		asked.Store(0)
		most.Store(after)
		p, err := Join(t.Context(), b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.Admit(t.Context(), 0, all(harrow.Request{Method: "GET", URL: "http://one.example/"}))
		if err != nil {
			t.Fatal(err)
		}
		for asked.Load() < after {
			time.Sleep(time.Millisecond)
		}
		if _, _, err := (lakeio.FetchShard{Lake: b.lake}).Claim(t.Context(), lakeio.Claim{Owner: fmt.Sprint("another owner ", i)}); err != nil {
			t.Fatal(err)
		}
		most.Store(math.MaxInt64)
		if _, err := a.Wait(t.Context()); !errors.Is(err, lakeio.ErrLost) {
			t.Fatalf("the old owner ended with %v", err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := b.fetch(t.Context(), all(harrow.Request{Method: "GET", URL: "http://one.example/"}))
	if err != nil {
		t.Fatal(err)
	}
	captures := rowsOf(t, b.lake, lakeio.Captures, parts)
	if len(captures) != pages+3 || len(outcomes(captures)) != pages+3 {
		t.Errorf("%d captures of %d requests; want %d", len(captures), len(outcomes(captures)), pages+3)
	}
	links := edges(t, b, parts)
	if len(links) != pages+2 {
		t.Errorf("%d links; want %d", len(links), pages+2)
	}
	if _, ok := links["robots.txt sitemap→ sitemap one.example/index.xml"]; !ok {
		t.Error("the link from robots.txt is lost")
	}
}

// What a sitemap lists is in the frontier's file and the writer's batches,
// never in memory as a whole.
func TestMemoryDoesNotGrowWithASitemap(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about sizes")
	}
	peak := func(entries int) int64 {
		b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/s.xml" {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte("<urlset>"))
			for i := range entries {
				host := "one.example"
				if i%2 == 0 {
					host = "two.example" // the next round's
				}
				_, _ = fmt.Fprintf(w, "<url><loc>http://%s/%s/%d</loc></url>", host, strings.Repeat("x", 950), i)
			}
			_, _ = w.Write([]byte("</urlset>"))
		}))
		hour := harrow.Duration(time.Hour)
		b.cfg.Fetch.Politeness.Robots = harrow.RobotsIgnore
		b.cfg.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 1, Delay: &hour} // the sitemap, then nothing
		before := memorytest.LiveHeap()
		p, err := Join(t.Context(), b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.Admit(t.Context(), 0, all(sitemapAt("http://one.example/s.xml")))
		if err != nil {
			t.Fatal(err)
		}
		most := int64(0)
		for p.status(time.Now()).Queued < int64(entries/2) {
			most = max(most, memorytest.LiveHeap()-before)
			time.Sleep(time.Millisecond)
		}
		most = max(most, memorytest.LiveHeap()-before)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Wait(t.Context()); !errors.Is(err, ErrStopped) {
			t.Fatal(err)
		}
		rec, err := (lakeio.FetchShard{Lake: b.lake}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = eachRow(t.Context(), b.lake, rec, lakeio.Links, func(harrow.Link) error { n++; return nil })
		if err != nil || n != entries {
			t.Errorf("%d links, %v; want %d", n, err, entries)
		}
		return most
	}
	small, large := peak(5_000), peak(50_000)
	t.Logf("5,000 entries: %d KiB, 50,000: %d KiB", small>>10, large>>10)
	// The writer's encoders come and go (19 MB each); whole, the sitemap and its
	// links would be over 100 MB.
	if large > small+64<<20 {
		t.Errorf("5,000 entries take %d bytes, 50,000 take %d", small, large)
	}
}

func TestASitemapThatRedirectsIsReadWhereItLies(t *testing.T) {
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/s.xml":
			http.Redirect(w, r, "http://www.one.example/dir/s.xml", http.StatusMovedPermanently)
		case "/away.xml":
			http.Redirect(w, r, "http://two.example/s.xml", http.StatusMovedPermanently)
		default:
			files{"/dir/s.xml": urlset("page")}.ServeHTTP(w, r)
		}
	}))
	b.cfg.Scope.Include = []string{"/dir/**"} // of which no sitemap needs to be
	parts, err := b.fetch(t.Context(), all(sitemapAt("http://one.example/s.xml"), sitemapAt("http://one.example/away.xml")))
	if err != nil {
		t.Fatal(err)
	}
	links := edges(t, b, parts)
	sameKeys(t, "links", links, "one.example/s.xml sitemap→ page www.one.example/dir/page", "one.example/away.xml redirect→ sitemap two.example/s.xml")
	if id := canon.ID("GET", "http://two.example/s.xml", nil, nil); links["one.example/away.xml redirect→ sitemap two.example/s.xml"].ID != id {
		t.Error("a redirect's link is another request than the same URL's")
	}
}
