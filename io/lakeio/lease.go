package lakeio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// MinTTL is the least that a lease may last without being renewed.
const MinTTL = 30 * time.Second

// minTTL is another MinTTL in programs that tests build, since they wait for
// the leases of processes that they killed: go build -ldflags "-X
// github.com/harrowdata/harrow/io/lakeio.minTTL=6s".
var minTTL string

// TTL is how long a lease lasts where an exchange may take timeout: of two
// timeouts one is left when half of its renewals fail.
func TTL(timeout time.Duration) time.Duration {
	least, err := time.ParseDuration(minTTL)
	if err != nil { // mostly: it is empty
		least = MinTTL
	}
	return max(least, 2*timeout)
}

// A lease is an object that its owner rewrites again and again, each time by a
// swap of the generation that it wrote last: a lock for stores that have none
// which dies with its holder. It lasts, by the owner's clock, until TTL after
// the beginning of the last renewal that succeeded. Who wants it compares no
// clocks: it must see the same generation for TTL on its own clock, and takes
// it by a swap of that one, so that a renewal that comes late fails. Between
// the owner's last renewal and the taker's first look time has passed, so the
// owner's lease has ended before the taker's begins.
type lease struct {
	store Store
	uri   string
	what  string             // it is, in errors
	held  func(Holder) error // what is said of one that is somebody else's
	ttl   time.Duration
	clock func() time.Duration
	stop  context.CancelFunc
	ended chan struct{} // closed when nothing renews it any more

	mu     sync.Mutex
	holder Holder
	gen    Generation
	until  time.Duration // by clock
	lost   error         // why it is somebody else's, or over
}

// renewals is how often a lease is renewed in its TTL.
const renewals = 4

// takeLease takes the lease when nobody has it, and begins to renew it. One
// that is held is ErrLocked as soon as it is seen to be renewed.
func takeLease(ctx context.Context, store Store, uri string, h Holder, c LockConfig) (_ *lease, prior Holder, err error) {
	l := newLease(store, uri, h, c)
	for {
		prior, l.gen, err = free(ctx, store, uri, c)
		if err != nil {
			return nil, prior, err
		}
		began := l.clock()
		err = l.write(ctx)
		if err == nil {
			l.until = began + l.ttl
			break
		}
		if !errors.Is(err, ErrConflict) {
			return nil, prior, fmt.Errorf("%s: %w", l.what, err)
		}
	}
	forget(store, uri)
	l.begin(ctx)
	return l, prior, nil
}

// newLease is the job lock's.
func newLease(store Store, uri string, h Holder, c LockConfig) *lease {
	return &lease{store: store, uri: uri, what: "job lock", held: func(h Holder) error { return lockedBy(c.job, h) },
		ttl: c.TTL, clock: c.clock, ended: make(chan struct{}), holder: h}
}

// begin begins to renew a lease that was taken.
func (l *lease) begin(ctx context.Context) {
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go func() { defer close(l.ended); l.keep(keep) }()
}

// write swaps the holder in; under mu, or before anybody else knows the lease.
func (l *lease) write(ctx context.Context) error {
	data, err := json.Marshal(l.holder)
	if err != nil {
		return err
	}
	gen, err := l.store.Swap(ctx, l.uri, l.gen, data, false)
	if err == nil {
		l.gen = gen
	}
	return err
}

// keep renews until it is told to stop or the lease is somebody else's.
func (l *lease) keep(ctx context.Context) {
	tick := time.NewTicker(l.ttl / renewals)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.renew(ctx) != nil {
			return
		}
	}
}

// renew makes the lease last longer. One that could not be renewed, even if it
// has ended meanwhile, may be renewed later, as long as nobody took it: only
// that is an error.
func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/renewals)
	defer cancel()
	l.mu.Lock()
	h, gen := l.holder, l.gen
	l.mu.Unlock()
	began := l.clock()
	next := &lease{store: l.store, uri: l.uri, held: l.held, holder: h, gen: gen} // nobody waits for a store under mu
	next.holder.Renewals++
	next.holder.Renewed = time.Now().UTC()
	err := next.write(ctx)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		err = next.reread(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case next.lost != nil:
		l.lost = next.lost
		return l.lost
	case err == nil && next.gen != l.gen:
		l.holder, l.gen, l.until = next.holder, next.gen, began+l.ttl
	}
	return nil
}

// reread looks at whose a lease is that has another generation: it is still
// ours where an earlier renewal arrived after it was given up.
func (l *lease) reread(ctx context.Context) error {
	data, gen, err := l.store.Read(ctx, l.uri)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	there := decodeHolder(data)
	if err != nil || there.Nonce != l.holder.Nonce || !there.Ended.IsZero() {
		l.lost = fmt.Errorf("%w: it was not renewed in time", l.held(there))
		return l.lost
	}
	l.gen = gen
	return l.write(ctx)
}

// left is how long the lease lasts yet; 0: it has ended.
func (l *lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil {
		return 0
	}
	return max(0, l.until-l.clock())
}

func (l *lease) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// releaseTimeout bounds the last word to a lease.
const releaseTimeout = 15 * time.Second

// release gives the lease back: who wants it next need not wait. One that is
// lost is not given back.
func (l *lease) release(ended time.Time) error {
	l.stop()
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	l.until = 0
	l.holder.Ended = ended.UTC()
	err := l.write(ctx)
	if errors.Is(err, ErrConflict) {
		err = l.reread(ctx)
	}
	if l.lost != nil || errors.Is(err, ErrConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.what, err)
	}
	return nil
}

// sighting is a generation of a lease and since when it is there.
type sighting struct {
	gen   Generation
	since time.Duration
}

type place struct {
	store Store
	uri   string
}

// sightings are of this process: who looked before it takes, waits once.
var (
	sightingsMu sync.Mutex
	sightings   = map[place]sighting{}
)

func forget(s Store, uri string) {
	sightingsMu.Lock()
	defer sightingsMu.Unlock()
	delete(sightings, place{s, uri})
}

// seen notes a look at a generation and says for how long it is there.
func seen(s Store, uri string, gen Generation, now time.Duration) time.Duration {
	sightingsMu.Lock()
	defer sightingsMu.Unlock()
	at, ok := sightings[place{s, uri}]
	if !ok || at.gen != gen {
		at = sighting{gen, now}
		sightings[place{s, uri}] = at
	}
	return now - at.since
}

// look is what one look at a lease tells.
type look struct {
	holder Holder // zero: there is none, or what is there is nobody's
	gen    Generation
	free   bool          // nobody has it
	wait   time.Duration // how long it must stay as it is to be dead; 0: it is dead or free
	again  time.Duration // when it is worth another look
}

// lookAt looks at a lease once, and keeps in mind since when it is as it is.
func lookAt(ctx context.Context, store Store, uri string, c LockConfig) (look, error) {
	data, gen, err := store.Read(ctx, uri)
	if errors.Is(err, ErrNotFound) {
		return look{free: true}, nil
	}
	if err != nil {
		return look{}, err
	}
	l := look{holder: decodeHolder(data), gen: gen}
	if l.holder.Nonce == "" || !l.holder.Ended.IsZero() {
		l.free = true
		return l, nil
	}
	ttl := l.holder.TTL
	if ttl <= 0 {
		ttl = c.TTL
	}
	l.wait = max(0, ttl-seen(store, uri, gen, c.clock()))
	l.again = min(l.wait, ttl/(4*renewals))
	return l, nil
}

// free waits until it is known whether a lease can be taken: the generation
// to be swapped and who had it before, or ErrLocked.
func free(ctx context.Context, store Store, uri string, c LockConfig) (prior Holder, gen Generation, err error) {
	first, told := Generation(""), false
	for {
		l, err := lookAt(ctx, store, uri, c)
		if err != nil {
			return Holder{}, "", fmt.Errorf("job lock: %w", err)
		}
		if l.free {
			return l.holder, l.gen, nil
		}
		if first != "" && l.gen != first {
			return l.holder, l.gen, lockedBy(c.job, l.holder)
		}
		first = l.gen
		if l.wait == 0 {
			return l.holder, l.gen, nil
		}
		if c.Waiting != nil && !told {
			c.Waiting(l.holder, l.wait)
			told = true
		}
		select {
		case <-ctx.Done():
			return l.holder, l.gen, ctx.Err()
		case <-time.After(l.again):
		}
	}
}
