package xpath

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// function is one of the core library (section 4).
type function struct {
	least, most int // arguments
	kind        kind
	nodes       bool // the first argument, if any, must be a node-set
	here        bool // without arguments it goes by the context node
	do          func(c context, args []value) value
}

var functions = map[string]function{
	"last":             {0, 0, numberKind, false, false, func(c context, _ []value) value { return float64(c.size) }},
	"position":         {0, 0, numberKind, false, false, func(c context, _ []value) value { return float64(c.position) }},
	"count":            {1, 1, numberKind, true, false, func(_ context, a []value) value { return float64(len(a[0].([]Node))) }},
	"sum":              {1, 1, numberKind, true, false, sum},
	"id":               {1, 1, nodesKind, false, false, byID},
	"local-name":       {0, 1, stringKind, true, true, func(_ context, a []value) value { return localName(firstOf(a[0]).nameOrNone()) }},
	"name":             {0, 1, stringKind, true, true, func(_ context, a []value) value { return firstOf(a[0]).nameOrNone() }},
	"namespace-uri":    {0, 1, stringKind, true, true, func(_ context, a []value) value { return namespaceURI(firstOf(a[0])) }},
	"string":           {0, 1, stringKind, false, true, func(c context, a []value) value { return c.run.stringOf(a[0]) }},
	"concat":           {2, math.MaxInt, stringKind, false, false, concat},
	"starts-with":      {2, 2, boolKind, false, false, onTexts(func(a, b string) value { return strings.HasPrefix(a, b) })},
	"contains":         {2, 2, boolKind, false, false, onTexts(func(a, b string) value { return strings.Contains(a, b) })},
	"substring-before": {2, 2, stringKind, false, false, onTexts(func(a, b string) value { before, _, _ := cut(a, b); return before })},
	"substring-after":  {2, 2, stringKind, false, false, onTexts(func(a, b string) value { _, after, _ := cut(a, b); return after })},
	"substring":        {2, 3, stringKind, false, false, substring},
	"string-length":    {0, 1, numberKind, false, true, func(c context, a []value) value { return float64(utf8.RuneCountInString(c.run.stringOf(a[0]))) }},
	"normalize-space":  {0, 1, stringKind, false, true, func(c context, a []value) value { return normalizeSpace(c.run.stringOf(a[0])) }},
	"translate":        {3, 3, stringKind, false, false, translate},
	"boolean":          {1, 1, boolKind, false, false, nil}, // see call.eval
	"not":              {1, 1, boolKind, false, false, nil},
	"true":             {0, 0, boolKind, false, false, func(context, []value) value { return true }},
	"false":            {0, 0, boolKind, false, false, func(context, []value) value { return false }},
	"lang":             {1, 1, boolKind, false, false, lang},
	"number":           {0, 1, numberKind, false, true, func(c context, a []value) value { return c.run.numberOf(a[0]) }},
	"floor":            {1, 1, numberKind, false, false, onNumber(math.Floor)},
	"ceiling":          {1, 1, numberKind, false, false, onNumber(math.Ceil)},
	"round":            {1, 1, numberKind, false, false, onNumber(round)},
}

// call is a function and its arguments.
type call struct {
	name string
	function
	args []expr
}

func newCall(name string, args []expr) (*call, error) {
	f, known := functions[name]
	switch {
	case !known:
		return nil, fmt.Errorf("XPath 1.0 has no function %.40q; known: %s", name, strings.Join(slices.Sorted(maps.Keys(functions)), ", "))
	case len(args) < f.least || len(args) > f.most:
		return nil, fmt.Errorf("function %s: got %d arguments; want %s", name, len(args), f.arity())
	case f.nodes && len(args) > 0 && args[0].kind() != nodesKind:
		return nil, fmt.Errorf("function %s: want a node-set", name)
	}
	return &call{name, f, args}, nil
}

func (f function) arity() string {
	switch f.most {
	case f.least:
		return fmt.Sprint(f.least)
	case math.MaxInt:
		return fmt.Sprint("at least ", f.least)
	}
	return fmt.Sprint(f.least, " or ", f.most)
}

func (f *call) kind() kind { return f.function.kind }

func (f *call) positional() bool {
	return f.name == "position" || f.name == "last" || slices.ContainsFunc(f.args, expr.positional)
}

func (f *call) eval(c context) value {
	if f.name == "not" || f.name == "boolean" {
		c.run.spend(1)
		return truth(f.args[0], c) == (f.name == "boolean")
	}
	var room [3]value
	args := room[:0]
	for _, a := range f.args {
		args = append(args, a.eval(c))
	}
	if len(args) == 0 && f.here {
		args = append(args, []Node{c.node})
	}
	c.run.spend(1)
	return f.do(c, args)
}

// firstOf is the node-set's first node, the zero Node where there is none.
func firstOf(v value) Node {
	if nodes := v.([]Node); len(nodes) > 0 {
		return nodes[0]
	}
	return Node{}
}

func (n Node) nameOrNone() string {
	if n.Node == nil {
		return ""
	}
	return n.name()
}

func localName(name string) string { return name[strings.IndexByte(name, ':')+1:] }

// namespaceURI knows the namespaces that HTML itself has (13.2.6); those that
// XML declares are not looked at.
func namespaceURI(n Node) string {
	if n.Node == nil || n.attr > 0 {
		return ""
	}
	switch n.Namespace {
	case "svg":
		return "http://www.w3.org/2000/svg"
	case "math":
		return "http://www.w3.org/1998/Math/MathML"
	}
	return ""
}

func sum(c context, args []value) value {
	total := 0.0
	for _, n := range args[0].([]Node) {
		total += parseNumber(c.run.text(n))
	}
	return total
}

// byID takes attributes called id for identifiers, as HTML does.
func byID(c context, args []value) value {
	wanted := map[string]bool{}
	add := func(text string) {
		for _, id := range strings.Fields(text) {
			wanted[id] = true
		}
	}
	if nodes, ok := args[0].([]Node); ok {
		for _, n := range nodes {
			add(c.run.text(n))
		}
	} else {
		add(c.run.stringOf(args[0]))
	}
	root := c.node.Node
	for root.Parent != nil {
		root = root.Parent
	}
	found := []Node{}
	for n := root; n != nil && len(wanted) > 0; n = next(root, n) {
		c.run.spend(1)
		for i := range n.Attr {
			if a := &n.Attr[i]; n.Type == html.ElementNode && a.Key == "id" && wanted[a.Val] {
				delete(wanted, a.Val) // the first in the document has it
				found = append(found, Node{Node: n})
			}
		}
	}
	return found
}

// maxText bounds the only text that can be longer than the page, in bytes.
const maxText = 64 << 20

func concat(c context, args []value) value {
	var b strings.Builder
	for _, a := range args {
		s := c.run.stringOf(a)
		c.run.spend(1 + len(s)/64)
		if b.WriteString(s); b.Len() > maxText {
			panic(errSpent)
		}
	}
	return b.String()
}

func onTexts(f func(a, b string) value) func(context, []value) value {
	return func(c context, args []value) value {
		a, b := c.run.stringOf(args[0]), c.run.stringOf(args[1])
		c.run.spend(1 + len(a)/64)
		return f(a, b)
	}
}

func cut(s, sep string) (before, after string, found bool) {
	before, after, found = strings.Cut(s, sep)
	if !found {
		return "", "", false
	}
	return before, after, true
}

// substring counts characters from 1; positions p with round(from) <= p <
// round(from) + round(length) stay (4.2).
func substring(c context, args []value) value {
	s := c.run.stringOf(args[0])
	c.run.spend(1 + len(s)/64)
	from := round(c.run.numberOf(args[1]))
	end := math.Inf(1)
	if len(args) == 3 {
		end = from + round(c.run.numberOf(args[2]))
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
	if begin < 0 {
		return ""
	}
	return s[begin:stop]
}

func normalizeSpace(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }), " ")
}

func translate(c context, args []value) value {
	s, from, to := c.run.stringOf(args[0]), c.run.stringOf(args[1]), []rune(c.run.stringOf(args[2]))
	c.run.spend(1 + len(s)/64 + len(from)/8)
	table := map[rune]rune{}
	for i, r := range []rune(from) {
		if _, twice := table[r]; twice {
			continue
		}
		table[r] = -1
		if i < len(to) {
			table[r] = to[i]
		}
	}
	return strings.Map(func(r rune) rune {
		if t, ok := table[r]; ok {
			return t
		}
		return r
	}, s)
}

// lang goes by the nearest lang or xml:lang (4.3).
func lang(c context, args []value) value {
	want := strings.ToLower(c.run.stringOf(args[0]))
	for n := element(c.node.Node); n != nil; n = n.Parent {
		c.run.spend(1)
		for i := range n.Attr {
			a := &n.Attr[i]
			if key := strings.ToLower(a.Key); key == "lang" && (a.Namespace == "" || a.Namespace == "xml") || key == "xml:lang" {
				have := strings.ToLower(a.Val)
				return have == want || strings.HasPrefix(have, want+"-")
			}
		}
	}
	return false
}

func onNumber(f func(float64) float64) func(context, []value) value {
	return func(c context, args []value) value { return f(c.run.numberOf(args[0])) }
}

// round goes to the nearest whole number, halves upwards (4.4).
func round(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) || f == math.Trunc(f) {
		return f
	}
	return math.Copysign(math.Floor(f+0.5), f) // -0.4 becomes -0
}

var errNoNodes = errors.New("the expression computes a value; want one that selects nodes")

// CompileNodes is [Compile] for an expression that must select nodes.
func CompileNodes(source string) (*Expr, error) {
	e, err := Compile(source)
	if err == nil && e.root.kind() != nodesKind {
		return nil, errNoNodes
	}
	return e, err
}

// Nodes returns what an expression of [CompileNodes] selects in document
// order.
func (e *Expr) Nodes(n Node, b *Budget) ([]Node, error) {
	v, err := e.Evaluate(n, b)
	nodes, _ := v.([]Node)
	return nodes, err
}
