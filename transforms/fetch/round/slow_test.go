package round

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
)

// A host that refuses without saying for how long is asked more slowly, and the
// status says so; with adaptive: false it is not.
func TestAHostThatRefusesIsAskedMoreSlowly(t *testing.T) {
	t.Parallel()
	for _, adaptive := range []bool{true, false} {
		t.Run(fmt.Sprint(adaptive), func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			b := newBench(t, noRobots(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) == 5 {
					w.WriteHeader(429)
				}
			}))
			hour := harrow.Duration(time.Hour)
			b.cfg.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 2, Delay: &hour}
			b.cfg.Fetch.Politeness.Adaptive = &adaptive
			short := harrow.Duration(10 * time.Millisecond)
			b.cfg.Fetch.Politeness.Overrides = map[string]harrow.PolitenessLimits{"one.example": {Concurrency: 2, Delay: &short}}
			var urls []string
			for i := range 8 {
				urls = append(urls, fmt.Sprintf("http://one.example/%d", i))
			}
			p, err := Join(t.Context(), b.cfg)
			if err != nil {
				t.Fatal(err)
			}
			a, err := p.Admit(t.Context(), 0, b.requests(urls...))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.mu.Lock()
			st := p.sched.State(p.keys["one.example"].pol, time.Now())
			p.mu.Unlock()
			if slowed := st.Pause > time.Duration(short); slowed != adaptive {
				t.Errorf("after a refusal: %+v", st)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A host whose robots.txt is awaited has all of its requests still before it: it
// is not put behind others that have less to do.
func TestTheHostWithTheMostLeftGoesFirstFromItsRobotsOn(t *testing.T) {
	t.Parallel()
	site := noRobots(func(http.ResponseWriter, *http.Request) {})
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "large.example" {
			time.Sleep(100 * time.Millisecond) // far longer than reading a robots.txt takes
		}
		site.ServeHTTP(w, r)
	}))
	b.cfg.Fetch.InFlight = 1
	var urls []string
	for i := range 30 {
		urls = append(urls, fmt.Sprintf("http://large.example/%d", i))
	}
	for i := range 10 {
		urls = append(urls, fmt.Sprintf("http://small%d.example/", i))
	}
	if _, err := b.run(t.Context(), urls...); err != nil {
		t.Fatal(err)
	}
	others := 0
	for _, e := range b.log.Requests()[:20] {
		if e.Host != "large.example" {
			others++
		}
	}
	// Some may go while the robots.txt is being read: nothing idles. Were the host
	// put behind the others, all of their 20 requests would.
	if others > 5 {
		t.Errorf("%d of the first 20 requests went to other hosts", others)
	}
}
