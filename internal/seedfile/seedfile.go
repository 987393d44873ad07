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
// Package rowdata says what CSV and JSON Lines are. Here each column of CSV
// needs a name of its own.
//
// Whatever the method, a seed is a question: it may be asked again after a
// transient failure as every request is, unless fetch.retry.attempts is 1.
package seedfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/carry"
	"github.com/harrowdata/harrow/internal/httpheader"
	"github.com/harrowdata/harrow/internal/normal"
	"github.com/harrowdata/harrow/internal/rowdata"
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
// a whole can't be read (its header, say); it names the file.
func Each(ctx context.Context, name string, r io.Reader, to Taker) error {
	text, err := rowdata.Open(r, nil)
	if err == nil {
		in, seed := readerOf(name, text)
		err = each(ctx, in, seed, to)
	}
	if err != nil {
		return fmt.Errorf("seeds %s: %w", name, err)
	}
	return nil
}

// readerOf goes by the ending of a file's name. A row that is passed over
// becomes a nil seed.
func readerOf(name string, text io.Reader) (in rowdata.Reader, seed func(*rowdata.Row) (*Seed, error)) {
	limits := rowdata.Limits{Row: MaxLine}
	switch strings.ToLower(path.Ext(name)) {
	case ".csv":
		t := &table{CSV: rowdata.NewCSV(text, []string{"url"}, false, limits)}
		return t, t.seed
	case ".jsonl":
		return rowdata.NewJSONLines(text, limits), fromJSON
	}
	return rowdata.NewLines(text, limits), fromLine
}

func each(ctx context.Context, in rowdata.Reader, seed func(*rowdata.Row) (*Seed, error), to Taker) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := in.Next()
		var fault *rowdata.Fault
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &fault) && !fault.End:
			err = to.Bad(int(fault.Line), normal.UTF8(string(fault.Raw)), fault.Err.Error())
		case err == nil:
			var s *Seed
			if s, err = seed(&row); err != nil {
				err = to.Bad(int(row.Line), string(row.Raw), err.Error())
			} else if s != nil {
				err = to.Seed(int(row.Line), *s)
			}
		}
		if err != nil {
			return err
		}
	}
}

// fromLine reads a line that is a URL.
func fromLine(row *rowdata.Row) (*Seed, error) {
	line := strings.TrimSpace(string(row.Raw))
	if line == "" || line[0] == '#' {
		return nil, nil
	}
	return &Seed{URL: line, Method: "GET"}, nil
}

// table is a CSV file. Its columns are carried, so each needs a name of its
// own.
type table struct {
	*rowdata.CSV
	columns []string
}

// Next implements [rowdata.Reader].
func (t *table) Next() (rowdata.Row, error) {
	row, err := t.CSV.Next()
	if t.columns == nil {
		t.columns = t.Columns()
		for i, name := range t.columns {
			switch {
			case name == "":
				return row, fmt.Errorf("line 1: column %d has no name", i+1)
			case slices.Contains(t.columns[:i], name):
				return row, fmt.Errorf("line 1: two columns are called %s", head(name))
			}
		}
	}
	return row, err
}

func (t *table) seed(row *rowdata.Row) (s *Seed, err error) {
	others := map[string]any{}
	s = &Seed{}
	for i, name := range t.columns {
		v := row.Cells[i]
		switch {
		case v == "":
		case name == "url":
			s.URL = v
		case name == "method":
			s.Method = v
		case name == "body":
			s.Body = []byte(v)
		case name == "headers":
			list, fault := rowdata.DecodeJSON([]byte(v), rowdata.Limits{})
			if fault != nil {
				return nil, fmt.Errorf("headers: %w", fault)
			}
			if s.Headers, err = headersOf(list); err != nil {
				return nil, err
			}
		default:
			others[name] = v
		}
	}
	if s.Carry, err = carry.Encode(others); err != nil {
		return nil, err
	}
	return s, s.check()
}

// head is the beginning of a text.
func head(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "\ufffd") }

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
