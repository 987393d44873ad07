package rules

import (
	"sync"

	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
	"github.com/harrowdata/harrow/internal/xpath"
)

// Pages makes documents that are read in each other's memory: one that is
// closed gives its tree to the next. There are as many trees as there are open
// documents. The zero value is ready for use, by several goroutines too.
type Pages struct{ free sync.Pool }

// Document is [NewDocument] in memory that is used again once the document is
// closed.
func (p *Pages) Document(page Page, c *canon.Canonicalizer, limits Limits) *Document {
	d := NewDocument(page, c, limits)
	d.pages = p
	return d
}

// keptMemory is the most bytes that a closed document leaves for the next one.
// What a larger page took goes back to the heap.
const keptMemory = 8 << 20

// memory is what a page is read in.
type memory struct {
	tree   dom.Tree
	parser html5.Parser
	nodes  []xpath.Node
	texts  []byte // of the row at hand that had to be put together; see keep
	held   int    // bytes of such texts
}

// memory takes what the document is read in.
func (d *Document) memory() *memory {
	if d.mem == nil && d.pages != nil {
		d.mem, _ = d.pages.free.Get().(*memory)
	}
	if d.mem == nil {
		d.mem = &memory{}
	}
	return d.mem
}

// nextRow ends the row before: the texts that were put together for it go.
func (d *Document) nextRow() {
	if d.mem != nil {
		d.mem.texts, d.mem.held = d.mem.texts[:0], 0
	}
}

// Close gives the document's memory back. What was selected in it is worth
// nothing then: see [Row] and [Link] for what outlives it. Whoever asks a
// closed document for a piece has it made anew.
func (d *Document) Close() {
	m := d.mem
	if m == nil {
		return
	}
	d.mem, d.tree = nil, piece[*dom.Tree]{}
	m.tree.Reset(nil)
	if d.pages != nil && m.size() <= keptMemory {
		d.pages.free.Put(m)
	}
}

// size is about how many bytes there are, used or not.
func (m *memory) size() int { return m.tree.Footprint() + 8*cap(m.nodes) + cap(m.texts) }
