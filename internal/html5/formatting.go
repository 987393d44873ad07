package html5

import (
	"bytes"

	"github.com/harrowdata/harrow/internal/dom"
)

// Marks of the nodes of a tree that is being built.
const (
	markOpen   = 1 << iota // a formatting element that is on the stack of open elements
	markListed             // one in the list of active formatting elements
	markGrown              // a text with room behind it in Tree.Extra: see grow
)

// active is an entry of the list of active formatting elements (HTML 13.2.4.3).
type active struct {
	id   dom.ID // None: a marker
	name dom.Name
}

// addMarker begins a part of the list of its own.
func (b *builder) addMarker() { b.list = append(b.list, active{id: dom.None}) }

// clearToMarker drops the last part of the list.
func (b *builder) clearToMarker() {
	for n := len(b.list); n > 0; {
		n--
		id := b.list[n].id
		b.list = b.list[:n]
		if id == dom.None {
			return
		}
		b.t.Nodes[id].Mark &^= markListed
	}
}

// addFormatting puts an element that was just inserted in the list, where there
// may be three of the same name and attributes (the Noah's Ark clause).
func (b *builder) addFormatting(id dom.ID, n dom.Name) {
	same, first := 0, 0
	for i, low := len(b.list)-1, b.lowest(len(b.list)); i >= low && b.list[i].id != dom.None; i-- {
		b.steps++
		if b.list[i].name == n && b.alike(b.list[i].id, id) {
			same, first = same+1, i
		}
	}
	if same >= 3 {
		b.unlist(first)
	}
	b.list = append(b.list, active{id, n})
	b.t.Nodes[id].Mark |= markListed | markOpen
}

// alike reports whether two elements have the same attributes.
func (b *builder) alike(x, y dom.ID) bool {
	xs, ys := b.t.AttrsOf(x), b.t.AttrsOf(y)
	if len(xs) != len(ys) {
		return false
	}
	for i := range xs {
		b.steps++
		if xs[i].Name == ys[i].Name {
			if !b.sameValue(&xs[i], &ys[i]) {
				return false
			}
			continue
		}
		// In another order.
		j := 0
		for ; j < len(ys) && (ys[j].Name != xs[i].Name || !b.sameValue(&xs[i], &ys[j])); j++ {
		}
		if b.steps += j; j == len(ys) || b.spent() {
			return false
		}
	}
	return true
}

func (b *builder) sameValue(x, y *dom.Attr) bool {
	if (x.Flags|y.Flags)&dom.Refs == 0 {
		v, w := b.raw(x.A, x.B, x.Flags), b.raw(y.A, y.B, y.Flags)
		if len(v) != len(w) {
			return false
		}
		b.steps += len(v) / 16
		return bytes.Equal(v, w)
	}
	b.steps += int(x.B-x.A+y.B-y.A) / 4
	return b.t.Value(x) == b.t.Value(y)
}

// listed is where the last element of a name is in the last part of the list;
// none: -1.
func (b *builder) listed(n dom.Name) int {
	for i, low := len(b.list)-1, b.lowest(len(b.list)); i >= low && b.list[i].id != dom.None; i-- {
		b.steps++
		if b.list[i].name == n {
			return i
		}
	}
	return -1
}

// listIndex is where an element is in the list; it isn't: -1.
func (b *builder) listIndex(id dom.ID) int {
	for i := len(b.list) - 1; i >= 0; i-- {
		b.steps++
		if b.list[i].id == id {
			return i
		}
	}
	return -1
}

// unlist takes the entry at i out of the list.
func (b *builder) unlist(i int) {
	b.t.Nodes[b.list[i].id].Mark &^= markListed
	b.steps += (len(b.list) - i) / 16
	b.list = append(b.list[:i], b.list[i+1:]...)
}

// reconstruct opens again what formatting elements are active and not open
// (HTML 13.2.4.3).
func (b *builder) reconstruct() {
	if len(b.list) > 0 && !b.isOpen(len(b.list)-1) {
		b.reopen()
	}
}

// isOpen reports whether the entry at i is a marker or on the stack.
func (b *builder) isOpen(i int) bool {
	id := b.list[i].id
	return id == dom.None || b.t.Nodes[id].Mark&markOpen != 0
}

func (b *builder) reopen() {
	first := len(b.list) - 1
	for first > 0 && !b.isOpen(first-1) && b.clones+len(b.list)-first < b.maxClones {
		first--
	}
	for ; first < len(b.list) && b.clones < b.maxClones; first++ {
		e := &b.list[first]
		id := b.clone(e.id)
		b.insertNode(id)
		b.push(id, e.name, formatting)
		b.replace(first, id)
	}
}

// clone is an element like another, which is nowhere yet. It shares the other's
// attributes in Tree.Attrs.
func (b *builder) clone(id dom.ID) dom.ID {
	b.clones++
	of := &b.t.Nodes[id]
	return b.t.New(dom.Node{Kind: of.Kind, Name: of.Name, Space: of.Space, Flags: of.Flags, A: of.A, B: of.B})
}

// replace puts an element that is open in the list, in the place of one that
// isn't any more.
func (b *builder) replace(i int, id dom.ID) {
	b.t.Nodes[b.list[i].id].Mark &^= markListed | markOpen
	b.list[i].id = id
	b.t.Nodes[id].Mark |= markListed | markOpen
}

// adopt is the adoption agency algorithm (HTML 13.2.6.4.7) for an end tag of
// this name, or a start tag that implies one. false: the end tag is like any
// other.
func (b *builder) adopt(n dom.Name) bool {
	if e := b.top(); e.name == n && e.is&foreign == 0 && b.t.Nodes[e.id].Mark&markListed == 0 {
		b.pop()
		return true
	}
	for range 8 {
		listed := b.listed(n)
		if listed < 0 {
			return false
		}
		id := b.list[listed].id
		if b.t.Nodes[id].Mark&markOpen == 0 {
			b.unlist(listed)
			return true
		}
		if b.spent() && b.top().id != id {
			b.unlist(listed) // it stays open, and is repeated no more
			return true
		}
		at, looked := b.find(id, n)
		b.steps += looked
		if !b.reaches(at, defaultScope) {
			return true
		}
		if b.top().special <= at { // no furthest block
			b.popTo(at)
			b.unlist(listed)
			return true
		}
		if b.clones >= b.maxClones {
			b.unlist(listed) // likewise
			return true
		}
		b.adoptBlock(at, listed)
	}
	return true
}

// adoptBlock is one turn of the algorithm's outer loop: the formatting element
// is on the stack at `at`, in the list at `listed`, and the first special
// element above it, the furthest block, goes out of it.
func (b *builder) adoptBlock(at int32, listed int) {
	t := b.t
	block := at + 1
	for b.open[block].is&special == 0 {
		block++
	}
	b.steps += len(b.open) - int(at)
	ancestor, furthest := b.open[at-1], b.open[block]
	element := b.open[at]
	b.cut(at)

	// From the block down to the formatting element. What is kept of the stack
	// between them is moved up against the block.
	bookmark, last, keep := listed, furthest.id, block
	for i, turn := block-1, 1; i > at; i, turn = i-1, turn+1 {
		node := b.open[i]
		if t.Nodes[node.id].Mark&markListed == 0 {
			b.closed(&node)
			continue
		}
		in := b.listIndex(node.id)
		if turn > 3 {
			if b.unlist(in); in < bookmark {
				bookmark--
			}
			b.closed(&node)
			continue
		}
		node.id = b.clone(node.id)
		b.replace(in, node.id)
		keep--
		b.open[keep] = node
		if last == furthest.id {
			bookmark = in + 1
		}
		t.Remove(last)
		t.Append(node.id, last)
		last = node.id
	}
	t.Remove(last)
	b.insertAt(last, &ancestor)

	b.adoptChildren(&element, furthest.id, bookmark)

	// Out goes the formatting element at `at`, in comes its clone behind the block.
	n := at + int32(copy(b.open[at:], b.open[keep:block+1]))
	b.open[n] = element
	b.open = append(b.open[:n+1], b.open[block+1:]...)
	b.relink(at)
}

// adoptChildren gives the block's children to a clone of the formatting element,
// which becomes the block's only child, and takes its place in the list.
func (b *builder) adoptChildren(element *open, block dom.ID, bookmark int) {
	t := b.t
	id := b.clone(element.id)
	children := t.Nodes[block].First
	t.Nodes[id].First, t.Nodes[id].Last = children, t.Nodes[block].Last
	t.Nodes[block].First, t.Nodes[block].Last = dom.None, dom.None
	for c := children; c != dom.None; c = t.Nodes[c].Next {
		t.Nodes[c].Parent = id
	}
	t.Append(block, id)

	in := b.listIndex(element.id)
	t.Nodes[element.id].Mark &^= markListed | markOpen
	entry := b.list[in]
	entry.id = id
	if in < bookmark {
		bookmark--
		copy(b.list[in:], b.list[in+1:bookmark+1])
	} else {
		copy(b.list[bookmark+1:in+1], b.list[bookmark:in])
	}
	b.list[bookmark] = entry
	t.Nodes[id].Mark |= markListed | markOpen
	element.id = id
}
