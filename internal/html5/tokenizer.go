package html5

import (
	"bytes"

	"github.com/harrowdata/harrow/internal/dom"
)

// Classes of bytes.
const (
	isSpace  = 1 << iota // tab, LF, FF, space; there is no CR
	isLetter             // ASCII letter
	isOdd                // what a name is not written with in the tree: capitals, U+0000
	endsTag              // behind a tag's name: white space, / and >
	endsAttr             // behind an attribute's name: those and =
	endsBare             // behind a value without quotes: white space and >
)

var class = func() (of [256]uint8) {
	for c := byte('a'); c <= 'z'; c++ {
		of[c] = isLetter
		of[c-'a'+'A'] = isLetter | isOdd
	}
	of[0] = isOdd
	for _, c := range []byte("\t\n\f ") {
		of[c] = isSpace | endsTag | endsAttr | endsBare
	}
	of['>'] = endsTag | endsAttr | endsBare
	of['/'] = endsTag | endsAttr
	of['='] = endsAttr
	return of
}()

// next reads the next token.
func (z *tokenizer) next(tok *token) {
	for z.pos < len(z.src) {
		if z.state == dataState {
			if z.data(tok) {
				return
			}
		} else if z.special(tok) {
			return
		}
	}
	*tok = token{kind: eofToken, a: uint32(len(z.src)), b: uint32(len(z.src))}
}

// data reads a token of the data state; false: what it read makes none.
func (z *tokenizer) data(tok *token) bool {
	src, i := z.src, z.pos
	if src[i] == '<' && i+1 < len(src) {
		switch c := src[i+1]; {
		case class[c]&isLetter != 0:
			return z.startTag(tok, i)
		case c == '/' && i+2 < len(src):
			switch c := src[i+2]; {
			case class[c]&isLetter != 0:
				return z.endTag(tok, i)
			case c == '>': // missing-end-tag-name
				z.pos = i + 3
				return false
			}
			return z.bogusComment(tok, i+2)
		case c == '!':
			return z.declaration(tok, i+2)
		case c == '?':
			return z.bogusComment(tok, i+1)
		}
	}
	j := i + 1
	for {
		if j = indexFrom(src, j, '<'); j == len(src) || beginsMarkup(src[j+1:]) {
			break
		}
		j++
	}
	*tok = token{}
	tok.kind, tok.a, tok.b = textToken, uint32(i), uint32(j)
	if z.nul < j {
		tok.nul = z.hasNul(i, j)
	}
	if z.ref < j && z.hasRef(i, j) {
		tok.flags = dom.Refs
	}
	z.pos = j
	return true
}

// beginsMarkup reports whether a < with this behind it is more than text.
func beginsMarkup(rest []byte) bool {
	if len(rest) == 0 {
		return false
	}
	c := rest[0]
	return class[c]&isLetter != 0 || c == '!' || c == '?' || c == '/' && len(rest) > 1
}

// hasRef reports whether there is an & in a:b, which is not before what it was
// asked last.
func (z *tokenizer) hasRef(a, b int) bool {
	if z.ref < a {
		z.ref = indexFrom(z.src, a, '&')
	}
	return z.ref < b
}

// hasNul is hasRef for U+0000.
func (z *tokenizer) hasNul(a, b int) bool {
	if z.nul < a {
		z.nul = indexFrom(z.src, a, 0)
	}
	return z.nul < b
}

// indexFrom is where c is in src from i on; where there is none, src's length.
func indexFrom(src []byte, i int, c byte) int {
	if k := bytes.IndexByte(src[i:], c); k >= 0 {
		return i + k
	}
	return len(src)
}

// replaced is the range of a:b's text with U+FFFD for each U+0000.
func (z *tokenizer) replaced(a, b int) (na, nb uint32, in dom.Flags) {
	if !z.hasNul(a, b) {
		return uint32(a), uint32(b), 0
	}
	t, from := z.tree, len(z.tree.Extra)
	t.Extra = appendReplaced(t.Extra, z.src[a:b])
	return uint32(from), uint32(len(t.Extra)), dom.InExtra
}

func appendReplaced(dst, text []byte) []byte {
	for {
		k := bytes.IndexByte(text, 0)
		if k < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:k]...), "\uFFFD"...)
		text = text[k+1:]
	}
}
