package dom

import (
	"unsafe"
)

// ID is a node's place in [Tree.Nodes].
type ID int32

const (
	// Root is the document.
	Root ID = 0
	// None is no node.
	None ID = -1
)

// Kind is what a node is.
type Kind uint8

// Kinds of nodes.
const (
	Document Kind = iota
	Element
	Text
	Comment
	Doctype // A:B are the attributes "", "public" and "system" of it: see [Tree.Doctype]
)

// Space is the namespace of an element or an attribute.
type Space uint8

// Namespaces. An element is in HTML, SVG, MathML or, in a tree of XML, in XML:
// prefixes of XML are bound to nothing. An attribute is in HTML (that is, in
// none), XLink, XMLSpace or XMLNS; of XML in XML.
const (
	HTML Space = iota
	SVG
	MathML
	XML
	XLink    // the attribute's Name is href, its name "xlink:href"
	XMLSpace // xml:lang, xml:space
	XMLNS    // xmlns, xmlns:xlink
)

// Flags say how the bytes of a text or value are to be read.
type Flags uint8

const (
	// InExtra: the bytes are in Tree.Extra, not in Tree.Source.
	InExtra Flags = 1 << iota
	// Refs: there are (or may be) character references to decode.
	Refs
)

// Node is one node. The links are None where there is no such node.
type Node struct {
	Parent, First, Last, Prev, Next ID
	End                             ID   // one past the last node below it, once the tree is finished
	Name                            Name // of an element
	Kind                            Kind
	Space                           Space
	Flags                           Flags // of a text's or comment's bytes
	Mark                            uint8 // the builder's own
	A, B                            uint32
	// A:B is, of an element, what of Tree.Attrs is its; of a text or comment,
	// its bytes; of a doctype, three attributes: name, public and system
	// identifier, in this order.
}

// Attr is one attribute: its value is the bytes A:B.
type Attr struct {
	Name  Name // without prefix where Space is XLink, XMLSpace or XMLNS; xmlns itself is "xmlns"
	A, B  uint32
	Flags Flags
	Space Space
	Mark  uint8 // of a doctype's identifier: 1 when it is missing, which isn't empty
}

// Tree is the tree of one page. It is built and read by one goroutine at a
// time; a finished one may be read by several.
type Tree struct {
	Nodes  []Node
	Attrs  []Attr
	Source []byte // the page: UTF-8
	Extra  []byte // what had to be written anew
	Clean  []byte // memory for a copy of the page, which Source is when its line ends had to be normalised
	Quirks Quirks

	// Own are an XML tree's names as the document writes them, by node and by
	// attribute: Name is in lower case, which is how CSS selectors compare.
	// nil: the tree isn't XML.
	Own     []Name
	OwnAttr []Name

	names   interned
	spare   []Node // for putting nodes in order
	place   []ID
	ownCopy []Name
}

// Quirks is the mode of a document (DOM 4.5).
type Quirks uint8

// Modes of documents.
const (
	NoQuirks Quirks = iota
	LimitedQuirks
	FullQuirks
)

// Reset empties the tree for another page. The tree keeps source.
func (t *Tree) Reset(source []byte) {
	t.Nodes = append(t.Nodes[:0], Node{Parent: None, First: None, Last: None, Prev: None, Next: None, Kind: Document})
	t.Attrs, t.Extra, t.Source, t.Quirks = t.Attrs[:0], t.Extra[:0], source, NoQuirks
	t.Own, t.OwnAttr = nil, nil
	t.names.reset()
}

// New adds a node that is nowhere in the tree yet.
func (t *Tree) New(n Node) ID {
	n.Parent, n.First, n.Last, n.Prev, n.Next = None, None, None, None, None
	t.Nodes = append(t.Nodes, n)
	return ID(len(t.Nodes) - 1)
}

// NewAttr adds an empty attribute to Attrs, to be filled in where it is: putting
// the parts of one together elsewhere and copying them takes longer.
func (t *Tree) NewAttr() *Attr {
	n := len(t.Attrs)
	if n < cap(t.Attrs) {
		t.Attrs = t.Attrs[:n+1]
		t.Attrs[n] = Attr{}
	} else {
		t.Attrs = append(t.Attrs, Attr{})
	}
	return &t.Attrs[n]
}

// Append makes child, which is nowhere, the last child of parent.
func (t *Tree) Append(parent, child ID) {
	p, c := &t.Nodes[parent], &t.Nodes[child]
	c.Parent, c.Prev, c.Next = parent, p.Last, None
	if p.Last != None {
		t.Nodes[p.Last].Next = child
	} else {
		p.First = child
	}
	p.Last = child
}

// InsertBefore puts child, which is nowhere, before another node.
func (t *Tree) InsertBefore(child, before ID) {
	b, c := &t.Nodes[before], &t.Nodes[child]
	c.Parent, c.Prev, c.Next = b.Parent, b.Prev, before
	if b.Prev != None {
		t.Nodes[b.Prev].Next = child
	} else {
		t.Nodes[b.Parent].First = child
	}
	b.Prev = child
}

// Remove takes a node with all below it out of the tree; nothing where it is
// nowhere.
func (t *Tree) Remove(child ID) {
	c := &t.Nodes[child]
	if c.Parent == None {
		return
	}
	if c.Prev != None {
		t.Nodes[c.Prev].Next = c.Next
	} else {
		t.Nodes[c.Parent].First = c.Next
	}
	if c.Next != None {
		t.Nodes[c.Next].Prev = c.Prev
	} else {
		t.Nodes[c.Parent].Last = c.Prev
	}
	c.Parent, c.Prev, c.Next = None, None, None
}

// Finish puts the nodes in document order, forgets those that are nowhere, and
// sets each End. IDs from before are worth nothing then.
func (t *Tree) Finish() {
	if !t.number() {
		t.reorder()
		t.number()
	}
}

// number sets each End; false: the nodes aren't in document order, and some
// Ends are wrong. It goes from the last node to the first: what is below a node
// in document order begins right behind it, and ends where the next begins.
func (t *Tree) number() bool {
	nodes := t.Nodes
	for i := len(nodes) - 1; i >= 0; i-- {
		n := &nodes[i]
		end := ID(i + 1)
		if n.First != None {
			if n.First != end || n.Last <= ID(i) {
				return false
			}
			end = nodes[n.Last].End
		}
		if n.Next != None && n.Next != end {
			return false
		}
		n.End = end
	}
	return int(nodes[Root].End) == len(nodes)
}

func (t *Tree) reorder() {
	old := t.Nodes
	t.place = append(t.place[:0], make([]ID, len(old))...)
	t.spare = t.spare[:0]
	own := t.Own
	if own != nil {
		t.ownCopy = t.ownCopy[:0]
	}
	for n := Root; n != None; {
		t.place[n] = ID(len(t.spare))
		t.spare = append(t.spare, old[n])
		if own != nil {
			t.ownCopy = append(t.ownCopy, own[n])
		}
		if c := old[n].First; c != None {
			n = c
			continue
		}
		for n != None && old[n].Next == None {
			n = old[n].Parent
		}
		if n != None {
			n = old[n].Next
		}
	}
	moved := func(id ID) ID {
		if id == None {
			return None
		}
		return t.place[id]
	}
	for i := range t.spare {
		n := &t.spare[i]
		n.Parent, n.First, n.Last, n.Prev, n.Next = moved(n.Parent), moved(n.First), moved(n.Last), moved(n.Prev), moved(n.Next)
	}
	t.Nodes, t.spare = t.spare, old
	if own != nil {
		t.Own, t.ownCopy = t.ownCopy, own
	}
}

// Len is the number of nodes, the document counted too.
func (t *Tree) Len() int { return len(t.Nodes) }

// IsElement reports whether a node is an element.
func (t *Tree) IsElement(n ID) bool { return t.Nodes[n].Kind == Element }

// bytes is a range as the page wrote it, undecoded.
func (t *Tree) bytes(a, b uint32, flags Flags) []byte {
	if flags&InExtra != 0 {
		return t.Extra[a:b]
	}
	return t.Source[a:b]
}

// Raw is the bytes of a text or comment, undecoded.
func (t *Tree) Raw(n ID) []byte {
	node := &t.Nodes[n]
	return t.bytes(node.A, node.B, node.Flags)
}

// Data is the text of a text node or comment.
func (t *Tree) Data(n ID) string {
	node := &t.Nodes[n]
	raw := t.bytes(node.A, node.B, node.Flags)
	if node.Flags&Refs != 0 {
		return view(AppendDecoded(nil, raw, false))
	}
	return view(raw)
}

// AppendText appends the text content of a node (DOM textContent): its own
// text, or that of all texts below it.
func (t *Tree) AppendText(dst []byte, n ID) []byte {
	dst, _ = t.AppendTextTo(dst, n, 0)
	return dst
}

// AppendTextTo is AppendText up to about limit bytes; 0: all of it. It says how
// many bytes of the page it has decoded, which takes far longer than to copy
// them.
func (t *Tree) AppendTextTo(dst []byte, n ID, limit int) (text []byte, decoded int) {
	if node := &t.Nodes[n]; node.Kind == Text || node.Kind == Comment {
		raw := t.bytes(node.A, node.B, node.Flags)
		if node.Flags&Refs != 0 {
			return AppendDecoded(dst, raw, false), len(raw)
		}
		return append(dst, raw...), 0
	}
	begin := len(dst)
	below := t.Nodes[n+1 : t.Nodes[n].End]
	for i := range below {
		c := &below[i]
		if c.Kind != Text {
			continue
		}
		raw := t.bytes(c.A, c.B, c.Flags)
		if c.Flags&Refs != 0 {
			dst = AppendDecoded(dst, raw, false)
			decoded += len(raw)
		} else {
			dst = append(dst, raw...)
		}
		if limit > 0 && len(dst)-begin >= limit {
			break
		}
	}
	return dst, decoded
}

// TextOf is the text content of a node, up to about limit bytes; 0: all of it.
// It is a view where one text node is all there is.
func (t *Tree) TextOf(n ID, limit int) string {
	node := &t.Nodes[n]
	switch {
	case node.Kind == Text || node.Kind == Comment:
		return t.Data(n)
	case node.First == None:
		return ""
	case node.First == node.Last && t.Nodes[node.First].Kind == Text:
		return t.Data(node.First)
	}
	text, _ := t.AppendTextTo(nil, n, limit)
	return view(text)
}

// AttrsOf are the attributes of an element.
func (t *Tree) AttrsOf(n ID) []Attr {
	node := &t.Nodes[n]
	if node.Kind != Element {
		return nil
	}
	return t.Attrs[node.A:node.B]
}

// Value is an attribute's value.
func (t *Tree) Value(a *Attr) string {
	raw := t.bytes(a.A, a.B, a.Flags)
	if a.Flags&Refs != 0 {
		return view(AppendDecoded(nil, raw, true))
	}
	return view(raw)
}

// AppendValue appends an attribute's value.
func (t *Tree) AppendValue(dst []byte, a *Attr) []byte {
	raw := t.bytes(a.A, a.B, a.Flags)
	if a.Flags&Refs != 0 {
		return AppendDecoded(dst, raw, true)
	}
	return append(dst, raw...)
}

// Attr is the value of an element's attribute that is in no namespace.
func (t *Tree) Attr(n ID, name Name) (value string, ok bool) {
	node := &t.Nodes[n]
	if node.Kind != Element {
		return "", false
	}
	own := t.Attrs[node.A:node.B]
	for i := range own {
		if a := &own[i]; a.Name == name && a.Space < XLink {
			return t.Value(a), true
		}
	}
	return "", false
}

// Doctype is the name and the public and system identifiers of a doctype.
// missing says which identifiers there are none of, which isn't empty ones.
func (t *Tree) Doctype(n ID) (name, public, system string, noPublic, noSystem bool) {
	node := &t.Nodes[n]
	a := t.Attrs[node.A:node.B]
	return t.Value(&a[0]), t.Value(&a[1]), t.Value(&a[2]), a[1].Mark != 0, a[2].Mark != 0
}

// Footprint is how many bytes the tree's arrays take, used or not; the page
// isn't counted.
func (t *Tree) Footprint() int {
	const node, attr, own = int(unsafe.Sizeof(Node{})), int(unsafe.Sizeof(Attr{})), int(unsafe.Sizeof(ownName{}))
	return node*(cap(t.Nodes)+cap(t.spare)) + attr*cap(t.Attrs) + cap(t.Extra) + own*cap(t.names.list) +
		4*(cap(t.place)+cap(t.Own)+cap(t.OwnAttr)+cap(t.ownCopy)+cap(t.names.table))
}

// view is b as a string that shares its memory.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
