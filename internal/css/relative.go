package css

import "github.com/harrowdata/harrow/internal/dom"

// ask is a compound in the argument of :has (Selectors 4, 4.5: a relative
// selector, which begins at the element in question). Its bitmap is of the
// elements that have a relative, by join, which it and all after it match.
type ask struct {
	join   join
	owner  int32
	bitmap int32
	after  int32 // bitmap of the compound after it; -1: it is the last
	checks []check
}

// relative makes the argument of :has ready.
func (b *builder) relative(c *check, group []sequence) (lvl int) {
	owner := b.newOwner()
	var asks []ask
	for _, s := range group {
		for i := range s {
			checks, l := b.checks(s[i].tests)
			lvl = max(lvl, l)
			a := ask{join: s[i].join, owner: owner, bitmap: b.bitmap(owner), after: -1, checks: checks}
			if i > 0 {
				asks[len(asks)-1].after = a.bitmap
			} else {
				c.bitmaps = append(c.bitmaps, a.bitmap)
			}
			asks = append(asks, a)
		}
	}
	b.reach(lvl)
	b.asks[lvl] = append(b.asks[lvl], asks...)
	return lvl + 1
}

// answer fills the bitmaps of a level's asks that are on: in one walk from the
// end, in which an element comes after all that is below and behind it.
func (m *Matcher) answer(asks []ask) {
	if !m.anyOn(asks) {
		return
	}
	t := m.tree
	for n := dom.ID(len(t.Nodes) - 1); n > dom.Root; n-- {
		m.steps++
		node := &t.Nodes[n]
		if node.Kind != dom.Element {
			continue
		}
		before, looked := dom.None, false
		for i := range asks {
			a := &asks[i]
			if !m.on[a.owner] {
				continue
			}
			to := node.Parent
			if a.join >= next {
				if !looked {
					before, looked = m.elementBefore(n), true
				}
				if to = before; to == dom.None {
					continue
				}
			}
			bits := m.bits[a.bitmap]
			m.steps++
			if bit(bits, to) {
				continue
			}
			if (a.join == descendant || a.join == later) && bit(bits, n) ||
				(a.after < 0 || bit(m.bits[a.after], n)) && m.meets(a.checks, n) {
				bits[to>>6] |= 1 << (to & 63)
			}
		}
	}
}

func (m *Matcher) anyOn(asks []ask) bool {
	for i := range asks {
		if m.on[asks[i].owner] {
			return true
		}
	}
	return false
}

// bit says whether a node is in a bitmap.
func bit(bits []uint64, n dom.ID) bool { return bits[n>>6]>>(n&63)&1 != 0 }

// elementBefore is the sibling element before a node, None where there is none.
func (m *Matcher) elementBefore(n dom.ID) dom.ID {
	for n = m.tree.Nodes[n].Prev; n != dom.None && m.tree.Nodes[n].Kind != dom.Element; n = m.tree.Nodes[n].Prev {
		m.steps++
	}
	return n
}

// elementAfter is the sibling element after a node.
func (m *Matcher) elementAfter(n dom.ID) dom.ID {
	for n = m.tree.Nodes[n].Next; n != dom.None && m.tree.Nodes[n].Kind != dom.Element; n = m.tree.Nodes[n].Next {
		m.steps++
	}
	return n
}
