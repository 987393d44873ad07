package expr

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/shopspring/decimal"
)

// maxScale is the most of the quick form: Ints × 10^-Scale.
const maxScale = 38

var powers = func() (p [19]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// times multiplies if it fits 64 bits.
func times(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if (a < 0) != (b < 0) {
		return -int64(lo), true
	}
	return int64(lo), true
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

// plus adds if it fits 64 bits.
func plus(a, b int64) (int64, bool) {
	s := a + b
	return s, (s > a) == (b > 0)
}

// scaled multiplies by 10^n if it fits 64 bits.
func scaled(a int64, n int32) (int64, bool) {
	if n >= int32(len(powers)) {
		return 0, a == 0
	}
	return times(a, powers[n])
}

// rescale brings the quick form to a greater scale; false where it doesn't fit.
func rescale(in []int64, from, to int32) ([]int64, bool) {
	if from == to {
		return in, true
	}
	out := make([]int64, len(in))
	for i, n := range in {
		var ok bool
		if out[i], ok = scaled(n, to-from); !ok {
			return nil, false
		}
	}
	return out, true
}

// Reduce divides the quick form by the power of ten that divides all of it, so
// that products stay within it. It changes the vector.
func (v *Vector) Reduce() {
	if v.Kind != Number || v.Decs != nil || v.Scale == 0 {
		return
	}
	k := min(v.Scale, 18)
	for _, n := range v.Ints {
		for k > 0 && n%powers[k] != 0 {
			k--
		}
		if k == 0 {
			return
		}
	}
	for i := range v.Ints {
		v.Ints[i] /= powers[k]
	}
	v.Scale -= k
}

// compact turns decimals into the quick form where they all fit it.
func (v *Vector) compact() {
	if v.Kind != Number || v.Decs == nil {
		return
	}
	scale := int32(0)
	for _, d := range v.Decs {
		scale = max(scale, -d.Exponent())
	}
	if scale > maxScale {
		return
	}
	ints := make([]int64, len(v.Decs))
	for i, d := range v.Decs {
		if d.IsZero() {
			continue // of a null, too
		}
		c := d.CoefficientInt64()
		var ok bool
		if ints[i], ok = scaled(c, scale+d.Exponent()); !ok || !fits(d) {
			return
		}
	}
	v.Ints, v.Scale, v.Decs = ints, scale, nil
}

// fits reports whether a coefficient has 64 bits.
func fits(d decimal.Decimal) bool { return d.NumDigits() < 19 || d.Coefficient().IsInt64() }

func finite(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }

// arithmetic is + - * /.
func arithmetic(n *syntax, a, b typed) (typed, error) {
	kind := Number
	if a.kind == Float || b.kind == Float {
		kind = Float
	}
	var err error
	if a, err = a.as(kind, n.text); err != nil {
		return typed{}, err
	}
	if b, err = b.as(kind, n.text); err != nil {
		return typed{}, err
	}
	t := typed{kind: kind, inexact: kind == Number && (n.text == "/" || a.inexact || b.inexact)}
	sign := n.text[0]
	t.eval = func(e *env) *Vector {
		x, y := a.eval(e), b.eval(e)
		out := result(kind, e.rows, x, y)
		switch {
		case x.Kind == Null || y.Kind == Null:
		case kind == Float:
			floats(sign, x, y, out)
		case sign == '/' || !quick(sign, x, y, out):
			exact(sign, x, y, out)
		}
		return out
	}
	return t, nil
}

func floats(sign byte, x, y, out *Vector) {
	for i := range out.len() {
		if out.null(i) {
			continue
		}
		a, b := x.Float(i), y.Float(i)
		switch sign {
		case '+':
			a += b
		case '-':
			a -= b
		case '*':
			a *= b
		default:
			if b == 0 {
				out.failf(i, "division by zero")
				continue
			}
			a /= b
		}
		if out.Floats[i] = a; !finite(a) {
			out.failf(i, "the result is no finite number")
		}
	}
}

// quick computes in 64 bits; false where that is not enough.
func quick(sign byte, x, y, out *Vector) bool {
	if x.Decs != nil || y.Decs != nil {
		return false
	}
	a, b := x.Ints, y.Ints
	var ok bool
	if sign == '*' {
		if out.Scale = x.Scale + y.Scale; out.Scale > maxScale {
			return false
		}
	} else {
		out.Scale = max(x.Scale, y.Scale)
		if a, ok = rescale(a, x.Scale, out.Scale); !ok {
			return false
		}
		if b, ok = rescale(b, y.Scale, out.Scale); !ok {
			return false
		}
	}
	for i := range out.len() {
		n, m := a[x.at(i)], b[y.at(i)]
		switch sign {
		case '+':
			n, ok = plus(n, m)
		case '-':
			if n, ok = plus(n, -m); m == math.MinInt64 {
				ok = false
			}
		default:
			n, ok = times(n, m)
		}
		if !ok && !out.null(i) {
			return false
		}
		out.Ints[i] = n
	}
	return true
}

func exact(sign byte, x, y, out *Vector) {
	out.decs()
	for i := range out.len() {
		if out.null(i) {
			continue
		}
		a, b := x.Decimal(i), y.Decimal(i)
		switch sign {
		case '+':
			a = a.Add(b)
		case '-':
			a = a.Sub(b)
		case '*':
			a = a.Mul(b)
		default:
			if b.IsZero() {
				out.failf(i, "division by zero")
				continue
			}
			a = a.DivRound(b, QuotientDigits)
		}
		out.setDecimal(i, a)
	}
}

func negate(n *syntax, a typed) (typed, error) {
	if a.kind != Float {
		var err error
		if a, err = a.as(Number, "the sign "+n.text); err != nil {
			return typed{}, err
		}
	}
	if n.text == "+" {
		return a, nil
	}
	zero := constant(&Vector{Kind: Number, Ints: []int64{0}, constant: true}, a.at)
	return arithmetic(&syntax{op: opBinary, at: n.at, text: "-"}, zero, a)
}

// round is half away from zero.
func round(a typed, digits int32) typed {
	t := typed{kind: Number}
	t.eval = func(e *env) *Vector {
		in := a.eval(e)
		out := result(Number, e.rows, in)
		if in.Kind == Null {
			return out
		}
		if down := in.Scale - digits; in.Decs == nil && down < int32(len(powers)) {
			if out.Scale = min(in.Scale, digits); down <= 0 {
				copy(out.Ints, in.Ints)
				return out
			}
			for i, n := range in.Ints {
				out.Ints[i] = roundOff(n, powers[down])
			}
			return out
		}
		out.decs()
		for i := range out.len() {
			if !out.null(i) {
				out.Decs[i] = in.Decimal(i).Round(digits)
			}
		}
		out.compact()
		return out
	}
	return t
}

func roundOff(n, by int64) int64 {
	q, r := n/by, n%by
	if magnitude(r) >= magnitude(by)-magnitude(r) {
		if n < 0 {
			return q - 1
		}
		return q + 1
	}
	return q
}

// absolute value.
func abs(a typed) typed {
	kind := a.kind
	return a.whole(kind, func(in, out *Vector) {
		if kind == Float {
			for i, f := range in.Floats {
				out.Floats[i] = math.Abs(f)
			}
			return
		}
		out.Scale = in.Scale
		for i, n := range in.Ints {
			if n == math.MinInt64 {
				in = &Vector{Kind: Number, Ints: in.Ints, Scale: in.Scale, Rows: in.Rows, Decs: decimals(in)}
				break
			}
			out.Ints[i] = int64(magnitude(n))
		}
		if in.Decs != nil {
			out.decs()
			for i, d := range in.Decs {
				out.Decs[i] = d.Abs()
			}
		}
	})
}

// decimals is a number vector in its long form.
func decimals(v *Vector) []decimal.Decimal {
	if v.Decs != nil {
		return v.Decs
	}
	out := make([]decimal.Decimal, len(v.Ints))
	for i, n := range v.Ints {
		out[i] = decimal.NewFromBigInt(big.NewInt(n), -v.Scale)
	}
	return out
}

// whole applies f to all values at once.
func (t typed) whole(kind Kind, f func(in, out *Vector)) typed {
	eval := t.eval
	return typed{kind: kind, inexact: t.inexact, at: t.at, eval: func(e *env) *Vector {
		in := eval(e)
		out := result(kind, e.rows, in)
		if in.Kind != Null {
			f(in, out)
		}
		return out
	}}
}
