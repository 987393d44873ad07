package xpath

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/domtest"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// onAxis is section 2.2, word by word: whether a node lies on an axis of
// another.
func onAxis(doc *dom.Tree, axis string, from, n Node) bool {
	isParent := from.attr == 0 && n.attr == 0 && doc.Nodes[n.ID].Parent == from.ID
	isAbove := func(above, n Node) bool { // above is an ancestor of n
		if above.attr > 0 {
			return false
		}
		at := n.ID
		if n.attr == 0 {
			at = doc.Nodes[at].Parent
		}
		for at != dom.None && at != above.ID {
			at = doc.Nodes[at].Parent
		}
		return at != dom.None
	}
	siblings := from.attr == 0 && n.attr == 0 && from.ID != dom.Root && doc.Nodes[from.ID].Parent == doc.Nodes[n.ID].Parent
	switch axis {
	case "self":
		return n == from
	case "child":
		return isParent
	case "parent":
		return n.attr == 0 && (from.attr > 0 && n.ID == from.ID || from.attr == 0 && doc.Nodes[from.ID].Parent == n.ID)
	case "attribute":
		return n.attr > 0 && n.ID == from.ID && from.attr == 0
	case "descendant":
		return n.attr == 0 && isAbove(from, n)
	case "descendant-or-self":
		return n == from || n.attr == 0 && isAbove(from, n)
	case "ancestor":
		return isAbove(n, from)
	case "ancestor-or-self":
		return n == from || isAbove(n, from)
	case "following-sibling":
		return siblings && compare(n, from) > 0
	case "preceding-sibling":
		return siblings && compare(n, from) < 0
	case "following":
		return n.attr == 0 && compare(n, from) > 0 && !isAbove(from, n)
	case "preceding":
		return n.attr == 0 && compare(n, from) < 0 && !isAbove(n, from)
	}
	panic(axis)
}

// drawn is a step of a random path.
type drawn struct{ axis, test, predicate string }

func (s drawn) String() string { return s.axis + "::" + s.test + s.predicate }

func (s drawn) passes(doc *dom.Tree, n Node) bool {
	node := &doc.Nodes[n.ID]
	principal := n.IsElement(doc)
	if s.axis == "attribute" {
		principal = n.attr > 0
	}
	switch s.test {
	case "node()":
		return true
	case "text()":
		return n.attr == 0 && node.Kind == dom.Text
	case "*":
		return principal
	}
	return principal && nameOf(doc, n) == s.test
}

// from selects by the definition: all nodes of the document are looked at.
func (s drawn) from(doc *dom.Tree, all []Node, from Node) (found []Node) {
	for _, n := range all {
		if onAxis(doc, s.axis, from, n) && s.passes(doc, n) {
			found = append(found, n)
		}
	}
	if axes[s.axis].reverse() {
		slices.Reverse(found)
	}
	last := len(found)
	kept := found[:0]
	for i, n := range found {
		position, ok := i+1, true
		switch s.predicate {
		case "[1]":
			ok = position == 1
		case "[2]":
			ok = position == 2
		case "[last()]":
			ok = position == last
		case "[position() > 1]":
			ok = position > 1
		case "[@id]":
			_, ok = doc.Attr(n.ID, name.Id)
			ok = ok && n.attr == 0
		}
		if ok {
			kept = append(kept, n)
		}
	}
	return kept
}

// starts are sets of nodes of many kinds, inside and beside one another.
var starts = [][]drawn{
	{{"descendant-or-self", "node()", ""}},
	{{"descendant", "div", ""}},
	{{"descendant", "span", ""}},
	{{"descendant", "*", "[@id]"}, {"attribute", "*", ""}},
	{{"descendant-or-self", "node()", ""}, {"attribute", "node()", "[1]"}},
	{{"descendant", "section", ""}, {"child", "node()", ""}},
	{{"descendant", "text()", ""}},
	{{"descendant", "*", ""}, {"child", "*", "[2]"}},
}

// TestPathsSelectWhatTheDefinitionSays goes along every axis from random nodes
// of random trees, and compares with the definition: the same nodes, each once,
// in document order.
func TestPathsSelectWhatTheDefinitionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.SliceOfN(rapid.SampledFrom([]string{"<div>", "</div>", "<div>", "<span id=x class=y>", "</span>", "text", "<section>", "</section>", "<!--c-->", "<br>"}), 10, 60).Draw(t, "tags")
		doc, _, err := domtest.Parse(strings.Join(tags, ""))
		if err != nil {
			t.Skip(err)
		}
		var all []Node
		for i := range doc.Nodes {
			all = append(all, NodeOf(dom.ID(i)))
			for k := range doc.AttrsOf(dom.ID(i)) {
				all = append(all, Node{dom.ID(i), int32(doc.Nodes[i].A) + int32(k) + 1})
			}
		}
		start := rapid.SampledFrom(starts).Draw(t, "start")
		for axis := range axes {
			path := append(slices.Clone(start), drawn{
				axis,
				rapid.SampledFrom([]string{"*", "div", "id", "node()", "text()"}).Draw(t, "test"),
				rapid.SampledFrom([]string{"", "", "", "[1]", "[2]", "[last()]", "[position() > 1]", "[@id]"}).Draw(t, "predicate"),
			})
			agrees(t, doc, all, path)
		}
	})
}

// agrees fails unless the path selects what the definition says: all of it, the
// first, and whether there is one.
func agrees(t *rapid.T, doc *dom.Tree, all []Node, path []drawn) {
	want, expr := []Node{NodeOf(dom.Root)}, ""
	for _, s := range path {
		expr += "/" + s.String()
		var next []Node
		for _, n := range want {
			next = append(next, s.from(doc, all, n)...)
		}
		slices.SortFunc(next, compare)
		want = slices.Compact(next)
	}
	e, err := CompileNodes(expr)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Nodes(doc, dom.Root, &Budget{1e6})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%s: %v, %v; want %v", expr, got, err, want)
	}
	first, _, _, err := e.Select(nil, doc, dom.Root, false, &Budget{1e6})
	if err != nil || !slices.Equal(first, want[:min(1, len(want))]) {
		t.Fatalf("%s: first %v, %v; want of %v", expr, first, err, want)
	}
	some, err := Compile("boolean(" + expr + ")")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := some.Evaluate(doc, dom.Root, &Budget{1e6}); err != nil || got != (len(want) > 0) {
		t.Fatalf("%s: %v, %v; want of %v", some, got, err, want)
	}
}

// TestClassesAreFoundAsTheirExpressionSays compares what is made of the usual
// words for "has this class" with the same in words that nothing is made of.
func TestClassesAreFoundAsTheirExpressionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		class := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", " ", "  ", "\t", "\n", "ä", "\u00a0", "-"}), 0, 8).Draw(t, "class"), "")
		doc, _, err := domtest.Parse(`<p class="` + class + `">x</p><p>y</p>`)
		if err != nil {
			t.Fatal(err)
		}
		word := rapid.SampledFrom([]string{"a", "b", "ab", "ä", "a-b", "x"}).Draw(t, "word")
		for _, of := range []string{"@class", "normalize-space(@class)", "normalize-space()", "."} {
			short, long := "count(//p[contains(concat(' ', "+of+", ' '), ' "+word+" ')])", "count(//p[contains(concat(' ', "+of+", ' '), concat(' "+word+"', ' '))])"
			if got, want := shown(t, short, doc, dom.Root), shown(t, long, doc, dom.Root); got != want {
				t.Fatalf("%s on %q: %s; want %s", short, class, got, want)
			}
		}
	})
}
