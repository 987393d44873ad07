// Package xmltree builds the tree of a feed and the like.
//
// # Names
//
// Names of elements and attributes are in lower case, which is how CSS
// selectors compare them; beside them stands their own form, prefix included,
// for XPath ([dom.Tree.Own]). No prefix is bound to a namespace, and all are in
// [dom.XML].
//
// # What is no XML
//
// As in HTML, an end tag that is missing is where its parent ends, one without
// a start is nothing, and an entity that nobody knows is text: what a document
// type declares is not read, so there is nothing to expand. Characters that XML
// doesn't have are U+FFFD. Elements may be nested as deep as they like.
package xmltree

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
)

// ErrXHTML means that the document's root is html: read it as HTML, which is
// what browsers do with nearly all that there is of it.
var ErrXHTML = errors.New("the document is XHTML")

// Parse makes the tree of a document, which must be valid UTF-8. The tree keeps
// nothing of the text. Errors: [ErrXHTML]; a *[html5.TooManyError] when there
// are more than maxNodes nodes and attributes (0: no bound); others say what is
// no XML. With an error the tree is of no use.
func Parse(t *dom.Tree, text []byte, maxNodes int) error {
	d := xml.NewDecoder(bytes.NewReader(withoutControls(text)))
	d.Strict = false
	d.Entity = xml.HTMLEntity
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	b := builder{t: t, open: map[dom.Name]int{}}
	t.Reset(nil)
	t.Own, t.OwnAttr = []dom.Name{0}, []dom.Name{}
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			t.Finish()
			return nil
		}
		if err != nil {
			return fmt.Errorf("the body is no XML: %w", err)
		}
		if start, ok := token.(xml.StartElement); ok && b.at == dom.Root && start.Name.Space == "" && strings.EqualFold(start.Name.Local, "html") {
			return ErrXHTML
		}
		b.add(token)
		if maxNodes > 0 && t.Len()-1+len(t.Attrs) > maxNodes {
			return &html5.TooManyError{Limit: maxNodes}
		}
	}
}

type builder struct {
	t    *dom.Tree
	at   dom.ID           // the innermost open element
	open map[dom.Name]int // open elements by name, so that no end tag looks for one in vain
}

func (b *builder) add(token xml.Token) {
	switch token := token.(type) {
	case xml.StartElement:
		b.start(token)
	case xml.EndElement:
		b.end(strings.ToLower(qualified(token.Name)))
	case xml.CharData:
		b.text(token)
	case xml.Comment:
		n := dom.Node{Kind: dom.Comment, Flags: dom.InExtra}
		n.A, n.B = b.put(string(token))
		b.append(n, 0)
	}
}

func (b *builder) start(token xml.StartElement) {
	t := b.t
	lower, own := b.names(token.Name)
	n := dom.Node{Kind: dom.Element, Space: dom.XML, Name: lower, A: uint32(len(t.Attrs))}
	for _, a := range token.Attr {
		lower, own := b.names(a.Name)
		attr := dom.Attr{Name: lower, Space: dom.XML, Flags: dom.InExtra}
		attr.A, attr.B = b.put(a.Value)
		t.Attrs = append(t.Attrs, attr)
		t.OwnAttr = append(t.OwnAttr, own)
	}
	n.B = uint32(len(t.Attrs))
	b.at = b.append(n, own)
	b.open[lower]++
}

// end closes the nearest element of that name.
func (b *builder) end(name string) {
	lower, ok := b.t.Lookup(name)
	if !ok || b.open[lower] == 0 {
		return
	}
	for {
		n := &b.t.Nodes[b.at]
		b.at = n.Parent
		if b.open[n.Name]--; n.Name == lower {
			return
		}
	}
}

// text appends to the text before it, as CDATA does. There is none outside the
// root.
func (b *builder) text(text []byte) {
	t := b.t
	if b.at == dom.Root || len(text) == 0 {
		return
	}
	if last := t.Nodes[b.at].Last; last != dom.None && t.Nodes[last].Kind == dom.Text && int(t.Nodes[last].B) == len(t.Extra) {
		_, t.Nodes[last].B = b.put(string(text))
		return
	}
	n := dom.Node{Kind: dom.Text, Flags: dom.InExtra}
	n.A, n.B = b.put(string(text))
	b.append(n, 0)
}

func (b *builder) append(n dom.Node, own dom.Name) dom.ID {
	id := b.t.New(n)
	b.t.Own = append(b.t.Own, own)
	b.t.Append(b.at, id)
	return id
}

// names are a name in lower case, and its own form.
func (b *builder) names(name xml.Name) (lower, own dom.Name) {
	text := qualified(name)
	return b.intern(strings.ToLower(text)), b.intern(text)
}

func (b *builder) intern(text string) dom.Name {
	if n, ok := b.t.Lookup(text); ok {
		return n
	}
	begin, end := b.put(text)
	return b.t.Intern(begin, end, dom.InExtra)
}

func (b *builder) put(text string) (begin, end uint32) {
	begin = uint32(len(b.t.Extra))
	b.t.Extra = append(b.t.Extra, text...)
	return begin, uint32(len(b.t.Extra))
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
