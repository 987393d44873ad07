package expr

import (
	"cmp"
	"math"
	"strings"
)

// compare is = != < <= > >=.
func compare(n *syntax, a, b typed) (typed, error) {
	if a.kind == Null || b.kind == Null {
		return typed{}, wrongf(n.at, "nothing is ever equal to null, greater or less; expected is null or is not null")
	}
	args, kind, err := unify(n.text, []typed{a, b})
	if err != nil {
		return typed{}, err
	}
	equal := n.text == "=" || n.text == "!="
	if kind == List || kind == Bool && !equal {
		return typed{}, wrongf(n.at, "%s compares no %s; expected numbers, texts, dates or timestamps", n.text, strings.TrimPrefix(kind.String(), "a "))
	}
	test := tests[n.text]
	return typed{kind: Bool, eval: func(e *env) *Vector {
		x, y := args[0].eval(e), args[1].eval(e)
		out := result(Bool, e.rows, x, y)
		if x.Kind != Null && y.Kind != Null {
			each(kind, x, y, out, test)
		}
		return out
	}}, nil
}

var tests = map[string]func(order int) bool{
	"=":  func(o int) bool { return o == 0 },
	"!=": func(o int) bool { return o != 0 },
	"<":  func(o int) bool { return o < 0 },
	"<=": func(o int) bool { return o <= 0 },
	">":  func(o int) bool { return o > 0 },
	">=": func(o int) bool { return o >= 0 },
}

// each tests how the values of two vectors of one kind are ordered. A float
// that is no number is equal to itself and above all others.
func each(kind Kind, x, y, out *Vector, test func(int) bool) {
	order := orderOf(kind, x, y)
	for i := range out.len() {
		if !out.null(i) {
			out.Bools[i] = test(order(i))
		}
	}
}

func orderOf(kind Kind, x, y *Vector) func(i int) int {
	switch kind {
	case Number:
		if a, b, ok := quickly(x, y); ok {
			return func(i int) int { return cmp.Compare(a[x.at(i)], b[y.at(i)]) }
		}
		return func(i int) int { return x.Decimal(i).Cmp(y.Decimal(i)) }
	case Float:
		return func(i int) int { return compareFloats(x.Float(i), y.Float(i)) }
	case Text:
		return func(i int) int { return strings.Compare(x.Text(i), y.Text(i)) }
	case Bool:
		return func(i int) int {
			if x.Bool(i) == y.Bool(i) {
				return 0
			}
			return 1
		}
	}
	return func(i int) int { return cmp.Compare(x.Int(i), y.Int(i)) }
}

func compareFloats(a, b float64) int {
	if math.IsNaN(a) || math.IsNaN(b) { // cmp.Compare puts it below all
		return -cmp.Compare(a, b)
	}
	return cmp.Compare(a, b)
}

// quickly brings two numbers to one scale in 64 bits.
func quickly(x, y *Vector) (a, b []int64, ok bool) {
	if x.Decs != nil || y.Decs != nil {
		return nil, nil, false
	}
	scale := max(x.Scale, y.Scale)
	if a, ok = rescale(x.Ints, x.Scale, scale); !ok {
		return nil, nil, false
	}
	b, ok = rescale(y.Ints, y.Scale, scale)
	return a, b, ok
}

// in is x = a or x = b or …
func in(args []typed) (typed, error) {
	if args[0].kind == Null {
		return typed{}, wrongf(args[0].at, "null is in no list; expected a column")
	}
	args, kind, err := unify("in", args)
	if err != nil {
		return typed{}, err
	}
	if kind == List {
		return typed{}, wrongf(args[0].at, "in compares no list; expected numbers, texts, dates or timestamps")
	}
	return typed{kind: Bool, eval: func(e *env) *Vector {
		x, found := args[0].eval(e), newVector(Bool, e.rows, true) // x once: lists may be nested
		for _, item := range args[1:] {
			y := item.eval(e)
			equal := result(Bool, e.rows, x, y)
			if x.Kind != Null && y.Kind != Null {
				each(kind, x, y, equal, tests["="])
			}
			found = combine(true, e.rows, found, equal)
		}
		return found
	}}, nil
}

func not(a typed) (typed, error) {
	a, err := a.as(Bool, "not")
	if err != nil {
		return typed{}, err
	}
	return a.whole(Bool, func(in, out *Vector) {
		for i, b := range in.Bools {
			out.Bools[i] = !b
		}
	}), nil
}

// logic is and, or. An operand that decides alone drops the other's null or
// error where it stands after it; its null in either order.
func logic(word string, a, b typed) (typed, error) {
	var err error
	if a, err = a.as(Bool, word); err != nil {
		return typed{}, err
	}
	if b, err = b.as(Bool, word); err != nil {
		return typed{}, err
	}
	decides := word == "or"
	return typed{kind: Bool, eval: func(e *env) *Vector { return combine(decides, e.rows, a.eval(e), b.eval(e)) }}, nil
}

// combine is or where decides is true, else and.
func combine(decides bool, rows int, x, y *Vector) *Vector {
	out := newVector(Bool, rows, (x.constant || x.Kind == Null) && (y.constant || y.Kind == Null))
	for i := range out.len() {
		xn, yn := x.IsNull(i), y.IsNull(i)
		switch {
		case !xn && x.Bool(i) == decides:
			out.Bools[i] = decides
		case x.Err(i) != nil:
			out.fail(i, x.Err(i))
		case !yn && y.Bool(i) == decides:
			out.Bools[i] = decides
		case y.Err(i) != nil:
			out.fail(i, y.Err(i))
		case xn || yn:
			out.setNull(i)
		default:
			out.Bools[i] = !decides
		}
	}
	return out
}

func isNull(a typed, want bool) typed {
	return typed{kind: Bool, eval: func(e *env) *Vector {
		in := a.eval(e)
		out := newVector(Bool, e.rows, in.constant || in.Kind == Null)
		for i := range out.len() {
			if err := in.Err(i); err != nil {
				out.fail(i, err)
				continue
			}
			out.Bools[i] = in.IsNull(i) == want
		}
		return out
	}}
}
