package round

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
)

// newProcess makes the process forget the bench's run, as if it were another.
func (b *bench) newProcess() {
	recallMu.Lock()
	defer recallMu.Unlock()
	delete(recallOf, b.cfg.Env.Workspace+"\x00"+b.cfg.Env.Job)
}

// polite fails where the server's log says that a limit was broken.
func (b *bench) polite() {
	b.t.Helper()
	for _, v := range b.log.Judge(func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 2} }) {
		b.t.Error(v)
	}
}

func noRobots(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
			return
		}
		h(w, r)
	})
}

// The answers by which a host asks for a second's rest, by host. Each says so
// once; the server's log has the last word on whether it was kept.
func TestARetryAfterIsKeptWhateverTheAnswer(t *testing.T) {
	t.Parallel()
	answers := map[string]func(w http.ResponseWriter, r *http.Request){
		"too-many": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"busy":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"broken":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"missing":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"refused":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) },
		"moved":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/to", http.StatusFound) },
		"robots":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
	}
	var mu sync.Mutex
	asked := map[string]bool{}
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimSuffix(r.Host, ".example")
		mu.Lock()
		first := !asked[name] && (r.URL.Path != "/robots.txt") == (name != "robots")
		asked[name] = asked[name] || first
		mu.Unlock()
		switch {
		case first:
			w.Header().Set("Retry-After", " 1 ")
			answers[name](w, r)
		case r.URL.Path == "/robots.txt":
			http.NotFound(w, r)
		}
	}))
	b.cfg.Fetch.Politeness.Default.Concurrency = 1
	var urls []string
	for name := range answers {
		for i := range 3 {
			urls = append(urls, fmt.Sprintf("http://%s.example/%d", name, i))
		}
	}
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	b.polite()
	got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))
	for _, url := range urls {
		want := "fetched"
		switch {
		case strings.HasSuffix(url, "missing.example/0"):
			want = "gone http_404"
		case strings.HasSuffix(url, "refused.example/0"):
			want = "failed http_403"
		}
		if got[url] != want {
			t.Errorf("%s: %q, want %q", url, got[url], want)
		}
	}
	for name := range answers {
		if !asked[name] {
			t.Errorf("%s was not asked", name)
		}
	}
}

// What is no time, is past or is nothing to wait for holds nobody back.
func TestARetryAfterThatSaysNothingHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	values := []string{"0", "-5", "soon", "1e9", "", "Thu, 01 Jan 1970 00:00:00 GMT", "Wed, 99 Foo 2026 00:00:00 GMT", "1 s"}
	b := newBench(t, noRobots(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if err == nil && n < len(values) {
			w.Header().Set("Retry-After", values[n])
			w.WriteHeader(404)
		}
	}))
	var urls []string
	for n := range values {
		urls = append(urls, fmt.Sprintf("http://one.example/%d", n))
	}
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, b.lake, lakeio.Captures, parts); len(got) != len(values) {
		t.Errorf("%d captures, want %d", len(got), len(values))
	}
	at := lakeio.FetchShard{Lake: b.lake}
	if rec, err := at.Read(t.Context()); err != nil || len(rec.Holds) > 0 {
		t.Errorf("held: %v %v", rec.Holds, err)
	}
}

// A rest outlives the process that was asked for it: whoever goes on with the
// shard keeps it, and so does a later round, which knows it from the record of
// the one before.
func TestARestOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	for _, round := range []int{0, 1} {
		t.Run(fmt.Sprint("resumed in round ", round), func(t *testing.T) {
			t.Parallel()
			answered := make(chan struct{})
			var asked atomic.Int64
			ctx, cancel := context.WithCancel(t.Context())
			b := newBench(t, noRobots(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) > 1 {
					<-ctx.Done() // should the rest be over before the stop
					return
				}
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(503)
				close(answered)
			}))
			b.cfg.Fetch.Politeness.Default.Concurrency = 1
			at := lakeio.FetchShard{Lake: b.lake}
			go func() {
				defer cancel()
				<-answered
				for begun := time.Now(); time.Since(begun) < patience; time.Sleep(time.Millisecond) {
					if rec, err := at.Read(context.Background()); err == nil && len(rec.Holds) > 0 {
						return
					}
				}
			}()
			if _, err := b.run(ctx, "http://one.example/a", "http://one.example/b"); !errors.Is(err, ErrStopped) {
				t.Fatalf("stopped run: %v", err)
			}
			rec, err := at.Read(t.Context())
			if err != nil || len(rec.Holds) != 1 || time.Until(rec.Holds["one.example"]) > 2*time.Second {
				t.Fatalf("the record holds %v, %v", rec.Holds, err)
			}
			b.newProcess()
			b.cfg.Round, b.cfg.Env.Stage = round, lakeio.FetchStage(round)
			if _, err := b.run(t.Context(), "http://one.example/a", "http://one.example/b"); err != nil {
				t.Fatal(err)
			}
			b.polite()
			if n := asked.Load(); n < 3 {
				t.Errorf("%d pages were asked for, want three", n)
			}
		})
	}
}

// A rest that is longer than anybody waits for defers what is left of the key,
// with the moment at which it ends, and holds up nobody else.
func TestARestThatIsTooLongDefersTheKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		after  string
		atOnce bool
		change func(*Config)
	}{
		{"longer than the backoff's cap and the breaker", "3600", false, func(*Config) {}},
		{"a day at most is believed", "999999999999999999999", false, func(*Config) {}},
		{"beyond the end of the stage's time", "100", true, func(c *Config) { c.Fetch.MaxTime = harrow.Duration(time.Minute) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Host == "robots.example" && r.URL.Path == "/robots.txt", r.Host == "page.example" && r.URL.Path == "/0":
					w.Header().Set("Retry-After", c.after)
					w.WriteHeader(503)
				case r.URL.Path == "/robots.txt":
					http.NotFound(w, r)
				}
			}))
			b.cfg.Fetch.Politeness.Default.Concurrency = 1
			c.change(&b.cfg)
			var urls []string
			for _, host := range []string{"page", "robots", "other"} {
				for i := range 4 {
					urls = append(urls, fmt.Sprintf("http://%s.example/%d", host, i))
				}
			}
			parts, err := b.run(t.Context(), urls...)
			if err != nil {
				t.Fatal(err)
			}
			got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))
			for _, url := range urls {
				want := "deferred retry_after"
				if strings.Contains(url, "other") {
					want = "fetched"
				}
				if got[url] != want {
					t.Errorf("%s: %q, want %q", url, got[url], want)
				}
			}
			seconds, err := strconv.ParseFloat(c.after, 64)
			if err != nil {
				t.Fatal(err)
			}
			rest := min(time.Duration(min(seconds, 1e6))*time.Second, 24*time.Hour)
			deferred := rowsOf(t, b.lake, lakeio.DeferredRequests, parts)
			for _, r := range deferred {
				if left := time.Until(r.NotBefore); r.Reason != "retry_after" || left > rest || left < rest-patience {
					t.Errorf("%s: %s, not before %v, %v from now", r.URL, r.Reason, r.NotBefore, left)
				}
			}
			if len(deferred) != 8 {
				t.Errorf("%d deferred, want 8", len(deferred))
			}
			b.polite()
		})
	}
}

// The next run keeps a rest that the last one was asked for, asks first what was
// deferred, and writes the rest down for whoever goes on with it.
func TestTheNextRunKeepsTheRestOfTheLast(t *testing.T) {
	t.Parallel()
	b := newBench(t, noRobots(func(http.ResponseWriter, *http.Request) {}))
	b.cfg.Fetch.Politeness.Default.Concurrency = 1
	soon := time.Now().Add(1500 * time.Millisecond)
	request := func(url string, deferred bool) harrow.Request {
		r := harrow.Request{URL: url, Method: "GET"}
		if deferred {
			r.Priority, r.NotBefore = 1<<20, soon
		}
		return r
	}
	parts, err := b.fetch(t.Context(), all(request("http://one.example/seed", false), request("http://one.example/deferred", true),
		request("http://two.example/", false)))
	if err != nil {
		t.Fatal(err)
	}
	order := map[string][]string{}
	for _, e := range b.log.Requests() {
		order[e.Host] = append(order[e.Host], strings.TrimPrefix(e.URL, "http://"+e.Host+"/"))
		if e.Host == "one.example" && e.Start.Before(soon) {
			t.Errorf("%s was asked %v before the rest was over", e.URL, soon.Sub(e.Start))
		}
	}
	if want := []string{"robots.txt", "deferred", "seed"}; !slices.Equal(order["one.example"], want) || len(order["two.example"]) != 2 {
		t.Errorf("asked in the order %v, want %v of one.example", order, want)
	}
	if n := len(rowsOf(t, b.lake, lakeio.Captures, parts)); n != 3 {
		t.Errorf("%d captures, want 3", n)
	}
	rec, err := lakeio.FetchShard{Lake: b.lake}.Read(t.Context())
	if err != nil || !maps.EqualFunc(rec.Holds, map[string]time.Time{"one.example": soon}, time.Time.Equal) {
		t.Errorf("the record holds %v, %v", rec.Holds, err)
	}
}

// A redirect that asks for rest makes its own hop wait, and nobody else at the
// host that it leads to.
func TestOnlyTheHopWaitsForItsRedirectsRest(t *testing.T) {
	t.Parallel()
	b := newBench(t, noRobots(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "a.one.example" {
			w.Header().Set("Retry-After", "1")
			http.Redirect(w, r, "http://b.one.example/hop", http.StatusFound)
		}
	}))
	b.cfg.Scope.Hosts = []string{"*.one.example"}
	b.cfg.Fetch.Resolve = map[string]string{"*.one.example": strings.TrimPrefix(b.site.URL, "http://")}
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	admitted, err := p.Admit(t.Context(), 0, b.requests("http://a.one.example/", "http://b.one.example/1", "http://b.one.example/2"))
	if err != nil {
		t.Fatal(errors.Join(err, p.Close()))
	}
	parts, err := admitted.Wait(t.Context())
	if err != nil {
		t.Fatal(errors.Join(err, p.Close()))
	}
	p.mu.Lock()
	rests := []bool{!p.keys["a.one.example"].rest.IsZero(), !p.keys["b.one.example"].rest.IsZero()}
	p.mu.Unlock()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(rests, []bool{true, false}) {
		t.Errorf("a and b were held back: %v; want only a, which asked for it", rests)
	}
	var redirected time.Time
	var order []string
	for _, e := range b.log.Requests() {
		if e.URL == "http://a.one.example/" {
			redirected = e.End
		}
		if e.Host == "b.one.example" {
			order = append(order, e.URL[len("http://b.one.example"):])
		}
		if strings.HasSuffix(e.URL, "/hop") && e.Start.Sub(redirected) < time.Second-serverlog.Late {
			t.Errorf("the hop came after %v", e.Start.Sub(redirected))
		}
	}
	if len(order) != 4 {
		t.Errorf("b was asked for %v", order)
	}
	if got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)); got["http://a.one.example/"] != "fetched" {
		t.Errorf("%v", got)
	}
}

// Notes that come while the record is swapped go into the next swap: none is lost.
func TestWhatManyHostsAskForIsWrittenDown(t *testing.T) {
	t.Parallel()
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			_, _ = w.Write([]byte("User-agent: *\nCrawl-delay: 0.01\n"))
		}
	}))
	var urls []string
	for i := range 200 {
		urls = append(urls, fmt.Sprintf("http://h%03d.example/", i))
	}
	if _, err := b.run(t.Context(), urls...); err != nil {
		t.Fatal(err)
	}
	rec, err := lakeio.FetchShard{Lake: b.lake}.Read(t.Context())
	if err != nil || len(rec.Delays) != len(urls) {
		t.Fatalf("%d delays, %v", len(rec.Delays), err)
	}
	for name, delay := range rec.Delays {
		if delay != 10*time.Millisecond {
			t.Errorf("%s: %v", name, delay)
		}
	}
}

// A recollection forgets the keys that were started longest ago, and knows that
// it did.
func TestARecollectionIsBounded(t *testing.T) {
	r := &recollection{last: map[string]lastStart{}}
	at := time.Unix(1, 0)
	r.rests("a", at.Add(time.Hour))
	for i := range 5 * lastStarts {
		r.started(strconv.Itoa(i), at, time.Duration(i))
		if i == lastStarts-2 && r.forgetful() {
			t.Error("forgetful before anything is forgotten")
		}
		if n := len(r.last) + len(r.before); n > 2*lastStarts {
			t.Fatalf("%d keys are remembered", n)
		}
	}
	if _, known := r.lastStart("a"); known || !r.forgetful() {
		t.Error("the first key is still known")
	}
	if l, known := r.lastStart(strconv.Itoa(5*lastStarts - 1)); !known || l.delay != 5*lastStarts-1 {
		t.Errorf("the last key: %+v %v", l, known)
	}
	r.rests("new", at.Add(time.Hour))
	r.started("new", at, 1)
	if l, _ := r.lastStart("new"); !l.rest.Equal(at.Add(time.Hour)) || !l.at.Equal(at) {
		t.Errorf("a start after a rest: %+v", l)
	}
}

// A request that was to be started when its key's host asked for rest is put
// back, and the key has its place in flight again.
func TestWhatWasAboutToStartIsPutBackWhenItsHostAsksForRest(t *testing.T) {
	t.Parallel()
	b := newBench(t, noRobots(func(http.ResponseWriter, *http.Request) {}))
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.stop(nil) // nothing starts but what is started here
	u, err := plain.Parse("http://one.example/a")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		rest time.Duration
		it   item
		back bool
	}{
		{"no rest", 0, item{}, false},
		{"a page", time.Hour, item{}, true},
		{"a robots.txt", time.Hour, item{Robots: "http://one.example"}, true},
		{"one that others wait for", time.Hour, item{probe: true}, false},
	} {
		p.mu.Lock()
		it := c.it
		it.Req, it.shard, it.at = harrow.Request{Method: "GET", URL: u.String()}, &shard{}, u
		it.key = p.keyOf(u, it.shard)
		p.rest(it.key, time.Now().Add(c.rest), time.Now())
		p.sched.Start(it.key.pol, time.Now())
		before := p.waiting(it.key)
		p.mu.Unlock()
		back, err := p.handBack(&it)
		it.shares = true
		if p.held(&it)() != c.back {
			t.Errorf("%s: held is not what is put back", c.name)
		}
		p.mu.Lock()
		flying, waiting := it.key.pol.InFlight(), p.waiting(it.key)-before
		if !back {
			p.sched.Cancel(it.key.pol)
		}
		p.mu.Unlock()
		if err != nil || back != c.back || (flying == 0) != c.back || (waiting == 1) != c.back {
			t.Errorf("%s: put back %v (%v), %d in flight, %d more waiting", c.name, back, err, flying, waiting)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// Of a host's requests that were deferred some may have been so before it asked
// for rest: they come without a time, and first.
func TestARestHoldsForAllRequestsOfAHost(t *testing.T) {
	b := newBench(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	soon := time.Now().Add(700 * time.Millisecond)
	var requests []harrow.Request
	for i := range 2000 {
		requests = append(requests, harrow.Request{URL: fmt.Sprintf("http://one.example/%d", i), Method: "GET", Priority: 1 << 20})
	}
	requests[len(requests)-1].NotBefore = soon
	b.cfg.Limit = 1
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(t.Context(), 0, all(requests...))
	if err == nil {
		_, err = a.Wait(t.Context())
	}
	if err := errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	if log := b.log.Requests(); len(log) == 0 || log[0].Start.Before(soon) {
		t.Errorf("%d requests, the first %s %v too soon", len(log), log[0].URL, soon.Sub(log[0].Start))
	}
}
