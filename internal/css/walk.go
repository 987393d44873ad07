package css

import (
	"slices"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// walk is the steps that are looked at in one walk over the nodes, by what an
// element must have for them.
type walk struct {
	owners  []int32
	linked  bool // there are steps that need others
	steps   []step
	always  []int32   // steps that may be any element
	types   [][]int32 // by place in names: steps for elements that are called so
	attrs   [][]int32 // for elements that have such an attribute
	hasAttr bool
	ids     words
	classes words
}

// key is what an element must have for a compound.
type key struct {
	kind          testKind // isType, hasAttr, isID, hasClass; never: nothing in particular
	name, written int32
	value         string
}

// keyOf is the key of a compound, that is what the fewest elements have, and
// what is left to check of those that have it.
func keyOf(checks []check) (k key, left []check) {
	k = key{kind: never}
	worth, at := 0, -1
	for i := range checks {
		c, w := &checks[i], 0
		switch {
		case c.kind == isID:
			w = 4
		case c.kind == hasClass:
			w = 3
		case c.kind == isType:
			w = 2
		case c.kind == hasAttr && c.op != different:
			w = 1
		}
		if w > worth {
			worth, at, k = w, i, key{c.kind, c.name, c.written, string(c.value)}
		}
	}
	if k.kind == isID || k.kind == hasClass || k.kind == isType && k.name == k.written {
		checks = slices.Delete(checks, at, at+1)
	}
	return k, checks
}

func newWalk() *walk { return &walk{} }

func (w *walk) add(s step) {
	at := int32(len(w.steps))
	w.steps = append(w.steps, s)
	switch k := s.key; k.kind {
	case isID:
		w.ids.add(k.value, at)
	case hasClass:
		w.classes.add(k.value, at)
	case isType:
		w.types = addAt(w.types, k.name, at)
		if k.written != k.name {
			w.types = addAt(w.types, k.written, at)
		}
	case hasAttr:
		w.attrs = addAt(w.attrs, k.name, at)
		if k.written != k.name {
			w.attrs = addAt(w.attrs, k.written, at)
		}
	default:
		w.always = append(w.always, at)
	}
	w.hasAttr = len(w.attrs) > 0 || w.ids.used() || w.classes.used()
}

func addAt(lists [][]int32, place, at int32) [][]int32 {
	for len(lists) <= int(place) {
		lists = append(lists, nil)
	}
	lists[place] = append(lists[place], at)
	return lists
}

// frame is an open element: the links that it and its relatives matched.
type frame struct {
	end  dom.ID
	bits [joins]uint64 // of the element; of it and those around it; of its last child element so far; of all of them
}

// walk looks for what is on among the walk's owners.
func (m *Matcher) walk(w *walk) {
	open, forever := m.begin(w)
	if open == 0 {
		return
	}
	nodes := m.tree.Nodes
	frames, top := append(m.frames[:0], frame{end: dom.ID(len(nodes))}), 0
	n := dom.ID(1)
	for ; int(n) < len(nodes); n++ {
		node := &nodes[n]
		if node.Kind != dom.Element {
			continue
		}
		for n >= frames[top].end {
			top--
		}
		f := &frames[top]
		m.got = 0
		m.element(w, f, n, node)
		if m.first == 0 && !forever {
			break
		}
		if !w.linked {
			continue
		}
		got := m.got
		f.bits[next] = got
		f.bits[later] |= got
		if node.First == dom.None {
			continue
		}
		around := f.bits[descendant]
		if top++; top == len(frames) {
			frames = append(frames, frame{})
		}
		f = &frames[top]
		f.end, f.bits[child], f.bits[descendant], f.bits[next], f.bits[later] = node.End, got, around|got, 0, 0
	}
	m.frames = frames
	m.steps += int(n)
}

// begin says how many of a walk's owners are on, and whether one of them is
// looked for up to the end.
func (m *Matcher) begin(w *walk) (open int, forever bool) {
	m.first = 0
	for _, o := range w.owners {
		if !m.on[o] {
			continue
		}
		open++
		if int(o) < len(m.lists) && m.want[o] == First {
			m.first++
		} else {
			forever = true
		}
	}
	m.seen = m.seen[:0]
	if w.classes.used() {
		m.seen = grown(m.seen, len(w.steps))
	}
	return open, forever
}

// element tries the steps that an element may be one of.
func (m *Matcher) element(w *walk, f *frame, n dom.ID, node *dom.Node) {
	for _, s := range w.always {
		m.try(&w.steps[s], f, n)
	}
	if at := m.place(node.Name); at >= 0 && int(at) < len(w.types) {
		for _, s := range w.types[at] {
			m.try(&w.steps[s], f, n)
		}
	}
	if !w.hasAttr {
		return
	}
	attrs := m.tree.Attrs[node.A:node.B]
	m.steps += len(attrs)
	for i := range attrs {
		a := &attrs[i]
		if a.Space >= dom.XLink {
			continue
		}
		if at := m.place(a.Name); at >= 0 && int(at) < len(w.attrs) {
			for _, s := range w.attrs[at] {
				m.try(&w.steps[s], f, n)
			}
		}
		switch {
		case a.Name == name.Class && w.classes.used():
			m.classes(w, f, n, m.valueIn(&m.words, a))
		case a.Name == name.Id && w.ids.used():
			m.word(w, &w.ids, f, n, m.valueIn(&m.words, a), false)
		}
	}
}

// classes tries the steps for each class of an element.
func (m *Matcher) classes(w *walk, f *frame, n dom.ID, value []byte) {
	m.steps += len(value)
	for i := 0; i < len(value); {
		if isSpace(value[i]) {
			i++
			continue
		}
		begin := i
		for i < len(value) && !isSpace(value[i]) {
			i++
		}
		if class := value[begin:i]; w.classes.may(class) {
			m.word(w, &w.classes, f, n, class, true)
		}
	}
}

// word tries the steps for a class or id. An element may name a class often:
// once is enough.
func (m *Matcher) word(w *walk, words *words, f *frame, n dom.ID, text []byte, once bool) {
	if !words.may(text) {
		return
	}
	for at := words.slots[hash(text)&words.mask]; at != 0; at = words.list[at-1].after {
		e := &words.list[at-1]
		if !sameWord(m, text, e.text) {
			continue
		}
		if once {
			if m.seen[e.step] == n {
				continue
			}
			m.seen[e.step] = n
		}
		m.try(&w.steps[e.step], f, n)
	}
}

// sameWord compares a class or id: in a document in quirks mode without regard
// to the case of ASCII letters (Selectors 4, 6.6 and 6.7).
func sameWord[T []byte | string](m *Matcher, text []byte, word T) bool {
	if string(text) == string(word) {
		return true
	}
	return m.quirks && len(text) == len(word) && equalFold(text, word)
}

// try looks at one step for an element.
func (m *Matcher) try(s *step, f *frame, n dom.ID) {
	m.steps++
	if f.bits[s.join]&s.need != s.need || !m.on[s.owner] || !m.meets(s.checks, n) {
		return
	}
	if s.give != 0 {
		m.got |= s.give
		return
	}
	switch s.sink {
	case toList:
		list := m.lists[s.target]
		if len(list) > 0 && list[len(list)-1] == n { // of another sequence of the group
			return
		}
		m.lists[s.target] = append(list, n)
		if m.want[s.target] == First {
			m.on[s.owner] = false
			m.first--
		}
	case toParent:
		n = m.tree.Nodes[n].Parent
		fallthrough
	case toBitmap:
		m.bits[s.target][n>>6] |= 1 << (n & 63)
	}
}

// words are classes or ids, and the steps they are of.
type words struct {
	lengths [256]uint64 // by the first byte | 0x20: lengths that there are, 63 for all from there on
	slots   [128]int32  // by hash: place in list + 1
	mask    uint32
	list    []word
}

type word struct {
	text  string
	step  int32
	after int32 // place in list + 1 of the next one in the slot
}

func (w *words) used() bool { return len(w.list) > 0 }

func (w *words) add(text string, step int32) {
	w.mask = uint32(len(w.slots) - 1)
	w.lengths[text[0]|0x20] |= 1 << min(len(text), 63)
	slot := &w.slots[hash([]byte(text))&w.mask]
	w.list = append(w.list, word{text, step, *slot})
	*slot = int32(len(w.list))
}

// may says whether a text can be one of the words.
func (w *words) may(text []byte) bool {
	return len(text) > 0 && w.lengths[text[0]|0x20]>>min(len(text), 63)&1 != 0
}

// hash doesn't tell capitals from small letters.
func hash(text []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range text {
		h = (h ^ uint32(c|0x20)) * 16777619
	}
	return h ^ h>>15
}

// equalFold compares texts of one length without regard to the case of ASCII
// letters.
func equalFold[A, B []byte | string](a A, b B) bool {
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// appendLowerASCII appends text with its ASCII letters in lower case.
func appendLowerASCII(dst, text []byte) []byte {
	for _, c := range text {
		dst = append(dst, lower(c))
	}
	return dst
}
