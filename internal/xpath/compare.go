package xpath

import (
	"math"
	"strconv"
)

// comparison is = != < <= > >= (section 3.4).
type comparison struct {
	op          string
	equality    bool // = or !=
	left, right expr
	one         *path   // left, if it may be one node that is known without a step
	constant    literal // right, if there is one
}

func newComparison(op string, left, right expr) *comparison {
	if left.kind() != nodesKind && right.kind() == nodesKind { // sets go left
		left, right = right, left
		if turned, ok := map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]; ok {
			op = turned
		}
	}
	e := &comparison{op: op, equality: op == "=" || op == "!=", left: left, right: right}
	if text, ok := right.(literal); ok && e.equality {
		e.one, _ = left.(*path)
		e.constant = text
	}
	return e
}

func (e *comparison) kind() kind               { return boolKind }
func (e *comparison) positional() bool         { return e.left.positional() || e.right.positional() }
func (e *comparison) text(c context) string    { return strconv.FormatBool(e.truth(c)) }
func (e *comparison) number(c context) float64 { return oneIf(e.truth(c)) }

func (e *comparison) truth(c context) bool {
	m := c.run.mark()
	if e.one != nil { // most predicates: @class = "x"
		if n, found, known := e.one.only(c); known {
			v := found && (c.run.text(n) == string(e.constant)) == (e.op == "=")
			c.run.scratch = c.run.scratch[:m.scratch]
			return v
		}
	}
	v := e.holds(c)
	c.run.cut(m)
	return v
}

func (e *comparison) holds(c context) bool {
	left, right := e.left.kind(), e.right.kind()
	switch {
	case left == boolKind || right == boolKind:
		a, b := e.left.truth(c), e.right.truth(c)
		if e.equality {
			return (a == b) == (e.op == "=")
		}
		return compareNumbers(e.op, numberUnlessSet(e.left, a, c), numberUnlessSet(e.right, b, c))
	case left == nodesKind && right == nodesKind:
		return c.run.compareSets(e, e.left.(nodeSet).nodes(c, wantAll), e.right.(nodeSet).nodes(c, wantAll))
	case left == nodesKind && e.equality && right == stringKind:
		return e.setHasText(c, e.right.text(c))
	case left == nodesKind:
		return e.setHasNumber(c, e.right.number(c))
	case e.equality && left == stringKind && right == stringKind:
		return (e.left.text(c) == e.right.text(c)) == (e.op == "=")
	}
	return compareNumbers(e.op, e.left.number(c), e.right.number(c))
}

// numberUnlessSet is what is compared with a boolean's number: of a node-set,
// whether it has nodes.
func numberUnlessSet(e expr, truth bool, c context) float64 {
	if e.kind() == nodesKind {
		return oneIf(truth)
	}
	return e.number(c)
}

// setHasText reports whether the comparison with a text holds for one of the
// nodes on the left.
func (e *comparison) setHasText(c context, text string) bool {
	equal := e.op == "="
	nodes := e.left.(nodeSet).nodes(c, wantAll)
	m := c.run.mark()
	for _, n := range nodes {
		if (c.run.text(n) == text) == equal {
			return true
		}
		c.run.cut(m)
	}
	return false
}

// setHasNumber is setHasText for numbers.
func (e *comparison) setHasNumber(c context, f float64) bool {
	nodes := e.left.(nodeSet).nodes(c, wantAll)
	m := c.run.mark()
	for _, n := range nodes {
		if compareNumbers(e.op, c.run.parseNumber(c.run.text(n)), f) {
			return true
		}
		c.run.cut(m)
	}
	return false
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

// compareSets reports whether a comparison holds for one node of each.
func (r *run) compareSets(e *comparison, a, b []Node) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	if e.equality {
		return r.equalSets(e.op == "=", a, b)
	}
	// It holds for one pair if it does for the least of the one and the
	// greatest of the other.
	least := e.op == "<" || e.op == "<="
	return compareNumbers(e.op, r.extreme(a, least), r.extreme(b, !least))
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
	m := r.mark()
	for _, n := range nodes {
		f := r.parseNumber(r.text(n))
		if r.cut(m); math.IsNaN(found) || least && f < found || !least && f > found {
			found = f
		}
	}
	return found
}
