package round

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// crew is a round whose shards are owned by several worker processes. Each has
// its own way to the workspace and a permit of testTTL.
type crew struct {
	*bench
	run     lakeio.Run
	started int // workers
}

func newCrew(t *testing.T, site http.Handler) *crew {
	t.Helper()
	t.Parallel()
	c := &crew{bench: newBench(t, site)}
	c.cfg.Remote, c.cfg.Process = true, "the submission"
	c.cfg.Fetch.Timeout = harrow.Duration(testTimeout)
	c.cfg.Fetch.Roll.Every = harrow.Duration(50 * time.Millisecond)
	c.cfg.Status = 20 * time.Millisecond
	c.run = lakeio.Run{ID: c.cfg.Env.Run, Job: "test", Process: c.cfg.Process}
	if err := lakeio.CreateRun(t.Context(), c.lake.Store, c.run); err != nil {
		t.Fatal(err)
	}
	return c
}

// worker starts a process of its own; renewals may be kept from its store.
func (c *crew) worker() (*Process, *leaseStore) {
	c.t.Helper()
	cfg := c.cfg
	store := &leaseStore{Store: c.lake.Store, local: c.lake.Store.Local()}
	c.started++
	cfg.Env.Workspace = "lease://" + c.cfg.Env.Workspace + strings.Repeat("/.", c.started)
	leases.Store(strings.TrimPrefix(cfg.Env.Workspace, "lease://"), store)
	p, err := start(c.t.Context(), cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := p.leave(); err != nil {
			c.t.Error(err)
		}
	})
	return p, store
}

func (c *crew) workers() []lakeio.Holder {
	c.t.Helper()
	left, err := c.lake.Workers(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return left
}

func (c *crew) admit(p *Process, urls ...string) *Admission {
	c.t.Helper()
	a, err := p.Admit(c.t.Context(), 0, c.requests(urls...))
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// awaitStatus waits until a worker's status says so.
func awaitStatus(t *testing.T, p *Process, so func(lakeio.Status) bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(p.status(time.Now())); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("its status stays %+v", p.status(time.Now()))
		}
	}
}

// A second worker gets a shard's parts when the first has done it, without
// asking for anything itself, and says meanwhile why it doesn't.
func TestAShardOfAnotherWorkerIsWaitedFor(t *testing.T) {
	var old atomic.Bool // once the second waits
	c := newCrew(t, mortal(&old))
	first, _ := c.worker()
	a := c.admit(first, "http://one.example/")
	c.await(3)
	second, _ := c.worker()
	b := c.admit(second, "http://one.example/")
	awaitStatus(t, second, func(st lakeio.Status) bool { return st.Blocked == forShards && st.Held == 1 })
	if n := len(c.workers()); n != 2 {
		t.Errorf("%d permits of two workers", n)
	}
	old.Store(true)
	parts, err := a.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	others, err := b.Wait(t.Context())
	if err != nil || len(others) != len(parts) {
		t.Errorf("the second worker emits %d parts (%v), the first %d", len(others), err, len(parts))
	}
	if got, want := len(rowsOf(t, c.lake, lakeio.Captures, others)), len(c.asked()); got != want {
		t.Errorf("%d captures, %d pages were asked for", got, want)
	}
	if twice := c.log.AskedTwice(false); len(twice) > 0 {
		t.Errorf("asked twice: %v", twice)
	}
}

// A worker that stops in good order hands its shard on at once; who takes it
// asks slowly at first, and for nothing that was answered.
func TestAShardIsHandedOnByAWorkerThatStops(t *testing.T) {
	var old atomic.Bool // once the first has stopped
	c := newCrew(t, mortal(&old))
	first, _ := c.worker()
	a := c.admit(first, "http://one.example/")
	c.await(10)
	second, _ := c.worker()
	b := c.admit(second, "http://one.example/")
	if err := first.leave(); err != nil {
		t.Fatal(err)
	}
	old.Store(true)
	if _, err := a.Wait(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("the first ended with %v", err)
	}
	parts, err := b.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(rowsOf(t, c.lake, lakeio.Captures, parts)), len(c.asked()); got != want {
		t.Errorf("%d captures, %d pages were asked for", got, want)
	}
	var rest time.Duration // the longest that the site had
	last := time.Time{}
	for i, r := range c.log.Requests() {
		if i > 0 {
			rest = max(rest, r.Start.Sub(last))
		}
		last = latest(last, r.End)
	}
	if rest < time.Second {
		t.Errorf("the site was asked again %s after the shard was handed on", rest)
	}
	if twice := c.log.AskedTwice(true); len(twice) > 0 {
		t.Errorf("asked twice: %v", twice)
	}
}

// A worker that can't renew its permit ends. Who takes the shard over buries
// the permit first and begins when it has ended.
func TestAShardIsTakenFromAWorkerThatCannotRenewItsPermit(t *testing.T) {
	c := newCrew(t, tree())
	first, store := c.worker()
	a := c.admit(first, "http://one.example/")
	c.await(10)
	store.keepAway(true)
	second, _ := c.worker()
	c.admit(second, "http://one.example/")
	if _, err := a.Wait(t.Context()); !errors.Is(err, errLapsed) {
		t.Errorf("the first ended with %v, want that its permit was not renewed", err)
	}
	<-first.ended
	ended, asked := time.Now(), len(c.log.Requests())
	c.await(asked + 5)
	store.mu.Lock()
	lapse := store.renewed.Add(testTTL)
	store.mu.Unlock()
	for _, r := range c.log.Requests()[asked:] {
		if r.Start.Before(lapse) || r.Start.Before(ended) {
			t.Errorf("%s was asked by the second worker %s before the first one's permit ended", r.URL, lapse.Sub(r.Start))
		}
	}
	if n := c.log.MostAtOnce("one.example"); n > 2 {
		t.Errorf("%d at once, limit 2", n)
	}
	if n := len(c.workers()); n != 1 {
		t.Errorf("%d permits are left, want that of the second worker", n)
	}
	if first.permit.Err() == nil {
		t.Error("the first worker has a permit")
	}
	store.keepAway(false)
}

// What ends the work of a worker for good.
func TestAWorkerEndsWhenItsWorkIsSomebodyElses(t *testing.T) {
	another := func(c *crew) error {
		_, err := lakeio.ChangeRun(t.Context(), c.lake.Store, "test", c.run.ID, func(r *lakeio.Run) error { r.Process = "another"; return nil })
		return err
	}
	for name, end := range map[string]func(c *crew) error{
		"stop":             func(c *crew) error { return c.lake.Stop(t.Context(), "test") },
		"another process":  another,
		"another run":      func(c *crew) error { return c.lake.Store.Put(t.Context(), "test/lock", []byte(`{"run":"another"}`)) },
		"the run was gone": func(c *crew) error { return c.lake.Store.Delete(t.Context(), c.lake.RunDir()+"/run.json") },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrew(t, tree())
			p, _ := c.worker()
			a := c.admit(p, "http://one.example/")
			c.await(5)
			if err := end(c); err != nil {
				t.Fatal(err)
			}
			_, err := a.Wait(t.Context())
			if name != "the run was gone" && !errors.Is(err, ErrStopped) || err == nil {
				t.Errorf("ended with %v, want ErrStopped", err)
			}
			if err := p.leave(); err != nil {
				t.Error(err)
			}
			if left := c.workers(); len(left) > 0 {
				t.Errorf("permits are left: %v", left)
			}
			rec, err := lakeio.FetchShard{Lake: c.lake}.Read(t.Context())
			if err != nil || len(rec.Rolls) == 0 {
				t.Errorf("nothing was appended: %+v, %v", rec, err)
			}
			// One that begins now asks for nothing and takes nothing.
			asked := len(c.log.Requests())
			if _, err := Join(t.Context(), c.cfg); name != "the run was gone" && !errors.Is(err, ErrStopped) || err == nil {
				t.Errorf("a worker began with %v", err)
			}
			if left := c.workers(); len(left) > 0 || len(c.log.Requests()) > asked {
				t.Errorf("a worker that must not begin left %v and asked %d times", left, len(c.log.Requests())-asked)
			}
		})
	}
}

// What this process remembers of a host is not all that it was asked: another
// worker may have had its shard since.
func TestAWorkerWaitsAKeysDelayInEachRound(t *testing.T) {
	c := newCrew(t, chain(1, 0))
	delay := harrow.Duration(time.Minute)
	c.cfg.Fetch.Politeness.Default.Delay = &delay
	c.cfg.Round, c.cfg.Env.Stage = 1, lakeio.FetchStage(1)
	p, _ := c.worker()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recall.started("one.example", time.Now().Add(-time.Hour), time.Minute)
	k := p.keyNamed("one.example", &shard{epoch: 1})
	p.sched.Pending(k.pol, 1, 0)
	if st := p.sched.State(k.pol, time.Now()); st.Why != polite.Delay || time.Until(st.Until) < 50*time.Second {
		t.Errorf("it waits for %s until %v", st.Why, st.Until)
	}
}

// A process that is stopped where it is, between its decision to ask and the
// request, sends nothing when it wakes up after its permit has ended.
func TestNothingIsSentWhenThePermitHasEnded(t *testing.T) {
	c := newCrew(t, chain(3, 0))
	p, store := c.worker()
	store.keepAway(true)
	<-p.ended // it has lapsed
	u, err := plain.Parse("http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	it := &item{Req: harrow.Request{Method: "GET", URL: u.String()}, shard: &shard{epoch: 1}, at: u}
	it.key = p.keyOf(u, it.shard)
	p.sched.Start(it.key.pol, time.Now())
	p.mu.Unlock()
	reservation, ok := p.client.TryReserve()
	if !ok {
		t.Fatal("no memory")
	}
	p.slots <- struct{}{}
	if err := p.exchange(it, reservation, time.Now()); err != nil {
		t.Error(err)
	}
	if asked := c.log.Requests(); len(asked) > 0 {
		t.Errorf("%s was asked for", asked[0].URL)
	}
	p.mu.Lock()
	if n := p.waiting(it.key); n != 1 {
		t.Errorf("%d requests wait, want that which was not sent", n)
	}
	p.mu.Unlock()
	store.keepAway(false)
}

// A bundle that the runner gave up on in its midst holds on to its round for as
// long as the process lives.
func TestARoundThatHasEndedHoldsNobodyUp(t *testing.T) {
	c := newCrew(t, chain(3, 0))
	dead, err := Join(t.Context(), c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if joined, err := Join(t.Context(), c.cfg); err != nil || joined != dead {
		t.Errorf("a round that goes on is not joined: %v", err)
	}
	if n := len(c.workers()); n != 1 {
		t.Errorf("%d permits of one worker", n)
	}
	dead.stop(nil)
	<-dead.ended
	if n := len(c.workers()); n != 0 {
		t.Errorf("%d permits of a worker that has ended", n)
	}
	parts, err := c.bench.run(t.Context(), "http://one.example/")
	if err != nil || len(rowsOf(t, c.lake, lakeio.Captures, parts)) != 4 {
		t.Errorf("whoever comes next gets %d parts, %v", len(parts), err)
	}
	if n := len(c.workers()); n != 0 {
		t.Errorf("%d permits are left", n)
	}
	other := c.cfg
	other.Process = "another submission"
	if c.cfg.identity() == other.identity() {
		t.Error("two submissions share a round")
	}
	for range 2 {
		if err := dead.Close(); err != nil {
			t.Error(err)
		}
	}
}
