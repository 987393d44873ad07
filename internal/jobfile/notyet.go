package jobfile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// gap is a key, or some of its values, that isn't built.
type gap struct {
	beyond func(reflect.Value) bool // whether a value goes beyond the default
	value  bool                     // the value is named in the message
}

// notYet are the keys that the job file has and this release hasn't built,
// by path (* for a name, [] for a position). Such a key may stand with its
// default. Strike an entry out when its part is built.
var notYet = map[string]gap{
	"fetch.max_bundle_time": key,

	"load.postgres": presence,
}

var (
	// key: everything but nothing, an empty list and zero goes beyond.
	key = gap{beyond: func(v reflect.Value) bool {
		if k := v.Kind(); k == reflect.Slice || k == reflect.Map {
			return v.Len() > 0
		}
		return !v.IsZero()
	}}
	// presence: the key alone goes beyond.
	presence = gap{beyond: func(reflect.Value) bool { return true }}
)

// values: only these go beyond; one that ends in * stands for all that begin
// like it.
func values(these ...string) gap {
	return gap{value: true, beyond: func(v reflect.Value) bool {
		got := shown(v)
		return slices.ContainsFunc(these, func(one string) bool {
			prefix, open := strings.CutSuffix(one, "*")
			return got == one || open && strings.HasPrefix(got, prefix)
		})
	}}
}

// gapAt finds the entry of a place.
func gapAt(at place) (gap, bool) {
	if g, ok := notYet[at.pattern]; ok {
		return g, true
	}
	g, ok := notYet[at.path]
	return g, ok
}

// unbuilt reports whether a value goes beyond what is built.
func unbuilt(v reflect.Value, at place) bool {
	g, ok := gapAt(at)
	return ok && g.beyond(v)
}

// checkGap reports a key of the table whose value goes beyond the default.
func (d *decoder) checkGap(pos Pos, v reflect.Value, at place) {
	g, ok := gapAt(at)
	if !ok || !g.beyond(v) {
		return
	}
	what := at.path
	if g.value {
		what += ": " + shown(v)
	}
	d.fail(pos, at.path, "%s is not supported yet", what)
	d.errs[len(d.errs)-1].gap = true
}

// shown is a value's text; what a nil pointer would point to is none.
func shown(v reflect.Value) string {
	if v = settled(v); !v.IsValid() {
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// settled follows a pointer.
func settled(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		return v.Elem()
	}
	return v
}
