package xpath

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// Budget bounds evaluations: about how many nodes they may visit, and 64 bytes
// of text count as one. It is shared by as many as one likes, one after the
// other.
type Budget struct{ Left int64 }

// ErrBudget is what an evaluation returns that needs more than its budget has
// left.
var ErrBudget = errors.New("the XPath expressions of the page visit too many nodes")

// Evaluate returns what the expression selects or computes at a node: []Node
// in document order, string, float64 or bool.
func (e *Expr) Evaluate(n Node, b *Budget) (any, error) {
	return e.evaluate(n, b, func(c context) value { return e.root.eval(c) })
}

// Texts returns the string-values of the nodes that the expression selects in
// document order, or only the first; a computed value counts as one text, as
// the function string writes it.
func (e *Expr) Texts(dst []string, n Node, all bool, b *Budget) ([]string, error) {
	_, err := e.evaluate(n, b, func(c context) value {
		var v value
		if p, ok := e.root.(*path); ok {
			w := wantFirst
			if all {
				w = wantAll
			}
			v = p.nodes(c, w)
		} else {
			v = e.root.eval(c)
		}
		nodes, ok := v.([]Node)
		if !ok {
			dst = append(dst, c.run.stringOf(v))
			return nil
		}
		if !all {
			nodes = nodes[:min(1, len(nodes))]
		}
		for _, node := range nodes {
			dst = append(dst, c.run.text(node))
		}
		return nil
	})
	return dst, err
}

// evaluate ends with ErrBudget where run.spend gave up.
func (e *Expr) evaluate(n Node, b *Budget, do func(context) value) (v value, err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != errSpent { //nolint:errorlint // the very value that spend panics with
				panic(p)
			}
			v, err = nil, ErrBudget
		}
	}()
	return do(context{&run{b}, n, 1, 1}), nil
}

// run is one evaluation.
type run struct{ budget *Budget }

var errSpent = errors.New("spent")

// spend takes from the budget; it unwinds the evaluation when nothing is left.
func (r *run) spend(n int) {
	if r.budget.Left -= int64(n); r.budget.Left < 0 {
		panic(errSpent)
	}
}

// context is what an expression is evaluated in (section 1).
type context struct {
	run            *run
	node           Node
	position, size int
}

// value is []Node, string, float64 or bool.
type value any

// kind of a value; each expression has one that is known beforehand.
type kind int

const (
	nodesKind kind = iota
	stringKind
	numberKind
	boolKind
)

type expr interface {
	kind() kind
	// positional reports whether it looks at the context's position or size.
	positional() bool
	eval(c context) value
}

type (
	text   string
	number float64
)

func (t text) kind() kind           { return stringKind }
func (t text) positional() bool     { return false }
func (t text) eval(context) value   { return string(t) }
func (n number) kind() kind         { return numberKind }
func (n number) positional() bool   { return false }
func (n number) eval(context) value { return float64(n) }

// filter is a node-set with predicates, counted in document order (3.3).
type filter struct {
	e     expr
	preds []predicate
}

func (f *filter) kind() kind       { return nodesKind }
func (f *filter) positional() bool { return f.e.positional() }
func (f *filter) eval(c context) value {
	nodes := f.e.eval(c).([]Node)
	return c.run.filter(f.preds, append([]Node(nil), nodes...))
}

type union struct{ left, right expr }

func (u *union) kind() kind       { return nodesKind }
func (u *union) positional() bool { return u.left.positional() || u.right.positional() }
func (u *union) eval(c context) value {
	left, right := u.left.eval(c).([]Node), u.right.eval(c).([]Node)
	if len(left) == 0 {
		return right
	}
	return c.run.inOrder(append(left[:len(left):len(left)], right...))
}

type negation struct {
	e   expr
	odd bool
}

func (n *negation) kind() kind       { return numberKind }
func (n *negation) positional() bool { return n.e.positional() }
func (n *negation) eval(c context) value {
	f := c.run.numberOf(n.e.eval(c))
	if n.odd {
		f = -f
	}
	return f
}

// operation is a binary operator but |.
type operation struct {
	op          string
	left, right expr
}

func (o *operation) kind() kind {
	switch o.op {
	case "+", "-", "*", "div", "mod":
		return numberKind
	}
	return boolKind
}

func (o *operation) positional() bool { return o.left.positional() || o.right.positional() }

func (o *operation) eval(c context) value {
	switch o.op {
	case "or":
		return truth(o.left, c) || truth(o.right, c)
	case "and":
		return truth(o.left, c) && truth(o.right, c)
	case "=", "!=", "<", "<=", ">", ">=":
		return c.run.compareValues(o.op, o.left.eval(c), o.right.eval(c))
	}
	a, b := c.run.numberOf(o.left.eval(c)), c.run.numberOf(o.right.eval(c))
	switch o.op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "div":
		return a / b
	}
	return math.Mod(a, b)
}

// truth is an expression as a boolean; of a path it needs no more than a node.
func truth(e expr, c context) bool {
	if p, ok := e.(*path); ok {
		return len(p.nodes(c, wantAny)) > 0
	}
	return boolOf(e.eval(c))
}

// boolOf is the function boolean (4.3).
func boolOf(v value) bool {
	switch v := v.(type) {
	case bool:
		return v
	case float64:
		return v != 0 && !math.IsNaN(v)
	case string:
		return v != ""
	}
	return len(v.([]Node)) > 0
}

// stringOf is the function string (4.2).
func (r *run) stringOf(v value) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return formatNumber(v)
	case string:
		return v
	}
	if nodes := v.([]Node); len(nodes) > 0 {
		return r.text(nodes[0])
	}
	return ""
}

func formatNumber(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0: // also the negative one
		return "0"
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// numberOf is the function number (4.4).
func (r *run) numberOf(v value) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case bool:
		if v {
			return 1
		}
		return 0
	}
	return parseNumber(r.stringOf(v))
}

// parseNumber reads an optional minus and a Number with white space around it;
// NaN for all else, exponents and a plus too.
func parseNumber(s string) float64 {
	s = strings.Trim(s, " \t\r\n")
	digits, points := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case c == '.' && points == 0:
			points++
		case c == '-' && i == 0:
		default:
			return math.NaN()
		}
	}
	if digits == 0 {
		return math.NaN()
	}
	f, _ := strconv.ParseFloat(s, 64) // too large is infinite
	return f
}

// compareValues is section 3.4.
func (r *run) compareValues(op string, a, b value) bool {
	x, aNodes := a.([]Node)
	y, bNodes := b.([]Node)
	_, aBool := a.(bool)
	_, bBool := b.(bool)
	switch {
	case aBool || bBool:
		if op == "=" || op == "!=" {
			return (boolOf(a) == boolOf(b)) == (op == "=")
		}
		return compareNumbers(op, r.numberOrBool(a), r.numberOrBool(b))
	case aNodes && bNodes:
		return r.compareSets(op, x, y)
	case aNodes:
		return r.compareSet(op, x, b, false)
	case bNodes:
		return r.compareSet(op, y, a, true)
	}
	return r.compareSingle(op, a, b)
}

// numberOrBool is what is compared with a boolean's number: of a node-set,
// whether it has nodes.
func (r *run) numberOrBool(v value) float64 {
	if nodes, ok := v.([]Node); ok {
		v = len(nodes) > 0
	}
	return r.numberOf(v)
}

// compareSingle compares strings and numbers.
func (r *run) compareSingle(op string, a, b value) bool {
	x, aString := a.(string)
	y, bString := b.(string)
	if aString && bString && (op == "=" || op == "!=") {
		return (x == y) == (op == "=")
	}
	return compareNumbers(op, r.numberOf(a), r.numberOf(b))
}

func compareNumbers(op string, a, b float64) bool {
	switch op {
	case "=":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	}
	return a >= b
}

// compareSet reports whether a comparison with the other holds for one of the
// nodes.
func (r *run) compareSet(op string, nodes []Node, other value, swapped bool) bool {
	for _, n := range nodes {
		var a, b value = r.text(n), other
		if swapped {
			a, b = b, a
		}
		if r.compareSingle(op, a, b) {
			return true
		}
	}
	return false
}

// compareSets reports whether a comparison holds for one node of each.
func (r *run) compareSets(op string, a, b []Node) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	if op == "=" || op == "!=" {
		return r.equalSets(op == "=", a, b)
	}
	// It holds for one pair if it does for the least of the one and the
	// greatest of the other.
	least := op == "<" || op == "<="
	return compareNumbers(op, r.extreme(a, least), r.extreme(b, !least))
}

func (r *run) equalSets(equal bool, a, b []Node) bool {
	texts := make(map[string]bool, len(a))
	for _, n := range a {
		texts[r.text(n)] = true
	}
	for _, n := range b {
		switch t := r.text(n); {
		case equal && texts[t]:
			return true
		case !equal && (len(texts) > 1 || !texts[t]):
			return true
		}
	}
	return false
}

// extreme is the least or greatest number among the nodes; NaN: none.
func (r *run) extreme(nodes []Node, least bool) float64 {
	found := math.NaN()
	for _, n := range nodes {
		if f := parseNumber(r.text(n)); math.IsNaN(found) || least && f < found || !least && f > found {
			found = f
		}
	}
	return found
}

// element is the nearest element at or above a node.
func element(n *html.Node) *html.Node {
	for n != nil && n.Type != html.ElementNode {
		n = n.Parent
	}
	return n
}
