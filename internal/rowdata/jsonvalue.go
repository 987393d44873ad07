package rowdata

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// DecodeJSON reads a text that is one JSON value, as of a row; see the package
// comment.
func DecodeJSON(text []byte, l Limits) (any, *Fault) {
	l = l.withDefaults()
	if len(text) > l.Row {
		return nil, faultf(CodeRowSize, "the text is longer than %d bytes", l.Row)
	}
	return decodeJSON(text, l)
}

// decodeJSON is DecodeJSON within limits that are filled in.
func decodeJSON(text []byte, l Limits) (any, *Fault) {
	if !utf8.Valid(text) {
		return nil, notUTF8(text)
	}
	d := decoder{text: string(text), limits: l}
	value := d.value(0)
	if d.space(); d.fault == nil && d.pos < len(d.text) {
		d.wrong("the end of the value")
	}
	if d.fault != nil {
		return nil, d.fault
	}
	return value, nil
}

// decoder reads one JSON value. Its strings are pieces of the text where they
// hold no escapes.
type decoder struct {
	text   string
	pos    int
	values int
	limits Limits
	fault  *Fault
}

func (d *decoder) wrong(expected string) {
	if d.fault == nil {
		d.fault = wrongJSON(expected, int64(d.pos), d.pos >= len(d.text), d.peek())
	}
}

// wrongJSON says what stands where something else was expected.
func wrongJSON(expected string, at int64, end bool, got byte) *Fault {
	if end {
		return faultf(CodeRow, "no JSON: the text ends at byte %d; expected %s", at, expected)
	}
	return faultf(CodeRow, "no JSON: %q at byte %d; expected %s", rune(got), at, expected)
}

// peek is the next byte; 0 at the end.
func (d *decoder) peek() byte {
	if d.pos < len(d.text) {
		return d.text[d.pos]
	}
	return 0
}

func (d *decoder) space() byte {
	for d.pos < len(d.text) {
		switch d.text[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return d.text[d.pos]
		}
	}
	return 0
}

// count bounds what a value takes.
func (d *decoder) count(depth int) bool {
	if d.values += depth + 1; d.values > d.limits.Values {
		d.fault = faultf(CodeRowSize, "the row has too many values (counted by their levels more than %d)", d.limits.Values)
	}
	return d.fault == nil
}

// open bounds the levels.
func (d *decoder) open(depth int) bool {
	d.pos++
	if depth == d.limits.Depth {
		d.fault = faultf(CodeRowSize, "the row nests more than %d levels of arrays and objects", d.limits.Depth)
	}
	return d.fault == nil
}

func (d *decoder) value(depth int) any {
	c := d.space()
	if !d.count(depth) {
		return nil
	}
	switch {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		return d.string()
	case c == '-' || '0' <= c && c <= '9':
		return d.number()
	}
	for _, l := range literals {
		if strings.HasPrefix(d.text[d.pos:], l.text) {
			d.pos += len(l.text)
			return l.value
		}
	}
	d.wrong("a value")
	return nil
}

var literals = []struct {
	text  string
	value any
}{{"null", nil}, {"true", true}, {"false", false}}

func (d *decoder) object(depth int) any {
	if !d.open(depth) {
		return nil
	}
	m := map[string]any{}
	if d.space() == '}' {
		d.pos++
		return m
	}
	for d.fault == nil {
		if d.space() != '"' {
			d.wrong("a member's name in quotes")
			return nil
		}
		name := d.string()
		if d.space() != ':' {
			d.wrong("a colon")
			return nil
		}
		d.pos++
		m[name] = d.value(depth + 1)
		switch d.space() {
		case ',':
			d.pos++
		case '}':
			d.pos++
			return m
		default:
			d.wrong("a comma or }")
		}
	}
	return nil
}

func (d *decoder) array(depth int) any {
	if !d.open(depth) {
		return nil
	}
	a := []any{}
	if d.space() == ']' {
		d.pos++
		return a
	}
	for d.fault == nil {
		a = append(a, d.value(depth+1))
		switch d.space() {
		case ',':
			d.pos++
		case ']':
			d.pos++
			return a
		default:
			d.wrong("a comma or ]")
		}
	}
	return nil
}

func (d *decoder) digits() bool {
	from := d.pos
	for c := d.peek(); '0' <= c && c <= '9'; c = d.peek() {
		d.pos++
	}
	return d.pos > from
}

func (d *decoder) number() any {
	from := d.pos
	if d.peek() == '-' {
		d.pos++
	}
	ok := true
	if d.peek() == '0' {
		d.pos++
	} else {
		ok = d.digits()
	}
	if ok && d.peek() == '.' {
		d.pos++
		ok = d.digits()
	}
	if c := d.peek(); ok && (c == 'e' || c == 'E') {
		d.pos++
		if c := d.peek(); c == '+' || c == '-' {
			d.pos++
		}
		ok = d.digits()
	}
	if !ok {
		d.wrong("a digit")
		return nil
	}
	return json.Number(d.text[from:d.pos])
}

// plainText are the bytes that stand for themselves in a string.
var plainText = func() (plain [256]bool) {
	for c := range plain {
		plain[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return plain
}()

func (d *decoder) string() string {
	d.pos++
	from := d.pos
	for d.pos < len(d.text) && plainText[d.text[d.pos]] {
		d.pos++
	}
	if d.peek() == '"' && d.pos < len(d.text) {
		d.pos++
		return d.text[from : d.pos-1]
	}
	var b strings.Builder
	b.WriteString(d.text[from:d.pos])
	for d.pos < len(d.text) {
		switch c := d.text[d.pos]; {
		case c == '"':
			d.pos++
			return b.String()
		case c == '\\':
			r, ok := d.escape()
			if !ok {
				return ""
			}
			b.WriteRune(r)
		case plainText[c]:
			at := d.pos
			for d.pos < len(d.text) && plainText[d.text[d.pos]] {
				d.pos++
			}
			b.WriteString(d.text[at:d.pos])
		default:
			d.wrong("no control character in a string")
			return ""
		}
	}
	d.wrong("a quote")
	return ""
}

const (
	escapes  = `"\/bfnrt`
	escapeds = "\"\\/\b\f\n\r\t"
)

// escape reads an escape sequence.
func (d *decoder) escape() (rune, bool) {
	d.pos++
	c := d.peek()
	if i := strings.IndexByte(escapes, c); i >= 0 && c != 0 {
		d.pos++
		return rune(escapeds[i]), true
	}
	if c != 'u' {
		d.wrong("an escape")
		return 0, false
	}
	r, ok := hex4(d.text[d.pos+1:])
	if !ok {
		d.wrong("u and four hexadecimal digits")
		return 0, false
	}
	d.pos += 5
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	if rest := d.text[d.pos:]; strings.HasPrefix(rest, `\u`) {
		if low, ok := hex4(rest[2:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				d.pos += 6
				return pair, true
			}
		}
	}
	return utf8.RuneError, true
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 || strings.ContainsAny(s[:4], "+-_") {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	return rune(n), err == nil
}

// unquote reads a JSON string literal.
func unquote(literal []byte) (string, error) {
	d := decoder{text: string(literal)}
	name := d.string()
	if d.fault != nil {
		return "", fmt.Errorf("a member's name: %w", d.fault)
	}
	return name, nil
}
