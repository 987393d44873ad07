// Package memory divides the one knob limits.memory into five fixed shares,
// each a weighted semaphore over bytes. Shares don't lend to each other: what
// one part of the pipeline holds can never stop another part, so waiting for
// memory can't become a deadlock between them.
//
// The package holds process-wide state on purpose, see [For]: bundles of one
// process share its memory, whoever started them.
package memory

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// MinLimit is the least limit a budget can be made of, in bytes: below it a
// share is too small for what a single step needs.
const MinLimit = 64 << 20

// The parts of the limit, in percent. They add up to 100: what the Go runtime
// and Beam need comes on top of the limit.
const (
	BodiesPercent  = 25 // bodies of exchanges in flight, and until they are written
	BatchesPercent = 25 // rows that wait for their batch to be full
	ShufflePercent = 35 // sort buffers and merge windows
	SeenPercent    = 12 // ids a fetch shard has seen
	RobotsPercent  = 3  // what robots.txt files say
)

// Budget is the memory of one process in its five shares.
type Budget struct {
	Limit   int64 // bytes, all shares together
	Bodies  *Share
	Batches *Share
	Shuffle *Share
	Seen    *Share
	Robots  *Share
}

// New divides limit bytes. It is an error when limit is below [MinLimit].
// Bundles use [For]: a budget of its own is for tests and for programs that
// have one owner.
func New(limit int64) (*Budget, error) {
	if limit < MinLimit {
		return nil, fmt.Errorf("limits.memory is %d bytes; want at least %d (64MiB)", limit, int64(MinLimit))
	}
	part := func(name string, percent int64) *Share {
		// limit / 100 first: no overflow however large the limit is.
		return NewShare(name, limit/100*percent+limit%100*percent/100)
	}
	return &Budget{
		Limit:   limit,
		Bodies:  part("bodies", BodiesPercent),
		Batches: part("batches", BatchesPercent),
		Shuffle: part("shuffle", ShufflePercent),
		Seen:    part("seen", SeenPercent),
		Robots:  part("robots", RobotsPercent),
	}, nil
}

var process struct {
	sync.Mutex
	budgets map[int64]*Budget
	tuned   bool  // the process does nothing but harvest
	limits  int64 // of all budgets, if so
}

// For returns the process's budget of that limit and makes it at the first
// call: all bundles of a process that name the same limit hold the same
// shares. A limit below [MinLimit] is taken as MinLimit; the check of the job
// file has refused it long before.
func For(limit int64) *Budget {
	limit = max(limit, MinLimit)
	process.Lock()
	defer process.Unlock()
	if b, ok := process.budgets[limit]; ok {
		return b
	}
	b, err := New(limit)
	if err != nil {
		panic(err) // unreachable: the limit is at least MinLimit
	}
	if process.budgets == nil {
		process.budgets = map[int64]*Budget{}
	}
	process.budgets[limit] = b
	if process.tuned && os.Getenv("GOMEMLIMIT") == "" {
		process.limits += limit
		debug.SetMemoryLimit(process.limits + runtimeBytes)
	}
	return b
}

// Share is a weighted semaphore over bytes, first come first served. It is
// safe for use by several goroutines.
type Share struct {
	name string
	size int64
	used atomic.Int64
	sem  *semaphore.Weighted
}

// NewShare makes a share of size bytes; name is for errors. Negative sizes
// are taken as 0.
func NewShare(name string, size int64) *Share {
	size = max(size, 0)
	return &Share{name: name, size: size, sem: semaphore.NewWeighted(size)}
}

// Acquire takes n bytes and waits until they are free or ctx ends. More than
// the share's size is an error at once, because it would wait for ever; so is
// a negative n. After an error nothing is held.
func (s *Share) Acquire(ctx context.Context, n int64) error {
	if n < 0 || n > s.size {
		return fmt.Errorf("memory share %s: %d bytes asked for; want 0 to %d (raise limits.memory)", s.name, n, s.size)
	}
	if err := s.sem.Acquire(ctx, n); err != nil {
		return fmt.Errorf("memory share %s: waiting for %d bytes: %w", s.name, n, err)
	}
	s.used.Add(n)
	return nil
}

// TryAcquire takes n bytes if they are free now and reports whether it did.
// It does not overtake a waiting Acquire.
func (s *Share) TryAcquire(n int64) bool {
	if n < 0 || n > s.size || !s.sem.TryAcquire(n) {
		return false
	}
	s.used.Add(n)
	return true
}

// Release gives n bytes back. Giving back more than is held is a mistake in
// the program and panics, n < 1 does nothing.
func (s *Share) Release(n int64) {
	if n < 1 {
		return
	}
	s.used.Add(-n)
	s.sem.Release(n)
}

// Size is the whole share, in bytes.
func (s *Share) Size() int64 { return s.size }

// Used is what is held now, in bytes. Beside concurrent calls it is a
// snapshot, for progress lines and tests.
func (s *Share) Used() int64 { return s.used.Load() }

// gcPercent is what a process of ours lets the heap grow by between two
// collections. What limits.memory bounds is live data, and most of what a
// harvest allocates (pages' trees) dies young: at 200 it spends a tenth less
// CPU than at Go's default of 100.
const gcPercent = 200

// runtimeBytes is what the Go runtime is to keep to beyond the limits of the
// budgets: what is no share's (connections, politeness keys, Beam) and garbage.
// The pages of the binary itself come on top, about 100 MB.
const runtimeBytes = 180 << 20

// TuneGC sets the garbage collector for a process that does nothing but
// harvest, unless the environment (GOGC, GOMEMLIMIT) says otherwise: a heap
// that may grow to three times what lives is collected sooner as it comes near
// what the budgets of [For] and the runtime are to take. A program that embeds
// Harrow keeps its own settings.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	process.Lock()
	defer process.Unlock()
	process.tuned = true
}
