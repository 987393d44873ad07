package html5

import (
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// kind says which of the standard's lists of elements an element is in.
type kind uint32

const (
	special     kind = 1 << iota // HTML 13.2.4.2
	stopper                      // special, and neither address, div nor p: what <li>, <dd> and <dt> look no further than
	formatting                   // HTML 13.2.4.3
	implied                      // an end tag is implied for it: 13.2.6.3
	impliedToo                   // likewise, where end tags are implied thoroughly
	tablePart                    // table, tbody, tfoot, thead, tr: what is put in it is foster-parented
	cell                         // td, th
	foreign                      // in SVG or MathML
	mathText                     // MathML text integration point: 13.2.6
	htmlPoint                    // HTML integration point
	opensSelect                  // select
	opensOption                  // option

	// The boundaries of the scopes, in the order of the constants of scope.
	boundary
	listBoundary
	buttonBoundary
	tableBoundary

	boundaries = boundary | listBoundary | buttonBoundary | tableBoundary
	everyScope = boundary | listBoundary | buttonBoundary
	// noted are the kinds whose opening and closing is more than a place on the
	// stack.
	noted = formatting | foreign | boundaries | opensSelect | opensOption
)

// scope is which elements end a search of the stack: 13.2.4.2.
type scope int

const (
	defaultScope scope = iota
	listScope
	buttonScope
	tableScope
	scopeCount
)

// kinds are those of HTML elements, by name.
var kinds = makeKinds()

func makeKinds() (of [name.Count]kind) {
	in := func(k kind, names ...dom.Name) {
		for _, n := range names {
			of[n] |= k
		}
	}
	in(special|stopper, name.Applet, name.Area, name.Article, name.Aside, name.Base, name.Basefont,
		name.Bgsound, name.Blockquote, name.Body, name.Br, name.Button, name.Caption, name.Center, name.Col,
		name.Colgroup, name.Dd, name.Details, name.Dir, name.Dl, name.Dt, name.Embed, name.Fieldset,
		name.Figcaption, name.Figure, name.Footer, name.Form, name.Frame, name.Frameset, name.H1, name.H2,
		name.H3, name.H4, name.H5, name.H6, name.Head, name.Header, name.Hgroup, name.Hr, name.Html,
		name.Iframe, name.Img, name.Input, name.Keygen, name.Li, name.Link, name.Listing, name.Main,
		name.Marquee, name.Menu, name.Meta, name.Nav, name.Noembed, name.Noframes, name.Noscript, name.Object,
		name.Ol, name.Param, name.Plaintext, name.Pre, name.Script, name.Search, name.Section, name.Select,
		name.Source, name.Style, name.Summary, name.Table, name.Tbody, name.Td, name.Template, name.Textarea,
		name.Tfoot, name.Th, name.Thead, name.Title, name.Tr, name.Track, name.Ul, name.Wbr, name.Xmp)
	in(special, name.Address, name.Div, name.P)
	in(formatting, name.A, name.B, name.Big, name.Code, name.Em, name.Font, name.I, name.Nobr, name.S,
		name.Small, name.Strike, name.Strong, name.Tt, name.U)
	in(implied, name.Dd, name.Dt, name.Li, name.Optgroup, name.Option, name.P, name.Rb, name.Rp, name.Rt, name.Rtc)
	in(impliedToo, name.Caption, name.Colgroup, name.Tbody, name.Td, name.Tfoot, name.Th, name.Thead, name.Tr)
	in(tablePart, name.Table, name.Tbody, name.Tfoot, name.Thead, name.Tr)
	in(cell, name.Td, name.Th)
	in(everyScope, name.Applet, name.Caption, name.Html, name.Table, name.Td, name.Th, name.Marquee,
		name.Object, name.Select, name.Template)
	in(listBoundary, name.Ol, name.Ul)
	in(buttonBoundary, name.Button)
	in(tableBoundary, name.Html, name.Table, name.Template)
	in(opensSelect, name.Select)
	in(opensOption, name.Option)
	return of
}

func kindOf(n dom.Name) kind {
	if n < name.Count {
		return kinds[n]
	}
	return 0
}

// action is what a tag asks for in the body: 13.2.6.4.7. The same number means
// one thing for a start tag and another for an end tag.
type action uint8

const (
	ordinaryStart action = iota
	blockStart
	headingStart
	preStart
	formStart
	itemStart
	termStart
	plaintextStart
	buttonStart
	linkStart
	formattingStart
	nobrStart
	scopedStart
	tableStart
	voidStart
	inputStart
	plainVoidStart
	hrStart
	imageStart
	textareaStart
	xmpStart
	iframeStart
	rawStart
	selectStart
	optionStart
	optgroupStart
	rubyBaseStart
	rubyTextStart
	mathStart
	svgStart
	htmlStart
	headStart
	bodyStart
	framesetStart
	strayStart
)

const (
	ordinaryEnd action = iota
	templateEnd
	bodyEnd
	htmlEnd
	blockEnd
	formEnd
	pEnd
	liEnd
	termEnd
	headingEnd
	formattingEnd
	scopedEnd
	brEnd
)

// startActions and endActions are what tags in the body ask for, by name.
var startActions, endActions = makeStartActions(), makeEndActions()

// blocks are what begins and ends a block, whether its tag closes a p or not.
var blocks = []dom.Name{
	name.Address, name.Article, name.Aside, name.Blockquote, name.Center, name.Details, name.Dialog, name.Dir,
	name.Div, name.Dl, name.Fieldset, name.Figcaption, name.Figure, name.Footer, name.Header, name.Hgroup,
	name.Main, name.Menu, name.Nav, name.Ol, name.Search, name.Section, name.Summary, name.Ul,
}

var headings = [...]dom.Name{name.H1, name.H2, name.H3, name.H4, name.H5, name.H6}

func makeStartActions() (of [name.Count]action) {
	on := func(a action, names ...dom.Name) {
		for _, n := range names {
			of[n] = a
		}
	}
	on(blockStart, blocks...)
	on(blockStart, name.P)
	on(headingStart, headings[:]...)
	on(preStart, name.Pre, name.Listing)
	on(formStart, name.Form)
	on(itemStart, name.Li)
	on(termStart, name.Dd, name.Dt)
	on(plaintextStart, name.Plaintext)
	on(buttonStart, name.Button)
	on(linkStart, name.A)
	on(formattingStart, name.B, name.Big, name.Code, name.Em, name.Font, name.I, name.S, name.Small, name.Strike, name.Strong, name.Tt, name.U)
	on(nobrStart, name.Nobr)
	on(scopedStart, name.Applet, name.Marquee, name.Object)
	on(tableStart, name.Table)
	on(voidStart, name.Area, name.Br, name.Embed, name.Img, name.Keygen, name.Wbr)
	on(inputStart, name.Input)
	on(plainVoidStart, name.Param, name.Source, name.Track)
	on(hrStart, name.Hr)
	on(imageStart, name.Image)
	on(textareaStart, name.Textarea)
	on(xmpStart, name.Xmp)
	on(iframeStart, name.Iframe)
	on(rawStart, name.Noembed, name.Noscript)
	on(selectStart, name.Select)
	on(optionStart, name.Option)
	on(optgroupStart, name.Optgroup)
	on(rubyBaseStart, name.Rb, name.Rtc)
	on(rubyTextStart, name.Rp, name.Rt)
	on(mathStart, name.Math)
	on(svgStart, name.Svg)
	on(htmlStart, name.Html)
	on(headStart, name.Base, name.Basefont, name.Bgsound, name.Link, name.Meta, name.Noframes, name.Script, name.Style, name.Template, name.Title)
	on(bodyStart, name.Body)
	on(framesetStart, name.Frameset)
	on(strayStart, name.Caption, name.Col, name.Colgroup, name.Frame, name.Head, name.Tbody, name.Td, name.Tfoot, name.Th, name.Thead, name.Tr)
	return of
}

func makeEndActions() (of [name.Count]action) {
	on := func(a action, names ...dom.Name) {
		for _, n := range names {
			of[n] = a
		}
	}
	on(templateEnd, name.Template)
	on(bodyEnd, name.Body)
	on(htmlEnd, name.Html)
	on(blockEnd, blocks...)
	on(blockEnd, name.Button, name.Listing, name.Pre, name.Select)
	on(formEnd, name.Form)
	on(pEnd, name.P)
	on(liEnd, name.Li)
	on(termEnd, name.Dd, name.Dt)
	on(headingEnd, headings[:]...)
	for n, k := range kinds {
		if k&formatting != 0 {
			of[n] = formattingEnd
		}
	}
	on(scopedEnd, name.Applet, name.Marquee, name.Object)
	on(brEnd, name.Br)
	return of
}
