package trial_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/trial"
	"github.com/harrowdata/harrow/internal/jobfile"
)

const jobText = `
version: 1
job: shop
discover:
  seeds: {urls: ["http://books.example/"]}
  scope: {hosts: ["books.example", "*.books.example"], exclude: ["/cart/**"]}
  follow: [{within: ["/"], css: "a@href"}]
fetch:
  user_agent: "tester/1.0"
  timeout: 5s
  headers: {X-Token: "${TOKEN}"}
  resolve: {"books.example": "ADDR", "*.books.example": "ADDR", "down.example": "127.0.0.1:1"}
  politeness: {default: {delay: 3s}}
parse:
  - record: book
    match: ["/book/*"]
    fields:
      title: {css: "h1", required: true}
      price: {css: ".price", type: money, currency: GBP}
      day:   {css: "time", type: int, regex: "-0(\\d)-"}
  - record: other
    match: ["/other/*"]
    fields: {title: {css: "h1"}}
`

func newConfig(t *testing.T, h http.Handler) trial.Config {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	text := strings.ReplaceAll(jobText, "ADDR", strings.TrimPrefix(srv.URL, "http://"))
	job, _, err := jobfile.Parse("shop.yaml", []byte(text), nil, jobfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	types, err := jobfile.RecordTypes(job, nil)
	if err != nil {
		t.Fatal(err)
	}
	return trial.Config{Job: *job, Types: types, Env: func(string) (string, bool) { return "s3cret", true },
		Sleep: func(context.Context, time.Duration) error { return nil }}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type pages map[string]func(w http.ResponseWriter, r *http.Request)

func (p pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := p[r.Host+r.URL.RequestURI()]; f != nil {
		f(w, r)
		return
	}
	http.NotFound(w, r)
}

func text(s string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, s)
	}
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func moved(to string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", to); w.WriteHeader(302) }
}

var site = pages{
	"books.example/robots.txt":       text("User-agent: tester\nDisallow: /private/\nCrawl-delay: 7\n"),
	"books.example/":                 text(`<a href="/book/1?utm_source=x">one</a><a href="/book/1">again</a><a href="http://else.example/">x</a><a href="/cart/1">c</a><a href="mailto:a">m</a>`),
	"books.example/book/1":           text(`<h1>Harrow &amp; Plough</h1><p class="price">£12.50</p><time>2026-02-01</time>`),
	"books.example/book/2":           text("<h1>Cheap\x1b[31m</h1><p class=\"price\">on request</p>"),
	"books.example/old":              moved("/book/1"),
	"books.example/out":              moved("http://else.example/"),
	"books.example/secret":           moved("/private/1"),
	"books.example/loop":             moved("/loop"),
	"books.example/busy":             status(503),
	"books.example/away":             moved("http://sick.books.example/"),
	"sick.books.example/robots.txt":  status(503),
	"moved.books.example/robots.txt": moved("http://books.example/robots.txt"),
	"moved.books.example/private/1":  text("x"),
}

func TestTryTellsTheVerdicts(t *testing.T) {
	for _, c := range []struct {
		url     string
		outcome harrow.Outcome
		code    string
		hops    string // URL scope robots
	}{
		{"http://BOOKS.example:80/book/1?utm_medium=y#z", harrow.Fetched, "", `http://books.example/book/1 true:hosts "books.example" takes it in true:no rule of the group for "tester" is against it`},
		{"http://books.example/", harrow.Fetched, "", `http://books.example/ true:a seed: always in scope true:no rule of the group for "tester" is against it`},
		{"http://books.example/private/1", harrow.Denied, "robots", `http://books.example/private/1 true:hosts "books.example" takes it in false:Disallow: /private/ (line 2 of robots.txt, in the group for "tester")`},
		{"http://books.example/cart/1", harrow.Gone, "http_404", `http://books.example/cart/1 false:exclude "/cart/**" leaves it out true:no rule of the group for "tester" is against it`},
		{"http://books.example/old", harrow.Fetched, "", `http://books.example/old true:hosts "books.example" takes it in true:no rule of the group for "tester" is against it; http://books.example/book/1 true:hosts "books.example" takes it in true:no rule of the group for "tester" is against it`},
		{"http://books.example/out", harrow.Redirected, "scope", `http://books.example/out true:hosts "books.example" takes it in true:no rule of the group for "tester" is against it; http://else.example/ false:no pattern of hosts matches -`},
		{"http://books.example/secret", harrow.Denied, "robots", `http://books.example/secret true:hosts "books.example" takes it in true:no rule of the group for "tester" is against it; http://books.example/private/1 true:hosts "books.example" takes it in false:Disallow: /private/ (line 2 of robots.txt, in the group for "tester")`},
		{"http://books.example/loop", harrow.Failed, "redirect_loop", `http://books.example/loop true:hosts "books.example" takes it in true:no rule of the group for "tester" is against it`},
		{"http://books.example/busy", harrow.Failed, "http_503", `http://books.example/busy true:hosts "books.example" takes it in true:no rule of the group for "tester" is against it`},
		{"http://sick.books.example/x", harrow.Deferred, "robots", `http://sick.books.example/x true:hosts "*.books.example" takes it in false:robots.txt answered 503: a run would defer the host`},
		{"http://new.books.example/x", harrow.Gone, "http_404", `http://new.books.example/x true:hosts "*.books.example" takes it in true:there is no robots.txt (404), so nothing is against it`},
		{"http://moved.books.example/private/1", harrow.Denied, "robots", `http://moved.books.example/private/1 true:hosts "*.books.example" takes it in false:Disallow: /private/ (line 2 of robots.txt, in the group for "tester")`},
		{"http://down.example/", harrow.Deferred, "robots", `http://down.example/ false:no pattern of hosts matches false:robots.txt is unreachable (refused): a run would defer the host`},
		{"http://127.0.0.1/", harrow.Failed, "forbidden_address", ""},
	} {
		t.Run(c.url, func(t *testing.T) {
			r, err := trial.URL(t.Context(), newConfig(t, site), c.url)
			if err != nil {
				t.Fatal(err)
			}
			var hops []string
			for _, h := range r.Hops {
				robots := "-"
				if h.Robots != nil {
					robots = fmt.Sprintf("%v:%s", h.Robots.OK, h.Robots.Why)
				}
				hops = append(hops, fmt.Sprintf("%s %v:%s %s", h.URL, h.Scope.OK, h.Scope.Why, robots))
			}
			if r.Outcome != c.outcome || r.Code != c.code || c.hops != "" && strings.Join(hops, "; ") != c.hops {
				t.Errorf("%s %s\n%s\nwant %s %s\n%s", r.Outcome, r.Code, strings.Join(hops, "; "), c.outcome, c.code, c.hops)
			}
		})
	}
}

func TestTryShowsRecordsFieldsAndRejects(t *testing.T) {
	cfg := newConfig(t, site)
	r, err := trial.URL(t.Context(), cfg, "http://books.example/book/1")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Records) != 1 || string(r.Records[0].Values) != `{"title":"Harrow & Plough","price_amount":"12.5","price_currency":"GBP","day":2}` || r.Records[0].Rule != "book#1" {
		t.Errorf("%+v", r.Records)
	}
	i := slices.IndexFunc(r.Fields, func(f trial.Field) bool { return f.Field == "price" })
	if i < 0 || r.Fields[i].Raw != "£12.50" || r.Fields[i].Selector != "css: .price" {
		t.Errorf("%+v", r.Fields)
	}
	var b strings.Builder
	if err := r.WriteText(&b, 0, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`scope     in: hosts "books.example" takes it in`,
		"record    book (book#1, row 0)\n          {\"title\":\"Harrow & Plough\",",
		"  day    css: time    2026-02-01       2\n",
		"rule      other#2: no match: \"/other/*\" does not match http://books.example/book/1\n",
		"links     no follow rule looks into this page\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if r, err = trial.URL(t.Context(), cfg, "http://books.example/book/2"); err != nil {
		t.Fatal(err)
	}
	if len(r.Records) != 0 || len(r.Rejects) != 1 || r.Rejects[0].Code != "type" || r.Rejects[0].Value != "on request" {
		t.Errorf("%+v %+v", r.Records, r.Rejects)
	}
	b.Reset()
	if err := r.WriteText(&b, 80, false); err != nil || strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), "reject    data: type: ") {
		t.Errorf("%v\n%s", err, b.String())
	}
	if data, err := json.Marshal(r); err != nil || !json.Valid(data) {
		t.Errorf("%v", err)
	}
}

func TestTryReadsTheFirstRowsOfADataFile(t *testing.T) {
	cfg := newConfig(t, pages{"books.example/report.csv": text("day,amount\n1,x\n" + strings.Repeat("2,3\n", 100_000))})
	cfg.Job.Parse = []harrow.Rule{{Record: "book", Rows: harrow.Rows{Format: harrow.RowsCSV}, Fields: harrow.Fields{
		{Name: "title", Field: harrow.Field{Column: "day"}}, {Name: "day", Field: harrow.Field{Column: "amount", Type: "int"}}}}}
	cfg.Job.Limits.Document = 1 << 10 // of which the file has many
	r, err := trial.URL(t.Context(), cfg, "http://books.example/report.csv")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Records) != 99 || len(r.Rejects) != 1 || r.Rejects[0].Code != "type" || len(r.Fields) != 200 {
		t.Fatalf("%d records, %d fields, rejects %+v", len(r.Records), len(r.Fields), r.Rejects)
	}
	if f := r.Fields[1]; f.Selector != "column: amount" || f.Raw != "x" || !strings.HasPrefix(f.Note, "type: ") {
		t.Errorf("%+v", f)
	}
	if note := r.Rules[0].Note; note != "only the first 100 rows are explained" {
		t.Error(note)
	}
}

func TestTryCountsLinks(t *testing.T) {
	r, err := trial.URL(t.Context(), newConfig(t, site), "http://books.example/")
	if err != nil {
		t.Fatal(err)
	}
	want := trial.Links{Taken: 1, NotTaken: map[string]int{"host": 1, "exclude": 1, "invalid": 1}, First: []trial.Link{{URL: "http://books.example/book/1", Text: "one"}}, Rules: []string{"discover.follow[0]"}}
	if got, want := fmt.Sprintf("%+v", *r.Links), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTryKeepsTheDelayAndAsksRobotsFirst(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.Host+r.URL.Path+" "+strings.TrimSpace(r.Header.Get("X-Token")+" "+r.Header.Get("Cookie")))
		mu.Unlock()
		w.Header().Set("Set-Cookie", "sid=1; Path=/")
		site.ServeHTTP(w, r)
	})
	cfg := newConfig(t, h)
	var waits []time.Duration
	cfg.Sleep = func(_ context.Context, d time.Duration) error {
		waits = append(waits, d.Round(time.Second))
		return nil
	}
	if _, err := trial.URL(t.Context(), cfg, "http://books.example/old"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"books.example/robots.txt s3cret", "books.example/old s3cret", "books.example/book/1 s3cret sid=1"}; !slices.Equal(asked, want) {
		t.Errorf("%q", asked)
	}
	if want := []time.Duration{7 * time.Second, 7 * time.Second}; !slices.Equal(waits, want) { // the crawl-delay is longer than 3 s
		t.Errorf("waits %v, want %v", waits, want)
	}
}

func TestTryRefusesWhatIsNoURL(t *testing.T) {
	for _, u := range []string{"", "ftp://a.example/", "/relative", "http://user:pw@books.example/"} {
		if _, err := trial.URL(t.Context(), newConfig(t, site), u); !errors.Is(err, trial.ErrURL) {
			t.Errorf("%q: %v", u, err)
		}
	}
	cfg := newConfig(t, site)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := trial.URL(ctx, cfg, "http://books.example/"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestTryGoesThroughAProxyThatWorks(t *testing.T) {
	asked := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; !r.URL.IsAbs() || r.URL.Host != "books.example" {
			t.Errorf("the proxy was asked for %s", r.URL)
		}
		_, _ = w.Write([]byte("<h1>through</h1>"))
	}))
	defer proxy.Close()
	cfg := newConfig(t, http.NotFoundHandler())
	cfg.Job.Fetch.Resolve = nil
	cfg.Job.Fetch.Proxies = []string{"http://127.0.0.1:1", proxy.URL}
	r, err := trial.URL(t.Context(), cfg, "http://books.example/book/1")
	if err != nil || r.Outcome != harrow.Fetched || asked != 2 {
		t.Errorf("%s %s after %d requests to the proxy (%v); want it fetched with two", r.Outcome, r.Code, asked, err)
	}
}
