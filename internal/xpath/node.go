package xpath

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// Node is a node of a tree, or an attribute of one.
type Node struct {
	ID   dom.ID // the node, or the attribute's element
	attr int32  // place in the tree's Attrs, from 1; 0: the node itself
}

// NodeOf is a tree's node.
func NodeOf(n dom.ID) Node { return Node{ID: n} }

// Attribute returns the attribute that the node is, nil when it is none.
func (n Node) Attribute(t *dom.Tree) *dom.Attr {
	if n.attr == 0 {
		return nil
	}
	return &t.Attrs[n.attr-1]
}

// IsElement reports whether the node is an element; an attribute is none.
func (n Node) IsElement(t *dom.Tree) bool { return n.attr == 0 && t.IsElement(n.ID) }

// Text is the node's string-value (section 5): an attribute's value, else the
// text content. It is a view where nothing has to be put together.
func (n Node) Text(t *dom.Tree) string {
	if a := n.Attribute(t); a != nil {
		return t.Value(a)
	}
	return t.TextOf(n.ID, 0)
}

// compare orders two nodes of one tree: negative when a comes first. An element
// comes before its attributes.
func compare(a, b Node) int {
	if a.ID == b.ID {
		return int(a.attr - b.attr)
	}
	return int(a.ID - b.ID)
}

// Prefixes of what HTML has in a namespace, by [dom.Space].
var (
	elementPrefix   = [...]string{dom.SVG: "svg", dom.MathML: "math", dom.XML: ""}
	attributePrefix = [...]string{dom.XLink: "xlink", dom.XMLSpace: "xml", dom.XMLNS: "xmlns"}
)

// spaceOf is the namespace that a prefix stands for, dom.HTML: none.
func spaceOf(prefixes []string, prefix string) dom.Space {
	if i := slices.Index(prefixes, prefix); prefix != "" && i > 0 {
		return dom.Space(i)
	}
	return dom.HTML
}

// nameOf is the name of an element or attribute as the document writes it,
// prefix included; empty for others.
func nameOf(t *dom.Tree, n Node) string {
	if n.attr == 0 {
		switch node := &t.Nodes[n.ID]; {
		case node.Kind != dom.Element:
			return ""
		case t.Own != nil:
			return t.NameOf(t.Own[n.ID])
		default:
			return t.NameOf(node.Name)
		}
	}
	if t.OwnAttr != nil {
		return t.NameOf(t.OwnAttr[n.attr-1])
	}
	a := &t.Attrs[n.attr-1]
	if prefix := attributePrefix[a.Space%dom.Space(len(attributePrefix))]; prefix != "" && a.Name != name.Xmlns {
		return prefix + ":" + t.NameOf(a.Name) // xlink:href in HTML's SVG
	}
	return t.NameOf(a.Name)
}

// declares reports whether an attribute of XML declares a namespace: such is no
// attribute (section 5.3).
func declares(t *dom.Tree, a *dom.Attr) bool {
	if t.Own == nil {
		return false
	}
	rest, is := strings.CutPrefix(t.NameOf(a.Name), "xmlns")
	return is && (rest == "" || rest[0] == ':')
}

// text is the node's string-value. What has to be put together is in the
// evaluation's own memory: see run.scratch.
func (r *run) text(n Node) string {
	t := r.tree
	if a := n.Attribute(t); a != nil {
		r.spend(1 + int(a.B-a.A)/64)
		if a.Flags&dom.Refs == 0 {
			return t.Value(a)
		}
		r.lookAt(int(a.B - a.A))
		begin := len(r.scratch)
		r.scratch = t.AppendValue(r.scratch, a)
		return r.scratchFrom(begin)
	}
	node := &t.Nodes[n.ID]
	if node.Kind == dom.Element && node.First != dom.None && node.First == node.Last {
		n.ID = node.First
		if node = &t.Nodes[n.ID]; node.Kind == dom.Comment {
			return ""
		}
	}
	if node.Kind == dom.Text || node.Kind == dom.Comment {
		r.spend(1)
		if node.Flags&dom.Refs == 0 {
			return t.Data(n.ID)
		}
	} else {
		r.spend(int(node.End - n.ID))
	}
	begin := len(r.scratch)
	text, decoded := t.AppendTextTo(r.scratch, n.ID, 0)
	r.scratch = text
	r.spend((len(r.scratch) - begin) / 64)
	r.lookAt(decoded)
	return r.scratchFrom(begin)
}

// maxText bounds the texts that are put together at once, beside twice the
// page, in bytes.
const maxText = 64 << 20

// scratchFrom is the text that scratch has from a place to its end.
func (r *run) scratchFrom(begin int) string {
	r.boundScratch()
	return view(r.scratch[begin:])
}

func (r *run) boundScratch() {
	if len(r.scratch) > maxText+2*(len(r.tree.Source)+len(r.tree.Extra)) {
		panic(errSpent)
	}
}

// view is b as a string that shares its memory.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// sort puts the nodes above mark in document order, each once.
func (r *run) sort(mark int) {
	nodes := r.stack[mark:]
	for i := 1; i < len(nodes); i++ {
		if compare(nodes[i-1], nodes[i]) >= 0 {
			r.spend(len(nodes))
			slices.SortFunc(nodes, compare)
			r.stack = r.stack[:mark+len(slices.Compact(nodes))]
			return
		}
	}
}
