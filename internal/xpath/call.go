package xpath

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// function is one of the core library (section 4). One of its four last fields
// is there: its kind.
type function struct {
	least, most int  // arguments
	here        bool // without arguments it goes by the context node
	set         bool // its argument must be a node-set

	asNodes  func(c context, args []expr) []Node
	asText   func(c context, args []expr) string
	asNumber func(c context, args []expr) float64
	asTruth  func(c context, args []expr) bool
}

var functions = map[string]function{
	"last":     {asNumber: func(c context, _ []expr) float64 { return float64(c.size) }},
	"position": {asNumber: func(c context, _ []expr) float64 { return float64(c.position) }},
	"count":    {least: 1, most: 1, set: true, asNumber: count},
	"sum":      {least: 1, most: 1, set: true, asNumber: sum},
	"id":       {least: 1, most: 1, asNodes: byID},

	"local-name":    {most: 1, here: true, set: true, asText: localName},
	"name":          {most: 1, here: true, set: true, asText: nameOfFirst},
	"namespace-uri": {most: 1, here: true, set: true, asText: namespaceURI},

	"string":           {most: 1, here: true, asText: func(c context, args []expr) string { return args[0].text(c) }},
	"concat":           {least: 2, most: math.MaxInt, asText: concat},
	"starts-with":      {least: 2, most: 2, asTruth: onTexts(strings.HasPrefix)},
	"contains":         {least: 2, most: 2, asTruth: onTexts(strings.Contains)},
	"substring-before": {least: 2, most: 2, asText: onTexts(before)},
	"substring-after":  {least: 2, most: 2, asText: onTexts(after)},
	"substring":        {least: 2, most: 3, asText: substring},
	"string-length":    {most: 1, here: true, asNumber: stringLength},
	"normalize-space":  {most: 1, here: true, asText: normalizeSpace},
	"translate":        {least: 3, most: 3, asText: translate},

	"boolean": {least: 1, most: 1, asTruth: func(c context, args []expr) bool { return args[0].truth(c) }},
	"not":     {least: 1, most: 1, asTruth: func(c context, args []expr) bool { return !args[0].truth(c) }},
	"true":    {asTruth: func(context, []expr) bool { return true }},
	"false":   {asTruth: func(context, []expr) bool { return false }},
	"lang":    {least: 1, most: 1, asTruth: lang},

	"number":  {most: 1, here: true, asNumber: func(c context, args []expr) float64 { return args[0].number(c) }},
	"floor":   {least: 1, most: 1, asNumber: onNumber(math.Floor)},
	"ceiling": {least: 1, most: 1, asNumber: onNumber(math.Ceil)},
	"round":   {least: 1, most: 1, asNumber: onNumber(round)},
}

func (f *function) kind() kind {
	switch {
	case f.asNodes != nil:
		return nodesKind
	case f.asText != nil:
		return stringKind
	case f.asNumber != nil:
		return numberKind
	}
	return boolKind
}

func (f *function) arity() string {
	switch f.most {
	case f.least:
		return fmt.Sprint(f.least)
	case math.MaxInt:
		return fmt.Sprint("at least ", f.least)
	}
	return fmt.Sprint(f.least, " or ", f.most)
}

// call is a function and its arguments.
type call struct {
	function
	name  string
	args  []expr
	looks bool // at position or size
}

func newCall(name string, args []expr) (expr, error) {
	f, known := functions[name]
	switch {
	case !known:
		return nil, fmt.Errorf("XPath 1.0 has no function %.40q; known: %s", name, strings.Join(slices.Sorted(maps.Keys(functions)), ", "))
	case len(args) < f.least || len(args) > f.most:
		return nil, fmt.Errorf("function %s: got %d arguments; want %s", name, len(args), f.arity())
	case f.set && len(args) > 0 && args[0].kind() != nodesKind:
		return nil, fmt.Errorf("function %s: want a node-set", name)
	}
	looks := name == "position" || name == "last" || slices.ContainsFunc(args, expr.positional)
	if len(args) == 0 && f.here {
		args = []expr{newPath(step{axis: self, test: test{kind: anyNode}})}
	}
	if name == "contains" {
		if w, ok := newHasWord(args); ok {
			return w, nil
		}
	}
	c := call{f, name, args, looks}
	if f.asNodes != nil {
		return &setCall{c}, nil
	}
	return &c, nil
}

func (f *call) positional() bool { return f.looks }

func (f *call) text(c context) string {
	switch f.kind() {
	case numberKind:
		return formatNumber(f.number(c))
	case boolKind:
		return strconv.FormatBool(f.truth(c))
	}
	c.run.spend(1)
	nodes := len(c.run.stack)
	s := f.asText(c, f.args)
	c.run.stack = c.run.stack[:nodes]
	return s
}

func (f *call) number(c context) float64 {
	m := c.run.mark()
	v := 0.0
	switch {
	case f.asNumber != nil:
		c.run.spend(1)
		v = f.asNumber(c, f.args)
	case f.asText != nil:
		v = parseNumber(f.text(c))
	default:
		v = oneIf(f.truth(c))
	}
	c.run.cut(m)
	return v
}

func (f *call) truth(c context) bool {
	m := c.run.mark()
	v := false
	switch {
	case f.asTruth != nil:
		c.run.spend(1)
		v = f.asTruth(c, f.args)
	case f.asText != nil:
		v = f.text(c) != ""
	default:
		v = isTrue(f.number(c))
	}
	c.run.cut(m)
	return v
}

// setCall is a call whose value is a node-set.
type setCall struct{ call }

func (f *setCall) text(c context) string    { return textOf(f, c) }
func (f *setCall) number(c context) float64 { return numberOf(f, c) }
func (f *setCall) truth(c context) bool     { return truthOf(f, c) }
func (f *setCall) nodes(c context, _ want) []Node {
	c.run.spend(1)
	return f.asNodes(c, f.args)
}
