package httpfetch

import (
	"bufio"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// gzipCoder reads gzip's members one after the other (RFC 1952, 2.2).
type gzipCoder struct{ gzip.Reader }

func (c *gzipCoder) start(in *bufio.Reader) error {
	err := c.Reset(in)
	c.Multistream(false)
	return err
}

func (c *gzipCoder) next(in *bufio.Reader) bool { return c.start(in) == nil }

func (c *gzipCoder) over(err error) error { return err }

// deflateCoder reads what is called deflate: zlib's format (RFC 9110, 8.4.1.2),
// or its inside, for many servers leave zlib's frame out.
type deflateCoder struct {
	zlib, flate io.ReadCloser // kept for the next payload
	io.Reader                 // one of them
}

func (c *deflateCoder) start(in *bufio.Reader) (err error) {
	head, _ := in.Peek(2)
	framed := len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0
	switch {
	case framed && c.zlib == nil:
		if c.zlib, err = zlib.NewReader(in); err != nil {
			c.zlib = nil
			return err
		}
	case framed:
		if err := c.zlib.(zlib.Resetter).Reset(in, nil); err != nil {
			return err
		}
	case c.flate == nil:
		c.flate = flate.NewReader(in)
	default:
		if err := c.flate.(flate.Resetter).Reset(in, nil); err != nil {
			return err
		}
	}
	if c.Reader = c.flate; framed {
		c.Reader = c.zlib
	}
	return nil
}

func (c *deflateCoder) next(*bufio.Reader) bool { return false }

func (c *deflateCoder) over(err error) error { return err }
