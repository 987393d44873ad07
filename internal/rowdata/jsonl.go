package rowdata

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// JSONLines reads a JSON value a line; see the package comment.
type JSONLines struct {
	w      *window
	limits Limits
	line   int64
	used   int
	end    error
}

// NewJSONLines returns a reader of JSON Lines in UTF-8.
func NewJSONLines(text io.Reader, l Limits) *JSONLines {
	l = l.withDefaults()
	return &JSONLines{w: newWindow(text, l.Row), limits: l}
}

// Next implements [Reader].
func (j *JSONLines) Next() (Row, error) {
	for j.end == nil {
		j.w.pos += j.used
		j.used = 0
		size, long, err := j.find()
		if err != nil {
			j.end = err
			break
		}
		j.line++
		offset := j.w.offset()
		if long {
			return Row{}, j.pass(offset)
		}
		j.used = size
		raw := bytes.TrimSuffix(bytes.TrimSuffix(j.w.bytes()[:size], []byte("\n")), []byte("\r"))
		if len(bytes.TrimLeft(raw, " \t\r")) == 0 {
			continue
		}
		if len(raw) > j.limits.Row {
			return Row{}, j.fault(j.long(), offset, raw)
		}
		value, fault := decodeJSON(raw, j.limits)
		if fault != nil {
			return Row{}, j.fault(fault, offset, raw)
		}
		return Row{Line: j.line, Offset: offset, Raw: raw, Value: value}, nil
	}
	return Row{}, j.end
}

// find returns the length of the next line with its end. long: it is longer
// than the limit.
func (j *JSONLines) find() (size int, long bool, err error) {
	for seen := 0; ; {
		b := j.w.bytes()
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			return seen + i + 1, false, nil
		}
		if seen = len(b); j.w.more() {
			continue
		}
		switch {
		case j.w.full():
			return 0, true, nil
		case j.w.err != io.EOF || len(b) == 0:
			return 0, false, j.w.err
		}
		return len(b), false, nil
	}
}

// pass goes on to the next line.
func (j *JSONLines) pass(offset int64) *Fault {
	head := slices.Clone(j.w.bytes()[:maxHead(j.limits.Row)])
	for {
		i := bytes.IndexByte(j.w.bytes(), '\n')
		if i >= 0 {
			j.used = i + 1
			break
		}
		j.w.pos = j.w.end
		if !j.w.more() {
			j.end = j.w.err
			break
		}
	}
	return j.fault(j.long(), offset, head)
}

func (j *JSONLines) long() *Fault {
	return faultf(CodeRowSize, "the line is longer than %d bytes", j.limits.Row)
}

func (j *JSONLines) fault(f *Fault, offset int64, raw []byte) *Fault {
	f.Line, f.Offset, f.Raw = j.line, offset, raw[:min(len(raw), maxHead(j.limits.Row))]
	f.Err = fmt.Errorf("line %d: %w", j.line, f.Err)
	return f
}
