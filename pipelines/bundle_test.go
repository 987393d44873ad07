package pipelines

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// bundleTime gives bundles an end.
func bundleTime(d time.Duration) []string {
	return []string{"  timeout: 5s\n", fmt.Sprintf("  timeout: 5s\n  max_bundle_time: %s\n", d)}
}

// left counts what each round of the run left to the next one.
func (b *bench) left(run lakeio.Run) (n []int) {
	b.t.Helper()
	for r := range run.Rounds {
		n = append(n, len(rows(b, lakeio.Requests, run, lakeio.FetchStage(r))))
	}
	return n
}

// maze is a site at random: pages on four hosts of three domains that link and
// redirect to each other, are gone, fail at first, or are not to be asked for.
type maze struct {
	pages []mazePage
	takes time.Duration
	stall time.Duration // what each tenth page takes; 0: no more than the others

	mu    sync.Mutex
	tried map[string]bool
	asked int
}

type mazePage struct {
	url   string
	links []int
	kind  int // of 0 to 99: see ServeHTTP
}

var mazeHosts = []string{"one.example", "www.one.example", "two.example", "three.example"}

// newMaze is decided by r.
func newMaze(r *rand.Rand, pages int) *maze {
	m := &maze{takes: time.Duration(r.IntN(4)) * time.Millisecond, tried: map[string]bool{}}
	for i := range pages {
		p := mazePage{url: fmt.Sprintf("http://%s/p%d", mazeHosts[i%len(mazeHosts)], i), kind: r.IntN(100)}
		if i < len(mazeHosts) {
			p.kind = 99 // the seeds are there
		}
		for range 1 + r.IntN(4) {
			p.links = append(p.links, r.IntN(pages))
		}
		m.pages = append(m.pages, p)
	}
	return m
}

// ServeHTTP implements http.Handler.
func (m *maze) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/robots.txt" {
		switch r.Host {
		case "two.example":
			fmt.Fprint(w, "User-agent: *\nDisallow: /p1")
		case "three.example":
			fmt.Fprint(w, "User-agent: *\nCrawl-delay: 0.01")
		default:
			http.NotFound(w, r)
		}
		return
	}
	time.Sleep(m.takes)
	i := slices.IndexFunc(m.pages, func(p mazePage) bool { return p.url == "http://"+r.Host+r.URL.Path })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	m.mu.Lock()
	first := !m.tried[m.pages[i].url]
	m.tried[m.pages[i].url] = true
	m.asked++
	stalls := m.asked%10 == 0
	m.mu.Unlock()
	if stalls {
		time.Sleep(m.stall)
	}
	switch p := m.pages[i]; {
	case p.kind < 10:
		http.Redirect(w, r, m.pages[p.links[0]].url, http.StatusFound)
	case p.kind < 15:
		w.WriteHeader(http.StatusGone)
	case p.kind < 20:
		w.WriteHeader(http.StatusForbidden)
	case p.kind < 30 && first:
		w.WriteHeader(http.StatusBadGateway)
	default:
		fmt.Fprintf(w, "<h1>%s</h1><p id=n>%d</p>", p.url, i)
		for _, to := range p.links {
			fmt.Fprintf(w, `<a href="%s">x</a>`, m.pages[to].url)
		}
	}
}

// mazeJob harvests a maze in as many rounds; bundles end after a while, 0: never.
func mazeJob(rounds int, bundle time.Duration) string {
	seeds := make([]string, len(mazeHosts))
	for i, host := range mazeHosts {
		seeds[i] = fmt.Sprintf("'http://%s/p%d'", host, i)
	}
	job := fmt.Sprintf(smallJob, "{urls: ["+strings.Join(seeds, ", ")+"]}", "/**")
	job = strings.Replace(job, "  scope:", fmt.Sprintf("  rounds: %d\n  scope:", rounds), 1)
	job = strings.Replace(job, "delay: 0s", "delay: 4ms", 1)
	job = strings.Replace(job, "  timeout: 5s\n", "  timeout: 5s\n  breaker: {failures: 1000}\n", 1)
	if bundle > 0 {
		job = strings.Replace(job, bundleTime(bundle)[0], bundleTime(bundle)[1], 1)
	}
	return job
}

// mazeSeeds are one seed, or with HARROW_SOAK=1 twenty.
func mazeSeeds(t *testing.T) (seeds []uint64) {
	n := 1
	if os.Getenv("HARROW_SOAK") == "1" {
		n = 20
	}
	r := random(t)
	for range n {
		seeds = append(seeds, r.Uint64N(1<<40))
	}
	return seeds
}

// enough harvests with bundles of d, and of twice as long again where the rounds
// did not suffice: how much a bundle gets done is the machine's to say.
func enough(d time.Duration, harvest func(d time.Duration) (exit int)) {
	for harvest(d) == 3 {
		d *= 2
	}
}

// However often bundles end, the rounds together make the tables of a run in
// which none does.
func TestRoundsOfBundlesThatEndMakeTheTablesOfOneThatDoesNot(t *testing.T) {
	eachRunner(t, func(t *testing.T, name string) {
		left := 0
		for _, seed := range mazeSeeds(t) {
			r := rand.New(rand.NewPCG(seed, 1))
			pages, bundle := 40+r.IntN(40), time.Duration(4+r.IntN(12))*time.Millisecond
			t.Logf("seed %d: %d pages, bundles end after %v", seed, pages, bundle)
			newBench := func(bundle time.Duration) *bench {
				return newBench(t, newMaze(rand.New(rand.NewPCG(seed, 2)), pages), mazeJob(24, bundle))
			}
			b := newBench(0)
			want := b.tables(b.must(runner(name)))
			var run lakeio.Run
			enough(bundle, func(bundle time.Duration) int {
				b = newBench(bundle)
				res, err := b.run(runner(name))
				if err != nil {
					t.Fatal(err)
				}
				run = res.Run
				left += b.left(run)[0]
				return res.Exit
			})
			same(t, fmt.Sprintf("seed %d, bundles of %v", seed, bundle), want, b.tables(run))
			if twice := b.log.AskedTwice(true); len(twice) > pages/2 { // failures and what was in flight, no more
				t.Errorf("asked twice: %v", twice)
			}
		}
		if left == 0 {
			t.Error("no bundle ended")
		}
	})
}

// The demo has sitemaps, forms, logins and hosts that ask for rest.
func TestTheDemosBundlesEndAndItsTablesAreTheSame(t *testing.T) {
	meaning(t)
	t.Parallel()
	want := func() map[string][]string {
		b := newShop(t, demosite.Options{}, slices.Concat(exact, []string{"  rounds: 3", "  rounds: 16"})...)
		return b.tables(b.must())
	}()
	enough(300*time.Millisecond, func(bundle time.Duration) int {
		b := newShop(t, demosite.Options{}, slices.Concat(exact, []string{"  rounds: 3", "  rounds: 16"}, bundleTime(bundle))...)
		res, err := b.run()
		if err != nil {
			t.Fatal(err)
		}
		if res.Exit == 0 {
			same(t, "the demo in bundles", want, b.tables(res.Run))
		}
		if n := b.left(res.Run); n[0] == 0 {
			t.Errorf("no bundle ended: %v", n)
		}
		return res.Exit
	})
}

// Where the rounds don't suffice the run is done with exit 3, the next one asks
// first what is left, and together they hold everything.
func TestWhatTheRoundsDoNotReachTheNextRunAsksFirst(t *testing.T) {
	t.Parallel()
	whole := newBench(t, newMaze(rand.New(rand.NewPCG(7, 1)), 60), mazeJob(24, 0))
	want := whole.tables(whole.must())

	var b *bench
	var res Result
	for bundle := 40 * time.Millisecond; ; bundle *= 2 {
		m := newMaze(rand.New(rand.NewPCG(7, 1)), 60)
		m.takes = bundle // what an answer leads to is left, however quick the machine
		b = newBench(t, m, mazeJob(2, bundle))
		var err error
		res, err = b.run()
		if err != nil || res.Exit != 3 || !strings.Contains(res.Why, "the next run asks them first") {
			t.Fatalf("exit %d, %s, %v; want 3", res.Exit, res.Why, err)
		}
		if b.manifest(res.Run, lakeio.PagesStage).Tables[lakeio.Pages.Name()].Rows > 0 {
			break // a busy machine may end the bundles before any page was asked for
		}
	}
	deferred := map[harrow.ID]string{}
	for _, r := range rows(b, lakeio.DeferredRequests, res.Run) {
		if r.Reason != "rounds" {
			t.Errorf("%s is deferred for %s", r.URL, r.Reason)
		}
		deferred[r.ID] = strings.Clone(r.URL)
	}
	if n := b.left(res.Run); n[0] == 0 || n[1] == 0 || n[2] > 0 || len(deferred) < n[1] {
		t.Errorf("the rounds left %v, %d are deferred", n, len(deferred))
	}
	if said := fmt.Sprintf("%d requests were deferred", len(deferred)); !strings.Contains(res.Why, said) {
		t.Errorf("%s; want %s", res.Why, said)
	}

	b.write(mazeJob(24, 0))
	second := b.must()
	began := map[string]bool{} // keys of which something else was asked
	exchanges := rows(b, lakeio.Exchanges, second, lakeio.FetchStage(0))
	slices.SortFunc(exchanges, func(a, b harrow.Exchange) int { return a.StartedAt.Compare(b.StartedAt) }) // they are written as they end
	for _, e := range exchanges {
		switch _, was := deferred[e.ID]; {
		case e.Kind != harrow.KindPage || e.Hop > 0 || e.Attempt > 1:
		case !was:
			began[e.Key] = true
		case began[e.Key]:
			t.Errorf("%s was deferred and not asked first", e.URL)
		}
	}
	same(t, "stored by both runs", map[string][]string{"stored page": want["stored page"]}, map[string][]string{"stored page": b.database()["stored page"]})
	if third := b.must(); len(rows(b, lakeio.DeferredRequests, third)) > 0 || third.Previous != second.ID {
		t.Errorf("the run after both began with what %s left", third.Previous)
	}
}

// A run that is stopped in the middle of each round, and gone on with, makes the
// same tables. The site sees to it that bundles end, on a fast machine too: each
// tenth page takes longer than a bundle may.
func TestARunWhoseBundlesEndGoesOnInTheMiddleOfEachRound(t *testing.T) {
	t.Parallel()
	const pages = 60
	whole := newBench(t, newMaze(rand.New(rand.NewPCG(3, 1)), pages), mazeJob(16, 0))
	want := whole.tables(whole.must())
	enough(60*time.Millisecond, func(bundle time.Duration) int {
		m := newMaze(rand.New(rand.NewPCG(3, 1)), pages)
		m.stall = bundle * 5 / 4
		b := newBench(t, m, mazeJob(16, bundle))
		var res Result
		for stops := 0; ; stops++ {
			ended, asked := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(asked)
				if stops < 5 {
					b.stopAfter(8, ended)
				}
			}()
			var err error
			res, err = b.run()
			close(ended)
			<-asked
			if err == nil {
				break
			}
			if !errors.Is(err, ErrStopped) {
				t.Fatal(err)
			}
		}
		if res.Exit == 0 {
			same(t, "stopped and gone on with", want, b.tables(res.Run))
		}
		if n := b.left(res.Run); n[0]+n[1]+n[2] == 0 {
			t.Errorf("no bundle ended: %v", n)
		}
		return res.Exit
	})
}

// stopAfter asks the job's newest run to stop once the site has been asked so
// many times more, unless it ends before.
func (b *bench) stopAfter(requests int, ended <-chan struct{}) {
	for before := len(b.log.Requests()); len(b.log.Requests()) < before+requests; {
		select {
		case <-ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
	store, err := lakeio.Open(b.dir)
	if err == nil {
		var last lakeio.Run
		if last, err = lakeio.LastRun(b.t.Context(), store, "small"); err == nil {
			err = lakeio.Lake{Store: store, Job: "small", Run: last.ID}.Stop(b.t.Context(), "the test")
		}
	}
	if err != nil {
		b.t.Error(err)
	}
}
