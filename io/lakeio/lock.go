package lakeio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ErrLocked: another process holds the job. The error names who.
var ErrLocked = errors.New("the job is held by another run")

// Holder is what the job lock says of who holds it.
type Holder struct {
	Version int       `json:"version"`
	Run     string    `json:"run"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Ended   time.Time `json:"ended,omitzero"` // when a holder let go in good order

	// Of a lease: what tells holders apart, how long it lasts without being
	// renewed (ns), how often it was renewed, and when, by its holder's clock,
	// for people to look at.
	Nonce    string        `json:"nonce,omitempty"`
	TTL      time.Duration `json:"ttl,omitempty"`
	Renewals int64         `json:"renewals,omitempty"`
	Renewed  time.Time     `json:"renewed,omitzero"`
}

// CollectorRun stands in a job lock for the run where old runs are removed.
const CollectorRun = "gc"

// String says who and since when.
func (h Holder) String() string {
	if h.Run == CollectorRun {
		return fmt.Sprintf("harrow gc, process %d on %s since %s", h.PID, h.Host, h.Since.Format(time.RFC3339))
	}
	return fmt.Sprintf("run %s, process %d on %s since %s", h.Run, h.PID, h.Host, h.Since.Format(time.RFC3339))
}

// lockedBy is the one form of ErrLocked.
func lockedBy(job string, h Holder) error {
	if h == (Holder{}) {
		return fmt.Errorf("job %s: %w", job, ErrLocked)
	}
	return fmt.Errorf("job %s: %w: %s", job, ErrLocked, h)
}

// decodeHolder reads what a lock says; a holder that died while it wrote left
// nothing of worth.
func decodeHolder(data []byte) Holder {
	var h Holder
	if json.Unmarshal(data, &h) != nil {
		return Holder{}
	}
	return h
}

// LockConfig says how a job lock is taken.
type LockConfig struct {
	Now time.Time // since when it is held, for people to look at
	// TTL is how long the lock lasts without being renewed where it is a
	// lease; 0: that of [TTL] for exchanges that take no time.
	TTL time.Duration
	// Waiting is told, once, before it is waited to see whether a lease's
	// holder is alive, and for how long at most; nil: nobody is told.
	Waiting func(h Holder, longest time.Duration)

	job   string
	clock func() time.Duration // sinceBoot, but in tests
}

func (c LockConfig) of(job string) LockConfig {
	if c.job = job; c.TTL <= 0 {
		c.TTL = TTL(0)
	}
	if c.clock == nil {
		c.clock = sinceBoot
	}
	return c
}

// JobLock is the lock of a job. On a local disk it is held by flock, so the
// kernel frees it when its process dies. Elsewhere it is a lease, renewed in
// the background until it is released. While it lasts, its run has the permit
// to start exchanges, unless the run was asked to stop.
type JobLock struct {
	holder Holder
	prior  Holder
	shared *lockShare
	flock  *flocked // one of the two
	lease  *lease
}

// lockShare counts the holders within this process: workers of a run that
// live in its process share the command's lock.
type lockShare struct {
	lock *JobLock
	refs int
}

var (
	locksMu  sync.Mutex
	locks    = map[place]*lockShare{}
	takingMu sync.Mutex // held while one is taken, which may be waited for: no Release needs it
)

// LockJob takes the job's lock for a run, or shares it when this process
// holds it for the same run. Another holder is ErrLocked. Where the lock is a
// lease it may be waited for TTL to see whether its holder is alive.
func LockJob(ctx context.Context, l Lake, c LockConfig) (*JobLock, error) {
	c = c.of(l.Job)
	at, err := lockPlace(l)
	if err != nil {
		return nil, err
	}
	takingMu.Lock()
	defer takingMu.Unlock()
	if j, err := share(l, at); j != nil || err != nil {
		return j, err
	}
	j := &JobLock{holder: Holder{Version: jsonVersion, Run: l.Run, Host: hostname(), PID: os.Getpid(), Since: c.Now.UTC()}}
	if at.store != nil {
		j.holder.Nonce, j.holder.TTL, j.holder.Renewed = uuid.NewString(), c.TTL, time.Now().UTC()
		j.lease, j.prior, err = takeLease(ctx, at.store, at.uri, j.holder, c)
	} else {
		j.flock, j.prior, err = takeFlock(ctx, at.uri, j.holder, l.Job)
	}
	if err != nil {
		return nil, err
	}
	j.shared = &lockShare{lock: j, refs: 1}
	locksMu.Lock()
	defer locksMu.Unlock()
	locks[at] = j.shared
	return j, nil
}

// lockPlace is where a job's lock is: a file's path, or an object of a store.
func lockPlace(l Lake) (place, error) {
	if !filepath.IsLocal(l.Job) {
		return place{}, fmt.Errorf("job lock: job %q has no place in the workspace %s", l.Job, Name(l.Store))
	}
	uri := path.Join(l.Job, "lock")
	if root := l.Store.Local(); root != "" {
		return place{uri: filepath.Join(root, filepath.FromSlash(uri))}, nil
	}
	return place{l.Store, uri}, nil
}

// share shares what this process holds; nil when it holds nothing.
func share(l Lake, at place) (*JobLock, error) {
	locksMu.Lock()
	defer locksMu.Unlock()
	s, ok := locks[at]
	if !ok {
		return nil, nil
	}
	if s.lock.holder.Run != l.Run {
		return nil, fmt.Errorf("job %s: %w: run %s in this process", l.Job, ErrLocked, s.lock.holder.Run)
	}
	s.refs++
	return s.lock, nil
}

// Prior is the holder before this one; the zero Holder when there was none.
func (j *JobLock) Prior() Holder { return j.prior }

// flockLeft is how far into the future a held flock reaches: it ends only with
// its process, and so do the process's exchanges.
const flockLeft = 1000 * time.Hour

// Left is for how long the lock is certain to last, if nothing renews it.
func (j *JobLock) Left() time.Duration {
	if j.lease != nil {
		return j.lease.left()
	}
	return flockLeft
}

// Err is ErrLocked once another process took the lock, and nil until then.
func (j *JobLock) Err() error {
	if j.lease != nil {
		return j.lease.err()
	}
	return nil
}

// Release gives the lock up, or one share of it; the last one notes the time.
// What is released once more stays so.
func (j *JobLock) Release(now time.Time) error {
	locksMu.Lock()
	defer locksMu.Unlock()
	if j.shared.refs--; j.shared.refs != 0 {
		return nil // of others still, or released already
	}
	for at, s := range locks {
		if s == j.shared {
			delete(locks, at)
		}
	}
	if j.lease != nil {
		return j.lease.release(now)
	}
	j.holder.Ended = now.UTC()
	return j.flock.release(j.holder)
}

// Free returns when nobody holds the job's lock: an error is ErrLocked, which
// says who does, or that it can't be known. It waits as LockJob does; a
// LockJob that follows doesn't wait again.
func Free(ctx context.Context, l Lake, c LockConfig) error {
	at, err := lockPlace(l)
	if err != nil {
		return err
	}
	if at.store == nil {
		h, held, err := readFlock(at.uri)
		if err == nil && held {
			err = lockedBy(l.Job, h)
		}
		return err
	}
	locksMu.Lock()
	s, ok := locks[at]
	locksMu.Unlock()
	if ok {
		return lockedBy(l.Job, s.lock.holder)
	}
	_, _, err = free(ctx, at.store, at.uri, c.of(l.Job))
	return err
}

// lateBy is how many TTLs a lease's holder may be late before it looks dead to
// who only looks.
const lateBy = 2

// ReadHolder says who holds, or held, a job's lock; the zero Holder when
// nobody ever did. held reports whether its process is alive. Of a lease that
// is a guess, by two clocks: see [Free].
func ReadHolder(ctx context.Context, l Lake) (h Holder, held bool, err error) {
	at, err := lockPlace(l)
	if err != nil {
		return Holder{}, false, err
	}
	if at.store == nil {
		return readFlock(at.uri)
	}
	data, _, err := at.store.Read(ctx, at.uri)
	if errors.Is(err, ErrNotFound) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, false, fmt.Errorf("job lock: %w", err)
	}
	h = decodeHolder(data)
	return h, h.Nonce != "" && h.Ended.IsZero() && time.Since(h.Renewed) < lateBy*h.TTL, nil
}
