package lookup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/normal"
	"github.com/harrowdata/harrow/internal/rowdata"
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
		// What is needed of a row should not keep all of it in memory.
		c.texts[i], c.nulls[i] = append(c.texts[i], strings.Clone(s)), append(c.nulls[i], !ok)
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

// textLimits bound the rows of CSV and JSON Lines.
var textLimits = rowdata.Limits{Row: maxLine, Columns: maxColumns}

// openText reads a file from its start.
func openText(in Input) (io.Reader, error) {
	return rowdata.Open(io.NewSectionReader(in, 0, in.Size()), nil)
}

// eachRow calls do with each row. A row that can't be read is an error.
func eachRow(ctx context.Context, in rowdata.Reader, do func(*rowdata.Row) error) error {
	for n := 1; ; n++ {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(&row)
		}
		if n%chunkRows == 0 {
			err = errors.Join(err, ctx.Err())
		}
		if err != nil {
			return err
		}
	}
}

// readText reads rows: value is that of a column in a row, false: null.
func readText(ctx context.Context, in rowdata.Reader, columns int, need []int, do func(Chunk) error, value func(row *rowdata.Row, column int) (string, bool)) error {
	c := newTextChunk(columns, need)
	err := eachRow(ctx, in, func(row *rowdata.Row) error {
		c.add(row.Line, func(column int) (string, bool) { return value(row, column) })
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

func openCSV(in Input) (*rowdata.CSV, error) {
	text, err := openText(in)
	if err != nil {
		return nil, err
	}
	return rowdata.NewCSV(text, nil, false, textLimits), nil
}

// csvColumns reads the first line.
func csvColumns(_ context.Context, in Input) ([]expr.Column, error) {
	r, err := openCSV(in)
	if err != nil {
		return nil, err
	}
	if _, err = r.Next(); r.Columns() == nil {
		return nil, err
	}
	return loose(r.Columns()), nil // what is wrong with the first row is told when it is read
}

// readCSV reads the rows; an empty value is null.
func readCSV(ctx context.Context, in Input, columns []expr.Column, need []int, do func(Chunk) error) error {
	r, err := openCSV(in)
	if err != nil {
		return err
	}
	return readText(ctx, r, len(columns), need, do, func(row *rowdata.Row, column int) (string, bool) {
		return row.Cells[column], row.Cells[column] != ""
	})
}

func openJSONL(in Input) (*objects, error) {
	text, err := openText(in)
	if err != nil {
		return nil, err
	}
	return &objects{rowdata.NewJSONLines(text, textLimits)}, nil
}

// objects are the rows of a JSON Lines file, each an object.
type objects struct{ *rowdata.JSONLines }

// Next implements [rowdata.Reader].
func (o *objects) Next() (rowdata.Row, error) {
	row, err := o.JSONLines.Next()
	if err != nil {
		return row, err
	}
	object, ok := row.Value.(map[string]any)
	if !ok {
		return row, fmt.Errorf("line %d: %.60q; expected a JSON object", row.Line, row.Raw)
	}
	if len(object) > maxColumns {
		return row, fmt.Errorf("line %d has %d keys; expected at most %d", row.Line, len(object), maxColumns)
	}
	return row, nil
}

// jsonColumns are the keys of all lines, in the order of their names.
func jsonColumns(ctx context.Context, in Input) ([]expr.Column, error) {
	r, err := openJSONL(in)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	err = eachRow(ctx, r, func(row *rowdata.Row) error {
		for name := range row.Value.(map[string]any) {
			if !known[name] {
				known[strings.Clone(name)] = true
			}
		}
		if len(known) > maxColumns {
			return fmt.Errorf("line %d: it has more than %d columns; expected at most as many", row.Line, maxColumns)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return loose(slices.Sorted(maps.Keys(known))), nil
}

// readJSONL reads the rows: a text is itself, null and a key that isn't there
// are null, anything else its JSON.
func readJSONL(ctx context.Context, in Input, columns []expr.Column, need []int, do func(Chunk) error) error {
	r, err := openJSONL(in)
	if err != nil {
		return err
	}
	return readText(ctx, r, len(columns), need, do, func(row *rowdata.Row, column int) (string, bool) {
		return textOf(row.Value.(map[string]any)[columns[column].Name])
	})
}

func textOf(value any) (string, bool) {
	switch value := value.(type) {
	case nil:
		return "", false
	case string:
		return value, true
	}
	text, err := normal.JSON(value)
	return text, err == nil // what was JSON becomes it
}
