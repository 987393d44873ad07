// Package domtest makes trees for tests of what reads them: from what
// golang.org/x/net/html makes of a page, which is the oracle of such tests.
package domtest

import (
	"strings"

	"golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/dom"
)

// Parse parses a page as golang.org/x/net/html does.
func Parse(page string) (*dom.Tree, *html.Node, error) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, nil, err
	}
	return Of(root), root, nil
}

// Of is the tree of a document.
func Of(root *html.Node) *dom.Tree {
	t := &dom.Tree{}
	t.Reset(nil)
	var add func(parent dom.ID, n *html.Node)
	add = func(parent dom.ID, n *html.Node) {
		node := dom.Node{}
		switch n.Type {
		case html.ElementNode:
			node.Kind, node.Space = dom.Element, space[n.Namespace]
			a, b := put(t, n.Data)
			node.Name = t.Intern(a, b, dom.InExtra)
			node.A = uint32(len(t.Attrs))
			for _, at := range n.Attr {
				a, b := put(t, at.Key)
				name := t.Intern(a, b, dom.InExtra)
				a, b = put(t, at.Val)
				t.Attrs = append(t.Attrs, dom.Attr{Name: name, A: a, B: b, Flags: dom.InExtra, Space: space[at.Namespace]})
			}
			node.B = uint32(len(t.Attrs))
		case html.TextNode, html.CommentNode:
			node.Kind, node.Flags = dom.Text, dom.InExtra
			if n.Type == html.CommentNode {
				node.Kind = dom.Comment
			}
			node.A, node.B = put(t, n.Data)
		case html.DoctypeNode:
			node.Kind, node.A = dom.Doctype, uint32(len(t.Attrs))
			a, b := put(t, n.Data)
			ids := [3]dom.Attr{{A: a, B: b, Flags: dom.InExtra}, {Mark: 1}, {Mark: 1}}
			for _, at := range n.Attr {
				a, b := put(t, at.Val)
				i := 1
				if at.Key == "system" {
					i = 2
				}
				ids[i] = dom.Attr{A: a, B: b, Flags: dom.InExtra}
			}
			t.Attrs = append(t.Attrs, ids[:]...)
			node.B = uint32(len(t.Attrs))
		}
		id := dom.Root
		if n.Type != html.DocumentNode {
			id = t.New(node)
			t.Append(parent, id)
		}
		for c := range n.ChildNodes() {
			add(id, c)
		}
	}
	add(dom.Root, root)
	t.Finish()
	return t
}

var space = map[string]dom.Space{"svg": dom.SVG, "math": dom.MathML, "xlink": dom.XLink, "xml": dom.XMLSpace, "xmlns": dom.XMLNS}

func put(t *dom.Tree, text string) (a, b uint32) {
	a = uint32(len(t.Extra))
	t.Extra = append(t.Extra, text...)
	return a, uint32(len(t.Extra))
}
