package xpath

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/domtest"
	"github.com/harrowdata/harrow/internal/html5"
	"github.com/harrowdata/harrow/internal/xmltree"
)

const page = `<!DOCTYPE html><html lang="en-GB"><head><title>T</title></head><body>
<div id="a" class="x y"><p>one</p><p>two <b>bold</b></p><ul><li>1</li><li>2</li><li>3<ul><li>3.1</li></ul></li></ul></div>
<div id="b"><!-- note --><p>three</p><svg viewBox="0 0 1 1"><path d="M0"/><a xlink:href="z"/></svg><p lang="fr">quatre</p></div>
<table><tr><th>UPC</th><td>978</td></tr><tr><th>Price</th><td> 12.50 </td></tr></table></body></html>`

func tree(t testing.TB, text string) *dom.Tree {
	t.Helper()
	got, _, err := domtest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func shown(t interface{ Helper() }, source string, doc *dom.Tree, at dom.ID) string {
	t.Helper()
	e, err := Compile(source)
	if err != nil {
		return "error: " + err.Error()
	}
	v, err := e.Evaluate(doc, at, &Budget{1e6})
	if err != nil {
		return "error: " + err.Error()
	}
	nodes, ok := v.([]Node)
	if !ok {
		return fmt.Sprint(v)
	}
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		text := n.Text(doc)
		switch {
		case n.Attribute(doc) != nil:
			parts[i] = "@" + nameOf(doc, n) + "=" + text
		case n.IsElement(doc):
			parts[i] = "<" + nameOf(doc, n) + ">" + tidy(text)
		default:
			parts[i] = tidy(text)
		}
	}
	return strings.Join(parts, "|")
}

// texts are the texts that an expression selects, or the one that it computes.
func texts(e *Expr, doc *dom.Tree, all bool, b *Budget) ([]string, error) {
	nodes, computed, isText, err := e.Select(nil, doc, dom.Root, all, b)
	if isText && err == nil {
		return []string{computed}, nil
	}
	list := make([]string, len(nodes))
	for i, n := range nodes {
		list[i] = n.Text(doc)
	}
	return list, err
}

func tidy(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestExpressions(t *testing.T) {
	doc := tree(t, page)
	for expr, want := range map[string]string{
		// Paths and axes.
		"/html/head/title": "<title>T", "//title/text()": "T", "//p[1]": "<p>one|<p>three", "(//p)[1]": "<p>one", "(//p)[last()]": "<p>quatre",
		"//p[last()]": "<p>two bold|<p>quatre", "//p[position()<2]": "<p>one|<p>three", "//div[@id='b']/p[2]": "<p>quatre", "//p[2]/b": "<b>bold",
		"//li/..": "<ul>1233.1|<ul>3.1", "//li/parent::*/@id": "", "//li[3]/ancestor::*": "<html>T onetwo bold1233.1 threequatre UPC978Price 12.50|<body>onetwo bold1233.1 threequatre UPC978Price 12.50|<div>onetwo bold1233.1|<ul>1233.1",
		"//b/ancestor::*[1]": "<p>two bold", "//b/ancestor::*[last()]": "<html>T onetwo bold1233.1 threequatre UPC978Price 12.50", "//b/ancestor-or-self::*[2]": "<p>two bold",
		"//li/following-sibling::li": "<li>2|<li>33.1", "//ul/preceding-sibling::p[1]": "<p>two bold", "//ul/preceding-sibling::p": "<p>one|<p>two bold",
		"//b/following::p": "<p>three|<p>quatre", "//svg/preceding::p[1]": "<p>three", "//svg/preceding::p[2]": "<p>two bold", "//svg/preceding::b": "<b>bold",
		"//div//li": "<li>1|<li>2|<li>33.1|<li>3.1", "//ul//li": "<li>1|<li>2|<li>33.1|<li>3.1", "//ul/li[1]": "<li>1|<li>3.1", "//ul//li[1]": "<li>1|<li>3.1",
		"/descendant::li[4]": "<li>3.1", "//div/@id": "@id=a|@id=b", "//@id": "@id=a|@id=b", "//div[1]/@*": "@id=a|@class=x y", "//@id/..": "<div>onetwo bold1233.1|<div>threequatre",
		"//comment()": "note", "//div[2]/node()[1]": "note", "//div[1]/child::text()": "", "/": "T onetwo bold1233.1 threequatre UPC978Price 12.50", "/..": "", "/@id": "",
		"//processing-instruction()": "", "//p/self::p[.='one']": "<p>one", "//td | //th": "<th>UPC|<td>978|<th>Price|<td>12.50", "//b | //b": "<b>bold",
		"//th[.='Price']/following-sibling::td": "<td>12.50", "//tr[th='UPC']/td": "<td>978", "//p[b]": "<p>two bold", "//*[@id and @class]/p[2]/b/text()": "bold",
		"//svg/@viewBox": "@viewBox=0 0 1 1", "//path": "<path>", "//svg:path": "<path>", "//svg:*": "<svg>|<path>|<a>", "//@xlink:href": "@xlink:href=z", "//DIV": "",
		"id('b a nothing')/@id": "@id=a|@id=b", "id(//div/@id)/@id": "@id=a|@id=b", "//div[lang('en')]/@id": "@id=a|@id=b", "//p[lang('FR')]": "<p>quatre", "(//p)[2]/b": "<b>bold",
		"(//ul | //p)[2]/b": "<b>bold", "//p[position()=2][b]": "<p>two bold", "//p[b][1]": "<p>two bold", "//p[b][2]": "", "//li[position() mod 2 = 1]": "<li>1|<li>33.1|<li>3.1",
		"//*[self::td or self::th][2]": "<td>978|<td>12.50", "//li[count(../li) > 2]": "<li>1|<li>2|<li>33.1", "//li[last() - 1]": "<li>2", "//p[1.5]": "", "//p['']": "", "//p['x'][1]": "<p>one|<p>three",
		".//p[1]": "<p>one|<p>three", "//div[1]//p[2]": "<p>two bold", "//div/*[2]": "<p>two bold|<svg>", "//text()[contains(., 'bold')]": "bold", "//li/ul/li/../../../../@id": "@id=a",
		// Values.
		"count(//li)": "4", "count(//li/..)": "2", "string(//p)": "one", "string(//none)": "", "sum(//td)": "990.5", "number(//tr[2]/td)": "12.5", "number('1e3')": "NaN", "number('+1')": "NaN",
		"number(' -3. ')": "-3", "1 div 0": "+Inf", "string(1 div 0)": "Infinity", "string(-1 div 0)": "-Infinity", "string(0 div 0)": "NaN", "string(-0)": "0", "string(1000000000000000000000)": "1000000000000000000000",
		"string(0.1 + 0.2)": "0.30000000000000004", "5 mod 2": "1", "5 mod -2": "1", "-5 mod 2": "-1", "--3": "3", "-(3)": "-3", "2 + 3 * 4 - 1": "13", "6 div 4": "1.5", "round(2.5)": "3", "round(-2.5)": "-2",
		"round(-0.4)": "-0", "floor(-1.5)": "-2", "ceiling(1.2)": "2", "concat('a', 1, true())": "a1true", "substring('12345', 2, 3)": "234", "substring('12345', 2)": "2345", "substring('12345', 1.5, 2.6)": "234",
		"substring('12345', 0, 3)": "12", "substring('12345', 0 div 0, 3)": "", "substring('12345', 1, 0 div 0)": "", "substring('12345', -42, 1 div 0)": "12345", "substring('12345', -1 div 0, 1 div 0)": "", "substring('äöü', 2, 1)": "ö",
		"substring-before('1999/04', '/')": "1999", "substring-after('1999/04', '/')": "04", "substring-after('1999', '')": "1999", "substring-before('a', 'b')": "", "string-length('äö')": "2",
		"normalize-space('  a \n b ')": "a b", "translate('bar', 'abc', 'AB')": "BAr", "translate('--aaa--', 'abc-', 'ABC')": "AAA", "translate('aa', 'aa', 'xy')": "xx", "starts-with('abc', 'ab')": "true", "contains('', '')": "true",
		"name(//@xlink:href)": "xlink:href", "local-name(//@xlink:href)": "href", "name(//none)": "", "namespace-uri(//path)": "http://www.w3.org/2000/svg", "name(/)": "", "boolean(//p)": "true", "boolean('')": "false", "not(//none)": "true",
		"string-length(//title)": "1", "//p = 'one'": "true", "//p != 'one'": "true", "//none = ''": "false", "//none != ''": "false", "'one' = //p": "true", "//td > 100": "true", "100 > //td": "true", "1 > //td": "false",
		"//td = //td": "true", "//td = //th": "false", "//td != //td": "true", "//title != //title": "false", "//td < //td": "true", "//p > //p": "false", "//none = false()": "true", "//p = true()": "true", "true() > false()": "true", "'a' = 'a'": "true",
		"'1' = 1.0": "true", "'a' < 'b'": "false", "true() = 'x'": "true", "1 = 1 and 2 = 3 or 4 = 4": "true", "1 < 2 < 3": "true", "3 > 2 > 1": "false", "(1 = 2) = false()": "true",
		// Names that are operators elsewhere.
		"//div[1]/p/../@id": "@id=a", "* or div": "true", "count(*)*2": "2", "(//p)[2] and mod": "false", "count(/*/*)": "2", "count(//p) * count(//td)": "8", "0.5": "0.5", ".5 + 5.": "5.5", "//*[@class]/@class": "@class=x y",
	} {
		if got := shown(t, expr, doc, dom.Root); got != want {
			t.Errorf("%s: %s; want %s", expr, got, want)
		}
	}
}

func TestExpressionsFromANode(t *testing.T) {
	doc := tree(t, page)
	e, _ := CompileNodes("//div[@id='b']")
	nodes, err := e.Nodes(doc, dom.Root, &Budget{1e6})
	if err != nil || len(nodes) != 1 {
		t.Fatal(nodes, err)
	}
	for expr, want := range map[string]string{
		"p": "<p>three|<p>quatre", "./p[2]": "<p>quatre", "@id": "@id=b", "//title": "<title>T", ".//p": "<p>three|<p>quatre", "../table//td[1]": "<td>978|<td>12.50", "name()": "div", "string()": "threequatre",
		"self::div/@id": "@id=b", "position() + last()": "2", "preceding-sibling::div/@id": "@id=a", "count(ancestor::node())": "3", "@id/following::p[1]": "<p>three", "@id/preceding::p[1]": "<p>two bold", "@id/ancestor-or-self::node()[2]/p[1]": "<p>three",
		"@id/self::*": "", "@id/node()": "", "@id/descendant-or-self::node()": "@id=b", "string-length(@id)": "1", "normalize-space()": "threequatre",
	} {
		if got := shown(t, expr, doc, nodes[0].ID); got != want {
			t.Errorf("%s: %s; want %s", expr, got, want)
		}
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	for expr, want := range map[string]string{
		"": "empty", " ": "empty", "//": "want a step", "//p[": "at its end: want a step", "//p[1": "want ]", "//p]": `at byte 3: got "]"; want an operator or the end`, "p p": `got "p"; want an operator`, "$x": "variables are not supported",
		"foo()": "at byte 0: XPath 1.0 has no function \"foo\"; known: boolean, ceiling, concat", "count(1)": "function count: want a node-set", "count()": "got 0 arguments; want 1", "concat('a')": "got 1 arguments; want at least 2", "substring('a')": "got 1 arguments; want 2 or 3",
		"'a": "without its closing '", "1[1]": "want a node-set before them", "'a'/b": "want a node-set before them", "1 | //p": "| joins node-sets only", "namespace::x": "no axis is called \"namespace\"", "foo::x": "no axis is called", "p:": "a prefix without a name", "a!b": `unexpected '!'`,
		"text(": "at its end", "//p[1]]": "want an operator or the end", "(": "at its end: want a step", "matches(., 'x')": "no function", "@": "want a step", "a/": "want a step", "a//": "want a step", "..[1]": "want an operator or the end", "//p[#]": `unexpected '#'`, "concat(a b)": "want an operator",
		strings.Repeat("(", 100) + "1": "nested over 64 deep", strings.Repeat("a[", 100): "nested over 64 deep", strings.Repeat("x", 10000): "want at most 8192", "\xff": "unexpected",
	} {
		if _, err := Compile(expr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v; want %s", expr, err, want)
		}
	}
	if _, err := CompileNodes("count(//p)"); !errors.Is(err, errNoNodes) {
		t.Error(err)
	}
	if _, err := CompileNodes("("); err == nil || errors.Is(err, errNoNodes) {
		t.Error(err)
	}
}

func TestSelectTakesTheFirstOrAll(t *testing.T) {
	doc := tree(t, page)
	for _, tt := range []struct {
		expr, first, all string
	}{
		{"//li", "1", "1|2|33.1|3.1"}, {"//li[3]/ancestor::div/@id", "a", "a"}, {"//b/preceding::*[self::p or self::title]", "T", "T|one"}, {"//ul/li[1]", "1", "1|3.1"},
		{"count(//li)", "4", "4"}, {"//none", "", ""}, {"1 = 1", "true", "true"}, {"//td | //th", "UPC", "UPC|978|Price| 12.50 "}, {"//ul//li[1]", "1", "1|3.1"}, {"//ul/descendant::li", "1", "1|2|33.1|3.1"},
	} {
		e, err := Compile(tt.expr)
		if err != nil {
			t.Fatal(err)
		}
		for _, all := range []bool{false, true} {
			want := tt.first
			if all {
				want = tt.all
			}
			got, err := texts(e, doc, all, &Budget{1e6})
			if err != nil || strings.Join(got, "|") != want {
				t.Errorf("%s, all %v: %q, %v; want %s", tt.expr, all, got, err, want)
			}
		}
		if e.String() != tt.expr {
			t.Errorf("%s is %s", tt.expr, e)
		}
	}
}

func TestNamesOfXMLKeepTheirCapitals(t *testing.T) {
	doc := &dom.Tree{}
	if err := xmltree.Parse(doc, []byte(`<media:pubDate xmlns:media="u" isPermaLink="v" xml:lang="de-AT"/>`), 0); err != nil {
		t.Fatal(err)
	}
	for expr, want := range map[string]string{
		"//media:pubDate/@isPermaLink": "@isPermaLink=v", "//media:pubdate": "", "//@ispermalink": "", "count(//@*)": "2", "local-name(/*)": "pubDate", "name(/*)": "media:pubDate", "//media:*/@isPermaLink": "@isPermaLink=v", "//pubDate": "", "boolean(/*[lang('de')])": "true",
	} {
		if got := shown(t, expr, doc, dom.Root); got != want {
			t.Errorf("%s: %s; want %s", expr, got, want)
		}
	}
}

func TestEvaluationEndsWithItsBudget(t *testing.T) {
	doc := tree(t, "<html><body>"+strings.Repeat("<p>x<b>y</b></p>", 3000))
	for _, expr := range []string{
		"//*[count(//*) > 1]", "//p[preceding::p]/following::b[count(preceding::*) > 3]", "//*[. = //*]", "count(//*[contains(., string(/))])", "count(//p/following::*[last()])",
		"concat(" + strings.Repeat("/,", 1000) + "/)", "//p[count(id('x')) = 0]", "translate(" + strings.Repeat("concat(.,", 30) + "'a'" + strings.Repeat(",.)", 30) + ",'x','y') = 'z'" + strings.Repeat(" or //*[.='nothing']", 300), "//b[lang('x') or ../../..//text() = 'z']",
	} {
		e, err := Compile(expr)
		if err != nil {
			t.Errorf("%.80s: %v", expr, err)
			continue
		}
		b := &Budget{100_000}
		if _, err := e.Evaluate(doc, dom.Root, b); !errors.Is(err, ErrBudget) {
			t.Errorf("%.80s: %v, %d left", expr, err, b.Left)
		}
		if _, err := texts(e, doc, true, b); !errors.Is(err, ErrBudget) {
			t.Errorf("%.80s: %v with nothing left", expr, err)
		}
	}
}

// TestWorkOnTextsIsPaidFor counts steps on a page whose text each of the divs
// around it has: a page that is nested deeper must not buy more time with them.
func TestWorkOnTextsIsPaidFor(t *testing.T) {
	const depth, size = 100, 30_000
	page := strings.Repeat("<div>", depth)
	for _, tt := range []struct{ text, expr string }{
		{"a&lt; ", "//div[. = 'x']"},
		{"a&lt; ", "//div[contains(., 'x')]"},
		{"word ", "//div[normalize-space(.) = 'x']"},
		{"word ", "//div[translate(., 'abc', 'ABC') = 'x']"},
		{"word ", "//div[translate('x', ., '') = 'y']"},
		{"word ", "//div[substring(., 1, 20000) = 'x']"},
		{"    ", "//div[. > 5]"},
		{"    ", "sum(//div)"},
		{"    ", "//div[number(.) = 5]"},
		{"word ", "//div[id(.)]"},
	} {
		doc := new(dom.Tree)
		if err := new(html5.Parser).Parse(doc, []byte(page+strings.Repeat(tt.text, size/len(tt.text)))); err != nil { // which leaves references in texts
			t.Fatal(err)
		}
		if steps, least := stepsOf(t, tt.expr, doc), int64(depth*size/LookedAt/2); steps < least {
			t.Errorf("%s on %q: %d steps; want %d at least", tt.expr, tt.text, steps, least)
		}
	}
	var attrs strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&attrs, " a%d=''", i)
	}
	doc := tree(t, "<div"+attrs.String()+">"+strings.Repeat("<i></i>", 1000))
	for _, expr := range []string{"//i[ancestor::div[@z]]", "//i[lang('x')]", "//i[id('x')]"} {
		if steps := stepsOf(t, expr, doc); steps < 1000*10_000/8 {
			t.Errorf("%s looks at 10,000 attributes 1,000 times for %d steps", expr, steps)
		}
	}
}

// stepsOf is what an expression spends on a page.
func stepsOf(t *testing.T, expr string, doc *dom.Tree) int64 {
	t.Helper()
	e, err := Compile(expr)
	if err != nil {
		t.Fatal(err)
	}
	b := &Budget{math.MaxInt64}
	if _, err := e.Evaluate(doc, dom.Root, b); err != nil {
		t.Fatal(err)
	}
	return math.MaxInt64 - b.Left
}

func TestTextsThatArePutTogetherAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("copies much")
	}
	large := strings.Repeat("x", 1<<20)
	for _, tt := range []struct{ page, expr string }{
		{large, "concat(" + strings.Repeat("/,", 2000) + "/)"},
		{large, "concat(" + strings.Repeat("//text(),", 900) + "/)"},
		{strings.Repeat("<div>", 200) + large, "//div = //head"},
	} {
		e, err := Compile(tt.expr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Evaluate(tree(t, tt.page), dom.Root, &Budget{math.MaxInt64}); !errors.Is(err, ErrBudget) {
			t.Errorf("%.40s makes GiBs of text: %v", tt.expr, err)
		}
	}
}

// TestStepsFromManyNodesVisitEachNodeOnce counts steps: from all nodes of a page
// at once, no axis may cost more than a few times the page.
func TestStepsFromManyNodesVisitEachNodeOnce(t *testing.T) {
	for what, page := range map[string]string{
		"flat":   strings.Repeat("<p>x<b>y</b></p>", 2000),
		"nested": strings.Repeat("<div>x", 500),
		"both":   strings.Repeat("<div><p>x</p><p>y</p>", 400) + strings.Repeat("<b>z</b></div>", 400),
	} {
		doc := tree(t, page)
		for axis := range axes {
			for _, test := range []string{"node()", "*", "b"} {
				expr := "count(//*/" + axis + "::" + test + ")"
				if steps := stepsOf(t, expr, doc); steps > 8*int64(doc.Len()) {
					t.Errorf("%s of a %s page of %d nodes: %d steps", expr, what, doc.Len(), steps)
				}
			}
		}
	}
}

func FuzzXPath(f *testing.F) {
	for _, s := range []string{"//a/@href", "count(//p[2]) + 1", "(//p)[last()]/../x:y[contains(., 'b')]", "-//a | b", "//*[. = //*[position() mod 2]]", "substring(., 2, -1 div 0)", "a[b[c]]"} {
		f.Add(s)
	}
	doc := tree(f, page)
	f.Fuzz(func(t *testing.T, source string) {
		e, err := Compile(source)
		if err != nil {
			return
		}
		b := &Budget{200_000}
		all, err := texts(e, doc, true, b)
		if err != nil && !errors.Is(err, ErrBudget) {
			t.Fatal(err)
		}
		if err != nil || b.Left < 100_000 {
			return
		}
		first, err := texts(e, doc, false, b)
		if err != nil || len(first) != min(1, len(all)) || len(first) == 1 && first[0] != all[0] {
			t.Fatalf("first %q of %q, %v", first, all, err)
		}
	})
}
