package xpath

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Node is a node of the tree, or an attribute of one.
type Node struct {
	*html.Node
	attr int // of the element's attributes, from 1; 0: the node itself
}

// NodeOf is a tree's node.
func NodeOf(n *html.Node) Node { return Node{Node: n} }

// Attribute returns the attribute that the node is, nil when it is none.
func (n Node) Attribute() *html.Attribute {
	if n.attr == 0 {
		return nil
	}
	return &n.Attr[n.attr-1]
}

// xmlMark begins the namespace of a name from XML.
const xmlMark = "="

// XMLName is what a tree of XML has as Namespace of an element or attribute:
// its name as the document writes it, with its capitals and prefix. Data and
// Key of such a tree are in lower case, which is how CSS selectors are
// compared.
func XMLName(name string) string { return xmlMark + name }

// name is a name as the document writes it, prefix included.
func name(data, namespace string) string {
	if xml, ok := strings.CutPrefix(namespace, xmlMark); ok {
		return xml
	}
	return data
}

// name of an element or attribute; empty for others.
func (n Node) name() string {
	if a := n.Attribute(); a != nil {
		if a.Namespace != "" && !strings.HasPrefix(a.Namespace, xmlMark) {
			return a.Namespace + ":" + a.Key // xlink:href in HTML's SVG
		}
		return name(a.Key, a.Namespace)
	}
	if n.Type != html.ElementNode {
		return ""
	}
	return name(n.Data, n.Namespace)
}

// parent is the element of an attribute, the parent of a node.
func (n Node) parent() (Node, bool) {
	if n.attr > 0 {
		return Node{Node: n.Node}, true
	}
	return Node{Node: n.Parent}, n.Parent != nil
}

// seen reports whether XPath's data model (section 5) has such a node.
func seen(n *html.Node) bool {
	return n.Type == html.ElementNode || n.Type == html.TextNode || n.Type == html.CommentNode || n.Type == html.DocumentNode
}

// next is the node after n in document order, below root; nil at the end.
func next(root, n *html.Node) *html.Node {
	if n.FirstChild != nil {
		return n.FirstChild
	}
	return after(root, n)
}

// after is the node after n and all below it.
func after(root, n *html.Node) *html.Node {
	for ; n != root && n != nil; n = n.Parent {
		if n.NextSibling != nil {
			return n.NextSibling
		}
	}
	return nil
}

// text is the node's string-value (section 5).
func (r *run) text(n Node) string {
	if a := n.Attribute(); a != nil {
		r.spend(1 + len(a.Val)/64)
		return a.Val
	}
	switch n.Type {
	case html.TextNode, html.CommentNode:
		r.spend(1)
		return n.Data
	}
	if c := n.FirstChild; c != nil && c.NextSibling == nil && c.Type == html.TextNode {
		r.spend(1)
		return c.Data
	}
	var b strings.Builder
	for c := next(n.Node, n.Node); c != nil; c = next(n.Node, c) {
		r.spend(1)
		if c.Type == html.TextNode {
			r.spend(len(c.Data) / 64)
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// few is how many nodes are sorted by comparing them; for more, one walk
// through the whole tree is cheaper.
const few = 16

// inOrder returns the nodes in document order, each once.
func (r *run) inOrder(nodes []Node) []Node {
	if len(nodes) < 2 {
		return nodes
	}
	if len(nodes) <= few {
		slices.SortFunc(nodes, r.compare)
		return slices.Compact(nodes)
	}
	set := make(map[Node]bool, len(nodes))
	attributes := false
	for _, n := range nodes {
		r.spend(1)
		set[n] = true
		attributes = attributes || n.attr > 0
	}
	root := nodes[0].Node
	for root.Parent != nil {
		root = root.Parent
	}
	nodes = nodes[:0]
	for n := root; n != nil && len(nodes) < len(set); n = next(root, n) {
		r.spend(1)
		if set[Node{Node: n}] {
			nodes = append(nodes, Node{Node: n})
		}
		if !attributes {
			continue
		}
		for i := range n.Attr {
			r.spend(1)
			if a := (Node{n, i + 1}); set[a] {
				nodes = append(nodes, a)
			}
		}
	}
	return nodes
}

// compare orders two nodes of one tree: negative when a comes first.
func (r *run) compare(a, b Node) int {
	if a.Node == b.Node {
		return a.attr - b.attr // the element comes before its attributes
	}
	up, down := r.depth(a.Node), r.depth(b.Node)
	x, y := a.Node, b.Node
	for i := up; i > down; i-- {
		x = x.Parent
	}
	for i := down; i > up; i-- {
		y = y.Parent
	}
	if x == y { // one is above the other
		return up - down
	}
	for x.Parent != y.Parent {
		x, y = x.Parent, y.Parent
	}
	for left, right := x, x; ; {
		r.spend(1)
		if left = left.PrevSibling; left == y {
			return 1
		}
		if right = right.NextSibling; right == y {
			return -1
		}
		if left == nil {
			return -1
		}
		if right == nil {
			return 1
		}
	}
}

func (r *run) depth(n *html.Node) (depth int) {
	for ; n.Parent != nil; n = n.Parent {
		depth++
	}
	r.spend(1 + depth/8)
	return depth
}
