package round

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// says waits until the status says that something holds all starts back.
func (b *bench) says(p *Process, want string) {
	b.t.Helper()
	end, got := time.Now().Add(patience), ""
	for ; got != want; time.Sleep(time.Millisecond) {
		if got = p.status(time.Now()).Blocked; time.Now().After(end) {
			b.t.Fatalf("the status says that %q holds starts back; want %q", got, want)
		}
	}
}

// begun joins the round and admits URLs to shard 0; over ends it.
func (b *bench) begun(urls ...string) (p *Process, over func()) {
	b.t.Helper()
	p, err := Join(b.t.Context(), b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	a, err := p.Admit(b.t.Context(), 0, b.requests(urls...))
	if err != nil {
		b.t.Fatal(errors.Join(err, p.Close()))
	}
	return p, func() {
		b.t.Helper()
		_, err := a.Wait(b.t.Context())
		if err = errors.Join(err, p.Close()); err != nil {
			b.t.Error(err)
		}
	}
}

func manyOf(host string, n int) (urls []string) {
	for i := range n {
		urls = append(urls, fmt.Sprintf("http://%s/%d", host, i))
	}
	return urls
}

func TestTheStatusSaysThatMemoryIsSpent(t *testing.T) {
	answer := make(chan struct{})
	b := newBench(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-answer }))
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	held := int64(0)
	for share := p.budget.Bodies; share.TryAcquire(1 << 10); {
		held += 1 << 10
	}
	a, err := p.Admit(t.Context(), 0, b.requests("http://one.example/"))
	if err != nil {
		t.Fatal(err)
	}
	// One reservation was taken when the process began: robots.txt takes that, and
	// as long as it is not answered the next waits.
	b.says(p, forMemory)
	close(answer)
	p.budget.Bodies.Release(held)
	if _, err := a.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheStatusSaysThatAsManyAreInFlightAsMayBe(t *testing.T) {
	hold := make(chan struct{})
	b := newBench(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	b.cfg.Fetch.InFlight = 1
	p, over := b.begun("http://one.example/", "http://two.example/")
	b.says(p, "fetch.in_flight: 1 exchanges are in flight")
	close(hold)
	over()
}

// shortPermit ends before an exchange might.
type shortPermit struct{ Permit }

func (shortPermit) Until() time.Time { return time.Now().Add(time.Second) }

func TestTheStatusSaysThatThePermitIsTooShort(t *testing.T) {
	p := &Process{cfg: newBench(t, http.NotFoundHandler()).cfg, permit: shortPermit{}}
	if got := p.blocked(time.Now()); got != forPermit {
		t.Errorf("the status says %q", got)
	}
	if it, ended, wait, err := p.step(time.Now()); it != nil || ended != nil || wait <= 0 || err != nil {
		t.Errorf("a step under it: %v, %v, %v, %v; want a wait", it, ended, wait, err)
	}
}

func TestTheStatusSaysThatAnswersWaitForAProcessor(t *testing.T) {
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(page()))
	}))
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range cap(p.cpu) {
		p.cpu <- struct{}{}
	}
	a, err := p.Admit(t.Context(), 0, b.requests("http://one.example/"))
	if err != nil {
		t.Fatal(err)
	}
	b.says(p, "processors: 1 answers are being looked into for links")
	for range cap(p.cpu) {
		<-p.cpu
	}
	if _, err := a.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// slowDisk writes no part before it is let to.
type slowDisk struct{ lakeio.Store }

var diskOpen chan struct{}

func init() {
	lakeio.RegisterScheme("slow", func(uri string) (lakeio.Store, error) {
		s, err := lakeio.Open(strings.TrimPrefix(uri, "slow://"))
		return slowDisk{s}, err
	})
}

func (s slowDisk) Writer(ctx context.Context, uri string) (lakeio.Writer, error) {
	<-diskOpen
	return s.Store.Writer(ctx, uri)
}

func TestTheStatusSaysThatTheWorkspaceIsSlow(t *testing.T) {
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("User-agent: *\nDisallow: /")) }))
	diskOpen = make(chan struct{}) // the test may run again
	b.cfg.Fetch.Roll.Bytes = 1
	b.cfg.Env.Workspace = "slow://" + b.cfg.Env.Workspace
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { // all are denied: nothing but the writer takes time
		a, err := p.Admit(t.Context(), 0, b.requests(manyOf("one.example", 100)...))
		if err == nil {
			_, err = a.Wait(t.Context())
		}
		ended <- err
	}()
	b.says(p, forWriter)
	close(diskOpen)
	if err := errors.Join(<-ended, p.Close()); err != nil {
		t.Error(err)
	}
}

// Every reason that the scheduler or the round may give is one that the words
// of progress and ls know: see package view, whose test reads this list.
func TestAKeyWaitsForTheReasonThatWillPassLast(t *testing.T) {
	parked := &key{parked: []*item{{}}}
	for _, c := range []struct {
		k        *key
		why      polite.Wait
		inFlight int
		want     string
	}{
		{&key{}, polite.Delay, 0, "delay"},
		{&key{}, polite.Idle, 1, whyLast},
		{&key{}, polite.Idle, 0, "idle"},
		{parked, polite.InFlight, 1, whyRobots},
		{parked, polite.Idle, 0, whyRobots}, // it is asked for somewhere else
		{parked, polite.Ready, 0, whyRobots},
		{parked, polite.Backoff, 0, "backoff"},
		{parked, polite.RetryAfter, 0, "retry-after"},
		{parked, polite.BreakerOpen, 0, "breaker"},
		{parked, polite.Cautious, 0, "resume"},
	} {
		if got := whyOf(c.k, c.why, c.inFlight); got != c.want {
			t.Errorf("%d parked, %s, %d in flight: %q, want %q", len(c.k.parked), c.why, c.inFlight, got, c.want)
		}
	}
}
