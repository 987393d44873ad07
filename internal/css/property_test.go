package css

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/domtest"
	"github.com/harrowdata/harrow/internal/html5"
)

// parts are tests that mean the same to cascadia; own are those that need not.
// By text alone cascadia finds text nodes too.
var (
	parts = []string{".a", ".b", ".c", "#a", "#one", "[title]", "[title*=a]", "[title~=b]", "[data-x|=a i]", "[href!=b]", ":root", ":first-child", ":nth-child(2n+1)",
		":nth-last-child(-n+2)", ":nth-of-type(2)", ":last-of-type", ":only-child", "[title]:contains(upc)", "[title]:containsOwn(x)", "[class]:matches(^x)", ":input", ":not", ":haschild"}
	own = []string{":contains(upc)", ":containsOwn(x)", ":matches(^x)", "[rel!=next]", ":empty", ":lang(en)", ":disabled", ":enabled", ":is", ":has", ":has", ":not"}
)

// selectorText draws a group of selectors.
func selectorText(t *rapid.T, parts []string, depth int, relative bool) string {
	one := func(of ...string) string { return rapid.SampledFrom(of).Draw(t, "part") }
	var b strings.Builder
	for i := range rapid.IntRange(1, 2).Draw(t, "sequences") {
		if i > 0 {
			b.WriteString(", ")
		}
		if relative {
			b.WriteString(one("", "", "> ", "+ ", "~ "))
		}
		for k := range rapid.IntRange(1, 4).Draw(t, "compounds") {
			if k > 0 {
				b.WriteString(one(" ", " ", " > ", " + ", " ~ "))
			}
			b.WriteString(one("*", "*", "div", "p", "b", "span", "li", "svg"))
			for range rapid.IntRange(0, 2).Draw(t, "tests") {
				part := one(parts...)
				if slices.Contains([]string{":not", ":is", ":has", ":haschild"}, part) {
					if depth == 0 {
						continue
					}
					part += "(" + selectorText(t, parts, depth-1, part == ":has") + ")"
				}
				b.WriteString(part)
			}
		}
	}
	return b.String()
}

func parsed(t rapid.TB, page string) *dom.Tree {
	var tree dom.Tree
	var parser html5.Parser
	if err := parser.Parse(&tree, []byte(page)); err != nil {
		t.Fatal(err)
	}
	return &tree
}

// One matcher goes from page to page with selectors that come and go, as a
// job's rules do.
func TestMatchesAreWhatTheStandardSaysWordForWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := NewSet()
		var selectors []*Selector
		for range rapid.IntRange(1, 6).Draw(t, "selectors") {
			s, err := Compile(selectorText(t, slices.Concat(parts, own), 2, false))
			if err != nil {
				t.Fatal(err)
			}
			if set.Add(s) == len(selectors) {
				selectors = append(selectors, s)
			}
		}
		m := NewMatcher(set)
		for range 3 {
			page := makePage(rapid.Uint64Range(0, 1<<20).Draw(t, "seed"), rapid.IntRange(1, 25).Draw(t, "elements"))
			tree := parsed(t, page)
			want := make([]Want, len(selectors))
			for i := range want {
				want[i] = Want(rapid.IntRange(0, 2).Draw(t, "want"))
			}
			if err := m.Run(tree, want); err != nil {
				t.Fatal(err)
			}
			for i, s := range selectors {
				holdToNaive(t, m, i, s, want[i], tree, page)
			}
		}
	})
}

func TestSelectorsMadeByChanceMatchWhatCascadiaFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var exprs []string
		for range 4 {
			exprs = append(exprs, selectorText(t, parts, 2, false))
		}
		page := makePage(rapid.Uint64Range(0, 1<<20).Draw(t, "seed"), rapid.IntRange(1, 40).Draw(t, "elements"))
		tree, root, err := domtest.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(exprs)
		exprs = slices.Compact(exprs)
		m := matcherOf(t, exprs)
		if err := m.Run(tree, wantAll(len(exprs))); err != nil {
			t.Fatal(err)
		}
		for i, expr := range exprs {
			if want := oracle(t, root, expr); !slices.Equal(m.All(i), want) {
				t.Fatalf("%q: got %v, want %v in\n%s", expr, m.All(i), want, page)
			}
		}
	})
}

func holdToNaive(t rapid.TB, m *Matcher, i int, s *Selector, want Want, tree *dom.Tree, page string) {
	all := naive{tree}.all(s.group)
	expected := all
	switch want {
	case Skip:
		expected = nil
	case First:
		expected = all[:min(1, len(all))]
	}
	if !slices.Equal(m.All(i), expected) {
		t.Fatalf("%q, %d: got %v, want %v in\n%s", s, want, m.All(i), expected, page)
	}
	for n := range tree.Nodes {
		n := dom.ID(n)
		if n%7 == 0 && s.Matches(tree, n) != slices.Contains(all, n) {
			t.Fatalf("%q: Matches(%d) is %v in\n%s", s, n, !slices.Contains(all, n), page)
		}
		if want == All {
			below := slices.DeleteFunc(slices.Clone(all), func(k dom.ID) bool { return k <= n || k >= tree.Nodes[n].End })
			if !slices.Equal(m.Below(i, n), below) {
				t.Fatalf("%q: Below(%d) is %v, want %v", s, n, m.Below(i, n), below)
			}
		}
	}
}

// What has more links than a walk has bits for is cut in pieces.
func TestLongSelectorsMatchAsShortOnes(t *testing.T) {
	chain := strings.Repeat("<div><div class=a>", 100)
	tree := parsed(t, "<!DOCTYPE html>"+chain+"<p>x</p><p></p>")
	var group []string
	for i := range 90 {
		group = append(group, fmt.Sprintf("div:nth-child(%d) > .a + .b", i), "div > div > p")
	}
	for _, expr := range []string{
		strings.Repeat("div ", 190) + "p", strings.Repeat("div > ", 200) + "p", strings.Repeat("div > ", 201) + "p", strings.Repeat("div .a ", 99) + "> p + p",
		strings.Join(group, ", "), "p:not(" + strings.Repeat("div > ", 70) + "p + p)", "div:has(> " + strings.Repeat("div ", 70) + "p)", strings.Repeat("div ", 64) + "p", strings.Repeat("div ", 65) + "p",
	} {
		m := matcherOf(t, []string{"p", expr, "div p + p"})
		if err := m.Run(tree, wantAll(3)); err != nil {
			t.Fatal(err)
		}
		group, err := cascadia.ParseGroup(strings.Replace(expr, "has(> ", "haschild(", 1))
		if err != nil {
			t.Fatal(err)
		}
		root, nodes := tree.NetHTML()
		_ = root
		var want []dom.ID
		for i, n := range nodes {
			if tree.IsElement(dom.ID(i)) && group.Match(n) {
				want = append(want, dom.ID(i))
			}
		}
		if strings.Contains(expr, "has(") { // 200 divs, of which the first 130 have 70 and a p below
			want = naive{tree}.all([]sequence{{{tests: []test{{kind: isType, name: "div"}}}}})[:200-70]
		}
		if !slices.Equal(m.All(1), want) {
			t.Errorf("%.60q: got %v, want %v", expr, m.All(1), want)
		}
	}
}
