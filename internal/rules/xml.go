package rules

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/xpath"
)

// isXML reports whether a media type is XML and not XHTML, which pages that
// claim it seldom are: the HTML parser reads it as browsers read HTML.
func isXML(media string) bool {
	return media == "text/xml" || media == "application/xml" || strings.HasSuffix(media, "+xml") && media != "application/xhtml+xml"
}

// parseXML builds the tree of a feed and the like. Element and attribute names
// are in lower case, which is how CSS selectors are compared, beside their own
// form for XPath (see [xpath.XMLName]). As in HTML, an end tag that is missing
// is where its parent ends, one without a start is nothing, and an entity that
// nobody knows is text: what a document type declares is not read, so there is
// nothing to expand. html: the document is XHTML. Codes of the fault: "xml",
// "elements", "nesting".
func parseXML(text []byte, limit int) (root *html.Node, isHTML bool, fault *Fault) {
	d := xml.NewDecoder(bytes.NewReader(withoutControls(text)))
	d.Strict = false
	d.Entity = xml.HTMLEntity
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	b := xmlBuilder{root: &html.Node{Type: html.DocumentNode}, left: limit}
	b.at = b.root
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return b.root, false, nil
		}
		if err != nil {
			return nil, false, faultf(CodeXML, "the body is no XML: %w", err)
		}
		if start, ok := token.(xml.StartElement); ok && b.depth == 0 && start.Name.Space == "" && strings.EqualFold(start.Name.Local, "html") {
			return nil, true, nil
		}
		if fault := b.add(token); fault != nil {
			return nil, false, fault
		}
		if b.left < 0 {
			return nil, false, faultf(CodeElements, "the page's markup makes more than %d elements", limit)
		}
	}
}

type xmlBuilder struct {
	root, at *html.Node
	depth    int
	left     int // nodes and attributes there may be
}

func (b *xmlBuilder) add(token xml.Token) *Fault {
	switch token := token.(type) {
	case xml.StartElement:
		if b.depth++; b.depth > maxOpen {
			return faultf(CodeNesting, "elements are nested over %d deep", maxOpen)
		}
		name := qualified(token.Name)
		n := &html.Node{Type: html.ElementNode, Data: strings.ToLower(name), Namespace: xpath.XMLName(name)}
		b.left -= 1 + len(token.Attr)
		for _, a := range token.Attr {
			name := qualified(a.Name)
			n.Attr = append(n.Attr, html.Attribute{Key: strings.ToLower(name), Namespace: xpath.XMLName(name), Val: a.Value})
		}
		b.at.AppendChild(n)
		b.at = n
	case xml.EndElement:
		b.end(strings.ToLower(qualified(token.Name)))
	case xml.CharData:
		b.text(string(token))
	case xml.Comment:
		b.left--
		b.at.AppendChild(&html.Node{Type: html.CommentNode, Data: string(token)})
	}
	return nil
}

// text appends to the text before it, as CDATA does.
func (b *xmlBuilder) text(text string) {
	if b.at == b.root || text == "" {
		return
	}
	if last := b.at.LastChild; last != nil && last.Type == html.TextNode && len(last.Data) < 4096 {
		last.Data += text
		return
	}
	b.left--
	b.at.AppendChild(&html.Node{Type: html.TextNode, Data: text})
}

// end closes the nearest element of that name.
func (b *xmlBuilder) end(name string) {
	for n, up := b.at, 1; n != b.root; n, up = n.Parent, up+1 {
		if n.Data == name {
			b.at = n.Parent
			b.depth -= up
			return
		}
	}
}

// qualified is a name as the document writes it.
func qualified(name xml.Name) string {
	if name.Space != "" {
		return name.Space + ":" + name.Local
	}
	return name.Local
}

// withoutControls replaces the characters that XML doesn't have.
func withoutControls(text []byte) []byte {
	control := func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\uFFFE' || r == '\uFFFF'
	}
	if bytes.IndexFunc(text, control) < 0 {
		return text
	}
	return bytes.Map(func(r rune) rune {
		if control(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}
