package css

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where a selector isn't one, and what was expected there.
type SyntaxError struct {
	At      int // byte of the selector, from 0
	Message string
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.At, e.Message) }

// parser reads a selector. What it reads by is CSS Syntax 3, section 4, but for
// what the package comment says.
type parser struct {
	s     string
	at    int
	depth int // of arguments
}

// expected is the error for what should have been here.
func (p *parser) expected(what string) error {
	found := "the end"
	if p.at < len(p.s) {
		r, size := utf8.DecodeRuneInString(p.s[p.at:])
		if found = strconv.QuoteRune(r); r == utf8.RuneError && size == 1 {
			found = fmt.Sprintf("byte 0x%02x", p.s[p.at])
		}
	}
	return p.wrong("expected %s, found %s", what, found)
}

func (p *parser) wrong(format string, args ...any) error {
	return &SyntaxError{At: p.at, Message: fmt.Sprintf(format, args...)}
}

// peek is the byte that comes, 0 at the end.
func (p *parser) peek() byte {
	if p.at < len(p.s) {
		return p.s[p.at]
	}
	return 0
}

// take reads c if it comes.
func (p *parser) take(c byte) bool {
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

// space reads white space and comments; false: there are none.
func (p *parser) space() bool {
	begin := p.at
	for p.at < len(p.s) {
		if isSpace(p.s[p.at]) {
			p.at++
			continue
		}
		text, comment := strings.CutPrefix(p.s[p.at:], "/*")
		end := strings.Index(text, "*/")
		if !comment || end < 0 {
			break
		}
		p.at += end + len("/**/")
	}
	return p.at > begin
}

// isSpace is white space of CSS and of HTML.
func isSpace(c byte) bool { return spaces[c] }

var spaces = [256]bool{' ': true, '\t': true, '\n': true, '\r': true, '\f': true}

func isNameStart(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c >= utf8.RuneSelf
}

func isNameByte(c byte) bool { return isNameStart(c) || isDigit(c) || c == '-' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// identifier reads a name that doesn't begin with a digit.
func (p *parser) identifier(what string) (string, error) {
	begin := p.at
	for p.take('-') {
	}
	if c := p.peek(); !isNameStart(c) && c != '\\' {
		return "", p.expected(what)
	}
	hyphens := p.s[begin:p.at]
	rest, err := p.name(what)
	return hyphens + rest, err
}

func (p *parser) name(what string) (string, error) {
	var b strings.Builder
	for p.at < len(p.s) {
		if c := p.s[p.at]; isNameByte(c) {
			b.WriteByte(c)
			p.at++
			continue
		} else if c != '\\' {
			break
		}
		if err := p.escape(&b); err != nil {
			return "", err
		}
	}
	if b.Len() == 0 {
		return "", p.expected(what)
	}
	return b.String(), nil
}

// escape reads a backslash and what it stands for.
func (p *parser) escape(b *strings.Builder) error {
	p.at++
	if p.at == len(p.s) || p.s[p.at] == '\n' || p.s[p.at] == '\r' || p.s[p.at] == '\f' {
		return p.expected("a character behind the backslash")
	}
	begin := p.at
	for p.at < len(p.s) && p.at < begin+6 && isHex(p.s[p.at]) {
		p.at++
	}
	if p.at == begin {
		b.WriteByte(p.s[p.at]) // of a longer character, the rest is name or text as it is
		p.at++
		return nil
	}
	code, _ := strconv.ParseUint(p.s[begin:p.at], 16, 32)
	if code == 0 {
		code = utf8.RuneError
	}
	b.WriteRune(rune(code))
	if !p.newline() && p.at < len(p.s) && isSpace(p.s[p.at]) {
		p.at++
	}
	return nil
}

// newline reads the end of a line.
func (p *parser) newline() bool {
	if p.take('\r') {
		p.take('\n')
		return true
	}
	return p.take('\n') || p.take('\f')
}

// text reads a quoted string.
func (p *parser) text() (string, error) {
	var b strings.Builder
	quote := p.s[p.at]
	for p.at++; !p.take(quote); {
		switch c := p.peek(); {
		case p.at == len(p.s), c == '\n', c == '\r', c == '\f':
			return "", p.expected("the string's end " + strconv.QuoteRune(rune(quote)))
		case c != '\\':
			b.WriteByte(c)
			p.at++
		case p.lineEscape():
		default:
			if err := p.escape(&b); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}

// lineEscape reads a backslash and the end of a line, which stand for nothing.
func (p *parser) lineEscape() bool {
	begin := p.at
	p.at++
	if !p.newline() {
		p.at = begin
	}
	return p.at > begin
}

// textOrName reads a quoted string, or an identifier.
func (p *parser) textOrName(what string) (string, error) {
	if c := p.peek(); c == '"' || c == '\'' {
		return p.text()
	}
	return p.identifier(what)
}

// regex reads a regular expression, which ends before the parenthesis or
// bracket that it doesn't open.
func (p *parser) regex() (*regexp.Regexp, error) {
	open, end := 0, p.at
	for ; end < len(p.s) && open >= 0; end++ {
		switch p.s[end] {
		case '(', '[':
			open++
		case ')', ']':
			open--
		}
	}
	if open >= 0 {
		p.at = len(p.s)
		return nil, p.expected("the end of the regular expression")
	}
	re, err := regexp.Compile(p.s[p.at : end-1])
	if err != nil {
		return nil, p.wrong("%v", err)
	}
	p.at = end - 1
	return re, nil
}

// lowered is text with its ASCII letters in lower case.
func lowered(text string) string {
	for i := range len(text) {
		if 'A' <= text[i] && text[i] <= 'Z' {
			b := []byte(text)
			for j := range b {
				b[j] = lower(b[j])
			}
			return string(b)
		}
	}
	return text
}

// lower is an ASCII letter in lower case.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
