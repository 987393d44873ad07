package pgio

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/harrowdata/harrow"
)

// copyHeader begins a binary COPY; copyEnd ends it.
var (
	copyHeader = append([]byte("PGCOPY\n\xff\r\n\x00"), 0, 0, 0, 0, 0, 0, 0, 0)
	copyEnd    = []byte{0xff, 0xff}
)

// rowSource is a shard's rows as COPY reads them, encoded batch by batch. Rows
// that can't be stored are left out and kept as rejects; when those are many
// the copy ends, in the middle of a batch too, to go on in another one.
type rowSource struct {
	mu     sync.Mutex // the driver may still read when it has given up
	closed bool
	next   func() (harrow.Batch, error, bool)
	stop   func()
	encode func(dst []byte, b harrow.Batch, from int) (_ []byte, next int, err error)
	full   func() bool // the rejects have to be written first
	batch  harrow.Batch
	row    int // of the batch, the next one
	buf    []byte
	rest   []byte // of buf, not yet read
	begun  bool   // of this copy
	done   bool   // no batch is left
	ended  bool   // this copy's end was handed out
	err    error  // of the input, or of a batch
}

func newRowSource(batches iter.Seq2[harrow.Batch, error]) *rowSource {
	r := &rowSource{}
	r.next, r.stop = iter.Pull2(batches)
	return r
}

// Read implements io.Reader.
func (r *rowSource) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.rest) == 0 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *rowSource) fill() (err error) {
	switch {
	case r.closed:
		return errors.New("the copy is over")
	case r.err != nil:
		return r.err
	case r.ended:
		return io.EOF
	}
	r.buf = r.buf[:0]
	if !r.begun {
		r.begun = true
		r.buf = append(r.buf, copyHeader...)
	}
	if !r.full() && r.more() {
		r.buf, r.row, r.err = r.encode(r.buf, r.batch, r.row)
	}
	if r.err == nil && (r.done || r.full()) {
		r.ended = true
		r.buf = append(r.buf, copyEnd...)
	}
	r.rest = r.buf
	return r.err
}

// more reports whether there is a batch with rows to be encoded, or an error.
func (r *rowSource) more() bool {
	for r.row >= r.batch.Rows() && !r.done && r.err == nil {
		b, err, ok := r.next()
		r.batch, r.row, r.err, r.done = b, 0, err, !ok
	}
	if r.done || r.err != nil {
		r.batch = harrow.Batch{}
	}
	return r.err == nil && !r.done
}

// again begins another copy of what is left.
func (r *rowSource) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun, r.ended = false, false
}

func (r *rowSource) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.stop()
	}
}

// copyRows brings the shard's rows into the temporary table.
func (l *loader) copyRows(ctx context.Context, c session) error {
	r := newRowSource(l.shard.Batches())
	defer r.close()
	r.encode = func(dst []byte, b harrow.Batch, from int) ([]byte, int, error) {
		if err := ctx.Err(); err != nil {
			return dst, from, err
		}
		return l.encode(dst, b, from)
	}
	r.full = l.refused.full
	names := make([]string, len(l.columns))
	for i := range l.columns {
		names[i] = column(i)
	}
	query := "COPY " + rowsTable + " (n, " + strings.Join(names, ", ") + ") FROM STDIN (FORMAT binary)"
	for !r.done {
		r.again()
		tag, err := c.conn.PgConn().CopyFrom(ctx, r, query)
		if err != nil {
			r.close() // the driver may still be reading
		}
		if r.err != nil {
			return final{r.err}
		}
		if err != nil {
			return err
		}
		l.copied += tag.RowsAffected()
		if err := l.refused.flush(ctx, c, l.shard); err != nil {
			return err
		}
	}
	return nil
}

// encode appends a batch's rows from one on, until the rejects are too many,
// and returns which is next.
func (l *loader) encode(dst []byte, b harrow.Batch, from int) (_ []byte, next int, err error) {
	arrays, err := l.arraysOf(b)
	if err != nil {
		return dst, from, err
	}
	row := from
	for ; row < b.Rows() && !l.refused.full(); row++ {
		at := len(dst)
		dst = binary.BigEndian.AppendUint16(dst, uint16(1+len(arrays)))
		dst = append64(dst, uint64(l.read))
		why := l.nullKey(arrays, row)
		for i := 0; i < len(arrays) && why == nil; i++ {
			if a := arrays[i]; a == nil || a.IsNull(row) {
				dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			} else if dst, err = l.append[i](dst, a, row); err != nil {
				why = &harrow.Reject{Code: refused, Field: l.columns[i].Name, Reason: "column " + l.columns[i].Name + ": " + err.Error()}
			}
		}
		if why != nil {
			dst = dst[:at]
			l.refused.add(l.read, l.reject(b, row, *why))
		} else {
			l.order.see(arrays[l.data:l.data+l.keys], row)
		}
		l.read++
	}
	return dst, row, nil
}
