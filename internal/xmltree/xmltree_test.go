package xmltree

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
)

// outline writes a tree as brackets: element[…], "text", <!--comment-->, names
// in their own form.
func outline(t *dom.Tree) string {
	var b strings.Builder
	end := []dom.ID{}
	for i := dom.ID(1); int(i) <= t.Len(); i++ {
		for len(end) > 0 && end[len(end)-1] == i {
			b.WriteByte(']')
			end = end[:len(end)-1]
		}
		if int(i) == t.Len() {
			break
		}
		switch n := &t.Nodes[i]; n.Kind {
		case dom.Text:
			fmt.Fprintf(&b, "%q", t.Data(i))
		case dom.Comment:
			fmt.Fprintf(&b, "<!--%s-->", t.Data(i))
		default:
			b.WriteString(t.NameOf(t.Own[i]))
			for a := n.A; a < n.B; a++ {
				fmt.Fprintf(&b, " %s=%s", t.NameOf(t.OwnAttr[a]), t.Value(&t.Attrs[a]))
			}
			b.WriteByte('[')
			end = append(end, n.End)
		}
	}
	return b.String()
}

func TestTrees(t *testing.T) {
	tree := &dom.Tree{} // the same for all: what is left of one must not show in the next
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"white space", " \n", ""},
		{"no markup", "text", ""},
		{"a document", `<?xml version="1.0"?><!DOCTYPE a><a><b>1</b> 2 <c/></a>`, `a[b["1"]" 2 "c[]]`},
		{"capitals and prefixes", `<Rss><media:Content isPermaLink="TRUE" xml:Lang='x'/></RSS>`, `Rss[media:Content isPermaLink=TRUE xml:Lang=x[]]`},
		{"CDATA is text", `<a>1 <![CDATA[<b>&amp;]]>&amp;</a>`, `a["1 <b>&amp;&"]`},
		{"references", `<a b="&lt;&#65;&#x42;&eacute;">&quot;&nbsp;&nothing; & &</a>`, `a b=<ABé["\"\u00a0&nothing; & &"]`},
		{"a declared entity", `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, `a["&x;"]`},
		{"comments", `<!--1--><a><!--2-->x<!--3--></a><!--4-->`, `<!--1-->a[<!--2-->"x"<!--3-->]<!--4-->`},
		{"an instruction inside a text", `<a>1<?x y?>2</a>`, `a["12"]`},
		{"text outside the root", `1<a/>2<b/>3`, `a[]b[]`},
		{"tags that are not closed", `<a><b>1<c>2</a><d>`, `a[b["1"c["2"]]]d[]`},
		{"end tags without a start", `</x><a></b>1</c><b>2</b></A>3`, `a["1"b["2"]]`},
		{"an end tag inside a text", `<a>1</x>2</a>`, `a["12"]`},
		{"an end tag in another case", `<A><B>1</b>2</a>`, `A[B["1"]"2"]`},
		{"an end tag of an element further up", `<a><b><c></b>1</a><d/>`, `a[b[c[]]"1"]d[]`},
		{"attributes without quotes", `<a b=1 c>2</a>`, `a b=1 c=c["2"]`},
		{"control characters", "<a b='\x01'>1\x00\x08\ufffe</a>", "a b=\ufffd[\"1\ufffd\ufffd\ufffd\"]"},
		{"html further down", `<a><html/></a>`, `a[html[]]`},
		{"html with a prefix", `<x:html/>`, `x:html[]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Parse(tree, []byte(tt.text), 0)
			if got := outline(tree); err != nil || got != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestNamesAreInLowerCaseForCSS(t *testing.T) {
	tree := &dom.Tree{}
	if err := Parse(tree, []byte(`<Item ID="7"><pubDate/><pubdate/></Item>`), 0); err != nil {
		t.Fatal(err)
	}
	id, ok := tree.Lookup("id")
	if value, has := tree.Attr(1, id); !ok || !has || value != "7" {
		t.Error(value, has)
	}
	if tree.NameOf(tree.Nodes[1].Name) != "item" || tree.Nodes[2].Name != tree.Nodes[3].Name || tree.Own[2] == tree.Own[3] || tree.Nodes[1].Space != dom.XML {
		t.Errorf("%+v, %v", tree.Nodes, tree.Own)
	}
}

func TestErrors(t *testing.T) {
	var tooMany *html5.TooManyError
	for _, tt := range []struct {
		text string
		max  int
		want func(error) bool
	}{
		{`<html xmlns="http://www.w3.org/1999/xhtml"/>`, 0, func(err error) bool { return errors.Is(err, ErrXHTML) }},
		{`<!DOCTYPE html><!-- x --><HTML><p>`, 0, func(err error) bool { return errors.Is(err, ErrXHTML) }},
		{`<a b=>&<<`, 0, func(err error) bool { return strings.HasPrefix(err.Error(), "the body is no XML: ") }},
		{`<a><![CDATA[`, 0, func(err error) bool { return strings.HasPrefix(err.Error(), "the body is no XML: ") }},
		{`<a b="1" c="2">x<d/><!--y--></a>`, 5, func(err error) bool { return errors.As(err, &tooMany) && tooMany.Limit == 5 }},
		{`<a b="1" c="2">x<d/><!--y--></a>`, 6, func(err error) bool { return err == nil }},
	} {
		if err := Parse(&dom.Tree{}, []byte(tt.text), tt.max); !tt.want(err) {
			t.Errorf("%s, at most %d: %v", tt.text, tt.max, err)
		}
	}
}

// TestHostileDocuments would not end if an end tag looked through all that is
// open.
func TestHostileDocuments(t *testing.T) {
	many := 200_000
	if testing.Short() {
		many = 20_000
	}
	tree := &dom.Tree{}
	for _, tt := range []struct {
		name, text string
		nodes      int
	}{
		{"nested", strings.Repeat("<a>", many), many},
		{"nested, with end tags of others", strings.Repeat("<a>", many) + "<b></b>" + strings.Repeat("</b>", many), many + 1},
		{"nested, with end tags of the root", "<r>" + strings.Repeat("<a>", many) + strings.Repeat("</r>", many), many + 1},
		{"a text in many pieces", "<a>" + strings.Repeat("x<![CDATA[y]]>", many), 2},
		{"a text around instructions", "<a>" + strings.Repeat("x<?y?>", many), 2},
	} {
		if err := Parse(tree, []byte(tt.text), 0); err != nil || tree.Len() != tt.nodes+1 || len(tree.Extra) > len(tt.text) {
			t.Errorf("%s: %v, %d nodes, %d bytes", tt.name, err, tree.Len(), len(tree.Extra))
		}
	}
}

// checked fails unless the tree is one.
func checked(t interface{ Fatalf(string, ...any) }, tree *dom.Tree) {
	if len(tree.Own) != tree.Len() || len(tree.OwnAttr) != len(tree.Attrs) {
		t.Fatalf("%d nodes, %d names; %d attributes, %d names", tree.Len(), len(tree.Own), len(tree.Attrs), len(tree.OwnAttr))
	}
	for i := range tree.Nodes {
		n, id := &tree.Nodes[i], dom.ID(i)
		if id != dom.Root && (n.Parent >= id || tree.Nodes[n.Parent].End < n.End) || n.End <= id || n.First != dom.None && n.First != id+1 {
			t.Fatalf("node %d is %+v", i, n)
		}
		if n.Kind == dom.Text && (n.A == n.B || n.Prev != dom.None && tree.Nodes[n.Prev].Kind == dom.Text || n.Parent == dom.Root) {
			t.Fatalf("text %d is %+v", i, n)
		}
	}
}

func TestAnyTagsMakeATree(t *testing.T) {
	tree := &dom.Tree{}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"<a>", "</a>", "<B c='d'>", "</b>", "<e/>", "x", "&amp;", "<!--y-->", "<![CDATA[z]]>", "</none>", "<?p?>"}), 0, 40).Draw(t, "tags"), "")
		if err := Parse(tree, []byte(text), 0); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		checked(t, tree)
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`<a b="c">&amp;<![CDATA[x]]></a>`, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;`, "<html>", "<a></b><!--c--></a>", "<a b=>&<<"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tree := &dom.Tree{}
		if err := Parse(tree, text, 10_000); err == nil {
			checked(t, tree)
		}
	})
}
