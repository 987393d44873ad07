package demosite

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite testdata/demo/golden from the site's model")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts the site and returns a client that resolves its hosts to it and
// follows no redirects.
func serve(t *testing.T, s *Site) *http.Client {
	t.Helper()
	addr, stop, err := s.Listen(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func get(t *testing.T, c *http.Client, url string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

func TestACrawlWithTheDemoJobFindsWhatIsExpected(t *testing.T) {
	job := readJob(t)
	for _, revision := range []int{0, 3} {
		s := New(Options{Revision: revision})
		h := crawl(t, serve(t, s), job)

		var pages []PageInfo
		for _, p := range h.pages {
			pages = append(pages, p)
		}
		slices.SortFunc(pages, func(a, b PageInfo) int { return strings.Compare(a.URL, b.URL) })
		equalLines(t, "pages", pages, s.Pages())
		for record, want := range s.deskRows() {
			slices.Sort(want)
			slices.Sort(h.desk[record])
			if !slices.Equal(h.desk[record], want) {
				t.Errorf("%s\n%s, want\n%s", record, strings.Join(h.desk[record], "\n"), strings.Join(want, "\n"))
			}
		}
		equalLines(t, "rejects", h.rejects, s.Rejects())
		if len(pages) < 140 {
			t.Errorf("%d pages, want at least 140", len(pages))
		}

		books := s.Books()
		if len(h.books) != len(books) {
			t.Errorf("%d books, want %d", len(h.books), len(books))
		}
		for _, b := range books {
			want := map[string]any{"upc": b.UPC, "url": b.URL, "title": b.Title, "price": b.Amount + " " + b.Currency, "stock": b.Stock,
				"rating": b.Rating, "image": b.Image, "tags": b.Tags, "brand": b.Brand}
			if got := jsonText(h.books[b.UPC]); got != jsonText(want) {
				t.Errorf("book\n%s, want\n%s", got, jsonText(want))
			}
			slices.Sort(h.carries[b.UPC])
			if got := h.carries[b.UPC]; !slices.Equal(got, b.URLs) {
				t.Errorf("%s is carried by %q, want %q", b.UPC, got, b.URLs)
			}
		}
		offers := s.Offers()
		if len(h.offers) != len(offers) {
			t.Errorf("%d offers, want %d", len(h.offers), len(offers))
		}
		for _, o := range offers {
			want := map[string]any{"url": o.URL, "title": o.Title, "shop": o.Shop}
			if o.Amount != "" {
				want["price"] = o.Amount + " " + o.Currency
			}
			if got := jsonText(h.offers[o.URL]); got != jsonText(want) {
				t.Errorf("offer\n%s, want\n%s", got, jsonText(want))
			}
		}
		checkHits(t, s)
	}
}

// checkHits compares the server's log with how often each URL was to be asked.
func checkHits(t *testing.T, s *Site) {
	t.Helper()
	hits := s.Hits()
	asked := map[string]bool{}
	for _, e := range s.Log().Requests() {
		asked[e.URL] = true
		if hits[e.URL] == 0 {
			t.Errorf("%s was asked", e.URL)
		}
	}
	twice := s.Log().AskedTwice(true)
	for url, n := range hits {
		if got := s.Log().Count(url); got != n {
			t.Errorf("%s asked %d times, want %d", url, got, n)
		}
		if n > 1 && twice[url] != n {
			t.Errorf("AskedTwice has %d for %s, want %d", twice[url], url, n)
		}
	}
	if len(asked) != len(hits) {
		t.Errorf("%d URLs asked, want %d", len(asked), len(hits))
	}
}

func equalLines[T any](t *testing.T, what string, got, want []T) {
	t.Helper()
	g, w := lines(got), lines(want)
	for _, l := range g {
		if !slices.Contains(w, l) {
			t.Errorf("%s: unexpected %s", what, l)
		}
	}
	for _, l := range w {
		if !slices.Contains(g, l) {
			t.Errorf("%s: missing %s", what, l)
		}
	}
	if len(g) != len(w) {
		t.Errorf("%s: %d, want %d", what, len(g), len(w))
	}
}

func lines[T any](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, jsonText(v))
	}
	return out
}

func TestGoldenFilesAreTheModel(t *testing.T) {
	s := New(Options{})
	files := s.deskRows()
	files["books"], files["offers"], files["pages"], files["rejects"] = lines(s.Books()), lines(s.Offers()), lines(s.Pages()), lines(s.Rejects())
	files["changes"] = lines(s.Changes(0, 1))
	for name, list := range files {
		path := filepath.Join("../../testdata/demo/golden", name+".jsonl")
		want := strings.Join(list, "\n") + "\n"
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s differs from the site's model; go test ./internal/demosite -run Golden -update rewrites it", path)
		}
	}
}

func TestARevisionChangesATenthOfThePricesAndSwapsOneProduct(t *testing.T) {
	s := New(Options{})
	for from := range 4 {
		count := map[string]int{}
		for _, c := range s.Changes(from, from+1) {
			count[c.Kind]++
		}
		if count["added"] != 1 || count["vanished"] != 1 || count["changed"] < 10 || count["changed"] > 13 {
			t.Errorf("from revision %d: %v", from, count)
		}
	}
	if c := s.Changes(2, 2); len(c) > 0 {
		t.Errorf("a revision differs from itself: %v", c)
	}
}

func TestValidatorsSayWhatChanged(t *testing.T) {
	s := New(Options{})
	c := serve(t, s)
	type validators struct{ etag, modified string }
	known := map[string]validators{}
	for _, p := range s.Pages() {
		if p.Outcome == "fetched" && p.Final == p.URL {
			a := get(t, c, p.URL)
			for range p.Asks - 1 {
				a = get(t, c, p.URL)
			}
			known[p.URL] = validators{a.header.Get("ETag"), a.header.Get("Last-Modified")}
		}
	}
	s.SetRevision(1)
	outcomes := map[string]int{}
	for _, p := range s.PagesSince(0) {
		outcomes[p.Outcome]++
		v, ok := known[p.URL]
		if !ok || p.Listing || p.Status == 0 || p.Method != "" {
			continue
		}
		var header []string
		if v.etag != "" {
			header = append(header, "If-None-Match", v.etag)
		}
		if v.modified != "" {
			header = append(header, "If-Modified-Since", v.modified)
		}
		got := get(t, c, p.URL, header...).status
		for range p.Asks - 1 {
			got = get(t, c, p.URL, header...).status
		}
		if got != p.Status {
			t.Errorf("%s: %d, want %d", p.URL, got, p.Status)
		}
	}
	if outcomes["not_modified"] < 80 || outcomes["fetched"] < 15 || outcomes["gone"] != 3 {
		t.Errorf("outcomes of a second run: %v", outcomes)
	}
}

func TestFailuresPassAndSayWhenToComeBack(t *testing.T) {
	s := New(Options{})
	c := serve(t, s)
	for status, q := range map[int]quirk{http.StatusInternalServerError: failsOnce, http.StatusTooManyRequests: limitedOnce} {
		var url string
		for _, p := range s.plan.Load().products {
			if p.quirk == q {
				url = p.url()
			}
		}
		first, second := get(t, c, url), get(t, c, url)
		if first.status != status || second.status != http.StatusOK {
			t.Errorf("%s: %d then %d, want %d then 200", url, first.status, second.status, status)
		}
		if status == http.StatusTooManyRequests && first.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q, want 1", first.header.Get("Retry-After"))
		}
		s.SetRevision(0)
		if again := get(t, c, url).status; again != status {
			t.Errorf("%s after SetRevision: %d, want %d", url, again, status)
		}
	}
}

func TestRobotsAndUnknownThings(t *testing.T) {
	s := New(Options{Latency: time.Millisecond})
	c := serve(t, s)
	for url, want := range map[string]int{
		"http://books.example/robots.txt": 200, "http://media.books.example/robots.txt": 404, "http://partner.example/robots.txt": 200,
		"http://books.example/catalogue/page-99.html": 404, "http://unknown.example/": 404, "http://media.books.example/media/7.png": 200,
	} {
		if got := get(t, c, url).status; got != want {
			t.Errorf("%s: %d, want %d", url, got, want)
		}
	}
	if body := get(t, c, "http://partner.example/robots.txt").body; !bytes.Contains(body, []byte("Crawl-delay: 0.05")) {
		t.Errorf("partner's robots.txt: %s", body)
	}
	resp, err := c.Post("http://books.example/", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d, want 405", resp.StatusCode)
	}
}

func TestTheSameOptionsMakeTheSameSite(t *testing.T) {
	a, b, other := New(Options{Revision: 2}), New(Options{Revision: 2}), New(Options{Revision: 2, Seed: 5})
	for url, g := range a.plan.Load().pages {
		if g.body != nil && !bytes.Equal(g.body(), b.plan.Load().pages[url].body()) {
			t.Errorf("%s differs", url)
		}
	}
	if jsonText(a.Books()) == jsonText(other.Books()) {
		t.Error("another seed makes the same books")
	}
	if n := len(New(Options{Products: 1}).Books()); n < minProducts-10 {
		t.Errorf("a site of one product has %d books", n)
	}
}

func TestTheJobNamesEveryHost(t *testing.T) {
	job := readJob(t)
	for _, h := range Hosts {
		if job.Fetch.Resolve[h] != "${param.site}" || !slices.Contains(job.Discover.Scope.Hosts, h) {
			t.Errorf("%s is not in scope and resolve", h)
		}
	}
}

func TestListenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	addr, stop, err := New(Options{}).Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Error("the connection is still served")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, _, err := New(Options{Addr: "no address"}).Listen(context.Background()); err == nil || !strings.Contains(err.Error(), "no address") {
		t.Errorf("listening on no address: %v", err)
	}
}
