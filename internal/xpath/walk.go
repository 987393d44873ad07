package xpath

import (
	"math"
	"slices"

	"github.com/harrowdata/harrow/internal/dom"
)

type axis int

const (
	child axis = iota
	descendant
	descendantOrSelf
	self
	attribute
	followingSibling
	following
	parent // this and those below it go backwards
	ancestor
	ancestorOrSelf
	precedingSibling
	preceding
)

var axes = map[string]axis{
	"child": child, "descendant": descendant, "descendant-or-self": descendantOrSelf, "self": self, "attribute": attribute,
	"following-sibling": followingSibling, "following": following, "parent": parent, "ancestor": ancestor,
	"ancestor-or-self": ancestorOrSelf, "preceding-sibling": precedingSibling, "preceding": preceding,
}

func (a axis) reverse() bool { return a >= parent }

// flat: from one node, the axis selects no node inside another.
func (a axis) flat() bool {
	switch a {
	case child, self, attribute, followingSibling, precedingSibling, parent:
		return true
	}
	return false
}

// walker goes along an axis.
type walker struct {
	run  *run
	axis axis
	test *test
	at   Node   // the next one to look at; its ID beyond end, or None: no more
	end  dom.ID // of axes that count; preceding: the node itself
}

// walk goes from a node along a step's axis to the nodes that pass its test.
func (r *run) walk(s *step, n Node) walker {
	r.spend(1)
	node := &r.tree.Nodes[n.ID]
	w := walker{run: r, axis: s.axis, test: &s.test, at: n}
	switch s.axis {
	case self:
	case attribute:
		w.at.attr, w.end = 0, 0
		if n.attr == 0 && node.Kind == dom.Element {
			w.at.attr, w.end = int32(node.A)+1, dom.ID(node.B)
		}
		if w.at.attr == 0 || w.at.attr > int32(w.end) {
			w.at.ID = dom.None
		}
	case parent, ancestor:
		if n.attr == 0 {
			w.at.ID = node.Parent
		}
		w.at.attr = 0
	case ancestorOrSelf:
	case following:
		w.at, w.end = NodeOf(r.end(n)), dom.ID(r.tree.Len())
	case preceding:
		w.at, w.end = NodeOf(n.ID-1), n.ID
	default:
		w.beside(n, node)
	}
	return w
}

// beside begins at children, descendants and siblings. An attribute has none.
func (w *walker) beside(n Node, node *dom.Node) {
	if n.attr > 0 {
		w.at.ID = dom.None
		if w.axis == descendantOrSelf {
			w.at = n
		}
		w.axis = self
		return
	}
	switch w.axis {
	case child:
		w.at.ID = node.First
	case descendant:
		w.at.ID, w.end = n.ID+1, node.End
	case descendantOrSelf:
		w.end = node.End
	case followingSibling:
		w.at.ID = node.Next
	case precedingSibling:
		w.at.ID = node.Prev
	}
}

// next is the next node that passes the test; false: there is none.
func (w *walker) next() (Node, bool) {
	switch w.axis {
	case descendant, descendantOrSelf, following:
		return w.forwards()
	case preceding:
		return w.backwards()
	}
	nodes := w.run.tree.Nodes
	for w.at.ID != dom.None {
		n := w.at
		if w.axis != self && w.axis != parent { // those have cost their one step
			w.run.spend(1)
		}
		switch w.axis {
		case child, followingSibling:
			w.at.ID = nodes[n.ID].Next
		case precedingSibling:
			w.at.ID = nodes[n.ID].Prev
		case attribute:
			if w.at.attr++; w.at.attr > int32(w.end) {
				w.at.ID = dom.None
			}
		case ancestor, ancestorOrSelf:
			if w.at.attr == 0 {
				w.at.ID = nodes[n.ID].Parent
			}
			w.at.attr = 0
		default: // self, parent
			w.at.ID = dom.None
		}
		if w.run.matches(w.test, n, w.axis) {
			return n, true
		}
	}
	return Node{}, false
}

// forwards counts upwards.
func (w *walker) forwards() (Node, bool) {
	w.at.ID = w.run.scan(w.test, w.at.ID, w.end)
	if n := w.at; n.ID < w.end {
		w.at.ID++
		return n, true
	}
	return Node{}, false
}

// scan looks for the first node from begin on that passes the test; end: there
// is none.
func (r *run) scan(t *test, begin, end dom.ID) dom.ID {
	i := int(begin)
	nodes := r.tree.Nodes[:end]
	switch {
	case t.kind == named && r.names[t.name].plain:
		name := r.names[t.name].full
		for i < len(nodes) && (nodes[i].Name != name || nodes[i].Kind != dom.Element) {
			i++
		}
	case t.kind == anyName:
		for i < len(nodes) && nodes[i].Kind != dom.Element {
			i++
		}
	case t.kind == textNode:
		for i < len(nodes) && nodes[i].Kind != dom.Text {
			i++
		}
	case t.kind == parentNode:
		for i < len(nodes) && nodes[i].First == dom.None {
			i++
		}
	default:
		for i < len(nodes) && !r.matches(t, NodeOf(dom.ID(i)), child) {
			i++
		}
	}
	r.spend(min(i+1, len(nodes)) - int(begin))
	return dom.ID(i)
}

// backwards counts downwards and leaves the ancestors out.
func (w *walker) backwards() (Node, bool) {
	for w.at.ID > dom.Root {
		w.run.spend(1)
		n := w.at
		w.at.ID--
		if w.run.tree.Nodes[n.ID].End <= w.end && w.run.matches(w.test, n, w.axis) {
			return n, true
		}
	}
	return Node{}, false
}

// gather leaves what the step comes to from one node, in the axis' order: all,
// or as many as there may be at most.
func (r *run) gather(s *step, n Node, most int) {
	if s.axis == child && n.attr == 0 {
		r.children(&s.test, r.tree.Nodes[n.ID].First, most)
		return
	}
	w := r.walk(s, n)
	for m, ok := w.next(); ok; m, ok = w.next() {
		r.push(m)
		if most--; most == 0 {
			return
		}
	}
}

func (r *run) children(t *test, at dom.ID, most int) {
	nodes := r.tree.Nodes
	visited := 1
	plain, name := t.kind == named && r.names[t.name].plain, nothing
	if plain {
		name = r.names[t.name].full
	}
	for at != dom.None {
		n := &nodes[at]
		visited++
		if plain && n.Name == name && n.Kind == dom.Element || !plain && r.matches(t, NodeOf(at), child) {
			r.push(NodeOf(at))
			if most--; most == 0 {
				break
			}
		}
		at = n.Next
	}
	r.spend(visited)
}

// everything is more than there can be.
const everything = math.MaxInt

// gatherAll is gather from several nodes in document order. It comes to no node
// from many, so that it costs no more than the tree has nodes.
func (r *run) gatherAll(s *step, from []Node) {
	switch s.axis {
	case descendant, descendantOrSelf:
		covered := dom.Root
		for _, n := range from {
			if n.attr == 0 && n.ID < covered {
				continue
			}
			if r.gather(s, n, everything); n.attr == 0 {
				covered = r.tree.Nodes[n.ID].End
			}
		}
	case following:
		least := from[0]
		for _, n := range from[1:] {
			if r.end(n) < r.end(least) {
				least = n
			}
		}
		r.gather(s, least, everything)
	case preceding:
		r.gather(s, from[len(from)-1], everything)
	case ancestor, ancestorOrSelf:
		r.ancestors(s, from)
	case followingSibling:
		r.siblings(s, from)
	case precedingSibling:
		r.siblingsBackwards(s, from)
	default:
		for _, n := range from {
			r.gather(s, n, everything)
		}
	}
}

// end is where the nodes begin that follow one.
func (r *run) end(n Node) dom.ID {
	if n.attr > 0 {
		return n.ID + 1
	}
	return r.tree.Nodes[n.ID].End
}

// ancestors goes upwards from each node until it comes to where it has been.
func (r *run) ancestors(s *step, from []Node) {
	nodes := r.tree.Nodes
	before := dom.None
	visit := func(n Node) {
		if r.spend(1); r.matches(&s.test, n, s.axis) {
			r.push(n)
		}
	}
	for _, n := range from {
		if s.axis == ancestorOrSelf {
			visit(n)
		}
		at := n.ID
		if n.attr == 0 {
			at = nodes[at].Parent
		}
		for ; at != dom.None; at = nodes[at].Parent {
			if visit(NodeOf(at)); at <= before { // and so above or at the node before
				break
			}
		}
		before = n.ID
	}
}

// siblings goes from the first of each parent's children.
func (r *run) siblings(s *step, from []Node) {
	nodes := r.tree.Nodes
	r.open = r.open[:0]
	for _, n := range from {
		for len(r.open) > 0 && nodes[r.open[len(r.open)-1]].End <= n.ID {
			r.open = r.open[:len(r.open)-1]
		}
		r.siblingsOnce(s, n)
	}
}

// siblingsBackwards goes from the last of each parent's children.
func (r *run) siblingsBackwards(s *step, from []Node) {
	r.open = r.open[:0]
	for _, n := range slices.Backward(from) {
		for len(r.open) > 0 && r.open[len(r.open)-1] >= n.ID {
			r.open = r.open[:len(r.open)-1]
		}
		r.siblingsOnce(s, n)
	}
}

// siblingsOnce gathers unless it has for this parent: open has those parents
// that the node is below.
func (r *run) siblingsOnce(s *step, n Node) {
	p := r.tree.Nodes[n.ID].Parent
	if r.spend(1); n.attr > 0 || p == dom.None || len(r.open) > 0 && r.open[len(r.open)-1] == p {
		return
	}
	r.open = append(r.open, p)
	r.gather(s, n, everything)
}
