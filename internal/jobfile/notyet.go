package jobfile

import "reflect"

// gap is a key that isn't built.
type gap struct {
	beyond func(reflect.Value) bool // whether a value goes beyond the default
}

// notYet are the keys that the job file has and this release hasn't built,
// by path (* for a name, [] for a position). Such a key may stand with its
// default. Strike an entry out when its part is built.
var notYet = map[string]gap{
	"fetch.max_bundle_time": key,
}

// key: everything but nothing, an empty list and zero goes beyond.
var key = gap{beyond: func(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Slice || k == reflect.Map {
		return v.Len() > 0
	}
	return !v.IsZero()
}}

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
	d.fail(pos, at.path, "%s is not supported yet", at.path)
	d.errs[len(d.errs)-1].gap = true
}

// settled follows a pointer.
func settled(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		return v.Elem()
	}
	return v
}
