package html5

import (
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// inTemplate: 13.2.6.4.18.
func (b *builder) inTemplate() bool {
	switch tok := &b.tok; tok.kind {
	case startTag:
		m := inBody
		switch tok.name {
		case name.Base, name.Basefont, name.Bgsound, name.Link, name.Meta, name.Noframes, name.Script, name.Style, name.Template, name.Title:
			b.headTag()
			return false
		case name.Caption, name.Colgroup, name.Tbody, name.Tfoot, name.Thead:
			m = inTable
		case name.Col:
			m = inColumnGroup
		case name.Tr:
			m = inTableBody
		case name.Td, name.Th:
			m = inRow
		}
		b.templates[len(b.templates)-1] = m
		b.mode = m
		return true
	case endTag:
		if tok.name == name.Template {
			b.endTemplate()
		}
		return false
	case eofToken:
		i := b.last[name.Template]
		if i < 0 {
			return false
		}
		b.popTo(i)
		b.clearToMarker()
		b.templates = b.templates[:len(b.templates)-1]
		b.resetMode()
		return true
	}
	return b.inBody()
}

// inFrameset: 13.2.6.4.20.
func (b *builder) inFrameset() bool {
	tok := &b.tok
	switch tok.kind {
	case textToken:
		b.onlySpace()
	case commentToken:
		b.comment(b.top().id)
	case doctypeToken:
		b.dropDoctype()
	case startTag:
		switch tok.name {
		case name.Html:
			return b.inBody()
		case name.Frameset:
			b.insert()
		case name.Frame:
			b.insertVoid()
		case name.Noframes:
			b.headTag()
		default:
			b.ignore()
		}
	case endTag:
		if tok.name != name.Frameset || len(b.open) == 1 {
			return false
		}
		b.pop()
		if !b.fragment && !b.isTop(name.Frameset) {
			b.mode = afterFrameset
		}
	}
	return false
}

// onlySpace inserts the text's white space.
func (b *builder) onlySpace() {
	tok := &b.tok
	if raw := b.raw(tok.a, tok.b, tok.flags); leadingSpace(raw) < len(raw) {
		b.plain(tok, func(text []byte) int { return keep(text, blank) })
	}
	if tok.a == tok.b {
		return
	}
	if b.mode == afterAfterFrameset { // by the body's rules: a body that the frameset replaced may have left some
		b.reconstruct()
	}
	b.insertText(tok)
}

// afterFrameset: 13.2.6.4.21, and 13.2.6.4.23, "after after frameset".
func (b *builder) afterFrameset() bool {
	tok := &b.tok
	switch tok.kind {
	case textToken:
		b.onlySpace()
	case commentToken:
		parent := dom.Root
		if b.mode == afterFrameset {
			parent = b.top().id
		}
		b.comment(parent)
	case doctypeToken:
		b.dropDoctype()
	case startTag:
		switch tok.name {
		case name.Html:
			return b.inBody()
		case name.Noframes:
			b.headTag()
		default:
			b.ignore()
		}
	case endTag:
		if tok.name == name.Html {
			b.mode = afterAfterFrameset
		}
	}
	return false
}
