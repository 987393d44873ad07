package css

import (
	"fmt"
	"slices"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// Want is what is wanted of a selector's matches.
type Want uint8

// What may be wanted.
const (
	Skip  Want = iota // nothing: it isn't looked for
	First             // the first match of the page
	All               // every match
)

// Matcher applies a set to one page after the other. It keeps what it works
// with between pages; it is used by one goroutine at a time.
type Matcher struct {
	plan  *plan
	lists [][]dom.ID // by selector
	want  []Want     // by selector
	on    []bool     // by owner: it is looked for, still

	tree   *dom.Tree
	xml    bool
	quirks bool
	names  []dom.Name // by place in the plan's names
	places []int32    // by name: the plan's index, and the page's own names
	bits   [][]uint64 // the plan's bitmaps
	frames []frame
	got    uint64   // links of the element in hand
	first  int      // owners of which the first match is wanted still
	seen   []dom.ID // by step: the last element it was tried for by a class
	err    error
	steps  int // taken on this page

	positions positions
	texts     texts
	languages []dom.ID
	decoded   []byte // a value or text, if it has to be
	words     []byte // classes or an id, if they have to be, while they are gone through
	lower     []byte // a value or text in lower case
}

// NewMatcher makes a matcher of a set.
func NewMatcher(s *Set) *Matcher {
	p := newPlan(s.selectors)
	return &Matcher{
		plan: p, lists: make([][]dom.ID, s.Len()), want: make([]Want, s.Len()), on: make([]bool, p.owners),
		names: slices.Clone(p.known), places: slices.Clone(p.index), bits: make([][]uint64, len(p.bitmaps)),
		texts: texts{next: make([]occurrence, p.needles)},
	}
}

// CostError says that a page would have been too much work: for elements that
// are nested, :matches would have looked at the same text more than 64 times on
// average, all selectors together.
type CostError struct{ Bytes int }

// Error implements error.
func (e *CostError) Error() string {
	return fmt.Sprintf("elements are nested so that :matches would have looked at over %d bytes of text", e.Bytes)
}

// Run finds what is wanted, by number in the set (a missing one is [Skip]), in
// a finished tree. The error is a *CostError, which only :matches makes; what
// is found is worth nothing then.
func (m *Matcher) Run(t *dom.Tree, want []Want) error {
	m.reset(t)
	for i := range m.lists {
		m.want[i] = Skip
		if i < len(want) {
			m.want[i] = want[i]
		}
		if m.want[i] != Skip {
			m.on[i] = true
			for _, o := range m.plan.uses[i] {
				m.on[o] = true
			}
		}
	}
	for i, o := range m.plan.bitmaps {
		if m.on[o] {
			m.bits[i] = grown(kept(m.bits[i]), (t.Len()+63)/64)
		}
	}
	for i := range m.plan.levels {
		l := &m.plan.levels[i]
		for _, w := range l.walks {
			m.walk(w)
		}
		m.answer(l.asks)
	}
	return m.err
}

// All is the matches of selector i in document order. The list is valid until
// the next Run.
func (m *Matcher) All(i int) []dom.ID { return m.lists[i] }

// Below is those of All(i) that are below a node, itself not counted. As in
// querySelectorAll, what a selector asks of ancestors and siblings may be
// outside. It makes no sense where only the first match was wanted.
func (m *Matcher) Below(i int, root dom.ID) []dom.ID {
	list := m.lists[i]
	from, _ := slices.BinarySearch(list, root+1)
	to, _ := slices.BinarySearch(list[from:], m.tree.Nodes[root].End)
	return list[from : from+to]
}

// reset forgets the page before.
func (m *Matcher) reset(t *dom.Tree) {
	m.tree, m.xml, m.quirks, m.err, m.steps = t, t.Own != nil, t.Quirks == dom.FullQuirks, nil, 0
	for i := range m.lists {
		m.lists[i] = kept(m.lists[i])
	}
	clear(m.on)
	m.frames, m.languages = kept(m.frames), kept(m.languages)
	m.decoded, m.words, m.lower = kept(m.decoded), kept(m.words), kept(m.lower)
	m.positions.reset()
	m.texts.reset()
	if m.places = kept(m.places); m.places == nil {
		m.places = append(m.places, m.plan.index...)
	}
	m.places = m.places[:name.Count]
	for _, at := range m.plan.own {
		n, ok := t.Lookup(m.plan.names[at])
		if !ok {
			m.names[at] = noName
			continue
		}
		m.names[at] = n
		if int(n) >= len(m.places) {
			m.places = grown(m.places, int(n)+1)
		}
		m.places[n] = at + 1
	}
}

// place is where a name is among those that selectors have; -1: none has it.
func (m *Matcher) place(n dom.Name) int32 {
	if int(n) < len(m.places) {
		return m.places[n] - 1
	}
	return -1
}

const noName = ^dom.Name(0)

// keep is how many elements of what is worked with are kept for the next page:
// a large page's memory goes with it.
const keep = 1 << 18

// kept is s without its elements, or without its memory.
func kept[T any](s []T) []T {
	if cap(s) > keep {
		return nil
	}
	return s[:0]
}

// grown is s with length n, what is new being zero.
func grown[T any](s []T, n int) []T {
	before := len(s)
	s = slices.Grow(s, n-before)[:n]
	clear(s[before:])
	return s
}
