package html5

import (
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// inTable: 13.2.6.4.9.
func (b *builder) inTable() bool {
	tok := &b.tok
	switch tok.kind {
	case textToken:
		if e := b.top(); e.is&tablePart != 0 || b.isTop(name.Template) {
			return b.tableText()
		}
	case commentToken:
		b.comment(b.top().id)
		return false
	case doctypeToken:
		b.dropDoctype()
		return false
	case startTag:
		if done, again := b.startInTable(); done {
			return again
		}
	case endTag:
		switch tok.name {
		case name.Table:
			if b.has(name.Table, tableScope) {
				b.popTo(b.last[name.Table])
				b.resetMode()
			}
			return false
		case name.Body, name.Caption, name.Col, name.Colgroup, name.Html, name.Tbody, name.Td, name.Tfoot, name.Th, name.Thead, name.Tr:
			return false
		case name.Template:
			b.endTemplate()
			return false
		}
	case eofToken:
		return b.inBody()
	}
	return b.fostered()
}

// fostered has the token processed by the rules of the body, with what a table
// may not have in it put before the table.
func (b *builder) fostered() bool {
	b.foster = true
	again := b.inBody()
	b.foster = false
	return again
}

func (b *builder) startInTable() (done, again bool) {
	switch b.tok.name {
	case name.Caption:
		b.clearTo(name.Table)
		b.addMarker()
		b.insert()
		b.mode = inCaption
	case name.Colgroup:
		b.clearTo(name.Table)
		b.insert()
		b.mode = inColumnGroup
	case name.Col:
		b.clearTo(name.Table)
		b.insertImplied(name.Colgroup)
		b.mode = inColumnGroup
		return true, true
	case name.Tbody, name.Tfoot, name.Thead:
		b.clearTo(name.Table)
		b.insert()
		b.mode = inTableBody
	case name.Td, name.Th, name.Tr:
		b.clearTo(name.Table)
		b.insertImplied(name.Tbody)
		b.mode = inTableBody
		return true, true
	case name.Table:
		if !b.has(name.Table, tableScope) {
			b.ignore()
			return true, false
		}
		b.popTo(b.last[name.Table])
		b.resetMode()
		return true, true
	case name.Style, name.Script, name.Template:
		b.headTag()
	case name.Input:
		if !b.isHidden() {
			return false, false
		}
		b.insertVoid()
	case name.Form:
		if b.form != dom.None || b.last[name.Template] >= 0 {
			b.ignore()
			return true, false
		}
		b.form = b.insert()
		b.pop()
	default:
		return false, false
	}
	return true, false
}

// clearTo clears the stack back to a table, table body or table row context:
// down to an element of one of these names, a template or the html element.
func (b *builder) clearTo(names ...dom.Name) {
	for {
		e := b.top()
		if e.is&foreign == 0 {
			if e.name == name.Template || e.name == name.Html {
				return
			}
			for _, n := range names {
				if e.name == n {
					return
				}
			}
		}
		b.pop()
	}
}

// tableText: 13.2.6.4.10. It reads on, as long as there is text: a tag without a
// name may stand between, which is no token.
func (b *builder) tableText() bool {
	text := b.tok
	if text.nul {
		b.dropNul(&text)
	}
	for {
		if b.z.next(&b.tok); b.tok.kind != textToken {
			break
		}
		if b.tok.nul {
			b.dropNul(&b.tok)
		}
		b.join(&text, &b.tok)
	}
	switch {
	case text.a == text.b:
	case b.isBlank(&text):
		b.insertText(&text)
	default:
		b.foster = true
		b.bodyText(&text)
		b.foster = false
	}
	return true
}

// join adds a text to another.
func (b *builder) join(text, more *token) {
	if text.flags&dom.InExtra == 0 || int(text.b) != len(b.t.Extra) {
		b.plain(text, nil)
	}
	b.plain(more, nil)
	raw := b.t.Extra[more.a:more.b]
	if text.b != more.a { // more was there, and is now twice
		b.t.Extra = append(b.t.Extra, raw...)
	}
	text.b = uint32(len(b.t.Extra))
}

// inCaption: 13.2.6.4.11.
func (b *builder) inCaption() bool {
	switch n := b.tok.name; b.tok.kind {
	case startTag:
		switch n {
		case name.Caption, name.Col, name.Colgroup, name.Tbody, name.Td, name.Tfoot, name.Th, name.Thead, name.Tr:
			if !b.closeCaption() {
				b.ignore()
				return false
			}
			return true
		}
	case endTag:
		switch n {
		case name.Caption:
			b.closeCaption()
			return false
		case name.Table:
			return b.closeCaption()
		case name.Body, name.Col, name.Colgroup, name.Html, name.Tbody, name.Td, name.Tfoot, name.Th, name.Thead, name.Tr:
			return false
		}
	}
	return b.inBody()
}

func (b *builder) closeCaption() bool {
	if !b.has(name.Caption, tableScope) {
		return false
	}
	b.imply(noName)
	b.popTo(b.last[name.Caption])
	b.clearToMarker()
	b.mode = inTable
	return true
}

// inColumnGroup: 13.2.6.4.12.
func (b *builder) inColumnGroup() bool {
	tok := &b.tok
	switch tok.kind {
	case textToken:
		if b.leadingSpace() {
			return false
		}
	case commentToken:
		b.comment(b.top().id)
		return false
	case doctypeToken:
		b.dropDoctype()
		return false
	case startTag:
		switch tok.name {
		case name.Html:
			return b.inBody()
		case name.Col:
			b.insertVoid()
			return false
		case name.Template:
			b.headTag()
			return false
		}
	case endTag:
		switch tok.name {
		case name.Colgroup:
			if b.isTop(name.Colgroup) {
				b.pop()
				b.mode = inTable
			}
			return false
		case name.Col:
			return false
		case name.Template:
			b.endTemplate()
			return false
		}
	case eofToken:
		return b.inBody()
	}
	if !b.isTop(name.Colgroup) {
		b.ignore()
		return false
	}
	b.pop()
	b.mode = inTable
	return true
}

// inTableBody: 13.2.6.4.13.
func (b *builder) inTableBody() bool {
	switch n := b.tok.name; b.tok.kind {
	case startTag:
		switch n {
		case name.Tr:
			b.clearTo(name.Tbody, name.Tfoot, name.Thead)
			b.insert()
			b.mode = inRow
			return false
		case name.Th, name.Td:
			b.clearTo(name.Tbody, name.Tfoot, name.Thead)
			b.insertImplied(name.Tr)
			b.mode = inRow
			return true
		case name.Caption, name.Col, name.Colgroup, name.Tbody, name.Tfoot, name.Thead:
			if !b.closeTableBody() {
				b.ignore()
				return false
			}
			return true
		}
	case endTag:
		switch n {
		case name.Tbody, name.Tfoot, name.Thead:
			if b.has(n, tableScope) {
				b.clearTo(name.Tbody, name.Tfoot, name.Thead)
				b.pop()
				b.mode = inTable
			}
			return false
		case name.Table:
			return b.closeTableBody()
		case name.Body, name.Caption, name.Col, name.Colgroup, name.Html, name.Td, name.Th, name.Tr:
			return false
		}
	}
	return b.inTable()
}

func (b *builder) closeTableBody() bool {
	if !b.has(name.Tbody, tableScope) && !b.has(name.Thead, tableScope) && !b.has(name.Tfoot, tableScope) {
		return false
	}
	b.clearTo(name.Tbody, name.Tfoot, name.Thead)
	b.pop()
	b.mode = inTable
	return true
}

// inRow: 13.2.6.4.14.
func (b *builder) inRow() bool {
	switch n := b.tok.name; b.tok.kind {
	case startTag:
		switch n {
		case name.Th, name.Td:
			b.clearTo(name.Tr)
			b.insert()
			b.mode = inCell
			b.addMarker()
			return false
		case name.Caption, name.Col, name.Colgroup, name.Tbody, name.Tfoot, name.Thead, name.Tr:
			if !b.closeRow() {
				b.ignore()
				return false
			}
			return true
		}
	case endTag:
		switch n {
		case name.Tr:
			b.closeRow()
			return false
		case name.Table:
			return b.closeRow()
		case name.Tbody, name.Tfoot, name.Thead:
			return b.has(n, tableScope) && b.closeRow()
		case name.Body, name.Caption, name.Col, name.Colgroup, name.Html, name.Td, name.Th:
			return false
		}
	}
	return b.inTable()
}

func (b *builder) closeRow() bool {
	if !b.has(name.Tr, tableScope) {
		return false
	}
	b.clearTo(name.Tr)
	b.pop()
	b.mode = inTableBody
	return true
}

// inCell: 13.2.6.4.15.
func (b *builder) inCell() bool {
	switch n := b.tok.name; b.tok.kind {
	case startTag:
		switch n {
		case name.Caption, name.Col, name.Colgroup, name.Tbody, name.Td, name.Tfoot, name.Th, name.Thead, name.Tr:
			if !b.closeCell() {
				b.ignore()
				return false
			}
			return true
		}
	case endTag:
		switch n {
		case name.Td, name.Th:
			if b.has(n, tableScope) {
				b.imply(noName)
				b.popTo(b.last[n])
				b.clearToMarker()
				b.mode = inRow
			}
			return false
		case name.Body, name.Caption, name.Col, name.Colgroup, name.Html:
			return false
		case name.Table, name.Tbody, name.Tfoot, name.Thead, name.Tr:
			return b.has(n, tableScope) && b.closeCell()
		}
	}
	return b.inBody()
}

// closeCell closes the cell: 13.2.6.4.15. false: there is none.
func (b *builder) closeCell() bool {
	i := max(b.last[name.Td], b.last[name.Th])
	if i < 0 || !b.reaches(i, tableScope) {
		return false
	}
	b.imply(noName)
	b.popTo(i)
	b.clearToMarker()
	b.mode = inRow
	return true
}
