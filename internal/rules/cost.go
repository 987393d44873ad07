package rules

import (
	"bytes"

	"golang.org/x/net/html"
)

// The tree can be far larger than the text: where formatting elements were not
// closed before their paragraph ended, HTML has every later paragraph repeat
// all of them (13.2.4.3, "reconstruct the active formatting elements"), so
// that four bytes make hundreds of elements. treeCost estimates from the text
// how many there will be, before anything is built.

// maxOpen is how deep elements nest at most: what goes beyond is refused by
// the tree builder, so no more formatting elements are repeated at once.
const maxOpen = 512

// treeCost returns about how many elements the text makes, seldom fewer. It
// stops once that is over the limit. A first pass counts no element as closed:
// it is cheap, and enough for nearly all pages.
func treeCost(text []byte, limit int) int {
	cost, open, link := 0, 0, 0
	for rest := text; ; {
		i := bytes.IndexByte(rest, '<')
		if i < 0 || i+1 == len(rest) {
			return cost
		}
		rest = rest[i+1:]
		if cost += 1 + link + min(open, maxOpen); cost > limit {
			return closedCost(text, limit)
		}
		switch name, n := tagName(rest); {
		case formatting(string(name[:n])):
			open++
		case n == 1 && name[0] == 'a':
			link = 1
		}
	}
}

// tagName returns up to 7 letters of the name of a tag that begins here (after
// its "<"), in lower case.
func tagName(tag []byte) (name [7]byte, n int) {
	for n < min(len(tag), len(name)) && 'a' <= tag[n]|0x20 && tag[n]|0x20 <= 'z' {
		name[n] = tag[n] | 0x20
		n++
	}
	return name, n
}

// formatting reports whether an element is a formatting one (HTML 13.2.4.2)
// that can be open many times. A second link ends the first one, so links are
// counted apart, once.
func formatting(name string) bool {
	switch name {
	case "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u":
		return true
	}
	return false
}

// void elements are never open.
var void = map[string]bool{
	"area": true, "base": true, "br": true, "col": true, "embed": true, "hr": true, "img": true, "input": true,
	"link": true, "meta": true, "source": true, "track": true, "wbr": true,
}

// scope elements keep an end tag inside them from closing a formatting element
// outside (HTML 13.2.4.2, "has an element in scope").
var scope = map[string]bool{
	"applet": true, "caption": true, "html": true, "table": true, "td": true, "th": true, "marquee": true,
	"object": true, "template": true, "mi": true, "mo": true, "mn": true, "ms": true, "mtext": true,
	"annotation-xml": true, "foreignobject": true, "desc": true, "title": true,
}

// closeWithin is how many other elements an end tag may close on its way to
// its own. What is nested worse is taken to stay open.
const closeWithin = 4

// closedCost is treeCost with formatting elements that were closed properly
// left out.
func closedCost(text []byte, limit int) int {
	cost := 0
	var open openTags
	for z := html.NewTokenizer(bytes.NewReader(text)); cost <= limit; {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return cost
		case html.StartTagToken, html.SelfClosingTagToken:
			tag, _ := z.TagName()
			cost += 2 + min(open.formatting, maxOpen) // 2: perhaps a link
			// Only foreign elements close themselves; <b/> opens.
			if formatting(string(tag)) || kind == html.StartTagToken && !void[string(tag)] {
				open.start(string(tag))
			}
		case html.EndTagToken:
			tag, _ := z.TagName()
			open.end(string(tag))
		}
	}
	return cost
}

// openTags are start tags without an end yet.
type openTags struct {
	names      []string
	formatting int // of them, and of those whose parent ended first
}

func (o *openTags) start(name string) {
	o.names = append(o.names, name)
	if formatting(name) {
		o.formatting++
	}
}

func (o *openTags) end(name string) {
	last := len(o.names) - 1
	for k := last; k >= 0 && k >= last-closeWithin; k-- {
		switch other := o.names[k]; {
		case other == name:
			o.names = o.names[:k]
			if formatting(name) {
				o.formatting--
			}
			return
		case scope[other] || formatting(other) && !formatting(name):
			return // a block's end closes nothing that formats: it will be repeated
		}
	}
}
