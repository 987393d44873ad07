package rowdata

import (
	"bytes"
	"io"
	"slices"
	"unicode/utf8"
)

// Lines reads text by its lines: rows of which only Raw is set. Lines of white
// space are passed over. One over the limits, or not UTF-8, is a fault.
type Lines struct {
	w      *window
	limits Limits
	line   int64
	used   int
	end    error
}

// JSONLines reads a JSON value a line; see the package comment.
type JSONLines struct{ lines *Lines }

// NewLines returns a reader of lines in UTF-8.
func NewLines(text io.Reader, l Limits) *Lines {
	l = l.withDefaults()
	return &Lines{w: newWindow(text, l.Row), limits: l}
}

// NewJSONLines returns a reader of JSON Lines in UTF-8.
func NewJSONLines(text io.Reader, l Limits) *JSONLines { return &JSONLines{NewLines(text, l)} }

// Next implements [Reader].
func (j *JSONLines) Next() (Row, error) {
	row, err := j.lines.next()
	if err != nil {
		return row, err
	}
	value, fault := decodeJSON(row.Raw, j.lines.limits)
	if fault != nil {
		return Row{}, j.lines.fault(fault, row.Offset, row.Raw)
	}
	row.Value = value
	return row, nil
}

// Next implements [Reader].
func (l *Lines) Next() (Row, error) {
	row, err := l.next()
	if err == nil && !utf8.Valid(row.Raw) {
		return Row{}, l.fault(notUTF8(row.Raw), row.Offset, row.Raw)
	}
	return row, err
}

// next finds the next line; it need not be UTF-8.
func (l *Lines) next() (Row, error) {
	for l.end == nil {
		l.w.pos += l.used
		l.used = 0
		size, long, err := l.find()
		if err != nil {
			l.end = err
			break
		}
		l.line++
		offset := l.w.offset()
		if long {
			return Row{}, l.pass(offset)
		}
		l.used = size
		raw := bytes.TrimSuffix(bytes.TrimSuffix(l.w.bytes()[:size], []byte("\n")), []byte("\r"))
		if len(bytes.TrimLeft(raw, " \t\r")) == 0 {
			continue
		}
		if len(raw) > l.limits.Row {
			return Row{}, l.fault(l.long(), offset, raw)
		}
		return Row{Line: l.line, Offset: offset, Raw: raw}, nil
	}
	return Row{}, l.end
}

// find returns the length of the next line with its end. long: it is longer
// than the limit.
func (l *Lines) find() (size int, long bool, err error) {
	for seen := 0; ; {
		b := l.w.bytes()
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			return seen + i + 1, false, nil
		}
		if seen = len(b); l.w.more() {
			continue
		}
		switch {
		case l.w.full():
			return 0, true, nil
		case l.w.err != io.EOF || len(b) == 0:
			return 0, false, l.w.err
		}
		return len(b), false, nil
	}
}

// pass goes on to the next line.
func (l *Lines) pass(offset int64) *Fault {
	head := slices.Clone(l.w.bytes()[:maxHead(l.limits.Row)])
	for {
		i := bytes.IndexByte(l.w.bytes(), '\n')
		if i >= 0 {
			l.used = i + 1
			break
		}
		l.w.pos = l.w.end
		if !l.w.more() {
			l.end = l.w.err
			break
		}
	}
	return l.fault(l.long(), offset, head)
}

func (l *Lines) long() *Fault {
	return faultf(CodeRowSize, "the line is longer than %d bytes", l.limits.Row)
}

func (l *Lines) fault(f *Fault, offset int64, raw []byte) *Fault {
	f.Line, f.Offset, f.Raw = l.line, offset, raw[:min(len(raw), maxHead(l.limits.Row))]
	return f
}
