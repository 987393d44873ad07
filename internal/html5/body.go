package html5

import (
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// inBody: 13.2.6.4.7.
func (b *builder) inBody() bool {
	tok := &b.tok
	switch tok.kind {
	case textToken:
		b.bodyText(tok)
	case startTag:
		return b.startInBody()
	case endTag:
		return b.endInBody()
	case commentToken:
		b.putComment()
	case doctypeToken:
		b.dropDoctype()
	default:
		if len(b.templates) > 0 {
			return b.inTemplate()
		}
	}
	return false
}

// putComment inserts a comment at the appropriate place.
func (b *builder) putComment() {
	b.put(&dom.Node{Kind: dom.Comment, Flags: b.tok.flags, A: b.tok.a, B: b.tok.b})
}

func (b *builder) bodyText(tok *token) {
	if tok.nul {
		if b.dropNul(tok); tok.a == tok.b {
			return
		}
	}
	b.reconstruct()
	b.insertText(tok)
	if b.framesetOK && !b.isBlank(tok) {
		b.framesetOK = false
	}
}

func (b *builder) startInBody() bool {
	a := ordinaryStart
	if b.tok.name < name.Count {
		a = startActions[b.tok.name]
	}
	switch a {
	case ordinaryStart:
		b.reconstruct()
		if id := b.insert(); b.tok.name == name.Selectedcontent {
			b.contentOpened(id)
		}
	case blockStart:
		b.closeP()
		b.insert()
	case headingStart:
		b.closeP()
		if n := b.top().name; n >= name.H1 && n <= name.H6 && b.isTop(n) {
			b.pop()
		}
		b.insert()
	case preStart:
		b.closeP()
		b.insert()
		b.skipLF, b.framesetOK = true, false
	case formStart:
		b.startForm()
	case itemStart:
		b.closeItem(name.Li, name.Li)
		b.insert()
		b.framesetOK = false
	case termStart:
		b.closeItem(name.Dd, name.Dt)
		b.insert()
		b.framesetOK = false
	case plaintextStart:
		b.closeP()
		b.insert()
		b.z.state = plaintextState
	case buttonStart:
		if i := b.last[name.Button]; i >= 0 && b.reaches(i, defaultScope) {
			b.imply(noName)
			b.popTo(i)
		}
		b.reconstruct()
		b.insert()
		b.framesetOK = false
	case linkStart:
		b.startLink()
	case formattingStart:
		b.reconstruct()
		b.addFormatting(b.insert(), b.tok.name)
	case nobrStart:
		b.reconstruct()
		if b.has(name.Nobr, defaultScope) {
			if !b.adopt(name.Nobr) {
				b.otherEnd(name.Nobr)
			}
			b.reconstruct()
		}
		b.addFormatting(b.insert(), name.Nobr)
	case scopedStart:
		b.reconstruct()
		b.insert()
		b.addMarker()
		b.framesetOK = false
	case tableStart:
		if b.t.Quirks != dom.FullQuirks {
			b.closeP()
		}
		b.insert()
		b.framesetOK = false
		b.mode = inTable
	case imageStart:
		b.tok.name = name.Img
		fallthrough
	case voidStart:
		b.reconstruct()
		b.insertVoid()
		b.framesetOK = false
	case inputStart:
		b.startInput()
	case plainVoidStart:
		b.insertVoid()
	case hrStart:
		b.closeP()
		if b.has(name.Select, defaultScope) {
			b.imply(noName)
		}
		b.insertVoid()
		b.framesetOK = false
	case textareaStart:
		b.rawElement(rcdataState)
		b.skipLF, b.framesetOK = true, false
	case xmpStart:
		b.closeP()
		b.reconstruct()
		b.framesetOK = false
		b.rawElement(rawtextState)
	case iframeStart:
		b.framesetOK = false
		b.rawElement(rawtextState)
	case rawStart:
		b.rawElement(rawtextState)
	case selectStart:
		b.startSelect()
	case optionStart:
		b.startOption()
	case optgroupStart:
		b.startOptgroup()
	case rubyBaseStart:
		if b.has(name.Ruby, defaultScope) {
			b.imply(noName)
		}
		b.insert()
	case rubyTextStart:
		if b.has(name.Ruby, defaultScope) {
			b.imply(name.Rtc)
		}
		b.insert()
	case mathStart:
		b.reconstruct()
		b.insertForeign(dom.MathML)
	case svgStart:
		b.reconstruct()
		b.insertForeign(dom.SVG)
	case htmlStart:
		if b.last[name.Template] >= 0 {
			b.ignore()
		} else {
			b.mergeAttrs(b.open[0].id)
		}
	case headStart:
		b.headTag()
	case bodyStart:
		if b.bodyIsSecond() && b.last[name.Template] < 0 {
			b.framesetOK = false
			b.mergeAttrs(b.open[1].id)
		} else {
			b.ignore()
		}
	case framesetStart:
		b.startFrameset()
	case strayStart:
		b.ignore()
	}
	return false
}

// bodyIsSecond reports whether the second open element is a body.
func (b *builder) bodyIsSecond() bool { return len(b.open) > 1 && b.open[1].name == name.Body }

func (b *builder) startFrameset() {
	if !b.bodyIsSecond() || !b.framesetOK {
		b.ignore()
		return
	}
	b.t.Remove(b.open[1].id)
	b.popTo(1)
	b.insert()
	b.mode = inFrameset
}

func (b *builder) startForm() {
	inTemplate := b.last[name.Template] >= 0
	if b.form != dom.None && !inTemplate {
		b.ignore()
		return
	}
	b.closeP()
	id := b.insert()
	if !inTemplate {
		b.form = id
	}
}

// closeItem closes what an item of a list, or a term, closes: an open one of
// these names, unless it is out of reach.
func (b *builder) closeItem(one, other dom.Name) {
	if i := b.top().stopper; i >= 0 {
		if e := &b.open[i]; (e.name == one || e.name == other) && e.is&foreign == 0 {
			b.imply(e.name)
			b.popTo(i)
		}
	}
	b.closeP()
}

func (b *builder) startLink() {
	if in := b.listed(name.A); in >= 0 {
		id := b.list[in].id
		if !b.adopt(name.A) {
			b.otherEnd(name.A)
		}
		// Where it is still there, both lists drop it.
		if b.t.Nodes[id].Mark&markListed != 0 {
			b.unlist(b.listIndex(id))
		}
		if b.t.Nodes[id].Mark&markOpen != 0 && !b.spent() {
			if at, looked := b.find(id, name.A); at >= 0 {
				b.steps += looked
				b.remove(at)
			}
		}
	}
	b.reconstruct()
	b.addFormatting(b.insert(), name.A)
}

func (b *builder) startInput() {
	if b.fragment && b.context.name == name.Select && b.context.is&foreign == 0 {
		b.ignore()
		return
	}
	b.closeSelect()
	b.reconstruct()
	b.insertVoid()
	if !b.isHidden() {
		b.framesetOK = false
	}
}

// isHidden reports whether the start tag, of an input, has the type hidden.
func (b *builder) isHidden() bool {
	own := b.t.Attrs[b.tok.attrs:]
	for i := range own {
		if own[i].Name == name.Type {
			return strings.EqualFold(b.t.Value(&own[i]), "hidden")
		}
	}
	return false
}

// closeSelect closes a select in scope; false: there is none.
func (b *builder) closeSelect() bool {
	i := b.last[name.Select]
	if i < 0 || !b.reaches(i, defaultScope) {
		return false
	}
	b.popTo(i)
	return true
}

func (b *builder) startSelect() {
	if b.fragment && b.context.name == name.Select && b.context.is&foreign == 0 || b.closeSelect() {
		b.ignore()
		return
	}
	b.reconstruct()
	b.selectOpened(b.insert())
	b.framesetOK = false
}

func (b *builder) startOption() {
	if b.has(name.Select, defaultScope) {
		b.imply(name.Optgroup)
	} else if b.isTop(name.Option) {
		b.pop()
	}
	b.reconstruct()
	b.optionOpened(b.insert())
}

func (b *builder) startOptgroup() {
	if b.has(name.Select, defaultScope) {
		b.imply(noName)
	} else if b.isTop(name.Option) {
		b.pop()
	}
	b.reconstruct()
	b.insert()
}

func (b *builder) endInBody() bool {
	n := b.tok.name
	a := ordinaryEnd
	if n < name.Count {
		a = endActions[n]
	}
	switch a {
	case ordinaryEnd:
		b.otherEnd(n)
	case templateEnd:
		b.endTemplate()
	case bodyEnd:
		if b.has(name.Body, defaultScope) {
			b.mode = afterBody
		}
	case htmlEnd:
		if b.has(name.Body, defaultScope) {
			b.mode = afterBody
			return true
		}
	case blockEnd:
		b.endScoped(n)
	case scopedEnd:
		if b.endScoped(n) {
			b.clearToMarker()
		}
	case formEnd:
		b.endForm()
	case pEnd:
		if !b.has(name.P, buttonScope) {
			b.insertImplied(name.P)
		}
		b.closeP()
	case liEnd:
		if b.has(name.Li, listScope) {
			b.imply(name.Li)
			b.popTo(b.last[name.Li])
		}
	case termEnd:
		if b.has(n, defaultScope) {
			b.imply(n)
			b.popTo(b.last[n])
		}
	case headingEnd:
		b.endHeading()
	case formattingEnd:
		if !b.adopt(n) {
			b.otherEnd(n)
		}
	case brEnd:
		b.reconstruct()
		b.put(&dom.Node{Kind: dom.Element, Name: name.Br})
		b.framesetOK = false
	}
	return false
}

// otherEnd is any other end tag: it closes the nearest element of its name,
// unless something special is above it.
func (b *builder) otherEnd(n dom.Name) {
	i := b.at(n)
	if i < 0 || b.top().special > i {
		return
	}
	b.imply(n)
	b.popTo(i)
}

// endScoped closes an element in scope; false: there is none.
func (b *builder) endScoped(n dom.Name) bool {
	i := b.last[n]
	if i < 0 || !b.reaches(i, defaultScope) {
		return false
	}
	b.imply(noName)
	b.popTo(i)
	return true
}

func (b *builder) endForm() {
	if b.last[name.Template] >= 0 {
		b.endScoped(name.Form)
		return
	}
	id := b.form
	b.form = dom.None
	if id <= dom.Root {
		return
	}
	at, looked := b.find(id, name.Form)
	b.steps += looked
	if at < 0 || !b.reaches(at, defaultScope) {
		return
	}
	b.imply(noName)
	if at < int32(len(b.open)) {
		b.remove(at)
	}
}

// endHeading closes the nearest heading in scope, whichever it is.
func (b *builder) endHeading() {
	nearest := int32(-1)
	for _, n := range headings {
		nearest = max(nearest, b.last[n])
	}
	if nearest >= 0 && b.reaches(nearest, defaultScope) {
		b.imply(noName)
		b.popTo(nearest)
	}
}
