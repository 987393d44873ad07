package parse

import (
	"errors"
	"io"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// bodyReader streams a body over limits.document, one row of at most 4 MiB at
// a time. It keeps a copy of its row, so several readers may take turns.
type bodyReader struct {
	capture harrow.Capture
	beside  engine.Beside
	row     int64 // next one of the body, from 0
	memory  []byte
	left    []byte // of memory, not read yet
	err     error
	broken  *error // where a fault of the workspace goes, beside Read's result: an extractor's error is only a reject
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 && r.err == nil {
		r.fill()
	}
	if len(r.left) == 0 {
		return 0, r.err
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// fill reads the next row.
func (r *bodyReader) fill() {
	if r.row == r.capture.BodyRows {
		r.err = io.EOF
		return
	}
	at := r.capture.BodyRow + r.row
	r.err = missing(r.capture, at)
	for row, err := range r.beside.Rows(r.capture.BodyPart, at, 1) {
		var b []byte
		if err == nil {
			b, err = chunk(row, r.capture)
		}
		if r.err = err; err != nil {
			break
		}
		r.memory = append(r.memory[:0], b...)
		r.left = r.memory
	}
	r.row++
	if r.err != nil {
		*r.broken = r.err
	}
}

// Close implements io.Closer.
func (r *bodyReader) Close() error {
	r.left, r.memory, r.err = nil, nil, errors.New("read of a closed body")
	return nil
}
