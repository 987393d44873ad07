package css

import (
	"bytes"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// inLanguage says whether an element's language is in a range (Selectors 4,
// 7.2).
func (m *Matcher) inLanguage(c *check, n dom.ID) bool {
	if len(m.languages) == 0 {
		m.findLanguages()
	}
	of := m.languages[n]
	if of == dom.Root {
		return false
	}
	value := m.value(m.language(of))
	m.steps += len(value)
	m.lower = appendLowerASCII(m.lower[:0], value)
	return inRange(m.lower, c.value)
}

// findLanguages notes for every node which element says its language: the
// nearest one around it that has a lang attribute, or itself (HTML 3.2.6.2).
func (m *Matcher) findLanguages() {
	nodes := m.tree.Nodes
	m.languages = grown(m.languages, len(nodes))
	for n := dom.ID(1); int(n) < len(nodes); n++ {
		m.steps++
		if m.languages[n] = m.languages[nodes[n].Parent]; nodes[n].Kind == dom.Element && m.language(n) != nil {
			m.languages[n] = n
		}
	}
}

// language is an element's attribute that says its language: that of XML goes
// before that of HTML.
func (m *Matcher) language(n dom.ID) (found *dom.Attr) {
	node := &m.tree.Nodes[n]
	attrs := m.tree.Attrs[node.A:node.B]
	m.steps += len(attrs)
	for i := range attrs {
		switch a := &attrs[i]; {
		case a.Space == dom.XMLSpace && a.Name == name.Lang, a.Space == dom.XML && a.Name == name.XmlLang:
			return a
		case a.Space < dom.XLink && a.Name == name.Lang:
			found = a
		}
	}
	return found
}

// inRange is extended filtering (RFC 4647, 3.3.2) of a tag by a range, both in
// lower case.
func inRange(tag, ranges []byte) bool {
	want, ranges, more := bytes.Cut(ranges, hyphen)
	have, tag, rest := bytes.Cut(tag, hyphen)
	if !bytes.Equal(want, have) || len(have) == 0 {
		return false
	}
	for more {
		want, ranges, more = bytes.Cut(ranges, hyphen)
		for {
			if !rest {
				return false
			}
			have, tag, rest = bytes.Cut(tag, hyphen)
			if bytes.Equal(want, have) {
				break
			}
			if len(have) == 1 { // what is behind an x, say, is its own
				return false
			}
		}
	}
	return true
}

var hyphen = []byte("-")
