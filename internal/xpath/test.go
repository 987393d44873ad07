package xpath

import (
	"math"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

type testKind int

const (
	anyName testKind = iota
	named
	prefixed // any name with the prefix
	anyNode
	parentNode // that has children
	textNode
	commentNode
	noNode
)

// test is a node test.
type test struct {
	kind testKind
	name int // of named and prefixed: which of the expression's names
}

// qualified is a name as an expression has it.
type qualified struct {
	full          string   // as it is written
	prefix, local string   // of one with a colon
	known         dom.Name // nothing: full isn't
}

// nameTest makes the test for a name.
func (p *parser) nameTest(text string) test {
	if text == "*" {
		return test{kind: anyName}
	}
	q := qualified{full: text}
	q.prefix, q.local, _ = strings.Cut(text, ":")
	t := test{kind: named}
	switch q.local {
	case "*":
		t.kind, q.full = prefixed, q.prefix+":"
	case "":
		q.prefix = ""
	}
	q.known = nothing
	if n, ok := name.Of(q.full); ok {
		q.known = n
	}
	if t.name = slices.Index(p.names, q); t.name < 0 {
		t.name = len(p.names)
		p.names = append(p.names, q)
	}
	return t
}

// treeName is what a name comes to in a tree.
type treeName struct {
	full, local dom.Name  // nothing: the tree has no such name
	element     dom.Space // that the prefix stands for, HTML: none
	attribute   dom.Space // the same of attributes
	plain       bool      // an element has the name if its Name is full
	text        string    // full
}

const nothing dom.Name = math.MaxUint32

func (q *qualified) in(t *dom.Tree) treeName {
	n := treeName{full: q.known, local: nothing, plain: t.Own == nil, text: q.full}
	if n.full == nothing {
		n.full = lookup(t, q.full)
	}
	if q.prefix != "" && t.Own == nil {
		n.element, n.attribute = spaceOf(elementPrefix[:], q.prefix), spaceOf(attributePrefix[:], q.prefix)
		n.local = lookup(t, q.local)
		n.plain = n.element == dom.HTML && n.attribute == dom.HTML
	}
	return n
}

func lookup(t *dom.Tree, text string) dom.Name {
	if n, ok := t.Lookup(text); ok {
		return n
	}
	return nothing
}

// matches reports whether the test holds for a node that the axis came to.
func (r *run) matches(t *test, n Node, a axis) bool {
	node := &r.tree.Nodes[n.ID]
	if n.attr > 0 {
		return r.attributeMatches(t, n, a)
	}
	switch t.kind {
	case anyNode:
		return node.Kind != dom.Doctype // which XPath's data model (section 5) doesn't have
	case parentNode:
		return node.First != dom.None
	case textNode:
		return node.Kind == dom.Text
	case commentNode:
		return node.Kind == dom.Comment
	case noNode:
		return false
	}
	if node.Kind != dom.Element {
		return false
	}
	switch t.kind {
	case named:
		name := &r.names[t.name]
		if r.tree.Own != nil {
			return r.tree.Own[n.ID] == name.full
		}
		return node.Name == name.full || name.element != dom.HTML && node.Space == name.element && node.Name == name.local
	case prefixed:
		name := &r.names[t.name]
		return name.element != dom.HTML && node.Space == name.element || strings.HasPrefix(nameOf(r.tree, n), name.text)
	}
	return true
}

func (r *run) attributeMatches(t *test, n Node, axis axis) bool {
	if t.kind == anyNode {
		return axis != attribute || !declares(r.tree, n.Attribute(r.tree))
	}
	if axis != attribute || t.kind > prefixed { // elsewhere elements are the principal node type
		return false
	}
	a := n.Attribute(r.tree)
	switch t.kind {
	case named:
		w := &r.names[t.name]
		switch {
		case r.tree.OwnAttr != nil:
			return r.tree.OwnAttr[n.attr-1] == w.full && !declares(r.tree, a)
		case a.Space < dom.XLink, a.Name == name.Xmlns:
			return a.Name == w.full
		}
		return w.attribute == a.Space && a.Name == w.local
	case prefixed:
		return strings.HasPrefix(nameOf(r.tree, n), r.names[t.name].text) && !declares(r.tree, a)
	}
	return !declares(r.tree, a)
}
