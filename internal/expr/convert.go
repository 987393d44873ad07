package expr

import (
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
)

// To makes the program's results values of a column's type, or says why they
// can't be (an *Error). Number: a whole one that 64 bits hold for int, one with
// no more digits than it has for a decimal, neither ever rounded: a row whose
// number doesn't fit has an error. Text of no declared type is read as the type
// says. A quotient must be rounded to the type's scale by the expression, as
// most would not fit.
func (p *Program) To(t harrow.Type) (*Program, error) {
	if t.List {
		return nil, &Error{1, fmt.Sprintf("an expression makes no lists; expected another type than %s", t)}
	}
	kind := KindOf(t)
	if p.root.inexact && kind == Number && t.Scale < QuotientDigits {
		return nil, &Error{1, fmt.Sprintf("a quotient may have %d digits after the point, %s has %d; expected round(…, %d)", QuotientDigits, t, t.Scale, t.Scale)}
	}
	root, err := p.root.as(kind, "type "+t.String())
	if err != nil {
		return nil, &Error{1, fmt.Sprintf("the result is %s; expected %s, for type %s", p.root.kind, kind, t)}
	}
	if kind == Number && root.kind == Number {
		root = root.stored(t)
	}
	return &Program{root: root, columns: p.columns}, nil
}

// As makes the program's results values of a kind, as an operand beside one of
// it would be.
func (p *Program) As(kind Kind) (*Program, error) {
	root, err := p.root.as(kind, "this")
	if err != nil {
		return nil, &Error{1, fmt.Sprintf("%s can't be compared with %s", p.root.kind, kind)}
	}
	return &Program{root: root, columns: p.columns}, nil
}

// stored brings numbers to a column's form: for decimals Ints with its scale,
// or Decs.
func (t typed) stored(to harrow.Type) typed {
	eval := t.eval
	t.eval = func(e *env) *Vector {
		in := eval(e)
		if out, ok := storedQuickly(in, e.rows, to); ok {
			return out
		}
		out := result(Number, e.rows, in)
		out.decs()
		for i := range out.len() {
			if out.null(i) {
				continue
			}
			d := in.Decimal(i)
			if err := Fits(d, to); err != nil {
				out.fail(i, err)
				continue
			}
			out.Decs[i] = d
		}
		return out
	}
	return t
}

// storedQuickly does it in 64 bits if all rows fit.
func storedQuickly(in *Vector, rows int, to harrow.Type) (*Vector, bool) {
	if in.Kind != Number || in.Decs != nil {
		return nil, false
	}
	out := result(Number, rows, in)
	out.Scale = to.Scale
	limit := int64(0) // 0: all that 64 bits hold
	if to.Kind == harrow.Decimal && to.Precision < int32(len(powers)) {
		limit = powers[to.Precision]
	}
	down := in.Scale - to.Scale
	if down >= int32(len(powers)) {
		return nil, false
	}
	for i, n := range in.Ints {
		if out.null(i) {
			continue
		}
		if down > 0 {
			if n%powers[down] != 0 {
				return nil, false
			}
			n /= powers[down]
		} else {
			var ok bool
			if n, ok = scaled(n, -down); !ok {
				return nil, false
			}
		}
		if limit > 0 && magnitude(n) >= uint64(limit) {
			return nil, false
		}
		out.Ints[i] = n
	}
	return out, true
}

// Fits says why a number is none of a column's type int or decimal.
func Fits(d decimal.Decimal, t harrow.Type) error {
	if t.Kind == harrow.Int {
		if !d.IsInteger() {
			return fmt.Errorf("%.60s is no whole number", show(d))
		}
		if d.NumDigits()+int(d.Exponent()) > 20 || !d.BigInt().IsInt64() {
			return fmt.Errorf("%.60s has more than 64 bits", show(d))
		}
		return nil
	}
	if d.IsZero() {
		return nil
	}
	if !d.Equal(d.Truncate(t.Scale)) || int32(d.NumDigits())+d.Exponent() > t.Precision-t.Scale {
		return fmt.Errorf("%.60s has more digits than %s", show(d), t)
	}
	return nil
}

// show is a number for an error, however long it is.
func show(d decimal.Decimal) string {
	if e := d.Exponent(); e > 60 || e < -60 {
		return fmt.Sprintf("%se%d", d.Coefficient().String(), e)
	}
	return d.String()
}
