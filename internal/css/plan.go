package css

import (
	"regexp"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// plan is a set made ready to be matched. Nothing in it changes any more.
//
// Owners are who matches are looked for: first the set's selectors by their
// number, then the arguments of :has, :not and the like that can't be told from
// an element alone. Those have bitmaps, which are filled before what asks for
// them is looked at: level 0 asks for none, level 1 for those of level 0.
type plan struct {
	names   []string   // that selectors have
	index   []int32    // by known name: its place in names + 1; 0: no selector has it
	own     []int32    // places of those in names that aren't known
	known   []dom.Name // by place: the number of a known name
	owners  int
	uses    [][]int32 // by selector: owners that have to be known for it
	levels  []level
	bitmaps []int32 // owners of the bitmaps
	needles int     // of :contains
}

// level is what is found out in one go: the last one of a plan is the set's
// selectors.
type level struct {
	walks []*walk
	asks  []ask
}

// check is a test made ready.
type check struct {
	kind          testKind
	op            attrOp
	letters       letters
	anyCase       bool // letters of the values of this attribute of HTML
	last, ofType  bool
	own           bool
	name, written int32 // places in names: in lower case, and as written
	a, b          int
	needle        int32  // number of the :contains
	value, small  []byte // small: in lower case
	re            *regexp.Regexp
	alternatives  [][]check
	bitmaps       []int32 // more alternatives
}

// sink is where matches of an owner go.
type sink uint8

const (
	toList   sink = iota // of selector number target
	toBitmap             // number target
	toParent             // the parent's bit in it
)

// unit is the sequences of an owner.
type unit struct {
	owner, target int32
	sink          sink
	sequences     [][]step
	links         int
}

// step is a compound made ready, of an owner's sequence.
type step struct {
	join   join
	need   uint64 // bit of the compound before, among those that the relatives matched that join is about; 0: none before
	give   uint64 // bit of this one; 0: it is the last
	owner  int32
	target int32
	sink   sink
	checks []check
	key    key
}

// maxLinks is how many compounds before others one walk has bits for.
const maxLinks = 64

// builder makes a plan.
type builder struct {
	plan
	units    [][]unit // by level
	asks     [][]ask
	selector int
}

func newPlan(selectors []*Selector) *plan {
	b := &builder{plan: plan{index: make([]int32, name.Count), owners: len(selectors), uses: make([][]int32, len(selectors))}}
	var main []unit
	for i, s := range selectors {
		b.selector = i
		u, _ := b.unit(s.group)
		u.owner, u.target = int32(i), int32(i)
		main = append(main, u)
	}
	b.units = append(b.units, main)
	b.asks = append(b.asks, nil)
	for i, units := range b.units {
		b.levels = append(b.levels, level{b.pack(units), b.asks[i]})
	}
	return &b.plan
}

// place is the place of a name.
func (b *builder) place(text string) int32 {
	if i := slices.Index(b.names, text); i >= 0 {
		return int32(i)
	}
	i := int32(len(b.names))
	n, known := name.Of(text)
	if known {
		b.index[n] = i + 1
	} else {
		b.own = append(b.own, i)
	}
	b.names, b.known = append(b.names, text), append(b.known, n)
	return i
}

// unit makes sequences ready, and says what level they are of.
func (b *builder) unit(group []sequence) (u unit, lvl int) {
	for _, s := range fit(group) {
		steps := make([]step, len(s))
		for i := range s {
			checks, l := b.checks(s[i].tests)
			steps[i] = step{join: s[i].join}
			steps[i].key, steps[i].checks = keyOf(checks)
			lvl = max(lvl, l)
		}
		u.sequences = append(u.sequences, steps)
		u.links += len(s) - 1
	}
	return u, lvl
}

// fit puts beginnings of sequences, where they have more links than a walk has
// bits for, into an :is of their own, which finds the same.
func fit(group []sequence) []sequence {
	out := slices.Clone(group)
	links := 0
	for i, s := range out {
		for len(s) > maxLinks+1 {
			s = slices.Concat(aside(s[:maxLinks+1]), s[maxLinks+1:])
		}
		out[i] = s
		links += len(s) - 1
	}
	for i, s := range out {
		if links > maxLinks && len(s) > 1 {
			out[i] = aside(s)
			links -= len(s) - 1
		}
	}
	return out
}

func aside(s sequence) sequence {
	return sequence{{tests: []test{{kind: isAny, args: []sequence{s}}}}}
}

// checks makes tests ready, and says what level those are of who ask for them.
func (b *builder) checks(tests []test) (checks []check, lvl int) {
	for i := range tests {
		t := &tests[i]
		c := check{kind: t.kind, op: t.op, letters: t.letters, last: t.last, ofType: t.ofType, own: t.own, a: t.a, b: t.b, value: []byte(t.value), small: []byte(lowered(t.value)), re: t.re}
		switch t.kind {
		case isType, hasAttr:
			c.name, c.written = b.place(lowered(t.name)), b.place(t.name)
			c.anyCase = anyCase[lowered(t.name)]
		case contains:
			c.needle = int32(b.needles)
			b.needles++
		case isNot, isAny, has, hasChild:
			lvl = max(lvl, b.arguments(&c, t))
		}
		if c.kind == isAny && len(c.alternatives) == 1 && len(c.bitmaps) == 0 {
			checks = append(checks, c.alternatives[0]...)
			continue
		}
		checks = append(checks, c)
	}
	slices.SortStableFunc(checks, func(x, y check) int { return int(cost[x.kind]) - int(cost[y.kind]) })
	return checks, lvl
}

// cost is how kinds are ordered: what is cheap to look at comes first.
var cost = [...]uint8{isType: 0, never: 0, isRoot: 1, isID: 2, hasClass: 2, hasAttr: 2, isEmpty: 3, nth: 3, isNot: 4, isAny: 4, isLanguage: 5, contains: 6, matches: 7, has: 4, hasChild: 4}

// arguments makes the argument of a test ready: as checks of the element itself
// where that will do, else as an owner with a bitmap.
func (b *builder) arguments(c *check, t *test) (lvl int) {
	var rest []sequence
	for _, s := range t.args {
		if len(s) > 1 || t.kind == has || t.kind == hasChild {
			rest = append(rest, s)
			continue
		}
		checks, l := b.checks(s[0].tests)
		c.alternatives = append(c.alternatives, checks)
		lvl = max(lvl, l)
	}
	switch {
	case len(rest) == 0:
		return lvl
	case t.kind == has:
		lvl = max(lvl, b.relative(c, rest))
	default:
		u, l := b.unit(rest)
		u.owner, u.sink = b.newOwner(), toBitmap
		u.target = b.bitmap(u.owner)
		if t.kind == hasChild {
			u.sink = toParent
		}
		b.reach(l)
		b.units[l] = append(b.units[l], u)
		c.bitmaps = append(c.bitmaps, u.target)
		lvl = max(lvl, l+1)
	}
	if c.kind != isNot {
		c.kind = isAny
	}
	return lvl
}

// newOwner is a new owner that the selector in hand asks for.
func (b *builder) newOwner() int32 {
	b.owners++
	b.uses[b.selector] = append(b.uses[b.selector], int32(b.owners-1))
	return int32(b.owners - 1)
}

func (b *builder) bitmap(owner int32) int32 {
	b.bitmaps = append(b.bitmaps, owner)
	return int32(len(b.bitmaps) - 1)
}

// reach makes room for a level.
func (b *builder) reach(lvl int) {
	for len(b.units) <= lvl {
		b.units, b.asks = append(b.units, nil), append(b.asks, nil)
	}
}

// pack shares units out among walks, and bits among their links.
func (b *builder) pack(units []unit) (walks []*walk) {
	var w *walk
	links := 0
	for i := range units {
		u := &units[i]
		if w == nil || links+u.links > maxLinks {
			w, links = newWalk(), 0
			walks = append(walks, w)
		}
		w.owners = append(w.owners, u.owner)
		w.linked = w.linked || u.links > 0
		for _, s := range u.sequences {
			for k := range s {
				s[k].owner, s[k].target, s[k].sink = u.owner, u.target, u.sink
				if k > 0 {
					s[k].need = 1 << (links - 1)
				}
				if k < len(s)-1 {
					s[k].give = 1 << links
					links++
				}
				w.add(s[k])
			}
		}
	}
	return walks
}

// anyCase are attributes of HTML elements whose values are compared without
// regard to the case of ASCII letters (HTML 4.16.2).
var anyCase = func() map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields(`accept accept-charset align alink axis bgcolor charset checked clear codetype color compact declare
		defer dir direction disabled enctype face frame hreflang http-equiv lang language link media method multiple nohref noresize
		noshade nowrap readonly rel rev rules scope scrolling selected shape target text type valign valuetype vlink`) {
		m[n] = true
	}
	return m
}()
