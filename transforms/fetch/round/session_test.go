package round

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// guestbook notes what its visitors send: host, path, and the headers named.
type guestbook struct {
	names []string

	mu    sync.Mutex
	lines []string
}

func (g *guestbook) note(r *http.Request) {
	line := r.Host + r.URL.Path
	for _, name := range g.names {
		if v := r.Header.Get(name); v != "" {
			line += " " + name + "=" + v
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, line)
}

// of are the lines of a path, without host and path.
func (g *guestbook) of(at string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []string
	for _, line := range g.lines {
		if rest, ok := strings.CutPrefix(line+" ", at+" "); ok {
			found = append(found, strings.TrimSpace(rest))
		}
	}
	return strings.Join(found, " | ")
}

func TestCookiesGoBackToWhoSetThemAndToNobodyElse(t *testing.T) {
	g := &guestbook{names: []string{"Cookie"}}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.note(r)
		set := func(values ...string) {
			for _, v := range values {
				w.Header().Add("Set-Cookie", v)
			}
		}
		switch r.Host + r.URL.Path {
		case "one.example/":
			set("page=1; Path=/", "all=2; Path=/; Domain=one.example", "super=3; Path=/; Domain=example", "tls=4; Path=/; Secure")
			_, _ = w.Write([]byte(page("/again", "/hop", "http://www.one.example/", "/own", "http://two.example/")))
		case "one.example/again": // open to who comes back with its cookie
			if !strings.Contains(r.Header.Get("Cookie"), "again=7") {
				set("again=7; Path=/again")
				http.Redirect(w, r, "/again", http.StatusFound)
				return
			}
		case "one.example/hop":
			set("hop=5; Path=/")
			http.Redirect(w, r, "/landed", http.StatusFound)
		case "one.example/landed":
			set("error=6; Path=/")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte("."))
	})
	b := newBench(t, h)
	b.cfg.Fetch.Politeness.Default.Concurrency = 1
	parts, err := b.run(t.Context(), "http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"one.example/":       "",
		"one.example/hop":    "Cookie=page=1; all=2",
		"one.example/landed": "Cookie=page=1; all=2; hop=5",
		"www.one.example/":   "Cookie=all=2",
		// robots.txt is nobody's in particular.
		"one.example/robots.txt": "", "www.one.example/robots.txt": "",
	} {
		if got := g.of(at); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	if got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)); got["http://one.example/again"] != "fetched" {
		t.Errorf("a redirect to itself that sets a cookie: %v", got)
	}
	// A run without secrets keeps what servers set as it came.
	for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
		if c.URL == "http://one.example/" && !strings.Contains(flatHeaders(c.Headers), "Set-Cookie: page=1; Path=/") {
			t.Errorf("headers of the capture: %s", flatHeaders(c.Headers))
		}
	}
	// The run's next round goes on with them.
	b.cfg.Round, b.cfg.Env.Stage = 1, lakeio.FetchStage(1)
	if _, err := b.run(t.Context(), "http://one.example/later"); err != nil {
		t.Fatal(err)
	}
	if got := g.of("one.example/later"); got != "Cookie=page=1; all=2; hop=5; error=6" {
		t.Errorf("in the next round: %q", got)
	}
}

func flatHeaders(headers []harrow.Header) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h.Name + ": " + h.Value + "\n")
	}
	return b.String()
}

func TestAJobsOwnCookieWinsAndCookiesCanBeSwitchedOff(t *testing.T) {
	g := &guestbook{names: []string{"Cookie"}}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.note(r)
		w.Header().Set("Set-Cookie", "sid=jar; Path=/")
		_, _ = w.Write([]byte(page("/next")))
	})
	run := func(change func(*bench)) string {
		b := newBench(t, h)
		change(b)
		if _, err := b.run(t.Context(), "http://one.example/"); err != nil {
			t.Fatal(err)
		}
		defer func() { g.lines = nil }()
		return g.of("one.example/") + " then " + g.of("one.example/next")
	}
	for name, c := range map[string]struct {
		change func(*bench)
		want   string
	}{
		"by default":         {func(*bench) {}, " then Cookie=sid=jar"},
		"switched off":       {func(b *bench) { b.cfg.Fetch.Cookies = new(bool) }, " then "},
		"the job's":          {func(b *bench) { b.cfg.Fetch.Headers = map[string]string{"cookie": "mine=1"} }, "Cookie=mine=1 then Cookie=mine=1"},
		"the host's":         {func(b *bench) { b.cfg.Fetch.HostHeaders = harrow.HostHeaders{"*.example": {"Cookie": "host=1"}} }, "Cookie=host=1 then Cookie=host=1"},
		"the request's own":  {func(b *bench) { b.headers = []harrow.Header{{Name: "Cookie", Value: "own=1"}} }, "Cookie=own=1 then Cookie=sid=jar"},
		"the request's, any": {func(b *bench) { b.headers = []harrow.Header{{Name: "X-A", Value: "1"}} }, " then Cookie=sid=jar"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := run(c.change); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestHeadersOfAHostDoNotFollowARedirect(t *testing.T) {
	t.Setenv("HARROW_TEST_KEY", "k3y-value")
	g := &guestbook{names: []string{"X-Key", "X-Secret", "Authorization", "X-Open"}}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.note(r)
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "http://files.one.example/x", http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write([]byte(page("http://other.one.example/linked")))
	})
	b := newBench(t, h)
	b.cfg.Scope.Hosts = []string{"api.one.example"}
	b.cfg.Plain = []string{"api.one.example"}
	b.cfg.Fetch.Headers = map[string]string{"X-Open": "1", "X-Secret": "${HARROW_TEST_KEY}"}
	b.cfg.Fetch.HostHeaders = harrow.HostHeaders{"http://api.one.example": {"X-Key": "${HARROW_TEST_KEY}"}}
	b.cfg.Fetch.Auth = &harrow.Auth{Basic: "ann:${HARROW_TEST_KEY}"}
	b.headers = []harrow.Header{{Name: "X-Own", Value: "1"}}
	all := " X-Secret=k3y-value Authorization=Basic YW5uOmszeS12YWx1ZQ== X-Open=1"
	for _, hosts := range [][]string{{"api.one.example"}, {"api.one.example", "files.one.example", "other.one.example"}} {
		b.cfg.Scope.Hosts = hosts
		b.cfg.Env.Run += "x"
		b.lake.Run = b.cfg.Env.Run
		if _, err := b.run(t.Context(), "http://api.one.example/moved", "http://api.one.example/page", "http://stray.one.example/"); err != nil {
			t.Fatal(err)
		}
		for at, want := range map[string]string{
			"api.one.example/moved": "X-Key=k3y-value" + all, "api.one.example/page": "X-Key=k3y-value" + all, "stray.one.example/": "X-Open=1",
			"api.one.example/robots.txt": "X-Key=k3y-value" + all, "stray.one.example/robots.txt": "X-Open=1",
		} {
			if got := g.of(at); got != want {
				t.Errorf("hosts %v: %s: %q, want %q", hosts, at, got, want)
			}
		}
		if got := g.of("files.one.example/x") + g.of("other.one.example/linked"); len(hosts) == 1 && got != "" || len(hosts) > 1 && got != "X-Open=1X-Open=1" {
			t.Errorf("hosts %v: elsewhere: %q", hosts, got)
		}
		g.lines = nil
	}
}

func TestA401WithCredentialsSaysWhatToCheckAndNoSecret(t *testing.T) {
	t.Setenv("HARROW_TEST_PASSWORD", "wr0ng-one")
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			return
		}
		user, password, ok := r.BasicAuth()
		if w.Header().Set("WWW-Authenticate", "Basic realm="+password); !ok || user != "ann" || password != "right-one" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	b := newBench(t, h)
	b.cfg.Plain = []string{"one.example"}
	b.cfg.Fetch.Auth = &harrow.Auth{Basic: "ann:${HARROW_TEST_PASSWORD}"}
	parts, err := b.run(t.Context(), "http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	rejects := rowsOf(t, b.lake, lakeio.Rejects, parts)
	if len(rejects) != 1 || rejects[0].Class != harrow.Permanent || rejects[0].Code != "http_401" ||
		rejects[0].Reason != "answered 401; fetch.auth.basic was sent: check that what its secrets hold is right and still valid" {
		t.Errorf("%+v", rejects)
	}
	if c := rowsOf(t, b.lake, lakeio.Captures, parts); len(c) != 1 || strings.Contains(flatHeaders(c[0].Headers), "wr0ng") {
		t.Errorf("%+v", c)
	}
	t.Setenv("HARROW_TEST_PASSWORD", "right-one")
	b.cfg.Env.Run += "x"
	b.lake.Run = b.cfg.Env.Run
	if parts, err = b.run(t.Context(), "http://one.example/"); err != nil {
		t.Fatal(err)
	}
	if got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)); got["http://one.example/"] != "fetched" {
		t.Errorf("%v", got)
	}
}
