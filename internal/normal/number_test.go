package normal

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	harrow "github.com/harrowdata/harrow"
)

func TestInt(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "22": 22, " -7 ": -7, "+7": 7, "\u22127": -7, "007": 7, "1,234,567": 1234567, "1.234.567": 1234567, "1 234": 1234, "12\u00a0345\u202f678": 12345678, "1'234": 1234, "1’234": 1234,
		"12,34,567": 1234567, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	} {
		if got, err := Int(in); err != nil || got != want {
			t.Errorf("Int(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", " ", "-", "a", "1a", "1.5", "1,5", "0,123", "1.", ".5", "1 23", "1 2345", "12 34", "0 123", "1,234 567", "--1", "1-", "1e3", "0x10", "9223372036854775808", "٣", "1__0", strings.Repeat("1", 1000)} {
		if got, err := Int(in); err == nil {
			t.Errorf("Int(%q) = %d, want an error", in, got)
		}
	}
	for _, in := range []string{"1,234", "1.234"} {
		if _, err := Int(in); !errors.Is(err, ErrAmbiguous) {
			t.Errorf("Int(%q): %v, want ambiguous", in, err)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, c := range []struct{ in, sep, kind, want string }{
		{"1.5", "", "decimal", "1.5"},
		{"-0.05", "", "decimal", "-0.05"},
		{".5", "", "decimal", "0.5"},
		{"1.234", "", "decimal", "1.234"},
		{"1,234.5", "", "decimal", "1234.5"},
		{"1,234,567", "", "decimal", "1234567"},
		{"1 234.5", "", "decimal", "1234.5"},
		{"1,234", ".", "decimal", "1234"},
		{"1.234", ",", "decimal", "1234"},
		{"1.234,5", ",", "decimal", "1234.5"},
		{"0,5", ",", "decimal", "0.5"},
		{"1.50", "", "decimal(3,1)", "1.5"},
		{"99.9", "", "decimal(3,1)", "99.9"},
		{"1.5e3", "", "decimal", "1500"},
		{"15E-1", "", "decimal", "1.5"},
		{"0.000", "", "decimal(2,2)", "0"},
		{"0.05", "", "decimal(2,2)", "0.05"},
		{strings.Repeat("9", 29) + ".999999999", "", "decimal", strings.Repeat("9", 29) + ".999999999"},
	} {
		kind, err := harrow.ParseType(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decimal(c.in, kind, c.sep); err != nil || got.String() != c.want || got.Exponent() > 0 || got.Exponent() < -kind.Scale {
			t.Errorf("Decimal(%q, %q) = %v, %v; want %s", c.in, c.sep, got, err, c.want)
		}
	}
}

func TestDecimalRefuses(t *testing.T) {
	for _, c := range []struct{ in, sep, kind string }{
		{"1,234", "", "decimal"}, {"1,5", "", "decimal"}, {"1.234,5", "", "decimal"}, // comma
		{"1.55", "", "decimal(3,1)"}, {"0.0000000001", "", "decimal"}, // would be rounded
		{"100", "", "decimal(3,1)"}, {"1", "", "decimal(2,2)"}, {strings.Repeat("9", 30), "", "decimal"}, // too large
		{"1,5", ".", "decimal"}, {"1.5", ",", "decimal"}, {"1.2.3", "", "decimal"}, {"1.", "", "decimal"}, {"", "", "decimal"}, {"NaN", "", "decimal"}, {"Infinity", "", "decimal"},
		{"1e1000000000", "", "decimal"}, {"1e-129", "", "decimal"}, {"1e", "", "decimal"}, {"e5", "", "decimal"}, {"1", ";", "decimal"}, {"1", "", "int"},
	} {
		kind, err := harrow.ParseType(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decimal(c.in, kind, c.sep); err == nil {
			t.Errorf("Decimal(%q, %s, %q) = %s, want an error", c.in, kind, c.sep, got)
		}
	}
}

// group writes digits in groups of three.
func group(digits, sep string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + sep + digits[i:]
	}
	return digits
}

func TestDecimalReadsBackWhatLocalesWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		style := rapid.SampledFrom([][2]string{{",", "."}, {".", ","}, {" ", ","}, {"\u202f", ","}, {"'", "."}, {"", "."}}).Draw(t, "style")
		whole, fraction := rapid.Uint64().Draw(t, "whole"), rapid.StringMatching(`[0-9]{0,9}`).Draw(t, "fraction")
		digits := new(big.Int).SetUint64(whole).String()
		plain, text := digits, group(digits, style[0])
		if fraction != "" {
			plain, text = plain+"."+fraction, text+style[1]+fraction
		}
		want := decimal.RequireFromString(plain)
		if got, err := Decimal(text, harrow.DefaultDecimal, style[1]); err != nil || !got.Equal(want) {
			t.Fatalf("%q: %v, %v; want %v", text, got, err, want)
		}
		// Untold, it is this value or an error.
		if got, err := Decimal(text, harrow.DefaultDecimal, ""); err == nil && !got.Equal(want) && !(style[1] == "," && style[0] == "." && fraction == "") {
			t.Fatalf("%q untold: %v, want %v", text, got, want)
		}
	})
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1,234.5", "-1.5e3", "1 234", ".5", "1'234", "\u22121", "1e-128"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		Int(s)
		for _, sep := range []string{"", ".", ","} {
			d, err := Decimal(s, harrow.DefaultDecimal, sep)
			if err != nil {
				continue
			}
			again, err := Decimal(d.String(), harrow.DefaultDecimal, ".")
			if err != nil || !again.Equal(d) || d.Exponent() > 0 || d.Exponent() < -9 || d.NumDigits() > 38 {
				t.Fatalf("%q: %s, again %s, %v", s, d, again, err)
			}
		}
	})
}
