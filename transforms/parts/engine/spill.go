package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// maxBuffer bounds a sort buffer: more brings nothing.
const maxBuffer = 256 << 20

// Spill returns the tasks that write the rows of the parts as slices, sorted
// within each. There are as many as can work at once, and each goes on with
// the next part when it is done with one, so that many small parts don't make
// many small files.
//
// With a step, each part's batches go through its operator first, and what
// that emits is shuffled instead. It can't reject: a row it doesn't want it
// leaves out.
//
// A task keeps input batches and an index over their rows until they take
// half of its part of the shuffle's memory; the other half is for the batch
// being written, buffers of lz4 and what the garbage collector has not found.
func (w *Worker) Spill(key Key, step Step, parts []harrow.Part) []Task[Sliced] {
	parts = slices.Clone(parts)
	for _, p := range parts {
		w.done.Expect(1, p.Rows)
	}
	// By table, since a file holds rows of one.
	slices.SortFunc(parts, func(a, b harrow.Part) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.URI, b.URI))
	})
	tasks := make([]Task[Sliced], min(len(parts), w.shuffleTasks(len(parts))))
	var next atomic.Int64
	for i := range tasks {
		tasks[i] = func(ctx context.Context) ([]Sliced, error) {
			return w.spill(ctx, key, step, len(tasks), func() (harrow.Part, bool) {
				i := int(next.Add(1)) - 1
				if i >= len(parts) {
					return harrow.Part{}, false
				}
				return parts[i], true
			})
		}
	}
	return tasks
}

func (w *Worker) spill(ctx context.Context, key Key, step Step, tasks int, next func() (harrow.Part, bool)) (out []Sliced, err error) {
	defer recovered("shuffle by "+fmt.Sprint(key.Columns), &err)
	if err := key.Validate(); err != nil {
		return nil, finalError{err}
	}
	held, release, err := w.takeShuffle(ctx, tasks)
	if err != nil {
		return nil, err
	}
	defer release()
	s := &spiller{
		retry: w.retry, to: w.lake.Store, name: func() string { return w.uri(shuffleFolder, uuid.NewString()) },
		key: key, shards: max(1, cmp.Or(key.Shards, w.env.Shards)), limit: min(held/2, maxBuffer),
	}
	defer s.reset()
	for part, ok := next(); ok; part, ok = next() {
		piece := w.done.Begin()
		err := w.spillPart(ctx, s, step, part, func(b harrow.Batch) { piece.Rows(ctx, b.Rows()) })
		piece.End(ctx, err)
		if err != nil {
			if err = w.late(ctx, err); err == nil {
				return nil, nil
			}
			return nil, fmt.Errorf("part %s: %w", part.URI, err)
		}
	}
	if err := s.flush(ctx); err != nil {
		return nil, err
	}
	return s.out, nil
}

// spillPart adds the rows of a part, or what the step's operator makes of
// them; seen is told of each batch.
func (w *Worker) spillPart(ctx context.Context, s *spiller, step Step, part harrow.Part, seen func(harrow.Batch)) error {
	if step.Operator == "" {
		return w.eachBatch(ctx, part, func(b harrow.Batch) error { seen(b); return s.add(ctx, part.Table, b) })
	}
	op, err := step.operator()
	if err != nil {
		return err
	}
	out := spillOutput{ctx, s}
	err = w.eachBatch(ctx, part, func(b harrow.Batch) error { seen(b); return op.Process(ctx, b, out) })
	if err == nil {
		err = op.Finish(ctx, out)
	}
	if err != nil {
		return fmt.Errorf("operator %s: %w", step.Operator, err)
	}
	return nil
}

// spillOutput is the output of an operator before a shuffle.
type spillOutput struct {
	ctx context.Context
	s   *spiller
}

// Emit implements harrow.Output.
func (o spillOutput) Emit(table string, b harrow.Batch) error {
	if b.Rows() == 0 {
		return nil
	}
	return o.s.add(o.ctx, table, b)
}

// Reject implements harrow.Output.
func (o spillOutput) Reject(r harrow.Reject) error {
	return finalError{fmt.Errorf("a reject (%s: %s) before a shuffle, where nobody takes it", r.Code, r.Reason)}
}

// eachBatch hands out the batches of a part, with the worker's backoff.
func (w *Worker) eachBatch(ctx context.Context, part harrow.Part, fn func(harrow.Batch) error) error {
	return readOn(ctx, w.lake.Store, part, w.retry, fn)
}

// readOn hands out the batches of a part. Where reading fails it opens the
// part again and goes on at that batch; an error of fn is final.
func readOn(ctx context.Context, store lakeio.Store, part harrow.Part, retry retryFunc, fn func(harrow.Batch) error) error {
	next, rows := 0, int64(0)
	return retry(ctx, func() (err error) {
		r, err := lakeio.OpenPart(ctx, store, part.URI, part.Table)
		if err != nil {
			return err
		}
		defer func() {
			if e := r.Close(); err == nil {
				err = e
			}
		}()
		for ; next < r.Batches(); next++ {
			b, err := r.Batch(next)
			if err != nil {
				return err
			}
			rows += int64(b.Rows())
			err = fn(b)
			b.Release()
			if err != nil {
				return finalError{err}
			}
		}
		if rows != part.Rows {
			return fmt.Errorf("%s: %w: has %d rows, want %d", part.URI, lakeio.ErrCorrupt, rows, part.Rows)
		}
		return nil
	})
}

// entry is one row of the sort buffer, 32 bytes without a pointer.
type entry struct {
	prefix uint64 // first bytes of the sort key: most comparisons end here
	shard  uint32
	batch  uint32
	row    uint32
	chunk  uint32 // where the arena has the sort key
	from   uint32
	size   uint32
}

// spiller sorts rows in memory and writes them when its memory is spent.
type spiller struct {
	retry  retryFunc
	to     lakeio.Store
	name   func() string // of a new file
	key    Key
	shards int
	limit  int64 // bytes of batches, arena and index

	table  string
	schema *arrow.Schema // of the rows being gathered
	enc    keyEncoder
	rows   *rowComparer

	weigher *lakeio.RowWeigher
	batches []harrow.Batch
	weights [][]int32 // of the rows of batches
	bytes   int64     // of batches and weights
	keys    arena
	index   []entry
	scratch []byte
	out     []Sliced
}

// add keeps a batch; it spills first when there is no room for it.
func (s *spiller) add(ctx context.Context, table string, b harrow.Batch) error {
	size := lakeio.BatchSize(b) + 4*int64(b.Rows())
	if s.schema == nil || s.table != table || !s.schema.Equal(b.Arrow().Schema()) {
		if err := s.start(ctx, table, b.Arrow().Schema()); err != nil {
			return err
		}
	} else if s.used()+size > s.limit {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	b.Retain()
	s.batches, s.bytes = append(s.batches, b), s.bytes+size
	s.weights = append(s.weights, s.weigher.Rows(b, nil))
	for row := range b.Rows() {
		n := 0
		s.scratch, n = s.enc.append(s.scratch[:0], b.Arrow(), row)
		e := entry{
			prefix: prefix(s.scratch), shard: uint32(shardOf(s.scratch[:n], s.shards)),
			batch: uint32(len(s.batches) - 1), row: uint32(row), size: uint32(len(s.scratch)),
		}
		e.chunk, e.from = s.keys.put(s.scratch)
		s.index = append(s.index, e)
	}
	if s.used() > s.limit {
		return s.flush(ctx)
	}
	return nil
}

func (s *spiller) used() int64 { return s.bytes + s.keys.bytes() + int64(cap(s.index))*32 }

// start spills what is there and gets ready for rows of another schema.
func (s *spiller) start(ctx context.Context, table string, schema *arrow.Schema) (err error) {
	if err := s.flush(ctx); err != nil {
		return err
	}
	if s.schema, err = plainSchema(schema); err != nil {
		return err
	}
	if s.rows, err = newRowComparer(s.schema); err != nil {
		return err
	}
	if s.weigher, err = lakeio.NewRowWeigher(s.schema); err != nil {
		return finalError{err}
	}
	s.table = table
	s.enc, err = newKeyEncoder(s.key, s.schema)
	return err
}

// flush sorts what is there by (shard, key, order, row) and writes it as one
// file.
func (s *spiller) flush(ctx context.Context) error {
	if len(s.index) == 0 {
		s.reset()
		return nil
	}
	slices.SortFunc(s.index, func(a, b entry) int {
		if c := cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.prefix, b.prefix)); c != 0 {
			return c
		}
		if c := bytes.Compare(s.keys.get(a), s.keys.get(b)); c != 0 {
			return c
		}
		return s.rows.compare(s.batches[a.batch], int(a.row), s.batches[b.batch], int(b.row))
	})
	err := s.retry(ctx, func() error {
		written, err := s.write(ctx)
		if err == nil {
			s.out = append(s.out, written...)
		}
		return err
	})
	s.reset()
	return err
}

// reset forgets the rows and keeps the index and some of the arena.
func (s *spiller) reset() {
	for _, b := range s.batches {
		b.Release()
	}
	clear(s.batches)
	clear(s.weights)
	s.batches, s.weights, s.bytes, s.index = s.batches[:0], s.weights[:0], 0, s.index[:0]
	s.keys.reset(s.limit / 4)
}

// write writes the sorted rows.
func (s *spiller) write(ctx context.Context) (out []Sliced, err error) {
	f, err := newRunWriter(ctx, s.to, s.name(), s.schema)
	if err != nil {
		return nil, err
	}
	defer f.abort()
	for i, e := range s.index {
		if err := f.append(s.batches[e.batch], int(e.row), s.weights[e.batch][e.row], s.keys.get(e)); err != nil {
			return nil, err
		}
		if i+1 == len(s.index) || s.index[i+1].shard != e.shard {
			slice, err := f.slice()
			if err != nil {
				return nil, err
			}
			out = append(out, Sliced{int(e.shard), slice})
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
	return out, f.close()
}

// prefix is the first eight bytes of a key as a number that orders like them.
func prefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// arena holds sort keys in chunks, so that growing copies nothing and the
// garbage collector sees few objects.
type arena struct {
	chunks [][]byte
	at     int // chunk being filled
}

const chunkBytes = 256 << 10

func (a *arena) put(key []byte) (chunk, from uint32) {
	for a.at < len(a.chunks) && cap(a.chunks[a.at])-len(a.chunks[a.at]) < len(key) {
		a.at++
	}
	if a.at == len(a.chunks) {
		a.chunks = append(a.chunks, make([]byte, 0, max(chunkBytes, len(key))))
	}
	from = uint32(len(a.chunks[a.at]))
	a.chunks[a.at] = append(a.chunks[a.at], key...)
	return uint32(a.at), from
}

func (a *arena) get(e entry) []byte { return a.chunks[e.chunk][e.from : e.from+e.size] }

// bytes is what the chunks take that hold keys.
func (a *arena) bytes() (n int64) {
	for _, c := range a.chunks[:min(a.at+1, len(a.chunks))] {
		n += int64(cap(c))
	}
	return n
}

// reset empties the arena and keeps chunks of at most keep bytes.
func (a *arena) reset(keep int64) {
	a.at = 0
	for i, c := range a.chunks {
		if keep -= int64(cap(c)); keep < 0 {
			clear(a.chunks[i:])
			a.chunks = a.chunks[:i]
			return
		}
		a.chunks[i] = c[:0]
	}
}
