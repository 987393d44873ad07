package rowdata

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/harrowdata/harrow/internal/gunzip"
	"golang.org/x/text/transform"
)

// HeadBytes is how much of a file its encoding is told from.
const HeadBytes = 64 << 10

// bombFloor is how much may come out of gzip before it can be a bomb.
const bombFloor = 16 << 20

// Open returns the text of a data file in UTF-8, without a byte order mark.
// A file that begins like gzip (RFC 1952) is decompressed. encoding is asked
// with up to [HeadBytes] of the file's beginning for what turns it into UTF-8;
// nil, or nil for an answer: it is UTF-8. Errors are src's own and, for what is wrong with the
// compressed data, a *[Fault] of code "data".
func Open(src io.Reader, encoding func(head []byte) transform.Transformer) (io.Reader, error) {
	in := bufio.NewReaderSize(src, HeadBytes)
	head, err := in.Peek(HeadBytes)
	if gunzip.Is(head) {
		in = bufio.NewReaderSize(undamaged{gunzip.NewReader(in, bombFloor)}, HeadBytes)
		head, err = in.Peek(HeadBytes)
	}
	if err != nil && err != io.EOF && len(head) == 0 {
		return nil, err // else it comes again behind the head
	}
	if encoding != nil {
		if t := encoding(head); t != nil {
			return transform.NewReader(in, t), nil
		}
	}
	if bytes.HasPrefix(head, []byte("\uFEFF")) {
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// undamaged makes what is wrong with compressed data a fault of the file.
type undamaged struct{ src io.Reader }

// Read implements io.Reader.
func (u undamaged) Read(p []byte) (int, error) {
	n, err := u.src.Read(p)
	var broken *gunzip.Error
	if errors.As(err, &broken) {
		err = &Fault{Code: CodeData, Offset: broken.After, End: true, Err: err}
	}
	return n, err
}
