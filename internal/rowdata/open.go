package rowdata

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/text/transform"
)

// HeadBytes is how much of a file its encoding is told from.
const HeadBytes = 64 << 10

// Open returns the text of a data file in UTF-8, without a byte order mark.
// A file that begins like gzip (RFC 1952) is decompressed. encoding is asked
// with up to [HeadBytes] of the file's beginning for what turns it into UTF-8;
// nil: it is UTF-8. Errors are src's own and, for what is wrong with the
// compressed data, a *[Fault] of code "data".
func Open(src io.Reader, encoding func(head []byte) transform.Transformer) (io.Reader, error) {
	in := bufio.NewReaderSize(src, HeadBytes)
	magic, err := in.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if string(magic) == "\x1f\x8b" {
		in = bufio.NewReaderSize(newGunzip(in), HeadBytes)
	}
	head, err := in.Peek(HeadBytes)
	if err != nil && err != io.EOF && len(head) == 0 {
		return nil, err // else it comes again behind the head
	}
	if t := encoding(head); t != nil {
		return transform.NewReader(in, t), nil
	}
	if bytes.HasPrefix(head, []byte("\uFEFF")) {
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
	}
	return in, nil
}

const (
	// bombRatio is the compression no honest file reaches; deflate ends at
	// 1032.
	bombRatio = 200
	// bombFloor is how much may come out before the ratio counts.
	bombFloor = 16 << 20
)

var errBomb = errors.New("a compression bomb")

// gunzip reads gzip's members one after the other and lets what comes behind
// the last one go.
type gunzip struct {
	raw counter
	in  *bufio.Reader
	z   *gzip.Reader // nil before the first Read
	out int64
	err error
}

func newGunzip(src io.Reader) *gunzip {
	g := &gunzip{raw: counter{src: src}}
	g.in = bufio.NewReaderSize(&g.raw, 32<<10)
	return g
}

// Read implements io.Reader.
func (g *gunzip) Read(p []byte) (int, error) {
	for g.err == nil {
		if g.z == nil {
			z, err := gzip.NewReader(g.in)
			if err != nil {
				g.err = g.fault(err)
				break
			}
			z.Multistream(false)
			g.z = z
		}
		n, err := g.z.Read(p)
		g.out += int64(n)
		if err != nil {
			g.err = g.next(err)
		}
		if g.out > bombFloor && g.out/bombRatio > g.raw.n {
			g.err = g.fault(fmt.Errorf("%w: %d bytes have become %d", errBomb, g.raw.n, g.out))
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, g.err
}

// next is called with what ended a member.
func (g *gunzip) next(err error) error {
	if err != io.EOF {
		return g.fault(err)
	}
	if err := g.z.Reset(g.in); err != nil {
		if g.raw.err != nil && g.raw.err != io.EOF {
			return g.raw.err
		}
		return io.EOF
	}
	g.z.Multistream(false)
	return nil
}

// fault tells what is wrong with the bytes from an error of their source.
func (g *gunzip) fault(err error) error {
	if g.raw.err != nil && g.raw.err != io.EOF {
		return g.raw.err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	f := faultf(CodeData, "gzip, after %d bytes of text: %w", g.out, err)
	f.Offset, f.End = g.out, true
	return f
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
