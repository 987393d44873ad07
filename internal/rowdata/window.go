package rowdata

import (
	"io"
)

// window is the piece of a stream that is in memory. It grows to limit bytes.
type window struct {
	src    io.Reader
	buf    []byte
	pos    int   // next byte to look at
	end    int   // of what was read
	keep   int   // where what must stay in memory begins; -1: at pos
	passed int64 // bytes of the stream before buf
	limit  int
	err    error // of src; sticky
}

// firstBuffer is what a window begins with.
const firstBuffer = 64 << 10

func newWindow(src io.Reader, limit int) *window {
	// A row of just the limit has a line end of up to two bytes behind it.
	return &window{src: src, keep: -1, limit: limit + 2}
}

// bytes is what is there from pos on.
func (w *window) bytes() []byte { return w.buf[w.pos:w.end] }

// offset is pos in the stream.
func (w *window) offset() int64 { return w.passed + int64(w.pos) }

// from is where what must stay begins.
func (w *window) from() int {
	if w.keep >= 0 {
		return w.keep
	}
	return w.pos
}

// full reports whether what must stay is as long as the limit.
func (w *window) full() bool { return w.end-w.from() >= w.limit }

// ended reports whether nothing follows what is in memory.
func (w *window) ended() bool { return w.err != nil }

// more reads more of the stream; false: it has ended, or the window is full.
func (w *window) more() bool {
	if w.err != nil || w.full() {
		return false
	}
	if w.end == len(w.buf) {
		w.room()
	}
	for range 100 {
		n, err := w.src.Read(w.buf[w.end:])
		w.end += n
		if err != nil {
			w.err = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	w.err = io.ErrNoProgress
	return false
}

// room makes room behind end: by moving what must stay to the front if that is
// at most half of the buffer, else in a larger one.
func (w *window) room() {
	from := w.from()
	to := w.buf
	if held := w.end - from; held > len(w.buf)/2 || len(w.buf) == 0 {
		to = make([]byte, min(max(2*len(w.buf), firstBuffer), max(w.limit, len(w.buf))))
		if len(to) == len(w.buf) {
			to = w.buf // as large as it gets, and not full: from > 0
		}
	}
	copy(to, w.buf[from:w.end])
	w.buf = to
	w.passed += int64(from)
	w.pos -= from
	w.end -= from
	if w.keep >= 0 {
		w.keep = 0
	}
}
