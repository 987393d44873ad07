package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// SortConfig says how a command sorts what was committed. A stage shuffles
// instead, see [Worker.Spill].
type SortConfig struct {
	Key    Key    // Shards doesn't count
	Memory int64  // bytes to hold in batches, keys and, later, in the merge; of buffers there come about 16 MiB
	Spill  string // limits.spill: local folder
	// Of makes what is sorted of a batch, all of one schema and in the table of
	// the parts; nil: the batch itself. What it returns is released.
	Of func(harrow.Batch) (harrow.Batch, error)
}

// Sorted is rows in the order of a [Key]. It belongs to one goroutine.
type Sorted struct {
	merger *merger
	heap   cursorHeap
	enc    keyEncoder
	begun  bool
	key    []byte
}

// SortedRow is a row with the encoding of its key's Columns: rows have equal
// ones just if they are equal in these, and bytes.Compare orders them.
type SortedRow struct {
	Row
	Key []byte
}

// Sort reads parts of one table and sorts their rows outside of memory. It
// writes nothing but files below Spill, which [Sorted.Close] removes. Reading
// is tried again like a stage does; an error names its file.
func Sort(ctx context.Context, from lakeio.Store, parts []harrow.Part, cfg SortConfig) (sorted *Sorted, err error) {
	if err := cfg.Key.Validate(); err != nil {
		return nil, err
	}
	s := &Sorted{merger: &merger{ctx: ctx, spill: cfg.Spill}}
	defer func() {
		if err != nil {
			sorted, err = nil, errors.Join(err, s.Close())
		}
	}()
	defer recovered("sort by "+fmt.Sprint(cfg.Key.Columns), &err)
	if err := s.merger.makeDir(); err != nil {
		return nil, err
	}
	if err := s.spill(ctx, from, parts, cfg); err != nil {
		return nil, err
	}
	if err := s.merger.reduce(cfg.Memory / 2); err != nil {
		return nil, err
	}
	if err := s.heap.open(ctx, s.merger.runs); err != nil {
		return nil, err
	}
	if len(s.heap.cursors) > 0 {
		s.enc, err = newKeyEncoder(Key{Columns: cfg.Key.Columns}, s.heap.cursors[0].schema)
	}
	return s, err
}

// spill writes the rows as sorted files.
func (s *Sorted) spill(ctx context.Context, from lakeio.Store, parts []harrow.Part, cfg SortConfig) error {
	backoff := Backoff()
	retry := func(ctx context.Context, f func() error) error { return Retry(ctx, backoff, f) }
	buffer := &spiller{
		retry: retry, to: s.merger.local, name: func() string { return uuid.NewString() + ".arrow" },
		key: cfg.Key, shards: 1, limit: min(cfg.Memory/2, maxBuffer),
	}
	defer buffer.reset()
	add := func(part harrow.Part, b harrow.Batch) error {
		if cfg.Of == nil {
			return buffer.add(ctx, part.Table, b)
		}
		of, err := cfg.Of(b)
		if err != nil {
			return fmt.Errorf("%s: %w", part.URI, err)
		}
		defer of.Release()
		return buffer.add(ctx, part.Table, of)
	}
	for _, p := range parts {
		if err := readOn(ctx, from, p, retry, func(b harrow.Batch) error { return add(p, b) }); err != nil {
			return err
		}
	}
	if err := buffer.flush(ctx); err != nil {
		return err
	}
	for _, w := range buffer.out {
		s.merger.runs = append(s.merger.runs, run{s.merger.local, w.Slice})
	}
	return nil
}

// Next returns the next row, valid until the call after it; ok is false after
// the last one.
func (s *Sorted) Next(ctx context.Context) (row SortedRow, ok bool, err error) {
	if s.begun && len(s.heap.cursors) > 0 {
		if err := s.heap.advance(ctx); err != nil {
			return row, false, err
		}
	}
	s.begun = true
	if len(s.heap.cursors) == 0 {
		return row, false, nil
	}
	c := s.heap.cursors[0]
	s.key, _ = s.enc.append(s.key[:0], c.batch.Arrow(), c.row)
	return SortedRow{Row{c.batch, c.row}, s.key}, true, nil
}

// Close removes the files.
func (s *Sorted) Close() error { return errors.Join(s.heap.close(), s.merger.clean()) }
