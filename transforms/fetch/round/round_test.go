package round

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func TestMain(m *testing.M) {
	lockTTL = func(time.Duration) time.Duration { return testTTL }
	goleak.VerifyTestMain(m)
}

// bench is a site, a workspace and a config to fetch the one into the other.
type bench struct {
	t    *testing.T
	site *httptest.Server
	log  *serverlog.Recorder
	cfg  Config
	lake lakeio.Lake

	kind    string // of the requests; empty: page
	headers []harrow.Header
}

func newBench(t *testing.T, h http.Handler) *bench { return newBenchBy(t, h, serverlog.Options{}) }

func newBenchBy(t *testing.T, h http.Handler, o serverlog.Options) *bench {
	b := &bench{t: t, log: serverlog.RecordWith(h, o)}
	b.site = httptest.NewServer(b.log)
	t.Cleanup(b.site.Close)
	dir := t.TempDir()
	run, err := lakeio.NewRunID()
	if err != nil {
		t.Fatal(err)
	}
	var job harrow.Job
	job.SetDefaults()
	job.Fetch.Resolve = map[string]string{"*.example": strings.TrimPrefix(b.site.URL, "http://")}
	zero := harrow.Duration(0)
	job.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 2, Delay: &zero}
	job.Fetch.Retry.Base = harrow.Duration(time.Millisecond)
	b.cfg = Config{Env: engine.Env{Workspace: dir, Job: "test", Run: run, Stage: lakeio.FetchStage(0), Memory: 256 << 20, Spill: t.TempDir(), Shards: 1},
		Rounds: 3, Scope: job.Discover.Scope, Canonical: job.Discover.Canonical, Fetch: job.Fetch, Document: 10 << 20}
	b.cfg.Scope.Hosts = []string{"*.example"}
	b.cfg.Follow = []harrow.Follow{{CSS: "a@href"}}
	if b.lake, err = b.cfg.Env.Open(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) requests(urls ...string) Requests {
	return func(_ context.Context, _ lakeio.Lake, yield func(harrow.Request) error) error {
		c, err := canon.New(canon.Policy{})
		if err != nil {
			return err
		}
		for _, raw := range urls {
			u, err := c.Parse(raw)
			if err != nil {
				return err
			}
			err = yield(harrow.Request{ID: canon.ID("GET", u.String(), nil, nil), URL: u.String(), Method: "GET",
				Key: canon.Key("host", u), Domain: canon.Domain(u.Host()), Kind: cmp.Or(b.kind, harrow.KindPage), Headers: b.headers})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// run fetches shard 0 and returns what it emits.
func (b *bench) run(ctx context.Context, urls ...string) ([]harrow.Part, error) {
	b.t.Helper()
	return b.fetch(ctx, b.requests(urls...))
}

func (b *bench) fetch(ctx context.Context, requests Requests) ([]harrow.Part, error) {
	b.t.Helper()
	p, err := Join(ctx, b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	a, err := p.Admit(ctx, 0, requests)
	if err != nil {
		b.t.Fatal(errors.Join(err, p.Close()))
	}
	parts, err := a.Wait(ctx)
	if cerr := p.Close(); cerr != nil {
		b.t.Fatal(cerr)
	}
	return parts, err
}

// all yields these requests, completed.
func all(requests ...harrow.Request) Requests {
	return func(_ context.Context, _ lakeio.Lake, yield func(harrow.Request) error) error {
		for _, r := range requests {
			u, err := plain.Parse(r.URL)
			if err != nil {
				return err
			}
			r.ID, r.Key, r.Domain = canon.ID(r.Method, r.URL, r.Body, r.Headers), canon.Key("host", u), canon.Domain(u.Host())
			if r.Kind == "" {
				r.Kind = harrow.KindPage
			}
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	}
}

var plain, _ = canon.New(canon.Policy{})

func rowsOf[R any](t *testing.T, l lakeio.Lake, table *lakeio.Table[R], parts []harrow.Part) []R {
	t.Helper()
	var rows []R
	for _, p := range parts {
		if p.Table != table.Name() {
			continue
		}
		for r, err := range lakeio.ReadRows(t.Context(), l.Store, table, p) {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func outcomes(captures []harrow.Capture) map[string]string {
	m := map[string]string{}
	for _, c := range captures {
		text := string(c.Outcome)
		if c.Code != "" {
			text += " " + c.Code
		}
		m[strings.Clone(c.URL)] = text
	}
	return m
}

func page(links ...string) string {
	var b strings.Builder
	b.WriteString("<!doctype html><title>x</title>")
	for _, l := range links {
		b.WriteString(`<a href="` + l + `">to</a>`)
	}
	return b.String()
}

func TestAFetchedPageIsCapturedWithItsBodyAndItsLinksAreFollowed(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(page("/a", "/b#x", "http://other.example/", "http://out.test/", "mailto:x@y")))
	})
	mux.HandleFunc("/a", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page("/"))) })
	mux.HandleFunc("/b", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/c", http.StatusFound) })
	mux.HandleFunc("/c", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("c")) })
	b := newBench(t, mux)
	parts, err := b.run(t.Context(), "http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	captures := rowsOf(t, b.lake, lakeio.Captures, parts)
	got := outcomes(captures)
	want := map[string]string{"http://one.example/": "fetched", "http://one.example/a": "fetched", "http://one.example/b": "fetched"}
	for url, outcome := range want {
		if got[url] != outcome {
			t.Errorf("%s: %q, want %q", url, got[url], outcome)
		}
	}
	if len(captures) != len(want) {
		t.Errorf("%d captures: %v", len(captures), got)
	}
	links := rowsOf(t, b.lake, lakeio.Links, parts)
	if len(links) != 4 { // a, b, other from /; / from /a
		t.Errorf("%d links: %+v", len(links), links)
	}
	for _, c := range captures {
		if c.BodyPart == "" || c.BodyRows != 1 {
			t.Errorf("%s has no body: %+v", c.URL, c)
		}
		if strings.HasSuffix(c.URL, "/b") && !strings.HasSuffix(c.FinalURL, "/c") {
			t.Errorf("final URL of /b: %s", c.FinalURL)
		}
	}
	if n := b.log.MostAtOnce("one.example"); n > 2 {
		t.Errorf("%d at once, limit 2", n)
	}
}

func TestOutcomesOfTheServersAnswers(t *testing.T) {
	tries := 0
	mux := http.NewServeMux()
	status := func(path string, code int) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	status("/gone", 410)
	status("/forbidden", 403)
	status("/broken", 500)
	status("/304", 304)
	mux.HandleFunc("/robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("User-agent: *\nDisallow: /private\n"))
	})
	mux.HandleFunc("/once", func(w http.ResponseWriter, _ *http.Request) {
		if tries++; tries == 1 {
			w.WriteHeader(503)
		}
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://other.example/x", http.StatusFound)
	})
	mux.HandleFunc("/out", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://out.test/x", http.StatusFound)
	})
	b := newBench(t, mux)
	b.cfg.Fetch.Breaker.Failures = 100
	at := "http://one.example"
	parts, err := b.run(t.Context(), at+"/gone", at+"/forbidden", at+"/broken", at+"/304", at+"/private/x", at+"/once", at+"/loop",
		at+"/away", at+"/out", at+"/nowhere", "http://unknown.invalid/")
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))
	for url, want := range map[string]string{
		at + "/gone": "gone http_410", at + "/nowhere": "gone http_404", at + "/forbidden": "failed http_403", at + "/broken": "failed http_500",
		at + "/304": "failed unasked_304", at + "/private/x": "denied robots", at + "/once": "fetched", at + "/loop": "failed redirect_loop",
		at + "/away": "redirected domain", at + "/out": "redirected scope",
	} {
		if got[url] != want {
			t.Errorf("%s: %q, want %q", url, got[url], want)
		}
	}
	if n := b.log.Count(at + "/broken"); n != 4 {
		t.Errorf("/broken was asked %d times, want 4 attempts", n)
	}
}
