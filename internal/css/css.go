package css

import (
	"fmt"
	"slices"
	"sort"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/dom"
)

// Selector is a group of selectors, as in "h1, p.title > b". It may be used by
// several goroutines.
type Selector struct {
	expr  string
	group cascadia.SelectorGroup
}

// Compile reads a group of selectors. Its error is a *SyntaxError.
func Compile(expr string) (*Selector, error) {
	group, err := cascadia.ParseGroup(expr)
	if err != nil {
		return nil, &SyntaxError{At: 0, Message: err.Error()}
	}
	return &Selector{expr, group}, nil
}

// String is the selector as it was compiled.
func (s *Selector) String() string { return s.expr }

// SyntaxError says where a selector isn't one, and what was expected there.
type SyntaxError struct {
	At      int // byte of the selector, from 0
	Message string
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.At, e.Message) }

// Set is selectors that are matched together. It isn't changed any more once a
// Matcher was made of it.
type Set struct{ selectors []*Selector }

// NewSet is an empty set.
func NewSet() *Set { return &Set{} }

// Add adds a selector and returns its number in the set, which is that of an
// equal one that is in it already.
func (s *Set) Add(sel *Selector) int {
	for i, other := range s.selectors {
		if other.expr == sel.expr {
			return i
		}
	}
	s.selectors = append(s.selectors, sel)
	return len(s.selectors) - 1
}

// Len is how many selectors there are in the set.
func (s *Set) Len() int { return len(s.selectors) }

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
	set   *Set
	tree  *dom.Tree
	lists [][]dom.ID
}

// NewMatcher makes a matcher of a set.
func NewMatcher(s *Set) *Matcher {
	return &Matcher{set: s, lists: make([][]dom.ID, s.Len())}
}

// Run finds what is wanted, by number in the set (a missing one is [Skip]), in
// a finished tree. The error is a *CostError: then nothing is found.
func (m *Matcher) Run(t *dom.Tree, want []Want) error {
	m.tree = t
	root, nodes := t.NetHTML()
	ids := make(map[*html.Node]dom.ID, len(nodes))
	for i, n := range nodes {
		ids[n] = dom.ID(i)
	}
	for i, s := range m.set.selectors {
		m.lists[i] = m.lists[i][:0]
		if i >= len(want) || want[i] == Skip {
			continue
		}
		for _, n := range cascadia.QueryAll(root, s.group) {
			if n.Type != html.ElementNode {
				continue
			}
			m.lists[i] = append(m.lists[i], ids[n])
			if want[i] == First {
				break
			}
		}
	}
	return nil
}

// All is the matches of selector i in document order. The list is valid until
// the next Run.
func (m *Matcher) All(i int) []dom.ID { return m.lists[i] }

// Below is those of All(i) that are below a node, the node itself not counted.
// As in querySelectorAll, what a selector asks of ancestors and siblings may be
// outside. It makes no sense where only the first match was wanted.
func (m *Matcher) Below(i int, root dom.ID) []dom.ID {
	all := m.lists[i]
	from := sort.Search(len(all), func(k int) bool { return all[k] > root })
	to := sort.Search(len(all), func(k int) bool { return all[k] >= m.tree.Nodes[root].End })
	return all[from:to]
}

// CostError says that a page would have been too much work.
type CostError struct{ Selector, Message string }

// Error implements error.
func (e *CostError) Error() string { return fmt.Sprintf("%s: %s", e.Selector, e.Message) }

// Matches reports whether a node is an element that the selector matches.
func (s *Selector) Matches(t *dom.Tree, n dom.ID) bool {
	set := NewSet()
	set.Add(s)
	m := NewMatcher(set)
	return m.Run(t, []Want{All}) == nil && slices.Contains(m.All(0), n)
}
