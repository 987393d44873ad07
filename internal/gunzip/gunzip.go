// Package gunzip reads bodies that are gzip files by themselves, as data.csv.gz
// is: not a coding of the transfer, which is undone when a page is fetched.
package gunzip

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// ErrTooLarge: more comes out than the limit. The rest is not read.
var ErrTooLarge = errors.New("the decompressed body is too large")

// Is reports whether a body begins as gzip does (RFC 1952 2.3.1: the magic
// number and the one compression method there is).
func Is(body []byte) bool { return bytes.HasPrefix(body, []byte{0x1f, 0x8b, 8}) }

// Bytes decompresses a body of at most limit bytes. Its members are read one
// after the other; as in browsers and gzip itself, what comes behind the last
// one and is no gzip is left out. An error is ErrTooLarge, or says what is
// wrong with the compressed bytes.
func Bytes(body []byte, limit int64) ([]byte, error) {
	in := bytes.NewReader(body) // a ByteReader: nothing is read ahead
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	var out bytes.Buffer
	for {
		z.Multistream(false)
		if _, err := io.Copy(&out, io.LimitReader(z, limit+1-int64(out.Len()))); err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		if int64(out.Len()) > limit {
			return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, limit)
		}
		if !Is(body[len(body)-in.Len():]) {
			return out.Bytes(), nil
		}
		if err := z.Reset(in); err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
	}
}
