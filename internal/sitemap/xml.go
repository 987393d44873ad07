package sitemap

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// tokens is what the XML decoder reads: byte by byte, so that each token can be
// bounded. Characters that XML doesn't allow become spaces.
type tokens struct {
	in   *bufio.Reader
	left int // of the present token
}

func (t *tokens) ReadByte() (byte, error) {
	if t.left--; t.left < 0 {
		return 0, errToken
	}
	b, err := t.in.ReadByte()
	if b < ' ' && b != '\t' && b != '\n' && b != '\r' && err == nil {
		b = ' '
	}
	return b, err
}

// Read is there for the decoder's type only: it reads bytes where it can.
func (t *tokens) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := t.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

// format says where a kind of document keeps its URLs.
type format struct {
	path    [4]string // of the element, from the root; "" beyond its end
	depth   int       // of path
	attr    string    // that holds the URL; empty: the element's text
	sitemap bool
}

// formats by the root's local name.
var formats = map[string]format{
	"urlset":       {path: [4]string{"urlset", "url", "loc"}, depth: 3},
	"sitemapindex": {path: [4]string{"sitemapindex", "sitemap", "loc"}, depth: 3, sitemap: true},
	"rss":          {path: [4]string{"rss", "channel", "item", "link"}, depth: 4},
	"RDF":          {path: [4]string{"RDF", "item", "link"}, depth: 3},
	"feed":         {path: [4]string{"feed", "entry", "link"}, depth: 3, attr: "href"},
}

// document is where the reading of an XML document stands.
type document struct {
	format
	l     *lister
	path  []string // open elements' local names
	match int      // how many of them, from the root, are the format's
	text  []byte   // of the URL's element
	full  bool     // text is longer than any URL
}

// xml reads a document token by token. It looks at local names only.
func (l *lister) xml(in *bufio.Reader) error {
	src := &tokens{in: in}
	d := xml.NewDecoder(src)
	d.Strict = false // a bare & and unknown entities stay what they are
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	doc := &document{l: l}
	for {
		src.left = maxToken
		tok, err := d.RawToken()
		if err == io.EOF && len(doc.path) == 0 && doc.depth > 0 {
			return nil
		}
		if err == nil {
			err = doc.token(tok)
		}
		if err != nil {
			line, _ := d.InputPos()
			return faultAt(line, err)
		}
	}
}

// faultAt makes an error of the document's a fault, unless it is somebody
// else's.
func faultAt(line int, err error) error {
	var own *emitError
	var fault *Fault
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &own), errors.As(err, &fault):
		return err
	case errors.As(err, &syntax):
		return &Fault{syntax.Line, errors.New(syntax.Msg)}
	case err == io.EOF:
		err = errEnd
	}
	return &Fault{line, err}
}

func (d *document) token(tok xml.Token) error {
	switch t := tok.(type) {
	case xml.StartElement:
		return d.start(t)
	case xml.EndElement:
		return d.end(t)
	case xml.CharData:
		if d.in() && d.attr == "" {
			d.append(t)
		}
	}
	return nil
}

// in reports whether the innermost open element is one that holds a URL.
func (d *document) in() bool { return d.depth > 0 && d.match == d.depth && len(d.path) == d.depth }

func (d *document) append(text []byte) {
	if room := 2*MaxURL - len(d.text); len(text) > room { // white space may go yet
		text, d.full = text[:room], true
	}
	d.text = append(d.text, text...)
}

func (d *document) start(t xml.StartElement) error {
	if len(d.path) >= maxDepth {
		return errDepth
	}
	name := t.Name.Local
	if len(d.path) == 0 {
		f, ok := formats[name]
		if !ok || d.depth > 0 {
			return fmt.Errorf("%w (its root is %.40q)", errKind, name)
		}
		d.format = f
	}
	if d.match == len(d.path) && d.match < d.depth && d.format.path[d.match] == name {
		d.match++
	}
	d.path = append(d.path, name)
	if !d.in() {
		return nil
	}
	d.text, d.full = d.text[:0], false
	if d.attr != "" {
		return d.attribute(t)
	}
	return nil
}

// attribute hands on an Atom link: the entry's own page (RFC 4287 4.2.7.2: rel
// alternate, or none).
func (d *document) attribute(t xml.StartElement) error {
	url := ""
	for _, a := range t.Attr {
		switch a.Name.Local {
		case "rel":
			if a.Value != "alternate" {
				return nil
			}
		case d.attr:
			url = a.Value
		}
	}
	return d.l.add(strings.TrimSpace(url), false)
}

func (d *document) end(t xml.EndElement) error {
	n := len(d.path)
	if n == 0 || d.path[n-1] != t.Name.Local {
		return fmt.Errorf("</%.40s> closes nothing", t.Name.Local)
	}
	wasIn := d.in()
	d.path = d.path[:n-1]
	d.match = min(d.match, n-1)
	if !wasIn || d.attr != "" {
		return nil
	}
	url := strings.TrimSpace(string(d.text))
	if d.full {
		url = ""
	}
	return d.l.add(url, d.sitemap)
}
