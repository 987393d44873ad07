package rules

import (
	"fmt"
	"iter"
	"sync"

	"github.com/harrowdata/harrow/internal/css"
	"github.com/harrowdata/harrow/internal/dom"
)

// maxMatches is the most elements that selectors evaluated together may select:
// they take 4 bytes each.
const maxMatches = 16 << 20

// keptNodes is the largest tree whose matcher is used for another page.
const keptNodes = 100_000

// selectors are the CSS selectors of all rules of a program or a follower. Once
// it is complete, several goroutines may use it.
type selectors struct {
	set  *css.Set
	free sync.Pool // of *selection
}

func newSelectors() *selectors { return &selectors{set: css.NewSet()} }

// wanted is a selector of a rule, by its number in the set.
type wanted struct {
	selector int
	want     css.Want
}

// add takes up the selectors of a rule's source and appends them to the rule's.
func (s *selectors) add(list []wanted, of source, all bool) []wanted {
	for _, one := range sourcesOf(of) {
		c, ok := one.(*cssSource)
		if !ok || c.selector == nil {
			continue
		}
		c.number = s.set.Add(c.selector)
		want := css.First
		if all || c.attribute != "" { // which the first match may lack
			want = css.All
		}
		list = append(list, wanted{c.number, want})
	}
	return list
}

// of begins with a page: the rules that apply to it want these selectors, rule
// by rule. The selection is to be closed.
func (s *selectors) of(d *Document, rules iter.Seq[[]wanted]) *selection {
	found, ok := s.free.Get().(*selection)
	if !ok {
		found = &selection{all: s, matcher: css.NewMatcher(s.set), made: make([]css.Want, s.set.Len())}
	}
	found.doc, found.rules, found.apart = d, rules, false
	clear(found.made)
	return found
}

// selection is what the CSS selectors of the rules that apply to a page select
// in it: found in one walk over the tree for all of them, when the first rule
// asks; for each rule apart where together they could take too much memory.
type selection struct {
	all     *selectors
	matcher *css.Matcher
	doc     *Document
	rules   iter.Seq[[]wanted] // what each rule that applies to the page wants
	rule    []wanted           // what the rule at hand does
	made    []css.Want
	apart   bool
}

// begin says which rule is at hand: what it wants is what may be asked for.
func (s *selection) begin(rule []wanted) {
	s.rule = rule
	if s.apart {
		clear(s.made)
	}
}

// below is what a selector selects below a node, in document order. It is valid
// until another rule begins. The tree is made already. Code of the fault: "cost".
func (s *selection) below(selector int, root dom.ID) ([]dom.ID, *Fault) {
	if s.made[selector] == css.Skip {
		if err := s.run(); err != nil {
			return nil, &Fault{CodeCost, err}
		}
	}
	return s.matcher.Below(selector, root), nil
}

func (s *selection) run() error {
	tree := s.doc.tree.value
	lists := 0
	for rule := range s.rules {
		lists += s.want(rule)
	}
	if s.apart = s.apart || lists*tree.Len() > maxMatches; s.apart {
		clear(s.made)
		s.want(s.rule)
	}
	err := s.matcher.Run(tree, s.made)
	if err != nil && !s.apart { // not for what another rule costs
		s.apart = true
		return s.run()
	}
	if err != nil {
		clear(s.made)
	}
	return err
}

// want adds to what is wanted, and returns of how many all matches are.
func (s *selection) want(rule []wanted) (lists int) {
	for _, w := range rule {
		s.made[w.selector] = max(s.made[w.selector], w.want)
		if w.want == css.All {
			lists++
		}
	}
	return lists
}

// close gives the selection back.
func (s *selection) close() {
	tree := s.doc.tree.value
	s.doc, s.rules, s.rule = nil, nil, nil
	if tree == nil || tree.Len() <= keptNodes {
		s.all.free.Put(s)
	}
}

func compileSelector(expr string) (*css.Selector, error) {
	s, err := css.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("css %q: %w", expr, err)
	}
	return s, nil
}
