package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Printable makes one line of any text, safe for a terminal: control
// characters (C0, DEL, C1), line and paragraph separators and the marks that
// reorder text are written as escapes, what is no UTF-8 as U+FFFD.
func Printable(s string) string {
	if !strings.ContainsFunc(s, unprintable) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x100 && unprintable(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unprintable are the characters that act on a terminal, or on the order in
// which it shows others.
func unprintable(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 ||
		r == 0x061c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// escapeJSON is Printable for JSON: the same value in other words.
func escapeJSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, unprintable) {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if unprintable(r) { // only within strings: the rest of it is ASCII
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, text[:n]...)
		}
		text = text[n:]
	}
	return out
}

// TerminalJSON is a line of JSON; for a terminal, control characters are
// escaped.
func TerminalJSON(line []byte, terminal bool) []byte {
	if !terminal {
		return line
	}
	return append(escapeJSON(bytes.TrimSuffix(line, []byte("\n"))), '\n')
}

// EncodeJSON writes a value as indented JSON that ends in a line break; for a
// terminal, control characters are escaped.
func EncodeJSON(v any, terminal bool) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	if !terminal {
		return b.Bytes(), nil
	}
	var out []byte
	for line := range bytes.Lines(b.Bytes()) {
		out = append(append(out, escapeJSON(bytes.TrimSuffix(line, []byte("\n")))...), '\n')
	}
	return out, nil
}

// cells is how many columns of a terminal a rune takes.
func cells(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

// Width is how many columns of a terminal a printable text takes.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += cells(r)
	}
	return n
}

// Truncate cuts a printable text to at most n columns, the last one an
// ellipsis where something was left out.
func Truncate(s string, n int) string {
	if len(s) <= n || Width(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	used := 0
	for i, r := range s {
		if used += cells(r); used > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}
