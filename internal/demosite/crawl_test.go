package demosite

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/publicsuffix"
)

// harvest is what a plain crawler made of the site: the test's own, so that
// the expectations are judged by a second opinion.
type harvest struct {
	pages   map[string]PageInfo
	books   map[string]map[string]any // by UPC
	carries map[string][]string       // UPC to requests
	offers  map[string]map[string]any // by URL
	desk    map[string][]string       // rows of the other records as JSON, by record
	rejects []Rejected
}

// todo is a request: a page, or with a body a POST, or a sitemap.
type todo struct {
	url, body string
	round     int
	sitemap   bool
}

// crawl harvests the site from the home page by the job file, one request
// after the other.
func crawl(t *testing.T, c *http.Client, job jobFile) harvest {
	t.Helper()
	h := harvest{pages: map[string]PageInfo{}, books: map[string]map[string]any{}, carries: map[string][]string{}, offers: map[string]map[string]any{},
		desk: map[string][]string{}}
	seen := map[string]bool{"http://books.example/": true}
	queue := append([]todo{{url: "http://books.example/"}}, postSeeds(t, job)...)
	for _, m := range regexp.MustCompile(`(?m)^Sitemap: (.*)$`).FindAllStringSubmatch(robots[Books], -1) {
		queue = append(queue, todo{url: m[1], sitemap: true})
	}
	follow := func(from *url.URL, round int, link *url.URL, sitemap bool) {
		u, ok := canonical(link)
		if !ok || !slices.Contains(job.Discover.Scope.Hosts, link.Hostname()) || seen[u] {
			return
		}
		seen[u] = true
		if domain(t, from.Hostname()) != domain(t, link.Hostname()) {
			round++
		}
		queue = append(queue, todo{url: u, round: round, sitemap: sitemap})
	}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		h.visit(t, c, job, next, follow)
		slices.SortStableFunc(queue, func(a, b todo) int { return a.round - b.round })
	}
	slices.SortFunc(h.rejects, func(a, b Rejected) int { return strings.Compare(a.URL, b.URL) })
	return h
}

// visit makes one request with its retries and hops, and parses what it ends at.
func (h *harvest) visit(t *testing.T, c *http.Client, job jobFile, next todo, follow func(*url.URL, int, *url.URL, bool)) {
	t.Helper()
	at, err := url.Parse(next.url)
	if err != nil {
		t.Fatal(err)
	}
	info := PageInfo{URL: next.url, Round: next.round, Final: next.url, Listing: next.sitemap}
	for _, f := range job.Discover.Follow {
		info.Listing = info.Listing || globs(f.Within, at.Path)
	}
	if next.sitemap {
		info.Kind = "sitemap"
	}
	if next.body != "" {
		info.Method = http.MethodPost
	}
	if strings.HasPrefix(at.Path, "/private/stock") || strings.HasPrefix(at.Path, "/staff/") {
		info.Outcome, info.Code = "denied", "robots"
		h.pages[next.url] = info
		return
	}
	var a answer
	for range 5 {
		if next.body == "" {
			a = get(t, c, at.String())
		} else {
			a = post(t, c, at.String(), next.body)
		}
		info.Asks++
		info.Status, info.Final = a.status, at.String()
		if a.status/100 != 3 {
			if a.status != http.StatusInternalServerError && a.status != http.StatusTooManyRequests {
				break
			}
			continue
		}
		to, err := at.Parse(a.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if domain(t, to.Hostname()) != domain(t, at.Hostname()) {
			follow(at, next.round, to, false)
			break
		}
		at = to
	}
	switch info.Outcome = map[int]string{2: "fetched", 3: "redirected", 4: "failed", 5: "failed"}[a.status/100]; {
	case a.status == http.StatusNotFound || a.status == http.StatusGone:
		info.Outcome = "gone"
	case info.Outcome == "failed":
		h.rejects = append(h.rejects, Rejected{Stage: "fetch", Class: "permanent", URL: next.url})
	}
	h.pages[next.url] = info
	if info.Outcome != "fetched" {
		return
	}
	if next.sitemap {
		locs, maps := listed(t, a.body)
		for _, loc := range locs {
			follow(at, next.round, loc, maps)
		}
		return
	}
	h.parse(t, job, next.url, at, a)
	for _, link := range links(t, job, at, a) {
		follow(at, next.round, link, false)
	}
}

func (h *harvest) parse(t *testing.T, job jobFile, request string, at *url.URL, a answer) {
	t.Helper()
	for _, r := range job.rulesFor(at.Path) {
		if r.Record != "book" && r.Record != "offer" {
			rows, rejects := readDesk(t, r.Record, request, a)
			h.desk[r.Record], h.rejects = append(h.desk[r.Record], rows...), append(h.rejects, rejects...)
			continue
		}
		d := parsePage(t, at, a.header.Get("Content-Type"), a.body)
		elements := d.Selection
		if r.Each != "" {
			elements = d.Find(r.Each)
		}
		elements.Each(func(_ int, s *goquery.Selection) {
			row, reject, value := d.row(t, s, r)
			switch {
			case reject != "":
				h.rejects = append(h.rejects, Rejected{Stage: "parse", Class: "data", URL: request, Record: r.Record, Field: reject, Value: value})
			case r.Record == "offer":
				h.offers[row["url"].(string)] = row
			default:
				upc := row["upc"].(string)
				if old := h.books[upc]; old != nil && jsonText(old) != jsonText(row) {
					t.Errorf("%s: another row for %s:\n%s\n%s", request, upc, jsonText(old), jsonText(row))
				}
				h.books[upc] = row
				h.carries[upc] = append(h.carries[upc], request)
			}
		})
	}
}

// canonical is the request that a link becomes; false: it is none.
func canonical(u *url.URL) (string, bool) {
	if u.Scheme != "http" || u.Host == "" {
		return "", false
	}
	c := *u
	c.Host, c.Fragment = strings.TrimSuffix(strings.ToLower(c.Host), ":80"), ""
	q := c.Query()
	for k := range q {
		if strings.HasPrefix(k, "utm_") {
			q.Del(k)
		}
	}
	c.RawQuery = q.Encode()
	u.Host = c.Host
	return c.String(), true
}

func domain(t *testing.T, host string) string {
	t.Helper()
	d, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
