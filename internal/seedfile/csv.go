package seedfile

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/harrowdata/harrow/internal/carry"
)

// errRow: a row goes on and on; the rest of the file may be part of it.
var errRow = fmt.Errorf("it is longer than %d bytes: is a quote not closed?", MaxLine)

// rationed reads on until what it may read is used up.
type rationed struct {
	r    io.Reader
	left int
}

func (r *rationed) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errRow
	}
	n, err := r.r.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// rowReader reads rows, each within a bound.
type rowReader struct {
	*csv.Reader
	source *rationed
	last   int // line of the row before
}

func newRowReader(r io.Reader) *rowReader {
	source := &rationed{r: r}
	in := csv.NewReader(bufio.NewReader(source))
	in.ReuseRecord, in.FieldsPerRecord = true, -1
	return &rowReader{Reader: in, source: source}
}

// next reads a row and says in which line it begins.
func (r *rowReader) next() (row []string, line int, err error) {
	r.source.left = MaxLine
	row, err = r.Read()
	if err == nil {
		r.last, _ = r.FieldPos(0)
		return row, r.last, nil
	}
	var parse *csv.ParseError
	if errors.As(err, &parse) && parse.Line == parse.StartLine {
		return row, parse.StartLine, parse.Err
	}
	if parse != nil {
		// What the quote swallowed may be the rest of the file.
		return nil, parse.StartLine, fmt.Errorf("line %d: a quote is not closed, or text follows it in line %d", parse.StartLine, parse.Line)
	}
	if err != io.EOF {
		err = fmt.Errorf("the row after line %d: %w", r.last, err)
	}
	return row, r.last, err
}

func eachRow(ctx context.Context, r io.Reader, to Taker) error {
	in := newRowReader(r)
	columns, err := columnsOf(in)
	if err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, line, err := in.next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, csv.ErrBareQuote) && !errors.Is(err, csv.ErrQuote) {
			return err
		}
		var s Seed
		if err == nil {
			s, err = fromRow(columns, row)
		}
		if err != nil {
			err = to.Bad(line, strings.ToValidUTF8(strings.Join(row, ","), "\ufffd"), err.Error())
		} else {
			err = to.Seed(line, s)
		}
		if err != nil {
			return err
		}
	}
}

// columnsOf reads the header.
func columnsOf(in *rowReader) ([]string, error) {
	row, _, err := in.next()
	if err == io.EOF {
		return nil, errors.New("line 1: empty; want a header with a column url")
	}
	if err != nil {
		return nil, fmt.Errorf("line 1: %w", err)
	}
	columns := slices.Clone(row)
	columns[0] = strings.TrimPrefix(columns[0], "\ufeff")
	for i, name := range columns {
		columns[i] = strings.TrimSpace(name)
		switch {
		case columns[i] == "":
			return nil, fmt.Errorf("line 1: column %d has no name", i+1)
		case !utf8.ValidString(name):
			return nil, errors.New("line 1: " + notUTF8)
		case slices.Contains(columns[:i], columns[i]):
			return nil, fmt.Errorf("line 1: two columns are called %s", head(columns[i]))
		}
	}
	if !slices.Contains(columns, "url") {
		return nil, fmt.Errorf("line 1: columns %q; want one called url", columns)
	}
	return columns, nil
}

// fromRow reads one row; what it says of the reader's buffer is copied.
func fromRow(columns, row []string) (s Seed, err error) {
	if len(row) != len(columns) {
		return s, fmt.Errorf("got %d fields; want %d, as the header has", len(row), len(columns))
	}
	others := map[string]json.RawMessage{}
	for i, name := range columns {
		v := row[i]
		switch {
		case !utf8.ValidString(v):
			return s, errors.New(notUTF8)
		case v == "":
		case name == "url":
			s.URL = strings.Clone(v)
		case name == "method":
			s.Method = strings.Clone(v)
		case name == "body":
			s.Body = []byte(v)
		case name == "headers":
			if s.Headers, err = headersOf(json.RawMessage(v)); err != nil {
				return s, err
			}
		default:
			others[name] = literal(v)
		}
	}
	if s.Carry, err = carry.Encode(others); err != nil {
		return s, err
	}
	return s, s.check()
}
