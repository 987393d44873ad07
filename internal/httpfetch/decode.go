package httpfetch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

const (
	// bombRatio is the compression no honest page reaches; deflate ends at
	// 1032.
	bombRatio = 200
	// drainBytes is what is read behind the end of a compressed payload, so
	// that its connection can be used again.
	drainBytes = 64 << 10
)

var (
	errEncoding = errors.New("Content-Encoding is not supported; want gzip, deflate or none")
	errFormat   = errors.New("the body is not what its Content-Encoding says")
	errTooMuch  = errors.New("the compressed body is longer than the limit of the decompressed one")
)

// coding returns "gzip", "deflate" or "" for none.
func coding(h http.Header) (string, error) {
	found := ""
	for _, v := range h["Content-Encoding"] {
		for c := range strings.SplitSeq(v, ",") {
			c = strings.ToLower(strings.Trim(c, " \t"))
			switch c {
			case "", "identity":
				continue
			case "x-gzip":
				c = "gzip"
			}
			if found != "" || c != "gzip" && c != "deflate" {
				return "", fmt.Errorf("%.100q: %w", v, errEncoding)
			}
			found = c
		}
	}
	return found, nil
}

// decoder undoes a content coding. It reads gzip's members one after the
// other and, like browsers, lets what comes behind the last one go.
type decoder struct {
	buffers *buffers
	raw     rawReader
	in      *bufio.Reader
	out     io.Reader // nil before the first Read
	gzip    *gzip.Reader
	err     error // sticky
}

// newDecoder reads src, of which at most limit decompressed bytes are wanted.
func newDecoder(b *buffers, coding string, src io.Reader, limit int64) *decoder {
	d := &decoder{buffers: b, raw: rawReader{src: src, limit: limit + limit/8 + drainBytes}}
	d.in = b.readers.Get().(*bufio.Reader)
	d.in.Reset(&d.raw)
	if coding == "gzip" {
		d.gzip = b.gzips.Get().(*gzip.Reader)
	}
	return d
}

// close gives the pooled parts back.
func (d *decoder) close() {
	d.in.Reset(nil)
	d.buffers.readers.Put(d.in)
	if d.gzip != nil {
		d.buffers.gzips.Put(d.gzip)
	}
}

// ratio is what n decompressed bytes are to the compressed ones they took.
func (d *decoder) ratio(n int64) int64 {
	return n / max(d.raw.n-int64(d.in.Buffered()), 1)
}

func (d *decoder) Read(p []byte) (int, error) {
	for d.err == nil {
		if d.out == nil {
			d.err = d.start()
			continue
		}
		n, err := d.out.Read(p)
		if err != nil {
			d.err = d.next(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, d.err
}

// start opens the first member or the stream. A payload without a byte is
// empty, whatever its coding.
func (d *decoder) start() error {
	head, err := d.in.Peek(2)
	if len(head) == 0 {
		return d.fault(err)
	}
	switch {
	case d.gzip != nil:
		if err := d.gzip.Reset(d.in); err != nil {
			return d.fault(noEOF(err))
		}
		d.gzip.Multistream(false)
		d.out = d.gzip
	case len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0:
		z, err := zlib.NewReader(d.in)
		if err != nil {
			return d.fault(noEOF(err))
		}
		d.out = z
	default: // many servers leave zlib's frame out
		d.out = flate.NewReader(d.in)
	}
	return nil
}

// next is called with what ended a member: its end, then the next one begins,
// or a fault.
func (d *decoder) next(err error) error {
	if err != io.EOF {
		return d.fault(err)
	}
	if d.gzip != nil {
		switch err := d.gzip.Reset(d.in); {
		case err == nil:
			d.gzip.Multistream(false)
			return nil
		case d.raw.err != nil && d.raw.err != io.EOF:
			return d.raw.err
		}
	}
	// The end, perhaps with something behind it. Reading on shows whether the
	// answer itself is complete.
	if _, err := io.CopyN(io.Discard, d.in, drainBytes); err != nil && err != io.EOF {
		return d.fault(err)
	}
	return io.EOF
}

// fault tells what went wrong with the connection from what is wrong with the
// bytes.
func (d *decoder) fault(err error) error {
	switch {
	case d.raw.err != nil && d.raw.err != io.EOF:
		return d.raw.err
	case err == io.EOF:
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("in the compressed body: %w", err)
	}
	return fmt.Errorf("%w: %w", errFormat, err)
}

// noEOF makes the end of the input within a header what it is.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// rawReader counts compressed bytes, bounds them and remembers how they ended.
type rawReader struct {
	src   io.Reader
	n     int64
	limit int64
	err   error
}

func (r *rawReader) Read(p []byte) (int, error) {
	if r.n > r.limit {
		r.err = errTooMuch
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.src.Read(p)
	r.n += int64(n)
	r.err = err
	return n, err
}
