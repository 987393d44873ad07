package css

import (
	"math"

	"github.com/harrowdata/harrow/internal/dom"
)

// positions are where elements stand among their siblings, counted for all
// children of a parent at once, when it is asked of the first one.
type positions struct {
	all, typed []position // by node; of those of its type
	counts     []count    // by type: see typeOf
	counting   uint32     // number of the count that is going on
}

// position is an element's number from the front and from the back, from 1; 0:
// not counted yet.
type position struct{ front, back int32 }

type count struct {
	counting uint32
	n        int32
}

func (p *positions) reset() {
	p.all, p.typed, p.counts = kept(p.all), kept(p.typed), kept(p.counts)
}

// nth is :nth-child and its like: the element is number a·k+b, for a k ≥ 0, of
// its siblings.
func (m *Matcher) nth(c *check, n dom.ID) bool {
	if c.a == 0 && c.b == 1 && !c.ofType { // no need to count
		if c.last {
			return m.elementAfter(n) == dom.None
		}
		return m.elementBefore(n) == dom.None
	}
	p := m.position(n, c.ofType)
	i := int(p.front)
	if c.last {
		i = int(p.back)
	}
	if i -= c.b; c.a == 0 {
		return i == 0
	}
	return i%c.a == 0 && i/c.a >= 0
}

func (m *Matcher) position(n dom.ID, ofType bool) position {
	of := &m.positions.all
	if ofType {
		of = &m.positions.typed
	}
	if len(*of) == 0 {
		*of = grown(*of, m.tree.Len())
	}
	if (*of)[n].front == 0 {
		m.count(*of, &m.tree.Nodes[m.tree.Nodes[n].Parent], ofType)
	}
	return (*of)[n]
}

// count numbers the children of a parent.
func (m *Matcher) count(of []position, parent *dom.Node, ofType bool) {
	nodes := m.tree.Nodes
	m.restart()
	for n := parent.First; n != dom.None; n = nodes[n].Next {
		m.steps++
		if nodes[n].Kind == dom.Element {
			of[n].front = m.number(&nodes[n], ofType)
		}
	}
	m.restart()
	for n := parent.Last; n != dom.None; n = nodes[n].Prev {
		m.steps++
		if nodes[n].Kind == dom.Element {
			of[n].back = m.number(&nodes[n], ofType)
		}
	}
}

// restart has every count begin at 1 again.
func (m *Matcher) restart() {
	p := &m.positions
	if p.counting == math.MaxUint32 {
		clear(p.counts[:cap(p.counts)])
		p.counting = 0
	}
	p.counting++
}

func (m *Matcher) number(node *dom.Node, ofType bool) int32 {
	at := 0
	if ofType {
		at = typeOf(node)
	}
	p := &m.positions
	if at >= len(p.counts) {
		p.counts = grown(p.counts, at+1)
	}
	c := &p.counts[at]
	if c.counting != p.counting {
		*c = count{counting: p.counting}
	}
	c.n++
	return c.n
}

// typeOf numbers expanded names: a name in a namespace.
func typeOf(node *dom.Node) int { return int(node.Name)*4 + int(node.Space&3) }
