package html5

import (
	"fmt"
	"math"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// What a hostile page may cost beyond what an honest one does. The standard's
// algorithms are quadratic in places: formatting elements that are never closed
// are opened again in each block, and lists of them are searched by each tag.
// Once a page has used up one of these it still has its texts and elements, but
// not always where a browser would have them: formatting elements are not opened
// again, and only the nearest entries of a list are looked at. No honest page
// comes near: the tests hold that it takes less than a twentieth.
const (
	// freeClones and bytesPerClone bound how many elements are made that the
	// page has no tag of its own for: repeated formatting elements, and what a
	// selectedcontent mirrors.
	freeClones    = 4096
	bytesPerClone = 4
	// freeSteps and stepsPerByte bound how many entries of the stack and lists
	// are looked at or moved, other than those that the same step closes. Much
	// may be begun with the last step.
	freeSteps    = 1 << 16
	stepsPerByte = 4
	// nearest is how many entries of a list are looked at after that.
	nearest = 8
)

// Parser parses one page after the other. It keeps what it works with between
// pages; it is used by one goroutine at a time.
type Parser struct {
	// MaxNodes bounds how many nodes and attributes a tree may have; 0: no bound.
	MaxNodes int

	b builder
}

// TooManyError says that a page makes more nodes and attributes than there may be.
type TooManyError struct{ Limit int }

// Error implements error.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("the page's markup makes more than %d nodes and attributes", e.Limit)
}

// Parse makes the tree of a page, which must be valid UTF-8 without a byte order
// mark, shorter than 1 GiB, and stay unchanged as long as the tree is used. The
// one error there is is a *TooManyError, with which the tree is empty.
//
// Scripting is on: what is in a noscript is one text. What is in a template is
// its children.
func (p *Parser) Parse(t *dom.Tree, text []byte) error {
	p.b.reset(t, text)
	p.b.mode = initialMode
	return p.run()
}

// ParseFragment makes the tree of what is set as the content of an element of
// this namespace and name (HTML 13.4): its nodes are the document's children.
// It is as [Parser.Parse] is otherwise.
func (p *Parser) ParseFragment(t *dom.Tree, text []byte, space dom.Space, context string) error {
	b := &p.b
	b.reset(t, text)
	n, ok := name.Of(context)
	if !ok {
		n = noName
	}
	b.fragment, b.context, b.contextSpace = true, open{id: dom.None, name: n, is: kindIn(space, n)}, space
	if space == dom.HTML {
		b.z.state = fragmentState(n)
	}
	b.push(dom.Root, name.Html, kinds[name.Html])
	if b.context.is&foreign != 0 {
		b.in++ // the adjusted current node isn't in HTML
	}
	if space == dom.HTML && n == name.Template {
		b.templates = append(b.templates, inTemplate)
	}
	b.resetMode()
	if space == dom.HTML && n == name.Form {
		b.form = dom.Root // one that isn't in the tree
	}
	return p.run()
}

// fragmentState is the tokenizer's state in an HTML element: 13.4.
func fragmentState(n dom.Name) contentModel {
	switch n {
	case name.Title, name.Textarea:
		return rcdataState
	case name.Style, name.Xmp, name.Iframe, name.Noembed, name.Noframes, name.Noscript:
		return rawtextState
	case name.Script:
		return scriptDataState
	case name.Plaintext:
		return plaintextState
	}
	return dataState
}

// builder is tree construction: HTML 13.2.6.
type builder struct {
	t   *dom.Tree
	z   tokenizer
	tok token

	stack
	mode, original mode
	templates      []mode   // the stack of template insertion modes
	list           []active // of active formatting elements
	choices        []choice // of open selects
	head, form     dom.ID   // the element pointers; None: null
	framesetOK     bool
	foster         bool // foster parenting is enabled
	skipLF         bool // a newline that comes next is ignored

	fragment     bool
	context      open // the context element of a fragment, which is no node
	contextSpace dom.Space

	steps, maxSteps   int
	clones, maxClones int
	scratch           []byte
}

func (b *builder) reset(t *dom.Tree, text []byte) {
	b.t = t
	b.z.reset(t, text)
	b.stack.reset()
	if b.templates, b.list, b.choices = b.templates[:0], b.list[:0], b.choices[:0]; cap(b.list) > kept {
		b.list = nil
	}
	b.head, b.form = dom.None, dom.None
	b.framesetOK, b.foster, b.skipLF, b.fragment = true, false, false, false
	b.steps, b.maxSteps = 0, freeSteps+stepsPerByte*len(text)
	b.clones, b.maxClones = 0, freeClones+len(text)/bytesPerClone
}

// spent reports whether the page has used up its steps.
func (b *builder) spent() bool { return b.steps > b.maxSteps }

// lowest is how far down a list of n entries is looked at.
func (b *builder) lowest(n int) int {
	if b.spent() {
		return max(0, n-nearest)
	}
	return 0
}

func (p *Parser) run() error {
	b := &p.b
	limit := math.MaxInt
	if p.MaxNodes > 0 {
		limit, b.z.maxAttrs = p.MaxNodes, p.MaxNodes+1
	}
	t, tok := b.t, &b.tok
	for {
		if b.in > 0 {
			b.z.cdata = b.adjusted().is&foreign != 0
		} else {
			b.z.cdata = false
		}
		b.z.next(tok)
		if b.skipLF {
			b.skipLF = false
			if tok.kind == textToken && !b.dropLF() {
				continue
			}
		}
		if b.in > 0 || b.mode != inBody || b.inBody() {
			b.dispatch()
		}
		if len(t.Nodes)+len(t.Attrs) > limit {
			t.Reset(nil)
			t.Finish()
			return &TooManyError{Limit: limit}
		}
		if tok.kind == eofToken {
			break
		}
	}
	for len(b.open) > 0 {
		b.pop()
	}
	t.Finish()
	return nil
}

// dispatch has the token processed, by the rules for foreign content where the
// current node asks for it: the tree construction dispatcher.
func (b *builder) dispatch() {
	for {
		var again bool
		if b.in > 0 && !b.htmlRules() {
			again = b.inForeign()
		} else {
			again = b.process(b.mode)
		}
		if !again {
			return
		}
	}
}

// adjusted is the adjusted current node: 13.2.4.2. There must be a current one.
func (b *builder) adjusted() *open {
	if b.fragment && len(b.open) == 1 {
		return &b.context
	}
	return b.top()
}

// dropLF drops the newline that the text begins with; false: nothing is left.
func (b *builder) dropLF() bool {
	tok := &b.tok
	raw := b.raw(tok.a, tok.b, tok.flags)
	if tok.flags&dom.Refs != 0 && raw[0] == '&' {
		nul := tok.nul
		b.plain(tok, nil)
		tok.nul = nul
		raw = b.raw(tok.a, tok.b, tok.flags)
	}
	if len(raw) > 0 && raw[0] == '\n' {
		tok.a++
	}
	return tok.a < tok.b
}
