// Package policies remembers what origins' robots.txt files say, however many
// there are, in bounded memory.
package policies

import (
	"container/list"
	"fmt"
	"hash/maphash"
	"os"
	"sync"
	"time"

	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/robots"
	"github.com/harrowdata/harrow/internal/scratch"
)

// FreshFor is how long a robots.txt is gone by (RFC 9309 2.4: not more than 24
// hours, unless it is unreachable).
const FreshFor = 24 * time.Hour

// Policy is what is known of an origin's robots.txt; it does not change.
type Policy struct {
	Group   *robots.Group // nil: all is allowed
	Defers  bool          // unreachable: its requests are deferred
	Because string        // code of that; empty: robots
	Fails   string        // code of a permanent failure: its requests fail
}

// Store is what is known of origins' robots.txt files. The rules that
// concern us go to a file on the local disk and stay there; in memory are an
// entry of about indexCost bytes an origin, all there is of one that allows
// everything, and as many parsed rules as fit into the budget's share for
// robots (memory.RobotsPercent of limits.memory) beside the entries: those used
// last. Others are parsed again from the disk, never asked for again. Where the
// entries alone fill the share, the rules used last are all that is kept.
//
// Origins are told apart by a 64-bit hash with a seed of its own: no server can
// choose a name that is taken for another's.
type Store struct {
	mu     sync.Mutex
	share  *memory.Share
	dir    string
	seed   maphash.Seed
	index  map[uint64]policyEntry
	codes  []string // of permanent failures
	cached map[uint64]*list.Element
	used   list.List // of *parsed, used last first
	held   int64     // of the share
	file   *os.File  // nil: nothing has rules yet
	end    int64     // of the file
}

// indexCost is what an entry of the index takes, about.
const indexCost = 64

// policyEntry is an origin in the index.
type policyEntry struct {
	offset int64  // of its rules in the file
	size   int32  // of them
	at     uint32 // when it was asked for, in seconds since 1970
	kind   policyKind
	code   uint8 // position in codes
}

type policyKind uint8

const (
	allowsAll policyKind = iota
	hasRules
	isDeferred
	isFailed
)

// parsed is an origin's rules in memory.
type parsed struct {
	key   uint64
	group *robots.Group
	cost  int64
}

// New returns an empty store, which takes its memory from the share and makes its
// file in dir (the default temporary folder when empty).
func New(share *memory.Share, dir string) *Store {
	return &Store{share: share, dir: dir, seed: maphash.MakeSeed(), index: map[uint64]policyEntry{}, cached: map[uint64]*list.Element{}}
}

// Get returns what is known of an origin; fresh is false for what is too old to
// go by, and pol nil where nothing is known. An error is one of the disk.
func (ps *Store) Get(origin string, now time.Time) (pol *Policy, fresh bool, err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	key := maphash.String(ps.seed, origin)
	e, ok := ps.index[key]
	if !ok {
		return nil, false, nil
	}
	fresh = now.Sub(time.Unix(int64(e.at), 0)) < FreshFor
	switch e.kind {
	case isDeferred:
		return &Policy{Defers: true, Because: ps.codes[e.code]}, fresh, nil
	case isFailed:
		return &Policy{Fails: ps.codes[e.code]}, fresh, nil
	case allowsAll:
		return &allowing, fresh, nil
	}
	if at, ok := ps.cached[key]; ok {
		ps.used.MoveToFront(at)
		return &Policy{Group: at.Value.(*parsed).group}, fresh, nil
	}
	text := make([]byte, e.size)
	if _, err := ps.file.ReadAt(text, e.offset); err != nil {
		return nil, false, fmt.Errorf("robots.txt of %s: %w", origin, err)
	}
	return &Policy{Group: ps.cache(key, robots.ReadGroup(text))}, fresh, nil
}

var allowing Policy

// Put notes what an origin's robots.txt says. Of a group only the rules are
// kept.
func (ps *Store) Put(origin string, pol *Policy, now time.Time) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	key := maphash.String(ps.seed, origin)
	ps.evict(key)
	e := policyEntry{at: uint32(now.Unix())}
	switch {
	case pol.Defers:
		e.kind, e.code = isDeferred, ps.code(pol.Because)
	case pol.Fails != "":
		e.kind, e.code = isFailed, ps.code(pol.Fails)
	case pol.Group != nil && !pol.Group.Empty():
		text := pol.Group.Text()
		if err := ps.write(text); err != nil {
			return fmt.Errorf("robots.txt of %s: %w", origin, err)
		}
		e.kind, e.offset, e.size = hasRules, ps.end-int64(len(text)), int32(len(text))
		ps.cache(key, robots.ReadGroup(text))
	}
	if _, ok := ps.index[key]; !ok && ps.room(indexCost) {
		ps.held += indexCost
	}
	ps.index[key] = e
	return nil
}

// code is the position of a failure's code; there are few.
func (ps *Store) code(text string) uint8 {
	for i, c := range ps.codes {
		if c == text {
			return uint8(i)
		}
	}
	if len(ps.codes) == 256 { // unreachable: the codes are a closed set
		return 0
	}
	ps.codes = append(ps.codes, text)
	return uint8(len(ps.codes) - 1)
}

func (ps *Store) write(text []byte) error {
	if ps.file == nil {
		f, err := scratch.File(ps.dir, "harrow-robots")
		if err != nil {
			return err
		}
		ps.file, ps.end = f, 0
	}
	if _, err := ps.file.WriteAt(text, ps.end); err != nil {
		return err
	}
	ps.end += int64(len(text))
	return nil
}

// parsedCost is what a group takes in the cache beside its own size.
const parsedCost = 256

// cache keeps a group as long as there is room for it.
func (ps *Store) cache(key uint64, g *robots.Group) *robots.Group {
	p := &parsed{key, g, g.Size() + parsedCost}
	if ps.room(p.cost) {
		ps.held += p.cost
	} else {
		p.cost = 0 // it is the only one, and goes when the next comes
	}
	ps.cached[key] = ps.used.PushFront(p)
	return g
}

// room takes n bytes of the share; what was used longest ago makes way. False:
// there is not so much, and nothing is kept any more.
func (ps *Store) room(n int64) bool {
	if last := ps.used.Front(); last != nil && last.Value.(*parsed).cost == 0 {
		ps.evict(last.Value.(*parsed).key)
	}
	for !ps.share.TryAcquire(n) {
		last := ps.used.Back()
		if last == nil {
			return false
		}
		ps.evict(last.Value.(*parsed).key)
	}
	return true
}

func (ps *Store) evict(key uint64) {
	at, ok := ps.cached[key]
	if !ok {
		return
	}
	p := at.Value.(*parsed)
	ps.used.Remove(at)
	delete(ps.cached, key)
	ps.share.Release(p.cost)
	ps.held -= p.cost
}

// Forget makes an origin unknown.
func (ps *Store) Forget(origin string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	key := maphash.String(ps.seed, origin)
	ps.evict(key)
	delete(ps.index, key) // its place in the share stays: the map doesn't shrink either
}

// Shrink gives all memory back but that of the index.
func (ps *Store) Shrink() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for key := range ps.cached {
		ps.evict(key)
	}
}

// Close forgets everything and gives memory and disk back.
func (ps *Store) Close() (err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.file != nil {
		err = ps.file.Close()
	}
	ps.share.Release(ps.held)
	ps.index, ps.cached, ps.held, ps.file, ps.end = map[uint64]policyEntry{}, map[uint64]*list.Element{}, 0, nil, 0
	ps.used.Init()
	return err
}
