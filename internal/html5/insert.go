package html5

import (
	"math/bits"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// insert inserts an HTML element for the start tag, and opens it.
func (b *builder) insert() dom.ID {
	n := b.tok.name
	id := b.element(n, dom.HTML)
	b.push(id, n, kindOf(n))
	return id
}

// insertVoid inserts an HTML element for the start tag that is closed at once.
func (b *builder) insertVoid() dom.ID { return b.element(b.tok.name, dom.HTML) }

// insertImplied inserts an HTML element without attributes, and opens it.
func (b *builder) insertImplied(n dom.Name) dom.ID {
	id := b.put(&dom.Node{Kind: dom.Element, Name: n})
	b.push(id, n, kinds[n])
	return id
}

// element inserts an element for the start tag, with its attributes.
func (b *builder) element(n dom.Name, space dom.Space) dom.ID {
	return b.put(&dom.Node{Kind: dom.Element, Name: n, Space: space, A: b.tok.attrs, B: uint32(len(b.t.Attrs))})
}

// ignore drops the tag.
func (b *builder) ignore() {
	if b.tok.kind == startTag {
		b.t.Attrs = b.t.Attrs[:b.tok.attrs]
	}
}

// put inserts a new node at the appropriate place (HTML 13.2.6.1).
func (b *builder) put(n *dom.Node) dom.ID {
	if top := b.top(); !b.foster || top.is&tablePart == 0 {
		return b.appendNew(top.id, n)
	}
	id := b.t.New(*n)
	b.insertNode(id)
	return id
}

// appendNew makes a new node the last child of parent. (It copies what n has field
// by field: what was just written in small pieces is slow to read in one.)
func (b *builder) appendNew(parent dom.ID, n *dom.Node) dom.ID {
	t := b.t
	id := dom.ID(len(t.Nodes))
	p := &t.Nodes[parent]
	prev := p.Last
	p.Last = id
	if prev == dom.None {
		p.First = id
	} else {
		t.Nodes[prev].Next = id
	}
	if int(id) < cap(t.Nodes) {
		t.Nodes = t.Nodes[:id+1]
	} else {
		t.Nodes = append(t.Nodes, dom.Node{})
	}
	c := &t.Nodes[id]
	c.Parent, c.First, c.Last, c.Prev, c.Next, c.End = parent, dom.None, dom.None, prev, dom.None, 0
	c.Name, c.Kind, c.Space, c.Flags, c.Mark, c.A, c.B = n.Name, n.Kind, n.Space, n.Flags, n.Mark, n.A, n.B
	return id
}

// insertNode inserts a node that is nowhere at the appropriate place.
func (b *builder) insertNode(id dom.ID) { b.insertAt(id, b.top()) }

// insertAt does so with an override target.
func (b *builder) insertAt(id dom.ID, target *open) {
	if b.foster && target.is&tablePart != 0 {
		if parent, before := b.fosterPlace(); before != dom.None {
			b.t.InsertBefore(id, before)
		} else {
			b.t.Append(parent, id)
		}
		return
	}
	b.t.Append(target.id, id)
}

// fosterPlace is where foster parenting puts what a table may not have in it:
// before a node, or else at the end of parent.
func (b *builder) fosterPlace() (parent, before dom.ID) {
	table, template := b.last[name.Table], b.last[name.Template]
	switch {
	case template >= 0 && template > table:
		return b.open[template].id, dom.None
	case table < 0:
		return b.open[0].id, dom.None
	}
	id := b.open[table].id
	if b.t.Nodes[id].Parent != dom.None {
		return dom.None, id
	}
	return b.open[table-1].id, dom.None
}

// comment inserts a comment at the end of parent.
func (b *builder) comment(parent dom.ID) {
	b.appendNew(parent, &dom.Node{Kind: dom.Comment, Flags: b.tok.flags, A: b.tok.a, B: b.tok.b})
}

// insertText inserts the text at the appropriate place: into the text that is
// there, if there is one.
func (b *builder) insertText(tok *token) {
	t := b.t
	top := b.top()
	if b.foster && top.is&tablePart != 0 {
		b.fosterText(tok)
		return
	}
	if last := t.Nodes[top.id].Last; last != dom.None && t.Nodes[last].Kind == dom.Text {
		b.grow(last, tok)
		return
	}
	b.appendNew(top.id, &dom.Node{Kind: dom.Text, Flags: tok.flags, A: tok.a, B: tok.b})
}

// fosterText is insertText where foster parenting moves the text.
func (b *builder) fosterText(tok *token) {
	parent, before := b.fosterPlace()
	var beside dom.ID
	if before != dom.None {
		beside = b.t.Nodes[before].Prev
	} else {
		beside = b.t.Nodes[parent].Last
	}
	if beside != dom.None && b.t.Nodes[beside].Kind == dom.Text {
		b.grow(beside, tok)
		return
	}
	b.put(&dom.Node{Kind: dom.Text, Flags: tok.flags, A: tok.a, B: tok.b})
}

// grow adds text to that of a node. Where the page doesn't have both side by
// side the node's text is moved to Tree.Extra, with room for more: its length's
// power of two. So however many texts grow in turn, each byte is copied
// twice at most on the average, and a text takes twice its length.
func (b *builder) grow(id dom.ID, tok *token) {
	t := b.t
	n := &t.Nodes[id]
	if n.Mark&markGrown == 0 && n.Flags == tok.flags && n.B == tok.a {
		n.B = tok.b
		return
	}
	more := b.raw(tok.a, tok.b, tok.flags)
	if tok.flags&dom.Refs != 0 {
		b.scratch = dom.AppendDecoded(b.scratch[:0], more, false)
		more = b.scratch
	}
	size := int(n.B - n.A)
	switch {
	case n.Mark&markGrown == 0:
		old := b.raw(n.A, n.B, n.Flags)
		if n.Flags&dom.Refs != 0 {
			old = dom.AppendDecoded(nil, old, false)
		}
		b.room(n, old, len(old)+len(more))
	case size+len(more) > blockSize(size):
		b.room(n, t.Extra[n.A:n.B], size+len(more))
	}
	copy(t.Extra[n.B:], more)
	n.B += uint32(len(more))
}

// room gives a text a place in Tree.Extra where it may grow to size bytes.
func (b *builder) room(n *dom.Node, text []byte, size int) {
	t := b.t
	a := len(t.Extra)
	t.Extra = append(t.Extra, text...)
	t.Extra = append(t.Extra, make([]byte, blockSize(size)-len(text))...)
	n.A, n.B, n.Flags = uint32(a), uint32(a+len(text)), dom.InExtra
	n.Mark |= markGrown
}

// blockSize is how many bytes of Tree.Extra a grown text of a size has.
func blockSize(size int) int { return 1 << max(5, bits.Len(uint(size-1))) }

// raw is a range of the page or of the tree's own bytes, undecoded.
func (b *builder) raw(from, to uint32, flags dom.Flags) []byte {
	if flags&dom.InExtra != 0 {
		return b.t.Extra[from:to]
	}
	return b.t.Source[from:to]
}

// plain puts the text's decoded bytes in Tree.Extra, where filter, if there is
// one, changes them in place and says how many are left.
func (b *builder) plain(tok *token, filter func([]byte) int) {
	t := b.t
	raw := b.raw(tok.a, tok.b, tok.flags)
	a := len(t.Extra)
	if tok.flags&dom.Refs != 0 {
		t.Extra = dom.AppendDecoded(t.Extra, raw, false)
	} else {
		t.Extra = append(t.Extra, raw...)
	}
	if filter != nil {
		t.Extra = t.Extra[:a+filter(t.Extra[a:])]
	}
	tok.a, tok.b, tok.flags = uint32(a), uint32(len(t.Extra)), dom.InExtra
	tok.nul = false
}

// dropNul drops each U+0000 of the text.
func (b *builder) dropNul(tok *token) {
	b.plain(tok, func(text []byte) int { return keep(text, func(c byte) bool { return c != 0 }) })
}

// keep drops the bytes that aren't wanted, in place; it says how many are left.
func keep(text []byte, wanted func(byte) bool) int {
	n := 0
	for _, c := range text {
		if wanted(c) {
			text[n] = c
			n++
		}
	}
	return n
}

// blank: decoded text has CR where a reference stands for it.
func blank(c byte) bool { return class[c]&isSpace != 0 || c == '\r' }

func leadingSpace(text []byte) int {
	for i, c := range text {
		if !blank(c) {
			return i
		}
	}
	return len(text)
}

// space splits the white space off that a text begins with; rest reports whether
// there is anything else, which stays in the token.
func (b *builder) space(tok *token) (head token, rest bool) {
	head = *tok
	raw := b.raw(tok.a, tok.b, tok.flags)
	n := leadingSpace(raw)
	if tok.flags&dom.Refs != 0 && n < len(raw) && raw[n] == '&' { // that may be white space too
		b.plain(tok, nil)
		tok.nul = head.nul
		head = *tok
		n = leadingSpace(b.raw(tok.a, tok.b, tok.flags))
	}
	head.b = head.a + uint32(n)
	head.flags &^= dom.Refs
	head.nul = false
	tok.a = head.b
	return head, tok.a < tok.b
}

// isBlank reports whether a text is nothing but white space once decoded.
func (b *builder) isBlank(tok *token) bool {
	raw := b.raw(tok.a, tok.b, tok.flags)
	n := leadingSpace(raw)
	if n == len(raw) || tok.flags&dom.Refs == 0 || raw[n] != '&' {
		return n == len(raw)
	}
	b.scratch = dom.AppendDecoded(b.scratch[:0], raw, false)
	return leadingSpace(b.scratch) == len(b.scratch)
}

// mergeAttrs gives an open element the attributes of the start tag that it
// doesn't have yet.
func (b *builder) mergeAttrs(id dom.ID) {
	t := b.t
	own := t.AttrsOf(id)
	more := t.Attrs[b.tok.attrs:]
	if id == dom.Root || len(more) == 0 || b.spent() {
		b.ignore()
		return
	}
	kept := 0
	for i := range more {
		if b.steps += len(own); !hasAttr(own, more[i].Name) {
			more[kept] = more[i]
			kept++
		}
	}
	t.Attrs = t.Attrs[:int(b.tok.attrs)+kept]
	n := &t.Nodes[id]
	if kept == 0 {
		return
	}
	if n.B != b.tok.attrs { // others are between them
		b.steps += 16 * len(own)
		a := len(t.Attrs)
		t.Attrs = append(append(t.Attrs, own...), t.Attrs[b.tok.attrs:]...)
		t.Attrs = t.Attrs[:copy(t.Attrs[b.tok.attrs:], t.Attrs[a:])+int(b.tok.attrs)]
		n.A = b.tok.attrs
	}
	n.B = uint32(len(t.Attrs))
}

func hasAttr(attrs []dom.Attr, n dom.Name) bool {
	for i := range attrs {
		if attrs[i].Name == n {
			return true
		}
	}
	return false
}
