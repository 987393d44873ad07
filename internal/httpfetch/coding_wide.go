package httpfetch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	// zstdWindow is the largest window that the coding zstd may ask for
	// (RFC 9659, 3). Brotli's ends at 16 MiB by itself (RFC 7932, 9.1).
	zstdWindow = 8 << 20
	// brotliRead is how much a decoder reads ahead: little, so that what a
	// bomb came out of is counted well.
	brotliRead = 2 << 10
)

// wideDecoders is how many payloads of br or zstd are decoded at once. A
// decoder takes up to 20 MiB if a server wants it to, and about twice the page
// if it doesn't. All of them together come on top of limits.memory.
var wideDecoders = min(runtime.GOMAXPROCS(0), 4)

type brotliCoder struct {
	brotli.Reader
	in *bufio.Reader
}

func (c *brotliCoder) start(in *bufio.Reader) error {
	c.in = in
	return c.Reset(littleReader{in})
}

func (c *brotliCoder) next(*bufio.Reader) bool { return false }

// over knows the library's error by its text: it has no value for it.
func (c *brotliCoder) over(err error) error {
	if strings.HasSuffix(err.Error(), "excessive input") {
		return io.EOF
	}
	return err
}

type littleReader struct{ io.Reader }

func (r littleReader) Read(p []byte) (int, error) {
	return r.Reader.Read(p[:min(len(p), brotliRead)])
}

// zstdCoder reads frames one after the other (RFC 8878, 3).
type zstdCoder struct {
	*zstd.Decoder
	came bool // a byte of the payload
}

func newZstdCoder() *zstdCoder {
	// One goroutine, the caller's.
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(zstdWindow))
	if err != nil {
		panic(fmt.Sprintf("httpfetch: options of zstd: %v", err)) // they are constants
	}
	return &zstdCoder{Decoder: d}
}

func (c *zstdCoder) start(in *bufio.Reader) error {
	c.came = false
	return c.Reset(in)
}

func (c *zstdCoder) Read(p []byte) (int, error) {
	n, err := c.Decoder.Read(p)
	c.came = c.came || n > 0
	return n, err
}

func (c *zstdCoder) next(*bufio.Reader) bool { return false }

func (c *zstdCoder) over(err error) error {
	if c.came && errors.Is(err, zstd.ErrMagicMismatch) {
		return io.EOF
	}
	return err
}
