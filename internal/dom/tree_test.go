package dom_test

import (
	"bytes"
	"testing"

	"golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/domtest"
	"github.com/harrowdata/harrow/internal/dom/name"
)

const page = `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" ""><html><head><title>T &amp; U</title></head><body class="a b"><p>one<b data-odd=1>two</b></p>` +
	`<svg viewBox="0 0 1 1"><use xlink:href="#x"></use></svg><my-widget data-odd="2"></my-widget><!-- c --></body></html>`

func render(t *testing.T, n *html.Node) string {
	var b bytes.Buffer
	if err := html.Render(&b, n); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestATreeIsThereAndBackTheSame(t *testing.T) {
	tree, root, err := domtest.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	back, nodes := tree.NetHTML()
	if got, want := render(t, back), render(t, root); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(nodes) != tree.Len() {
		t.Errorf("%d nodes of %d", len(nodes), tree.Len())
	}
	widget, ok := tree.Lookup("my-widget")
	if !ok || tree.NameOf(widget) != "my-widget" {
		t.Errorf("my-widget is %d, %v", widget, ok)
	}
	if _, ok := tree.Lookup("no-widget"); ok {
		t.Error("no-widget is there")
	}
}

func TestWhatIsMovedIsInOrderOnceFinished(t *testing.T) {
	var tree dom.Tree
	tree.Reset([]byte("abcd"))
	text := func(i uint32) dom.ID { return tree.New(dom.Node{Kind: dom.Text, A: i, B: i + 1}) }
	one, two, three, four := text(0), text(1), text(2), text(3)
	tree.Append(dom.Root, one)
	tree.Append(dom.Root, three)
	tree.InsertBefore(four, one)
	tree.InsertBefore(two, three)
	tree.Remove(one)
	tree.Finish()
	if got := tree.TextOf(dom.Root, 0); got != "dbc" || tree.Len() != 4 || tree.Nodes[0].End != 4 {
		t.Errorf("text %q of %d nodes, the root's end %d", got, tree.Len(), tree.Nodes[0].End)
	}
	for n := dom.ID(1); n < 4; n++ {
		prev := n - 1
		if n == 1 {
			prev = dom.None
		}
		if tree.Nodes[n].End != n+1 || tree.Nodes[n].Parent != dom.Root || tree.Nodes[n].Prev != prev {
			t.Errorf("node %d is %+v", n, tree.Nodes[n])
		}
	}
}

func TestTextsAndValuesAreAppended(t *testing.T) {
	tree, _, err := domtest.Parse(`<p title="a &lt; b">one <b>two</b> three</p>`)
	if err != nil {
		t.Fatal(err)
	}
	var p dom.ID
	for n := range tree.Nodes {
		if tree.Nodes[n].Name == name.P {
			p = dom.ID(n)
		}
	}
	for limit, want := range map[int]string{0: "-one two three", 1: "-one ", 5: "-one two", 100: "-one two three"} {
		if got, _ := tree.AppendTextTo([]byte("-"), p, limit); string(got) != want {
			t.Errorf("up to %d: %q, want %q", limit, got, want)
		}
	}
	if got := string(tree.AppendText(nil, tree.Nodes[p].First)); got != "one " {
		t.Errorf("a text node: %q", got)
	}
	if got := string(tree.AppendValue([]byte("-"), &tree.AttrsOf(p)[0])); got != "-a < b" {
		t.Errorf("value %q", got)
	}
	if tree.Footprint() < tree.Len()*40+len(tree.Extra) {
		t.Errorf("%d bytes of %d nodes", tree.Footprint(), tree.Len())
	}
}
