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

// far is a store that is not local: its locks are leases. Each far is as
// another process sees the workspace.
type far struct {
	Store
	before func() error // of each Swap; nil: nothing
	after  func() error
}

func (f *far) Local() string { return "" }

func (f *far) Swap(ctx context.Context, uri string, old Generation, data []byte, durable bool) (Generation, error) {
	if f.before != nil {
		if err := f.before(); err != nil {
			return "", err
		}
	}
	gen, err := f.Store.Swap(ctx, uri, old, data, durable)
	if f.after != nil {
		err = errors.Join(err, f.after())
	}
	return gen, err
}

// hands is a clock that is set by hand.
type hands struct{ at atomic.Int64 }

func (h *hands) now() time.Duration      { return time.Duration(h.at.Load()) }
func (h *hands) advance(d time.Duration) { h.at.Add(int64(d)) }
func (h *hands) config(l Lake) LockConfig {
	return LockConfig{Now: someTime, TTL: time.Hour, clock: h.now}.of(l.Job)
}
func farLake(t testing.TB) (Lake, *far) {
	l := testLake(t)
	f := &far{Store: l.Store}
	l.Store = f
	return l, f
}
func (f *far) elsewhere() *far { return &far{Store: f.Store} }
func holderOf(run string) Holder {
	return Holder{Version: jsonVersion, Run: run, Host: "h", PID: 7, Nonce: run, TTL: time.Hour}
}
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

const leaseURI = "shop/lock"

func TestALeaseIsTakenAtOnceWhenItWasReleased(t *testing.T) {
	l, f := farLake(t)
	clock := &hands{} // stands still: nothing can be waited for
	a, prior, err := takeLease(t.Context(), f, leaseURI, holderOf("a"), clock.config(l))
	check(t, err)
	if prior != (Holder{}) || a.left() != time.Hour {
		t.Errorf("prior %+v, left %s", prior, a.left())
	}
	check(t, a.release(someTime))
	b, prior, err := takeLease(t.Context(), f.elsewhere(), leaseURI, holderOf("b"), clock.config(l))
	check(t, err)
	if prior.Run != "a" || !prior.Ended.Equal(someTime) {
		t.Errorf("prior %+v", prior)
	}
	check(t, b.release(someTime))
}

func TestALeaseThatIsRenewedIsHeld(t *testing.T) {
	l, f := farLake(t)
	c := LockConfig{TTL: 200 * time.Millisecond}.of(l.Job)
	h := holderOf("a")
	h.TTL = c.TTL
	a, _, err := takeLease(t.Context(), f, leaseURI, h, c)
	check(t, err)
	var waited []Holder
	c.Waiting = func(h Holder, longest time.Duration) { waited = append(waited, h) }
	for range 2 {
		_, _, err = takeLease(t.Context(), f.elsewhere(), leaseURI, holderOf("b"), c)
		wants(t, err, ErrLocked, "job shop", "run a, process 7 on h")
	}
	if len(waited) != 2 || waited[0].Run != "a" {
		t.Errorf("told of %v", waited)
	}
	check(t, a.release(someTime))
}

func TestADeadHoldersLeaseIsTakenAfterItsTTL(t *testing.T) {
	l, f := farLake(t)
	clock, theirs := &hands{}, &hands{}
	a, _, err := takeLease(t.Context(), f, leaseURI, holderOf("a"), clock.config(l))
	check(t, err)
	a.stop() // dies
	<-a.ended

	g := f.elsewhere()
	theirs.advance(1000 * time.Hour) // their clock says nothing of ours
	for range 3 {
		_, _, err = takeLease(soon(t), g, leaseURI, holderOf("b"), theirs.config(l))
		wants(t, err, context.DeadlineExceeded)
		theirs.advance(29 * time.Minute)
	}
	b, prior, err := takeLease(t.Context(), g, leaseURI, holderOf("b"), theirs.config(l))
	check(t, err)
	if prior.Run != "a" {
		t.Errorf("prior %+v", prior)
	}
	// The dead one was only slow.
	wants(t, a.renew(t.Context()), ErrLocked, "run b", "not renewed in time")
	if a.left() != 0 || a.err() == nil {
		t.Errorf("the old holder has %s left, error %v", a.left(), a.err())
	}
	check(t, a.release(someTime)) // takes nothing from the new one
	check(t, b.renew(t.Context()))
	check(t, b.release(someTime))
}

func TestALeaseEndsWhereItCannotBeRenewedAndGoesOnWhereItCan(t *testing.T) {
	l, f := farLake(t)
	clock := &hands{}
	a, _, err := takeLease(t.Context(), f, leaseURI, holderOf("a"), clock.config(l))
	check(t, err)
	f.before = func() error { return errors.New("no network") }
	clock.advance(40 * time.Minute)
	check(t, a.renew(t.Context()))
	if a.left() != 20*time.Minute {
		t.Errorf("left %s", a.left())
	}
	clock.advance(40 * time.Minute)
	if a.left() != 0 || a.err() != nil {
		t.Errorf("left %s, %v", a.left(), a.err())
	}
	// A renewal counts from its beginning.
	f.before = func() error { clock.advance(10 * time.Minute); return nil }
	check(t, a.renew(t.Context()))
	if a.left() != 50*time.Minute {
		t.Errorf("left %s", a.left())
	}
	f.before = nil
	check(t, a.release(someTime))
}

func TestARenewalWhoseAnswerIsLostIsOurs(t *testing.T) {
	l, f := farLake(t)
	clock := &hands{}
	a, _, err := takeLease(t.Context(), f, leaseURI, holderOf("a"), clock.config(l))
	check(t, err)
	f.after = func() error { return errors.New("lost") }
	check(t, a.renew(t.Context()))
	f.after = nil
	clock.advance(time.Minute)
	check(t, a.renew(t.Context()))
	if a.left() != time.Hour {
		t.Errorf("left %s", a.left())
	}
	f.after = func() error { return errors.New("lost") }
	check(t, a.renew(t.Context()))
	f.after = nil
	check(t, a.release(someTime))
	if h, held, err := ReadHolder(t.Context(), l); held || err != nil || h.Ended.IsZero() {
		t.Errorf("released: %+v, %t, %v", h, held, err)
	}
}

func TestOneOfManyTakesADeadHoldersLease(t *testing.T) {
	l, f := farLake(t)
	c := LockConfig{TTL: 300 * time.Millisecond}.of(l.Job)
	h := holderOf("dead")
	h.TTL = c.TTL
	a, _, err := takeLease(t.Context(), f, leaseURI, h, c)
	check(t, err)
	a.stop()
	<-a.ended
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			h := holderOf(fmt.Sprint("taker ", i))
			h.TTL = c.TTL
			b, _, err := takeLease(t.Context(), f.elsewhere(), leaseURI, h, c)
			switch {
			case err == nil:
				won.Add(1)
				t.Cleanup(func() { check(t, b.release(someTime)) })
			case !errors.Is(err, ErrLocked):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 6 took it, want 1", won.Load())
	}
}

// Whatever the clocks show, however long requests take and whoever dies: no
// two have the lease at once.
func TestNoTwoHaveALeaseAtOnce(t *testing.T) {
	root, cases := t.TempDir(), atomic.Int64{}
	rapid.Check(t, func(t *rapid.T) {
		store, err := openLocal(filepath.Join(root, fmt.Sprint(cases.Add(1))))
		if err != nil {
			t.Fatal(err)
		}
		world := &hands{} // time as it is; each one's clock is off by its own
		const n = 3
		var owners [n]*lease
		var stores [n]*far
		var configs [n]LockConfig
		slow := time.Duration(0)
		for i := range n {
			offset := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "offset"))
			stores[i] = &far{Store: store, before: func() error { world.advance(slow); return nil }, after: func() error { world.advance(slow); return nil }}
			configs[i] = LockConfig{TTL: time.Hour, clock: func() time.Duration { return world.now() + offset }}.of("shop")
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		names := 0
		for range 60 {
			world.advance(time.Duration(rapid.Int64Range(0, int64(40*time.Minute)).Draw(t, "pass")))
			slow = time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "slow"))
			i := rapid.IntRange(0, n-1).Draw(t, "who")
			switch o := owners[i]; {
			case o == nil: // looks once, and takes what is free
				names++
				h := holderOf(fmt.Sprint(names))
				_, gen, err := free(over, stores[i], leaseURI, configs[i])
				if err != nil {
					break
				}
				o = newLease(stores[i], leaseURI, h, configs[i])
				o.gen = gen
				began := o.clock()
				if o.write(context.Background()) == nil {
					o.until = began + o.ttl
					owners[i] = o
					forget(stores[i], leaseURI)
				}
			case rapid.IntRange(0, 5).Draw(t, "what") == 0: // dies, or is about to take anew
				owners[i] = nil
			default:
				if o.renew(context.Background()) != nil {
					owners[i] = nil
				}
			}
			have := 0
			for _, o := range owners {
				if o != nil && o.left() > 0 {
					have++
				}
			}
			if have > 1 {
				t.Fatalf("%d have it", have)
			}
		}
	})
}

func TestJobLocksOnOtherStoresAreLeases(t *testing.T) {
	l, f := farLake(t)
	c := LockConfig{Now: someTime, TTL: 200 * time.Millisecond}
	check(t, Free(t.Context(), l, c))
	first, err := LockJob(t.Context(), l, c)
	check(t, err)
	second, err := LockJob(t.Context(), l, c) // a share of it
	check(t, err)
	if second != first || first.Left() <= 0 || first.Err() != nil {
		t.Errorf("left %s, %v", first.Left(), first.Err())
	}
	other := l
	other.Run = "0190a0b0-0000-7000-8000-000000000002"
	_, err = LockJob(t.Context(), other, c)
	wants(t, err, ErrLocked, l.Run, "in this process")
	wants(t, Free(t.Context(), other, c), ErrLocked, l.Run)
	other.Store = f.elsewhere()
	wants(t, Free(t.Context(), other, c), ErrLocked, l.Run)
	_, err = LockJob(t.Context(), other, c)
	wants(t, err, ErrLocked, l.Run)
	h, held, err := ReadHolder(t.Context(), other)
	if err != nil || !held || h.Run != l.Run || h.Nonce == "" {
		t.Errorf("%+v, %t, %v", h, held, err)
	}
	check(t, first.Release(someTime))
	if h, held, _ := ReadHolder(t.Context(), l); !held {
		t.Errorf("one share was released: %+v", h)
	}
	check(t, second.Release(someTime))
	check(t, second.Release(someTime)) // no harm
	h, held, err = ReadHolder(t.Context(), l)
	if err != nil || held || !h.Ended.Equal(someTime) {
		t.Errorf("released: %+v, %t, %v", h, held, err)
	}
	next, err := LockJob(t.Context(), other, c)
	check(t, err)
	if next.Prior().Run != l.Run {
		t.Errorf("prior %+v", next.Prior())
	}
	check(t, next.Release(someTime))
}

func TestDamagedLeasesAreFree(t *testing.T) {
	l, f := farLake(t)
	for _, text := range []string{"", "{", `{"run":"x"}`, `null`, `{"nonce":"n","ended":"2026-01-01T00:00:00Z"}`} {
		check(t, f.Put(t.Context(), leaseURI, []byte(text)))
		j, err := LockJob(t.Context(), l, LockConfig{Now: someTime})
		check(t, err)
		check(t, j.Release(someTime))
	}
}

func TestALeaseLastsTwoTimeouts(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: MinTTL, time.Second: MinTTL, 20 * time.Second: 40 * time.Second} {
		if got := TTL(timeout); got != want {
			t.Errorf("timeout %s: %s, want %s", timeout, got, want)
		}
	}
}

// Where a look is a request, it is not made for every part.
func TestWhetherAStageIsCommittedIsRemembered(t *testing.T) {
	l, f := farLake(t)
	reads := 0
	l.Store = &counted{far: f, reads: &reads}
	ask := func(want bool) {
		t.Helper()
		if got, err := l.Committed(t.Context(), "parse"); err != nil || got != want {
			t.Errorf("committed %t, %v, want %t", got, err, want)
		}
	}
	ask(false)
	ask(false)
	if reads != 1 {
		t.Errorf("%d looks for two answers no", reads)
	}
	at := place{l.Store, l.Stage("parse") + "/manifest.json"}
	if _, ok := committed.recall(at, sinceBoot()+noLasts+time.Second); ok {
		t.Error("no is believed for ever")
	}
	_, err := l.Commit(t.Context(), "parse", nil, nil, someTime)
	check(t, err)
	reads = 0
	ask(true) // at once
	ask(true)
	if reads != 0 {
		t.Errorf("%d looks at one's own manifest", reads)
	}
}

type counted struct {
	*far
	reads *int
}

func (c *counted) Read(ctx context.Context, uri string) ([]byte, Generation, error) {
	*c.reads++
	return c.far.Read(ctx, uri)
}
