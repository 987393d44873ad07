package lakeio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/harrowdata/harrow"
)

// Codec compresses the buffers of a part.
type Codec int

const (
	// Zstd is for what is kept.
	Zstd Codec = iota
	// LZ4 is for what is read back soon: shuffle files.
	LZ4
)

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

// PartWriter writes one part, batch by batch. It belongs to one goroutine.
type PartWriter struct {
	part   harrow.Part
	out    Writer
	file   *fileWriter
	codec  Codec
	failed bool
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
	file, err := newFileWriter(out, schema, codec)
	if err != nil {
		out.Abort()
		return nil, fmt.Errorf("%s: %w", uri, err)
	}
	return &PartWriter{part: harrow.Part{Table: table, URI: uri}, out: out, file: file, codec: codec}, nil
}

// Write appends a batch; the batch stays the caller's. After an error the part
// can only be dropped.
func (w *PartWriter) Write(b harrow.Batch) (err error) {
	if b.Rows() == 0 {
		return nil
	}
	defer w.noted(&err)
	raw := BatchSize(b)
	if raw > math.MaxInt32 {
		return fmt.Errorf("%s: a batch of %d bytes is too large; want at most %d", w.part.URI, raw, BatchBytes)
	}
	if err := w.file.write(b.Arrow()); err != nil {
		return fmt.Errorf("%s: %w", w.part.URI, err)
	}
	w.part.Rows += int64(b.Rows())
	w.part.Raw += raw
	return nil
}

// noted remembers a failure; a panic of arrow's writer becomes one.
func (w *PartWriter) noted(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: Arrow can't write it: %v", w.part.URI, p)
	}
	w.failed = w.failed || *err != nil
}

// Rows is the number of rows written so far.
func (w *PartWriter) Rows() int64 { return w.part.Rows }

// Raw is the size before compression of what was written so far.
func (w *PartWriter) Raw() int64 { return w.part.Raw }

// URI names the part being written.
func (w *PartWriter) URI() string { return w.part.URI }

// Close finishes the part and returns it with its figures. After an error, of
// this or of an earlier call, there is no part.
func (w *PartWriter) Close() (part harrow.Part, err error) {
	defer func() {
		if err != nil {
			part = harrow.Part{}
			w.Abort()
		}
	}()
	defer w.noted(&err)
	if w.failed {
		return part, fmt.Errorf("%s: closed after a write that failed", w.part.URI)
	}
	if err := w.file.close(); err != nil {
		return part, fmt.Errorf("%s: %w", w.part.URI, err)
	}
	if err := w.out.Close(); err != nil {
		return part, err
	}
	w.file.giveBack(w.codec)
	w.part.Bytes = w.file.out.n
	return w.part, nil
}

// Abort drops the part; after Close it does nothing.
func (w *PartWriter) Abort() {
	if !w.failed {
		w.file.giveBack(w.codec)
	}
	w.failed = true
	w.out.Abort()
}

// PartReader reads a part. It belongs to one goroutine.
type PartReader struct {
	in   Reader
	file *fileReader
}

// OpenPart opens a part of the named table; table "" takes any. A file that
// is truncated, damaged, foreign, of another table or of a newer version is
// ErrCorrupt with its name. A read that failed is not: it may be tried again.
func OpenPart(ctx context.Context, s Store, uri, table string) (*PartReader, error) {
	in, err := s.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	file, err := openFile(uri, in)
	if err == nil {
		err = checkTable(file, table)
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return &PartReader{in, file}, nil
}

func checkTable(file *fileReader, want string) error {
	name, _, err := TableOf(file.ipc.Schema())
	if err != nil {
		return file.corrupt("%v", err)
	}
	if want != "" && name != want {
		return file.corrupt("holds table %s, want %s", name, want)
	}
	return nil
}

// Schema is the part's schema.
func (r *PartReader) Schema() *arrow.Schema { return r.file.ipc.Schema() }

// Counters returns what WithCounters put into the part's schema.
func (r *PartReader) Counters() (map[string]int64, error) {
	m := r.Schema().Metadata()
	text, ok := m.GetValue(metaCounters)
	if !ok {
		return nil, nil
	}
	var counters map[string]int64
	if err := json.Unmarshal([]byte(text), &counters); err != nil {
		return nil, r.file.corrupt("counters: %v", err)
	}
	return counters, nil
}

// Batches is the number of batches in the part.
func (r *PartReader) Batches() int { return len(r.file.sections) }

// Batch reads batch i, from 0. The caller releases it. Errors are as those of
// OpenPart.
func (r *PartReader) Batch(i int) (harrow.Batch, error) {
	rec, err := r.file.batch(i)
	if err != nil {
		return harrow.Batch{}, err
	}
	return harrow.NewBatch(rec), nil
}

// Close closes the file.
func (r *PartReader) Close() error { return errors.Join(r.file.close(), r.in.Close()) }

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
