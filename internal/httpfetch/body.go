package httpfetch

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Body is a payload after content-decoding: its beginning in memory, the rest
// in a file that is already unlinked. It is safe for use by several
// goroutines. Whoever has it closes it: until then it holds memory of the
// share of bodies.
type Body struct {
	mem     []byte // what is in memory; part of *buffer
	file    *os.File
	size    int64
	digest  [32]byte
	buffers *buffers

	mu     sync.Mutex
	users  int // readers that are open, and one for the owner
	closed bool
	buffer *[]byte
	memory Reservation
}

// Len is the length of the payload in bytes.
func (b *Body) Len() int64 { return b.size }

// Digest is the SHA-256 of the payload, 64 hexadecimal digits.
func (b *Body) Digest() string { return hex.EncodeToString(b.digest[:]) }

// Bytes returns the payload if all of it is in memory. The bytes are the
// body's own: not to be changed, and gone with Close.
func (b *Body) Bytes() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.file != nil {
		return nil, false
	}
	return b.mem, true
}

// Open reads the payload from its first byte, as often as it is called. The
// caller closes what it opened; memory and file stay until the body and every
// reader are closed.
func (b *Body) Open() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return &bodyReader{} // reads os.ErrClosed
	}
	b.users++
	return &bodyReader{body: b}
}

// Close gives the memory back to the share, once no reader is open any more.
// Closing twice is fine.
func (b *Body) Close() error {
	b.mu.Lock()
	closed := b.closed
	b.closed = true
	b.mu.Unlock()
	if closed {
		return nil
	}
	return b.release()
}

// release ends one use; the last one frees what the body holds.
func (b *Body) release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users--; b.users > 0 {
		return nil
	}
	if b.buffer != nil {
		b.buffers.put(b.buffer)
		b.buffer, b.mem = nil, nil
	}
	b.memory.Release()
	if b.file == nil {
		return nil
	}
	if err := b.file.Close(); err != nil {
		return fmt.Errorf("body: closing its spill file: %w", err)
	}
	return nil
}

type bodyReader struct {
	body *Body // nil when closed
	at   int64
}

func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.body
	switch {
	case b == nil:
		return 0, fmt.Errorf("body: %w", os.ErrClosed)
	case len(p) == 0:
		return 0, nil
	case r.at >= b.size:
		return 0, io.EOF
	case r.at < int64(len(b.mem)):
		n := copy(p, b.mem[r.at:])
		r.at += int64(n)
		return n, nil
	}
	p = p[:min(int64(len(p)), b.size-r.at)]
	n, err := b.file.ReadAt(p, r.at-int64(len(b.mem)))
	r.at += int64(n)
	if n < len(p) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return n, fmt.Errorf("body: reading its spill file: %w", err)
	}
	return n, nil
}

func (r *bodyReader) Close() error {
	b := r.body
	if b == nil {
		return nil
	}
	r.body = nil
	return b.release()
}
