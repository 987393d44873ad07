package httpfetch

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"math/bits"
	"sync"

	"github.com/harrowdata/harrow/internal/memory"
)

// buffers are the pools of a client.
type buffers struct {
	classes []sync.Pool // of *[]byte, of minBuffer, twice that, … MemoryBody
	hashes  sync.Pool
	coders  map[string]*sync.Pool // of coder, by coding
	wide    chan struct{}         // has an element for each wide decoder that runs
	readers sync.Pool             // of *bufio.Reader
	copies  sync.Pool             // of *[]byte, copyBuffer long
}

const copyBuffer = 32 << 10

func newBuffers(largest int64) *buffers {
	b := &buffers{classes: make([]sync.Pool, class(largest)+1)}
	for i := range b.classes {
		b.classes[i].New = func() any { s := make([]byte, minBuffer<<i); return &s }
	}
	b.hashes.New = func() any { return sha256.New() }
	b.coders = map[string]*sync.Pool{
		"gzip":    {New: func() any { return new(gzipCoder) }},
		"deflate": {New: func() any { return new(deflateCoder) }},
		"br":      {New: func() any { return new(brotliCoder) }},
		"zstd":    {New: func() any { return newZstdCoder() }},
	}
	b.wide = make(chan struct{}, wideDecoders)
	b.readers.New = func() any { return bufio.NewReaderSize(nil, 16<<10) }
	b.copies.New = func() any { s := make([]byte, copyBuffer); return &s }
	return b
}

// class is the number of the least class that holds n bytes.
func class(n int64) int { return bits.Len64(uint64(max(n-1, 0)) / minBuffer) }

// classSize is the size of the buffer that get returns.
func classSize(n int64) int64 { return minBuffer << class(n) }

// get returns a buffer for n bytes; it is as long as its class.
func (b *buffers) get(n int64) *[]byte { return b.classes[class(n)].Get().(*[]byte) }

func (b *buffers) put(s *[]byte) { b.classes[class(int64(len(*s)))].Put(s) }

func (b *buffers) hash() hash.Hash {
	h := b.hashes.Get().(hash.Hash)
	h.Reset()
	return h
}

// Reservation is memory for one body, taken before the exchange starts. It
// belongs to one exchange and is not safe for use by several goroutines.
type Reservation struct {
	share *memory.Share
	held  int64
}

// Reserve takes the memory of one body from the share and waits for it until
// ctx ends. Take it before the politeness slot: an exchange that has started
// never waits for memory. It is given back by [Client.Do] and the body's
// Close, or by Release if there was no exchange.
func (c *Client) Reserve(ctx context.Context) (*Reservation, error) {
	if err := c.bodies.Acquire(ctx, c.config.MemoryBody); err != nil {
		return nil, fmt.Errorf("httpfetch: %w", err)
	}
	return &Reservation{c.bodies, c.config.MemoryBody}, nil
}

// TryReserve is Reserve without waiting; ok is false when the share is spent.
func (c *Client) TryReserve() (r *Reservation, ok bool) {
	if !c.bodies.TryAcquire(c.config.MemoryBody) {
		return nil, false
	}
	return &Reservation{c.bodies, c.config.MemoryBody}, true
}

// Release gives back what the reservation still holds. After Do it holds
// nothing: releasing it again, or a nil one, does nothing.
func (r *Reservation) Release() {
	if r != nil {
		r.shrink(0)
	}
}

// shrink gives back what is held over n bytes.
func (r *Reservation) shrink(n int64) {
	if r.held > n {
		r.share.Release(r.held - n)
		r.held = n
	}
}

// take moves what is held into a reservation of the body's own.
func (r *Reservation) take() Reservation {
	own := *r
	r.held = 0
	return own
}
