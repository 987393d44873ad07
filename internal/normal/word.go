package normal

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// truths are the words that [Bool] reads, in lower case.
var truths = map[string]bool{
	"true": true, "yes": true, "y": true, "t": true, "on": true, "1": true,
	"false": false, "no": false, "n": false, "f": false, "off": false, "0": false,
}

// Bool reads true, yes, y, t, on, 1 and false, no, n, f, off, 0, in upper or
// lower case. Nothing else is a truth value: other words are a matter of the
// job's map.
func Bool(s string) (bool, error) {
	if len(s) <= len("false") {
		if v, ok := truths[strings.ToLower(s)]; ok {
			return v, nil
		}
	}
	return false, fmt.Errorf("%.60q: want true, yes, y, t, on, 1 or false, no, n, f, off, 0", s)
}

// Float reads a number as [Decimal] does with ".", and exponents of any size,
// as the nearest float. NaN, infinities and what is too large are errors.
func Float(s string) (float64, error) {
	f, err := parseFloat(s)
	if err != nil {
		return 0, fmt.Errorf("%.60q: want a number: %w", s, err)
	}
	return f, nil
}

func parseFloat(s string) (float64, error) {
	if len(s) > maxNumber {
		return 0, fmt.Errorf("longer than %d bytes", maxNumber)
	}
	if !plainFloat(s) { // groups, or U+2212, or no number
		d, err := parseDecimal(s, "")
		return d.InexactFloat64(), err
	}
	f, err := strconv.ParseFloat(s, 64)
	if math.IsInf(f, 0) {
		return 0, errors.New("it is too large")
	}
	return f, err
}

// plainFloat reports whether s is digits, at most one point, and perhaps a
// sign and an exponent.
func plainFloat(s string) bool {
	mantissa, exponent, has := strings.Cut(strings.ToLower(s), "e")
	if has && !digits(strings.TrimLeft(exponent, "+-")) {
		return false
	}
	whole, fraction, _ := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	return digits(whole) && (fraction == "" || digits(fraction))
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
