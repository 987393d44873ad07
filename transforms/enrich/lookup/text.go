package lookup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/harrowdata/harrow/internal/expr"
)

// textChunk gathers rows of texts.
type textChunk struct {
	need   []int
	texts  [][]string
	nulls  [][]bool
	lines  []int64
	bytes  int
	column int // of the file
}

func newTextChunk(columns int, need []int) *textChunk {
	return &textChunk{need: need, texts: make([][]string, len(need)), nulls: make([][]bool, len(need)), column: columns}
}

// add takes one row: value is asked for each column that is needed.
func (c *textChunk) add(line int64, value func(column int) (string, bool)) {
	for i, column := range c.need {
		s, ok := value(column)
		if !utf8.ValidString(s) {
			s = strings.ToValidUTF8(s, "\uFFFD")
		}
		c.texts[i], c.nulls[i] = append(c.texts[i], s), append(c.nulls[i], !ok)
		c.bytes += len(s)
	}
	c.lines = append(c.lines, line)
}

func (c *textChunk) full() bool { return len(c.lines) >= chunkRows || c.bytes >= maxLine }

// hand hands the rows on and begins anew.
func (c *textChunk) hand(do func(Chunk) error) error {
	if len(c.lines) == 0 {
		return nil
	}
	lines := c.lines
	out := Chunk{Rows: len(lines), Columns: make([]*expr.Vector, c.column), where: func(row int) int64 { return lines[row] }}
	for i, column := range c.need {
		out.Columns[column] = &expr.Vector{Kind: expr.Text, Rows: out.Rows, Texts: c.texts[i], Nulls: c.nulls[i]}
	}
	*c = *newTextChunk(c.column, c.need)
	return do(out)
}

// bounded ends with an error when more is read than maxLine since the last
// call of next, so that a row can't take more memory.
type bounded struct {
	r    io.Reader
	left int
}

var errLine = fmt.Errorf("a row has more than %d MiB; expected shorter ones, with every quote closed", maxLine>>20)

func (b *bounded) next() { b.left = maxLine }

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLine
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// section reads a file from its start, without a byte order mark.
func section(in Input) (io.Reader, error) {
	r := bufio.NewReader(io.NewSectionReader(in, 0, in.Size()))
	if mark, err := r.Peek(3); err == nil && string(mark) == "\uFEFF" {
		_, err = r.Discard(3)
		return r, err
	}
	return r, nil
}

func csvReader(in Input) (*csv.Reader, *bounded, error) {
	text, err := section(in)
	if err != nil {
		return nil, nil, err
	}
	limit := &bounded{r: text}
	limit.next()
	r := csv.NewReader(limit)
	r.ReuseRecord = true
	return r, limit, nil
}

// csvColumns reads the first line.
func csvColumns(_ context.Context, in Input) ([]expr.Column, error) {
	r, _, err := csvReader(in)
	if err != nil {
		return nil, err
	}
	names, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty; expected a first line with the names of the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("its first line: %w", err)
	}
	if n := len(names); n > maxColumns {
		return nil, fmt.Errorf("it has %d columns; expected at most %d", n, maxColumns)
	}
	return loose(slices.Clone(names)), nil
}

// readCSV reads the rows; an empty value is null.
func readCSV(ctx context.Context, in Input, columns []expr.Column, need []int, do func(Chunk) error) error {
	r, limit, err := csvReader(in)
	if err != nil {
		return err
	}
	if _, err := r.Read(); err != nil {
		return err
	}
	c := newTextChunk(len(columns), need)
	for {
		limit.next()
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return c.hand(do)
		}
		if err != nil {
			return err // with its line
		}
		line, _ := r.FieldPos(0)
		// The record's memory is used again, its string isn't: only what is
		// needed of it should stay.
		c.add(int64(line), func(column int) (string, bool) { return strings.Clone(row[column]), row[column] != "" })
		if c.full() {
			if err := errors.Join(ctx.Err(), c.hand(do)); err != nil {
				return err
			}
		}
	}
}

// eachObject calls do with the line and the object of each line that is not
// empty.
func eachObject(ctx context.Context, in Input, do func(line int64, object map[string]json.RawMessage) error) error {
	text, err := section(in)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for line := int64(1); lines.Scan(); line++ {
		data := bytes.TrimSpace(lines.Bytes())
		if len(data) == 0 {
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(data, &object); err != nil || object == nil {
			return fmt.Errorf("line %d: %.60q; expected a JSON object", line, data)
		}
		if len(object) > maxColumns {
			return fmt.Errorf("line %d has %d keys; expected at most %d", line, len(object), maxColumns)
		}
		if err := do(line, object); err != nil {
			return err
		}
		if line%chunkRows == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return errLine
	}
	return lines.Err()
}

// jsonColumns are the keys of all lines, in the order of their names.
func jsonColumns(ctx context.Context, in Input) ([]expr.Column, error) {
	known := map[string]bool{}
	err := eachObject(ctx, in, func(line int64, object map[string]json.RawMessage) error {
		for name := range object {
			known[name] = true
		}
		if len(known) > maxColumns {
			return fmt.Errorf("line %d: it has more than %d columns; expected at most as many", line, maxColumns)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(known))
	for n := range known {
		names = append(names, n)
	}
	slices.Sort(names)
	return loose(names), nil
}

// readJSONL reads the rows: a text is itself, null and a key that isn't there
// are null, anything else its JSON.
func readJSONL(ctx context.Context, in Input, columns []expr.Column, need []int, do func(Chunk) error) error {
	c := newTextChunk(len(columns), need)
	err := eachObject(ctx, in, func(line int64, object map[string]json.RawMessage) error {
		c.add(line, func(column int) (string, bool) {
			raw, ok := object[columns[column].Name]
			if !ok || string(raw) == "null" {
				return "", false
			}
			var text string
			if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
				return text, true
			}
			return string(raw), true
		})
		if c.full() {
			return c.hand(do)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.hand(do)
}
