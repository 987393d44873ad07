package gcsio

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"sync"
	"time"

	"cloud.google.com/go/storage"

	"github.com/harrowdata/harrow/io/lakeio"
)

const (
	// tailBytes is what Open asks for: the end, where an Arrow file says what
	// is in it, or all of a small one.
	tailBytes = 64 << 10
	// firstWindow is the least that a request for a range asks for, and what
	// is rather skipped than asked for anew.
	firstWindow = 256 << 10
	// lastWindow is the most: reading on doubles it.
	lastWindow = 64 << 20
	// readAttempts is how often a read that got stuck is tried.
	readAttempts = 3
)

// reader reads one generation of an object. It keeps the object's tail; the
// rest comes through a range that is read on as long as reads follow each
// other. A range is asked for in windows, the first as large as the read, each
// that follows twice the one before: a batch here and there costs a request
// and hardly more than its bytes, a whole file one request and then a few.
type reader struct {
	s      *store
	uri    string
	o      *storage.ObjectHandle // of the generation
	ctx    context.Context
	cancel context.CancelFunc
	size   int64
	tail   []byte
	want   uint32 // checksum of all; 0: not known

	mu     sync.Mutex
	in     *storage.Reader // nil: none
	stop   context.CancelFunc
	at     int64 // offset of in
	end    int64 // of in's window
	window int64
	sum    uint32
	summed int64 // bytes from the first on that sum is of
	seek   int64 // for Read
}

// Open implements lakeio.Store.
func (s *store) Open(ctx context.Context, uri string) (lakeio.Reader, error) {
	o, err := s.handle(uri)
	if err != nil {
		return nil, err
	}
	first, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	r := &reader{s: s, uri: uri}
	for range readAttempts {
		in, err := o.NewRangeReader(first, -tailBytes, -1)
		if code(err) == http.StatusRequestedRangeNotSatisfiable {
			return s.openEmpty(ctx, uri, o)
		}
		if err != nil {
			return nil, s.failed("open", uri, err)
		}
		r.tail, err = io.ReadAll(in)
		if err = errors.Join(err, in.Close()); err != nil {
			return nil, s.failed("open", uri, err)
		}
		r.o, r.size, r.want = o.Generation(in.Attrs.Generation), in.Attrs.Size, in.Attrs.CRC32C
		// Where an answer breaks off, the client asks for the end of a small
		// object once more, from its first byte.
		if int64(len(r.tail)) == min(r.size, tailBytes) {
			break
		}
	}
	if int64(len(r.tail)) != min(r.size, tailBytes) {
		return nil, fmt.Errorf("open %s: got %d bytes, want the last %d of %d", s.uri(uri), len(r.tail), min(r.size, tailBytes), r.size)
	}
	if int64(len(r.tail)) == r.size && r.want != 0 && crc32.Checksum(r.tail, castagnoli) != r.want {
		return nil, r.wrongSum()
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r, nil
}

func (s *store) openEmpty(ctx context.Context, uri string, o *storage.ObjectHandle) (lakeio.Reader, error) {
	attrs, err := o.Attrs(ctx)
	if err == nil && attrs.Size != 0 {
		err = fmt.Errorf("a range was refused, but the object has %d bytes", attrs.Size)
	}
	if err != nil {
		return nil, s.failed("open", uri, err)
	}
	r := &reader{s: s, uri: uri, o: o}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r, nil
}

func (r *reader) wrongSum() error {
	return fmt.Errorf("read %s: %w: its CRC-32C is not %08x, as it was written", r.s.uri(r.uri), lakeio.ErrCorrupt, r.want)
}

func (r *reader) Size() int64 { return r.size }

// ReadAt implements io.ReaderAt.
func (r *reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s: offset %d", r.s.uri(r.uri), off)
	}
	if off >= r.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > r.size-off
	if short {
		p = p[:r.size-off]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.size - int64(len(r.tail))
	if off < from {
		n, err = r.fetch(p[:min(int64(len(p)), from-off)], off)
	}
	if err == nil && n < len(p) {
		n += copy(p[n:], r.tail[off+int64(n)-from:])
	}
	if err == nil {
		err = r.check(p[:n], off)
	}
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// check adds to the checksum what follows on what is summed already.
func (r *reader) check(p []byte, off int64) error {
	if off != r.summed {
		return nil
	}
	r.sum = crc32.Update(r.sum, castagnoli, p)
	if r.summed += int64(len(p)); r.summed == r.size && r.want != 0 && r.sum != r.want {
		return r.wrongSum()
	}
	return nil
}

// fetch reads what lies before the tail. A read that gets stuck is ended and
// tried again.
func (r *reader) fetch(p []byte, off int64) (n int, err error) {
	for range readAttempts {
		var m int
		m, err = r.stream(p[n:], off+int64(n))
		if n += m; n == len(p) {
			return n, nil
		}
		r.drop()
		if r.ctx.Err() != nil || err != nil && !errors.Is(err, context.Canceled) {
			break
		}
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return n, r.s.failed("read", r.uri, err)
}

// stream reads from the open range, or from a new one.
func (r *reader) stream(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		if err := r.place(off+int64(n), int64(len(p)-n)); err != nil {
			return n, err
		}
		stuck := time.AfterFunc(opTimeout, r.stop)
		m, err := io.ReadFull(r.in, p[n:][:min(int64(len(p)-n), r.end-r.at)])
		stuck.Stop()
		n += m
		r.at += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// place makes the range's next byte that at off.
func (r *reader) place(off, need int64) error {
	if gap := off - r.at; r.in != nil && gap > 0 && gap <= firstWindow && off < r.end {
		stuck := time.AfterFunc(opTimeout, r.stop)
		n, err := io.CopyN(io.Discard, r.in, gap)
		stuck.Stop()
		r.at += n
		if err != nil {
			return err
		}
	}
	if r.in != nil && off == r.at && off < r.end {
		return nil
	}
	follows := r.window > 0 && off == r.at // the window is read to its end
	r.drop()
	if r.window = min(2*r.window, lastWindow); !follows {
		r.window = firstWindow
	}
	r.window = max(r.window, need)
	ctx, stop := context.WithCancel(r.ctx)
	stuck := time.AfterFunc(opTimeout, stop)
	defer stuck.Stop()
	end := min(off+r.window, r.size-int64(len(r.tail)))
	in, err := r.o.NewRangeReader(ctx, off, end-off)
	if err != nil {
		stop()
		return err
	}
	r.in, r.stop, r.at, r.end = in, stop, off, end
	return nil
}

// drop ends the open range.
func (r *reader) drop() {
	if r.in != nil {
		r.stop()
		_ = r.in.Close() // only reading: what it gave was whole
		r.in = nil
	}
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.seek)
	r.seek += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Seek implements io.Seeker.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.seek
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek %s: offset %d", r.s.uri(r.uri), offset)
	}
	r.seek = offset
	return offset, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
	r.cancel()
	return nil
}
