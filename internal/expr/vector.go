package expr

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Vector is the values of a column or of an expression for many rows. Which of
// its slices has them depends on Kind:
//
//	Bool       Bools
//	Number     Decs, or where that is nil Ints: each × 10^-Scale
//	Float      Floats
//	Text       Texts
//	Date       Ints: days since 1970-01-01
//	Timestamp  Ints: microseconds since 1970-01-01, UTC
//	List       Ints: how many items it has
//
// A vector belongs to who made it until it is handed to Eval, and is not
// changed after that.
type Vector struct {
	Kind   Kind
	Rows   int
	Nulls  []bool // nil: no row is null. A null row's value means nothing.
	Bools  []bool
	Ints   []int64
	Scale  int32 // of Ints, 0 to 38
	Decs   []decimal.Decimal
	Floats []float64
	Texts  []string
	Errs   map[int]error // rows that have an error instead of a value; they are null too

	constant bool // one value stands for all rows
}

// at is where a row's value is.
func (v *Vector) at(row int) int {
	if v.constant {
		return 0
	}
	return row
}

// IsNull reports whether a row has no value.
func (v *Vector) IsNull(row int) bool {
	return v.Kind == Null || v.Nulls != nil && v.Nulls[v.at(row)]
}

// Err is what is wrong with a row; nil where nothing is.
func (v *Vector) Err(row int) error { return v.Errs[v.at(row)] }

// Bool is a row's truth value.
func (v *Vector) Bool(row int) bool { return v.Bools[v.at(row)] }

// Decimal is a row's number.
func (v *Vector) Decimal(row int) decimal.Decimal {
	if v.Decs != nil {
		return v.Decs[v.at(row)]
	}
	return decimal.New(v.Ints[v.at(row)], -v.Scale)
}

// Int is a row's date, timestamp or number of items.
func (v *Vector) Int(row int) int64 { return v.Ints[v.at(row)] }

// Float is a row's float, or its number as the nearest one.
func (v *Vector) Float(row int) float64 {
	if v.Kind == Float {
		return v.Floats[v.at(row)]
	}
	if v.Decs == nil && v.Scale == 0 {
		return float64(v.Ints[v.at(row)])
	}
	return v.Decimal(row).InexactFloat64()
}

// Text is a row's text.
func (v *Vector) Text(row int) string { return v.Texts[v.at(row)] }

// Time is a row's date (midnight UTC) or timestamp.
func (v *Vector) Time(row int) time.Time {
	if v.Kind == Date {
		return time.Unix(v.Int(row)*secondsOfDay, 0).UTC()
	}
	return time.UnixMicro(v.Int(row)).UTC()
}

const secondsOfDay = 24 * 60 * 60

// Show is a row's value as text: numbers in plain notation without zeros at
// the end, dates and timestamps in ISO 8601; empty for null and for a list.
func (v *Vector) Show(row int) string {
	if v.IsNull(row) {
		return ""
	}
	switch v.Kind {
	case Bool:
		return strconv.FormatBool(v.Bool(row))
	case Number:
		return showNumber(v.Decimal(row))
	case Float:
		return strconv.FormatFloat(v.Float(row), 'g', -1, 64)
	case Text:
		return v.Text(row)
	case Date:
		return v.Time(row).Format(time.DateOnly)
	case Timestamp:
		return v.Time(row).Format("2006-01-02T15:04:05.000000Z")
	}
	return ""
}

func showNumber(d decimal.Decimal) string { return d.String() }

// setNull marks a row as null.
func (v *Vector) setNull(row int) {
	if v.Nulls == nil {
		v.Nulls = make([]bool, v.len())
	}
	v.Nulls[row] = true
}

// fail gives a row an error; the first one stays.
func (v *Vector) fail(row int, err error) {
	v.setNull(row)
	if v.Errs == nil {
		v.Errs = map[int]error{}
	}
	if v.Errs[row] == nil {
		v.Errs[row] = err
	}
}

func (v *Vector) failf(row int, format string, args ...any) {
	v.fail(row, fmt.Errorf(format, args...))
}

// len is how many values there are.
func (v *Vector) len() int {
	if v.constant {
		return 1
	}
	return v.Rows
}

// newVector makes one with room for its values; where all operands are
// constant it is too.
func newVector(kind Kind, rows int, constant bool) *Vector {
	v := &Vector{Kind: kind, Rows: rows, constant: constant}
	n := v.len()
	switch kind {
	case Bool:
		v.Bools = make([]bool, n)
	case Number, Date, Timestamp, List:
		v.Ints = make([]int64, n)
	case Float:
		v.Floats = make([]float64, n)
	case Text:
		v.Texts = make([]string, n)
	}
	return v
}

// result makes the vector of an operation: null where an operand is, and with
// the operands' errors.
func result(kind Kind, rows int, operands ...*Vector) *Vector {
	constant := true
	for _, o := range operands {
		constant = constant && (o.constant || o.Kind == Null)
	}
	v := newVector(kind, rows, constant)
	for _, o := range operands {
		v.inherit(o)
	}
	return v
}

// inherit takes over an operand's nulls and errors.
func (v *Vector) inherit(o *Vector) {
	if o.Nulls == nil && o.Kind != Null {
		return
	}
	for i := range v.len() {
		if !o.IsNull(i) {
			continue
		}
		if err := o.Err(i); err != nil {
			v.fail(i, err)
		} else {
			v.setNull(i)
		}
	}
}

// null reports whether value i of an operation's result is null already.
func (v *Vector) null(i int) bool { return v.Nulls != nil && v.Nulls[i] }

// decs makes the vector hold decimals instead of scaled integers.
func (v *Vector) decs() {
	if v.Decs != nil {
		return
	}
	v.Decs = make([]decimal.Decimal, v.len())
	v.Ints, v.Scale = nil, 0
}

// setDecimal takes a number, or an error in place of one that is too long.
func (v *Vector) setDecimal(i int, d decimal.Decimal) {
	if tooLong(d) {
		v.failf(i, "the result has more than %d digits", maxDigits)
		return
	}
	v.Decs[i] = d
}

func tooLong(d decimal.Decimal) bool {
	return d.Exponent() > maxDigits || d.Exponent() < -maxDigits || d.NumDigits() > 2*maxDigits
}

// ParseNumber reads a number in plain or scientific notation: digits, at most
// one point, an exponent, and a sign before. Nothing is guessed: no group
// separators, no currency, no white space within.
func ParseNumber(s string) (decimal.Decimal, error) {
	bad := func(why string) (decimal.Decimal, error) {
		return decimal.Decimal{}, fmt.Errorf("%.60q is no number%s; expected one like 12, -0.5 or 1e3", s, why)
	}
	mantissa, exponent, i := s, 0, 0
	for i = range len(s) {
		if s[i]|0x20 == 'e' {
			var err error
			if exponent, err = strconv.Atoi(s[i+1:]); err != nil || exponent > maxDigits || exponent < -maxDigits {
				return bad(fmt.Sprintf(": its exponent is not one of -%d to %d", maxDigits, maxDigits))
			}
			mantissa = s[:i]
			break
		}
	}
	if len(mantissa) > maxDigits {
		return bad(fmt.Sprintf(" of at most %d digits", maxDigits))
	}
	digits, scale, point := make([]byte, 0, 40), 0, false
	for i := range len(mantissa) {
		switch c := mantissa[i]; {
		case isDigit(c):
			digits = append(digits, c)
			if point {
				scale++
			}
		case c == '.' && !point:
			point = true
		case (c == '-' || c == '+') && i == 0:
		default:
			return bad("")
		}
	}
	if len(digits) == 0 {
		return bad("")
	}
	if mantissa[0] == '-' {
		digits = append([]byte{'-'}, digits...)
	}
	if len(digits) <= 18 {
		n, _ := strconv.ParseInt(string(digits), 10, 64) // digits, and few
		return bounded(decimal.New(n, int32(exponent-scale)), s)
	}
	n, _ := new(big.Int).SetString(string(digits), 10) // digits
	return bounded(decimal.NewFromBigInt(n, int32(exponent-scale)), s)
}

func bounded(d decimal.Decimal, s string) (decimal.Decimal, error) {
	if tooLong(d) {
		return d, fmt.Errorf("%.60q has more than %d digits", s, maxDigits)
	}
	return d, nil
}

// Append adds the rows of v to all, which is nil at first and may be changed,
// and returns the result. Both are of one kind.
func (v *Vector) Append(all *Vector) *Vector {
	if all == nil {
		all = &Vector{Kind: v.Kind, Scale: v.Scale}
	}
	before := all.Rows
	all.Rows += v.Rows
	if v.Nulls != nil || all.Nulls != nil {
		all.Nulls = append(all.Nulls, make([]bool, before-len(all.Nulls))...)
		all.Nulls = append(all.Nulls, v.Nulls...)
		all.Nulls = append(all.Nulls, make([]bool, all.Rows-len(all.Nulls))...)
	}
	if v.Kind == Number && (all.Decs != nil || v.Decs != nil || v.Scale != all.Scale) {
		if all.Decs == nil {
			all.Decs = decimals(all)
			all.Ints, all.Scale = nil, 0
		}
		all.Decs = append(all.Decs, decimals(v)...)
		return all
	}
	all.Bools, all.Ints = append(all.Bools, v.Bools...), append(all.Ints, v.Ints...)
	all.Floats, all.Texts = append(all.Floats, v.Floats...), append(all.Texts, v.Texts...)
	return all
}

// Gather makes a vector of the rows at those places of v; a negative one gives
// null.
func (v *Vector) Gather(at []int32) *Vector {
	kind := v.Kind
	out := newVector(kind, len(at), false)
	out.Scale = v.Scale
	if v.Decs != nil {
		out.decs()
	}
	for i, from := range at {
		if from < 0 || v.IsNull(int(from)) {
			out.setNull(i)
			continue
		}
		out.take(i, int(from), v)
	}
	return out
}

// Owned makes the texts of the vector copies of their own and returns it.
func (v *Vector) Owned() *Vector {
	for i, s := range v.Texts {
		v.Texts[i] = strings.Clone(s)
	}
	return v
}
