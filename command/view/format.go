package view

import (
	"bufio"
	"encoding/csv"
	"errors"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// format turns rows into cells, which outlive the batch, and writes them.
type format interface {
	encode(b harrow.Batch, row int) []string
	write(cells []string) error
	end() error
}

func newFormat(w *bufio.Writer, out Output, columns []string) format {
	switch out.Format {
	case JSON:
		return &jsonFormat{w: w, columns: columns, terminal: out.Terminal}
	case CSV:
		return &csvFormat{raw: w, w: csv.NewWriter(w), columns: columns, terminal: out.Terminal}
	}
	t := &textFormat{t: NewTextTable(w, out.Terminal, out.Width, columns...), columns: columns}
	return t
}

type jsonFormat struct {
	w        *bufio.Writer
	columns  []string
	terminal bool
	buf      []byte
}

func (f *jsonFormat) encode(b harrow.Batch, row int) []string {
	f.buf = lakeio.AppendJSON(f.buf[:0], b, row, f.columns)
	if f.terminal {
		return []string{string(escapeJSON(f.buf))}
	}
	return []string{string(f.buf)}
}

func (f *jsonFormat) write(cells []string) error {
	_, err := f.w.WriteString(cells[0])
	if err == nil {
		err = f.w.WriteByte('\n')
	}
	return err
}

func (f *jsonFormat) end() error { return nil }

type csvFormat struct {
	raw      *bufio.Writer
	w        *csv.Writer
	columns  []string
	terminal bool
	begun    bool
}

func (f *csvFormat) encode(b harrow.Batch, row int) []string {
	cells := make([]string, len(f.columns))
	for i, name := range f.columns {
		cells[i] = ValueText(b.Column(name), row)
		if f.terminal {
			cells[i] = Printable(cells[i])
		}
	}
	return cells
}

func (f *csvFormat) header() error {
	if f.begun {
		return nil
	}
	f.begun = true
	return f.w.Write(f.columns)
}

func (f *csvFormat) write(cells []string) error {
	if err := f.header(); err != nil {
		return err
	}
	if len(cells) == 1 && cells[0] == "" {
		// An empty line would be no row.
		f.w.Flush()
		_, err := f.raw.WriteString("\"\"\n")
		return errors.Join(f.w.Error(), err)
	}
	return f.w.Write(cells)
}

func (f *csvFormat) end() error {
	if err := f.header(); err != nil {
		return err
	}
	f.w.Flush()
	return f.w.Error()
}

type textFormat struct {
	t       *TextTable
	columns []string
	known   bool // which columns are numbers
}

func (f *textFormat) encode(b harrow.Batch, row int) []string {
	cells := make([]string, len(f.columns))
	for i, name := range f.columns {
		a := b.Column(name)
		cells[i] = ValueText(a, row)
		if !f.known && a != nil && numeric(a) {
			f.t.Right(i)
		}
	}
	f.known = true
	return cells
}

func (f *textFormat) write(cells []string) error { return f.t.Row(cells...) }
func (f *textFormat) end() error                 { return f.t.End() }

// shortReasons leaves out of rejects' reasons what their columns say beside
// them, so that the reason itself has the room.
type shortReasons struct{ format }

func (f shortReasons) encode(b harrow.Batch, row int) []string {
	cells := f.format.encode(b, row)
	last := len(cells) - 1
	for _, column := range []string{"record", "field"} {
		if name := ValueText(b.Column(column), row); name != "" {
			cells[last] = strings.TrimPrefix(cells[last], column+" "+name+", ")
		}
	}
	return cells
}

// Sizes of a text table.
const (
	widestCell  = 60   // columns of a cell
	narrowest   = 8    // columns that a cell is shortened to, to fit a terminal
	measureRows = 1000 // rows that decide the columns' widths
)

// TextTable writes aligned columns. The first rows decide how wide they are,
// so any number of rows takes the same memory.
type TextTable struct {
	w        *bufio.Writer
	terminal bool
	width    int
	header   []string
	right    []bool
	widths   []int // nil: still measuring
	rows     [][]string
}

// NewTextTable begins a table. On a terminal it is made to fit width columns
// (0: no limit).
func NewTextTable(w *bufio.Writer, terminal bool, width int, header ...string) *TextTable {
	return &TextTable{w: w, terminal: terminal, width: width, header: header, right: make([]bool, len(header))}
}

// Right aligns a column to the right, for numbers.
func (t *TextTable) Right(column int) { t.right[column] = true }

// Row adds a row of one cell a column. Cells may be any text.
func (t *TextTable) Row(cells ...string) error {
	for i := range cells {
		cells[i] = Printable(cells[i])
	}
	if t.widths != nil {
		return t.line(cells)
	}
	if t.rows = append(t.rows, cells); len(t.rows) == measureRows {
		return t.flush()
	}
	return nil
}

// End writes what is left.
func (t *TextTable) End() error {
	if t.widths == nil {
		return t.flush()
	}
	return nil
}

func (t *TextTable) flush() error {
	t.measure()
	if err := t.line(t.header); err != nil {
		return err
	}
	for _, cells := range t.rows {
		if err := t.line(cells); err != nil {
			return err
		}
	}
	t.rows = nil
	return nil
}

func (t *TextTable) measure() {
	t.widths = make([]int, len(t.header))
	total := 2 * (len(t.header) - 1)
	for i := range t.header {
		t.widths[i] = Width(t.header[i])
		for _, cells := range t.rows {
			t.widths[i] = max(t.widths[i], min(Width(cells[i]), widestCell))
		}
		total += t.widths[i]
	}
	for t.terminal && t.width > 0 && total > t.width {
		widest := 0
		for i, w := range t.widths {
			if w > t.widths[widest] {
				widest = i
			}
		}
		if t.widths[widest] <= narrowest {
			return
		}
		t.widths[widest]--
		total--
	}
}

func (t *TextTable) line(cells []string) error {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		// A later cell may be wider than those that were measured: elsewhere
		// than on a terminal it is not worth losing anything for the looks.
		most := widestCell
		if t.terminal {
			most = t.widths[i]
		}
		c = Truncate(c, max(most, t.widths[i]))
		pad := strings.Repeat(" ", max(0, t.widths[i]-Width(c)))
		if t.right[i] {
			b.WriteString(pad + c)
		} else {
			b.WriteString(c + pad)
		}
	}
	_, err := t.w.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	return err
}
