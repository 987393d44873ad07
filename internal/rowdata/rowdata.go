package rowdata

import (
	"fmt"
)

// Codes of a [Fault].
const (
	// CodeRow: the row breaks the grammar of its format.
	CodeRow = "row"
	// CodeRowSize: the row has more bytes, columns, values or levels than
	// [Limits] allow.
	CodeRowSize = "row_size"
	// CodeEncoding: bytes that are not UTF-8.
	CodeEncoding = "encoding"
	// CodeColumns: the first line of a CSV file names no columns, not all that
	// are asked for, or one of these twice.
	CodeColumns = "columns"
	// CodeData: the file can't be read any further.
	CodeData = "data"
)

// Limits bound what one row may cost. Zero fields are the defaults.
type Limits struct {
	Row     int // bytes of a row's text; 0: 10 MiB
	Columns int // of a CSV file; 0: 16,384
	Depth   int // levels of arrays and objects in a JSON row; 0: 128
	// Values bounds the values in a JSON row, each counted once and once more
	// for every level it lies in: decoded values take many times their text,
	// and a JSONPath with ".." makes a path as long as that for all of them.
	// 0: 4 Mi.
	Values int
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{{&l.Row, 10 << 20}, {&l.Columns, 1 << 14}, {&l.Depth, 128}, {&l.Values, 4 << 20}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return l
}

// Row is one row. It is valid until the reader's next call of Next, but for
// the strings and JSON values in it, which stay.
type Row struct {
	Line   int64  // of its beginning, from 1; 0 in a JSON document
	Offset int64  // of its first byte in the decoded text
	Raw    []byte // its text, without the line end
	Cells  []string
	Value  any // the value of a JSON row

	header *header // of a CSV row
}

// IsJSON reports whether the row is a JSON value, not cells.
func (r *Row) IsJSON() bool { return r.header == nil }

// Cell returns the cell of a column; false: the file has no such column.
func (r *Row) Cell(column string) (string, bool) {
	if r.header == nil {
		return "", false
	}
	i, ok := r.header.index[column]
	if !ok || i >= len(r.Cells) {
		return "", false
	}
	return r.Cells[i], true
}

// Reader reads rows. It belongs to one goroutine.
type Reader interface {
	// Next returns the next row; see the package comment for its errors.
	Next() (Row, error)
}

// Fault is what is wrong with the data.
type Fault struct {
	Code   string
	Line   int64  // as of [Row]
	Offset int64  // of the row; with CodeData, of what is wrong
	Raw    []byte // the row's text, or its beginning; valid until the next call of Next
	End    bool   // no row follows
	Err    error
}

// Error says in which line, where there are lines, and what.
func (f *Fault) Error() string {
	if f.Line > 0 {
		return fmt.Sprintf("line %d: %v", f.Line, f.Err)
	}
	return f.Err.Error()
}

// Unwrap returns what is wrong.
func (f *Fault) Unwrap() error { return f.Err }

func faultf(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Err: fmt.Errorf(format, args...)}
}

// maxRaw is how much of a row over the limits a fault shows.
const maxRaw = 16 << 10
