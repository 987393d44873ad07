package round

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
)

// chain is a site of n pages: / links to all, each of them to the next.
func chain(n int, latency time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(latency)
		var links []string
		for i := range n {
			links = append(links, fmt.Sprintf("/p%03d", i))
		}
		_, _ = w.Write([]byte(page(links...) + strings.Repeat(r.URL.Path, 50)))
	})
	return mux
}

func TestAStoppedRoundGoesOnWhereItEnded(t *testing.T) {
	const pages = 40
	var asked atomic.Int64
	site := chain(pages, 0)
	ctx, cancel := context.WithCancel(t.Context())
	var p *Process
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) >= pages/2 {
			cancel()
			<-p.starts.Done()
		}
		site.ServeHTTP(w, r)
	}))
	p, err := Join(ctx, b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(ctx, 0, b.requests("http://one.example/"))
	if err != nil {
		t.Fatal(errors.Join(err, p.Close()))
	}
	if _, err := a.Wait(ctx); !errors.Is(err, ErrStopped) {
		t.Errorf("stopped run: %v, want ErrStopped", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if done, err := b.lake.Committed(t.Context(), b.cfg.Env.Stage); done || err != nil {
		t.Errorf("a stopped round is committed: %v %v", done, err)
	}
	parts, err := b.run(t.Context(), "http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(rowsOf(t, b.lake, lakeio.Captures, parts)); got != pages+1 {
		t.Errorf("%d captures, want %d", got, pages+1)
	}
	// A stop in good order loses nothing: no page is asked for twice.
	for url, n := range b.log.AskedTwice(true) {
		t.Errorf("%s was asked %d times", url, n)
	}
	again, err := b.run(t.Context(), "http://one.example/")
	if err != nil || len(again) != len(parts) {
		t.Errorf("a done shard emits %d parts (%v), want %d", len(again), err, len(parts))
	}
}

func TestAnOldOwnerLearnsToStop(t *testing.T) {
	claimed := make(chan struct{})
	site := chain(200, 0)
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-claimed; site.ServeHTTP(w, r) }))
	b.cfg.Fetch.Roll.Every = harrow.Duration(20 * time.Millisecond)
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(t.Context(), 0, b.requests("http://one.example/"))
	if err != nil {
		t.Fatal(err)
	}
	at := lakeio.FetchShard{Lake: b.lake, Round: 0, Shard: 0}
	taken, _, err := at.Claim(t.Context(), lakeio.Claim{Owner: "a new owner"})
	if err != nil {
		t.Fatal(err)
	}
	close(claimed)
	if _, err := a.Wait(t.Context()); !errors.Is(err, ErrStopped) || !errors.Is(err, lakeio.ErrLost) {
		t.Errorf("old owner ended with %v, want ErrStopped and ErrLost", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	now, err := at.Read(t.Context())
	if err != nil || now.Owner != "a new owner" || now.Done || len(now.Rolls) != len(taken.Rolls) {
		t.Errorf("record after the old owner stopped: %+v %v", now, err)
	}
}

func TestASecondAdmissionOfAShardJoinsIt(t *testing.T) {
	b := newBench(t, chain(20, time.Millisecond))
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Join(t.Context(), b.cfg)
	if err != nil || p != q {
		t.Fatalf("two Joins of one round: %p %p %v", p, q, err)
	}
	var emitted [2][]harrow.Part
	for i, p := range []*Process{p, q} {
		a, err := p.Admit(t.Context(), 0, b.requests("http://one.example/"))
		if err != nil {
			t.Fatal(err)
		}
		if emitted[i], err = a.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(emitted[0], emitted[1]) {
		t.Errorf("two admissions emit %v and %v", emitted[0], emitted[1])
	}
	if err := errors.Join(p.Close(), q.Close()); err != nil {
		t.Error(err)
	}
	if twice := b.log.AskedTwice(true); len(twice) > 0 {
		t.Errorf("asked twice: %v", twice)
	}
}

func TestTheLastRoundAsksNothingAndDefersEverything(t *testing.T) {
	b := newBench(t, chain(3, 0))
	b.cfg.Round, b.cfg.Env.Stage = b.cfg.Rounds, lakeio.FetchStage(b.cfg.Rounds)
	parts, err := b.run(t.Context(), "http://one.example/", "http://two.example/")
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)); got["http://one.example/"] != "deferred rounds" || len(got) != 2 {
		t.Errorf("outcomes %v", got)
	}
	if deferred := rowsOf(t, b.lake, lakeio.DeferredRequests, parts); len(deferred) != 2 || deferred[0].Reason != "rounds" {
		t.Errorf("deferred %+v", deferred)
	}
	if n := len(b.log.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestCapsAreCountedByReasonAndHold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		reason string
		want   int
	}{
		{"max_pages", func(c *Config) { c.Scope.MaxPages = 5 }, "max_pages", 5},
		{"limit", func(c *Config) { c.Limit = 4 }, "limit", 4},
		{"max_depth", func(c *Config) { zero := 0; c.Scope.MaxDepth = &zero }, "max_depth", 1},
		{"exclude", func(c *Config) { c.Scope.Exclude = []string{"/p00*"} }, "exclude", 11},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, chain(20, 0))
			c.change(&b.cfg)
			parts, err := b.run(t.Context(), "http://one.example/")
			if err != nil {
				t.Fatal(err)
			}
			if got := len(rowsOf(t, b.lake, lakeio.Captures, parts)); got != c.want {
				t.Errorf("%d captures, want %d", got, c.want)
			}
			if tag := parts[len(parts)-1].Tag; !strings.Contains(tag, `"links_not_taken.`+c.reason+`"`) {
				t.Errorf("counters %q, want links_not_taken.%s", tag, c.reason)
			}
		})
	}
}

func TestRobotsTxt(t *testing.T) {
	for _, c := range []struct {
		name   string
		robots http.HandlerFunc
		want   string
		asked  int // robots.txt
	}{
		{"disallow", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("User-agent: *\nDisallow: /")) }, "denied robots", 1},
		{"not there", http.NotFound, "fetched", 1},
		{"forbidden allows", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, "fetched", 1},
		{"server error defers", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "deferred robots", 4},
		{"too many requests defers", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, "deferred robots", 4},
		{"redirect to disallow", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://www.one.example/rules", http.StatusFound)
		}, "denied robots", 1},
		{"redirect out of the domain allows", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://two.example/rules", http.StatusFound)
		}, "fetched", 1},
		{"redirect loop allows", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/robots.txt", http.StatusFound) }, "fetched", 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("/robots.txt", c.robots)
			mux.HandleFunc("/rules", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("User-agent: *\nDisallow: /")) })
			mux.HandleFunc("/x", func(http.ResponseWriter, *http.Request) {})
			b := newBench(t, mux)
			parts, err := b.run(t.Context(), "http://one.example/x")
			if err != nil {
				t.Fatal(err)
			}
			if got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))["http://one.example/x"]; got != c.want {
				t.Errorf("outcome %q, want %q", got, c.want)
			}
			if n := b.log.Count("http://one.example/robots.txt"); n != c.asked {
				t.Errorf("robots.txt was asked %d times, want %d", n, c.asked)
			}
		})
	}
}

func TestACrawlDelayHoldsFromTheSecondStartOnAndIsKept(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("User-agent: *\nCrawl-delay: 0.1\n"))
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page("/a", "/b", "/c"))) })
	b := newBench(t, mux)
	parts, err := b.run(t.Context(), "http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	gaps := b.gaps(parts, "one.example")
	if len(gaps) != 4 || slices.Min(gaps) < 100*time.Millisecond {
		t.Errorf("robots.txt and four pages started %v apart, crawl-delay 100ms", gaps)
	}
	rec, err := (lakeio.FetchShard{Lake: b.lake}).Read(t.Context())
	if err != nil || rec.Delays["one.example"] != 100*time.Millisecond {
		t.Errorf("delays of the record: %v %v", rec.Delays, err)
	}
}

func TestRetryAfterHoldsTheWholeKey(t *testing.T) {
	var first atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if first.CompareAndSwap(false, true) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		}
	})
	b := newBench(t, mux)
	b.cfg.Fetch.Politeness.Default.Concurrency = 1
	parts, err := b.run(t.Context(), "http://one.example/a", "http://one.example/b")
	if err != nil {
		t.Fatal(err)
	}
	for url, outcome := range outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)) {
		if outcome != "fetched" {
			t.Errorf("%s: %s", url, outcome)
		}
	}
	log := b.log.Requests()
	for i, r := range log {
		if r.Status == 429 && log[i+1].Start.Sub(r.Start) < time.Second {
			t.Errorf("%s was asked %v after %s, Retry-After was 1 s", log[i+1].URL, log[i+1].Start.Sub(r.Start), r.URL)
		}
	}
}

func TestADeadHostsRequestsAreDeferredNotTriedForHours(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	b := newBench(t, mux)
	b.cfg.Fetch.Breaker = harrow.Breaker{Failures: 3, CoolDown: harrow.Duration(20 * time.Millisecond)}
	var urls []string
	for i := range 50 {
		urls = append(urls, fmt.Sprintf("http://one.example/%d", i))
	}
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	deferred := rowsOf(t, b.lake, lakeio.DeferredRequests, parts)
	if len(deferred) < 40 || deferred[0].Reason != "breaker" {
		t.Errorf("%d deferred, want most of 50: %+v", len(deferred), deferred[:1])
	}
	if n := len(b.log.Requests()); n > 10 {
		t.Errorf("a dead host was asked %d times", n)
	}
}

func TestMaxTimeDefersWhatIsLeft(t *testing.T) {
	b, asked := newHurry(t, chain(200, 0), 20)
	parts, err := b.run(t.Context(), "http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(b.log.Requests()); n > asked()+2 {
		t.Errorf("%d requests, %d of them before the time was over; two at once may be in flight", n, asked())
	}
	count := map[string]int{}
	for _, o := range outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)) {
		count[o]++
	}
	if count["fetched"] == 0 || count["deferred max_time"] == 0 || count["fetched"]+count["deferred max_time"] != 201 {
		t.Errorf("outcomes %v, want 201 in all, of both kinds", count)
	}
}

func TestBodiesAreStoredOncePerPartAndFoundByTheirCaptures(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 600_000) // 9.6 MB: spilled, three chunks
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/same/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the same")) })
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(big)) })
	mux.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/over", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(big + big)) })
	b := newBench(t, mux)
	at := "http://one.example"
	parts, err := b.run(t.Context(), at+"/same/1", at+"/big", at+"/empty", at+"/same/2", at+"/over")
	if err != nil {
		t.Fatal(err)
	}
	bodies := rowsOf(t, b.lake, lakeio.Bodies, parts)
	stored := map[string]string{}
	for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
		var text strings.Builder
		for i := c.BodyRow; i < c.BodyRow+c.BodyRows; i++ {
			if bodies[i].Digest != c.Digest || int64(bodies[i].Chunk) != i-c.BodyRow {
				t.Errorf("%s: row %d is %s chunk %d", c.URL, i, bodies[i].Digest, bodies[i].Chunk)
			}
			text.Write(bodies[i].Body)
		}
		if int64(text.Len()) != c.BodyBytes {
			t.Errorf("%s: %d bytes stored, captures says %d", c.URL, text.Len(), c.BodyBytes)
		}
		stored[strings.TrimPrefix(c.URL, at)] = text.String()
		if over := strings.HasSuffix(c.URL, "/over"); c.Truncated != over {
			t.Errorf("%s: truncated %v", c.URL, c.Truncated)
		}
	}
	if stored["/same/1"] != "the same" || stored["/same/2"] != "the same" || stored["/big"] != big || stored["/empty"] != "" {
		t.Errorf("stored bodies differ from what was served")
	}
	if len(bodies) != 1+3+3 {
		t.Errorf("%d rows of bodies, want 1 + 3 + 3", len(bodies))
	}
}

func TestRollsCloseBySizeAndNothingIsHeldAfterwards(t *testing.T) {
	b := newBench(t, chain(300, 0))
	b.cfg.Fetch.Roll.Bytes = 50_000
	budget := memory.For(b.cfg.Env.Memory)
	parts, err := b.run(t.Context(), "http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	rec, err := (lakeio.FetchShard{Lake: b.lake}).Read(t.Context())
	if err != nil || len(rec.Rolls) < 5 || !rec.Done {
		t.Errorf("%d rolls, done %v, %v; want several", len(rec.Rolls), rec.Done, err)
	}
	if got := len(rowsOf(t, b.lake, lakeio.Captures, parts)); got != 301 {
		t.Errorf("%d captures, want 301", got)
	}
	for _, share := range []*memory.Share{budget.Bodies, budget.Batches, budget.Seen} {
		if n := share.Used(); n != 0 {
			t.Errorf("%d bytes of a share are still held", n)
		}
	}
}

func TestAWorkspaceThatCannotBeWrittenStopsTheRoundWithItsPath(t *testing.T) {
	b := newBench(t, chain(50, time.Millisecond))
	b.cfg.Fetch.Roll.Bytes = 10_000
	b.cfg.Env.Workspace = "broken://" + b.cfg.Env.Workspace
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(t.Context(), 0, b.requests("http://one.example/"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = a.Wait(t.Context()); !errors.Is(err, errDisk) || errors.Is(err, ErrStopped) {
		t.Errorf("ended with %v, want the disk's error and not ErrStopped: nobody asked for a stop", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

var errDisk = errors.New("/workspace: no space left on device")

type brokenDisk struct{ lakeio.Store }

func init() {
	lakeio.RegisterScheme("broken", func(uri string) (lakeio.Store, error) {
		s, err := lakeio.Open(strings.TrimPrefix(uri, "broken://"))
		return brokenDisk{s}, err
	})
}

func (brokenDisk) Writer(context.Context, string) (lakeio.Writer, error) { return nil, errDisk }

// Who finds the job held by another run starts nothing and says by whom.
func TestAJobThatAnotherRunHoldsIsNotJoined(t *testing.T) {
	b := newBench(t, chain(3, 0))
	other := b.lake
	var err error
	if other.Run, err = lakeio.NewRunID(); err != nil {
		t.Fatal(err)
	}
	lock, err := lakeio.LockJob(t.Context(), other, lakeio.LockConfig{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), b.cfg); !errors.Is(err, lakeio.ErrLocked) || !strings.Contains(err.Error(), other.Run) {
		t.Errorf("joined with %v, want ErrLocked naming run %s", err, other.Run)
	}
	if err := lock.Release(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.run(t.Context(), "http://one.example/"); err != nil {
		t.Errorf("when it is free: %v", err)
	}
}
