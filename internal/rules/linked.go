package rules

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// Bounds of one JSON-LD block that is read: bytes, since decoded JSON takes
// many times its text, and how deep it nests, since a JSONPath with ".." makes
// a path of that length for all it selects.
const (
	maxLinked      = 2 << 20
	maxLinkedDepth = 64
)

// Linked are the page's JSON-LD nodes in document order: the blocks
// (script type="application/ld+json"), each element of an array, each element
// of an object's @graph after the object itself. Numbers are json.Number. A
// block that is no JSON even after mending (comments, CDATA, raw control
// characters, trailing commas), over 2 MiB or nested over 64 deep is skipped. Faults are those of Tree.
func (d *Document) Linked() ([]any, *Fault) {
	return d.linked.get(func() ([]any, *Fault) {
		tree, fault := d.Tree()
		if fault != nil {
			return nil, fault
		}
		var nodes []any
		for i := range tree.Nodes {
			n := &tree.Nodes[i]
			if n.Name != name.Script || n.Kind != dom.Element || n.Space == dom.XML {
				continue
			}
			if t, _ := tree.Attr(dom.ID(i), name.Type); mediaType(t) == "application/ld+json" {
				for _, v := range linkedValues(tree.TextOf(dom.ID(i), 0)) {
					nodes = appendNodes(nodes, v)
				}
			}
		}
		return nodes, nil
	})
}

func appendNodes(nodes []any, v any) []any {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			nodes = appendNodes(nodes, e)
		}
	case map[string]any:
		nodes = append(nodes, v)
		if graph, ok := v["@graph"]; ok {
			nodes = appendNodes(nodes, graph)
		}
	}
	return nodes
}

// linkedValues reads the JSON values of a block; none when it is broken.
func linkedValues(text string) []any {
	if len(text) > maxLinked {
		return nil
	}
	if values := jsonValues(text); values != nil {
		return values
	}
	return jsonValues(mendJSON(text))
}

// jsonValues reads one JSON value after the other, up to the first that is
// broken.
func jsonValues(text string) (values []any) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	for {
		var v any
		if dec.Decode(&v) != nil || deeper(v, maxLinkedDepth) {
			return values
		}
		values = append(values, v)
	}
}

// deeper reports whether a value nests more than n arrays and objects.
func deeper(v any, n int) bool {
	switch v := v.(type) {
	case []any:
		return n == 0 || slices.ContainsFunc(v, func(e any) bool { return deeper(e, n-1) })
	case map[string]any:
		if n == 0 {
			return true
		}
		for _, e := range v {
			if deeper(e, n-1) {
				return true
			}
		}
	}
	return false
}

// mendJSON leaves out what scripts have around and between JSON (comments,
// CDATA marks, a comma before a closing bracket) and escapes control
// characters inside strings.
func mendJSON(text string) string {
	var b strings.Builder
	comma := false // read and not written yet
	for i := 0; i < len(text); {
		rest := text[i:]
		if n := junk(rest); n > 0 {
			i += n
			continue
		}
		c := rest[0]
		if comma && strings.IndexByte(" \t\r\n", c) < 0 {
			if comma = false; c != '}' && c != ']' {
				b.WriteByte(',')
			}
		}
		switch c {
		case '"':
			i += mendString(&b, rest)
			continue
		case ',':
			comma = true
		default:
			b.WriteByte(c)
		}
		i++
	}
	return b.String()
}

// junk returns the length of what begins here and isn't JSON; 0: it may be.
func junk(rest string) int {
	switch {
	case strings.HasPrefix(rest, "//") && strings.HasPrefix(strings.TrimLeft(rest[2:], " \t"), "<![CDATA["):
		return 2 // the mark itself comes next, and what follows it on the line counts
	case strings.HasPrefix(rest, "//"):
		return until(rest, "\n")
	case strings.HasPrefix(rest, "/*"):
		return until(rest, "*/")
	case strings.HasPrefix(rest, "<!--"):
		return until(rest, "-->")
	}
	for _, mark := range []string{"<![CDATA[", "]]>", "-->", ";", byteOrderMark} {
		if strings.HasPrefix(rest, mark) {
			return len(mark)
		}
	}
	return 0
}

// until returns the length of rest up to the end of mark, or all of it.
func until(rest, mark string) int {
	if i := strings.Index(rest, mark); i >= 0 {
		return i + len(mark)
	}
	return len(rest)
}

// mendString copies the string literal at the start of rest and returns its
// length there.
func mendString(b *strings.Builder, rest string) int {
	const hex = "0123456789abcdef"
	b.WriteByte('"')
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\\' && i+1 < len(rest) && rest[i+1] >= ' ':
			b.WriteString(rest[i : i+2])
			i++
		case c == '"':
			b.WriteByte(c)
			return i + 1
		case c < ' ':
			b.WriteString(`\u00`)
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return len(rest)
}
