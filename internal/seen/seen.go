// Package seen is the set of request ids that a fetch shard has met. It is a
// map in memory up to its share, then sorted runs on local disk: a set of any
// size works in a fixed amount of memory.
//
// The map spills as a sorted run when the share has no more for it. Runs are
// merged by size, four of about one size into one, so their number, and with
// it the cost of a lookup, grows with the logarithm of the set: at most one
// page read (4 KiB) a run. There is no Bloom filter.
package seen

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
)

const (
	// idBytes is what one id in the map is charged with: 17 bytes a slot, on
	// average two thirds full, growing by doubling, and 16 more while a spill
	// sorts.
	idBytes = 64
	// floorIDs may be in the map even when the share is spent by other sets,
	// so that no set ever waits for another: at most 256 KiB outside the share.
	floorIDs = 4096
	// fanOut runs of one tier are merged into one of the next.
	fanOut = 4
)

// Set is a set of ids. It is not safe for use by several goroutines.
type Set struct {
	dir     string
	share   *memory.Share
	held    int64 // bytes taken from the share
	step    int64 // bytes taken at a time
	floor   int   // ids the map may hold without the share
	recent  map[harrow.ID]struct{}
	runs    []*run // in the order of writing: older, so larger, first
	spilled int64  // ids in runs
	closed  bool
}

// New makes an empty set that takes memory from share and spills to temporary
// files in dir (the default temporary folder when empty). One set takes at
// most half of the share, so that a second one isn't left with nothing.
func New(share *memory.Share, dir string) *Set {
	return &Set{
		dir:    dir,
		share:  share,
		step:   max(share.Size()/64, idBytes),
		floor:  floorIDs,
		recent: map[harrow.ID]struct{}{},
	}
}

// Len is the number of ids in the set.
func (s *Set) Len() int64 { return int64(len(s.recent)) + s.spilled }

// Has reports whether the id is in the set. An error is a fault of the disk
// (class system).
func (s *Set) Has(id harrow.ID) (bool, error) {
	if s.closed {
		return false, errors.New("seen set: used after Close")
	}
	if _, ok := s.recent[id]; ok {
		return true, nil
	}
	// The largest run holds most ids: ask it first.
	for _, r := range s.runs {
		if ok, err := r.has(id); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// Add puts the id into the set and reports whether it is new. After an error,
// a fault of the disk (class system), the set is as it was before the call.
func (s *Set) Add(id harrow.ID) (added bool, err error) {
	found, err := s.Has(id)
	if found || err != nil {
		return false, err
	}
	if !s.room() {
		if err := s.spill(); err != nil {
			return false, err
		}
	}
	s.recent[id] = struct{}{}
	return true, nil
}

// room makes sure that one more id is paid for.
func (s *Set) room() bool {
	need := int64(len(s.recent)+1-s.floor) * idBytes
	if need <= s.held {
		return true
	}
	if s.held+s.step > s.share.Size()/2 || !s.share.TryAcquire(s.step) {
		return false
	}
	s.held += s.step
	return need <= s.held
}

// spill writes the map as a run and merges runs that have grown alike. The
// map keeps its memory: it will be as full again.
func (s *Set) spill() error {
	ids := make([]harrow.ID, 0, len(s.recent))
	for id := range s.recent {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compare)
	w, err := newWriter(s.dir)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := w.add(id); err != nil {
			return errors.Join(err, w.abandon())
		}
	}
	r, err := w.finish()
	if err != nil {
		return err
	}
	s.runs = append(s.runs, r)
	s.spilled += r.count
	clear(s.recent)
	return s.compact()
}

// compact merges the last fanOut runs while they are of one tier. Runs stay in
// order of size, so at most fanOut-1 of each tier remain.
func (s *Set) compact() error {
	for len(s.runs) >= fanOut {
		last := slices.Clone(s.runs[len(s.runs)-fanOut:])
		if last[0].tier != last[fanOut-1].tier {
			return nil
		}
		merged, err := merge(s.dir, last)
		if err != nil {
			return err
		}
		s.runs = append(s.runs[:len(s.runs)-fanOut], merged)
		for _, r := range last {
			err = errors.Join(err, r.close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Close removes the files and gives the memory back. Closing twice is fine.
func (s *Set) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	var err error
	for _, r := range s.runs {
		err = errors.Join(err, r.close())
	}
	s.runs, s.recent = nil, nil
	s.share.Release(s.held)
	s.held = 0
	return err
}

func compare(a, b harrow.ID) int { return bytes.Compare(a[:], b[:]) }

func diskError(doing, name string, err error) error {
	return fmt.Errorf("seen set: %s %s: %w", doing, name, err)
}
