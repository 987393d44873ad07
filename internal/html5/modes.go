package html5

import (
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// mode is an insertion mode: HTML 13.2.4.1. "In head noscript" is missing, as
// scripting is on, and "in table text" is part of "in table".
type mode uint8

const (
	initialMode mode = iota
	beforeHTML
	beforeHead
	inHead
	afterHead
	inBody
	inText
	inTable
	inCaption
	inColumnGroup
	inTableBody
	inRow
	inCell
	inTemplate
	afterBody
	inFrameset
	afterFrameset
	afterAfterBody
	afterAfterFrameset
)

// process has the token processed by the rules of a mode; again: it is to be
// processed once more, by the rules of the mode that is then.
func (b *builder) process(m mode) (again bool) {
	switch m {
	case inBody:
		return b.inBody()
	case inText:
		return b.inText()
	case initialMode:
		return b.initial()
	case beforeHTML:
		return b.beforeHTML()
	case beforeHead:
		return b.beforeHead()
	case inHead:
		return b.inHead()
	case afterHead:
		return b.afterHead()
	case inTable:
		return b.inTable()
	case inCaption:
		return b.inCaption()
	case inColumnGroup:
		return b.inColumnGroup()
	case inTableBody:
		return b.inTableBody()
	case inRow:
		return b.inRow()
	case inCell:
		return b.inCell()
	case inTemplate:
		return b.inTemplate()
	case afterBody:
		return b.afterBody()
	case inFrameset:
		return b.inFrameset()
	case afterFrameset, afterAfterFrameset:
		return b.afterFrameset()
	default: // afterAfterBody
		return b.afterAfterBody()
	}
}

// resetMode resets the insertion mode appropriately: 13.2.4.1. What counts is
// the topmost of the elements that have a mode.
func (b *builder) resetMode() {
	top, m := int32(0), beforeHead
	for _, of := range resets {
		if i := b.last[of.name]; i > top {
			top, m = i, of.mode
		}
	}
	if top == 0 {
		b.resetLast()
		return
	}
	if m == inTemplate {
		m = b.templates[len(b.templates)-1]
	}
	b.mode = m
}

var resets = [...]struct {
	name dom.Name
	mode mode
}{
	{name.Td, inCell}, {name.Th, inCell}, {name.Tr, inRow}, {name.Tbody, inTableBody}, {name.Thead, inTableBody},
	{name.Tfoot, inTableBody}, {name.Caption, inCaption}, {name.Colgroup, inColumnGroup}, {name.Table, inTable},
	{name.Template, inTemplate}, {name.Head, inHead}, {name.Body, inBody}, {name.Frameset, inFrameset},
}

// resetLast is what resetting comes to at the first element on the stack, in
// whose place a fragment has its context.
func (b *builder) resetLast() {
	n, m := name.Html, inBody
	if b.fragment {
		if n = b.context.name; b.context.is&foreign != 0 {
			n = noName
		}
	}
	switch n {
	case name.Html:
		if m = afterHead; b.head == dom.None {
			m = beforeHead
		}
	case name.Template:
		m = b.templates[len(b.templates)-1]
	case name.Td, name.Th, name.Head:
		m = inBody
	default:
		for _, of := range resets {
			if of.name == n {
				m = of.mode
			}
		}
	}
	b.mode = m
}

// initial: 13.2.6.4.1.
func (b *builder) initial() bool {
	tok := &b.tok
	switch tok.kind {
	case textToken:
		if _, rest := b.space(tok); !rest {
			return false
		}
	case commentToken:
		b.comment(dom.Root)
		return false
	case doctypeToken:
		b.appendNew(dom.Root, &dom.Node{Kind: dom.Doctype, A: tok.attrs, B: tok.attrs + 3})
		b.t.Quirks = b.quirks()
		b.mode = beforeHTML
		return false
	}
	b.t.Quirks = dom.FullQuirks
	b.mode = beforeHTML
	return true
}

// dropDoctype drops a doctype where there may be none.
func (b *builder) dropDoctype() { b.t.Attrs = b.t.Attrs[:b.tok.attrs] }

// beforeHTML: 13.2.6.4.2.
func (b *builder) beforeHTML() bool {
	tok := &b.tok
	switch tok.kind {
	case doctypeToken:
		b.dropDoctype()
		return false
	case commentToken:
		b.comment(dom.Root)
		return false
	case textToken:
		if _, rest := b.space(tok); !rest {
			return false
		}
	case startTag:
		if tok.name == name.Html {
			id := b.appendNew(dom.Root, &dom.Node{Kind: dom.Element, Name: name.Html, A: tok.attrs, B: uint32(len(b.t.Attrs))})
			b.push(id, name.Html, kinds[name.Html])
			b.mode = beforeHead
			return false
		}
	case endTag:
		if !isHeadEnd(tok.name) {
			return false
		}
	}
	id := b.appendNew(dom.Root, &dom.Node{Kind: dom.Element, Name: name.Html})
	b.push(id, name.Html, kinds[name.Html])
	b.mode = beforeHead
	return true
}

// isHeadEnd reports whether an end tag ends what comes before the body.
func isHeadEnd(n dom.Name) bool {
	return n == name.Head || n == name.Body || n == name.Html || n == name.Br
}

// beforeHead: 13.2.6.4.3.
func (b *builder) beforeHead() bool {
	tok := &b.tok
	switch tok.kind {
	case doctypeToken:
		b.dropDoctype()
		return false
	case commentToken:
		b.comment(b.top().id)
		return false
	case textToken:
		if _, rest := b.space(tok); !rest {
			return false
		}
	case startTag:
		switch tok.name {
		case name.Html:
			return b.inBody()
		case name.Head:
			b.head = b.insert()
			b.mode = inHead
			return false
		}
	case endTag:
		if !isHeadEnd(tok.name) {
			return false
		}
	}
	b.head = b.insertImplied(name.Head)
	b.mode = inHead
	return true
}

// inHead: 13.2.6.4.4.
func (b *builder) inHead() bool {
	tok := &b.tok
	switch tok.kind {
	case doctypeToken:
		b.dropDoctype()
		return false
	case commentToken:
		b.comment(b.top().id)
		return false
	case textToken:
		if b.leadingSpace() {
			return false
		}
	case startTag:
		if tok.name == name.Html {
			return b.inBody()
		}
		if b.headTag() {
			return false
		}
	case endTag:
		switch {
		case tok.name == name.Head:
			b.pop()
			b.mode = afterHead
			return false
		case tok.name == name.Template:
			b.endTemplate()
			return false
		case !isHeadEnd(tok.name):
			return false
		}
	}
	b.pop()
	b.mode = afterHead
	return true
}

// leadingSpace inserts the white space that the text begins with; true: that is
// all of it.
func (b *builder) leadingSpace() bool {
	head, rest := b.space(&b.tok)
	if head.a < head.b {
		b.insertText(&head)
	}
	return !rest
}

// headTag is what the start tags of a head do, and a stray one of head itself,
// wherever they are; false: it is another tag.
func (b *builder) headTag() bool {
	switch b.tok.name {
	case name.Base, name.Basefont, name.Bgsound, name.Link, name.Meta:
		b.insertVoid()
	case name.Title:
		b.rawElement(rcdataState)
	case name.Noscript, name.Noframes, name.Style:
		b.rawElement(rawtextState)
	case name.Script:
		b.rawElement(scriptDataState)
	case name.Template:
		b.insert()
		b.addMarker()
		b.framesetOK = false
		b.mode = inTemplate
		b.templates = append(b.templates, inTemplate)
	case name.Head:
		b.ignore()
	default:
		return false
	}
	return true
}

// rawElement inserts an element whose content is one text: 13.2.6.2.
func (b *builder) rawElement(state contentModel) {
	b.insert()
	b.z.state, b.z.last = state, b.tok.name
	b.original, b.mode = b.mode, inText
}

// inText: 13.2.6.4.8.
func (b *builder) inText() bool {
	switch b.tok.kind {
	case textToken:
		b.insertText(&b.tok)
		return false
	case endTag:
		b.pop()
		b.mode = b.original
		return false
	}
	b.pop() // the page ends
	b.mode = b.original
	return true
}

// endTemplate is what the end tag of a template does.
func (b *builder) endTemplate() {
	i := b.last[name.Template]
	if i < 0 {
		return
	}
	b.implyThoroughly()
	b.popTo(i)
	b.clearToMarker()
	b.templates = b.templates[:len(b.templates)-1]
	b.resetMode()
}

// afterHead: 13.2.6.4.6.
func (b *builder) afterHead() bool {
	tok := &b.tok
	switch tok.kind {
	case doctypeToken:
		b.dropDoctype()
		return false
	case commentToken:
		b.comment(b.top().id)
		return false
	case textToken:
		if b.leadingSpace() {
			return false
		}
	case startTag:
		switch tok.name {
		case name.Html:
			return b.inBody()
		case name.Body:
			b.insert()
			b.framesetOK = false
			b.mode = inBody
			return false
		case name.Frameset:
			b.insert()
			b.mode = inFrameset
			return false
		case name.Head:
			b.ignore()
			return false
		case name.Base, name.Basefont, name.Bgsound, name.Link, name.Meta, name.Noframes, name.Script, name.Style, name.Template, name.Title:
			b.backInHead()
			return false
		}
	case endTag:
		switch tok.name {
		case name.Template:
			b.endTemplate()
			return false
		case name.Body, name.Html, name.Br:
		default:
			return false
		}
	}
	b.insertImplied(name.Body)
	b.mode = inBody
	return true
}

// backInHead puts what belongs in the head there, though it has been closed.
func (b *builder) backInHead() {
	at := int32(len(b.open))
	b.push(b.head, name.Head, kinds[name.Head])
	b.headTag()
	b.remove(at)
}

// afterBody: 13.2.6.4.19.
func (b *builder) afterBody() bool {
	tok := &b.tok
	switch tok.kind {
	case doctypeToken:
		b.dropDoctype()
		return false
	case commentToken:
		b.comment(b.open[0].id)
		return false
	case textToken:
		if b.isBlank(tok) {
			return b.inBody()
		}
	case startTag:
		if tok.name == name.Html {
			return b.inBody()
		}
	case endTag:
		if tok.name == name.Html {
			if !b.fragment {
				b.mode = afterAfterBody
			}
			return false
		}
	case eofToken:
		return false
	}
	b.mode = inBody
	return true
}

// afterAfterBody: 13.2.6.4.22.
func (b *builder) afterAfterBody() bool {
	tok := &b.tok
	switch tok.kind {
	case commentToken:
		b.comment(dom.Root)
		return false
	case doctypeToken:
		return b.inBody()
	case textToken:
		if b.isBlank(tok) {
			return b.inBody()
		}
	case startTag:
		if tok.name == name.Html {
			return b.inBody()
		}
	case eofToken:
		return false
	}
	b.mode = inBody
	return true
}
