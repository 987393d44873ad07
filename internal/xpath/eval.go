package xpath

import (
	"math"
	"strconv"
	"strings"
)

// context is what an expression is evaluated in (section 1).
type context struct {
	run            *run
	node           Node
	position, size int
}

// kind of a value; each expression has one that is known beforehand.
type kind int

const (
	nodesKind kind = iota
	stringKind
	numberKind
	boolKind
)

// expr is an expression. Each can be asked for a string, a number and a
// boolean, as the functions string (4.2), number (4.4) and boolean (4.3) make
// them of its value; a text may be in scratch.
type expr interface {
	kind() kind
	// positional reports whether it looks at the context's position or size.
	positional() bool
	text(c context) string
	number(c context) float64
	truth(c context) bool
}

// nodeSet is an expression of nodesKind.
type nodeSet interface {
	expr
	// nodes leaves the nodes on top of the run's stack, in document order, as
	// far as they are wanted, and nothing else above where it ended before.
	nodes(c context, w want) []Node
}

// want is which nodes of a node-set are of use.
type want int

const (
	wantAll   want = iota
	wantFirst      // the first in document order, at least
	wantAny        // any one, at least: whether there is one
)

func textOf(s nodeSet, c context) string {
	if nodes := s.nodes(c, wantFirst); len(nodes) > 0 {
		return c.run.text(nodes[0])
	}
	return ""
}

func numberOf(s nodeSet, c context) float64 {
	m := c.run.mark()
	f := c.run.parseNumber(s.text(c))
	c.run.cut(m)
	return f
}

func truthOf(s nodeSet, c context) bool {
	m := c.run.mark()
	some := len(s.nodes(c, wantAny)) > 0
	c.run.cut(m)
	return some
}

type (
	literal string
	number  float64
)

func (l literal) kind() kind             { return stringKind }
func (l literal) positional() bool       { return false }
func (l literal) text(context) string    { return string(l) }
func (l literal) number(context) float64 { return parseNumber(string(l)) }
func (l literal) truth(context) bool     { return l != "" }

func (n number) kind() kind             { return numberKind }
func (n number) positional() bool       { return false }
func (n number) text(context) string    { return formatNumber(float64(n)) }
func (n number) number(context) float64 { return float64(n) }
func (n number) truth(context) bool     { return isTrue(float64(n)) }

// filter is a node-set with predicates, counted in document order (3.3).
type filter struct {
	set   nodeSet
	preds []predicate
}

func (f *filter) kind() kind               { return nodesKind }
func (f *filter) positional() bool         { return f.set.positional() }
func (f *filter) text(c context) string    { return textOf(f, c) }
func (f *filter) number(c context) float64 { return numberOf(f, c) }
func (f *filter) truth(c context) bool     { return truthOf(f, c) }
func (f *filter) nodes(c context, _ want) []Node {
	begin := len(c.run.stack)
	f.set.nodes(c, wantAll)
	c.run.filter(f.preds, begin)
	return c.run.stack[begin:]
}

type union struct{ left, right nodeSet }

func (u *union) kind() kind               { return nodesKind }
func (u *union) positional() bool         { return u.left.positional() || u.right.positional() }
func (u *union) text(c context) string    { return textOf(u, c) }
func (u *union) number(c context) float64 { return numberOf(u, c) }
func (u *union) truth(c context) bool     { return u.left.truth(c) || u.right.truth(c) }
func (u *union) nodes(c context, w want) []Node {
	begin := len(c.run.stack)
	u.left.nodes(c, w)
	u.right.nodes(c, w)
	c.run.sort(begin)
	return c.run.stack[begin:]
}

// logic is and, or.
type logic struct {
	or          bool
	left, right expr
}

func (l *logic) kind() kind               { return boolKind }
func (l *logic) positional() bool         { return l.left.positional() || l.right.positional() }
func (l *logic) text(c context) string    { return strconv.FormatBool(l.truth(c)) }
func (l *logic) number(c context) float64 { return oneIf(l.truth(c)) }
func (l *logic) truth(c context) bool {
	if l.left.truth(c) == l.or {
		return l.or
	}
	return l.right.truth(c)
}

// arithmetic is + - * div mod.
type arithmetic struct {
	op          string
	left, right expr
}

func (a *arithmetic) kind() kind            { return numberKind }
func (a *arithmetic) positional() bool      { return a.left.positional() || a.right.positional() }
func (a *arithmetic) text(c context) string { return formatNumber(a.number(c)) }
func (a *arithmetic) truth(c context) bool  { return isTrue(a.number(c)) }
func (a *arithmetic) number(c context) float64 {
	x, y := a.left.number(c), a.right.number(c)
	switch a.op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "div":
		return x / y
	}
	return math.Mod(x, y)
}

// negation is any number of minuses in front.
type negation struct {
	e   expr
	odd bool
}

func (n *negation) kind() kind            { return numberKind }
func (n *negation) positional() bool      { return n.e.positional() }
func (n *negation) text(c context) string { return formatNumber(n.number(c)) }
func (n *negation) truth(c context) bool  { return isTrue(n.number(c)) }
func (n *negation) number(c context) float64 {
	if f := n.e.number(c); !n.odd {
		return f
	} else {
		return -f
	}
}

// isTrue is a number as a boolean (4.3).
func isTrue(f float64) bool { return f != 0 && !math.IsNaN(f) }

// oneIf is a boolean as a number (4.4).
func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// formatNumber is a number as a string (4.2).
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

// parseNumber is the function of that name for texts of the page, which may be
// long.
func (r *run) parseNumber(s string) float64 {
	r.lookAt(len(s))
	return parseNumber(s)
}

// parseNumber reads an optional minus and a Number with white space around it;
// NaN for all else, exponents and a plus too (4.4).
func parseNumber(s string) float64 {
	s = strings.Trim(s, xmlSpace)
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

// xmlSpace is what XPath takes for white space.
const xmlSpace = " \t\r\n"
