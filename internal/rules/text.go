package rules

import (
	"strings"
	"unsafe"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
	"github.com/harrowdata/harrow/internal/xpath"
)

// textOf is the text content of a node (DOM textContent), up to about limit
// bytes; 0: all of it. It is valid until the next row. Codes of the fault:
// "cost", "rows".
func (d *Document) textOf(n dom.ID, limit int) (string, *Fault) {
	tree, m := d.tree.value, d.mem
	node := &tree.Nodes[n]
	if one := node.First; one != dom.None && one == node.Last && tree.Nodes[one].Kind == dom.Text { // as most elements have it
		n, node = one, &tree.Nodes[one]
	}
	if node.Kind == dom.Text && node.Flags&dom.Refs == 0 {
		return tree.Data(n), d.spend(1)
	}
	text, decoded := tree.AppendTextTo(m.texts[len(m.texts):], n, limit)
	return d.keep(text, int(node.End-n)/8+decoded/xpath.LookedAt)
}

// valueOf is an attribute's value; see textOf.
func (d *Document) valueOf(a *dom.Attr) (string, *Fault) {
	tree, m := d.tree.value, d.mem
	if a.Flags&dom.Refs == 0 {
		return tree.Value(a), d.spend(1)
	}
	return d.keep(tree.AppendValue(m.texts[len(m.texts):], a), int(a.B-a.A)/xpath.LookedAt)
}

// keep takes a text into the memory of texts, and from the budget what making
// it cost beside copying it.
func (d *Document) keep(text []byte, cost int) (string, *Fault) {
	m := d.mem
	if m.held += len(text); m.held > maxPageBytes {
		return "", faultf(CodeRows, "the texts of a row hold more than %d bytes", maxPageBytes)
	}
	if len(text) <= cap(m.texts)-len(m.texts) {
		m.texts = m.texts[:len(m.texts)+len(text)]
	} else {
		// It is in memory of its own. What was handed out stays where it is: to
		// have it move would keep its old memory too.
		if room := max(leastTexts, min(2*cap(m.texts), mostTexts)); cap(text) < room {
			text = append(make([]byte, 0, room), text...)
		}
		m.texts = text
	}
	return asString(text), d.spend(1 + cost + len(text)/64)
}

// Bounds of the memory that is taken at once for texts, but for a longer text.
const (
	leastTexts = 4 << 10
	mostTexts  = 1 << 20
)

// attributeOf is the value of an element's attribute by its name in lower case;
// see textOf.
func (d *Document) attributeOf(n dom.ID, key string) (value string, ok bool, fault *Fault) {
	tree := d.tree.value
	own := tree.AttrsOf(n)
	known, isKnown := name.Of(key)
	for i := range own {
		a := &own[i]
		if isKnown && a.Name == known && a.Space < dom.XLink || isNamed(tree, a, key) {
			value, fault = d.valueOf(a)
			return value, fault == nil, fault
		}
	}
	return "", false, d.spend(1)
}

// spend takes from the budget. Code of the fault: "cost".
func (d *Document) spend(n int) *Fault {
	if d.budget.Left -= int64(n); d.budget.Left < 0 {
		return d.spent()
	}
	return nil
}

// isNamed compares an attribute's name as the page writes it, prefix included
// (xlink:href), without regard to case: SVG keeps capitals (viewBox).
func isNamed(tree *dom.Tree, a *dom.Attr, key string) bool {
	own := tree.NameOf(a.Name)
	if prefix := prefixes[a.Space]; prefix != "" && own != "xmlns" {
		rest, ok := strings.CutPrefix(key, prefix)
		return ok && strings.EqualFold(own, rest)
	}
	return len(own) == len(key) && strings.EqualFold(own, key)
}

var prefixes = [...]string{dom.XLink: "xlink:", dom.XMLSpace: "xml:", dom.XMLNS: "xmlns:"}

// asString is b as a string that shares its memory.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
