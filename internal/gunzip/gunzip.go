// Package gunzip reads files that are gzip by themselves, as data.csv.gz is:
// not a coding of the transfer, which is undone when a page is fetched.
package gunzip

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// bombRatio is the compression no honest file reaches; deflate ends at 1032.
const bombRatio = 200

var (
	// ErrTooLarge: more comes out than the limit. The rest is not read.
	ErrTooLarge = errors.New("the decompressed body is too large")
	// ErrBomb: more comes out than honest data yields. The rest is not read.
	ErrBomb = errors.New("a compression bomb")
)

// Error is what is wrong with the compressed bytes: they are damaged, cut off,
// or an [ErrBomb].
type Error struct {
	After int64 // decompressed bytes that came before
	Err   error
}

// Error says where and what.
func (e *Error) Error() string {
	return fmt.Sprintf("gzip, after %d bytes of text: %v", e.After, e.Err)
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether a file that begins so begins as gzip does (RFC 1952
// 2.3.1: the magic number).
func Is(head []byte) bool { return bytes.HasPrefix(head, []byte(magic)) }

const magic = "\x1f\x8b"

// Reader decompresses a file while it streams. Its members are read one after
// the other; as in browsers and gzip itself, what comes behind the last one
// and is no gzip is left out.
type Reader struct {
	raw  counter
	in   *bufio.Reader
	z    *gzip.Reader // nil before the first Read
	out  int64
	free int64
	err  error // sticky
}

// NewReader returns a reader of what src holds. It reads src ahead. Up to free
// bytes may come out at any compression; who takes no more than a certain size
// gives that.
func NewReader(src io.Reader, free int64) *Reader {
	r := &Reader{raw: counter{src: src}, free: free}
	r.in = bufio.NewReaderSize(&r.raw, 32<<10)
	return r
}

// Read implements io.Reader. Errors are the source's own or an [*Error].
func (r *Reader) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.z == nil {
			z, err := gzip.NewReader(r.in)
			if err != nil {
				r.err = r.fault(err)
				break
			}
			z.Multistream(false)
			r.z = z
		}
		n, err := r.z.Read(p)
		r.out += int64(n)
		if err != nil {
			r.err = r.next(err)
		}
		if r.out > r.free && r.out/bombRatio > r.raw.n {
			r.err = r.fault(fmt.Errorf("%w: %d bytes have become %d", ErrBomb, r.raw.n, r.out))
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// next is called with what ended a member.
func (r *Reader) next(err error) error {
	if err != io.EOF {
		return r.fault(err)
	}
	head, err := r.in.Peek(len(magic))
	if !Is(head) {
		if err == nil {
			err = io.EOF
		}
		return err
	}
	if err := r.z.Reset(r.in); err != nil {
		return r.fault(err)
	}
	r.z.Multistream(false)
	return nil
}

// fault tells what is wrong with the bytes from an error of their source.
func (r *Reader) fault(err error) error {
	if r.raw.err != nil && r.raw.err != io.EOF {
		return r.raw.err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &Error{r.out, err}
}

// Bytes decompresses a body of at most limit bytes. An error is [ErrTooLarge]
// or an [*Error].
func Bytes(body []byte, limit int64) ([]byte, error) {
	var out bytes.Buffer
	if _, err := io.Copy(&out, io.LimitReader(NewReader(bytes.NewReader(body), limit), limit+1)); err != nil {
		return nil, err
	}
	if int64(out.Len()) > limit {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, limit)
	}
	return out.Bytes(), nil
}

// counter counts what is read and remembers how it ended.
type counter struct {
	src io.Reader
	n   int64
	err error
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	c.err = err
	return n, err
}
