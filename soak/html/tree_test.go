package html

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	nethtml "golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/dom"
)

// oracle is what golang.org/x/net/html makes of a page: its nodes in document
// order, and each one's parent as a place in the list.
type oracle struct {
	nodes  []*nethtml.Node
	parent []dom.ID
	ids    map[*nethtml.Node]dom.ID
}

// ask parses a page as goquery does. The error is that of a page nested deeper
// than it goes.
func ask(text []byte) (*oracle, error) {
	root, err := nethtml.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return listed(root), nil
}

func listed(root *nethtml.Node) *oracle {
	o := &oracle{ids: map[*nethtml.Node]dom.ID{}}
	for n := root; n != nil; {
		parent := dom.None
		if n.Parent != nil {
			parent = o.ids[n.Parent]
		}
		o.ids[n] = dom.ID(len(o.nodes))
		o.nodes, o.parent = append(o.nodes, n), append(o.parent, parent)
		if n.FirstChild != nil {
			n = n.FirstChild
			continue
		}
		for n != nil && n.NextSibling == nil {
			n = n.Parent
		}
		if n != nil {
			n = n.NextSibling
		}
	}
	return o
}

// difference is the first place where two trees differ.
type difference struct {
	text         []byte // the page
	at           dom.ID // in document order
	ours, theirs string // the node there, as node writes it; "" for none
	path         string // the elements above it in the oracle's tree: "html body table"
	ourPath      string // in ours
	limit        string // the oracle's error, where it has no tree
}

func (d *difference) String() string {
	if d.limit != "" {
		return d.limit
	}
	return fmt.Sprintf("node %d is %s in %q, by golang.org/x/net/html %s in %q", d.at, d.ours, d.ourPath, d.theirs, d.path)
}

// compare finds where trees differ; nil: nowhere.
func compare(t *dom.Tree, o *oracle, text []byte) *difference {
	for i := range max(t.Len(), len(o.nodes)) {
		id := dom.ID(i)
		d := &difference{text: text, at: id}
		if i < t.Len() {
			d.ours = ourNode(t, id)
		}
		if i < len(o.nodes) {
			d.theirs = theirNode(o.nodes[i])
		}
		if d.ours == d.theirs && t.Nodes[id].Parent == o.parent[i] {
			continue
		}
		if i < t.Len() {
			d.ourPath = ourPath(t, id)
		}
		if i < len(o.nodes) {
			d.path = theirPath(o.nodes[i])
		}
		return d
	}
	return nil
}

// spaces are the prefixes of names in namespaces.
var spaces = [...]string{dom.SVG: "svg ", dom.MathML: "math ", dom.XML: "?", dom.XLink: "xlink ", dom.XMLSpace: "xml ", dom.XMLNS: "xmlns "}

// element writes an element with its attributes sorted: their order says
// nothing, and the oracle sorts those of formatting elements.
func element(name string, attrs []string) string {
	slices.Sort(attrs)
	return "<" + strings.Join(append([]string{name}, attrs...), " ") + ">"
}

func doctype(name, public, system string, noPublic, noSystem bool) string {
	s := "<!" + name
	if !noPublic {
		s += fmt.Sprintf(" public=%q", public)
	}
	if !noSystem {
		s += fmt.Sprintf(" system=%q", system)
	}
	return s + ">"
}

func ourNode(t *dom.Tree, id dom.ID) string {
	n := &t.Nodes[id]
	switch n.Kind {
	case dom.Document:
		return "document"
	case dom.Text:
		return `"` + t.Data(id) + `"`
	case dom.Comment:
		return "<!--" + t.Data(id) + "-->"
	case dom.Doctype:
		return doctype(t.Doctype(id))
	}
	own := t.AttrsOf(id)
	attrs := make([]string, len(own))
	for i := range own {
		space := own[i].Space
		if t.NameOf(own[i].Name) == "xmlns" {
			space = dom.HTML // the oracle leaves it there; by HTML 13.2.6.1 it is in its own namespace
		}
		attrs[i] = spaces[space] + t.NameOf(own[i].Name) + `="` + t.Value(&own[i]) + `"`
	}
	return element(spaces[n.Space]+t.NameOf(n.Name), attrs)
}

func theirNode(n *nethtml.Node) string {
	switch n.Type {
	case nethtml.DocumentNode:
		return "document"
	case nethtml.TextNode:
		return `"` + n.Data + `"`
	case nethtml.CommentNode:
		return "<!--" + n.Data + "-->"
	case nethtml.DoctypeNode:
		var ids [2]string
		missing := [2]bool{true, true}
		for _, a := range n.Attr {
			i := slices.Index([]string{"public", "system"}, a.Key)
			ids[i], missing[i] = a.Val, false
		}
		return doctype(n.Data, ids[0], ids[1], missing[0], missing[1])
	}
	prefix := func(space string) string {
		if space != "" {
			space += " "
		}
		return space
	}
	attrs := make([]string, len(n.Attr))
	for i, a := range n.Attr {
		if a.Key == "xmlns" {
			a.Namespace = "" // as ourNode has it
		}
		attrs[i] = prefix(a.Namespace) + a.Key + `="` + a.Val + `"`
	}
	return element(prefix(n.Namespace)+n.Data, attrs)
}

func ourPath(t *dom.Tree, id dom.ID) string {
	var names []string
	for n := t.Nodes[id].Parent; n > dom.Root; n = t.Nodes[n].Parent {
		names = append(names, t.NameOf(t.Nodes[n].Name))
	}
	slices.Reverse(names)
	return strings.Join(names, " ")
}

func theirPath(n *nethtml.Node) string {
	var names []string
	for p := n.Parent; p != nil && p.Type == nethtml.ElementNode; p = p.Parent {
		names = append(names, p.Data)
	}
	slices.Reverse(names)
	return strings.Join(names, " ")
}

// check says what is wrong with a finished tree: links, order and ends must
// agree, and each range must lie within its bytes.
func check(t *dom.Tree) error {
	if t.Len() == 0 || t.Nodes[0].Kind != dom.Document || t.Nodes[0].Parent != dom.None || t.Nodes[0].End != dom.ID(t.Len()) {
		return fmt.Errorf("the document is %+v of %d nodes", t.Nodes, t.Len())
	}
	for i := range t.Nodes {
		id, n := dom.ID(i), &t.Nodes[i]
		if err := checkLinks(t, id); err != nil {
			return err
		}
		switch n.Kind {
		case dom.Element, dom.Doctype:
			if n.A > n.B || int(n.B) > len(t.Attrs) {
				return fmt.Errorf("node %d has attributes %d:%d of %d", id, n.A, n.B, len(t.Attrs))
			}
			for j := n.A; j < n.B; j++ {
				if err := checkRange(t, t.Attrs[j].A, t.Attrs[j].B, t.Attrs[j].Flags); err != nil {
					return fmt.Errorf("attribute %d of node %d: %w", j-n.A, id, err)
				}
			}
		case dom.Text, dom.Comment:
			if err := checkRange(t, n.A, n.B, n.Flags); err != nil {
				return fmt.Errorf("node %d: %w", id, err)
			}
			if n.Kind == dom.Text && n.A == n.B {
				return fmt.Errorf("node %d is a text without bytes", id)
			}
		case dom.Document:
			if i > 0 {
				return fmt.Errorf("node %d is a document", id)
			}
		}
	}
	return nil
}

func checkLinks(t *dom.Tree, id dom.ID) error {
	n := &t.Nodes[id]
	if id > 0 && (n.Parent < 0 || n.Parent >= id || n.End > t.Nodes[n.Parent].End) {
		return fmt.Errorf("node %d with end %d has parent %d", id, n.End, n.Parent)
	}
	last, next := dom.None, id+1
	for c := n.First; c != dom.None; c = t.Nodes[c].Next {
		if c != next || t.Nodes[c].Prev != last || t.Nodes[c].Parent != id || t.Nodes[c].End <= c {
			return fmt.Errorf("node %d's child %d is %+v, after %d; want it to be %d", id, c, t.Nodes[c], last, next)
		}
		last, next = c, t.Nodes[c].End
	}
	if n.Last != last || n.End != next {
		return fmt.Errorf("node %d ends at %d with last child %d; its children end at %d with %d", id, n.End, n.Last, next, last)
	}
	return nil
}

func checkRange(t *dom.Tree, a, b uint32, flags dom.Flags) error {
	of := len(t.Source)
	if flags&dom.InExtra != 0 {
		of = len(t.Extra)
	}
	if a > b || int(b) > of {
		return fmt.Errorf("range %d:%d of %d bytes", a, b, of)
	}
	return nil
}
