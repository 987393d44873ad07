// Package seedfile reads files of seeds, in a fixed amount of memory whatever
// their size:
//
//   - .txt: one URL a line; blank lines and those that begin with # are passed
//     over.
//   - .csv: a header, then one seed a row.
//   - .jsonl: one JSON object a line.
//
// The last two have a column url and, if they like:
//
//   - method: default GET, or POST where there is a body. Any method but
//     CONNECT and TRACE.
//   - headers: sent with this request, and part of what identifies it. An
//     object of name to text or list of texts, or a list of [name, value]; in
//     CSV as JSON text.
//   - body: a text is sent as it is; an object or a list (.jsonl only) as its
//     JSON text, with Content-Type application/json unless headers name one.
//   - any other column is carried: it goes with the request to the records of
//     its page. A text, number (it keeps its digits), true, false or null; in
//     CSV a text, an empty cell is none.
//
// A CRLF in a quoted cell becomes LF (encoding/csv).
//
// Whatever the method, a seed is a question: it may be asked again after a
// transient failure as every request is, unless fetch.retry.attempts is 1.
package seedfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/httpheader"
	"golang.org/x/net/http/httpguts"
)

// What a seed may take, in bytes: a request has to fit into the frontier.
const (
	MaxLine    = 1 << 20
	MaxBody    = 256 << 10
	MaxHeaders = 32 << 10
	MaxCarry   = 64 << 10
)

// Seed is one request as a file has it.
type Seed struct {
	URL     string          `json:"url"`
	Method  string          `json:"method,omitempty"` // upper case
	Headers []harrow.Header `json:"headers,omitempty"`
	Body    []byte          `json:"body,omitempty"`
	Carry   string          `json:"carry,omitempty"` // JSON object in the form of package carry
}

// Taker is told what a file holds; an error of its own ends the reading.
type Taker struct {
	Seed func(line int, s Seed) error
	// Bad is told of a line that holds no seed: its number, from 1, its text
	// (the beginning, if it is too long) and what was expected.
	Bad func(line int, text, why string) error
}

// Each reads a seed file; the ending of its name says which kind it is. An
// error is the taker's, the reader's, the context's, or says that the file as
// a whole can't be read (its header, a quote that is never closed); it names
// the file.
func Each(ctx context.Context, name string, r io.Reader, to Taker) error {
	var err error
	switch strings.ToLower(path.Ext(name)) {
	case ".csv":
		err = eachRow(ctx, r, to)
	case ".jsonl":
		err = eachLine(ctx, r, to.Bad, func(n int, line string) error {
			s, err := fromJSON(line)
			if err != nil {
				return to.Bad(n, line, err.Error())
			}
			return to.Seed(n, s)
		})
	default:
		err = eachLine(ctx, r, to.Bad, func(n int, line string) error {
			if strings.HasPrefix(line, "#") {
				return nil
			}
			return to.Seed(n, Seed{URL: line, Method: "GET"})
		})
	}
	if err != nil {
		return fmt.Errorf("seeds %s: %w", name, err)
	}
	return nil
}

// eachLine hands on the lines that aren't blank, without white space around
// them.
func eachLine(ctx context.Context, r io.Reader, bad func(int, string, string) error, do func(n int, line string) error) error {
	in := bufio.NewReaderSize(r, MaxLine)
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if berr := bad(n, head(string(raw[:2*headBytes])), fmt.Sprintf("the line is longer than %d bytes", MaxLine)); berr != nil {
				return berr
			}
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			raw = nil
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if lerr := oneLine(n, raw, bad, do); lerr != nil {
			return lerr
		}
		if err == io.EOF {
			return nil
		}
	}
}

func oneLine(n int, raw []byte, bad func(int, string, string) error, do func(n int, line string) error) error {
	line := strings.TrimSpace(strings.TrimPrefix(string(raw), "\ufeff"))
	switch {
	case line == "":
		return nil
	case !utf8.ValidString(line):
		return bad(n, strings.ToValidUTF8(line, "\ufffd"), notUTF8)
	}
	return do(n, line)
}

const (
	notUTF8   = "the line is not UTF-8"
	headBytes = 200
)

// head is the beginning of a text.
func head(s string) string {
	if len(s) > headBytes {
		s = s[:headBytes]
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// check completes a seed and says what is wrong with it. What its URL is worth
// is for others to say.
func (s *Seed) check() error {
	if s.URL = strings.TrimSpace(s.URL); s.URL == "" {
		return errors.New("no url")
	}
	s.Method = strings.ToUpper(s.Method)
	if s.Method == "" {
		s.Method = "GET"
		if len(s.Body) > 0 {
			s.Method = "POST"
		}
	}
	if !httpguts.ValidHeaderFieldName(s.Method) || s.Method == "CONNECT" || s.Method == "TRACE" {
		return fmt.Errorf("method %.40q; want GET, POST, PUT or another one of HTTP save CONNECT and TRACE", s.Method)
	}
	if err := httpheader.Check(s.Headers); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	size := 0
	for _, h := range s.Headers {
		size += len(h.Name) + len(h.Value)
	}
	for _, part := range []struct {
		name      string
		size, max int
	}{{"body", len(s.Body), MaxBody}, {"headers", size, MaxHeaders}, {"carry", len(s.Carry), MaxCarry}} {
		if part.size > part.max {
			return fmt.Errorf("%s: %d bytes; want at most %d", part.name, part.size, part.max)
		}
	}
	return nil
}
