package normal

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Space trims Unicode white space (the property White_Space) and collapses each
// run inside to one space. Text that has none but at its ends is a part of s.
func Space(s string) string {
	if s = strings.TrimSpace(s); tidy(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for word := range strings.FieldsSeq(s) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	return b.String()
}

// tidy reports whether Space would change nothing.
func tidy(s string) bool {
	space := true // at the start, or behind a space
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ':
			if space {
				return false
			}
			space = true
		case c >= '\t' && c <= '\r':
			return false
		case c < utf8.RuneSelf:
			space = false
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if unicode.IsSpace(r) {
				return false
			}
			space = false
			i += size - 1
		}
	}
	return s == "" || !space
}

// UTF8 makes text that every store takes: each run of invalid bytes becomes
// U+FFFD, NULs are removed. Text that is so already is returned as it is.
func UTF8(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "")
}
