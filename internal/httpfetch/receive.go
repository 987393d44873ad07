package httpfetch

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/scratch"
)

// receiver reads one payload into a Body, at most limit bytes of it.
type receiver struct {
	client *Client
	src    io.Reader
	limit  int64
	res    *Reservation
	hash   hash.Hash
	buffer *[]byte
	n      int64 // bytes in buffer
	file   *os.File
	spilt  int64
	// enough is asked at probeAt bytes, and whenever that many times
	// probeGrowth are there, whether to stop as if the limit were reached.
	// nil: never.
	enough func(sofar io.Reader) (bool, error)
	probe  int64 // when enough is asked next
	full   bool
}

// receive reads the payload. want is its length, or -1 when that is unknown.
// more reports that the payload goes on beyond the limit. After an error
// nothing is held but the reservation.
func (c *Client) receive(src io.Reader, want, limit int64, res *Reservation) (body *Body, more bool, err error) {
	r := &receiver{client: c, src: src, limit: limit, res: res}
	return r.receive(want)
}

func (r *receiver) receive(want int64) (body *Body, more bool, err error) {
	r.hash = r.client.buffers.hash()
	defer r.client.buffers.hashes.Put(r.hash)
	if more, err = r.read(want); err != nil {
		return nil, false, errors.Join(err, r.abandon())
	}
	return r.body(), more, nil
}

// read fills the buffer, then the spill file, then looks for one byte more.
func (r *receiver) read(want int64) (more bool, err error) {
	room := min(r.client.config.MemoryBody, r.limit)
	if want >= 0 {
		room = min(room, want)
	}
	r.buffer = r.client.buffers.get(room)
	r.res.shrink(int64(len(*r.buffer)))
	room = min(int64(len(*r.buffer)), r.limit)
	ended, err := r.fill((*r.buffer)[:room])
	if ended || r.full || err != nil {
		return r.full, err
	}
	buf := r.client.buffers.copies.Get().(*[]byte)
	defer r.client.buffers.copies.Put(buf)
	if r.n < r.limit {
		if ended, err = r.spill(*buf); ended || r.full || err != nil {
			return r.full, err
		}
	}
	return r.peek((*buf)[:1])
}

// fill reads into the buffer until it is full or the payload ends.
func (r *receiver) fill(to []byte) (ended bool, err error) {
	for r.n < int64(len(to)) && !r.full {
		n, err := r.src.Read(to[r.n:])
		r.hash.Write(to[r.n : r.n+int64(n)])
		r.n += int64(n)
		if err != nil {
			return true, ignoreEOF(err)
		}
		if err := r.ask(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// spill writes what comes after the buffer to a file, up to the limit. It
// makes the file when the first byte has come.
func (r *receiver) spill(buf []byte) (ended bool, err error) {
	for r.n+r.spilt < r.limit && !r.full {
		n, err := r.src.Read(buf[:min(int64(len(buf)), r.limit-r.n-r.spilt)])
		if n > 0 {
			r.hash.Write(buf[:n])
			if err := r.write(buf[:n]); err != nil {
				return false, err
			}
		}
		if err != nil {
			return true, ignoreEOF(err)
		}
		if err := r.ask(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// ask asks enough, when it is time to.
func (r *receiver) ask() (err error) {
	if r.enough == nil || r.n+r.spilt < r.probe {
		return nil
	}
	r.probe = probeGrowth * (r.n + r.spilt)
	sofar := io.Reader(bytes.NewReader((*r.buffer)[:r.n]))
	if r.file != nil {
		sofar = io.MultiReader(sofar, io.NewSectionReader(r.file, 0, r.spilt))
	}
	r.full, err = r.enough(sofar)
	return err
}

func (r *receiver) write(p []byte) error {
	if r.file == nil {
		f, err := scratch.File(r.client.config.SpillDir, "harrow-body")
		if err != nil {
			return diskError(err)
		}
		r.file = f
	}
	if _, err := r.file.Write(p); err != nil {
		return diskError(err)
	}
	r.spilt += int64(len(p))
	return nil
}

// peek looks whether the payload goes on: reading one byte beyond the limit
// is what tells a cut payload from one that just fits (and lets the
// connection see its end).
func (r *receiver) peek(one []byte) (more bool, err error) {
	for {
		n, err := r.src.Read(one)
		if n > 0 {
			return true, nil
		}
		if err != nil {
			return false, ignoreEOF(err)
		}
	}
}

// body hands over what was read. A buffer much larger than its content is
// exchanged for one that fits, and what that leaves of the reservation given
// back.
func (r *receiver) body() *Body {
	b := &Body{buffers: r.client.buffers, size: r.n + r.spilt, file: r.file, users: 1}
	r.hash.Sum(b.digest[:0])
	switch fit := classSize(r.n); {
	case r.n == 0:
		r.client.buffers.put(r.buffer)
		r.buffer = nil
		r.res.shrink(0)
	case fit < int64(len(*r.buffer)):
		smaller := r.client.buffers.get(r.n)
		copy(*smaller, (*r.buffer)[:r.n])
		r.client.buffers.put(r.buffer)
		r.buffer = smaller
		r.res.shrink(fit)
	}
	if r.buffer != nil {
		b.buffer, b.mem = r.buffer, (*r.buffer)[:r.n]
	}
	b.memory = r.res.take()
	return b
}

func (r *receiver) abandon() error {
	r.client.buffers.put(r.buffer)
	if r.file == nil {
		return nil
	}
	if err := r.file.Close(); err != nil {
		return diskError(err)
	}
	return nil
}

func ignoreEOF(err error) error {
	if err == io.EOF { // net/http returns it unwrapped; a wrapped one is a fault
		return nil
	}
	return err
}

func diskError(err error) error {
	return &Error{Class: harrow.System, Code: "disk", Err: fmt.Errorf("spilling a body: %w", err)}
}
