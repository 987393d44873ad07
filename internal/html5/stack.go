package html5

import (
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// open is an element on the stack of open elements (HTML 13.2.4.2).
//
// The standard searches the stack for nearly each tag. Here each element knows
// where the nearest of some sort below it is, and stack.last and stack.scopes
// know it for the whole stack, so that no search depends on how deep a page is
// nested.
type open struct {
	id      dom.ID
	name    dom.Name // of the node
	is      kind
	same    int32 // the next element below of this name that is in HTML; none: -1
	special int32 // the nearest element from here down that is special; none: -1
	stopper int32 // likewise
}

// stack is the stack of open elements.
type stack struct {
	open   []open
	last   []int32             // by name: the topmost element of HTML; none: -1
	scopes [scopeCount][]int32 // the boundaries of each scope, behind a 0
	in     int                 // how many open elements are not in HTML
}

func (s *stack) reset() {
	for i := range s.open {
		s.last[s.open[i].name] = -1
	}
	if s.open, s.in = s.open[:0], 0; cap(s.open) > kept { // a hostile page's: let it go
		s.open = nil
	}
	for i := range s.scopes {
		s.scopes[i] = append(s.scopes[i][:0], 0)
	}
	if len(s.last) > kept {
		s.last = nil
	}
	s.grow(name.Count - 1)
}

// kept is how many entries of a stack, list or table are kept between pages.
const kept = 1 << 16

// grow makes room in last for a name.
func (s *stack) grow(n dom.Name) {
	for len(s.last) <= int(n) {
		s.last = append(s.last, -1)
	}
}

// top is the current node. There must be one.
func (s *stack) top() *open { return &s.open[len(s.open)-1] }

// at is where the topmost element of HTML of a name is; none: -1.
func (s *stack) at(n dom.Name) int32 {
	if int(n) < len(s.last) {
		return s.last[n]
	}
	return -1
}

// isTop reports whether the current node is the element of HTML of a name.
func (s *stack) isTop(n dom.Name) bool {
	return len(s.open) > 0 && s.at(n) == int32(len(s.open)-1)
}

// has reports whether there is an element of a name in a scope.
func (s *stack) has(n dom.Name, in scope) bool {
	i := s.last[n]
	return i >= 0 && s.reaches(i, in)
}

// reaches reports whether the element at i is in a scope.
func (s *stack) reaches(i int32, in scope) bool {
	b := s.scopes[in]
	return i >= b[len(b)-1]
}

// push opens an element.
func (s *stack) push(id dom.ID, n dom.Name, is kind) {
	if int(n) >= len(s.last) {
		s.grow(n)
	}
	i := int32(len(s.open))
	e := open{id: id, name: n, is: is, same: s.last[n], special: -1, stopper: -1}
	if i > 0 {
		below := &s.open[i-1]
		e.special, e.stopper = below.special, below.stopper
	}
	if is&special != 0 {
		e.special = i
	}
	if is&stopper != 0 {
		e.stopper = i
	}
	s.open = append(s.open, e)
	if is&foreign == 0 {
		s.last[n] = i
	}
	if is&(boundaries|foreign) != 0 {
		s.enter(i, is)
	}
}

// enter notes that the element at i, of a kind that is noted, is open.
func (s *stack) enter(i int32, is kind) {
	if is&foreign != 0 {
		s.in++
	}
	for k := range s.scopes {
		if is&(boundary<<k) != 0 {
			s.scopes[k] = append(s.scopes[k], i)
		}
	}
}

// unlink undoes push of the topmost element, which may be off the stack.
func (s *stack) unlink(e *open) {
	s.last[e.name] = e.same // of a foreign element: what it is anyway
	if e.is&(boundaries|foreign) == 0 {
		return
	}
	if e.is&foreign != 0 {
		s.in--
	}
	for k := range s.scopes {
		if e.is&(boundary<<k) != 0 {
			s.scopes[k] = s.scopes[k][:len(s.scopes[k])-1]
		}
	}
}

// cut undoes push of what is at i and above, and relink does it again, once the
// caller has changed what is there.
func (s *stack) cut(i int32) {
	for j := int32(len(s.open)) - 1; j >= i; j-- {
		s.unlink(&s.open[j])
	}
}

func (s *stack) relink(i int32) {
	above := s.open[i:]
	s.open = s.open[:i]
	for _, e := range above { // push writes what was just read
		s.push(e.id, e.name, e.is)
	}
}

// find is where an element is, which is in HTML and has this name; none: -1. It
// also says how many it looked at.
func (s *stack) find(id dom.ID, n dom.Name) (at int32, looked int) {
	for at = s.at(n); at >= 0 && s.open[at].id != id; at = s.open[at].same {
		looked++
	}
	return at, looked + 1
}

// pop closes the current node.
func (b *builder) pop() {
	e := b.top()
	b.open = b.open[:len(b.open)-1]
	if e.is&noted == 0 {
		b.last[e.name] = e.same
		return
	}
	b.unlink(e)
	b.closed(e)
}

// closed is what follows from an element having left the stack.
func (b *builder) closed(e *open) {
	switch {
	case e.is&formatting != 0:
		b.t.Nodes[e.id].Mark &^= markOpen
	case e.is&opensOption != 0:
		b.optionClosed(e.id)
	case e.is&opensSelect != 0:
		b.selectClosed()
	}
}

// remove takes the element at i out of the stack, wherever it is.
func (b *builder) remove(i int32) {
	if int(i) == len(b.open)-1 {
		b.pop()
		return
	}
	b.steps += len(b.open) - int(i)
	e := b.open[i]
	b.cut(i)
	b.open = append(b.open[:i], b.open[i+1:]...)
	b.relink(i)
	b.closed(&e)
}

// popTo closes the element at i and all above it.
func (b *builder) popTo(i int32) {
	for int32(len(b.open)) > i {
		b.pop()
	}
}

// imply closes what end tags are implied for, but elements of the name except.
func (b *builder) imply(except dom.Name) {
	for e := b.top(); e.is&implied != 0 && e.name != except; e = b.top() {
		b.pop()
	}
}

// implyThoroughly closes what end tags are thoroughly implied for.
func (b *builder) implyThoroughly() {
	for b.top().is&(implied|impliedToo) != 0 {
		b.pop()
	}
}

// closeP closes a p that is open in button scope.
func (b *builder) closeP() {
	if b.last[name.P] >= 0 {
		b.closeOpenP()
	}
}

func (b *builder) closeOpenP() {
	if i := b.last[name.P]; b.reaches(i, buttonScope) {
		b.imply(name.P)
		b.popTo(i)
	}
}
