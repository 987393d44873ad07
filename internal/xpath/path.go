package xpath

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
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

type testKind int

const (
	anyName testKind = iota
	named
	prefixed // any name with the prefix
	anyNode
	textNode
	commentNode
	noNode
)

// test is a node test.
type test struct {
	kind   testKind
	name   string // as it is written
	prefix string // of a name in HTML's SVG or MathML
	local  string
}

func newNameTest(name string) test {
	if name == "*" {
		return test{kind: anyName}
	}
	prefix, local, _ := strings.Cut(name, ":")
	switch local {
	case "*":
		return test{kind: prefixed, name: prefix + ":", prefix: prefix}
	case "":
		return test{kind: named, name: name}
	}
	return test{kind: named, name: name, prefix: prefix, local: local}
}

// matches reports whether the test holds for a node that the axis came to.
func (t *test) matches(n Node, a axis) bool {
	switch t.kind {
	case anyNode:
		return true
	case textNode:
		return n.attr == 0 && n.Type == html.TextNode
	case commentNode:
		return n.attr == 0 && n.Type == html.CommentNode
	case noNode:
		return false
	}
	if a != attribute && (n.attr > 0 || n.Type != html.ElementNode) { // the principal node type
		return false
	}
	switch t.kind {
	case named:
		return n.name() == t.name || t.prefix != "" && n.attr == 0 && n.Namespace == t.prefix && n.Data == t.local
	case prefixed:
		return strings.HasPrefix(n.name(), t.name) || n.attr == 0 && n.Namespace == t.prefix
	}
	return true
}

// step is one step of a location path.
type step struct {
	axis  axis
	test  test
	preds []predicate
}

// anyBelow is what // stands for.
var anyBelow = step{axis: descendantOrSelf, test: test{kind: anyNode}}

// predicate filters nodes.
type predicate struct {
	e          expr
	positional bool    // looks at position or size
	fixed      float64 // the position it wants; 0: no constant
}

func (s step) positional() bool {
	return slices.ContainsFunc(s.preds, func(p predicate) bool { return p.positional })
}

// path is a location path, from the context node, the root, or start.
type path struct {
	absolute bool
	start    expr // nil: none
	steps    []step
}

// add appends a step. "//x" is /descendant-or-self::node()/child::x, which is
// /descendant::x unless x counts positions.
func (p *path) add(s step) {
	if last := len(p.steps) - 1; last >= 0 && s.axis == child && !s.positional() &&
		p.steps[last].axis == descendantOrSelf && p.steps[last].test.kind == anyNode && len(p.steps[last].preds) == 0 {
		s.axis = descendant
		p.steps[last] = s
		return
	}
	p.steps = append(p.steps, s)
}

func (p *path) kind() kind { return nodesKind }

// positional: only what it starts from may look at the outer position.
func (p *path) positional() bool { return p.start != nil && p.start.positional() }

func (p *path) eval(c context) value { return p.nodes(c, wantAll) }

// want is which of a path's nodes are of use.
type want int

const (
	wantAll   want = iota
	wantFirst      // the first in document order, at least
	wantAny        // any one, at least: whether there is one
)

// nodes returns what the path selects in document order, as far as it is wanted.
func (p *path) nodes(c context, w want) []Node {
	nodes := []Node{c.node}
	flat := true
	switch {
	case p.start != nil:
		nodes = p.start.eval(c).([]Node)
		flat = len(nodes) < 2
	case p.absolute:
		root := c.node.Node
		for root.Parent != nil {
			root = root.Parent
			c.run.spend(1)
		}
		nodes[0] = Node{Node: root}
	}
	for i := range p.steps {
		of := wantAll
		if i == len(p.steps)-1 {
			of = w
		}
		nodes, flat = c.run.step(&p.steps[i], nodes, flat, of)
		if len(nodes) == 0 {
			return nil
		}
	}
	return nodes
}

// step takes a step from nodes in document order. flat: none of them is inside
// another.
func (r *run) step(s *step, from []Node, flat bool, w want) ([]Node, bool) {
	var out []Node
	if len(from) == 1 {
		out = r.from(s, from[0], out, w == wantAny || w == wantFirst && !s.axis.reverse())
		if s.axis.reverse() {
			slices.Reverse(out)
		}
		return out, s.axis.flat() || len(out) < 2
	}
	inOrder := s.axis == self || s.axis == attribute || flat && (s.axis == child || s.axis == descendant || s.axis == descendantOrSelf)
	one := w == wantAny || w == wantFirst && inOrder
	for _, n := range from {
		if out = r.from(s, n, out, one); one && len(out) > 0 {
			return out, true
		}
	}
	if !inOrder {
		out = r.inOrder(out)
	}
	return out, len(out) < 2 || s.axis == attribute || flat && (s.axis == self || s.axis == child)
}

// from appends what the step selects from one node, in the axis' order.
func (r *run) from(s *step, n Node, out []Node, first bool) []Node {
	if !s.positional() {
		r.walk(s.axis, n, func(m Node) bool {
			if !s.test.matches(m, s.axis) || !r.all(s.preds, m) {
				return true
			}
			r.spend(1)
			out = append(out, m)
			return !first
		})
		return out
	}
	begin := len(out)
	stop := 0 // enough of them, if not 0
	if p := s.preds[0]; p.fixed >= 1 {
		stop = int(min(p.fixed, 1<<30))
	}
	r.walk(s.axis, n, func(m Node) bool {
		if s.test.matches(m, s.axis) {
			out = append(out, m)
		}
		return stop == 0 || len(out)-begin < stop
	})
	return out[:begin+len(r.filter(s.preds, out[begin:]))]
}

// all reports whether a node passes predicates that count no positions.
func (r *run) all(preds []predicate, n Node) bool {
	for i := range preds {
		if !truth(preds[i].e, context{r, n, 1, 1}) {
			return false
		}
	}
	return true
}

// filter keeps, in their place, the nodes that pass the predicates one after
// the other.
func (r *run) filter(preds []predicate, nodes []Node) []Node {
	for i := range preds {
		p := &preds[i]
		size := len(nodes)
		kept := nodes[:0]
		for k, n := range nodes {
			r.spend(1)
			v := p.e.eval(context{r, n, k + 1, size})
			if f, isNumber := v.(float64); isNumber && f == float64(k+1) || !isNumber && boolOf(v) {
				kept = append(kept, n)
			}
		}
		nodes = kept
	}
	return nodes
}

// walk goes along an axis until visit returns false.
func (r *run) walk(a axis, n Node, visit func(Node) bool) {
	r.spend(1)
	switch a {
	case self:
		visit(n)
	case attribute:
		r.attributes(n, visit)
	case parent, ancestor, ancestorOrSelf:
		r.upwards(a, n, visit)
	case following, preceding:
		r.around(a, n, visit)
	default:
		if n.attr > 0 { // an attribute has no children and no siblings
			if a == descendantOrSelf {
				visit(n)
			}
			return
		}
		r.beside(a, n.Node, visit)
	}
}

func (r *run) attributes(n Node, visit func(Node) bool) {
	if n.attr > 0 || n.Type != html.ElementNode {
		return
	}
	for i := range n.Attr {
		r.spend(1)
		a := &n.Attr[i]
		if strings.HasPrefix(a.Namespace, xmlMark) && (a.Key == "xmlns" || strings.HasPrefix(a.Key, "xmlns:")) {
			continue // declares a namespace: no attribute (section 5.3)
		}
		if !visit(Node{n.Node, i + 1}) {
			return
		}
	}
}

func (r *run) upwards(a axis, n Node, visit func(Node) bool) {
	if a == ancestorOrSelf && !visit(n) {
		return
	}
	for m, ok := n.parent(); ok && visit(m) && a != parent; m, ok = m.parent() {
		r.spend(1)
	}
}

// beside is children, descendants and siblings.
func (r *run) beside(a axis, n *html.Node, visit func(Node) bool) {
	each := func(m *html.Node) bool {
		r.spend(1)
		return !seen(m) || visit(Node{Node: m})
	}
	switch a {
	case child:
		for m := n.FirstChild; m != nil && each(m); m = m.NextSibling {
		}
	case descendant:
		for m := next(n, n); m != nil && each(m); m = next(n, m) {
		}
	case descendantOrSelf:
		for m := n; m != nil && each(m); m = next(n, m) {
		}
	case followingSibling:
		for m := n.NextSibling; m != nil && each(m); m = m.NextSibling {
		}
	case precedingSibling:
		for m := n.PrevSibling; m != nil && each(m); m = m.PrevSibling {
		}
	}
}

// around is all after a node and not in it, or all before and not above it.
func (r *run) around(a axis, n Node, visit func(Node) bool) {
	each := func(m *html.Node) bool {
		r.spend(1)
		return !seen(m) || visit(Node{Node: m})
	}
	if a == following {
		m := after(nil, n.Node)
		if n.attr > 0 {
			m = next(nil, n.Node)
		}
		for ; m != nil && each(m); m = next(nil, m) {
		}
		return
	}
	for m := n.Node; m != nil; m = m.Parent {
		for s := m.PrevSibling; s != nil; s = s.PrevSibling {
			if !backwards(s, each) {
				return
			}
		}
	}
}

// backwards visits a node and all below it in reverse document order.
func backwards(top *html.Node, each func(*html.Node) bool) bool {
	n := last(top)
	for {
		if !each(n) {
			return false
		}
		switch {
		case n == top:
			return true
		case n.PrevSibling != nil:
			n = last(n.PrevSibling)
		default:
			n = n.Parent
		}
	}
}

func last(n *html.Node) *html.Node {
	for n.LastChild != nil {
		n = n.LastChild
	}
	return n
}
