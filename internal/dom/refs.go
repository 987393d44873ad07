package dom

import (
	"bytes"
	_ "embed" // of the names
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/harrowdata/harrow/internal/dom/name"
)

// refNames are the named character references (HTML 13.5), as Python's
// html.entities.html5 has them: a line each of a name, a separator and what it
// stands for, one code point or two with + between, in hexadecimal. The separator
// is * where the reference may lack its semicolon, else a space.
//
//go:embed refs.txt
var refNames string

// refWords has those of up to seven lower-case letters, which most references
// are, by words as name.OfWord takes them.
var refWords [refWordMask + 1]struct {
	word uint64 // 0: free
	at   uint16 // of the separator in refNames
}

const (
	refWordShift = 53
	refWordMask  = 1<<(64-refWordShift) - 1

	longestRef = 31 // letters and digits of the longest name
	longestOld = 6  // of the longest that may lack its semicolon
	refMask    = 1<<12 - 1
)

// refSlots is an open-addressing table of where in refNames the lines are, + 1;
// 0: free.
var refSlots [refMask + 1]uint16

func init() {
	at := 0
	for line := range strings.Lines(refNames) {
		n := strings.IndexAny(line, " *")
		if w := binary.LittleEndian.Uint64([]byte(line + "\n\n\n\n\n\n\n")); name.Letters(w) == n {
			w &= 1<<(8*n) - 1
			h := refWord(w)
			for refWords[h].word != 0 {
				h = (h + 1) & refWordMask
			}
			refWords[h].word, refWords[h].at = w, uint16(at+n)
		}
		h := name.Hash(line[:n]) & refMask
		for refSlots[h] != 0 {
			h = (h + 1) & refMask
		}
		refSlots[h] = uint16(at + 1)
		at += len(line)
	}
}

func refWord(w uint64) uint64 { return w * 0x9E3779B97F4A7C15 >> refWordShift }

// findWord is findRef for a name of up to seven lower-case letters.
func findWord(w uint64) string {
	for h := refWord(w); refWords[h].word != 0; h = (h + 1) & refWordMask {
		if refWords[h].word == w {
			return refNames[refWords[h].at:]
		}
	}
	return ""
}

// findRef is what stands in refNames behind a reference's name, from its
// separator on; "": there is no such reference.
func findRef(text []byte) string {
	for h := name.Hash(text) & refMask; refSlots[h] != 0; h = (h + 1) & refMask {
		line := refNames[refSlots[h]-1:]
		if len(line) > len(text) && line[:len(text)] == string(text) && (line[len(text)] == ' ' || line[len(text)] == '*') {
			return line[len(text):]
		}
	}
	return ""
}

// AppendDecoded appends what the page wrote with its character references
// decoded (HTML 13.2.5.72 and on); as an attribute's value, where some that
// lack their semicolon are none. What it appends is longer than raw by no more
// than a fifth, which a page of &nGt; makes it.
func AppendDecoded(dst, raw []byte, attribute bool) []byte {
	for {
		k := bytes.IndexByte(raw, '&')
		if k < 0 {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:k]...)
		raw = raw[k:]
		n := 0
		if len(raw) > 1 && raw[1] == '#' {
			dst, n = appendNumeric(dst, raw)
		} else {
			dst, n = appendNamed(dst, raw, attribute)
		}
		if n == 0 { // the & is no more than that
			dst, n = append(dst, '&'), 1
		}
		raw = raw[n:]
	}
}

// appendNamed appends what the named reference that text begins with stands
// for, and is how many bytes of text that is; 0: there is none.
func appendNamed(dst, text []byte, attribute bool) ([]byte, int) {
	n := 1
	if len(text) > 8 {
		w := binary.LittleEndian.Uint64(text[1:])
		if n += name.Letters(w); n < 9 && text[n] == ';' {
			if of := findWord(w & (1<<(8*(n-1)) - 1)); of != "" {
				return appendRef(dst, of), n + 1
			}
		}
	}
	for n < len(text) && n <= longestRef+1 && isAlnum(text[n]) {
		n++
	}
	run := text[1:n]
	if n < len(text) && text[n] == ';' {
		if of := findRef(run); of != "" {
			return appendRef(dst, of), n + 1
		}
	}
	for short := run[:min(len(run), longestOld)]; len(short) > 1; short = short[:len(short)-1] {
		if of := findRef(short); of != "" && of[0] == '*' {
			n = 1 + len(short)
			if attribute && n < len(text) && (text[n] == '=' || isAlnum(text[n])) {
				return dst, 0
			}
			return appendRef(dst, of), n
		}
	}
	return dst, 0
}

// appendRef appends what the rest of a line of refNames says.
func appendRef(dst []byte, line string) []byte {
	c := rune(0)
	for i := 1; line[i] != '\n'; i++ {
		if line[i] == '+' {
			dst, c = utf8.AppendRune(dst, c), 0
			continue
		}
		digit, _ := hexDigit(line[i])
		c = c<<4 | digit
	}
	return utf8.AppendRune(dst, c)
}

// appendNumeric appends the character of the numeric reference that text begins
// with, and is how many bytes of text that is; 0: there is none.
func appendNumeric(dst, text []byte) ([]byte, int) {
	i, base := 2, rune(10)
	if i < len(text) && text[i]|0x20 == 'x' {
		i, base = 3, 16
	}
	digits, c := i, rune(0)
	for ; i < len(text); i++ {
		digit, ok := hexDigit(text[i])
		if !ok || digit >= base {
			break
		}
		c = min(c*base+digit, utf8.MaxRune+1)
	}
	if i == digits {
		return dst, 0
	}
	if i < len(text) && text[i] == ';' {
		i++
	}
	if 0x80 <= c && c < 0xA0 {
		c = windows1252[c-0x80]
	}
	if c == 0 {
		c = utf8.RuneError
	}
	return utf8.AppendRune(dst, c), i // of surrogates and what is too large, U+FFFD
}

// windows1252 is what numeric references from 0x80 to 0x9F stand for (HTML
// 13.2.5.80).
var windows1252 = [32]rune{
	0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D, 0x017D, 0x8F,
	0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
}

func isAlnum(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0'), true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10, true
	}
	return 0, false
}
