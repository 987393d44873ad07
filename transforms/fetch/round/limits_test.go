package round

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// As many keys have a request that waits for robots.txt as there are robots.txt
// being asked for: what waits is in memory.
func TestARobotsTxtIsAskedForBeforeAnotherIsNeeded(t *testing.T) {
	const hosts, inFlight = 60, 3
	var p *Process
	asked, loaded := make(chan struct{}, hosts), make(chan struct{})
	var most atomic.Int64
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			asked <- struct{}{}
			<-loaded
			p.mu.Lock()
			n := 0
			for _, k := range p.keys {
				n += len(k.parked)
			}
			n -= p.ending // on busy cores some that were answered have not been read
			p.mu.Unlock()
			most.Store(max(most.Load(), int64(n)))
			http.NotFound(w, r)
		}
	}))
	b.cfg.Fetch.InFlight = inFlight
	var urls []string
	for i := range hosts {
		urls = append(urls, fmt.Sprintf("http://h%d.example/a", i), fmt.Sprintf("http://h%d.example/b", i))
	}
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(t.Context(), 0, b.requests(urls...))
	if err != nil {
		t.Fatal(errors.Join(err, p.Close()))
	}
	<-asked
	close(loaded)
	_, err = a.Wait(t.Context())
	if err := errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	if n := most.Load(); n < 1 || n > inFlight {
		t.Errorf("%d requests waited in memory, at most %d robots.txt are asked for at once", n, inFlight)
	}
}

// in_flight is of all keys together, robots.txt files included.
func TestInFlightHoldsOverAllKeys(t *testing.T) {
	const inFlight = 4
	var now, most atomic.Int64
	full := make(chan struct{}) // closed when as many are in flight as may be
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m; m = most.Load() {
			if most.CompareAndSwap(m, n) && n == inFlight {
				close(full)
			}
		}
		select {
		case <-full:
		case <-r.Context().Done():
		}
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
		}
	}))
	b.cfg.Fetch.InFlight = inFlight
	var urls []string
	for i := range 120 {
		urls = append(urls, fmt.Sprintf("http://h%d.example/%d", i%12, i))
	}
	if _, err := b.run(t.Context(), urls...); err != nil {
		t.Fatal(err)
	}
	if most.Load() != inFlight || len(b.log.Requests()) != 132 {
		t.Errorf("%d at once, in_flight is %d; %d requests", most.Load(), inFlight, len(b.log.Requests()))
	}
}

// max_pages is of each key, whether its requests are seeds or links, and what is
// over it is counted.
func TestMaxPagesHoldsForEachKey(t *testing.T) {
	const limit = 25
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/robots.txt":
			http.NotFound(w, r)
		case "/":
			for i := range 100 {
				_, _ = fmt.Fprintf(w, `<a href="/%d">x</a>`, i)
			}
		}
	}))
	b.cfg.Scope.MaxPages = limit
	urls := []string{"http://one.example/", "http://two.example/"}
	for i := range 40 {
		urls = append(urls, fmt.Sprintf("http://two.example/seed/%d", i))
	}
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]int{}
	for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
		keys[c.Key]++
	}
	if keys["one.example"] != limit || keys["two.example"] != limit || len(b.log.Requests()) != 2*limit+2 {
		t.Errorf("captures %v, %d requests; want %d for each", keys, len(b.log.Requests()), limit)
	}
}

// newHurry is a bench whose max_time is over while the nth request is answered;
// asked is how many there were by then.
func newHurry(t *testing.T, site http.Handler, n int64) (b *bench, asked func() int) {
	const limit = time.Hour
	var count, then atomic.Int64
	b = newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) == n {
			processesMu.Lock()
			p := processes[b.cfg.identity()]
			processesMu.Unlock()
			p.mu.Lock() // nothing is begun meanwhile
			p.recall.mu.Lock()
			p.recall.began = p.recall.began.Add(-limit)
			p.recall.mu.Unlock()
			then.Store(count.Load())
			p.mu.Unlock()
		}
		site.ServeHTTP(w, r)
	}))
	b.cfg.Fetch.MaxTime = harrow.Duration(limit)
	return b, func() int { return int(then.Load()) }
}

// When max_time is over nothing starts any more, what is left is deferred, and
// every request has its captures row.
func TestMaxTimeEndsAllStarts(t *testing.T) {
	const hosts = 4
	b, asked := newHurry(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
		}
	}), 100)
	var urls []string
	for i := range 2000 {
		urls = append(urls, fmt.Sprintf("http://h%d.example/%d", i%hosts, i))
	}
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[harrow.Outcome]int{}
	for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
		outcomes[c.Outcome]++
		if c.Outcome == harrow.Deferred && c.Code != "max_time" {
			t.Errorf("%s was deferred with %s", c.URL, c.Code)
		}
	}
	if outcomes[harrow.Fetched] == 0 || outcomes[harrow.Deferred] == 0 || outcomes[harrow.Fetched]+outcomes[harrow.Deferred] != len(urls) {
		t.Errorf("outcomes %v of %d requests", outcomes, len(urls))
	}
	if n := len(rowsOf(t, b.lake, lakeio.DeferredRequests, parts)); n != outcomes[harrow.Deferred] {
		t.Errorf("%d deferred requests for the next run, %d captures say so", n, outcomes[harrow.Deferred])
	}
	// Each host had one more in flight at most than the server was answering.
	if n := len(b.log.Requests()); n > asked()+2*hosts {
		t.Errorf("%d requests, %d of them before max_time was over", n, asked())
	}
}
