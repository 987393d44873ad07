package css

import (
	"errors"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
)

func TestSelectorsThatAreRefusedSayWhereAndWhatWasExpected(t *testing.T) {
	for expr, want := range map[string]string{
		"":                                "at byte 0: expected a selector, found the end",
		"div >":                           "at byte 5: expected a selector, found the end",
		"div, ":                           "at byte 5: expected a selector, found the end",
		"div >> p":                        "at byte 5: expected a selector, found '>'",
		"a)":                              "at byte 1: expected a combinator, a comma or the end, found ')'",
		"p.1":                             "at byte 2: expected a class, found '1'",
		"#":                               "at byte 1: expected an id, found the end",
		"..a":                             "at byte 1: expected a class, found '.'",
		"[a":                              "at byte 2: expected ], =, !=, ~=, |=, ^=, $=, *= or #=, found the end",
		"[a%=b]":                          "at byte 2: expected ], =, !=, ~=, |=, ^=, $=, *= or #=, found '%'",
		"[a=1]":                           "at byte 3: expected a value, found '1'",
		"[a='b]":                          "at byte 6: expected the string's end '\\'', found the end",
		"[a=b x]":                         "at byte 5: expected ']', found 'x'",
		"[a#=(]":                          "at byte 6: expected the end of the regular expression, found the end",
		"[a#=*]":                          "at byte 4: error parsing regexp: missing argument to repetition operator: `*`",
		":not":                            "at byte 4: expected '(', found the end",
		":not(p":                          "at byte 6: expected ')', found the end",
		":not()":                          "at byte 5: expected a selector, found ')'",
		":first":                          `at byte 1: no pseudo-class is called "first"`,
		"p::before":                       "at byte 2: pseudo-elements, as ::before, are no elements of a page",
		":nth-child(x)":                   "at byte 11: expected odd, even or the like of 2n+1, found 'x'",
		":nth-child(other)":               "at byte 11: expected odd, even or the like of 2n+1, found 'o'",
		":nth-child(2n+)":                 "at byte 14: expected a number, found ')'",
		":nth-child(1 1)":                 "at byte 13: expected ')', found '1'",
		":contains(a b)":                  "at byte 12: expected ')', found 'b'",
		"a\\":                             "at byte 2: expected a character behind the backslash, found the end",
		"a\\\n":                           "at byte 2: expected a character behind the backslash, found '\\n'",
		"é\xff|":                          "at byte 3: expected a combinator, a comma or the end, found '|'",
		"p \xfe\x01":                      "at byte 3: expected a combinator, a comma or the end, found '\\x01'",
		"p /* b":                          "at byte 2: expected a selector, found '/'",
		strings.Repeat(":not(", 65) + "a": "at byte 325: arguments are nested over 64 deep",
	} {
		s, err := Compile(expr)
		if err == nil || err.Error() != want || s != nil {
			t.Errorf("%q: %v, want %s", expr, err, want)
		}
		if at := (&SyntaxError{}); !errors.As(err, &at) {
			t.Errorf("%q: %T", expr, err)
		}
		if _, err := cascadia.ParseGroup(expr); err == nil && !strings.HasPrefix(expr, ":not(:not") {
			t.Errorf("%q: cascadia takes it", expr)
		}
	}
}
