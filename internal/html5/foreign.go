package html5

import (
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// kindIn is the kind of an element of a namespace.
func kindIn(space dom.Space, n dom.Name) kind {
	switch space {
	case dom.SVG:
		switch n {
		case name.ForeignObject, name.Desc, name.Title:
			return foreign | htmlPoint | special | stopper | everyScope
		}
		return foreign
	case dom.MathML:
		switch n {
		case name.Mi, name.Mo, name.Mn, name.Ms, name.Mtext:
			return foreign | mathText | special | stopper | everyScope
		case name.AnnotationXml:
			return foreign | special | stopper | everyScope
		}
		return foreign
	}
	return kindOf(n)
}

// htmlRules reports whether the token is processed by the insertion mode's rules
// though foreign elements are open: 13.2.6.
func (b *builder) htmlRules() bool {
	if len(b.open) == 0 || b.tok.kind == eofToken {
		return true
	}
	e := b.adjusted()
	if e.is&foreign == 0 {
		return true
	}
	switch b.tok.kind {
	case textToken:
		return e.is&(mathText|htmlPoint) != 0
	case startTag:
		switch {
		case e.is&htmlPoint != 0:
			return true
		case e.is&mathText != 0:
			return b.tok.name != name.Mglyph && b.tok.name != name.Malignmark
		case e.name == name.AnnotationXml && e.is&special != 0:
			return b.tok.name == name.Svg
		}
	}
	return false
}

// insertForeign inserts the start tag's element in SVG or MathML: 13.2.6.5.
func (b *builder) insertForeign(space dom.Space) {
	t, n := b.t, b.tok.name
	own := t.Attrs[b.tok.attrs:]
	if space == dom.SVG && n < name.Count {
		n = svgTags[n]
	}
	is := kindIn(space, n)
	if space == dom.MathML && n == name.AnnotationXml {
		for i := range own {
			if own[i].Name != name.Encoding {
				continue
			}
			if v := b.t.Value(&own[i]); strings.EqualFold(v, "text/html") || strings.EqualFold(v, "application/xhtml+xml") {
				is |= htmlPoint
			}
		}
	}
	for i := range own {
		adjustAttr(&own[i], space)
	}
	id := b.element(n, space)
	if !b.tok.selfClosing {
		b.push(id, n, is)
	}
}

// adjustAttr gives an attribute of a foreign element the name and namespace that
// it has there.
func adjustAttr(a *dom.Attr, space dom.Space) {
	switch n := a.Name; {
	case n >= name.Count:
	case n >= name.XlinkActuate && n <= name.XmlnsXlink:
		a.Space, a.Name = foreignAttrs[n-name.XlinkActuate].space, foreignAttrs[n-name.XlinkActuate].name
	case space == dom.SVG:
		a.Name = svgAttrs[n]
	case n == name.Definitionurl:
		a.Name = name.DefinitionURL
	}
}

// foreignAttrs are the attributes that are in a namespace, from xlink:actuate to
// xmlns:xlink, which is the order of their numbers.
var foreignAttrs = [...]struct {
	space dom.Space
	name  dom.Name
}{
	{dom.XLink, name.Actuate}, {dom.XLink, name.Arcrole}, {dom.XLink, name.Href}, {dom.XLink, name.Role},
	{dom.XLink, name.Show}, {dom.XLink, name.Title}, {dom.XLink, name.Type},
	{dom.XMLSpace, name.Lang}, {dom.XMLSpace, name.Space}, {dom.XMLNS, name.Xmlns}, {dom.XMLNS, name.Xlink},
}

// svgTags and svgAttrs give a name in lower case the capitals that it has as
// SVG's element or attribute. Those that have some are known names.
var svgTags, svgAttrs = makeSVG()

func makeSVG() (tags, attrs [name.Count]dom.Name) {
	for n := range dom.Name(name.Count) {
		tags[n], attrs[n] = n, n
	}
	for n := range dom.Name(name.Count) {
		lower, ok := name.Of(strings.ToLower(n.String()))
		switch {
		case !ok || lower == n || n == name.DefinitionURL:
		case n < name.About: // an element
			tags[lower] = n
		default:
			attrs[lower] = n
		}
	}
	attrs[name.Glyphref] = name.GlyphRef // both
	return tags, attrs
}

// inForeign: 13.2.6.5.
func (b *builder) inForeign() bool {
	tok := &b.tok
	switch tok.kind {
	case textToken:
		if tok.nul {
			b.replaceNul(tok)
			// U+FFFD that was U+0000 says nothing about framesets, so that
			// bodies need not be looked at here.
		} else if b.framesetOK && !b.isBlank(tok) {
			b.framesetOK = false
		}
		b.insertText(tok)
	case commentToken:
		b.comment(b.top().id)
	case doctypeToken:
		b.dropDoctype()
	case startTag:
		if b.breaksOut() {
			b.leaveForeign()
			return b.process(b.mode)
		}
		if b.adjusted() == &b.context {
			b.insertForeign(b.contextSpace)
		} else {
			b.insertForeign(b.t.Nodes[b.top().id].Space)
		}
	case endTag:
		if tok.name == name.Br || tok.name == name.P {
			b.leaveForeign()
			return b.process(b.mode)
		}
		return b.endInForeign()
	}
	return false
}

// replaceNul replaces each U+0000 of the text by U+FFFD.
func (b *builder) replaceNul(tok *token) {
	raw := b.raw(tok.a, tok.b, tok.flags)
	a := len(b.t.Extra)
	plain := raw
	if tok.flags&dom.Refs != 0 {
		plain = dom.AppendDecoded(nil, raw, false)
	}
	for _, c := range plain {
		if c == 0 {
			b.t.Extra = append(b.t.Extra, "\uFFFD"...)
		} else {
			b.t.Extra = append(b.t.Extra, c)
			b.framesetOK = b.framesetOK && blank(c)
		}
	}
	tok.a, tok.b, tok.flags, tok.nul = uint32(a), uint32(len(b.t.Extra)), dom.InExtra, false
}

// leaveForeign closes foreign elements up to where HTML may stand.
func (b *builder) leaveForeign() {
	for e := b.top(); e.is&foreign != 0 && e.is&(mathText|htmlPoint) == 0; e = b.top() {
		b.pop()
	}
}

// breaksOut reports whether the start tag is one of HTML that ends foreign
// content.
func (b *builder) breaksOut() bool {
	switch b.tok.name {
	case name.B, name.Big, name.Blockquote, name.Body, name.Br, name.Center, name.Code, name.Dd, name.Div,
		name.Dl, name.Dt, name.Em, name.Embed, name.H1, name.H2, name.H3, name.H4, name.H5, name.H6, name.Head,
		name.Hr, name.I, name.Img, name.Li, name.Listing, name.Menu, name.Meta, name.Nobr, name.Ol, name.P,
		name.Pre, name.Ruby, name.S, name.Small, name.Span, name.Strong, name.Strike, name.Sub, name.Sup,
		name.Table, name.Tt, name.U, name.Ul, name.Var:
		return true
	case name.Font:
		own := b.t.Attrs[b.tok.attrs:]
		return hasAttr(own, name.Color) || hasAttr(own, name.Face) || hasAttr(own, name.Size)
	}
	return false
}

// endInForeign is any other end tag: it closes the nearest element of its name,
// as long as none of HTML is in between.
func (b *builder) endInForeign() bool {
	n := b.tok.name
	for i := int32(len(b.open)) - 1; i > 0; i-- {
		e := &b.open[i]
		if e.is&foreign == 0 {
			return b.process(b.mode)
		}
		if lower(e.name) == n {
			b.popTo(i)
			return false
		}
		if b.steps++; b.spent() && int(i) < len(b.open)-nearest {
			return false
		}
	}
	return false
}

// lower is a foreign element's name as a tag has it.
func lower(n dom.Name) dom.Name {
	if n < name.Count {
		return lowered[n]
	}
	return n
}

var lowered = func() (of [name.Count]dom.Name) {
	for n := range of {
		of[n] = dom.Name(n)
	}
	for n, capital := range svgTags {
		if capital != dom.Name(n) {
			of[capital] = dom.Name(n)
		}
	}
	return of
}()
