package rowdata

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// CSV reads a CSV file; see the package comment.
type CSV struct {
	w       *window
	limits  Limits
	scanner scanner
	wanted  []string
	tabs    bool
	header  *header
	end     error // what every further call returns

	line   int64 // of the next record
	offset int64
	used   int // bytes of the window to drop before the next record
	usedLF int64
	credit int64 // bytes that may be scanned a second time
	cells  []string
}

// NewCSV returns a reader of CSV in UTF-8. columns are those asked for, each
// of which the first line must have; tabs: the delimiter is the tab.
func NewCSV(text io.Reader, columns []string, tabs bool, l Limits) *CSV {
	l = l.withDefaults()
	c := &CSV{w: newWindow(text, l.Row), limits: l, wanted: columns, tabs: tabs, line: 1, credit: int64(l.Row)}
	c.scanner.columns = l.Columns
	return c
}

// Columns are the names in the first line, once Next was called and it could
// be read.
func (c *CSV) Columns() []string {
	if c.header == nil {
		return nil
	}
	return slices.Clone(c.header.names)
}

// Next implements [Reader].
func (c *CSV) Next() (Row, error) {
	if c.header == nil && c.end == nil {
		c.end = c.readHeader()
	}
	for c.end == nil {
		c.advance()
		found, err := c.record()
		switch {
		case !found && err != nil:
			c.end = err
		case err != nil:
			return Row{}, err
		case !c.scanner.blank():
			return c.row()
		}
	}
	return Row{}, c.end
}

// advance drops the record that was handed out.
func (c *CSV) advance() {
	c.w.pos += c.used
	c.line += c.usedLF
	c.used, c.usedLF = 0, 0
	c.offset = c.w.offset()
	c.scanner.reset()
}

// record finds the next record. A fault of it comes with found, any other
// error without.
func (c *CSV) record() (found bool, err error) {
	for {
		b := c.w.bytes()
		if c.w.ended() && len(b) == 0 {
			return false, c.w.err
		}
		if c.scanner.scan(b, c.w.ended() && c.w.err == io.EOF) {
			break
		}
		if c.w.more() {
			continue
		}
		switch {
		case c.w.full():
			return true, c.tooLong()
		case c.w.err != io.EOF:
			return false, c.w.err
		}
	}
	if c.scanner.open {
		return true, c.neverClosed("the end of the file")
	}
	c.take()
	return true, nil
}

// take notes that the record that was found is used up.
func (c *CSV) take() {
	c.used = c.scanner.size
	if c.usedLF = 1; c.scanner.quoted {
		c.usedLF = lines(c.w.bytes()[:c.used])
	}
	c.credit = min(c.credit+int64(c.used), int64(c.limits.Row))
}

// row makes the record that was found a row.
func (c *CSV) row() (Row, error) {
	raw := c.w.bytes()[:c.scanner.text]
	if fault := c.check(raw); fault != nil {
		return Row{}, c.fault(fault, raw)
	}
	c.cells = c.scanner.texts(c.cells[:0], raw)
	for _, extra := range c.cells[min(len(c.header.names), len(c.cells)):] {
		if extra != "" {
			return Row{}, c.fault(c.ragged(), raw)
		}
	}
	c.cells = c.cells[:len(c.header.names)]
	return Row{Line: c.line, Offset: c.offset, Raw: raw, Cells: c.cells, header: c.header}, nil
}

func (c *CSV) check(raw []byte) *Fault {
	switch {
	case len(raw) > c.limits.Row:
		return c.long()
	case c.scanner.count > c.limits.Columns:
		return faultf(CodeRowSize, "the row has %d cells; at most %d are read", c.scanner.count, c.limits.Columns)
	case c.scanner.count < len(c.header.names):
		return c.ragged()
	case !utf8.Valid(raw):
		return notUTF8(raw)
	}
	return nil
}

func (c *CSV) ragged() *Fault {
	return faultf(CodeRow, "the row has %d cells; the first line has %d", c.scanner.count, len(c.header.names))
}

func notUTF8(raw []byte) *Fault {
	at := 0
	for at < len(raw) {
		r, n := utf8.DecodeRune(raw[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return faultf(CodeEncoding, "byte %d of the row is no UTF-8", at)
}

// fault places a fault at the record.
func (c *CSV) fault(f *Fault, raw []byte) *Fault {
	f.Line, f.Offset, f.Raw = c.line, c.offset, raw[:min(len(raw), maxHead(c.limits.Row))]
	return f
}

// tooLong deals with a record that does not end within the limit.
func (c *CSV) tooLong() error {
	if c.scanner.state == inQuotes {
		if _, _, ok := lineEnd(c.w.bytes()); ok && c.credit > 0 {
			return c.neverClosed(fmt.Sprintf("the %d bytes that a row may have", c.limits.Row))
		}
	}
	head := slices.Clone(c.w.bytes()[:maxHead(c.limits.Row)])
	if err := c.pass(); err != nil {
		c.end = err // the fault comes first
	}
	return c.fault(c.long(), head)
}

func (c *CSV) long() *Fault {
	return faultf(CodeRowSize, "the row is longer than %d bytes", c.limits.Row)
}

func maxHead(limit int) int { return min(limit, maxRaw) }

// pass goes on to the end of a record without keeping it.
func (c *CSV) pass() error {
	c.scanner.columns = 0 // no cells
	defer func() { c.scanner.columns = c.limits.Columns }()
	for {
		n := c.scanner.pos
		if n > 0 && c.w.bytes()[n-1] == '\r' {
			n-- // perhaps CRLF, which is one line end
		}
		c.usedLF += lines(c.w.bytes()[:n])
		c.w.pos += n
		c.scanner.moved(n)
		if !c.w.more() && c.w.err != io.EOF {
			c.used = 0
			return c.w.err
		}
		b := c.w.bytes()
		if c.scanner.scan(b, c.w.ended()) {
			c.used = c.scanner.size
			c.usedLF += lines(b[:c.used])
			return nil
		}
	}
}

// neverClosed deals with a quote that is not closed before what: of the record
// only the first line is lost. What was scanned is scanned again then, which
// would be for ever in a file that is nothing but such lines: where there is
// no credit for it, all of the record is lost.
func (c *CSV) neverClosed(what string) error {
	b := c.w.bytes()
	text, size, ok := lineEnd(b)
	if ok && c.credit > 0 {
		c.credit -= int64(len(b))
		c.used, c.usedLF = size, 1
	} else {
		c.used, c.usedLF = len(b), lines(b)
	}
	return c.fault(faultf(CodeRow, "a quote is not closed before %s", what), b[:text])
}

// header is the first line of a file.
type header struct {
	names []string
	index map[string]int
}

var errNoHeader = errors.New("the file has no line that names the columns")
