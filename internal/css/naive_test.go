package css

import (
	"slices"
	"strings"
	"unicode"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// naive is what selectors mean, word for word as the standard has it, for one
// element at a time and without a thought for what it costs.
type naive struct{ t *dom.Tree }

// all is every element that a group matches.
func (v naive) all(group []sequence) (found []dom.ID) {
	for n := range v.t.Nodes {
		if v.group(group, dom.ID(n)) {
			found = append(found, dom.ID(n))
		}
	}
	return found
}

func (v naive) group(group []sequence, n dom.ID) bool {
	return slices.ContainsFunc(group, func(s sequence) bool { return v.sequence(s, n) })
}

// sequence goes from the last compound to the first.
func (v naive) sequence(s sequence, n dom.ID) bool {
	last := &s[len(s)-1]
	if !v.t.IsElement(n) || !v.compound(last.tests, n) {
		return false
	}
	if len(s) == 1 {
		return true
	}
	return slices.ContainsFunc(v.relatives(last.join, n), func(r dom.ID) bool { return v.sequence(s[:len(s)-1], r) })
}

// relatives are the elements that come before n in a join.
func (v naive) relatives(j join, n dom.ID) (list []dom.ID) {
	node := func(n dom.ID) *dom.Node { return &v.t.Nodes[n] }
	switch j {
	case child:
		list = append(list, node(n).Parent)
	case descendant:
		for p := node(n).Parent; p != dom.None; p = node(p).Parent {
			list = append(list, p)
		}
	case next:
		list = v.relatives(later, n)
		return list[:min(len(list), 1)]
	case later:
		for s := node(n).Prev; s != dom.None; s = node(s).Prev {
			list = append(list, s)
		}
	}
	return slices.DeleteFunc(list, func(n dom.ID) bool { return !v.t.IsElement(n) })
}

// forward goes from the first compound, a relative of n, to the last.
func (v naive) forward(s sequence, n dom.ID) bool {
	if len(s) == 0 {
		return true
	}
	for m := range v.t.Nodes {
		if m := dom.ID(m); v.t.IsElement(m) && slices.Contains(v.relatives(s[0].join, m), n) && v.compound(s[0].tests, m) && v.forward(s[1:], m) {
			return true
		}
	}
	return false
}

func (v naive) compound(tests []test, n dom.ID) bool {
	for i := range tests {
		if !v.test(&tests[i], n) {
			return false
		}
	}
	return true
}

func (v naive) test(t *test, n dom.ID) bool {
	node := &v.t.Nodes[n]
	fold := v.t.Quirks == dom.FullQuirks
	switch t.kind {
	case isType:
		return v.t.NameOf(node.Name) == v.name(t, n)
	case isID:
		value, ok := v.attr(n, "id")
		return ok && same(value, t.value, fold)
	case hasClass:
		value, _ := v.attr(n, "class")
		return slices.ContainsFunc(fields(value), func(c string) bool { return same(c, t.value, fold) })
	case hasAttr:
		return v.attribute(t, n)
	case isNot:
		return !v.group(t.args, n)
	case isAny:
		return v.group(t.args, n)
	case has:
		return slices.ContainsFunc(t.args, func(s sequence) bool { return v.forward(s, n) })
	case hasChild:
		for c := node.First; c != dom.None; c = v.t.Nodes[c].Next {
			if v.group(t.args, c) {
				return true
			}
		}
		return false
	case contains:
		return strings.Contains(strings.ToLower(v.text(n, t.own)), t.value)
	case matches:
		return t.re.MatchString(v.text(n, t.own))
	case nth:
		steps := v.number(t, n) - t.b
		return steps == 0 || t.a != 0 && steps%t.a == 0 && steps/t.a > 0
	case isRoot:
		return node.Parent == dom.Root
	case isEmpty:
		for c := node.First; c != dom.None; c = v.t.Nodes[c].Next {
			if v.t.IsElement(c) || v.t.Nodes[c].Kind == dom.Text && strings.Trim(v.t.Data(c), " \t\r\n\f") != "" {
				return false
			}
		}
		return true
	case isLanguage:
		return v.language(t, n)
	}
	return false
}

// name is a name of the selector as an element compares it.
func (v naive) name(t *test, n dom.ID) string {
	if s := v.t.Nodes[n].Space; s == dom.HTML || s == dom.XML {
		return lowered(t.name)
	}
	return t.name
}

func (v naive) attr(n dom.ID, key string) (string, bool) {
	number, _ := v.t.Lookup(key)
	return v.t.Attr(n, number)
}

func (v naive) attribute(t *test, n dom.ID) bool {
	value, ok := "", false
	if number, known := v.t.Lookup(v.name(t, n)); known {
		value, ok = v.t.Attr(n, number)
	}
	if !ok || t.op == present {
		return ok == (t.op != different)
	}
	want := t.value
	if t.letters == folded || t.letters == asHTML && anyCase[lowered(t.name)] && v.t.Nodes[n].Space == dom.HTML {
		value, want = lowered(value), lowered(want)
	}
	switch t.op {
	case equal:
		return value == want
	case different:
		return value != want
	case includes:
		return slices.Contains(fields(value), want)
	case dash:
		return value == want || strings.HasPrefix(value, want+"-")
	case prefix:
		return want != "" && strings.HasPrefix(value, want)
	case suffix:
		return want != "" && strings.HasSuffix(value, want)
	case substring:
		return want != "" && strings.Contains(value, want)
	}
	return t.re.MatchString(value)
}

func (v naive) text(n dom.ID, own bool) string {
	if !own {
		return string(v.t.AppendText(nil, n))
	}
	text := ""
	for c := v.t.Nodes[n].First; c != dom.None; c = v.t.Nodes[c].Next {
		if v.t.Nodes[c].Kind == dom.Text {
			text += v.t.Data(c)
		}
	}
	return text
}

func (v naive) number(t *test, n dom.ID) int {
	i := 1
	step := func(n dom.ID) dom.ID { return v.t.Nodes[n].Prev }
	if t.last {
		step = func(n dom.ID) dom.ID { return v.t.Nodes[n].Next }
	}
	for s := step(n); s != dom.None; s = step(s) {
		if v.t.IsElement(s) && (!t.ofType || v.t.Nodes[s].Name == v.t.Nodes[n].Name && v.t.Nodes[s].Space == v.t.Nodes[n].Space) {
			i++
		}
	}
	return i
}

// language knows only such ranges as are a language, or a language and a
// region.
func (v naive) language(t *test, n dom.ID) bool {
	for ; n != dom.Root; n = v.t.Nodes[n].Parent {
		for _, a := range v.t.AttrsOf(n) {
			if a.Name == name.Lang && a.Space < dom.XLink {
				value := lowered(v.t.Value(&a))
				return value != "" && (value == t.value || strings.HasPrefix(value, t.value+"-"))
			}
		}
	}
	return false
}

func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r < unicode.MaxASCII && isSpace(byte(r)) })
}

func same(a, b string, fold bool) bool { return a == b || fold && lowered(a) == lowered(b) }
