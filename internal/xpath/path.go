package xpath

import (
	"slices"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// step is one step of a location path.
type step struct {
	axis  axis
	test  test
	preds []predicate
}

// anyBelow is what // stands for.
var anyBelow = step{axis: descendantOrSelf, test: test{kind: anyNode}}

// is reports whether it is what // stands for.
func (s *step) isAnyBelow() bool {
	return s.axis == descendantOrSelf && s.test.kind == anyNode && len(s.preds) == 0
}

// predicate filters nodes.
type predicate struct {
	e          expr
	positional bool    // looks at position or size
	fixed      float64 // the position it wants; 0: no constant
}

func (s *step) positional() bool {
	return slices.ContainsFunc(s.preds, func(p predicate) bool { return p.positional })
}

// path is a location path, from the context node, the root, or start.
type path struct {
	absolute bool
	start    nodeSet // nil: none
	steps    []step
	short    bool // one step from the context node, without predicates
}

func newPath(s step) *path { return &path{steps: []step{s}, short: true} }

// add appends a step. "//x" is /descendant-or-self::node()/child::x, which is
// /descendant::x unless x counts positions. Else only nodes that can have
// children or attributes need be looked at.
func (p *path) add(s step) {
	if last := len(p.steps) - 1; last >= 0 && p.steps[last].isAnyBelow() {
		switch {
		case s.axis == child && !s.positional():
			s.axis = descendant
			p.steps[last] = s
			return
		case s.axis == child:
			p.steps[last].test.kind = parentNode
		case s.axis == attribute:
			p.steps[last].test.kind = anyName
		}
	}
	p.steps = append(p.steps, s)
}

func (p *path) kind() kind { return nodesKind }

// positional: only what it starts from may look at the outer position.
func (p *path) positional() bool { return p.start != nil && p.start.positional() }

func (p *path) number(c context) float64 { return numberOf(p, c) }

func (p *path) text(c context) string {
	n, found, known := p.only(c)
	switch {
	case !known:
		return textOf(p, c)
	case !found:
		return ""
	}
	return c.run.text(n)
}

func (p *path) truth(c context) bool {
	_, found, known := p.only(c)
	return known && found || !known && truthOf(p, c)
}

// only is the node that the path selects if it is . or an attribute of the
// context node, such as most predicates look at; known: it is.
func (p *path) only(c context) (n Node, found, known bool) {
	if !p.short {
		return n, false, false
	}
	switch t := &p.steps[0].test; {
	case p.steps[0].axis == self && t.kind == anyNode:
		return c.node, true, true
	case p.steps[0].axis == attribute && t.kind == named && c.run.names[t.name].plain:
		c.run.spend(1)
		n, found = c.run.attribute(c.node, c.run.names[t.name].full)
		return n, found, true
	}
	return n, false, false
}

// attribute looks for an attribute in a tree of HTML, by a name without a
// prefix that HTML knows.
func (r *run) attribute(n Node, want dom.Name) (Node, bool) {
	node := &r.tree.Nodes[n.ID]
	if node.Kind != dom.Element || n.attr > 0 {
		return n, false
	}
	own := r.tree.Attrs[node.A:node.B]
	r.spend(len(own) / 8)
	for i := range own {
		if a := &own[i]; a.Name == want && (a.Space < dom.XLink || want == name.Xmlns) {
			n.attr = int32(node.A) + int32(i) + 1
			return n, true
		}
	}
	return n, false
}

// nodes returns what the path selects in document order, as far as it is
// wanted, on top of the run's stack.
func (p *path) nodes(c context, w want) []Node {
	r := c.run
	begin := len(r.stack)
	if n, found, known := p.only(c); known {
		if found {
			r.push(n)
		}
		return r.stack[begin:]
	}
	flat := true
	switch {
	case p.start != nil:
		flat = len(p.start.nodes(c, wantAll)) < 2
	case p.absolute:
		r.push(NodeOf(dom.Root))
	default:
		r.push(c.node)
	}
	for i := range p.steps {
		of := wantAll
		if i == len(p.steps)-1 {
			of = w
		}
		end := len(r.stack)
		flat = r.step(&p.steps[i], r.stack[begin:end:end], flat, of)
		r.stack = r.stack[:begin+copy(r.stack[begin:], r.stack[end:])]
		if len(r.stack) == begin {
			break
		}
	}
	return r.stack[begin:]
}

// step takes a step from nodes in document order, and leaves the nodes that it
// comes to on the stack, in document order too. flat: none of the nodes is
// inside another.
func (r *run) step(s *step, from []Node, flat bool, w want) bool {
	begin := len(r.stack)
	single := len(from) == 1
	inOrder := single && !s.axis.reverse() || s.axis == self || s.axis == attribute ||
		flat && (s.axis == child || s.axis == descendant || s.axis == descendantOrSelf)
	one := w == wantAny || w == wantFirst && inOrder
	switch {
	case s.positional():
		r.counted(s, from, begin, one)
	case one:
		r.first(s, from)
	case single:
		r.gather(s, from[0], everything)
	default:
		r.gatherAll(s, from)
	}
	if single && s.axis.reverse() {
		slices.Reverse(r.stack[begin:])
	} else if !single {
		r.sort(begin)
	}
	if !one && !s.positional() {
		r.keep(s.preds, begin)
	}
	return len(r.stack) < begin+2 || s.axis == attribute || flat && (s.axis == self || s.axis == child) || single && s.axis.flat()
}

// first leaves the first node that it comes to and that passes the predicates.
func (r *run) first(s *step, from []Node) {
	for _, n := range from {
		w := r.walk(s, n)
		for m, ok := w.next(); ok; m, ok = w.next() {
			if r.all(s.preds, m) {
				r.push(m)
				return
			}
		}
	}
}

// counted takes a step whose predicates count positions: from each node apart.
func (r *run) counted(s *step, from []Node, begin int, one bool) {
	preds, nth := s.preds, everything
	if at := int(min(max(preds[0].fixed, 0), 1<<30)); float64(at) == preds[0].fixed && at > 0 {
		preds, nth = preds[1:], at
	}
	crowded := begin + 2*r.tree.Len() + 1024
	for _, n := range from {
		at := len(r.stack)
		r.gather(s, n, nth)
		if nth < everything {
			r.pick(at, nth)
		}
		if r.filter(preds, at); one && len(r.stack) > at {
			return
		}
		if len(r.stack) > crowded { // with nodes that came from several
			r.sort(begin)
		}
	}
}

// pick leaves, of up to nth nodes above mark, the nth.
func (r *run) pick(mark, nth int) {
	if last := len(r.stack) - 1; last-mark+1 == nth {
		r.stack[mark] = r.stack[last]
		r.stack = r.stack[:mark+1]
		return
	}
	r.stack = r.stack[:mark]
}

// all reports whether a node passes predicates that count no positions.
func (r *run) all(preds []predicate, n Node) bool {
	m := r.mark()
	for i := range preds {
		ok := preds[i].e.truth(context{r, n, 1, 1})
		r.cut(m)
		if !ok {
			return false
		}
	}
	return true
}

// keep leaves of the nodes above mark those that pass predicates that count no
// positions.
func (r *run) keep(preds []predicate, mark int) {
	if len(preds) == 0 {
		return
	}
	kept := mark
	for i := mark; i < len(r.stack); i++ {
		if n := r.stack[i]; r.all(preds, n) {
			r.stack[kept] = n
			kept++
		}
	}
	r.stack = r.stack[:kept]
}

// holds: a number is a position (2.4).
func (p *predicate) holds(c context) bool {
	m := c.run.mark()
	var ok bool
	if p.e.kind() == numberKind {
		ok = p.e.number(c) == float64(c.position)
	} else {
		ok = p.e.truth(c)
	}
	c.run.cut(m)
	return ok
}

// filter leaves of the nodes above mark, which are in an axis' order, those
// that pass the predicates one after the other.
func (r *run) filter(preds []predicate, at int) {
	for i := range preds {
		p := &preds[i]
		size := len(r.stack) - at
		kept := at
		for k := range size {
			r.spend(1)
			n := r.stack[at+k]
			if p.holds(context{r, n, k + 1, size}) {
				r.stack[kept] = n
				kept++
			}
		}
		r.stack = r.stack[:kept]
	}
}
