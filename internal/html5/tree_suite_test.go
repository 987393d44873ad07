package html5

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
	"github.com/harrowdata/harrow/internal/suites"
)

// treeCases is how many cases html5lib's tree construction suite has that this
// test runs: a suite that shrinks unseen would be no proof. Left out are those
// for a parser without scripting (#script-off), as scripting is on here, and
// the folder "scripted", whose pages change themselves by scripts.
const treeCases = 1765

type treeCase struct {
	data, want string
	context    string // of a fragment: "svg desc", "td"
	fragment   bool
	off        bool // scripting is off
}

func TestTreesAreThoseOfHTML5Lib(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(suites.Path(t, "html5lib-tests", "tree-construction"), "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	var p Parser
	var tree dom.Tree
	count, ours, theirs := 0, 0, 0
	for _, file := range files {
		for i, c := range readTreeCases(string(suites.Read(t, "html5lib-tests", "tree-construction", filepath.Base(file)))) {
			if c.off {
				continue
			}
			count++
			if netDump(t, c) == c.want {
				theirs++
			}
			id := fmt.Sprintf("%s %d", filepath.Base(file), i+1)
			if got := ourDump(t, &p, &tree, c); got == c.want {
				ours++
			} else {
				t.Errorf("%s: %q, fragment of %q, is\n%s\nwant\n%s", id, c.data, c.context, got, c.want)
			}
			if err := invariants(&tree); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
	t.Logf("of %d trees: %d, golang.org/x/net/html %d", count, ours, theirs)
	if count != treeCases {
		t.Errorf("the suite has %d cases; want %d", count, treeCases)
	}
	if ours < theirs {
		t.Errorf("%d trees are right, %d of golang.org/x/net/html's", ours, theirs)
	}
}

// readTreeCases reads a file of the suite: see its README.md.
func readTreeCases(text string) (cases []treeCase) {
	section := ""
	var c *treeCase
	var lines []string
	end := func() {
		if c == nil {
			return
		}
		body := strings.Join(lines, "\n")
		switch section {
		case "#data":
			c.data = body
		case "#document-fragment":
			c.context, c.fragment = body, true
		case "#document":
			c.want = strings.TrimRight(body, "\n") + "\n"
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		begins := strings.HasPrefix(line, "#") && slices.Contains([]string{"#errors", "#new-errors", "#document-fragment", "#document", "#script-on", "#script-off"}, line)
		if line == "#data" && section != "#data" {
			end()
			cases = append(cases, treeCase{})
			c, section, lines = &cases[len(cases)-1], line, nil
			continue
		}
		if begins {
			end()
			section, lines = line, nil
			c.off = c.off || line == "#script-off"
			continue
		}
		lines = append(lines, line)
	}
	end()
	return cases
}

func ourDump(t *testing.T, p *Parser, tree *dom.Tree, c treeCase) string {
	var err error
	if c.fragment {
		space, context := dom.HTML, c.context
		if s, n, ok := strings.Cut(c.context, " "); ok {
			space, context = map[string]dom.Space{"svg": dom.SVG, "math": dom.MathML}[s], n
		}
		err = p.ParseFragment(tree, []byte(c.data), space, context)
	} else {
		err = p.Parse(tree, []byte(c.data))
	}
	if err != nil {
		t.Fatal(err)
	}
	root, _ := tree.NetHTML()
	return netTree(root)
}

func netDump(t *testing.T, c treeCase) string {
	var root *html.Node
	var err error
	if c.fragment {
		context := &html.Node{Type: html.ElementNode, Data: c.context}
		if s, n, ok := strings.Cut(c.context, " "); ok {
			context.Namespace, context.Data = s, n
		}
		context.DataAtom = atom.Lookup([]byte(context.Data))
		var nodes []*html.Node
		if nodes, err = html.ParseFragment(strings.NewReader(c.data), context); err == nil {
			root = &html.Node{Type: html.DocumentNode}
			for _, n := range nodes {
				root.AppendChild(n)
			}
		}
	} else {
		root, err = html.Parse(strings.NewReader(c.data))
	}
	if err != nil {
		return err.Error()
	}
	return netTree(root)
}

// netTree is a tree in the suite's form.
func netTree(root *html.Node) string {
	var b strings.Builder
	for n := range root.ChildNodes() {
		dumpNode(&b, n, "| ")
	}
	return b.String()
}

func dumpNode(b *strings.Builder, n *html.Node, indent string) {
	b.WriteString(indent)
	switch n.Type {
	case html.TextNode:
		fmt.Fprintf(b, "\"%s\"\n", n.Data)
	case html.CommentNode:
		fmt.Fprintf(b, "<!-- %s -->\n", n.Data)
	case html.DoctypeNode:
		fmt.Fprintf(b, "<!DOCTYPE %s", n.Data)
		var public, system string
		for _, a := range n.Attr {
			if a.Key == "public" {
				public = a.Val
			} else {
				system = a.Val
			}
		}
		if public != "" || system != "" {
			fmt.Fprintf(b, " \"%s\" \"%s\"", public, system)
		}
		b.WriteString(">\n")
	case html.ElementNode:
		tag := n.Data
		if n.Namespace != "" {
			tag = n.Namespace + " " + tag
		}
		fmt.Fprintf(b, "<%s>\n", tag)
		attrs := make([]string, len(n.Attr))
		for i, a := range n.Attr {
			attrs[i] = a.Key
			if a.Namespace != "" {
				attrs[i] = a.Namespace + " " + a.Key
			}
			attrs[i] += "=\"" + a.Val + "\""
		}
		slices.Sort(attrs)
		for _, a := range attrs {
			b.WriteString(indent + "  " + a + "\n")
		}
		below := indent + "  "
		if n.Data == "template" && n.Namespace == "" {
			b.WriteString(below + "content\n")
			below += "  "
		}
		for c := range n.ChildNodes() {
			dumpNode(b, c, below)
		}
	}
}

// invariants says what is wrong with a finished tree.
func invariants(t *dom.Tree) error {
	if len(t.Nodes) == 0 || t.Nodes[0].Kind != dom.Document || t.Nodes[0].End != dom.ID(t.Len()) {
		return fmt.Errorf("the document is %+v", t.Nodes)
	}
	for i := range t.Nodes {
		id, n := dom.ID(i), &t.Nodes[i]
		if n.End <= id || int(n.End) > t.Len() {
			return fmt.Errorf("node %d ends at %d", id, n.End)
		}
		if id == dom.Root && (n.Parent != dom.None || n.Next != dom.None || n.Prev != dom.None) {
			return fmt.Errorf("the document is %+v", n)
		}
		if (n.First == dom.None) != (n.Last == dom.None) || (n.First == dom.None) != (n.End == id+1) {
			return fmt.Errorf("node %d: %+v", id, n)
		}
		last, end := dom.None, id+1
		for c := n.First; c != dom.None; c = t.Nodes[c].Next {
			of := &t.Nodes[c]
			if c != end || of.Parent != id || of.Prev != last {
				return fmt.Errorf("node %d, %+v, is a child of %d, %+v", c, of, id, n)
			}
			last, end = c, of.End
		}
		if last != n.Last || end != n.End {
			return fmt.Errorf("node %d, %+v, ends with %d, which ends at %d", id, n, last, end)
		}
		if err := content(t, id); err != nil {
			return err
		}
	}
	return nil
}

// content says what is wrong with what a node holds.
func content(t *dom.Tree, id dom.ID) error {
	n := &t.Nodes[id]
	switch n.Kind {
	case dom.Document:
		return nil
	case dom.Text, dom.Comment:
		size := len(t.Source)
		if n.Flags&dom.InExtra != 0 {
			size = len(t.Extra)
		}
		if n.A > n.B || int(n.B) > size || n.Kind == dom.Text && n.A == n.B {
			return fmt.Errorf("node %d is the text %d:%d of %d bytes", id, n.A, n.B, size)
		}
		if n.First != dom.None {
			return fmt.Errorf("node %d is a text with children", id)
		}
		if p := n.Prev; n.Kind == dom.Text && p != dom.None && t.Nodes[p].Kind == dom.Text && t.Nodes[n.Parent].Name != name.Selectedcontent {
			return fmt.Errorf("the texts %d and %d are neighbours", p, id)
		}
		return nil
	}
	if n.A > n.B || int(n.B) > len(t.Attrs) {
		return fmt.Errorf("node %d has the attributes %d:%d of %d", id, n.A, n.B, len(t.Attrs))
	}
	for _, a := range t.Attrs[n.A:n.B] {
		size := len(t.Source)
		if a.Flags&dom.InExtra != 0 {
			size = len(t.Extra)
		}
		if a.A > a.B || int(a.B) > size {
			return fmt.Errorf("node %d has an attribute's value %d:%d of %d bytes", id, a.A, a.B, size)
		}
	}
	return nil
}
