package dom

import (
	"github.com/harrowdata/harrow/internal/dom/name"
)

// AppendHTML appends a finished tree's node n with all below it as HTML (HTML
// 13.3), with scripting on; of the document, what is below it.
//
// Not every tree is the one that a parser makes of this again: the standard
// lists what isn't (13.3), such as a link in a link, a form in a form, or a
// newline that a pre begins with.
func (t *Tree) AppendHTML(dst []byte, n ID) []byte {
	end := t.Nodes[n].End
	open := None // the innermost element whose end tag is missing
	for i := n; i < end; i++ {
		for open != None && t.Nodes[open].End <= i {
			dst, open = t.appendEnd(dst, open, n)
		}
		node := &t.Nodes[i]
		switch node.Kind {
		case Document:
		case Text:
			if p := node.Parent; p != None && t.isLiteral(p) {
				dst = append(dst, t.Data(i)...)
			} else {
				dst = appendEscaped(dst, t.Data(i), false)
			}
		case Comment:
			dst = append(append(append(dst, "<!--"...), t.Data(i)...), "-->"...)
		case Doctype:
			doctype, _, _, _, _ := t.Doctype(i)
			dst = append(append(append(dst, "<!DOCTYPE "...), doctype...), '>')
		case Element:
			if dst = t.appendStart(dst, i); node.Space != HTML || node.Name >= name.Count || !voids[node.Name] {
				open = i
			}
		}
	}
	for open != None {
		dst, open = t.appendEnd(dst, open, n)
	}
	return dst
}

// appendEnd appends an end tag; next is the element around it, None where that
// is beyond root.
func (t *Tree) appendEnd(dst []byte, n, root ID) (out []byte, next ID) {
	dst = append(append(append(dst, "</"...), t.NameOf(t.Nodes[n].Name)...), '>')
	next = t.Nodes[n].Parent
	if n == root || next == None || t.Nodes[next].Kind != Element {
		next = None
	}
	return dst, next
}

func (t *Tree) appendStart(dst []byte, n ID) []byte {
	dst = append(append(dst, '<'), t.NameOf(t.Nodes[n].Name)...)
	own := t.AttrsOf(n)
	for i := range own {
		a := &own[i]
		dst = append(dst, ' ')
		switch {
		case a.Space == XLink:
			dst = append(dst, "xlink:"...)
		case a.Space == XMLSpace:
			dst = append(dst, "xml:"...)
		case a.Space == XMLNS && a.Name != name.Xmlns:
			dst = append(dst, "xmlns:"...)
		}
		dst = append(append(dst, t.NameOf(a.Name)...), `="`...)
		dst = append(appendEscaped(dst, t.Value(a), true), '"')
	}
	return append(dst, '>')
}

// isLiteral reports whether the texts of an element are written as they are.
func (t *Tree) isLiteral(n ID) bool {
	node := &t.Nodes[n]
	return node.Kind == Element && node.Space == HTML && node.Name < name.Count && literals[node.Name]
}

func appendEscaped(dst []byte, text string, attribute bool) []byte {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '&':
			dst = append(dst, "&amp;"...)
		case c == '<':
			dst = append(dst, "&lt;"...)
		case c == '>':
			dst = append(dst, "&gt;"...)
		case c == '"' && attribute:
			dst = append(dst, "&quot;"...)
		case c == 0xA0 && i > 0 && text[i-1] == 0xC2:
			dst = append(dst[:len(dst)-1], "&nbsp;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// voids are the elements without content nor end tag: 13.1.2, and those that
// are written likewise; literals those whose text is never escaped.
var voids, literals = set(name.Area, name.Base, name.Basefont, name.Bgsound, name.Br, name.Col, name.Embed, name.Frame,
	name.Hr, name.Img, name.Input, name.Keygen, name.Link, name.Meta, name.Param, name.Source, name.Track, name.Wbr),
	set(name.Style, name.Script, name.Xmp, name.Iframe, name.Noembed, name.Noframes, name.Plaintext, name.Noscript)

func set(names ...Name) (is [name.Count]bool) {
	for _, n := range names {
		is[n] = true
	}
	return is
}
