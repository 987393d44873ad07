package round

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// knife ends the bundle at hand: while the nth request is being answered that it
// counts.
type knife struct {
	site   http.Handler
	counts func(r *http.Request) bool // nil: pages

	mu    sync.Mutex
	after []int // of each round; 0: never
	round int
	seen  int
	at    *Admission
}

const bundleTime = time.Hour

func (k *knife) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	if k.counts == nil && r.URL.Path != "/robots.txt" || k.counts != nil && k.counts(r) {
		if k.seen++; k.round < len(k.after) && k.seen == k.after[k.round] {
			k.at.Began(time.Now().Add(-bundleTime))
		}
	}
	k.mu.Unlock()
	k.site.ServeHTTP(w, r)
}

// admit admits a round's requests; no request of theirs is counted before the
// knife knows whose bundle it is.
func (k *knife) admit(ctx context.Context, p *Process, round, shard int, requests Requests) (*Admission, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, err := p.Admit(ctx, shard, requests)
	if err != nil {
		return nil, err
	}
	k.round, k.seen, k.at = round, 0, a
	if round < len(k.after) && k.after[round] < 0 { // before anything is asked
		a.Began(time.Now().Add(-bundleTime))
	}
	return a, nil
}

// newCut is a bench whose bundles end: in each round while that many pages have
// been asked for, 0: never, -1: at once.
func newCut(t *testing.T, site http.Handler, after ...int) (*bench, *knife) {
	k := &knife{site: site, after: after}
	b := newBench(t, k)
	b.cfg.Fetch.MaxBundleTime = harrow.Duration(bundleTime)
	b.cfg.Rounds = max(b.cfg.Rounds, len(after)+1)
	return b, k
}

// rounds fetches shard 0 round by round, as the graph does, and returns what
// each emits; apart: every round in a process of its own.
func (k *knife) rounds(b *bench, apart bool, seeds Requests) (emitted [][]harrow.Part) {
	b.t.Helper()
	for r := range b.cfg.Rounds + 1 {
		if apart {
			b.forget()
		}
		emitted = append(emitted, k.one(b, r, seeds))
		seeds = b.next(emitted[r])
	}
	return emitted
}

func (k *knife) one(b *bench, r int, requests Requests) []harrow.Part {
	b.t.Helper()
	parts, err := k.try(b.t.Context(), b, r, requests)
	if err != nil {
		b.t.Fatalf("round %d: %v", r, err)
	}
	return parts
}

func (k *knife) try(ctx context.Context, b *bench, r int, requests Requests) ([]harrow.Part, error) {
	b.t.Helper()
	b.cfg.Round, b.cfg.Env.Stage = r, lakeio.FetchStage(r)
	p, err := Join(ctx, b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	a, err := k.admit(ctx, p, r, 0, requests)
	if err != nil {
		b.t.Fatal(errors.Join(err, p.Close()))
	}
	parts, err := a.Wait(ctx)
	if cerr := p.Close(); cerr != nil {
		b.t.Fatal(cerr)
	}
	return parts, err
}

// forget makes this process one that knows nothing of the run.
func (b *bench) forget() {
	recallMu.Lock()
	defer recallMu.Unlock()
	for at := range recallOf {
		recallOf[at] = ""
	}
}

// next are the next round's requests: what led out of the domain and, as one row
// a part, what was left.
func (b *bench) next(parts []harrow.Part) Requests {
	var list []harrow.Request
	for _, l := range rowsOf(b.t, b.lake, lakeio.Links, parts) {
		if l.SameDomain {
			continue
		}
		r, err := RequestOf(plain, b.cfg.Fetch.Politeness.Key, l)
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, r)
	}
	if left := rowsOf(b.t, b.lake, lakeio.Requests, parts); len(left) > 0 {
		list = append(list, left[0])
	}
	return func(_ context.Context, _ lakeio.Lake, yield func(harrow.Request) error) error {
		for _, r := range list {
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// last is a request's last word, by path: how it ended, how deep it lies and
// what it carries. It fails where there is none or more than one.
func (b *bench) last(emitted [][]harrow.Part) map[string]string {
	b.t.Helper()
	got := map[string]string{}
	for r, parts := range emitted {
		left := len(rowsOf(b.t, b.lake, lakeio.Requests, parts))
		for _, c := range rowsOf(b.t, b.lake, lakeio.Captures, parts) {
			if c.Readmitted() {
				left--
				continue
			}
			path := strings.TrimPrefix(strings.Clone(c.URL), "http://")
			if _, twice := got[path]; twice {
				b.t.Errorf("round %d: a second last word on %s", r, path)
			}
			got[path] = strings.TrimSpace(fmt.Sprintf("%s %s %d %s", c.Outcome, c.Code, c.Depth, c.Carry))
		}
		if left != 0 {
			b.t.Errorf("round %d: %d more requests are left than captures say", r, left)
		}
	}
	return got
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for path, text := range want {
		if got[path] != text {
			t.Errorf("%s: %s: %q, want %q", what, path, got[path], text)
		}
	}
	for path, text := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s: %s: %q, which was not to be asked", what, path, text)
		}
	}
}

func left(t *testing.T, b *bench, parts []harrow.Part) int {
	return len(rowsOf(t, b.lake, lakeio.Requests, parts))
}

func TestWhatABundleLeavesIsAskedInTheNextRound(t *testing.T) {
	for _, apart := range []bool{false, true} {
		t.Run(fmt.Sprint("apart ", apart), func(t *testing.T) {
			const pages = 30
			seed := harrow.Request{Method: "GET", URL: "http://one.example/", Carry: `{"a":1}`}
			b, k := newCut(t, chain(pages, 0), 1, 12, 5)
			emitted := k.rounds(b, apart, all(seed))
			want := map[string]string{"one.example/": `fetched  0 {"a":1}`}
			for i := range pages {
				want[fmt.Sprintf("one.example/p%03d", i)] = `fetched  1 {"a":1}`
			}
			same(t, "captures", b.last(emitted), want)
			// The seed's links were found before the end, at most two were in flight.
			if n := left(t, b, emitted[0]); n < pages-2 {
				t.Errorf("round 0 left %d requests, want %d or so", n, pages)
			}
			if a, c := left(t, b, emitted[1]), left(t, b, emitted[2]); a <= c || c == 0 || left(t, b, emitted[3]) > 0 {
				t.Errorf("rounds 1 to 3 left %d, %d and %d, want ever fewer", a, c, left(t, b, emitted[3]))
			}
			for r, parts := range emitted {
				if n := len(rowsOf(t, b.lake, lakeio.DeferredRequests, parts)); n > 0 {
					t.Errorf("round %d deferred %d for good", r, n)
				}
				rec, err := (lakeio.FetchShard{Lake: b.lake, Round: r}).Read(t.Context())
				if err != nil || rec.Done != (r <= 3) && r < 4 {
					t.Errorf("round %d: %+v %v", r, rec, err)
				}
			}
			if twice := b.log.AskedTwice(true); len(twice) > 0 {
				t.Errorf("asked twice: %v", twice)
			}
			if n := b.log.Count("http://one.example/robots.txt"); !apart && n != 1 {
				t.Errorf("robots.txt was asked %d times by one process", n)
			}
		})
	}
}

func TestWhatIsLeftToTheLastRoundIsDeferredForTheNextRun(t *testing.T) {
	b, k := newCut(t, chain(20, 0), 3, 3, 3)
	b.cfg.Rounds = 3
	emitted := k.rounds(b, false, b.requests("http://one.example/"))
	count := map[string]int{}
	for _, text := range b.last(emitted) {
		words := strings.Fields(text) // a page is as deep as who finds it first: the next one may overtake the first
		count[strings.TrimRight(strings.Join(words[:2], " "), " 0123456789")]++
	}
	deferred := rowsOf(t, b.lake, lakeio.DeferredRequests, emitted[3])
	if n := count["deferred rounds"]; n != len(deferred) || n != left(t, b, emitted[2]) || n < 5 || n+count["fetched"] != 21 {
		t.Errorf("%v, %d deferred, %d left by the last round that asks", count, len(deferred), left(t, b, emitted[2]))
	}
	if left(t, b, emitted[3]) > 0 {
		t.Error("the last round leaves something to nobody")
	}
}

// What is under way when a bundle ends, but for its exchanges in flight, is
// begun again: a hop, a retry, a rest.
func TestWhatIsUnderWayWhenABundleEndsIsAskedFromItsStart(t *testing.T) {
	failed, rested := false, false
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/hop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/end", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://www.one.example/end", http.StatusFound)
	})
	mux.HandleFunc("/retry", func(w http.ResponseWriter, _ *http.Request) {
		if !failed {
			failed = true
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/rest", func(w http.ResponseWriter, _ *http.Request) {
		if !rested {
			rested = true
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/end", func(http.ResponseWriter, *http.Request) {})
	for _, path := range []string{"hop", "away", "retry", "rest"} {
		t.Run(path, func(t *testing.T) {
			url := "http://one.example/" + path
			b, k := newCut(t, mux, 1)
			b.cfg.Fetch.Politeness.Default.Concurrency = 1
			emitted := k.rounds(b, true, b.requests(url, url+"/not-begun"))
			want := map[string]string{"one.example/" + path: "fetched  0", "one.example/" + path + "/not-begun": "gone http_404 0"}
			same(t, path, b.last(emitted), want)
			if n := left(t, b, emitted[0]); n != 2 {
				t.Errorf("%d requests were left, want both", n)
			}
			if n := b.log.Count(url); n != 2 {
				t.Errorf("%s was asked %d times, want twice", url, n)
			}
			for _, r := range rowsOf(t, b.lake, lakeio.Requests, emitted[0]) {
				// What has not begun may be left before its host asks for rest, or after.
				if r.URL == url && r.NotBefore.IsZero() == (path == "rest") || path != "rest" && !r.NotBefore.IsZero() || r.Reason != "" || r.URL == "" {
					t.Errorf("left: %+v", r)
				}
			}
			log := b.log.Requests()
			for i, r := range log { // when a busy server sees the end of its answer says nothing
				if r.Status == http.StatusServiceUnavailable && log[i+1].Start.Sub(r.Start) < time.Second {
					t.Errorf("%s was asked %v after %s, Retry-After was 1 s", log[i+1].URL, log[i+1].Start.Sub(r.Start), r.URL)
				}
			}
		})
	}
}

// That a robots.txt failed for the moment when its bundle ended says nothing of
// its host.
func TestARobotsTxtThatFailedWhenItsBundleEndedIsAskedAgain(t *testing.T) {
	n := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		if n++; n == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = fmt.Fprint(w, "User-agent: *\nDisallow: /private")
	})
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	for _, apart := range []bool{false, true} {
		n = 0
		b, k := newCut(t, mux, 1)
		k.counts = func(r *http.Request) bool { return r.URL.Path == "/robots.txt" }
		emitted := k.rounds(b, apart, b.requests("http://one.example/a", "http://one.example/private"))
		same(t, fmt.Sprint("apart ", apart), b.last(emitted), map[string]string{"one.example/a": "fetched  0", "one.example/private": "denied robots 0"})
	}
}

func TestALoginThatABundleEndsIsBegunAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken int
		at     string // method and path of the exchange that is in flight then
	}{
		{"at its form", 0, "GET /login"}, {"as it is sent", 0, "POST /login"}, {"at its end", 0, "GET /home"},
		{"after a failure", 1, "GET /login"}, {"at the first page", 0, "GET /page/0"},
	} {
		for _, apart := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, " apart ", apart), func(t *testing.T) {
				l := &lounge{out: http.StatusFound, domain: "one.example", broken: c.broken}
				b, k := newCut(t, l, 1)
				k.counts = func(r *http.Request) bool { return r.Method+" "+r.URL.Path == c.at }
				t.Setenv("HARROW_TEST_PASSWORD", password)
				b.cfg.Fetch.Login = &harrow.Login{URL: "http://one.example/login", Form: "form#in", Fields: map[string]string{"user": "ann", "pass": "${HARROW_TEST_PASSWORD}"}}
				emitted := k.rounds(b, apart, b.requests(append(pagesOf("one.example", 4), "http://www.one.example/a")...))
				want := map[string]string{"www.one.example/a": "fetched  0"}
				for _, url := range pagesOf("one.example", 4) {
					want[strings.TrimPrefix(url, "http://")] = "fetched  0"
				}
				same(t, c.name, b.last(emitted), want)
				if left(t, b, emitted[0]) == 0 {
					t.Error("nothing was left: the bundle did not end")
				}
				for _, parts := range emitted {
					for _, r := range rowsOf(t, b.lake, lakeio.Rejects, parts) {
						t.Errorf("reject: %+v", r)
					}
				}
			})
		}
	}
}

// The sitemaps that a seed's robots.txt names are asked for in whatever round
// that is read, and what a sitemap lists in whatever round it is.
func TestSitemapsAreReadInTheRoundThatComesToThem(t *testing.T) {
	site := files{"one.example/robots.txt": "Sitemap: /index.xml", "/index.xml": index("http://one.example/a.xml", "http://one.example/b.xml"),
		"/a.xml": urlset("http://one.example/1", "http://one.example/2"), "/b.xml": urlset("http://one.example/3", "http://two.example/4")}
	want := map[string]string{"one.example/": "fetched  0", "one.example/index.xml": "fetched  0", "one.example/a.xml": "fetched  1", "one.example/b.xml": "fetched  1",
		"one.example/1": "fetched  0", "one.example/2": "fetched  0", "one.example/3": "fetched  0", "two.example/4": "fetched  0"}
	for _, after := range [][]int{{-1}, {1}, {2}, {3, 2}, {-1, -1, 2, 1}} {
		for _, apart := range []bool{false, true} {
			b, k := newCut(t, site, after...)
			b.cfg.Follow, b.cfg.Sitemaps, b.cfg.Rounds = nil, true, len(after)+2
			emitted := k.rounds(b, apart, b.requests("http://one.example/"))
			same(t, fmt.Sprint(after, " apart ", apart), b.last(emitted), want)
		}
	}
}

// A request has its place within max_pages from when it was admitted first.
func TestWhatIsAdmittedAgainCountsOnceAgainstTheCaps(t *testing.T) {
	for _, cap := range []string{"max_pages", "limit"} {
		b, k := newCut(t, chain(20, 0), 1, 2, 1)
		if cap == "limit" {
			b.cfg.Limit = 6
		} else {
			b.cfg.Scope.MaxPages = 6
		}
		emitted := k.rounds(b, true, b.requests("http://one.example/", "http://two.example/"))
		var got []string
		for path, text := range b.last(emitted) {
			if host, _, _ := strings.Cut(path, "/"); !strings.HasPrefix(text, "fetched") {
				t.Errorf("%s: %s", path, text)
			} else {
				got = append(got, host)
			}
		}
		slices.Sort(got)
		if n := len(got); n != 12 || got[5] != "one.example" || got[6] != "two.example" {
			t.Errorf("%s 6 of two hosts: %v", cap, got)
		}
	}
}

// Who links to a request that was left does not say what it carries.
func TestWhatIsLeftKeepsItsDepthAndWhatItCarries(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, page("http://one.example/deep", "http://two.example/x"))
	})
	b, k := newCut(t, mux, 1)
	seeds := all(harrow.Request{Method: "GET", URL: "http://two.example/x", Carry: `{"by":"two"}`},
		harrow.Request{Method: "GET", URL: "http://one.example/deep", Carry: `{"by":"seed"}`, Depth: 7, Priority: 3})
	b.cfg.Fetch.InFlight = 1
	b.cfg.Fetch.Politeness.Default.Concurrency = 1
	emitted := k.rounds(b, true, seeds)
	same(t, "captures", b.last(emitted), map[string]string{"one.example/deep": `fetched  7 {"by":"seed"}`, "two.example/x": `fetched  0 {"by":"two"}`})
	for _, r := range rowsOf(t, b.lake, lakeio.Requests, emitted[0]) {
		if strings.HasSuffix(r.URL, "/deep") && r.Priority != 3 {
			t.Errorf("left: %+v", r)
		}
	}
}

// A replay asks for what it begins with though an earlier run has asked for it,
// in whatever round.
func TestAReplaysOwnRequestsAreAskedInALaterRoundToo(t *testing.T) {
	b := replayed(t)
	b.cfg.Fetch.MaxBundleTime = harrow.Duration(bundleTime)
	k := &knife{site: http.NotFoundHandler(), after: []int{-1}}
	emitted := k.rounds(b, true, b.requests("http://one.example/bad"))
	if got := b.last(emitted)["one.example/bad"]; got != "fetched  0" {
		t.Errorf("/bad: %s", got)
	}
	if got := b.asked(); len(got) != 12 || !slices.Contains(got, "one.example/bad") || slices.Contains(got, "one.example/a") {
		t.Errorf("asked for %v", got)
	}
}

// A round that is stopped goes on, with what its bundle had left by then left,
// and with a whole bundle for the rest.
func TestAStoppedRoundWhoseBundleHadEndedGoesOn(t *testing.T) {
	const pages = 40
	b, k := newCut(t, chain(pages, time.Millisecond), 1, 1)
	b.cfg.Fetch.Roll.Every = harrow.Duration(5 * time.Millisecond)
	requests := b.requests("http://one.example/")
	var emitted [][]harrow.Part
	for r := range b.cfg.Rounds + 1 {
		ctx, cancel := context.WithCancel(t.Context())
		before, end := len(b.log.Requests()), k.after
		k.after = nil
		go func() {
			for len(b.log.Requests()) < before+6 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		parts, err := k.try(ctx, b, r, requests)
		cancel()
		if k.after = end; err == nil { // it was done before
			emitted = append(emitted, parts)
			requests = b.next(parts)
			continue
		}
		if !errors.Is(err, ErrStopped) {
			t.Fatal(err)
		}
		b.forget()
		emitted = append(emitted, k.one(b, r, requests))
		requests = b.next(emitted[r])
	}
	want := map[string]string{"one.example/": "fetched  0"}
	for i := range pages {
		want[fmt.Sprintf("one.example/p%03d", i)] = "fetched  1"
	}
	same(t, "captures", b.last(emitted), want)
}

func TestWithAddressesAsKeysAllShardsEndTogether(t *testing.T) {
	dns := newNames(t, map[string][]string{"a.example": {"127.0.0.2"}, "b.example": {"127.0.0.2"}})
	b, k := newCut(t, chain(10, 0), 4, 4)
	port := b.byAddress(dns, "127.0.0.2")
	asked := map[string]int{}
	for r := range 3 {
		b.cfg.Round, b.cfg.Env.Stage = r, lakeio.FetchStage(r)
		p, err := Join(t.Context(), b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		var admitted []*Admission
		for shard, host := range []string{"a.example:", "b.example:"} {
			requests := b.requests("http://" + host + port + "/")
			if r > 0 {
				requests = all()
			}
			a, err := k.admit(t.Context(), p, r, shard, requests)
			if err != nil {
				t.Fatal(err)
			}
			admitted = append(admitted, a)
		}
		for _, a := range admitted {
			parts, err := a.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
				if !c.Readmitted() {
					asked[strings.Clone(c.URL)]++
				}
			}
			if n := left(t, b, parts); r == 0 && n == 0 || r == 2 && n > 0 {
				t.Errorf("round %d left %d of a shard", r, n)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) != 22 {
		t.Errorf("%d pages: %v", len(asked), asked)
	}
	for url, n := range asked {
		if n != 1 {
			t.Errorf("%s ended %d times", url, n)
		}
	}
}

// max_time goes on counting over the rounds, in other processes too.
func TestMaxTimeCountsTheRoundsBefore(t *testing.T) {
	at := time.Now()
	for _, c := range []struct {
		name  string
		known time.Duration // since when this process knows the stage; 0: it doesn't
		took  []time.Duration
		want  time.Duration
	}{
		{"the first round", 0, []time.Duration{0}, 0},
		{"shards that took different times", 0, []time.Duration{time.Minute, time.Hour, time.Second}, time.Hour},
		{"a process that had the first round", 2 * time.Minute, []time.Duration{time.Hour}, 2 * time.Minute},
	} {
		r := &recollection{}
		if c.known > 0 {
			r.fetchBegan(at.Add(-c.known))
		}
		if c.known == 0 && len(c.took) > 1 {
			r.fetchBegan(at) // the dispatcher may ask first
		}
		for _, d := range c.took {
			r.fetchedFor(at, d)
		}
		if got := at.Sub(r.fetchBegan(at)); got != c.want {
			t.Errorf("%s: began %v before the round, want %v", c.name, got, c.want)
		}
	}
	b, k := newCut(t, chain(40, time.Millisecond), 10)
	emitted := [][]harrow.Part{k.one(b, 0, b.requests("http://one.example/"))}
	b.cfg.Fetch.MaxTime = harrow.Duration(time.Millisecond) // which round 0 took
	b.forget()
	emitted = append(emitted, k.one(b, 1, b.next(emitted[0])))
	count := map[string]int{}
	for _, text := range b.last(emitted) {
		count[strings.Fields(text)[0]]++
	}
	if n := len(rowsOf(t, b.lake, lakeio.DeferredRequests, emitted[1])); n == 0 || n != count["deferred"] || count["fetched"]+n != 41 {
		t.Errorf("%v, %d deferred", count, n)
	}
}

// The robots.txt of the seeds that are left is answered while they are read: it
// is asked for once, and what it names is announced once.
func TestTheOriginOfSeedsThatAreLeftIsAnnouncedOnce(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "Sitemap: http://one.example/sitemap.xml")
	})
	var round atomic.Int64
	asked, ended := make(chan struct{}, 1000), []chan struct{}{make(chan struct{}), make(chan struct{})}
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-ended[round.Load()]
	})
	b, _ := newCut(t, mux, 0, 0)
	b.cfg.Sitemaps = true
	var urls []string
	for i := range 1000 {
		urls = append(urls, fmt.Sprintf("http://one.example/%d", i))
	}
	requests, before := b.requests(urls...), 0
	for r := range 2 {
		b.cfg.Round, b.cfg.Env.Stage = r, lakeio.FetchStage(r)
		p, err := Join(t.Context(), b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.Admit(t.Context(), 0, requests)
		if err != nil {
			t.Fatal(errors.Join(err, p.Close()))
		}
		<-asked
		a.Began(time.Now().Add(-bundleTime))
		close(ended[r])
		parts, err := a.Wait(t.Context())
		if err := errors.Join(err, p.Close()); err != nil {
			t.Fatal(err)
		}
		if left(t, b, parts) == 0 {
			t.Fatalf("round %d left nothing", r)
		}
		if n := b.log.Count("http://one.example/robots.txt") - before; n != 1 {
			t.Errorf("round %d: robots.txt was asked for %d times, want once", r, n)
		}
		before = b.log.Count("http://one.example/robots.txt")
		requests = b.next(parts)
		round.Add(1)
		for len(asked) > 0 {
			<-asked
		}
	}
}
