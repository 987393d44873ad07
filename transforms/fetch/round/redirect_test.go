package round

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/io/lakeio"
)

// echo notes what arrives; /CODE redirects with it to ?to.
type echo struct {
	mu  sync.Mutex
	got []string
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/robots.txt" {
		http.NotFound(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	e.got = append(e.got, strings.TrimSpace(fmt.Sprintf("%s %s%s %s %s %s %s", r.Method, r.Host, r.URL.Path, body,
		r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.Header.Get("X-Own"))))
	e.mu.Unlock()
	if code, err := strconv.Atoi(r.URL.Path[1:]); err == nil && r.URL.Query().Has("to") {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(code)
	}
}

var posted = harrow.Request{Method: "POST", Body: []byte("q=1"), Carry: `{"a":1}`,
	Headers: []harrow.Header{{Name: "Content-Type", Value: "text/x"}, {Name: "Authorization", Value: "me"}, {Name: "X-Own", Value: "own"}}}

// RFC 9110 15.4 as browsers have it.
func TestRedirectsKeepOrChangeTheMethod(t *testing.T) {
	for _, c := range []struct {
		code         int
		method, want string // of the hop
	}{
		{301, "POST", "GET www.one.example/x    own"}, {302, "POST", "GET www.one.example/x    own"}, {303, "POST", "GET www.one.example/x    own"},
		{307, "POST", "POST www.one.example/x q=1 text/x  own"}, {308, "POST", "POST www.one.example/x q=1 text/x  own"},
		{301, "PUT", "PUT www.one.example/x q=1 text/x  own"}, {302, "PUT", "PUT www.one.example/x q=1 text/x  own"}, {303, "PUT", "GET www.one.example/x    own"},
		{303, "HEAD", "HEAD www.one.example/x  text/x  own"},
	} {
		t.Run(fmt.Sprint(c.code, " ", c.method), func(t *testing.T) {
			site := &echo{}
			b := newBench(t, site)
			r := posted
			r.Method, r.URL = c.method, fmt.Sprintf("http://one.example/%d?to=http://www.one.example/x", c.code)
			if c.method == "HEAD" {
				r.Body = nil
			}
			parts, err := b.fetch(t.Context(), all(r))
			if err != nil {
				t.Fatal(err)
			}
			first := strings.TrimSpace(fmt.Sprintf("%s one.example/%d %s text/x me own", c.method, c.code, r.Body))
			if got := strings.Join(site.got, "; "); got != first+"; "+c.want {
				t.Errorf("the server saw %q; want %q, then %q", got, first, c.want)
			}
			captures := rowsOf(t, b.lake, lakeio.Captures, parts)
			if len(captures) != 1 || captures[0].Method != c.method || captures[0].FinalURL != "http://www.one.example/x" || captures[0].Carry != r.Carry {
				t.Errorf("captures %+v", captures)
			}
		})
	}
}

func TestARedirectWithinAnOriginKeepsCredentials(t *testing.T) {
	site := &echo{}
	b := newBench(t, site)
	r := posted
	r.URL = "http://one.example/307?to=/x"
	if _, err := b.fetch(t.Context(), all(r)); err != nil {
		t.Fatal(err)
	}
	if want := "POST one.example/x q=1 text/x me own"; len(site.got) != 2 || site.got[1] != want {
		t.Errorf("the server saw %q; want %q last", site.got, want)
	}
}

// A redirect that leaves the registered domain is asked in the next round as
// the hop would have been.
func TestARedirectOutOfTheDomainKeepsItsRequest(t *testing.T) {
	for code, want := range map[int]string{303: "GET two.example/x    own", 308: "POST two.example/x q=1 text/x  own"} {
		site := &echo{}
		b := newBench(t, site)
		r := posted
		r.URL = fmt.Sprintf("http://one.example/%d?to=http://two.example/x", code)
		parts, err := b.fetch(t.Context(), all(r))
		if err != nil {
			t.Fatal(err)
		}
		links := rowsOf(t, b.lake, lakeio.Links, parts)
		if len(links) != 1 {
			t.Fatalf("%d: links %+v", code, links)
		}
		next, err := RequestOf(plain, "host", links[0])
		if err != nil || next.ID != canon.ID(next.Method, next.URL, next.Body, next.Headers) || next.Carry != r.Carry || next.Depth != 0 {
			t.Errorf("%d: request %+v, %v", code, next, err)
		}
		b.cfg.Round, b.cfg.Env.Stage = 1, lakeio.FetchStage(1)
		if _, err := b.fetch(t.Context(), all(next)); err != nil {
			t.Fatal(err)
		}
		if got := site.got[len(site.got)-1]; got != want {
			t.Errorf("%d: the server saw %q; want %q", code, got, want)
		}
	}
}

func TestAPostThatIsSentToItselfAsAGetIsNoLoop(t *testing.T) {
	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			http.Redirect(w, r, r.URL.Path, http.StatusSeeOther)
		}
	})
	b := newBench(t, site)
	parts, err := b.fetch(t.Context(), all(harrow.Request{Method: "POST", URL: "http://one.example/x", Body: []byte("q")}))
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)); got["http://one.example/x"] != "fetched" {
		t.Errorf("outcomes %v", got)
	}
}

// What differs in method, body or headers is another request; what was
// deferred in the middle of its redirects is asked from its start.
func TestRequestsAreToldApartByAllThatIsSent(t *testing.T) {
	site := &echo{}
	b := newBench(t, site)
	at := "http://one.example/x"
	requests := []harrow.Request{{Method: "GET", URL: at}, {Method: "POST", URL: at, Body: []byte("1")}, {Method: "POST", URL: at, Body: []byte("2")},
		{Method: "POST", URL: at, Body: []byte("2"), Headers: []harrow.Header{{Name: "X-Own", Value: "a"}}}, {Method: "POST", URL: at, Body: []byte("2")}}
	parts, err := b.fetch(t.Context(), all(requests...))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(rowsOf(t, b.lake, lakeio.Captures, parts)); n != 4 || len(site.got) != 4 {
		t.Errorf("%d captures, the server saw %q; want 4", n, site.got)
	}
}

func TestAPostIsTriedAgainAsEveryRequest(t *testing.T) {
	tries := 0
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) == "q" {
			if tries++; tries == 1 {
				w.WriteHeader(503)
			}
		}
	}))
	parts, err := b.fetch(t.Context(), all(harrow.Request{Method: "POST", URL: "http://one.example/x", Body: []byte("q")}))
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)); got["http://one.example/x"] != "fetched" || tries != 2 {
		t.Errorf("outcomes %v after %d tries", got, tries)
	}
}

func TestWhatIsDeferredKeepsItsWholeRequest(t *testing.T) {
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/robots.txt":
			http.NotFound(w, r)
		case "/start":
			http.Redirect(w, r, "/dead", http.StatusFound)
		default:
			w.WriteHeader(503)
		}
	}))
	b.cfg.Fetch.Breaker = harrow.Breaker{Failures: 2, CoolDown: harrow.Duration(10 * time.Millisecond)}
	r := posted
	r.URL = "http://one.example/start"
	parts, err := b.fetch(t.Context(), all(r))
	if err != nil {
		t.Fatal(err)
	}
	deferred := rowsOf(t, b.lake, lakeio.DeferredRequests, parts)
	if len(deferred) != 1 {
		t.Fatalf("deferred %+v", deferred)
	}
	d := deferred[0]
	if d.Method != "POST" || string(d.Body) != "q=1" || len(d.Headers) != 3 || d.Carry != r.Carry || d.URL != r.URL || d.Reason != "breaker" ||
		d.ID != canon.ID("POST", r.URL, r.Body, r.Headers) {
		t.Errorf("deferred %+v", d)
	}
}
