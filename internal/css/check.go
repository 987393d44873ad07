package css

import (
	"bytes"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// meets says whether an element passes every check.
func (m *Matcher) meets(checks []check, n dom.ID) bool {
	for i := range checks {
		if !m.passes(&checks[i], n) {
			return false
		}
	}
	return true
}

func (m *Matcher) passes(c *check, n dom.ID) bool {
	node := &m.tree.Nodes[n]
	switch c.kind {
	case isType:
		return node.Name == m.nameFor(c, node.Space)
	case isID:
		a := m.plain(n, name.Id)
		return a != nil && sameWord(m, m.value(a), c.value)
	case hasClass:
		a := m.plain(n, name.Class)
		return a != nil && m.hasClass(m.value(a), c.value)
	case hasAttr:
		return m.attribute(c, node)
	case isNot:
		return !m.any(c, n)
	case isAny:
		return m.any(c, n)
	case contains:
		return m.contains(c, n)
	case matches:
		return m.matches(c, n)
	case nth:
		return m.nth(c, n)
	case isRoot:
		return node.Parent == dom.Root
	case isEmpty:
		return m.empty(node)
	case isLanguage:
		return m.inLanguage(c, n)
	}
	return false
}

// nameFor is a check's name as elements of a namespace have it: in HTML in
// lower case, elsewhere as the selector has it (HTML 4.16.2). In XML it is in
// lower case, as the tree's names are.
func (m *Matcher) nameFor(c *check, space dom.Space) dom.Name {
	if space == dom.HTML || space == dom.XML {
		return m.names[c.name]
	}
	return m.names[c.written]
}

// any says whether an element passes one of the alternatives.
func (m *Matcher) any(c *check, n dom.ID) bool {
	for _, b := range c.bitmaps {
		if bit(m.bits[b], n) {
			return true
		}
	}
	for _, checks := range c.alternatives {
		if m.meets(checks, n) {
			return true
		}
	}
	return false
}

// plain is an element's attribute that is in no namespace, nil: it has none.
func (m *Matcher) plain(n dom.ID, name dom.Name) *dom.Attr {
	node := &m.tree.Nodes[n]
	attrs := m.tree.Attrs[node.A:node.B]
	m.steps += len(attrs)
	for i := range attrs {
		if a := &attrs[i]; a.Name == name && a.Space < dom.XLink {
			return a
		}
	}
	return nil
}

// value is an attribute's value, valid until the next one that has to be
// decoded.
func (m *Matcher) value(a *dom.Attr) []byte { return m.valueIn(&m.decoded, a) }

// valueIn is an attribute's value, decoded into a buffer where it has to be.
func (m *Matcher) valueIn(buffer *[]byte, a *dom.Attr) []byte {
	raw := m.raw(a.A, a.B, a.Flags)
	if a.Flags&dom.Refs == 0 {
		return raw
	}
	m.steps += len(raw)
	*buffer = dom.AppendDecoded((*buffer)[:0], raw, true)
	return *buffer
}

// raw is a range of the page's bytes.
func (m *Matcher) raw(a, b uint32, flags dom.Flags) []byte {
	if flags&dom.InExtra != 0 {
		return m.tree.Extra[a:b]
	}
	return m.tree.Source[a:b]
}

func (m *Matcher) hasClass(value, class []byte) bool {
	m.steps += len(value)
	return hasWord(value, func(word []byte) bool { return sameWord(m, word, class) })
}

// hasWord says whether one of the words between white space is meant.
func hasWord(value []byte, meant func(word []byte) bool) bool {
	for i := 0; i < len(value); {
		if isSpace(value[i]) {
			i++
			continue
		}
		begin := i
		for i < len(value) && !isSpace(value[i]) {
			i++
		}
		if meant(value[begin:i]) {
			return true
		}
	}
	return false
}

func (m *Matcher) attribute(c *check, node *dom.Node) bool {
	want := m.nameFor(c, node.Space)
	attrs := m.tree.Attrs[node.A:node.B]
	m.steps += len(attrs)
	for i := range attrs {
		if a := &attrs[i]; a.Name == want && a.Space < dom.XLink {
			if c.op == present {
				return true
			}
			return m.compare(c, m.value(a), node.Space == dom.HTML)
		}
	}
	return c.op == different
}

// compare compares an attribute's value (Selectors 4, 6.1 and 6.2).
func (m *Matcher) compare(c *check, value []byte, html bool) bool {
	m.steps += len(value)
	if c.op == expression {
		return c.re.Match(value)
	}
	want := c.value
	if c.letters == folded || c.letters == asHTML && c.anyCase && html {
		m.lower = appendLowerASCII(m.lower[:0], value)
		value, want = m.lower, c.small
	}
	switch c.op {
	case equal:
		return bytes.Equal(value, want)
	case different:
		return !bytes.Equal(value, want)
	case dash:
		return bytes.HasPrefix(value, want) && (len(value) == len(want) || value[len(want)] == '-')
	}
	if len(want) == 0 { // which nothing has
		return false
	}
	switch c.op {
	case includes:
		return hasWord(value, func(word []byte) bool { return bytes.Equal(word, want) })
	case prefix:
		return bytes.HasPrefix(value, want)
	case suffix:
		return bytes.HasSuffix(value, want)
	}
	return bytes.Contains(value, want)
}

// empty says whether there is nothing in an element but white space and
// comments (Selectors 4, :empty).
func (m *Matcher) empty(node *dom.Node) bool {
	for n := node.First; n != dom.None; n = m.tree.Nodes[n].Next {
		m.steps++
		switch in := &m.tree.Nodes[n]; in.Kind {
		case dom.Element:
			return false
		case dom.Text:
			text := m.raw(in.A, in.B, in.Flags)
			if in.Flags&dom.Refs != 0 {
				m.decoded = dom.AppendDecoded(m.decoded[:0], text, false)
				text = m.decoded
			}
			for _, c := range text {
				if m.steps++; !isSpace(c) {
					return false
				}
			}
		}
	}
	return true
}
