package gcsio

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"

	"cloud.google.com/go/storage"
	"github.com/google/uuid"

	"github.com/harrowdata/harrow/io/lakeio"
)

const (
	// smallBytes is up to where an object is uploaded in one request, and the
	// least that a chunk may have.
	smallBytes = 256 << 10
	// chunkBytes is a chunk of a larger one.
	chunkBytes = 4 << 20
	// chunksBytes is what the chunks of all writers may take together before
	// the next one's are small.
	chunksBytes = 32 << 20
)

// chunks counts the large chunks in use.
var chunks atomic.Int64

// takeChunk chooses the size of a writer's chunk, to be given back.
func takeChunk() int {
	if chunks.Add(1) <= chunksBytes/chunkBytes {
		return chunkBytes
	}
	chunks.Add(-1)
	return smallBytes
}

func giveChunk(size int) {
	if size == chunkBytes {
		chunks.Add(-1)
	}
}

// Writer implements lakeio.Store.
func (s *store) Writer(ctx context.Context, uri string) (lakeio.Writer, error) {
	o, err := s.handle(uri)
	if err != nil {
		return nil, err
	}
	w := &writer{s: s, uri: uri, o: o}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w, nil
}

// writer gathers what may be a small object; what is larger goes through a
// resumable upload, which becomes an object with its last chunk.
type writer struct {
	s      *store
	uri    string
	o      *storage.ObjectHandle
	ctx    context.Context
	cancel context.CancelFunc
	small  []byte
	large  *storage.Writer
	chunk  int
	nonce  string
	sum    uint32
	done   bool
}

func (w *writer) Write(p []byte) (n int, err error) {
	if w.done {
		return 0, fmt.Errorf("write %s: it is closed", w.s.uri(w.uri))
	}
	if w.large == nil && len(w.small)+len(p) <= smallBytes {
		w.small = append(w.small, p...)
		return len(p), nil
	}
	if w.large == nil {
		w.chunk = takeChunk()
		w.nonce = uuid.NewString()
		w.large = w.s.upload(w.ctx, w.o, w.chunk, w.nonce)
		err = w.send(w.small)
		w.small = nil
	}
	if err == nil {
		err = w.send(p)
	}
	if err != nil {
		return 0, w.s.failed("write", w.uri, err)
	}
	return len(p), nil
}

func (w *writer) send(p []byte) error {
	n, err := w.large.Write(p)
	w.sum = crc32.Update(w.sum, castagnoli, p[:n])
	return err
}

// Close implements lakeio.Writer.
func (w *writer) Close() error {
	if w.done {
		return fmt.Errorf("write %s: closed twice", w.s.uri(w.uri))
	}
	w.done = true
	defer w.cancel()
	if w.large == nil {
		_, err := w.s.put(w.ctx, w.uri, w.small, nil)
		w.small = nil
		return w.s.failed("write", w.uri, err)
	}
	defer giveChunk(w.chunk)
	err := w.large.Close()
	if err != nil {
		_, _, err = w.s.settle(w.ctx, w.uri, w.nonce, nil, err)
	}
	if attrs := w.large.Attrs(); err == nil && attrs != nil && attrs.CRC32C != w.sum {
		err = errors.Join(fmt.Errorf("arrived with CRC-32C %08x, was sent with %08x", attrs.CRC32C, w.sum), w.s.Delete(w.ctx, w.uri))
	}
	return w.s.failed("write", w.uri, err)
}

// Abort implements lakeio.Writer.
func (w *writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.cancel()
	w.small = nil
	if w.large != nil {
		_ = w.large.Close() // waits for the upload's end; its error is that it was cancelled
		giveChunk(w.chunk)
	}
}
