package html5

import (
	"bytes"
	"math"

	"github.com/harrowdata/harrow/internal/dom"
)

// tokenKind is what a token is.
type tokenKind uint8

const (
	eofToken tokenKind = iota
	textToken
	startTag
	endTag
	commentToken
	doctypeToken
)

// token is one token of HTML 13.2.5. A text is as long as can be: it ends where
// a tag, comment, doctype, CDATA section or the page does.
//
// Text comes as the page wrote it, with its character references (flag Refs).
// It must be decoded before U+0000 is dropped from it and before it is joined to
// another text: else "&a" and "mp;" would make a reference.
type token struct {
	kind        tokenKind
	selfClosing bool      // of a tag
	quirks      bool      // doctype: force-quirks
	nul         bool      // text of the data state or of a CDATA section with U+0000 in it, which tree construction drops or replaces; elsewhere the tokenizer has replaced it
	flags       dom.Flags // of the bytes a:b of a text or comment
	name        dom.Name  // of a tag: in lower case, interned in the tree
	a, b        uint32    // text, comment: its bytes. Tag, doctype: its bytes in Tree.Source
	attrs       uint32    // start tag: its attributes are Tree.Attrs[attrs:], without duplicates. Doctype: its name, public and system identifier are Tree.Attrs[attrs:attrs+3], as dom.Doctype has them
}

// contentModel is the state that tree construction puts the tokenizer in.
type contentModel uint8

const (
	dataState contentModel = iota
	rcdataState
	rawtextState
	scriptDataState
	plaintextState
)

// tokenizer cuts a page in tokens (HTML 13.2.5). It reads each byte a bounded
// number of times, keeps what it works with between pages, and reports no parse
// errors.
type tokenizer struct {
	tree *dom.Tree
	src  []byte // = tree.Source
	pos  int    // where the next token begins

	state    contentModel // set by tree construction after a start tag; the tokenizer goes back to dataState after the end tag that it waits for
	last     dom.Name     // the start tag whose end tag ends rcdataState, rawtextState and scriptDataState
	cdata    bool         // the adjusted current node isn't in HTML: CDATA sections are read
	maxAttrs int          // when Tree.Attrs has more than so many, further attributes are dropped

	stamp uint32   // the number of the tag that is read
	seen  []uint32 // by attribute's name: the last tag that had it
	ref   int      // where the next & is, if not behind pos
	nul   int      // where the next U+0000 is, if not behind pos
}

// reset begins a page, which becomes the tree's source: itself, or, when there
// is a CR in it, a copy with LF for each CR LF and CR.
func (z *tokenizer) reset(t *dom.Tree, text []byte) {
	if cr := bytes.IndexByte(text, '\r'); cr >= 0 {
		t.Clean = appendLF(append(t.Clean[:0], text[:cr]...), text[cr:])
		text = t.Clean
	}
	t.Reset(text)
	z.tree, z.src, z.pos, z.ref, z.nul = t, text, 0, -1, -1
	z.state, z.last, z.cdata, z.maxAttrs = dataState, noName, false, math.MaxInt
	if len(z.seen) > maxSeen {
		z.seen = nil
	}
	if z.stamp >= 1<<31 { // no page has as many tags
		z.stamp = 0
		clear(z.seen)
	}
}

const (
	noName  = ^dom.Name(0) // the name of no tag
	maxSeen = 1 << 16      // as many names are kept memory for from page to page
)

// appendLF appends text with each CR LF and CR as one LF.
func appendLF(dst, text []byte) []byte {
	for {
		cr := bytes.IndexByte(text, '\r')
		if cr < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:cr]...), '\n')
		text = text[cr+1:]
		if len(text) > 0 && text[0] == '\n' {
			text = text[1:]
		}
	}
}
