package lakeio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
)

// PartWriter writes one part, batch by batch. It belongs to one goroutine.
type PartWriter struct {
	part  harrow.Part
	out   Writer
	pos   *position
	ipc   *ipc.FileWriter
	codec Codec
}

// Codec compresses the buffers of a part.
type Codec int

const (
	// Zstd is for what is kept.
	Zstd Codec = iota
	// LZ4 is for what is read back soon: shuffle files.
	LZ4
)

// position counts what is written: arrow's writer asks for a Seeker, but only
// ever asks it where it is.
type position struct {
	w io.Writer
	n int64
}

func (p *position) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.n += int64(n)
	return n, err
}

func (p *position) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.New("seek in a part being written")
	}
	return p.n, nil
}

// WithCounters returns the schema with counters in its metadata: what a roll
// counted must survive the death of its owner with the roll.
func WithCounters(s *arrow.Schema, counters map[string]int64) *arrow.Schema {
	if len(counters) == 0 {
		return s
	}
	data, err := json.Marshal(counters)
	if err != nil {
		panic(err) // a map of numbers
	}
	m := s.Metadata()
	meta := arrow.NewMetadata(append(slices.Clone(m.Keys()), metaCounters), append(slices.Clone(m.Values()), string(data)))
	return arrow.NewSchema(s.Fields(), &meta)
}

// Counters returns what WithCounters put into the part's schema.
func (r *PartReader) Counters() (map[string]int64, error) {
	m := r.Schema().Metadata()
	text, ok := m.GetValue(metaCounters)
	if !ok {
		return nil, nil
	}
	var counters map[string]int64
	if err := json.Unmarshal([]byte(text), &counters); err != nil {
		return nil, fmt.Errorf("%s: %w: counters: %v", r.uri, ErrCorrupt, err)
	}
	return counters, nil
}

// NewPart starts a part at uri. Its table's name comes from the schema.
func NewPart(ctx context.Context, s Store, uri string, schema *arrow.Schema, codec Codec) (*PartWriter, error) {
	table, _, err := TableOf(schema)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", uri, err)
	}
	out, err := s.Writer(ctx, uri)
	if err != nil {
		return nil, err
	}
	pos := &position{w: out}
	option := ipc.WithZstd()
	if codec == LZ4 {
		option = ipc.WithLZ4()
	}
	w, err := ipc.NewFileWriter(pos, ipc.WithSchema(schema), option)
	if err != nil {
		out.Abort()
		return nil, fmt.Errorf("%s: %w", uri, err)
	}
	if codec == Zstd {
		lendEncoder(w)
	}
	return &PartWriter{part: harrow.Part{Table: table, URI: uri}, out: out, pos: pos, ipc: w, codec: codec}, nil
}

// Write appends a batch; the batch stays the caller's.
func (w *PartWriter) Write(b harrow.Batch) (err error) {
	defer recovered(w.part.URI, &err)
	if b.Rows() == 0 {
		return nil
	}
	raw := BatchSize(b)
	if raw > math.MaxInt32 {
		return fmt.Errorf("%s: a batch of %d bytes is too large; want at most %d", w.part.URI, raw, BatchBytes)
	}
	if err := w.ipc.Write(b.Arrow()); err != nil {
		return fmt.Errorf("%s: %w", w.part.URI, err)
	}
	w.part.Rows += int64(b.Rows())
	w.part.Raw += raw
	return nil
}

// Rows is the number of rows written so far.
func (w *PartWriter) Rows() int64 { return w.part.Rows }

// Raw is the size before compression of what was written so far.
func (w *PartWriter) Raw() int64 { return w.part.Raw }

// URI names the part being written.
func (w *PartWriter) URI() string { return w.part.URI }

// Close finishes the part and returns it with its figures.
func (w *PartWriter) Close() (part harrow.Part, err error) {
	defer recovered(w.part.URI, &err)
	if err := w.ipc.Close(); err != nil {
		w.out.Abort()
		return harrow.Part{}, fmt.Errorf("%s: %w", w.part.URI, err)
	}
	if w.codec == Zstd {
		returnEncoder(w.ipc)
	}
	if err := w.out.Close(); err != nil {
		return harrow.Part{}, err
	}
	w.part.Bytes = w.pos.n
	return w.part, nil
}

// Abort drops the part.
func (w *PartWriter) Abort() { w.out.Abort() }

// recovered turns a panic of arrow's reader or writer into an error that
// names the file: v17 panics on damaged data.
func recovered(uri string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: %w: %v", uri, ErrCorrupt, p)
	}
}

// maxBuffer bounds what a damaged file may make a reader allocate at once.
const maxBuffer = 1 << 30

// bounded refuses to allocate what no file of ours can need.
type bounded struct{ memory.Allocator }

func (a bounded) Allocate(n int) []byte {
	a.check(n)
	return a.Allocator.Allocate(n)
}

func (a bounded) Reallocate(n int, b []byte) []byte {
	a.check(n)
	return a.Allocator.Reallocate(n, b)
}

func (bounded) check(n int) {
	if n < 0 || n > maxBuffer {
		panic(fmt.Sprintf("a buffer claims %d bytes", n))
	}
}

// PartReader reads a part. It belongs to one goroutine.
type PartReader struct {
	uri     string
	in      Reader
	ipc     *ipc.FileReader
	version int
}

// OpenPart opens a part of the named table; table "" takes any. A file that
// is truncated, damaged, foreign or of another table is ErrCorrupt with its
// name.
func OpenPart(ctx context.Context, s Store, uri, table string) (r *PartReader, err error) {
	in, err := s.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r, err = nil, errors.Join(err, in.Close())
		}
	}()
	defer recovered(uri, &err)
	f, err := ipc.NewFileReader(in, ipc.WithAllocator(bounded{memory.DefaultAllocator}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: want an Arrow IPC file with its footer: %v", uri, ErrCorrupt, err)
	}
	name, version, err := TableOf(f.Schema())
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %v", uri, ErrCorrupt, err)
	}
	if table != "" && name != table {
		return nil, fmt.Errorf("%s: %w: holds table %s, want %s", uri, ErrCorrupt, name, table)
	}
	return &PartReader{uri, in, f, version}, nil
}

// Schema is the part's schema.
func (r *PartReader) Schema() *arrow.Schema { return r.ipc.Schema() }

// Batches is the number of batches in the part.
func (r *PartReader) Batches() int { return r.ipc.NumRecords() }

// Batch reads batch i, from 0. The caller releases it.
func (r *PartReader) Batch(i int) (b harrow.Batch, err error) {
	defer recovered(r.uri, &err)
	rec, err := r.ipc.RecordAt(i)
	if err != nil {
		return harrow.Batch{}, fmt.Errorf("%s: %w: batch %d: %v", r.uri, ErrCorrupt, i, err)
	}
	return harrow.NewBatch(rec), nil
}

// Close closes the file.
func (r *PartReader) Close() error { return errors.Join(r.ipc.Close(), r.in.Close()) }

// ReadBatches yields the batches of a part in order; each is released after
// the loop's body. An error ends it.
func ReadBatches(ctx context.Context, s Store, part harrow.Part) iter.Seq2[harrow.Batch, error] {
	return func(yield func(harrow.Batch, error) bool) {
		r, err := OpenPart(ctx, s, part.URI, part.Table)
		if err != nil {
			yield(harrow.Batch{}, err)
			return
		}
		rows := int64(0)
		for i := range r.Batches() {
			b, err := r.Batch(i)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(harrow.Batch{}, errors.Join(err, r.Close()))
				return
			}
			rows += int64(b.Rows())
			more := yield(b, nil)
			b.Release()
			if !more {
				_ = r.Close() // the caller stopped; nothing was written
				return
			}
		}
		err = r.Close()
		if err == nil && rows != part.Rows {
			err = fmt.Errorf("%s: %w: has %d rows, want %d", part.URI, ErrCorrupt, rows, part.Rows)
		}
		if err != nil {
			yield(harrow.Batch{}, err)
		}
	}
}

// ReadRows yields the rows of a part in order. Byte slices of a row are valid
// until the next one. An error ends it.
func ReadRows[R any](ctx context.Context, s Store, t *Table[R], part harrow.Part) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for b, err := range ReadBatches(ctx, s, part) {
			if err != nil {
				var zero R
				yield(zero, err)
				return
			}
			for _, r := range t.Rows(b) {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}
