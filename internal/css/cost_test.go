package css

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/domtest"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// hostile pages are repetitions, which cost more than their length where a
// matcher goes back over what it has seen.
var hostile = map[string]string{
	"deep":             "<div class='a b'>x ",
	"deep and wide":    "<div><p>x</p><p class=a>y</p>",
	"siblings":         "<b class=a>x</b>",
	"siblings apart":   "<b>x</b><!--1--><!--2--> <!--3-->",
	"comments":         "<!--x-->",
	"blank":            "<b></b> ",
	"lists in lists":   "<ul><li class=a><li>x",
	"nested fieldsets": "<fieldset disabled><legend><input></legend><input>",
	"languages":        "<div lang=en><b>x</b>",
	"a's":              "<div>aaaaaaaaaaaaaaaaaaaa",
	"references":       "<p class='&#97; &#98;' title='&amp;&amp;&amp;'>&amp;&amp;",
}

// heavy selectors look far.
var heavy = []string{
	"b ~ b", "b ~ b ~ b ~ b + b", "div div div div div div div", "div > div div > div div > div p", ".a ~ * .b", "* * * * *", "* ~ * ~ *",
	"div " + strings.Repeat("div ", 80) + "p", ":has(b)", ":has(~ b ~ b)", ":has(+ b)", "div:has(div p:not(div b))", ":has(:has(:has(nosuch)))", ":haschild(div > nosuch)",
	":nth-child(2n+1)", ":nth-last-child(3)", ":nth-of-type(2n)", ":nth-last-of-type(2)", ":only-child", ":only-of-type", ":last-child", ":empty",
	":contains(nosuch)", ":contains(x)", ":contains('x x x')", ":contains(aaaaaaaaaaaaaaaaaaaaaaaaab)", ":not(:contains('&&'))", ":has(:contains(x):contains(y))", ":containsOwn(x)", ":matchesOwn(x$)",
	":lang(en)", ":disabled", ":enabled", ".a.b", "[title]", "[title*='&&&']", "[class~=b]", ":not(div > div)", ":not(:not(div ~ p))",
}

func TestCostGrowsWithThePageAndNoFaster(t *testing.T) {
	for what, piece := range hostile {
		short, long := "<!DOCTYPE html>"+strings.Repeat(piece, 250), "<!DOCTYPE html>"+strings.Repeat(piece, 2000)
		small, large := parsed(t, short), parsed(t, long)
		for _, expr := range heavy {
			m := matcherOf(t, []string{expr})
			perByte := func(page string, tree *dom.Tree) float64 {
				if err := m.Run(tree, wantAll(1)); err != nil {
					t.Fatal(err)
				}
				return float64(m.steps) / float64(len(page)+tree.Len())
			}
			if before, after := perByte(short, small), perByte(long, large); after > 1.1*before+0.1 || after > 20 {
				t.Errorf("%s, %.30q: %.1f steps a byte and node, %.1f where the page is eight times as long", what, expr, before, after)
			}
		}
	}
}

// What a large page took isn't held for the small ones that follow, which are
// none the worse for it.
func TestMemoryOfALargePageGoesWithIt(t *testing.T) {
	exprs := []string{"i:nth-of-type(2n)", "i ~ b", "i:not(b i)", "p:contains('x y')", "my-own"}
	m := matcherOf(t, exprs)
	m.positions.counting = math.MaxUint32 - 1 // as after very many parents
	small := parsed(t, "<my-own><i></i><i></i><b></b></my-own><p>x <i>y</i>")
	var before [][]dom.ID
	for round := range 2 {
		if err := m.Run(small, wantAll(len(exprs))); err != nil {
			t.Fatal(err)
		}
		for i := range exprs {
			if round == 0 {
				before = append(before, slices.Clone(m.All(i)))
				continue
			}
			if !slices.Equal(m.All(i), before[i]) || len(before[i]) == 0 {
				t.Errorf("%q: %v, then %v", exprs[i], before[i], m.All(i))
			}
		}
		if n := cap(m.positions.typed); n > 1024 {
			t.Errorf("room for %d positions", n)
		}
		if round == 0 {
			if err := m.Run(parsed(t, strings.Repeat("<i></i>", 300_000)+"<b></b>"), wantAll(len(exprs))); err != nil || len(m.All(0)) != 150_000 {
				t.Fatal(err, len(m.All(0)))
			}
		}
	}
}

// Classes of one element that are all the same are one class.
func TestRepeatedClassesCostNoMoreThanTheirLength(t *testing.T) {
	m := matcherOf(t, []string{".a.b.c.d", ".a[title*=x]"})
	tree := parsed(t, "<p title='"+strings.Repeat("y", 50_000)+"' class='"+strings.Repeat("a ", 50_000)+"'>")
	if err := m.Run(tree, wantAll(2)); err != nil || m.steps > 1_000_000 {
		t.Errorf("%d steps, %v", m.steps, err)
	}
}

func TestWhatMatchesReadsAgainIsBounded(t *testing.T) {
	m := matcherOf(t, []string{"div:matches(nosuch)", "p"})
	for _, test := range []struct {
		deep  int
		wrong bool
	}{{50, false}, {2000, true}} {
		page := strings.Repeat("<div>x", test.deep) + strings.Repeat("<p>some more text</p>", 1000)
		err := m.Run(parsed(t, page), wantAll(2))
		if cost := (&CostError{}); errors.As(err, &cost) != test.wrong || err != nil && !strings.Contains(err.Error(), ":matches") {
			t.Errorf("%d: %v", test.deep, err)
		}
		if err := m.Run(parsed(t, page), []Want{Skip, All}); err != nil || len(m.All(1)) != 1000 {
			t.Errorf("%d: %v, %d paragraphs", test.deep, err, len(m.All(1)))
		}
	}
}

func TestOnlyFirstMatchesEndTheWalk(t *testing.T) {
	m := matcherOf(t, []string{"p.a", "h1", "b"})
	tree := parsed(t, "<h1>x</h1><p class=a>y</p>"+strings.Repeat("<p class=a>z", 10_000))
	if err := m.Run(tree, []Want{First, First}); err != nil || len(m.All(0)) != 1 || len(m.All(1)) != 1 || m.steps > 1000 {
		t.Errorf("%d steps, %v", m.steps, err)
	}
}

func TestAWarmMatcherAllocatesNothing(t *testing.T) {
	page := pages.Make(pages.Product, 30_000, 1)
	exprs := []string{"p:has(b) ~ p", ":nth-last-of-type(2)", "div:contains(the)", "li:not(.a .b)", "my-own[my-attr]", "option:disabled", "[class*=CARD i]"}
	for _, f := range pages.Product.Fields() {
		exprs = append(exprs, f.CSS)
	}
	m, tree, want := matcherOf(t, exprs), parsed(t, string(page.HTML)), wantAll(len(exprs))
	if n := testing.AllocsPerRun(10, func() {
		if err := m.Run(tree, want); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkFields is eight fields of a page, as a job has them.
func BenchmarkFields(b *testing.B) {
	for _, kind := range pages.Kinds {
		for _, size := range []int{5_000, 30_000, 250_000} {
			benchmarkFields(b, kind, size)
		}
	}
}

func benchmarkFields(b *testing.B, kind pages.Kind, size int) {
	page := pages.Make(kind, size, 1)
	name := fmt.Sprintf("%v/%dKB/", kind, size/1000)
	set, want := NewSet(), []Want{}
	var theirs []cascadia.SelectorGroup
	for _, f := range kind.Fields() {
		s, err := Compile(f.CSS)
		if err != nil {
			b.Fatal(err)
		}
		set.Add(s)
		w := First
		if f.All {
			w = All
		}
		group, err := cascadia.ParseGroup(f.CSS)
		if err != nil {
			b.Fatal(err)
		}
		want, theirs = append(want, w), append(theirs, group)
	}
	tree := parsed(b, string(page.HTML))
	b.Run(name+"css", func(b *testing.B) {
		m := NewMatcher(set)
		b.ReportAllocs()
		for b.Loop() {
			if err := m.Run(tree, want); err != nil || len(m.All(0)) == 0 {
				b.Fatal(err)
			}
		}
	})
	_, root, err := domtest.Parse(string(page.HTML))
	if err != nil {
		b.Fatal(err)
	}
	b.Run(name+"cascadia", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i, group := range theirs {
				if want[i] == All {
					cascadia.QueryAll(root, group)
				} else if cascadia.Query(root, group) == nil {
					b.Fatal("nothing")
				}
			}
		}
	})
}

// BenchmarkManySelectors is all selectors of the tests on one page.
func BenchmarkManySelectors(b *testing.B) {
	page := string(pages.Make(pages.Product, 30_000, 1).HTML)
	b.Run("css", func(b *testing.B) {
		m, tree, want := matcherOf(b, agreeing), parsed(b, page), wantAll(len(agreeing))
		for b.Loop() {
			if err := m.Run(tree, want); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cascadia", func(b *testing.B) {
		_, root, err := domtest.Parse(page)
		if err != nil {
			b.Fatal(err)
		}
		var groups []cascadia.SelectorGroup
		for _, expr := range agreeing {
			group, err := cascadia.ParseGroup(expr)
			if err != nil {
				b.Fatal(err)
			}
			groups = append(groups, group)
		}
		for b.Loop() {
			for _, group := range groups {
				cascadia.QueryAll(root, group)
			}
		}
	})
}
