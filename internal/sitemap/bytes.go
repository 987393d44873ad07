package sitemap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"

	"github.com/harrowdata/harrow/internal/gunzip"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
)

const bufferBytes = 32 << 10

// plain undoes gzip and ends at MaxBytes.
func plain(r io.Reader) (*bufio.Reader, *limited) {
	in := bufio.NewReaderSize(r, bufferBytes)
	for range maxLayers {
		if head, _ := in.Peek(2); !gunzip.Is(head) {
			break
		}
		in = bufio.NewReaderSize(faulty{gunzip.NewReader(in, MaxBytes)}, bufferBytes)
	}
	limit := &limited{r: in, left: MaxBytes}
	return bufio.NewReaderSize(limit, bufferBytes), limit
}

// faulty makes an error of decompression a fault.
type faulty struct{ r io.Reader }

func (f faulty) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	var broken *gunzip.Error
	if errors.As(err, &broken) {
		err = &Fault{Err: err}
	}
	return n, err
}

// limited ends after a number of bytes and notes whether there was more.
type limited struct {
	r    io.Reader
	left int64
	cut  bool
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left > 0 {
		n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
		l.left -= int64(n)
		return n, err
	}
	var one [1]byte
	if n, _ := io.ReadFull(l.r, one[:]); n > 0 {
		l.cut = true
	}
	return 0, io.EOF
}

var declared = regexp.MustCompile(`^\s*<\?xml[^>]*\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// decoded turns any encoding into UTF-8. What is no character becomes U+FFFD.
func decoded(in *bufio.Reader) (*bufio.Reader, error) {
	head, err := in.Peek(256)
	if len(head) == 0 {
		if err == io.EOF {
			err = &Fault{Err: errors.New("it is empty")}
		}
		return nil, err
	}
	var from transform.Transformer = runes.ReplaceIllFormed()
	if e := encodingOf(head); e != nil {
		from = e.NewDecoder()
	}
	out := bufio.NewReaderSize(transform.NewReader(in, from), bufferBytes)
	if bom, _ := out.Peek(3); string(bom) == "\ufeff" {
		_, err = out.Discard(3)
		return out, err
	}
	return out, nil
}

// encodingOf is the encoding that the first bytes show; nil for UTF-8.
func encodingOf(head []byte) encoding.Encoding {
	if len(head) >= 2 {
		switch {
		case head[0] == 0xff && head[1] == 0xfe, head[0] == '<' && head[1] == 0:
			return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
		case head[0] == 0xfe && head[1] == 0xff, head[0] == 0 && head[1] == '<':
			return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
		}
	}
	m := declared.FindSubmatch(head)
	if m == nil {
		return nil
	}
	e, name := charset.Lookup(string(m[1]))
	if name == "utf-8" || name == "utf-16le" || name == "utf-16be" { // the declaration itself was read as bytes
		return nil
	}
	return e
}

// firstByte passes over white space.
func firstByte(in *bufio.Reader) (byte, error) {
	for {
		b, err := in.ReadByte()
		if err == io.EOF {
			return 0, &Fault{Err: errors.New("it is empty")}
		}
		if err != nil {
			return 0, err
		}
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return b, in.UnreadByte()
		}
	}
}

// lines reads a list of URLs. The first one says that it is one.
func (l *lister) lines(in *bufio.Reader) error {
	for n := 1; ; n++ {
		raw, err := in.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) { // longer than any URL
			raw = nil
			if _, err = in.ReadSlice('\n'); err == nil || err == io.EOF {
				l.stats.Invalid++
			}
		}
		if err != nil && err != io.EOF {
			return err
		}
		url := string(bytes.TrimSpace(raw))
		if n == 1 && !isURL(url) {
			return &Fault{Err: errKind}
		}
		if url != "" {
			if aerr := l.add(url, false); aerr != nil {
				return aerr
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func isURL(s string) bool {
	b := []byte(s)
	return len(b) > 8 && (bytes.EqualFold(b[:7], []byte("http://")) || bytes.EqualFold(b[:8], []byte("https://")))
}
