package html5

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/domtest"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// dump is a finished tree in the form of html5lib's suite.
func dump(t *dom.Tree) string {
	root, _ := t.NetHTML()
	return netTree(root)
}

func TestPagesAreAsXNetHasThem(t *testing.T) {
	var p Parser
	var tree dom.Tree
	for _, kind := range pages.Kinds {
		for _, size := range []int{5_000, 30_000, 250_000} {
			page := pages.Make(kind, size, 1).HTML
			if err := p.Parse(&tree, page); err != nil {
				t.Fatal(err)
			}
			if err := invariants(&tree); err != nil {
				t.Errorf("%v of %d bytes: %v", kind, size, err)
			}
			root, err := html.Parse(strings.NewReader(string(page)))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := dump(&tree), netTree(root); got != want {
				t.Errorf("%v of %d bytes: %s", kind, size, firstDifference(got, want))
			}
			if p.b.steps > p.b.maxSteps/20 || p.b.clones > p.b.maxClones/20 {
				t.Errorf("%v of %d bytes takes %d of %d steps and %d of %d clones", kind, size, p.b.steps, p.b.maxSteps, p.b.clones, p.b.maxClones)
			}
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d: got\n%s\nwant\n%s", i+1, strings.Join(g[max(0, i-3):min(len(g), i+3)], "\n"), strings.Join(w[max(0, i-3):min(len(w), i+3)], "\n"))
		}
	}
	return "more lines are wanted"
}

// The rules that the suite has no case for, or whose cases don't show it.
func TestTreesOfOddPages(t *testing.T) {
	const before, body = "| <html>\n|   <head>\n|   <body>\n", "|     "
	for _, c := range []struct{ name, page, want string }{
		{"what a reference stands for is white space where it matters", "&#32;&#10;&#13;<html>&Tab;<head>", before},
		{"white space that a reference stands for keeps frames possible", "<p>&#32;<frameset>", "| <html>\n|   <head>\n|   <frameset>\n"},
		{"white space at the end opens what was open in a body that a frameset replaced", "<b><frameset></frameset> </html> ",
			"| <html>\n|   <head>\n|   <frameset>\n|   \" \"\n|   <b>\n|     \" \"\n"},
		{"a newline behind pre may be a reference", "<pre>&#10;&#10;x", before + body + "<pre>\n|       \"\nx\"\n"},
		{"a newline is all that a textarea has", "<textarea>\n</textarea>x", before + body + "<textarea>\n" + body + "\"x\"\n"},
		{"texts that are joined make no reference", "&am</x>p;", before + body + "\"&amp;\"\n"},
		{"a dropped U+0000 makes no reference", "&am\x00p;&lt;\x00", before + body + "\"&amp;<\"\n"},
		{"texts between tags without a name are one in a table", "<table> </>x", before + body + "\" x\"\n" + body + "<table>\n"},
		{"white space that references stand for stays in a table", "<table>&#32;</>&#9;<tr>", before + body + "<table>\n|       \" \t\"\n|       <tbody>\n|         <tr>\n"},
		{"an attribute of a second html doesn't replace one", "<html a=1><body><html a=2 b=3>", "| <html>\n|   a=\"1\"\n|   b=\"3\"\n|   <head>\n|   <body>\n"},
		{"values are compared decoded in the Noah's Ark clause", "<p><b a='&amp;'><b a='&#38;'><b a='&'><b a='&#x26;'></p>x",
			before + body + "<p>\n|       <b>\n|         a=\"&\"\n|         <b>\n|           a=\"&\"\n|           <b>\n|             a=\"&\"\n|             <b>\n|               a=\"&\"\n" +
				body + "<b>\n|       a=\"&\"\n|       <b>\n|         a=\"&\"\n|         <b>\n|           a=\"&\"\n|           \"x\"\n"},
		{"the last selected option is mirrored, with all that is in it", "<select><selectedcontent></selectedcontent><option>a<option selected>b<i>c</i>d<option>e",
			before + body + "<select>\n|       <selectedcontent>\n|         \"b\"\n|         <i>\n|           \"c\"\n|         \"d\"\n|       <option>\n|         \"a\"\n|       <option>\n|         selected=\"\"\n|         \"b\"\n|         <i>\n|           \"c\"\n|         \"d\"\n|       <option>\n|         \"e\"\n"},
		{"a select of many mirrors none", "<select multiple><selectedcontent></selectedcontent><option selected>a",
			before + body + "<select>\n|       multiple=\"\"\n|       <selectedcontent>\n|       <option>\n|         selected=\"\"\n|         \"a\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p Parser
			var tree dom.Tree
			if err := p.Parse(&tree, []byte(c.page)); err != nil {
				t.Fatal(err)
			}
			if got := dump(&tree); got != c.want {
				t.Errorf("%q is\n%s\nwant\n%s", c.page, got, c.want)
			}
			if err := invariants(&tree); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAParserAndATreeAreUsedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Parser
		var tree dom.Tree
		for range 3 {
			page := []byte(strings.Join(rapid.SliceOf(rapid.SampledFrom(fragments)).Draw(t, "page"), ""))
			var alone Parser
			var want dom.Tree
			fragment := rapid.Bool().Draw(t, "fragment")
			for _, of := range []struct {
				p    *Parser
				tree *dom.Tree
			}{{&p, &tree}, {&alone, &want}} {
				err := of.p.Parse(of.tree, page)
				if fragment {
					err = of.p.ParseFragment(of.tree, page, dom.HTML, "td")
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if got, want := dump(&tree), dump(&want); got != want {
				t.Fatalf("after another page\n%s\nalone\n%s", got, want)
			}
			if err := invariants(&tree); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// fragments make pages that are neither words nor nonsense.
var fragments = []string{
	"x", " ", "&amp;", "\n", "\x00", "<b>", "</b>", "<i id=a>", "</i>", "<a href=x>", "</a>", "<p>", "</p>", "<div>", "</div>",
	"<table>", "</table>", "<tr>", "<td>", "</td>", "<caption>", "<col>", "<ul>", "<li>", "</ul>", "<svg>", "</svg>", "<desc>",
	"<math>", "<mi>", "<foreignObject>", "</foreignobject>", "<template>", "</template>", "<select>", "<option selected>", "</select>",
	"<selectedcontent>", "<form>", "</form>", "<pre>", "<textarea>", "</textarea>", "<script>", "</script>", "<html c=d>", "<body e=f>",
	"</body>", "</html>", "<frameset>", "<!--c-->", "<!DOCTYPE html>", "<button>", "<nobr>", "<h1>", "</h2>", "<object>", "</object>", "<x-y>", "</x-y>", "</>",
}

func TestTooManyNodesAreAnError(t *testing.T) {
	p := Parser{MaxNodes: 100}
	var tree dom.Tree
	for name, page := range map[string]string{
		"nodes":      strings.Repeat("<br>", 100),
		"attributes": "<a" + numbered(" b@", 100) + ">",
		"clones":     "<p><b a><b b><b c><b d><b e><b f><b g><b h><b i>" + strings.Repeat("<p>x", 20),
	} {
		t.Run(name, func(t *testing.T) {
			var too *TooManyError
			if err := p.Parse(&tree, []byte(page)); !errors.As(err, &too) || too.Limit != 100 {
				t.Errorf("the error is %v", err)
			}
			if err := p.Parse(&tree, []byte(page[:len(page)/10])); err != nil {
				t.Errorf("a tenth of it: %v", err)
			}
		})
	}
}

func TestParsingAgainAllocatesNothing(t *testing.T) {
	var p Parser
	var tree dom.Tree
	page := pages.Make(pages.Product, 30_000, 1).HTML
	if n := testing.AllocsPerRun(10, func() {
		if err := p.Parse(&tree, page); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A tree of elements that may be in one another as they are is what is parsed
// of what it is written as.
func TestWhatIsWrittenIsParsedTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("<!DOCTYPE html><html><head></head><body>")
		for range rapid.IntRange(0, 4).Draw(t, "blocks") {
			writeFlow(t, &b, 4)
		}
		b.WriteString("</body></html>")
		var p Parser
		var tree, again dom.Tree
		if err := p.Parse(&tree, []byte(b.String())); err != nil {
			t.Fatal(err)
		}
		written := tree.AppendHTML(nil, dom.Root)
		if err := p.Parse(&again, written); err != nil {
			t.Fatal(err)
		}
		if got, want := dump(&again), dump(&tree); got != want {
			t.Fatalf("%s\nwritten as %s\nis then\n%s", want, written, got)
		}
		if got := string(again.AppendHTML(nil, dom.Root)); got != string(written) {
			t.Fatalf("%q is written as %q", written, got)
		}
	})
}

// writeFlow writes an element or a text that may stand anywhere in the body.
func writeFlow(t *rapid.T, b *strings.Builder, depth int) {
	if depth == 0 {
		b.WriteString(html.EscapeString(rapid.StringMatching(`[a-z<>&"'\x{A0}]{1,8}`).Draw(t, "text")))
		return
	}
	children := func() {
		for range rapid.IntRange(0, 3).Draw(t, "children") {
			writeFlow(t, b, depth-1)
		}
	}
	switch tag := rapid.SampledFrom([]string{"div", "x-y", "section", "table", "ul", "svg", "template", "br", "script", "comment", "text"}).Draw(t, "tag"); tag {
	case "text":
		writeFlow(t, b, 0)
	case "comment":
		b.WriteString("<!--a&amp;<-->")
	case "br":
		b.WriteString("<br>")
	case "script":
		b.WriteString("<script>a&amp;&&b<c</script>")
	case "table":
		b.WriteString("<table><tbody><tr><td>")
		children()
		b.WriteString("</td></tr></tbody></table>")
	case "ul":
		b.WriteString("<ul><li>")
		children()
		b.WriteString("</li><li></li></ul>")
	case "svg":
		b.WriteString("<svg viewBox='0 0 1 1' xlink:href=x xml:lang=y><foreignObject>")
		children()
		b.WriteString("</foreignObject><linearGradient/></svg>")
	default:
		fmt.Fprintf(b, "<%s a=\"%s\" b>", tag, html.EscapeString(rapid.StringMatching(`[a-z<>&"'\x{A0}]{0,4}`).Draw(t, "value")))
		children()
		fmt.Fprintf(b, "</%s>", tag)
	}
}

// FuzzParse holds that no page breaks a tree, whatever it is parsed as, and that
// a tree survives being copied and written.
func FuzzParse(f *testing.F) {
	for _, s := range fragments {
		f.Add([]byte(s+"<table><b><p>x"), "td")
	}
	f.Add([]byte("<svg><p><select><option>&ampx"), "svg title")
	var p Parser
	var tree, again dom.Tree
	f.Fuzz(func(t *testing.T, page []byte, context string) {
		page = []byte(strings.ToValidUTF8(string(page), "\uFFFD"))
		check := func(tree *dom.Tree, err error) {
			if err == nil {
				err = invariants(tree)
			}
			if err == nil {
				err = p.b.bounds(len(page))
			}
			if err != nil {
				t.Fatalf("%q in %q: %v", page, context, err)
			}
		}
		space, name := dom.HTML, context
		if s, n, ok := strings.Cut(context, " "); ok {
			space, name = map[string]dom.Space{"svg": dom.SVG, "math": dom.MathML}[s], n
		}
		check(&tree, p.ParseFragment(&tree, page, space, name))
		check(&tree, p.Parse(&tree, page))
		want := dump(&tree)
		root, _ := tree.NetHTML()
		if got := dump(domtest.Of(root)); got != want {
			t.Fatalf("%q is copied as\n%s\nnot\n%s", page, got, want)
		}
		page = tree.AppendHTML(nil, dom.Root)
		check(&again, p.Parse(&again, page))
	})
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{5_000, 30_000, 250_000} {
		page := pages.Make(pages.Product, size, 1).HTML
		b.Run(fmt.Sprintf("%d/harrow", size), func(b *testing.B) {
			var p Parser
			var tree dom.Tree
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Parse(&tree, page); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/net-html", size), func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := html.Parse(strings.NewReader(string(page))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
