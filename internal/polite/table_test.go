package polite

import (
	"testing"
	"time"

	"github.com/harrowdata/harrow"
)

func TestTheLongestOverrideSaysWhatAKeyAllows(t *testing.T) {
	second, zero := harrow.Duration(time.Second), harrow.Duration(0)
	table, err := NewTable(harrow.Politeness{Default: harrow.PolitenessLimits{Concurrency: 2, Delay: &second}, Overrides: map[string]harrow.PolitenessLimits{
		"*.own.example":   {Concurrency: 8, Delay: &zero},
		"b.own.example":   {Rate: harrow.Rate{Count: 5, Per: time.Second}},
		"slow.example:81": {Concurrency: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]struct {
		limits  Limits
		pattern string
	}{
		"other.example":   {Limits{2, time.Second}, ""},
		"own.example":     {Limits{2, time.Second}, ""},
		"a.own.example":   {Limits{8, 0}, "*.own.example"},
		"b.own.example":   {Limits{2, 200 * time.Millisecond}, "b.own.example"},
		"slow.example:81": {Limits{1, time.Second}, "slow.example:81"},
		"slow.example:82": {Limits{2, time.Second}, ""},
		"[::1]:80":        {Limits{2, time.Second}, ""},
	} {
		if l, pattern := table.For(key); l != want.limits || pattern != want.pattern {
			t.Errorf("%s: %+v by %q, want %+v", key, l, pattern, want)
		}
	}
	if _, err := NewTable(harrow.Politeness{Overrides: map[string]harrow.PolitenessLimits{"a/b": {}}}); err == nil {
		t.Error("a pattern that is none compiles")
	}
}
