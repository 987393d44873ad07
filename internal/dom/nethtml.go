package dom

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// netSpaces are the namespaces as golang.org/x/net/html names them.
var netSpaces = [...]string{SVG: "svg", MathML: "math", XML: "", XLink: "xlink", XMLSpace: "xml", XMLNS: "xmlns"}

// NetHTML is a copy of the finished tree in golang.org/x/net/html's form, with
// nothing of the tree's memory in it, and what each node became, by ID.
func (t *Tree) NetHTML() (root *html.Node, nodes []*html.Node) {
	list := make([]html.Node, t.Len())
	nodes = make([]*html.Node, t.Len())
	for i := range list {
		nodes[i] = &list[i]
		t.fill(nodes[i], ID(i))
	}
	at := func(id ID) *html.Node {
		if id == None {
			return nil
		}
		return nodes[id]
	}
	for i, n := range nodes {
		of := &t.Nodes[i]
		n.Parent, n.FirstChild, n.LastChild, n.PrevSibling, n.NextSibling = at(of.Parent), at(of.First), at(of.Last), at(of.Prev), at(of.Next)
	}
	return nodes[Root], nodes
}

func (t *Tree) fill(n *html.Node, id ID) {
	switch of := &t.Nodes[id]; of.Kind {
	case Document:
		n.Type = html.DocumentNode
	case Text:
		n.Type, n.Data = html.TextNode, copied(t.Data(id))
	case Comment:
		n.Type, n.Data = html.CommentNode, copied(t.Data(id))
	case Doctype:
		name, public, system, noPublic, noSystem := t.Doctype(id)
		n.Type, n.Data = html.DoctypeNode, copied(name)
		if !noPublic {
			n.Attr = append(n.Attr, html.Attribute{Key: "public", Val: copied(public)})
		}
		if !noSystem {
			n.Attr = append(n.Attr, html.Attribute{Key: "system", Val: copied(system)})
		}
	case Element:
		n.Type, n.Data, n.Namespace = html.ElementNode, copied(t.NameOf(of.Name)), netSpaces[of.Space]
		if of.Space == HTML {
			n.DataAtom = atom.Lookup([]byte(n.Data))
		}
		own := t.AttrsOf(id)
		if len(own) > 0 {
			n.Attr = make([]html.Attribute, len(own))
		}
		for i := range own {
			n.Attr[i] = html.Attribute{Namespace: netSpaces[own[i].Space], Key: copied(t.NameOf(own[i].Name)), Val: copied(t.Value(&own[i]))}
		}
	}
}

func copied(s string) string { return strings.Clone(s) }
