package html5

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// hostile is a family of pages that would cost tree construction more than
// their size.
type hostile struct {
	name string
	page func(size int) []byte
}

// hostiles search the stack of open elements and the list of active formatting
// elements from far away, join texts, or have elements repeated.
func hostiles() []hostile {
	all := []hostile{
		{"a p far below, behind a button", turns("<p><button>", "<span>", "<div></div>")},
		{"an item far below", turns("<ul><li>", "<div><b>", "<li>")},
		{"end tags of p far below", turns("<p>", "<b>", "</p>")},
		{"end tags of an item out of scope", turns("<li><table><td>", "<span>", "</li>")},
		{"end tags of a name far below something special", turns("<x><div>", "<span>", "</x>")},
		{"end tags of another heading", turns("<h1><table><td>", "<h2><div>", "</h1>")},
		{"tables opened and closed, deep", turns("", "<div>", "<table></table>")},
		{"templates opened and closed, deep", turns("", "<div>", "<template></template>")},
		{"buttons, deep", turns("<button>", "<span>", "<button></button>")},
		{"end tags of no formatting element, many active", turns("", "<i id=@>", "</b>")},
		{"links that find each other, many active", turns("<a>", "<i id=@>", "<a>")},
		{"formatting elements that all differ", each("<b id=@>")},
		{"formatting elements that differ by their last attribute", each("<b a b c d e f g h i j k l m=@>")},
		{"formatting elements with many attributes", turns("", "<b a b c d e f g h i j k l m>", "<b m l k j i h g f e d c b a>")},
		{"formatting elements with long attributes", turns("", "<b x='"+strings.Repeat("long ", 200)+"'>", "</b>")},
		{"adoption agency, the block far below the top", turns("<b><p>", "<i>", "</b><b>")},
		{"adoption agency, the element far below", turns("<b><p>", "<span>", "</b><b>")},
		{"adoption agency, many in between", turns("<b>", "<i id=@>", "<p></b><b>")},
		{"adoption agency, many children", turns("<b><i><u><p>", "<br>", "</b></i></u>")},
		{"adoption agency in a table", turns("<table>", "<b><i>", "<p></b>")},
		{"a form far below", turns("<form>", "<div>", "</form><form>")},
		{"html with ever more attributes", each("<html a@=x>")},
		{"html and body with attributes in turn", each("<html a@=x><body b@=y>")},
		{"html with the same attributes", turns("<html a1 a2 a3 a4 a5 a6 a7 a8 a9>", "<html b@>", "<html a1 a2 a3 a4 a5 a6 a7 a8 a9>")},
		{"a text between tags that count for nothing", each("x</y>")},
		{"texts in turn before and in a table", each("x</y> </y>")},
		{"texts in turn before and in a table", func(size int) []byte { return []byte("<table>" + strings.Repeat("x</y> </y>", size/10)) }},
		{"a text before tables in tables", func(size int) []byte {
			return []byte("<table>" + strings.Repeat("x<tr><td><table>x<tr></tr>x</table></td></tr>", size/45))
		}},
		{"a text of references in a table", func(size int) []byte { return []byte("<table>" + strings.Repeat("&lt;</>&#32;</>", size/15)) }},
		{"foster parenting in mass", func(size int) []byte { return []byte("<table>" + strings.Repeat("<br>", size/4)) }},
		{"foster parenting, deep", func(size int) []byte { return []byte("<table>" + strings.Repeat("<i><p>", size/6)) }},
		{"foreign end tags far away", turns("<svg>", "<g>", "</x>")},
		{"MathML and HTML in turn", each("<math><mi><p>")},
		{"options that are mirrored", func(size int) []byte {
			return []byte("<select><button><selectedcontent></button>" + strings.Repeat("<option selected>x<i>y", size/22))
		}},
		{"options, far from their select", turns("<select>", "<div>", "<option></option>")},
		{"null characters between tags", each("\x00x</y>")},
		{"markers", each("<object><b><td>")},
		{"cells with formatting elements that stay open", each("<table><tr><td><b><i>x")},
		{"framesets", each("<frameset>")},
		{"nobr in nobr", each("<nobr><p>")},
	}
	for _, h := range pages.Hostiles {
		all = append(all, hostile{h.Name, h.Make})
	}
	return all
}

// turns is as many of a as of b, all of a first; @ is a number.
func turns(first, a, b string) func(int) []byte {
	return func(size int) []byte {
		n := size / (len(a) + len(b))
		return []byte(first + numbered(a, n) + numbered(b, n))
	}
}

func each(s string) func(int) []byte {
	return func(size int) []byte { return []byte(numbered(s, size/len(s))) }
}

func numbered(s string, n int) string {
	parts := strings.Split(s, "@")
	if len(parts) == 1 {
		return strings.Repeat(s, n)
	}
	var b strings.Builder
	for i := range n {
		for j, p := range parts {
			if j > 0 {
				b.WriteString(strconv.Itoa(i))
			}
			b.WriteString(p)
		}
	}
	return b.String()
}

// maxTree bounds how many nodes and attributes the tree of a page of so many
// bytes has. The page's own are one for two bytes at most, as in "x<b>". Then
// there are the clones, and attributes that are copied when a later html or body
// brings more, which is 16 steps each.
func maxTree(size int) int {
	return 64 + size/2 + freeClones + size/bytesPerClone + (freeSteps+stepsPerByte*size)/16
}

// bounds says what of the last page went beyond what the constants promise.
func (b *builder) bounds(size int) error {
	t := b.t
	switch {
	case len(t.Nodes)+len(t.Attrs) > maxTree(size):
		return fmt.Errorf("%d nodes and %d attributes of %d bytes", len(t.Nodes), len(t.Attrs), size)
	case len(t.Extra) > 64+4*size:
		return fmt.Errorf("%d bytes of texts of %d bytes", len(t.Extra), size)
	case b.clones > b.maxClones:
		return fmt.Errorf("%d clones of %d bytes", b.clones, size)
	case b.steps > b.maxSteps+nearest*(len(t.Nodes)+len(t.Attrs))+size: // what was begun is ended
		return fmt.Errorf("%d steps of %d bytes", b.steps, size)
	}
	return nil
}

// Whatever a page is, twice as much of it takes twice as much: of memory, and of
// the steps that the page's own tags don't each take once.
func TestHostilePagesCostNoMoreThanTheirSize(t *testing.T) {
	var p Parser
	var tree dom.Tree
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			var costs [2][4]int
			for i := range costs {
				page := h.page(60_000 << i)
				if err := p.Parse(&tree, page); err != nil {
					t.Fatal(err)
				}
				if err := p.b.bounds(len(page)); err != nil {
					t.Error(err)
				}
				if err := invariants(&tree); err != nil {
					t.Error(err)
				}
				costs[i] = [4]int{len(tree.Nodes), len(tree.Attrs), len(tree.Extra), p.b.steps}
			}
			for i, what := range []string{"nodes", "attributes", "bytes of texts", "steps"} {
				if one, two := costs[0][i], costs[1][i]; float64(two) > 2.2*float64(one)+1000 {
					t.Errorf("%d %s of a page, %d of one twice as long", one, what, two)
				}
			}
		})
	}
}
