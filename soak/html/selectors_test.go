package html

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/PuerkitoBio/goquery"
	"github.com/andybalholm/cascadia"
	nethtml "golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/css"
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/xpath"
)

// selectors are what is asked of every page: every kind that cascadia knows,
// alone and together.
var selectors = strings.Split(strings.TrimSpace(`
*
p
a
li
td
my-card
H1, Div
svg path
.active
.a.b
p.price
.sale
.node, .chapter, .refentry
li.active > a
div.body
#menu
#x
div#post-1
[href]
[title]
[data-x]
[CLASS]
[viewBox]
[class="page"]
[class="a b"]
[lang|="en"]
[lang|="de"]
[class~="b"]
[class~="wide"]
[href^="/p"]
[href^="http"]
[href^=""]
[href$=".html"]
[src$=".jpg"]
[href*="a=1"]
[href*="index"]
[href*=""]
[class!="a"]
[rel="NEXT" i]
[type="Hidden" i]
[href*="HTML" i]
[id#=^post-\d+$]
[href#=(\d+)]
a[href][title]
a[href]:not([title])
input[type=hidden]
meta[name=description]
h1, h2, h3
ul, ol, dl
table td, table th
body p
div p
div div
div div div a
ul li a
table table
li li
* > p
ul > li
body > *
html > head > title
tr > td > a
table > tbody > tr
dl > dt, dl > dd
dt + dd
p + p
h1 + *
td + td
li + li > a
h2 ~ p
p ~ ul
td ~ td
br ~ br
div > p ~ p a
:first-child
:last-child
:only-child
:root
:empty
p:first-child
li:last-child
a:only-child
td:first-of-type
td:last-of-type
b:only-of-type
li:nth-child(2)
li:nth-child(odd)
tr:nth-child(even)
td:nth-child(3n+1)
li:nth-child(-n+3)
tr:nth-child(n+2)
li:nth-last-child(1)
tr:nth-last-child(2n)
p:nth-of-type(2)
div:nth-of-type(2n+1)
dd:nth-last-of-type(1)
a:nth-last-of-type(2n+1)
tr:nth-child(2) td:nth-child(2)
ul li:first-child a
p:not(.price)
a:not([href])
li:not(:first-child)
div:not(div div)
td:not(:empty):not([class])
:not(p, a, li)
p:has(a)
li:has(ul)
div:has(ul a)
table:has(td a)
tr:has(td:first-child)
body:has(h1)
div:haschild(p)
ul:haschild(li)
p:contains("the")
td:contains("12.50")
a:contains(home)
:contains("&")
p:containsOwn("the")
li:containsOwn('a')
a:matches([0-9])
p:matches(^[A-Z])
td:matchesOwn(^\d)
:matchesOwn(\w{12,})
:input
:link
a:link
:enabled
:disabled
:checked
option:checked
:lang(en)
p:lang(fr)
:hover
form input, form select, form textarea
select option
fieldset :enabled
template td
div > *:first-child
section article h2
article:nth-of-type(2) p:first-of-type
.nav li:nth-child(2) > a[href], #content p:has(b) + p
header ~ *
script, style, noscript
body *:not(a):not(p):not(div)
ol li p, ul li p, td p
a[href^="#"], a[name]
tr:first-child th + th
h2:first-of-type ~ p a
ul.tags > li
[itemprop]
p.t
`), "\n")

// nowhere are the selectors that select nothing, whatever the page.
var nowhere = []string{":hover", `[href^=""]`, `[href*=""]`}

// quadratic tells selectors whose cost in cascadia grows with the square of a
// list: they are left out where a page has long ones.
func quadratic(selector string) bool {
	for _, part := range []string{"nth", "-of-type", "~", "only", "last"} {
		if strings.Contains(selector, part) && !strings.Contains(selector, "~=") {
			return true
		}
	}
	return false
}

// widest is the longest list of children that quadratic selectors are tried on.
const widest = 2000

// paths are XPath expressions, each beside the selector that selects the same.
var paths = [][2]string{
	{"//p", "p"},
	{"//*", "*"},
	{"//a[@href]", "a[href]"},
	{"//a[@href and not(@title)]", "a[href]:not([title])"},
	{"//ul/li", "ul > li"},
	{"//table//td", "table td"},
	{"//li[1]", "li:first-of-type"},
	{"//td[last()]", "td:last-of-type"},
	{"//*[self::h1 or self::h2]", "h1, h2"},
	{"//*[@class='a b']", "[class='a b']"},
	{"//*[contains(concat(' ', normalize-space(@class), ' '), ' active ')]", "[class~=active]"},
	{"//dt/following-sibling::*[1][self::dd]", "dt + dd"},
	{"//h2/following-sibling::p", "h2 ~ p"},
	{"//p[.//a]", "p:has(a)"},
	{"//div[p]", "div:haschild(p)"},
	{"//a[starts-with(@href, '/p')]", "a[href^='/p']"},
	{"//td[position() mod 2 = 1]", "td:nth-of-type(odd)"},
	{"//tr[count(td) > 0]", "tr:haschild(td)"},
	{"//li[not(preceding-sibling::*)]", "li:first-child"},
	{"//body//b | //body//i", "body b, body i"},
	{"/html/head/title", "html > head > title"},
	{"//a/ancestor::div", "div:has(a)"},
}

// finder finds on both sides what the selectors select.
type finder struct {
	theirs  []cascadia.SelectorGroup
	ours    []*css.Selector
	number  []int // of selector i in the matcher's set
	matcher *css.Matcher
	want    []css.Want
	paths   []*xpath.Expr

	found     []int          // elements by selector, over all pages
	explained map[string]int // elements that one side alone selects, by rule of explainedSelectors
}

func newFinder() (*finder, error) {
	f := &finder{}
	set := css.NewSet()
	exprs := slices.Clone(selectors)
	for _, p := range paths {
		e, err := xpath.CompileNodes(p[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p[0], err)
		}
		f.paths, exprs = append(f.paths, e), append(exprs, p[1])
	}
	for _, s := range exprs {
		theirs, err := cascadia.ParseGroup(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		ours, err := css.Compile(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		f.theirs, f.ours, f.number = append(f.theirs, theirs), append(f.ours, ours), append(f.number, set.Add(ours))
	}
	f.matcher, f.found, f.explained = css.NewMatcher(set), make([]int, len(exprs)), map[string]int{}
	f.want = slices.Repeat([]css.Want{css.All}, set.Len())
	return f, nil
}

// compare asks both sides for all selectors on a tree that they have the same
// nodes of.
func (f *finder) compare(r *rand.Rand, t *dom.Tree, o *oracle) error {
	if err := f.matcher.Run(t, f.want); err != nil {
		return err
	}
	wide := width(t) > widest
	some := r.IntN(t.Len())
	for i, theirs := range f.theirs {
		text := f.ours[i].String()
		if wide && quadratic(text) {
			continue
		}
		var want []dom.ID
		for id, n := range o.nodes {
			if n.Type == nethtml.ElementNode && theirs.Match(n) {
				want = append(want, dom.ID(id))
			}
		}
		got := f.matcher.All(f.number[i])
		if id, ok := f.explain(t, o, text, got, want); !ok {
			return fmt.Errorf("%s: %s", text, apart(t, got, want, id))
		}
		want = got
		f.found[i] += len(got)
		if err := f.details(t, o, i, want, dom.ID(some)); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		if i >= len(selectors) {
			if err := f.path(t, i-len(selectors), want); err != nil {
				return fmt.Errorf("%s: %w", paths[i-len(selectors)][0], err)
			}
		}
	}
	return nil
}

// explain looks for a rule for each element that one side alone selects; the
// first that there is none for is returned.
func (f *finder) explain(t *dom.Tree, o *oracle, selector string, got, want []dom.ID) (dom.ID, bool) {
	if slices.Equal(got, want) {
		return dom.None, true
	}
	counts := map[dom.ID]int{}
	for _, id := range got {
		counts[id]++
	}
	for _, id := range want {
		counts[id]--
	}
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		if counts[id] == 0 {
			continue
		}
		rule := slices.IndexFunc(explainedSelectors, func(r selectorRule) bool { return r.is(selector, t, id) })
		if rule < 0 {
			return id, false
		}
		f.explained[explainedSelectors[rule].name]++
	}
	return dom.None, slices.IsSorted(got)
}

// details asks of one selector on a page what else there is to ask: the
// elements below one, whether one matches, and texts.
func (f *finder) details(t *dom.Tree, o *oracle, i int, want []dom.ID, some dom.ID) error {
	var below []dom.ID
	for _, id := range want {
		if id > some && id < t.Nodes[some].End {
			below = append(below, id)
		}
	}
	if got := f.matcher.Below(f.number[i], some); !slices.Equal(got, below) {
		return fmt.Errorf("below node %d: %s", some, apart(t, got, below, dom.None))
	}
	if _, is := slices.BinarySearch(want, some); f.ours[i].Matches(t, some) != is {
		return fmt.Errorf("Matches of node %d is %v", some, !is)
	}
	if len(want) == 0 {
		return nil
	}
	id := want[int(some)%len(want)]
	theirs := goquery.NewDocumentFromNode(o.nodes[id]).Text()
	if got := t.TextOf(id, 0); got != theirs {
		return fmt.Errorf("the text of node %d is %q, by goquery %q", id, got, theirs)
	}
	if got := string(t.AppendText(nil, id)); got != theirs {
		return fmt.Errorf("the appended text of node %d is %q, by goquery %q", id, got, theirs)
	}
	return nil
}

// path asks one XPath expression, which must select what its selector did.
func (f *finder) path(t *dom.Tree, i int, want []dom.ID) error {
	nodes, err := f.paths[i].Nodes(t, dom.Root, &xpath.Budget{Left: 1 << 40})
	if err != nil {
		return err
	}
	got := make([]dom.ID, len(nodes))
	for j, n := range nodes {
		got[j] = n.ID
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%v, want %v", got, want)
	}
	return nil
}

// width is the length of the longest list of children.
func width(t *dom.Tree) int {
	children, most := make([]int, t.Len()), 0
	for i := 1; i < t.Len(); i++ {
		p := t.Nodes[i].Parent
		children[p]++
		most = max(most, children[p])
	}
	return most
}

// apart says which element one of two lists lacks.
func apart(t *dom.Tree, got, want []dom.ID, id dom.ID) string {
	if id == dom.None {
		return fmt.Sprintf("%v, want %v", got, want)
	}
	who := "the oracle alone has"
	if slices.Contains(got, id) {
		who = "the oracle lacks"
	}
	return fmt.Sprintf("%d elements, want %d: %s node %d, %.200s in %q", len(got), len(want), who, id, ourNode(t, id), ourPath(t, id))
}
