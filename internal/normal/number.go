package normal

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	harrow "github.com/harrowdata/harrow"
)

var errBadGroups = errors.New("separators are not those of a number")

// maxNumber bounds the text of a number, in bytes.
const maxNumber = 128

// ErrAmbiguous: the text can be read as two different numbers, or names a
// currency sign that several currencies share. The job file has to say which.
var ErrAmbiguous = errors.New("ambiguous")

// Int reads a whole number that fits 64 bits.
func Int(s string) (int64, error) {
	n, err := parseNumber(s)
	if err == nil {
		err = n.checkWhole()
	}
	if err != nil {
		return 0, fmt.Errorf("%.60q: want a whole number: %w", s, err)
	}
	text := n.whole()
	if n.negative {
		text = "-" + text
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.60q: want a whole number of 64 bits", s)
	}
	return i, nil
}

// checkWhole reports why the number is not certainly a whole one.
func (n number) checkWhole() error {
	switch group, point := n.readings(); {
	case group && point:
		return fmt.Errorf("%w: %c may group digits or begin decimals", ErrAmbiguous, n.point)
	case point:
		return errors.New("it has decimals")
	case !group:
		return errBadGroups
	}
	return nil
}

// Decimal reads a number that t (a decimal type) holds without rounding; zeros
// at the end that don't fit are dropped. decimalSep is "." or ","; empty is "."
// with commas refused that could be meant so (see the package comment). An
// exponent ("1.5e3") is read too.
func Decimal(s string, t harrow.Type, decimalSep string) (decimal.Decimal, error) {
	d, err := parseDecimal(s, decimalSep)
	if err == nil {
		d, err = fit(d, t)
	}
	if err != nil {
		return decimal.Decimal{}, fmt.Errorf("%.60q: want %s: %w", s, t, err)
	}
	return d, nil
}

func parseDecimal(s, decimalSep string) (decimal.Decimal, error) {
	if err := checkSeparator(decimalSep); err != nil {
		return decimal.Decimal{}, err
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e < -maxNumber || e > maxNumber {
			return decimal.Decimal{}, fmt.Errorf("exponent %.20q", s[i+1:])
		}
		mantissa, exponent = s[:i], e
	}
	n, err := parseNumber(mantissa)
	if err != nil {
		return decimal.Decimal{}, err
	}
	if decimalSep == "" && n.point == ',' && n.points == 1 {
		return decimal.Decimal{}, fmt.Errorf(`%w: the comma may group digits; where it begins decimals the job has to say decimal: ","`, ErrAmbiguous)
	}
	if decimalSep == "" && n.points == 1 {
		decimalSep = "."
	}
	d, err := n.decimal(decimalSep)
	if err != nil {
		return decimal.Decimal{}, err
	}
	return d.Shift(int32(exponent)), nil
}

func checkSeparator(s string) error {
	if s != "" && s != "." && s != "," {
		return fmt.Errorf(`decimal separator %q: want "." or ","`, s)
	}
	return nil
}

// fit brings the exponent between -scale and 0 and refuses what t can't hold.
func fit(d decimal.Decimal, t harrow.Type) (decimal.Decimal, error) {
	if t.Kind != harrow.Decimal {
		return d, fmt.Errorf("type %s is no decimal", t)
	}
	if d.Exponent() < -t.Scale {
		cut := d.Truncate(t.Scale)
		if !cut.Equal(d) {
			return d, fmt.Errorf("more than %d decimals", t.Scale)
		}
		d = cut
	}
	if d.Exponent() > 0 {
		d = decimal.NewFromBigInt(new(big.Int).Mul(d.Coefficient(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Exponent())), nil)), 0)
	}
	if digits := d.NumDigits() + int(d.Exponent()); !d.IsZero() && digits > int(t.Precision-t.Scale) {
		return d, fmt.Errorf("more than %d digits before the decimal separator", t.Precision-t.Scale)
	}
	return d, nil
}

// number is a scanned number, its separators not yet understood.
type number struct {
	negative bool
	parts    []string // digits between separators; the first or last may be empty
	seps     []rune   // between parts: '.', ',', ' ' for white space, '\'' for apostrophes
	point    rune     // the last of '.' and ',' in seps, or 0
	points   int      // how often it occurs
}

// parseNumber scans a number: a sign, digits and separators, white space
// around.
func parseNumber(s string) (number, error) {
	var n number
	s = strings.TrimFunc(s, isGap)
	if len(s) > maxNumber {
		return n, fmt.Errorf("longer than %d bytes", maxNumber)
	}
	s, n.negative = cutSign(s)
	start, digits := 0, 0
	for i, r := range s {
		if r >= '0' && r <= '9' {
			digits++
			continue
		}
		sep := separator(r)
		if sep == 0 {
			return n, fmt.Errorf("unexpected %q", r)
		}
		n.parts = append(n.parts, s[start:i])
		n.seps = append(n.seps, sep)
		start = i + utf8.RuneLen(r)
	}
	n.parts = append(n.parts, s[start:])
	if digits == 0 {
		return n, errors.New("no digits")
	}
	for _, sep := range n.seps {
		if sep == '.' || sep == ',' {
			n.point = sep
		}
	}
	for _, sep := range n.seps {
		if sep == n.point {
			n.points++
		}
	}
	return n, nil
}

// cutSign takes a sign off the front.
func cutSign(s string) (rest string, negative bool) {
	for _, sign := range []string{"-", "\u2212", "+"} {
		if rest, ok := strings.CutPrefix(s, sign); ok {
			return rest, sign != "+"
		}
	}
	return s, false
}

// separator returns the class of a separator, 0 if r is none.
func separator(r rune) rune {
	switch {
	case r == '.' || r == ',':
		return r
	case r == '\'' || r == '\u2019':
		return '\''
	case isGap(r):
		return ' '
	}
	return 0
}

// isGap reports whether r is white space that may stand inside a number.
func isGap(r rune) bool {
	switch r {
	case ' ', '\u00a0', '\u2007', '\u2009', '\u202f':
		return true
	}
	return false
}

// readings reports whether the number is well formed with its last kind of
// point taken for grouping, and taken for the decimal separator.
func (n number) readings() (group, point bool) {
	return grouped(n.parts, n.seps), n.points == 1 && n.seps[len(n.seps)-1] == n.point && grouped(n.parts[:len(n.parts)-1], n.seps[:len(n.seps)-1]) && n.fraction() != ""
}

// fraction is what stands behind the last separator.
func (n number) fraction() string { return n.parts[len(n.parts)-1] }

// whole is all digits.
func (n number) whole() string { return strings.Join(n.parts, "") }

// decimal returns the value with the given decimal separator. If none is
// given, a number that can be read in one way only is read so.
func (n number) decimal(sep string) (decimal.Decimal, error) {
	group, point := n.readings()
	switch {
	case sep != "" && n.points > 0:
		isPoint := string(n.point) == sep
		group, point = group && !isPoint, point && isPoint
	case group && point:
		return decimal.Decimal{}, fmt.Errorf("%w: %c may group digits or begin decimals", ErrAmbiguous, n.point)
	}
	switch {
	case point:
		return n.value(len(n.fraction())), nil
	case group:
		return n.value(0), nil
	}
	return decimal.Decimal{}, errBadGroups
}

// value is the digits with that many decimals.
func (n number) value(decimals int) decimal.Decimal {
	coefficient, _ := new(big.Int).SetString(n.whole(), 10) // digits, at least one
	if n.negative {
		coefficient.Neg(coefficient)
	}
	return decimal.NewFromBigInt(coefficient, int32(-decimals))
}

// grouped reports whether the parts are a whole number: one part, or groups
// with one kind of separator. A single empty part is the nothing before ".5".
func grouped(parts []string, seps []rune) bool {
	last := len(parts) - 1
	if last == 0 {
		return true
	}
	for _, sep := range seps {
		if sep != seps[0] {
			return false
		}
	}
	if len(parts[last]) != 3 || parts[0] == "" || parts[0][0] == '0' {
		return false
	}
	return groupsOf(3, parts[:last]) || groupsOf(2, parts[:last])
}

// groupsOf reports whether the first part has at most size digits, the others
// exactly as many.
func groupsOf(size int, parts []string) bool {
	for i, part := range parts {
		if len(part) > size || i > 0 && len(part) != size {
			return false
		}
	}
	return true
}
