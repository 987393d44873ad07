package css

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/harrowdata/harrow/internal/dom"
)

// texts are the page's text nodes put together, made when they are asked for
// first.
type texts struct {
	lowered, plain text
	next           []occurrence // by needle
	looked         int          // bytes that regular expressions have had to look at more than once
}

// text is the texts of a page one after the other.
type text struct {
	made  bool
	bytes []byte
	begin []uint32 // by node: where in bytes what is in it and behind it begins; one more for the end
}

// occurrence is where a needle is found first from a place on.
type occurrence struct {
	looked   bool
	from, at int // at: past all places where there is none any more
}

func (t *texts) reset() {
	for _, x := range []*text{&t.lowered, &t.plain} {
		x.made, x.bytes, x.begin = false, kept(x.bytes), kept(x.begin)
	}
	clear(t.next)
	t.looked = 0
}

// contains says whether an element has a text in it, without regard to case.
func (m *Matcher) contains(c *check, n dom.ID) bool {
	if node := &m.tree.Nodes[n]; c.own || m.single(node) {
		m.lower = m.lower[:0]
		for k := node.First; k != dom.None; k = m.tree.Nodes[k].Next {
			if m.steps++; m.tree.Nodes[k].Kind == dom.Text {
				m.lower = appendLower(m.lower, m.textOf(k))
			}
		}
		return bytes.Contains(m.lower, c.value)
	}
	x := &m.texts.lowered
	if !x.made {
		m.make(x, appendLower)
	}
	from, to := x.of(m.tree, n)
	return m.find(c, x.bytes, from)+len(c.value) <= to
}

// single says whether all there is in an element is one text node, or nothing.
func (m *Matcher) single(node *dom.Node) bool {
	return node.First == node.Last && (node.First == dom.None || m.tree.Nodes[node.First].Kind == dom.Text)
}

// find is where in text the first occurrence from a place on is. It looks at
// each byte about once if it is asked in the order of the places, up or down.
func (m *Matcher) find(c *check, text []byte, from int) int {
	o := &m.texts.next[c.needle]
	end := len(text)
	switch {
	case o.looked && o.from <= from && from <= o.at:
		return o.at
	case o.looked && from < o.from:
		end = min(end, o.from+len(c.value)-1) // from there on o.at says it
	default:
		o.at = len(text) + 1
	}
	o.looked, o.from = true, from
	if i := bytes.Index(text[from:end], c.value); i >= 0 {
		o.at = from + i
	}
	m.steps += min(o.at, end) - from
	return o.at
}

// reread is how often :matches may look at a page's text, beside what it looks
// at once: where elements are nested, each has the text of those in it.
const reread = 64

// matches says whether a regular expression matches in an element's text.
func (m *Matcher) matches(c *check, n dom.ID) bool {
	node := &m.tree.Nodes[n]
	if c.own || m.single(node) {
		m.lower = m.lower[:0]
		for k := node.First; k != dom.None; k = m.tree.Nodes[k].Next {
			if m.steps++; m.tree.Nodes[k].Kind == dom.Text {
				m.lower = append(m.lower, m.textOf(k)...)
			}
		}
		return c.re.Match(m.lower)
	}
	x := &m.texts.plain
	if !x.made {
		m.make(x, func(dst, text []byte) []byte { return append(dst, text...) })
	}
	from, to := x.of(m.tree, n)
	m.texts.looked += to - from
	if limit := reread * (len(x.bytes) + 4096); m.texts.looked > limit {
		m.err = &CostError{limit}
		return false
	}
	m.steps += to - from
	return c.re.Match(x.bytes[from:to])
}

// textOf is the text of a text node, valid until the next one that has to be
// decoded.
func (m *Matcher) textOf(n dom.ID) []byte {
	node := &m.tree.Nodes[n]
	raw := m.raw(node.A, node.B, node.Flags)
	m.steps += len(raw)
	if node.Flags&dom.Refs == 0 {
		return raw
	}
	m.decoded = dom.AppendDecoded(m.decoded[:0], raw, false)
	return m.decoded
}

// make puts the page's texts together.
func (m *Matcher) make(x *text, add func(dst, text []byte) []byte) {
	x.made = true
	for n := range m.tree.Nodes {
		x.begin = append(x.begin, uint32(len(x.bytes)))
		if m.tree.Nodes[n].Kind == dom.Text {
			x.bytes = add(x.bytes, m.textOf(dom.ID(n)))
		}
	}
	x.begin = append(x.begin, uint32(len(x.bytes)))
}

// of is the range of an element's text.
func (x *text) of(t *dom.Tree, n dom.ID) (from, to int) {
	return int(x.begin[n]), int(x.begin[t.Nodes[n].End])
}

// appendLower appends text in lower case, character by character.
func appendLower(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			dst = append(dst, lower(c))
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
		i += size
	}
	return dst
}
