package html5

import (
	"bytes"

	"github.com/harrowdata/harrow/internal/dom"
)

// declaration reads what begins with the <! before i (13.2.5.42).
func (z *tokenizer) declaration(tok *token, i int) bool {
	switch rest := z.src[i:]; {
	case bytes.HasPrefix(rest, []byte("--")):
		return z.comment(tok, i+2)
	case hasPrefixFold(rest, "doctype"):
		d := doctype{z: z, tok: tok, i: i + len("doctype")}
		d.read(i - 2)
		return true
	case z.cdata && bytes.HasPrefix(rest, []byte("[CDATA[")):
		return z.cdataSection(tok, i+len("[CDATA["))
	}
	return z.bogusComment(tok, i)
}

// hasPrefixFold reports whether text begins with what, in capitals or not. what
// is letters in lower case.
func hasPrefixFold(text []byte, what string) bool {
	if len(text) < len(what) {
		return false
	}
	for i := range len(what) {
		if text[i]|0x20 != what[i] {
			return false
		}
	}
	return true
}

// comment reads a comment from behind its <!--. It ends at the first --> or
// --!>, or at a > or -> it begins with. One that the page's end cuts off lacks
// what could have been the beginning of its end.
func (z *tokenizer) comment(tok *token, i int) bool {
	src := z.src
	for j := i; ; {
		k := bytes.IndexByte(src[j:], '>')
		if k < 0 {
			break
		}
		j += k
		switch text := src[i:j]; {
		case len(text) == 0 || len(text) == 1 && text[0] == '-':
			return z.commented(tok, i, i, j+1)
		case bytes.HasSuffix(text, []byte("--")):
			return z.commented(tok, i, j-2, j+1)
		case bytes.HasSuffix(text, []byte("--!")):
			return z.commented(tok, i, j-3, j+1)
		}
		j++
	}
	text := src[i:]
	for _, end := range []string{"--!", "--", "-"} {
		if bytes.HasSuffix(text, []byte(end)) {
			text = text[:len(text)-len(end)]
			break
		}
	}
	return z.commented(tok, i, i+len(text), len(src))
}

// bogusComment reads a comment that ends at the first >.
func (z *tokenizer) bogusComment(tok *token, i int) bool {
	end := indexFrom(z.src, i, '>')
	return z.commented(tok, i, end, min(end+1, len(z.src)))
}

func (z *tokenizer) commented(tok *token, a, b, next int) bool {
	*tok = token{kind: commentToken}
	tok.a, tok.b, tok.flags = z.replaced(a, b)
	z.pos = next
	return true
}

// cdataSection reads a CDATA section from behind its <![CDATA[; false: it is
// empty.
func (z *tokenizer) cdataSection(tok *token, i int) bool {
	end, next := len(z.src), len(z.src)
	if k := bytes.Index(z.src[i:], []byte("]]>")); k >= 0 {
		end, next = i+k, i+k+3
	}
	z.pos = next
	if end == i {
		return false
	}
	*tok = token{kind: textToken, nul: z.hasNul(i, end), a: uint32(i), b: uint32(end)}
	return true
}

// doctype reads a doctype (13.2.5.53 and on): i is where it has got to.
type doctype struct {
	z   *tokenizer
	tok *token
	i   int
}

// read reads the doctype that begins at a, from behind the word.
func (d *doctype) read(a int) {
	t := d.z.tree
	*d.tok = token{kind: doctypeToken, a: uint32(a), attrs: uint32(len(t.Attrs))}
	t.Attrs = append(t.Attrs, dom.Attr{Mark: 1}, dom.Attr{Mark: 1}, dom.Attr{Mark: 1})
	ids := t.Attrs[d.tok.attrs:]
	d.tok.quirks = !d.name(&ids[0]) || !d.identifiers(ids)
	end := indexFrom(d.z.src, d.i, '>') // what is left before it says nothing (bogus DOCTYPE state)
	d.z.pos = min(end+1, len(d.z.src))
	d.tok.b = uint32(d.z.pos)
}

// name reads the doctype's name; false: the doctype calls for quirks.
func (d *doctype) name(id *dom.Attr) bool {
	src := d.z.src
	d.i = skipSpace(src, d.i)
	a := d.i
	for d.i < len(src) && class[src[d.i]]&endsBare == 0 {
		d.i++
	}
	if d.i == a {
		return false
	}
	t := d.z.tree
	from := len(t.Extra)
	t.Extra = appendName(t.Extra, src[a:d.i])
	*id = dom.Attr{A: uint32(from), B: uint32(len(t.Extra)), Flags: dom.InExtra}
	return d.i < len(src)
}

// identifiers reads the public and system identifiers, which are the second and
// third of ids; false: the doctype calls for quirks.
func (d *doctype) identifiers(ids []dom.Attr) bool {
	src := d.z.src
	d.i = skipSpace(src, d.i)
	switch rest := src[d.i:]; {
	case len(rest) > 0 && rest[0] == '>':
		return true
	case hasPrefixFold(rest, "public"):
		d.i += len("public")
		if !d.quoted(&ids[1]) {
			return false
		}
		if d.i = skipSpace(src, d.i); d.i < len(src) && src[d.i] == '>' {
			return true
		}
	case hasPrefixFold(rest, "system"):
		d.i += len("system")
	default:
		return false
	}
	if !d.quoted(&ids[2]) {
		return false
	}
	d.i = skipSpace(src, d.i)
	return d.i < len(src)
}

// quoted reads an identifier; false: there is none, or it lacks its end.
func (d *doctype) quoted(id *dom.Attr) bool {
	src := d.z.src
	d.i = skipSpace(src, d.i)
	if d.i == len(src) || src[d.i] != '"' && src[d.i] != '\'' {
		return false
	}
	quote := src[d.i]
	d.i++
	a := d.i
	for d.i < len(src) && src[d.i] != quote && src[d.i] != '>' {
		d.i++
	}
	*id = dom.Attr{}
	id.A, id.B, id.Flags = d.z.replaced(a, d.i)
	if d.i == len(src) || src[d.i] == '>' {
		return false
	}
	d.i++
	return true
}
