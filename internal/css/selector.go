package css

import (
	"slices"
	"sync"

	"github.com/harrowdata/harrow/internal/dom"
)

// Selector is a group of selectors, as in "h1, p.title > b". It may be used by
// several goroutines.
type Selector struct {
	expr  string
	group []sequence
	alone sync.Pool // of *Matcher with nothing else in its set, for Matches
}

// Compile reads a group of selectors. Its error is a *SyntaxError.
func Compile(expr string) (*Selector, error) {
	group, err := parse(expr)
	if err != nil {
		return nil, err
	}
	return &Selector{expr: expr, group: group}, nil
}

// String is the selector as it was compiled.
func (s *Selector) String() string { return s.expr }

// Matches reports whether a node is an element that the selector matches. It
// costs a walk over the page: for more than one node use a [Matcher]. It is
// false where Run has an error.
func (s *Selector) Matches(t *dom.Tree, n dom.ID) bool {
	m, _ := s.alone.Get().(*Matcher)
	if m == nil {
		set := NewSet()
		set.Add(s)
		m = NewMatcher(set)
	}
	defer s.alone.Put(m)
	if m.Run(t, []Want{All}) != nil {
		return false
	}
	_, found := slices.BinarySearch(m.All(0), n)
	return found
}

// Set is selectors that are matched together. It isn't changed any more once a
// [Matcher] was made of it.
type Set struct {
	selectors []*Selector
	numbers   map[string]int
}

// NewSet is an empty set.
func NewSet() *Set { return &Set{numbers: map[string]int{}} }

// Add adds a selector and returns its number in the set, which is that of one
// that was written the same and is in it already.
func (s *Set) Add(sel *Selector) int {
	if i, ok := s.numbers[sel.expr]; ok {
		return i
	}
	s.numbers[sel.expr] = len(s.selectors)
	s.selectors = append(s.selectors, sel)
	return len(s.selectors) - 1
}

// Len is how many selectors there are in the set.
func (s *Set) Len() int { return len(s.selectors) }
