package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

const (
	// sliceBatchBytes bounds a batch of a shuffle file, so that a merge can
	// hold one of each of many slices. A row is never split: one that is
	// larger has a batch of its own.
	sliceBatchBytes = 512 << 10
	// sortColumn is the last column of a shuffle file: the encoded sort key.
	sortColumn    = "_sort"
	shuffleFolder = "shuffle"
)

// Slice is one shard's rows in one shuffle file: its batches from First on,
// sorted by the column _sort, which holds each row's encoded (key, order).
type Slice struct {
	URI     string `json:"uri"` // relative to the workspace
	Table   string `json:"table"`
	First   int    `json:"first"`
	Batches int    `json:"batches"`
	Rows    int64  `json:"rows"`
	Bytes   int64  `json:"bytes"`   // of the batches in memory, together
	Largest int64  `json:"largest"` // of them
}

// Sliced is a slice with its shard.
type Sliced struct {
	Shard int
	Slice Slice
}

// plainSchema is what of a part's schema goes through a shuffle: its columns,
// table and version, not the counters of the file it was read from. It is an
// error when it has a column that shuffles keep for themselves.
func plainSchema(s *arrow.Schema) (*arrow.Schema, error) {
	if s.HasField(sortColumn) {
		return nil, fmt.Errorf("the table has a column %s, which a shuffle needs for itself", sortColumn)
	}
	var keys, values []string
	for i, k := range s.Metadata().Keys() {
		if k != "harrow.counters" {
			keys, values = append(keys, k), append(values, s.Metadata().Values()[i])
		}
	}
	meta := arrow.NewMetadata(keys, values)
	return arrow.NewSchema(s.Fields(), &meta), nil
}

// withSort adds the sort key's column; withoutSort takes it away.
func withSort(s *arrow.Schema) *arrow.Schema {
	fields := append(s.Fields(), arrow.Field{Name: sortColumn, Type: arrow.BinaryTypes.Binary})
	meta := s.Metadata()
	return arrow.NewSchema(fields, &meta)
}

func withoutSort(s *arrow.Schema) *arrow.Schema {
	meta := s.Metadata()
	return arrow.NewSchema(s.Fields()[:s.NumFields()-1], &meta)
}

// runWriter writes rows that come sorted as batches of a shuffle file.
type runWriter struct {
	part   *lakeio.PartWriter
	schema *arrow.Schema // with _sort
	copier *lakeio.RowCopier
	keys   *array.BinaryBuilder
	bytes  int64 // of the keys gathered
	room   int   // for keys, in bytes: what those of the batch before took

	now Slice // what was written since the last call of slice
}

// newRunWriter starts a file for rows of the plain schema. The caller calls
// abort in the end, after close too.
func newRunWriter(ctx context.Context, s lakeio.Store, uri string, plain *arrow.Schema) (*runWriter, error) {
	schema := withSort(plain)
	table, _, err := lakeio.TableOf(schema)
	if err != nil {
		return nil, finalError{err}
	}
	copier, err := lakeio.NewRowCopier(plain)
	if err != nil {
		return nil, finalError{err}
	}
	part, err := lakeio.NewPart(ctx, s, uri, schema, lakeio.LZ4)
	if err != nil {
		copier.Release()
		return nil, err
	}
	return &runWriter{
		part: part, schema: schema, copier: copier, now: Slice{URI: uri, Table: table},
		keys: array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary),
	}, nil
}

// append copies a row that has a weight; columns of the batch beyond the plain
// schema's are passed over.
func (w *runWriter) append(b harrow.Batch, row int, weight int32, key []byte) error {
	if w.keys.Len() == 0 {
		w.keys.ReserveData(w.room)
	}
	w.copier.AppendWeighed(b, row, weight)
	w.keys.Append(key)
	w.bytes += int64(len(key)) + 4
	// An eighth is left for the row that goes over.
	if w.copier.Bytes()+w.bytes >= sliceBatchBytes/8*7 || w.copier.Rows() >= lakeio.BatchRows {
		return w.cut()
	}
	return nil
}

// cut ends the batch.
func (w *runWriter) cut() error {
	if w.copier.Rows() == 0 {
		return nil
	}
	rows := w.copier.Batch()
	defer rows.Release()
	w.room = w.keys.DataLen() + w.keys.DataLen()/8
	keys := w.keys.NewArray()
	defer keys.Release()
	w.bytes = 0
	rec := array.NewRecord(w.schema, append(append([]arrow.Array(nil), rows.Arrow().Columns()...), keys), int64(rows.Rows()))
	defer rec.Release()
	b := harrow.NewBatch(rec)
	if err := w.part.Write(b); err != nil {
		return err
	}
	size := lakeio.BatchSize(b)
	w.now.Batches++
	w.now.Rows += int64(b.Rows())
	w.now.Bytes += size
	w.now.Largest = max(w.now.Largest, size)
	return nil
}

// slice ends the batch and returns what was written since the last call.
func (w *runWriter) slice() (Slice, error) {
	err := w.cut()
	s := w.now
	w.now = Slice{URI: s.URI, Table: s.Table, First: s.First + s.Batches}
	return s, err
}

// close finishes the file.
func (w *runWriter) close() error {
	_, err := w.part.Close()
	return err
}

// abort frees the writer and drops the file unless it was closed.
func (w *runWriter) abort() {
	w.part.Abort()
	w.copier.Release()
	w.keys.Release()
}

// cursor reads a slice row by row.
type cursor struct {
	slice  Slice
	part   *lakeio.PartReader
	schema *arrow.Schema // with _sort
	next   int           // batch to read
	seen   int64

	weigher *lakeio.RowWeigher

	batch   harrow.Batch
	keys    *array.Binary
	weights []int32 // of the batch's rows
	row     int
	key     []byte // of the present row
}

// openCursor opens a slice at its first row; one without rows is an error, as
// is a file that doesn't hold what the slice says.
func openCursor(ctx context.Context, s lakeio.Store, slice Slice) (c *cursor, err error) {
	part, err := lakeio.OpenPart(ctx, s, slice.URI, slice.Table)
	if err != nil {
		return nil, err
	}
	c = &cursor{slice: slice, part: part, schema: part.Schema(), next: slice.First}
	n := c.schema.NumFields()
	switch {
	case n == 0 || c.schema.Field(n-1).Name != sortColumn || c.schema.Field(n-1).Type.ID() != arrow.BINARY:
		err = c.corrupt("its last column is not " + sortColumn)
	case slice.First < 0 || slice.Batches < 1 || slice.First+slice.Batches > part.Batches():
		err = c.corrupt(fmt.Sprintf("batches %d to %d wanted, has %d", slice.First, slice.First+slice.Batches, part.Batches()))
	default:
		if c.weigher, err = lakeio.NewRowWeigher(withoutSort(c.schema)); err != nil {
			err = c.corrupt(err.Error())
		} else {
			err = c.load(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *cursor) corrupt(why string) error {
	return fmt.Errorf("%s: %w: %s", c.slice.URI, lakeio.ErrCorrupt, why)
}

// load reads the next batch; without one, key is nil.
func (c *cursor) load(ctx context.Context) error {
	c.drop()
	if c.next == c.slice.First+c.slice.Batches {
		if c.seen != c.slice.Rows {
			return c.corrupt(fmt.Sprintf("its slice has %d rows, want %d", c.seen, c.slice.Rows))
		}
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := c.part.Batch(c.next)
	if err != nil {
		return err
	}
	c.batch, c.row, c.next, c.seen = b, 0, c.next+1, c.seen+int64(b.Rows())
	c.keys = b.Arrow().Column(c.schema.NumFields() - 1).(*array.Binary)
	if b.Rows() == 0 || c.keys.NullN() > 0 {
		return c.corrupt("a batch has no rows or no sort keys")
	}
	c.weights = c.weigher.Rows(b, c.weights)
	c.key = c.keys.Value(0)
	return nil
}

// weight is that of the present row.
func (c *cursor) weight() int32 { return c.weights[c.row] }

// advance goes to the next row; after the last one key is nil.
func (c *cursor) advance(ctx context.Context) error {
	if c.row++; c.row == c.batch.Rows() {
		return c.load(ctx)
	}
	c.key = c.keys.Value(c.row)
	return nil
}

func (c *cursor) drop() {
	if c.batch.Arrow() != nil {
		c.batch.Release()
	}
	c.batch, c.keys, c.key = harrow.Batch{}, nil, nil
}

func (c *cursor) close() error {
	c.drop()
	return c.part.Close()
}
