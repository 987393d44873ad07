package css

import (
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/domtest"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// agreeing are selectors of every kind that mean the same to cascadia.
var agreeing = strings.Split(strings.TrimSpace(`
*
div
DIV
my-own
nosuch
nosuch-own
p, b
.a
.b
.A
.d-e
.é
.nosuch
.a.b
.a.b.c
#a
#one
#B
div#one
div.a
div.a.b#two
*.a
*|*.a
[class]
[href]:not(a)
[my-attr]
[data-x]
[data-x=a]
[data-x="a b"]
[data-x='']
[data-x=A i]
[data-x=a I]
[data-x="a"i]
[data-x!=a]
[data-x != a i]
[nosuch!=a]
[title~=a]
[title~=b]
[title|=a]
[title|=A i]
[title^=a]
[title^=A i]
[title$=b]
[title$=B i]
[title*=b]
[title*=é]
[title*='a b']
[title*='&']
[title#=^a]
[title#=[0-9]{2}]
[title#=(a|b)$]
[title#=\d+]
[ title = a ]
[title=a][data-x]
a[href]
a[href=a]
div[title][class]
div p
div div
div div div
div div div div
div > div
div > div > div
div>p
p + p
div + div
div + *
div ~ div
div ~ p ~ div
div ~ div + div
div > div + div
div + div > div
div div + div div
div > * > span
body > div
body div
html div
html body > div
html > body > *
.a .b
.a > .b
.a + .b
.a ~ .b
.a .b .c
.a > .b .c
.a .b > .c
.a ~ .b .c
.a .b ~ .c
.a div .b div
* * *
* > * > * > *
* + * + *
* ~ * ~ *
ul li, ul > li
div, div
div, div p, .a
.a, #a, [title]
:first-child
:last-child
:only-child
:first-of-type
:last-of-type
:only-of-type
:nth-child(1)
:nth-child(2)
:nth-child(odd)
:nth-child(EVEN)
:nth-child(2n)
:nth-child(2n+1)
:nth-child( 2n + 1 )
:nth-child(3n-1)
:nth-child(3n - 2)
:nth-child(-n+2)
:nth-child(-2n+5)
:nth-child(n)
:nth-child(+n)
:nth-child(n+3)
:nth-child(0n+2)
:nth-child(0)
:nth-child(-1)
:nth-child(+2)
:nth-child(-0n+1)
:nth-last-child(1)
:nth-last-child(2)
:nth-last-child(2n+1)
:nth-last-child(-n+2)
:nth-last-child(even)
div:nth-of-type(1)
div:nth-of-type(2)
div:nth-of-type(2n)
div:nth-of-type(odd)
p:nth-last-of-type(1)
p:nth-last-of-type(2n+1)
span:nth-last-of-type(-n+2)
div:first-child
div > :first-child
div > :last-child p
li:nth-child(2) + li
:root
:root > body
:root div
div:root
div:empty:not(:contains('\a0'))
p:empty:not(:contains('\a0'))
:not(div)
:not(.a)
:not(.a):not(.b)
:not(.a, .b)
:not(.a .b)
:not(div > p)
:not(div > p, ul li)
:not(:not(div))
:not(:not(.a .b))
:not(:first-child)
:not([title])
:not(*)
div:not(.a) > p:not(.b)
div :not(div) div
div:has(p)
div:has(.a)
div:has(p, .a)
div:has(:first-child)
:has(a)
:has(nosuch)
div:not(:has(p))
div:has(p) > span
div:has(:not(p))
div:has(div:has(p))
div:has(*) + div
div:haschild(p)
:haschild(.a)
:haschild(div p)
:haschild(div > p, ul li)
:haschild(:haschild(p))
div:not(:haschild(p))
p:contains(x)
p:contains('UPC')
p:contains("upc")
div:contains('THE')
div:contains("ärger")
div:contains('&amp;')
div:contains('ix')
div:contains('12 in stock')
div:contains('cu')
div:contains('')
div:contains(' ')
div:containsOwn(x)
div:containsOwn('upc')
div:containsOwn('')
p:containsown("stock")
div:contains(x):not(:contains(stock))
div:has(p:contains(x))
div:matches(x)
div:matches(^x)
div:matches(\d+ in)
div:matches((?i)upc$)
div:matches([0-9]{2})
div:matchesOwn(^x)
div:matchesown(\bin\b)
p:matches(nosuch)
b:contains(x) + *
:input
div > :input
input:checked
option:checked
:checked
input:disabled
button:enabled
input:enabled, select:disabled, textarea:enabled
fieldset input:disabled
a:link
a:link, a:visited
a:hover, a:active, a:focus, a:target
div:not(:hover)
d\69v
\64 iv
.\61
.d\-e
#\000061
[data-x="\61  b"]
[title="x\26y"]
div/**/p
div /* > */ > /* x */ p
/**/ div
.--x, .-x1, .x1
table td, tbody, tr
svg
svg circle
circle.a
svg > *
mi.b
math > mi
template p
template > .a
title
head > link
:nth-child(2):nth-last-child(2)
:first-child:not(:last-child)
section h1, section h2, section .a
div p b
span.a.b, .c > .a
[class~=a]
[class*='a b']
[title|=a]:not(a)
[id=a]
[id!=a][id]
body :not(p) > b
ul > li:nth-child(n+2):not(:last-child)
form > :not(input):not(button)
`), "\n")

// barren are those that match nothing anywhere.
var barren = []string{":nth-child(0)", ":nth-child(-1)", "div:root", ":not(*)", "a:hover, a:active, a:focus, a:target"}

// matcherOf is a matcher that has all of the selectors in its set.
func matcherOf(t rapid.TB, exprs []string) *Matcher {
	set := NewSet()
	for _, expr := range exprs {
		s, err := Compile(expr)
		if err != nil {
			t.Fatalf("%q: %v", expr, err)
		}
		set.Add(s)
	}
	return NewMatcher(set)
}

// wantAll wants every match of every selector.
func wantAll(n int) []Want { return slices.Repeat([]Want{All}, n) }

// oracle is what cascadia finds, as IDs: elements only, which is what selectors
// are for (Selectors 4, 2).
func oracle(t rapid.TB, root *html.Node, expr string) (found []dom.ID) {
	group, err := cascadia.ParseGroup(expr)
	if err != nil {
		t.Fatalf("cascadia: %q: %v", expr, err)
	}
	n := dom.ID(0)
	for node := range root.Descendants() {
		if n++; node.Type == html.ElementNode && group.Match(node) {
			found = append(found, n)
		}
	}
	return found
}

func pagesOf(n int) (list []string) {
	for seed := range uint64(n) {
		list = append(list, makePage(seed, 5+int(seed%60)))
	}
	for _, kind := range pages.Kinds {
		list = append(list, string(pages.Make(kind, 5_000, 1).HTML))
	}
	return list
}

func TestMatchesAreWhatCascadiaFinds(t *testing.T) {
	exprs := agreeing
	m := matcherOf(t, exprs)
	if len(exprs) < 150 || len(m.lists) < len(exprs) {
		t.Fatalf("%d selectors, %d that differ", len(exprs), len(m.lists))
	}
	some := make([]int, len(exprs))
	n := 300
	if testing.Short() {
		n = 40
	}
	for i, page := range pagesOf(n) {
		tree, root, err := domtest.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Run(tree, wantAll(len(exprs))); err != nil {
			t.Fatal(err)
		}
		for k, expr := range exprs {
			got, want := m.All(k), oracle(t, root, expr)
			some[k] += len(want)
			if !slices.Equal(got, want) {
				t.Errorf("page %d: %q: got %v, want %v in\n%s", i, expr, got, want, page)
			}
		}
	}
	for k, expr := range exprs {
		if n == 300 && some[k] == 0 && !slices.Contains(barren, expr) && !strings.Contains(expr, "nosuch") {
			t.Errorf("%q matches nothing on any page: it tests nothing", expr)
		}
	}
}
