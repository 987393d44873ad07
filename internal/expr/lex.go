package expr

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenQuotedName
	tokenNumber
	tokenText
	tokenSign
)

type token struct {
	kind tokenKind
	text string // a name, a number as written, a text's value, a sign
	at   int    // byte offset
}

func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenText:
		return fmt.Sprintf("the text %.40q", t.text)
	}
	return fmt.Sprintf("%.40s", t.text)
}

// isWord reports whether the token is that keyword; keywords in capitals are
// SQL's habit.
func (t token) isWord(word string) bool {
	return t.kind == tokenName && strings.EqualFold(t.text, word)
}

func (t token) isSign(sign string) bool { return t.kind == tokenSign && t.text == sign }

var signs = []string{"<=", ">=", "<>", "!=", "==", "+", "-", "*", "/", "=", "<", ">", "(", ")", ","}

type lexer struct {
	source string
	at     int
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func (l *lexer) next() (token, error) {
	for l.at < len(l.source) && strings.IndexByte(" \t\r\n", l.source[l.at]) >= 0 {
		l.at++
	}
	from := l.at
	if from == len(l.source) {
		return token{at: from}, nil
	}
	c := l.source[from]
	switch {
	case isLetter(c):
		for l.at < len(l.source) && (isLetter(l.source[l.at]) || isDigit(l.source[l.at])) {
			l.at++
		}
		return token{tokenName, l.source[from:l.at], from}, nil
	case isDigit(c), c == '.' && from+1 < len(l.source) && isDigit(l.source[from+1]):
		return l.number(), nil
	case c == '\'' || c == '"':
		return l.quoted(c, tokenText)
	case c == '`':
		return l.quoted(c, tokenQuotedName)
	}
	for _, s := range signs {
		if strings.HasPrefix(l.source[from:], s) {
			l.at += len(s)
			return token{tokenSign, s, from}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.source[from:])
	return token{}, wrongf(from, "%q begins nothing; expected a column, a number, a text in quotes or an operator", r)
}

// number takes what looks like one; that it is one is checked where its value
// is read.
func (l *lexer) number() token {
	from := l.at
	for l.at < len(l.source) {
		c := l.source[l.at]
		sign := (c == '+' || c == '-') && (l.source[l.at-1]|0x20) == 'e' && l.at > from
		if !isDigit(c) && c != '.' && !isLetter(c) && !sign {
			break
		}
		l.at++
	}
	return token{tokenNumber, l.source[from:l.at], from}
}

// quoted reads up to the closing quote; a quote within is written twice.
func (l *lexer) quoted(quote byte, kind tokenKind) (token, error) {
	from := l.at
	var b strings.Builder
	for l.at++; l.at < len(l.source); l.at++ {
		c := l.source[l.at]
		if c != quote {
			b.WriteByte(c)
			continue
		}
		if l.at+1 < len(l.source) && l.source[l.at+1] == quote {
			l.at++
			b.WriteByte(c)
			continue
		}
		l.at++
		return token{kind, b.String(), from}, nil
	}
	return token{}, wrongf(from, "this quote is never closed; expected another %c", quote)
}
