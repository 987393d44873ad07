package css

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
)

// extended is what may be in selectors that only we take: see the test of what
// is beyond cascadia. A backslash may hide it.
var extended = regexp.MustCompile(`(?i):(is|where|has)\(|s\s*\]|\*\|\*|\(\s*\)|#=|\d{10}|\\|/\*`)

// Compile takes what cascadia takes, and what it takes matches as the standard
// has it.
func FuzzCompile(f *testing.F) {
	for _, expr := range agreeing {
		f.Add(expr)
	}
	for expr := range beyond {
		f.Add(expr)
	}
	for _, d := range differences {
		f.Add(d.expr)
	}
	f.Add("a\\")
	f.Add("/*")
	tree := parsed(f, makePage(7, 12))
	f.Fuzz(func(t *testing.T, expr string) {
		if len(expr) > 300 {
			return
		}
		s, err := Compile(expr)
		_, theirs := cascadia.ParseGroup(expr)
		if err == nil && theirs != nil && !extended.MatchString(expr) {
			t.Fatalf("%q is taken; cascadia says %v", expr, theirs)
		}
		if err != nil && theirs == nil && strings.Count(expr, "(") < maxDepth {
			t.Fatalf("%q: %v; cascadia takes it", expr, err)
		}
		if err != nil {
			var at *SyntaxError
			if !errors.As(err, &at) || at.At < 0 || at.At > len(expr) {
				t.Fatalf("%q: %#v", expr, err)
			}
			return
		}
		if len(expr) > 60 { // the naive one is as slow as the selector is long
			return
		}
		set := NewSet()
		set.Add(s)
		m := NewMatcher(set)
		if err := m.Run(tree, []Want{All}); err != nil {
			t.Fatal(err)
		}
		holdToNaive(t, m, 0, s, All, tree, "")
	})
}
