package rowdata

import (
	"io"
	"slices"
	"strings"
)

// jsonText passes over JSON as it streams, checking its grammar. What it is
// told to keep stays in the window, unless it grows over the limit.
type jsonText struct {
	w      *window
	levels []bool // open arrays (false) and objects (true) of the value passed over
	long   bool   // what was kept grew over the limit
	head   []byte // then, its beginning
}

// maxLevels bounds the nesting of what is passed over: a byte a level.
const maxLevels = 16 << 20

// more reads more; false: there is none.
func (t *jsonText) more() bool {
	if t.w.more() {
		return true
	}
	if t.w.keep < 0 || !t.w.full() {
		return false
	}
	t.head = slices.Clone(t.w.buf[t.w.keep:][:maxHead(t.w.end-t.w.keep)])
	t.w.keep, t.long = -1, true
	return t.w.more()
}

// byte is the next byte; false: the text has ended.
func (t *jsonText) byte() (byte, bool) {
	if t.w.pos == t.w.end && !t.more() {
		return 0, false
	}
	return t.w.buf[t.w.pos], true
}

// next is the next byte that is not white space.
func (t *jsonText) next() (byte, bool) {
	for {
		if t.w.pos < t.w.end && t.w.buf[t.w.pos] > ' ' {
			return t.w.buf[t.w.pos], true
		}
		c, ok := t.byte()
		if !ok || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c, ok
		}
		t.w.pos++
	}
}

// wrong says what stands where something else was expected. An error of the
// source comes first.
func (t *jsonText) wrong(expected string) error {
	c, ok := t.byte()
	if !ok && t.w.err != io.EOF {
		return t.w.err
	}
	f := wrongJSON(expected, t.w.offset(), !ok, c)
	f.Code, f.Offset, f.End = CodeData, t.w.offset(), true
	return f
}

// one passes over c.
func (t *jsonText) one(c byte, expected string) error {
	if got, ok := t.next(); !ok || got != c {
		return t.wrong(expected)
	}
	t.w.pos++
	return nil
}

// value passes over one value.
func (t *jsonText) value() error {
	t.levels = t.levels[:0]
	for {
		opened, err := t.begin()
		if err != nil {
			return err
		}
		if opened {
			continue
		}
		more, err := t.after()
		if err != nil || !more {
			return err
		}
	}
}

// begin passes over a scalar, an empty array or object, or what opens one and
// stands before its first value: then opened.
func (t *jsonText) begin() (opened bool, err error) {
	c, ok := t.next()
	switch {
	case !ok:
		return false, t.wrong("a value")
	case c == '{' || c == '[':
		return t.open(c == '{')
	case c == '"':
		return false, t.string()
	case c == '-' || '0' <= c && c <= '9':
		return false, t.number()
	case c == 'n':
		return false, t.literal("null")
	case c == 't':
		return false, t.literal("true")
	case c == 'f':
		return false, t.literal("false")
	}
	return false, t.wrong("a value")
}

func (t *jsonText) open(object bool) (opened bool, err error) {
	t.w.pos++
	c, ok := t.next()
	switch {
	case ok && (object && c == '}' || !object && c == ']'):
		t.w.pos++
		return false, nil
	case len(t.levels) == maxLevels:
		f := faultf(CodeData, "JSON nested more than %d levels at byte %d", maxLevels, t.w.offset())
		f.Offset, f.End = t.w.offset(), true
		return false, f
	}
	t.levels = append(t.levels, object)
	if object {
		err = t.name()
	}
	return true, err
}

// after passes over what follows a value: the ends of what it closes, and a
// comma with the name that follows it; more: a value follows.
func (t *jsonText) after() (more bool, err error) {
	for len(t.levels) > 0 {
		object := t.levels[len(t.levels)-1]
		c, ok := t.next()
		switch {
		case ok && c == ',':
			t.w.pos++
			if object {
				err = t.name()
			}
			return true, err
		case ok && (object && c == '}' || !object && c == ']'):
			t.w.pos++
			t.levels = t.levels[:len(t.levels)-1]
		case object:
			return false, t.wrong("a comma or }")
		default:
			return false, t.wrong("a comma or ]")
		}
	}
	return false, nil
}

// name passes over a member's name and its colon.
func (t *jsonText) name() error {
	if c, ok := t.next(); !ok || c != '"' {
		return t.wrong("a member's name in quotes")
	}
	if err := t.string(); err != nil {
		return err
	}
	return t.one(':', "a colon")
}

func (t *jsonText) literal(text string) error {
	for i := range len(text) {
		if c, ok := t.byte(); !ok || c != text[i] {
			return t.wrong("a value")
		}
		t.w.pos++
	}
	return nil
}

func (t *jsonText) digits() error {
	found := false
	for {
		c, ok := t.byte()
		if !ok || c < '0' || c > '9' {
			break
		}
		found = true
		t.w.pos++
	}
	if !found {
		return t.wrong("a digit")
	}
	return nil
}

func (t *jsonText) number() error {
	if c, _ := t.byte(); c == '-' {
		t.w.pos++
	}
	if c, ok := t.byte(); ok && c == '0' {
		t.w.pos++
	} else if err := t.digits(); err != nil {
		return err
	}
	if c, ok := t.byte(); ok && c == '.' {
		t.w.pos++
		if err := t.digits(); err != nil {
			return err
		}
	}
	c, ok := t.byte()
	if !ok || c != 'e' && c != 'E' {
		return nil
	}
	t.w.pos++
	if c, ok := t.byte(); ok && (c == '+' || c == '-') {
		t.w.pos++
	}
	return t.digits()
}

func (t *jsonText) string() error {
	t.w.pos++
	for {
		b := t.w.buf[t.w.pos:t.w.end]
		i := 0
		for i < len(b) && plainText[b[i]] {
			i++
		}
		t.w.pos += i
		c, ok := t.byte()
		switch {
		case !ok:
			return t.wrong("a quote")
		case c == '"':
			t.w.pos++
			return nil
		case c == '\\':
			if err := t.escape(); err != nil {
				return err
			}
		case c < ' ':
			return t.wrong("no control character in a string")
		}
	}
}

func (t *jsonText) escape() error {
	t.w.pos++
	c, ok := t.byte()
	switch {
	case ok && c != 0 && strings.IndexByte(escapes, c) >= 0:
		t.w.pos++
		return nil
	case !ok || c != 'u':
		return t.wrong("an escape")
	}
	t.w.pos++
	for range 4 {
		c, ok := t.byte()
		if !ok || strings.IndexByte("0123456789abcdefABCDEF", c) < 0 {
			return t.wrong("a hexadecimal digit")
		}
		t.w.pos++
	}
	return nil
}
