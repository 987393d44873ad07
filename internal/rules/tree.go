package rules

import (
	"errors"
	"strings"

	"golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
	"github.com/harrowdata/harrow/internal/html5"
	"github.com/harrowdata/harrow/internal/xmltree"
)

// nodesAnElement is how many nodes and attributes a tree may have for each
// element that [Limits] lets it have: most elements have a text.
const nodesAnElement = 2

// maxTree is how large a page a tree counts the bytes of, whatever
// limits.document says. A variable for tests.
var maxTree = 1 << 30

// Tree is the page's elements as a browser with scripts would build them
// (WHATWG HTML 13.2); of XML, see package xmltree. An empty body has an empty tree.
// It is valid until the document is closed. Codes of the fault: "document",
// "gzip", "content_type", "elements", "xml".
func (d *Document) Tree() (*dom.Tree, *Fault) {
	return d.tree.get(func() (*dom.Tree, *Fault) {
		text, fault := d.Text()
		if fault != nil {
			return nil, fault
		}
		if len(text) > 0 && !isMarkup(d.kind) {
			return nil, faultf(CodeContentType, "content type %q; elements are found in HTML and XML only", d.media)
		}
		if len(text) >= maxTree {
			return nil, faultf(CodeDocument, "the page has %d bytes of markup; elements are found in less than %d", len(text), maxTree)
		}
		m := d.memory()
		err := xmltree.ErrXHTML
		if len(text) > 0 && isXML(d.kind) {
			err = xmltree.Parse(&m.tree, text, nodesAnElement*d.limits.Elements)
		}
		if errors.Is(err, xmltree.ErrXHTML) {
			m.parser.MaxNodes = nodesAnElement * d.limits.Elements
			err = m.parser.Parse(&m.tree, text)
		}
		var many *html5.TooManyError
		switch {
		case errors.As(err, &many):
			return nil, &Fault{CodeElements, err}
		case err != nil:
			return nil, &Fault{CodeXML, err}
		}
		return &m.tree, nil
	})
}

// isXML reports whether a media type is XML and not XHTML, which pages that
// claim it seldom are: the HTML parser reads it as browsers read HTML.
func isXML(media string) bool {
	return media == "text/xml" || media == "application/xml" || strings.HasSuffix(media, "+xml") && media != "application/xhtml+xml"
}

// maxNested is how deep elements nest at most where somebody else's code walks
// the tree, which calls itself for each level and can't be stopped at the end
// of the stack.
const maxNested = 512

// HTML is a copy of the tree for code that knows golang.org/x/net/html, such as
// goquery's NewDocumentFromNode; see [harrow.HTML]. The error is a *Fault: as of
// Tree, or "nesting", where elements are nested over 512 deep.
func (d *Document) HTML() (*html.Node, error) {
	tree, fault := d.Tree()
	if fault != nil {
		return nil, fault
	}
	if nestsDeeper(tree, maxNested) {
		return nil, faultf(CodeNesting, "elements are nested over %d deep", maxNested)
	}
	root, _ := tree.NetHTML()
	return root, nil
}

// nestsDeeper reports whether elements nest more than most deep.
func nestsDeeper(tree *dom.Tree, most int) bool {
	depth := 0
	for n := range tree.Nodes[1:] {
		node := &tree.Nodes[n+1]
		switch {
		case node.Parent == dom.ID(n): // the node before it
			depth++
		default:
			for up := tree.Nodes[n].Parent; up != node.Parent; up = tree.Nodes[up].Parent {
				depth--
			}
		}
		if depth > most && node.Kind == dom.Element {
			return true
		}
	}
	return false
}

// isMarkup reports whether a media type holds elements. A server that names
// no type is taken to mean HTML.
func isMarkup(media string) bool {
	switch media {
	case "", "text/html", "application/xhtml+xml", "text/xml", "application/xml":
		return true
	}
	return strings.HasSuffix(media, "+xml")
}

// Base is what the page's relative references are resolved against: its base
// element, else its final URL. The fault's code is "url", or as of Tree.
func (d *Document) Base() (canon.URL, *Fault) {
	return d.base.get(func() (canon.URL, *Fault) {
		if d.final.IsZero() {
			return canon.URL{}, d.noURL()
		}
		if !isMarkup(d.kind) {
			return d.final, nil
		}
		tree, fault := d.Tree()
		if fault != nil && isXML(d.kind) { // which has no base element
			return d.final, nil
		}
		if fault != nil {
			return canon.URL{}, fault
		}
		for i := 0; i < len(tree.Nodes); i++ {
			n := &tree.Nodes[i]
			if n.Space != dom.HTML || n.Kind != dom.Element {
				continue
			}
			if n.Name == name.Template { // what is in it is another document's
				i = int(n.End) - 1
			}
			if n.Name != name.Base {
				continue
			}
			if href, ok := tree.Attr(dom.ID(i), name.Href); ok {
				// The first one counts (HTML 4.2.3), and only if it is a URL.
				if base, err := d.canon.Resolve(d.final, href); err == nil {
					return base, nil
				}
				break
			}
		}
		return d.final, nil
	})
}

func (d *Document) noURL() *Fault {
	return faultf(CodeURL, "final URL %.200q is not a URL", d.page.Capture.FinalURL)
}
