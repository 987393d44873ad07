package rules

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/harrowdata/harrow/internal/canon"
)

// Tree is the page's elements as a browser with scripts would build them
// (WHATWG HTML 13.2); of XML, see parseXML. An empty body has an empty tree.
// Codes of the fault: "document", "gzip", "content_type", "elements",
// "nesting", "xml".
func (d *Document) Tree() (*html.Node, *Fault) {
	return d.tree.get(func() (*html.Node, *Fault) {
		text, fault := d.Text()
		if fault != nil {
			return nil, fault
		}
		if len(text) > 0 && !isMarkup(d.kind) {
			return nil, faultf(CodeContentType, "content type %q; elements are found in HTML and XML only", d.media)
		}
		if len(text) > 0 && isXML(d.kind) {
			if root, isHTML, fault := parseXML(text, d.limits.Elements); !isHTML {
				return root, fault
			}
		}
		if treeCost(text, d.limits.Elements) > d.limits.Elements {
			return nil, faultf(CodeElements, "the page's markup makes more than %d elements", d.limits.Elements)
		}
		root, err := html.Parse(bytes.NewReader(text))
		if err != nil {
			return nil, &Fault{CodeNesting, err}
		}
		return root, nil
	})
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
		root, fault := d.Tree()
		if fault != nil && isXML(d.kind) { // which has no base element
			return d.final, nil
		}
		if fault != nil {
			return canon.URL{}, fault
		}
		for n := root; n != nil; n = next(root, n) {
			if n.DataAtom != atom.Base || n.Type != html.ElementNode {
				continue
			}
			if href, ok := attribute(n, "href"); ok {
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

// next returns the node after n in document order, below root; nil at the end.
func next(root, n *html.Node) *html.Node {
	if n.FirstChild != nil {
		return n.FirstChild
	}
	for ; n != root; n = n.Parent {
		if n.NextSibling != nil {
			return n.NextSibling
		}
	}
	return nil
}

// attribute returns an element's attribute by its name in lower case.
func attribute(n *html.Node, name string) (string, bool) {
	for i := range n.Attr {
		a := &n.Attr[i]
		key := a.Key
		if a.Namespace != "" && a.Namespace[0] != '=' { // xlink:href; XML's names begin with =
			key = a.Namespace + ":" + key
		}
		if key == name || strings.EqualFold(key, name) { // viewBox: SVG keeps capitals
			return a.Val, true
		}
	}
	return "", false
}

// textOf returns the text content of a node (DOM textContent), up to about
// limit bytes; 0: all of it.
func textOf(n *html.Node, limit int) string {
	// Most elements hold one text: no copy.
	if c := n.FirstChild; c != nil && c.NextSibling == nil && c.Type == html.TextNode {
		return c.Data
	}
	var b strings.Builder
	for c := next(n, n); c != nil; c = next(n, c) {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
			if limit > 0 && b.Len() >= limit {
				break
			}
		}
	}
	return b.String()
}
