package expr

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// env is what an evaluation runs over.
type env struct {
	rows   int
	column func(i int) *Vector
}

// evalFunc computes a node for all rows.
type evalFunc func(*env) *Vector

// typed is a node whose type is known.
type typed struct {
	kind    Kind
	loose   bool    // text that is read as what its place needs
	literal *Vector // of a literal, else nil
	inexact bool    // a quotient that nobody rounded
	at      int     // byte offset
	eval    evalFunc
}

type compiler struct {
	columns []Column
	used    map[int]bool
}

func (c *compiler) usedColumns() []int { return slices.Sorted(maps.Keys(c.used)) }

func (c *compiler) compile(n *syntax) (typed, error) {
	switch n.op {
	case opColumn:
		return c.column(n)
	case opNumber, opText, opBool, opNull:
		return literal(n)
	}
	args := make([]typed, len(n.args))
	for i, a := range n.args {
		var err error
		if args[i], err = c.compile(a); err != nil {
			return typed{}, err
		}
	}
	t, err := operation(n, args)
	t.at = n.at
	return t, err
}

func operation(n *syntax, args []typed) (typed, error) {
	switch n.op {
	case opNegate:
		return negate(n, args[0])
	case opNot:
		return not(args[0])
	case opIn:
		return in(args)
	case opIsNull, opIsNotNull:
		return isNull(args[0], n.op == opIsNull), nil
	case opCall:
		return call(n, args)
	}
	switch n.text {
	case "and", "or":
		return logic(n.text, args[0], args[1])
	case "+", "-", "*", "/":
		return arithmetic(n, args[0], args[1])
	}
	return compare(n, args[0], args[1])
}

func (c *compiler) column(n *syntax) (typed, error) {
	for i, col := range c.columns {
		if col.Name == n.text && n.text != "" {
			c.used[i] = true
			return typed{kind: KindOf(col.Type), loose: col.Loose, at: n.at, eval: func(e *env) *Vector { return e.column(i) }}, nil
		}
	}
	names := make([]string, len(c.columns))
	for i, col := range c.columns {
		names[i] = col.Name
	}
	return typed{}, wrongf(n.at, "there is no column %.60s; expected %s", n.text, oneOf(names))
}

// oneOf lists names for an error, not more than fit a line or two.
func oneOf(names []string) string {
	const most = 20
	switch n := len(names); {
	case n == 0:
		return "none: there are no columns"
	case n == 1:
		return names[0]
	case n > most:
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" or one of %d more", n-most)
	default:
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
}

func literal(n *syntax) (typed, error) {
	v := &Vector{constant: true}
	switch n.op {
	case opNull:
	case opText:
		v.Kind, v.Texts = Text, []string{n.text}
	case opBool:
		v.Kind, v.Bools = Bool, []bool{n.text == "true"}
	default:
		d, err := ParseNumber(n.text)
		if err != nil {
			return typed{}, wrongf(n.at, "%v", err)
		}
		v.Kind = Number
		v.setNumber(d)
	}
	return constant(v, n.at), nil
}

// setNumber is the one value of a constant.
func (v *Vector) setNumber(d decimal.Decimal) {
	if c := d.Coefficient(); c.IsInt64() && d.Exponent() <= 0 && d.Exponent() >= -maxScale {
		v.Ints, v.Scale = []int64{c.Int64()}, -d.Exponent()
		return
	}
	if d.Exponent() > 0 && d.Exponent() < 18 {
		if c := d.BigInt(); c.IsInt64() {
			v.Ints = []int64{c.Int64()}
			return
		}
	}
	v.Decs = []decimal.Decimal{d}
}

func constant(v *Vector, at int) typed {
	return typed{kind: v.Kind, literal: v, at: at, eval: func(e *env) *Vector {
		shared := *v
		shared.Rows = e.rows
		return &shared
	}}
}

// as makes an operand one of the kind: what is that or null is left alone,
// text of no declared type is read, a literal beside a date too. what says in
// an error what the operand is for.
func (t typed) as(kind Kind, what string) (typed, error) {
	switch {
	case t.kind == kind || t.kind == Null:
		return t, nil
	case t.kind == Text && (t.loose || t.literal != nil && (kind == Date || kind == Timestamp)):
		return t.parsed(kind)
	case t.kind == Number && kind == Float:
		return t.mapped(Float, func(in, out *Vector, i int) {
			if out.Floats[i] = in.Float(i); !finite(out.Floats[i]) {
				out.failf(i, "%.40s is too large for a float", in.Show(i))
			}
		}), nil
	case t.kind == Date && kind == Timestamp:
		return t.mapped(Timestamp, func(in, out *Vector, i int) { out.Ints[i] = in.Ints[i] * microsOfDay }), nil
	}
	hint := ""
	if t.kind == Text && kind == Number {
		hint = ": number(…) reads one"
	}
	return typed{}, wrongf(t.at, "this is %s; %s expected %s%s", t.kind, what, kind, hint)
}

// mapped applies f to every value that is not null.
func (t typed) mapped(kind Kind, f func(in, out *Vector, i int)) typed {
	eval := t.eval
	out := typed{kind: kind, at: t.at, inexact: t.inexact, eval: func(e *env) *Vector {
		in := eval(e)
		if in.Kind == Null {
			return in
		}
		out := result(kind, e.rows, in)
		for i := range out.len() {
			if !out.null(i) {
				f(in, out, i)
			}
		}
		return out
	}}
	return out
}

// parsed reads text.
func (t typed) parsed(kind Kind) (typed, error) {
	set, ok := parsers[kind]
	if !ok {
		return typed{}, wrongf(t.at, "text can't be read as %s", kind)
	}
	out := t.mapped(kind, func(in, out *Vector, i int) {
		if err := set(out, i, in.Texts[i]); err != nil {
			out.fail(i, err)
		}
	})
	if kind == Number {
		out = out.compacted()
	}
	if t.literal == nil {
		return out, nil
	}
	v := out.eval(&env{rows: 1})
	if err := v.Err(0); err != nil {
		return typed{}, wrongf(t.at, "%v", err)
	}
	return constant(v, t.at), nil
}

// compacted tries the quick form of numbers on what an operand computes.
func (t typed) compacted() typed {
	eval := t.eval
	t.eval = func(e *env) *Vector {
		v := eval(e)
		v.compact()
		return v
	}
	return t
}

var parsers = map[Kind]func(v *Vector, i int, s string) error{
	Number: func(v *Vector, i int, s string) (err error) {
		v.decs()
		v.Decs[i], err = ParseNumber(s)
		return err
	},
	Float: func(v *Vector, i int, s string) error {
		d, err := ParseNumber(s)
		v.Floats[i] = d.InexactFloat64()
		if err == nil && !finite(v.Floats[i]) {
			err = fmt.Errorf("%.60q is too large for a float", s)
		}
		return err
	},
	Bool: func(v *Vector, i int, s string) error {
		if v.Bools[i] = s == "true"; s != "true" && s != "false" {
			return fmt.Errorf("%.60q is no truth value; expected true or false", s)
		}
		return nil
	},
	Date:      func(v *Vector, i int, s string) (err error) { v.Ints[i], err = ParseDate(s); return err },
	Timestamp: func(v *Vector, i int, s string) (err error) { v.Ints[i], err = ParseTimestamp(s); return err },
}

// unify makes operands that are to be compared or chosen from one kind.
func unify(what string, args []typed) ([]typed, Kind, error) {
	kind, fallback := Null, Null
	for _, a := range args {
		weak := a.kind == Text && (a.loose || a.literal != nil)
		switch {
		case a.kind == Null:
		case weak:
			fallback = Text
		case kind == Null,
			kind == Number && a.kind == Float,
			kind == Date && a.kind == Timestamp:
			kind = a.kind
		}
	}
	if kind == Null {
		kind = fallback
	}
	out := make([]typed, len(args))
	for i, a := range args {
		var err error
		if out[i], err = a.as(kind, what); err != nil {
			return nil, 0, err
		}
	}
	return out, kind, nil
}

// wholeLiteral is the value of an argument that must be written out.
func wholeLiteral(t typed, lo, hi int64, what string) (int64, error) {
	if t.literal != nil && t.kind == Number {
		if d := t.literal.Decimal(0); d.IsInteger() {
			if n, err := strconv.ParseInt(d.String(), 10, 64); err == nil && n >= lo && n <= hi {
				return n, nil
			}
		}
	}
	return 0, wrongf(t.at, "%s expected a whole number from %d to %d, written out", what, lo, hi)
}

func regexLiteral(t typed) (*regexp.Regexp, error) {
	if t.literal == nil || t.kind != Text {
		return nil, wrongf(t.at, "matches expected its pattern as a text in quotes")
	}
	re, err := regexp.Compile(t.literal.Texts[0])
	if err != nil {
		return nil, wrongf(t.at, "%v; expected RE2", err)
	}
	return re, nil
}
