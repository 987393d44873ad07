package round

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
)

// With the registered domain as key all of its hosts share its limits, an
// override for the domain is theirs, the longest crawl-delay of any of them
// holds for all, and each origin's robots.txt still says what may be asked of
// it.
func TestTheHostsOfARegisteredDomainShareItsLimits(t *testing.T) {
	t.Parallel()
	robots := map[string]string{
		"a.one.example": "User-agent: *\nDisallow: /private\nCrawl-delay: 0.02\n",
		"b.one.example": "User-agent: *\nCrawl-delay: 0.1\n",
		"c.one.example": "User-agent: *\nDisallow: /\n",
	}
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			_, _ = w.Write([]byte(robots[r.Host]))
		}
	}))
	b.cfg.Scope.Hosts = []string{"*.one.example", "two.example"}
	b.cfg.Fetch.Resolve = map[string]string{"*.one.example": strings.TrimPrefix(b.site.URL, "http://"), "two.example": strings.TrimPrefix(b.site.URL, "http://")}
	b.cfg.Fetch.Politeness.Key = harrow.KeyRegisteredDomain
	hour, none := harrow.Duration(time.Hour), harrow.Duration(0)
	b.cfg.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 1, Delay: &hour}
	b.cfg.Fetch.Politeness.Overrides = map[string]harrow.PolitenessLimits{"one.example": {Concurrency: 2, Delay: &none}, "two.example": {Concurrency: 2, Delay: &none}}
	var urls []string
	for _, host := range []string{"a", "b", "c"} {
		for _, path := range []string{"1", "2", "private/3"} {
			urls = append(urls, "http://"+host+".one.example/"+path)
		}
	}
	urls = append(urls, "http://two.example/")
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))
	for _, url := range urls {
		want := "fetched"
		if strings.HasPrefix(url, "http://c.") || strings.HasPrefix(url, "http://a.") && strings.Contains(url, "private") {
			want = "denied robots"
		}
		if got[url] != want {
			t.Errorf("%s: %s, want %s", url, got[url], want)
		}
	}
	domain := slices.DeleteFunc(b.log.Requests(), func(e serverlog.Entry) bool { return !strings.HasSuffix(e.Host, ".one.example") })
	if n := serverlog.MostAtOnce(domain); n > 2 {
		t.Errorf("%d at once, promised 2", n)
	}
	// By the client's own log: on busy cores a request is held up on its way.
	sent := slices.DeleteFunc(rowsOf(t, b.lake, lakeio.Exchanges, parts), func(x harrow.Exchange) bool { return x.Key != "one.example" })
	slices.SortFunc(sent, func(x, y harrow.Exchange) int { return x.StartedAt.Compare(y.StartedAt) })
	slowed := false // once a page of b is asked for, its robots.txt is known
	for i, x := range sent {
		slowed = slowed || strings.HasPrefix(x.URL, "http://b.one.example/") && x.Kind == harrow.KindPage
		if !slowed || i == 0 {
			continue
		}
		if gap := x.StartedAt.Sub(sent[i-1].StartedAt); gap < 100*time.Millisecond-time.Microsecond {
			t.Errorf("%s was sent %v after %s", x.URL, gap, sent[i-1].URL)
		}
	}
	if !slowed {
		t.Error("no page of b was asked for")
	}
	rec, err := lakeio.FetchShard{Lake: b.lake}.Read(t.Context())
	if err != nil || rec.Delays["one.example"] != 100*time.Millisecond || len(rec.Delays) != 1 {
		t.Errorf("the record has delays %v, %v", rec.Delays, err)
	}
}
