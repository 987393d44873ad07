package html5

import (
	"bytes"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// startTag reads the start tag at i, a < with a letter behind it; false: the
// page ends in it.
func (z *tokenizer) startTag(tok *token, i int) bool {
	end, odd := z.tagName(i + 1)
	if end == len(z.src) {
		z.pos = end
		return false
	}
	*tok = token{kind: startTag, name: z.intern(i+1, end, odd), a: uint32(i), attrs: uint32(len(z.tree.Attrs))}
	if z.src[end] == '>' {
		end++
	} else if end = z.attributes(tok, end, true); end < 0 {
		z.pos, z.tree.Attrs = len(z.src), z.tree.Attrs[:tok.attrs]
		return false
	}
	tok.b = uint32(end)
	z.pos = end
	return true
}

// endTag reads the end tag at i, a </ with a letter behind it; false: the page
// ends in it.
func (z *tokenizer) endTag(tok *token, i int) bool {
	end, odd := z.tagName(i + 2)
	if end == len(z.src) {
		z.pos = end
		return false
	}
	*tok = token{kind: endTag, name: z.intern(i+2, end, odd), a: uint32(i)}
	if z.src[end] == '>' {
		end++
	} else if end = z.attributes(tok, end, false); end < 0 {
		z.pos = len(z.src)
		return false
	}
	tok.b = uint32(end)
	z.pos = end
	return true
}

// tagName is the end of the tag name at i.
func (z *tokenizer) tagName(i int) (end int, odd bool) {
	all := uint8(0)
	src := z.src
	for i < len(src) {
		c := class[src[i]]
		if c&endsTag != 0 {
			break
		}
		all |= c
		i++
	}
	return i, all&isOdd != 0
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
	text := t.Extra[from:]
	n, known := name.Of(text)
	if !known {
		if n, known = t.Lookup(string(text)); !known {
			return t.Intern(uint32(from), uint32(len(t.Extra)), dom.InExtra)
		}
	}
	t.Extra = t.Extra[:from]
	return n
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

// attributes reads a tag from behind its name, and is where it ends; -1: the
// page ends in it. An end tag's attributes aren't kept.
func (z *tokenizer) attributes(tok *token, i int, keep bool) int {
	src := z.src
	z.stamp++
	for {
		if i = skipSpace(src, i); i == len(src) {
			return -1
		}
		first := src[i]
		if first == '>' {
			return i + 1
		}
		if first == '/' {
			if i++; i < len(src) && src[i] == '>' {
				tok.selfClosing = true
				return i + 1
			}
			continue
		}
		a, all := i, class[first] // a name may begin with =
		for i++; i < len(src); i++ {
			c := class[src[i]]
			if c&endsAttr != 0 {
				break
			}
			all |= c
		}
		b := i
		i = skipSpace(src, i)
		from, to := i, i
		if i < len(src) && src[i] == '=' {
			if from, to, i = value(src, skipSpace(src, i+1)); i < 0 {
				return -1
			}
		}
		if keep {
			z.attribute(a, b, all&isOdd != 0, from, to)
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
func (z *tokenizer) attribute(a, b int, odd bool, from, to int) {
	t := z.tree
	if z.maxAttrs > 0 && len(t.Attrs) > z.maxAttrs {
		return
	}
	n := z.intern(a, b, odd)
	if int(n) >= len(z.seen) {
		z.seen = append(z.seen, make([]uint32, max(name.Count, int(n)+1)-len(z.seen))...)
	}
	if z.seen[n] == z.stamp {
		return
	}
	z.seen[n] = z.stamp
	attr := dom.Attr{Name: n}
	attr.A, attr.B, attr.Flags = z.replaced(from, to)
	if z.hasRef(from, to) {
		attr.Flags |= dom.Refs
	}
	t.Attrs = append(t.Attrs, attr)
}
