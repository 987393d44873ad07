package httpfetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/harrowdata/harrow"
)

// acceptEncoding names what we read, cheapest to decode first: servers that
// weigh all alike often take the first they know.
const acceptEncoding = "zstd, gzip, deflate, br"

const (
	// bombRatio is the compression no honest page reaches; deflate ends at
	// 1032.
	bombRatio = 200
	// drainBytes is what is read behind the end of a compressed payload, so
	// that its connection can be used again.
	drainBytes = 64 << 10
	// probeAt is after how many coded bytes a payload without a length is
	// looked at for the first time, whether it is already more than is wanted;
	// then whenever there are probeGrowth times as many.
	probeAt     = 64 << 10
	probeGrowth = 4
	// maxCodings is how often a payload may be coded. Honest servers do it
	// once, and some that have another behind them twice.
	maxCodings = 2
)

var (
	errEncoding = fmt.Errorf("Content-Encoding is not supported; want at most %d of zstd, gzip, br and deflate", maxCodings)
	errFormat   = errors.New("the body is not what its Content-Encoding says")
	errTooMuch  = errors.New("the compressed body is longer than the limit of the decompressed one")
)

// codings are the content codings of a payload, the one to undo first first.
type codings struct {
	names [maxCodings]string // gzip, deflate, br or zstd
	n     int
}

// codingsOf reads the Content-Encoding fields.
func codingsOf(h http.Header) (c codings, err error) {
	for _, v := range h["Content-Encoding"] {
		for name := range strings.SplitSeq(v, ",") {
			switch name = strings.ToLower(strings.Trim(name, " \t")); name {
			case "", "identity":
				continue
			case "x-gzip":
				name = "gzip"
			case "gzip", "deflate", "br", "zstd":
			default:
				return codings{}, fmt.Errorf("%.100q: %w", v, errEncoding)
			}
			if c.n == maxCodings {
				return codings{}, fmt.Errorf("%.100q: %w", v, errEncoding)
			}
			c.names[1], c.names[0] = c.names[0], name // applied last, undone first
			c.n++
		}
	}
	return c, nil
}

// wide reports whether undoing them takes a window of megabytes.
func (c codings) wide() bool {
	for _, name := range c.names[:c.n] {
		if name == "br" || name == "zstd" {
			return true
		}
	}
	return false
}

// decode reads a coded payload, at most limit decoded bytes of it. want is its
// length before decoding, or -1 when that is unknown.
func (c *Client) decode(ctx context.Context, out *Response, src io.ReadCloser, want, limit int64, codes codings, res *Reservation) error {
	if codes.wide() {
		return c.decodeWide(ctx, out, src, want, limit, codes, res)
	}
	return c.decodeStream(out, src, limit, codes, res)
}

// decodeWide receives all of the payload before it decodes it. A decoder of br
// or zstd takes megabytes, as many as the server says (see wideDecoders): one
// for each slow server would be more memory than any limit. So only a few
// payloads are decoded at once, and none is while its server is waited for.
func (c *Client) decodeWide(ctx context.Context, out *Response, src io.ReadCloser, want, limit int64, codes codings, res *Reservation) error {
	// The reservation is kept for the decoded payload: as long as that isn't
	// begun, it stands for the coded one.
	r := &receiver{client: c, src: src, limit: rawLimit(limit), res: &Reservation{}}
	if want < 0 { // it may be endless, and a bomb
		r.probe, r.enough = probeAt, func(sofar io.Reader) (bool, error) { return c.exceeds(ctx, sofar, limit, codes) }
	}
	coded, more, err := r.receive(want)
	if err != nil {
		return err
	}
	defer coded.Close()
	src.Close() // the exchange is over
	in := coded.Open()
	defer in.Close()
	whole := io.Reader(in)
	if more {
		whole = io.MultiReader(in, failing{errTooMuch})
	}
	return c.inTurn(ctx, func() error { return c.decodeStream(out, whole, limit, codes, res) })
}

// exceeds reports whether more than limit bytes come out of what is there of a
// payload. What is wrong with it shows later.
func (c *Client) exceeds(ctx context.Context, sofar io.Reader, limit int64, codes codings) (yes bool, err error) {
	err = c.inTurn(ctx, func() error {
		d, done := c.decoders(sofar, limit, codes)
		defer done()
		n, _ := io.CopyN(io.Discard, d[codes.n-1], limit+1)
		yes = n > limit
		return nil
	})
	return yes, err
}

// inTurn runs what needs wide decoders.
func (c *Client) inTurn(ctx context.Context, f func() error) error {
	select {
	case c.buffers.wide <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.buffers.wide }()
	return f()
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func (c *Client) decodeStream(out *Response, src io.Reader, limit int64, codes codings, res *Reservation) (err error) {
	d, done := c.decoders(src, limit, codes)
	defer done()
	out.Body, out.Truncated, err = c.receive(d[codes.n-1], -1, limit, res)
	if err == nil && out.Truncated && d[0].ratio(limit) > bombRatio {
		err = errors.Join(bomb(limit, d[0]), out.Body.Close())
		out.Body, out.Truncated = nil, false
	}
	return err
}

// decoders chains a decoder for each coding; the caller calls done.
func (c *Client) decoders(src io.Reader, limit int64, codes codings) (d [maxCodings]*decoder, done func()) {
	for i, name := range codes.names[:codes.n] {
		d[i] = newDecoder(c.buffers, name, src, limit)
		src = d[i]
	}
	return d, func() {
		for i := range codes.n {
			d[i].close()
		}
	}
}

func bomb(limit int64, d *decoder) error {
	return &Error{Class: harrow.DataFault, Code: "bomb",
		Err: fmt.Errorf("more than %d bytes came out of %d: over %d to 1", limit, d.raw.n, bombRatio)}
}

// rawLimit is how many coded bytes may stand for limit decoded ones: nothing
// honest grows by more than this when it is compressed.
func rawLimit(limit int64) int64 { return limit + limit/8 + drainBytes }

// coder undoes one content coding. It stays in its pool between two payloads.
type coder interface {
	// start begins a payload, or the next member of one. in has a byte.
	start(in *bufio.Reader) error
	Read(p []byte) (int, error)
	// next is called when a member has ended: whether another one begins.
	// Whatever is behind the last one is let go, as browsers do.
	next(in *bufio.Reader) bool
	// over makes io.EOF of errors that only say that there is more behind a
	// payload that is complete.
	over(err error) error
}

// decoder runs a coder over a source, in bounds.
type decoder struct {
	buffers *buffers
	coding  string
	coder   coder
	raw     rawReader
	in      *bufio.Reader
	started bool
	err     error // sticky
}

// newDecoder reads src, of which at most limit decoded bytes are wanted.
func newDecoder(b *buffers, coding string, src io.Reader, limit int64) *decoder {
	d := &decoder{buffers: b, coding: coding, raw: rawReader{src: src, limit: rawLimit(limit)}}
	d.in = b.readers.Get().(*bufio.Reader)
	d.in.Reset(&d.raw)
	d.coder = b.coders[coding].Get().(coder)
	return d
}

// close gives the pooled parts back.
func (d *decoder) close() {
	d.in.Reset(nil)
	d.buffers.readers.Put(d.in)
	d.buffers.coders[d.coding].Put(d.coder)
}

// ratio is what n decompressed bytes are to the compressed ones they took.
func (d *decoder) ratio(n int64) int64 {
	return n / max(d.raw.n-int64(d.in.Buffered()), 1)
}

func (d *decoder) Read(p []byte) (int, error) {
	for d.err == nil {
		if !d.started {
			d.err = d.start()
			continue
		}
		n, err := d.coder.Read(p)
		if err != nil {
			d.err = d.next(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, d.err
}

// start opens the first member. A payload without a byte is empty, whatever
// its coding.
func (d *decoder) start() error {
	if head, err := d.in.Peek(1); len(head) == 0 {
		return d.fault(err)
	}
	if err := d.coder.start(d.in); err != nil {
		return d.fault(noEOF(err))
	}
	d.started = true
	return nil
}

// next is called with what ended a member: its end, then the next one begins,
// or a fault.
func (d *decoder) next(err error) error {
	if err = d.coder.over(err); err != io.EOF {
		return d.fault(err)
	}
	if d.coder.next(d.in) {
		return nil
	}
	if d.raw.err != nil && d.raw.err != io.EOF {
		return d.raw.err
	}
	// Reading on shows whether the answer itself is complete.
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
