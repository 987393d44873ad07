package normal

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTruthValues(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "TRUE": true, "yes": true, "Y": true, "on": true, "1": true, "t": true, "false": false, "No": false, "n": false, "OFF": false, "0": false, "f": false} {
		if got, err := Bool(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2", "ja", "oui", "truee", "yes!", "in stock", "-1", "01", "null", "ﬀ", "K"} {
		if got, err := Bool(text); err == nil || !strings.Contains(err.Error(), "want true, yes, y, t, on, 1 or false") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestFloats(t *testing.T) {
	for text, want := range map[string]float64{"1": 1, "-1.5": -1.5, "+2": 2, "1e3": 1000, "1E-3": 0.001, "1e308": 1e308, "1,234.5": 1234.5, "\u22123": -3, "1 234": 1234, "5.": 5, "0": 0, "1e-999": 0, "1.234": 1.234, "1,234,567": 1234567, ".5": .5} {
		if got, err := Float(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "", "NaN": "", "nan": "", "Inf": "", "-Infinity": "", "1e999": "too large", "0x10": "", "1_000": "", "1,5": "ambiguous", "1e": "", "e5": "", "1.2.3": "", "--1": "", "1e5.5": "", "+-1": "", strings.Repeat("9", 200): "longer than", "1e+-5": "", "1e--5": "",
	} {
		if got, err := Float(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "want a number") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"1e5", "1,234.5", "TRUE", "nan", "-.5", "1e+999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := Float(text); err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Fatalf("%q: %v", text, v)
		}
		_, _ = Bool(text)
	})
}

func TestFloatsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Float64().Draw(t, "f")
		for _, format := range []byte{'g', 'e'} {
			text := strconv.FormatFloat(want, format, -1, 64)
			got, err := Float(text)
			if math.IsInf(want, 0) || math.IsNaN(want) {
				if err == nil {
					t.Fatalf("%s: %v", text, got)
				}
			} else if err != nil || got != want {
				t.Fatalf("%s: %v, %v", text, got, err)
			}
		}
	})
}
