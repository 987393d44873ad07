package xpath

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

func count(c context, args []expr) float64 {
	return float64(len(args[0].(nodeSet).nodes(c, wantAll)))
}

func sum(c context, args []expr) float64 {
	total := 0.0
	nodes := args[0].(nodeSet).nodes(c, wantAll)
	m := c.run.mark()
	for _, n := range nodes {
		total += c.run.parseNumber(c.run.text(n))
		c.run.cut(m)
	}
	return total
}

// byID takes attributes called id for identifiers, as HTML does.
func byID(c context, args []expr) []Node {
	r := c.run
	wanted := map[string]bool{}
	add := func(text string) {
		r.lookAt(8 * len(text)) // a word may be one byte
		for id := range strings.FieldsSeq(text) {
			wanted[id] = true
		}
	}
	begin := len(r.stack)
	if set, ok := args[0].(nodeSet); ok {
		for _, n := range set.nodes(c, wantAll) {
			add(r.text(n))
		}
	} else {
		add(args[0].text(c))
	}
	r.stack = r.stack[:begin]
	for i := range r.tree.Nodes {
		if len(wanted) == 0 {
			break
		}
		r.spend(1)
		n := NodeOf(dom.ID(i))
		own, found := r.attribute(n, name.Id)
		if !found {
			continue
		}
		m := r.mark()
		id := r.text(own)
		is := wanted[id]
		delete(wanted, id) // the first in the document has it
		if r.cut(m); is {
			r.push(n)
		}
	}
	return r.stack[begin:]
}

// nameOfFirst is the name of the node-set's first node.
func nameOfFirst(c context, args []expr) string {
	if nodes := args[0].(nodeSet).nodes(c, wantFirst); len(nodes) > 0 {
		return nameOf(c.run.tree, nodes[0])
	}
	return ""
}

func localName(c context, args []expr) string {
	name := nameOfFirst(c, args)
	return name[strings.IndexByte(name, ':')+1:]
}

// namespaceURI knows the namespaces that HTML itself has (13.2.6); those that
// XML declares are not looked at.
func namespaceURI(c context, args []expr) string {
	if nodes := args[0].(nodeSet).nodes(c, wantFirst); len(nodes) > 0 && nodes[0].IsElement(c.run.tree) {
		switch c.run.tree.Nodes[nodes[0].ID].Space {
		case dom.SVG:
			return "http://www.w3.org/2000/svg"
		case dom.MathML:
			return "http://www.w3.org/1998/Math/MathML"
		}
	}
	return ""
}

// concat writes into scratch: each text, once it is known, over what was needed
// for it.
func concat(c context, args []expr) string {
	r := c.run
	begin := len(r.scratch)
	for _, a := range args {
		nodes, at := len(r.stack), len(r.scratch)
		s := a.text(c)
		r.spend(1 + len(s)/64)
		r.scratch = append(r.scratch[:at], s...)
		r.stack = r.stack[:nodes]
		r.boundScratch()
	}
	return view(r.scratch[begin:])
}

func onTexts[T any](f func(a, b string) T) func(context, []expr) T {
	return func(c context, args []expr) T {
		a, b := args[0].text(c), args[1].text(c)
		c.run.spend(1 + len(a)/64)
		return f(a, b)
	}
}

func before(s, sep string) string {
	if i := strings.Index(s, sep); i >= 0 {
		return s[:i]
	}
	return ""
}

func after(s, sep string) string {
	if i := strings.Index(s, sep); i >= 0 {
		return s[i+len(sep):]
	}
	return ""
}

// substring counts characters from 1; positions p with round(from) <= p <
// round(from) + round(length) stay (4.2).
func substring(c context, args []expr) string {
	s := args[0].text(c)
	from := round(args[1].number(c))
	end := math.Inf(1)
	if len(args) == 3 {
		end = from + round(args[2].number(c))
	}
	begin, stop, position := -1, len(s), 0.0
	for i := range s {
		position++
		in := position >= from && position < end
		if in && begin < 0 {
			begin = i
		}
		if !in && begin >= 0 {
			stop = i
			break
		}
	}
	c.run.lookAt(stop)
	if begin < 0 {
		return ""
	}
	return s[begin:stop]
}

func stringLength(c context, args []expr) float64 {
	s := args[0].text(c)
	c.run.spend(len(s) / 16)
	return float64(utf8.RuneCountInString(s))
}

// normalizeSpace writes into scratch unless the text is as it should be.
func normalizeSpace(c context, args []expr) string {
	r, s := c.run, args[0].text(c)
	r.lookAt(len(s))
	if s = strings.Trim(s, xmlSpace); isNormal(s) {
		return s
	}
	begin := len(r.scratch)
	for word := range strings.FieldsFuncSeq(s, func(c rune) bool { return c < utf8.RuneSelf && strings.IndexByte(xmlSpace, byte(c)) >= 0 }) {
		if len(r.scratch) > begin {
			r.scratch = append(r.scratch, ' ')
		}
		r.scratch = append(r.scratch, word...)
	}
	return r.scratchFrom(begin)
}

// isNormal reports whether a text without white space at its ends has single
// spaces only.
func isNormal(s string) bool {
	for i := range len(s) {
		if c := s[i]; c == '\t' || c == '\r' || c == '\n' || c == ' ' && s[i+1] == ' ' {
			return false
		}
	}
	return true
}

func translate(c context, args []expr) string {
	s, from, to := args[0].text(c), args[1].text(c), []rune(args[2].text(c))
	c.run.lookAt(len(s) + 8*(len(from)+len(to)))
	var letters [utf8.RuneSelf]rune
	for i := range letters {
		letters[i] = rune(i)
	}
	others := map[rune]rune{}
	for i, r := range slices.Backward([]rune(from)) { // of two the first counts
		by := rune(-1)
		if i < len(to) {
			by = to[i]
		}
		if r < utf8.RuneSelf {
			letters[r] = by
		} else {
			others[r] = by
		}
	}
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			return letters[r]
		}
		if by, ok := others[r]; ok {
			return by
		}
		return r
	}, s)
}

// lang goes by the nearest lang or xml:lang (4.3).
func lang(c context, args []expr) bool {
	t := c.run.tree
	want := args[0].text(c)
	for n := c.node.ID; n != dom.None; n = t.Nodes[n].Parent {
		own := t.AttrsOf(n)
		c.run.spend(1 + len(own)/8)
		for i := range own {
			if a := &own[i]; a.Name == name.Lang && (a.Space == dom.HTML || a.Space == dom.XMLSpace) || a.Name == name.XmlLang {
				have := c.run.text(Node{n, int32(t.Nodes[n].A) + int32(i) + 1})
				return len(have) >= len(want) && strings.EqualFold(have[:len(want)], want) && (len(have) == len(want) || have[len(want)] == '-')
			}
		}
	}
	return false
}

func onNumber(f func(float64) float64) func(context, []expr) float64 {
	return func(c context, args []expr) float64 { return f(args[0].number(c)) }
}

// round goes to the nearest whole number, halves upwards (4.4).
func round(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) || f == math.Trunc(f) {
		return f
	}
	return math.Copysign(math.Floor(f+0.5), f) // -0.4 becomes -0
}
