package html5

import (
	"bytes"
	"encoding/binary"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// startTag reads the start tag at i, a < with a letter behind it; false: the
// page ends in it.
func (z *tokenizer) startTag(tok *token, i int) bool {
	attrs := len(z.tree.Attrs)
	n, end := z.name(i+1, endsTag)
	*tok = token{}
	tok.kind, tok.name, tok.a, tok.attrs = startTag, n, uint32(i), uint32(attrs)
	if end >= 0 {
		end = z.tagEnd(tok, end, true)
	}
	if end < 0 {
		z.pos, z.tree.Attrs = len(z.src), z.tree.Attrs[:attrs]
		return false
	}
	tok.b, z.pos = uint32(end), end
	return true
}

// endTag reads the end tag at i, a </ with a letter behind it; false: the page
// ends in it.
func (z *tokenizer) endTag(tok *token, i int) bool {
	n, end := z.name(i+2, endsTag)
	*tok = token{}
	tok.kind, tok.name, tok.a = endTag, n, uint32(i)
	if end >= 0 {
		end = z.tagEnd(tok, end, false)
	}
	if end < 0 {
		z.pos = len(z.src)
		return false
	}
	tok.b, z.pos = uint32(end), end
	return true
}

// tagEnd reads a tag from behind its name, and is where it ends; -1: the page
// ends first. An end tag's attributes aren't kept.
func (z *tokenizer) tagEnd(tok *token, i int, keep bool) int {
	if z.src[i] == '>' {
		return i + 1
	}
	return z.attributes(tok, i, keep)
}

// name is the name at i, which ends before a byte of class stop, and where that
// is: -1 where the page ends first. A name may begin with any byte. Most are up
// to seven lower-case letters, which are looked up as a word, without a look at
// each.
func (z *tokenizer) name(i int, stop uint8) (dom.Name, int) {
	src, end, w := z.src, i, uint64(0)
	if i+8 <= len(src) {
		w = binary.LittleEndian.Uint64(src[i:])
		end += name.Letters(w)
	}
	odd := uint8(0)
	for ; ; end++ {
		if end >= len(src) {
			return 0, -1
		}
		c := class[src[end]]
		if c&stop != 0 && end > i {
			break
		}
		odd |= c & isOdd
	}
	if n := end - i; n <= 8 && w != 0 && odd == 0 {
		if known, ok := name.OfWord(w & (1<<(8*n) - 1)); ok {
			return known, end
		}
	}
	return z.intern(i, end, odd != 0), end
}

// intern is the number of the name a:b, which is odd when it has capitals or
// U+0000.
func (z *tokenizer) intern(a, b int, odd bool) dom.Name {
	t := z.tree
	if !odd {
		return t.Intern(uint32(a), uint32(b), 0)
	}
	from := len(t.Extra)
	t.Extra = appendName(t.Extra, z.src[a:b])
	return t.InternExtra(uint32(from))
}

// appendName appends text in lower case, with U+FFFD for U+0000.
func appendName(dst, text []byte) []byte {
	from := len(dst)
	dst = appendReplaced(dst, text)
	for i, c := range dst[from:] {
		if 'A' <= c && c <= 'Z' {
			dst[from+i] = c + 'a' - 'A'
		}
	}
	return dst
}

// attributes is tagEnd where there may be attributes.
func (z *tokenizer) attributes(tok *token, i int, keep bool) int {
	src := z.src
	z.stamp++
	for {
		if i = skipSpace(src, i); i == len(src) {
			return -1
		}
		if src[i] == '>' {
			return i + 1
		}
		if src[i] == '/' {
			if i++; i < len(src) && src[i] == '>' {
				tok.selfClosing = true
				return i + 1
			}
			continue
		}
		n, end := z.name(i, endsAttr)
		if end < 0 {
			return -1
		}
		i = skipSpace(src, end)
		from, to := i, i
		if i < len(src) && src[i] == '=' {
			if from, to, i = value(src, skipSpace(src, i+1)); i < 0 {
				return -1
			}
		}
		if keep {
			z.attribute(n, from, to)
		}
	}
}

func skipSpace(src []byte, i int) int {
	for i < len(src) && class[src[i]]&isSpace != 0 {
		i++
	}
	return i
}

// value is the range of an attribute's value and where it goes on behind it; -1:
// the page ends in it.
func value(src []byte, i int) (a, b, next int) {
	if i == len(src) {
		return 0, 0, -1
	}
	switch c := src[i]; c {
	case '"', '\'':
		i++
		k := bytes.IndexByte(src[i:], c)
		if k < 0 {
			return 0, 0, -1
		}
		return i, i + k, i + k + 1
	}
	a = i
	for i < len(src) && class[src[i]]&endsBare == 0 {
		i++
	}
	return a, i, i
}

// attribute adds an attribute to the tag that is read, unless it has one of this
// name.
func (z *tokenizer) attribute(n dom.Name, from, to int) {
	if int(n) >= len(z.seen) {
		z.seen = append(z.seen, make([]uint32, max(name.Count, int(n)+1)-len(z.seen))...)
	}
	t := z.tree
	if z.seen[n] == z.stamp || len(t.Attrs) > z.maxAttrs {
		return
	}
	z.seen[n] = z.stamp
	attr := t.NewAttr()
	attr.Name, attr.A, attr.B = n, uint32(from), uint32(to)
	if z.nul < to {
		attr.A, attr.B, attr.Flags = z.replaced(from, to)
	}
	if z.ref < to && z.hasRef(from, to) {
		attr.Flags |= dom.Refs
	}
}
