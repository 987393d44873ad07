package lakeio

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// claims is what a worker with a permit claims a shard with.
func (p *WorkerPermit) claims(owner string, clock *hands) Claim {
	return Claim{Owner: owner, Permit: p.URI(), Process: "submission", clock: clock.now}
}

// claim claims a shard and says whether it was got.
func claim(t *testing.T, f FetchShard, c Claim) bool {
	t.Helper()
	r, held, err := f.Claim(t.Context(), c)
	check(t, err)
	if !held && !r.Done && (r.Owner != c.Owner || r.Permit != c.Permit || r.Process != c.Process) {
		t.Errorf("claimed by %+v: %+v", c, r)
	}
	return !held
}

func TestAShardIsTakenWhenItsOwnersPermitHasEnded(t *testing.T) {
	f, clock := testShard(t), &hands{}
	a, b := workerPermit(t, f.Lake, f.Round, clock), workerPermit(t, f.Lake, f.Round, clock)
	if !claim(t, f, a.claims("one", clock)) || !claim(t, f, a.claims("one again", clock)) {
		t.Error("nobody else had it")
	}
	if claim(t, f, b.claims("two", clock)) {
		t.Error("taken from an owner whose permit lasts")
	}
	roll := closeRoll(t, f, "00002-00000-aa")
	check(t, f.Append(t.Context(), "one again", roll))
	check(t, a.Release(someTime))
	if !claim(t, f, b.claims("two", clock)) {
		t.Error("not taken, though the owner has ended")
	}
	if r, err := f.Read(t.Context()); err != nil || r.Epoch != 3 || len(r.Rolls) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAShardIsTakenWhenItsOwnerIsDeadAndBuried(t *testing.T) {
	f, theirs, clock := testShard(t), &hands{}, &hands{}
	a, b := workerPermit(t, f.Lake, f.Round, theirs), workerPermit(t, f.Lake, f.Round, clock)
	claim(t, f, a.claims("one", theirs))
	a.lease.stop() // it sleeps
	<-a.lease.ended
	for range 3 {
		if claim(t, f, b.claims("two", clock)) {
			t.Fatal("taken before the permit was seen to be dead")
		}
		clock.advance(29 * time.Minute)
	}
	if !claim(t, f, b.claims("two", clock)) {
		t.Error("not taken from a dead owner")
	}
	theirs.advance(87 * time.Minute)
	wants(t, a.lease.renew(t.Context()), ErrBuried)
	wants(t, f.Append(t.Context(), "one", Roll{Name: "00001-00000-aa"}), ErrLost)
}

func TestWhoWaitsForAShardGetsItWhenItIsDone(t *testing.T) {
	f, clock := testShard(t), &hands{}
	a, b := workerPermit(t, f.Lake, f.Round, clock), workerPermit(t, f.Lake, f.Round, clock)
	claim(t, f, a.claims("one", clock))
	if claim(t, f, b.claims("two", clock)) {
		t.Error("taken from an owner whose permit lasts")
	}
	check(t, f.Finish(t.Context(), "one", time.Second, time.Second))
	r, held, err := f.Claim(t.Context(), b.claims("two", clock))
	if err != nil || held || !r.Done || r.Owner != "one" {
		t.Errorf("%+v, held %t, %v", r, held, err)
	}
}

// A permit that is not there any more was removed by harrow gc: nobody has it.
func TestAShardWhosePermitIsGoneIsTaken(t *testing.T) {
	f, clock := testShard(t), &hands{}
	if !claim(t, f, Claim{Owner: "one", Permit: "shop/runs/x/fetch-2/workers/gone.json", Process: "submission"}) {
		t.Error("not taken")
	}
	if !claim(t, f, workerPermit(t, f.Lake, f.Round, clock).claims("two", clock)) {
		t.Error("not taken from nobody")
	}
}

// Of many that claim a dead owner's shard at once one gets it.
func TestOneOfManyClaimsADeadOwnersShard(t *testing.T) {
	f, clock := testShard(t), &hands{}
	dead := workerPermit(t, f.Lake, f.Round, clock)
	claim(t, f, dead.claims("dead", clock))
	dead.lease.stop()
	<-dead.lease.ended
	const n = 6
	var takers [n]Claim
	for i := range takers {
		takers[i] = workerPermit(t, f.Lake, f.Round, clock).claims(fmt.Sprint("taker ", i), clock)
		if claim(t, f, takers[i]) {
			t.Error("taken from the living")
		}
	}
	clock.advance(time.Hour)
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range takers {
		all.Go(func() {
			if claim(t, f, takers[i]) {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of %d took it, want 1", won.Load(), n)
	}
}

var errAnswer = errors.New("the answer got lost")

// sluggish is the workspace as one process sees it: each request takes time on
// the way there and back, and answers may get lost.
type sluggish struct {
	Store
	pass func()
	lost func() bool // of a swap
}

func (s *sluggish) Read(ctx context.Context, uri string) ([]byte, Generation, error) {
	s.pass()
	defer s.pass()
	return s.Store.Read(ctx, uri)
}

func (s *sluggish) Swap(ctx context.Context, uri string, old Generation, data []byte, durable bool) (Generation, error) {
	s.pass()
	defer s.pass()
	gen, err := s.Store.Swap(ctx, uri, old, data, durable)
	if err == nil && s.lost() {
		return "", errAnswer
	}
	return gen, err
}

// crowd are worker processes that want one shard, in virtual time.
type crowd struct {
	*rapid.T
	world hands
	lake  Lake
	all   [3]*crew
	names int
	slow  bool
}

// crew is one process: a permit, and whether it takes itself for the owner.
type crew struct {
	at    FetchShard
	clock func() time.Duration
	lease *lease
	owner string
	owns  bool
}

func newCrowd(t *rapid.T, store Store) *crowd {
	c := &crowd{T: t, lake: Lake{Store: store, Job: "shop", Run: "0190a0b0-0000-7000-8000-000000000001"}, slow: true}
	for i := range c.all {
		offset := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "offset"))
		own := c.lake
		own.Store = &sluggish{Store: store, pass: c.pass, lost: func() bool { return c.slow && rapid.IntRange(0, 9).Draw(t, "lost") == 0 }}
		c.all[i] = &crew{at: FetchShard{Lake: own, Round: 2, Shard: 17}, clock: func() time.Duration { return c.world.now() + offset }}
	}
	return c
}

// pass lets time pass: mostly little, now and then, where a process is frozen
// in the middle of something, hours.
func (c *crowd) pass() {
	if !c.slow {
		return
	}
	most := time.Minute
	if rapid.IntRange(0, 7).Draw(c.T, "frozen") == 0 {
		most = 3 * time.Hour
	}
	c.world.advance(time.Duration(rapid.Int64Range(0, int64(most)).Draw(c.T, "takes")))
}

// step lets one process do something.
func (c *crowd) step(w *crew) {
	ctx := context.Background()
	switch {
	case w.lease == nil:
		c.names++
		h := holderOf("")
		h.Nonce = fmt.Sprint(c.names)
		l := newWorkerLease(w.at.Lake, w.at.Round, h, LockConfig{TTL: time.Hour, clock: w.clock})
		began := w.clock()
		if l.write(ctx) == nil {
			l.until = began + l.ttl
			w.lease, w.owner = l, h.Nonce
		}
	case c.slow && rapid.IntRange(0, 11).Draw(c.T, "end") == 0:
		if rapid.Bool().Draw(c.T, "in good order") {
			w.lease.stop = func() {}
			w.lease.ended = make(chan struct{})
			close(w.lease.ended)
			_ = w.lease.release(someTime) // or it is as if it had died
		}
		w.lease, w.owns = nil, false
	case w.owns || rapid.Bool().Draw(c.T, "renews"):
		if w.lease.renew(ctx) != nil {
			w.lease, w.owns = nil, false
		}
	default:
		_, held, err := w.at.Claim(ctx, Claim{Owner: w.owner, Permit: w.lease.uri, clock: w.clock})
		w.owns = err == nil && !held
	}
}

// owners are those that may start exchanges now.
func (c *crowd) owners() (n int) {
	for _, w := range c.all {
		if w.owns && w.lease.left() > 0 {
			n++
		}
	}
	return n
}

// Whatever the clocks show, however long requests take, whoever freezes, dies or
// hears no answer: no two have a shard and a permit that lasts at once, and one
// that tries long enough gets the shard.
func TestNoTwoMayStartExchangesOfAShardAtOnce(t *testing.T) {
	root, cases, got := t.TempDir(), atomic.Int64{}, atomic.Int64{}
	rapid.Check(t, func(t *rapid.T) {
		store, err := openLocal(filepath.Join(root, fmt.Sprint(cases.Add(1))))
		if err != nil {
			t.Fatal(err)
		}
		c := newCrowd(t, store)
		for range 60 {
			c.step(c.all[rapid.IntRange(0, len(c.all)-1).Draw(t, "who")])
			if n := c.owners(); n > 1 {
				t.Fatalf("%d may start exchanges", n)
			} else if n == 1 {
				got.Add(1)
			}
			c.pass()
		}
		// All others are frozen for good.
		c.slow = false
		w := c.all[0]
		for n := 0; !w.owns || w.lease.left() == 0; n++ {
			if n > 100 {
				t.Fatal("it never gets the shard")
			}
			c.step(w)
			c.world.advance(10 * time.Minute)
			if n := c.owners(); n > 1 {
				t.Fatalf("%d may start exchanges", n)
			}
		}
	})
	if got.Load() == 0 {
		t.Error("nobody ever got it")
	}
}
