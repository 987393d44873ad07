package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"

	"github.com/harrowdata/harrow/internal/xpath"
)

// jsonPath is a compiled JSONPath (RFC 9535). The library reads paths and
// decides filters; values are walked here, since a page's path has to give the
// same order every time, end early and end at all.
type jsonPath struct {
	*jsonpath.Path
	costs map[*spec.FilterSelector]filterCost
}

// filterCost says what deciding a filter for one value visits.
type filterCost struct{ below, root bool }

func compileJSONPath(kind, expr string) (jsonPath, error) {
	path, err := jsonpath.Parse(quoteWords(expr))
	if err != nil {
		return jsonPath{}, fmt.Errorf("%s %q: %w", kind, expr, err)
	}
	p := jsonPath{path, map[*spec.FilterSelector]filterCost{}}
	for _, segment := range path.Query().Segments() {
		for _, s := range segment.Selectors() {
			if f, ok := s.(*spec.FilterSelector); ok {
				text := withoutQuoted(f.String())
				p.costs[f] = filterCost{below: strings.ContainsAny(text, "*:") || strings.Contains(text, ".."), root: strings.Contains(text, "$")}
			}
		}
	}
	return p, nil
}

// quoteWords writes the names true, false and null in brackets, since the
// library takes them for values wherever they stand: $.null is $['null'].
func quoteWords(path string) string {
	return shorthand.ReplaceAllStringFunc(path, func(m string) string {
		word := strings.TrimLeft(m, ". \t\r\n")
		if m[0] == '"' || m[0] == '\'' || word != "true" && word != "false" && word != "null" {
			return m
		}
		if strings.HasPrefix(m, "..") {
			return "..['" + word + "']"
		}
		return "['" + word + "']"
	})
}

// shorthand is a quoted text, or a name behind one or two points.
var shorthand = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\.\.?[\pL_][\pL\pN_]*`)

// withoutQuoted leaves out what stands in double quotes.
func withoutQuoted(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			b.WriteByte(text[i])
			continue
		}
		for i++; i < len(text) && text[i] != '"'; i++ {
			if text[i] == '\\' {
				i++
			}
		}
	}
	return b.String()
}

// each visits what the path selects in a value, in the order of the RFC, with
// an object's members by name, until visit returns false. False: the budget is
// spent.
func (p jsonPath) each(root any, budget *xpath.Budget, visit func(any) bool) bool {
	w := jsonWalk{path: p, root: root, budget: budget, visit: visit}
	w.walk(root, p.Query().Segments())
	return budget.Left >= 0
}

type jsonWalk struct {
	path     jsonPath
	root     any
	rootSize int64 // 0: not counted yet
	budget   *xpath.Budget
	visit    func(any) bool
}

// walk visits what the segments select in a value; false: it is to end.
func (w *jsonWalk) walk(v any, segments []*spec.Segment) bool {
	if w.budget.Left--; w.budget.Left < 0 {
		return false
	}
	if len(segments) == 0 {
		return w.visit(v)
	}
	for _, s := range segments[0].Selectors() {
		if !w.selector(v, s, segments[1:]) {
			return false
		}
	}
	if !segments[0].IsDescendant() {
		return true
	}
	return eachChild(v, func(child any) bool { return w.walk(child, segments) })
}

func (w *jsonWalk) selector(v any, s spec.Selector, rest []*spec.Segment) bool {
	switch s := s.(type) {
	case spec.WildcardSelector:
		return eachChild(v, func(child any) bool { return w.walk(child, rest) })
	case *spec.FilterSelector:
		cost := w.path.costs[s]
		return eachChild(v, func(child any) bool {
			if w.budget.Left -= w.filterCost(cost, child); w.budget.Left < 0 {
				return false
			}
			return !s.Eval(child, w.root) || w.walk(child, rest)
		})
	}
	for _, child := range s.Select(v, w.root) { // a name, an index, a slice: in order
		if !w.walk(child, rest) {
			return false
		}
	}
	return true
}

// filterWeight is what a value costs that the library visits, which makes lists
// of them on its way.
const filterWeight = 4

func (w *jsonWalk) filterCost(c filterCost, v any) int64 {
	n := int64(1)
	if c.below {
		n += sizeOfJSON(v)
	}
	if c.root {
		if w.rootSize == 0 {
			w.rootSize = sizeOfJSON(w.root)
		}
		n += w.rootSize
	}
	return filterWeight * n
}

// eachChild visits elements, or members by name; false: visit ended it.
func eachChild(v any, visit func(any) bool) bool {
	switch v := v.(type) {
	case []any:
		for _, child := range v {
			if !visit(child) {
				return false
			}
		}
	case map[string]any:
		if len(v) == 1 {
			for _, child := range v {
				return visit(child)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if !visit(v[name]) {
				return false
			}
		}
	}
	return true
}

// sizeOfJSON is how many values there are in a value, itself included.
func sizeOfJSON(v any) int64 {
	n := int64(1)
	switch v := v.(type) {
	case []any:
		for _, child := range v {
			n += sizeOfJSON(child)
		}
	case map[string]any:
		for _, child := range v {
			n += sizeOfJSON(child)
		}
	}
	return n
}

// texts appends what the path selects as texts, or the first of them.
func (p jsonPath) texts(dst []string, root any, all bool, budget *xpath.Budget) ([]string, bool) {
	before := len(dst)
	ok := p.each(root, budget, func(v any) bool {
		dst = appendTexts(dst, v)
		return all || len(dst) == before
	})
	if !all && len(dst) > before {
		dst = dst[:before+1]
	}
	return dst, ok
}

// jsonSource is a JSONPath in the body's or the row's value.
type jsonSource struct{ path jsonPath }

func compileJSON(expr string) (*jsonSource, error) {
	path, err := compileJSONPath("jsonpath", expr)
	return &jsonSource{path}, err
}

func (s *jsonSource) String() string { return "jsonpath: " + s.path.String() }
func (s *jsonSource) needs() needs   { return needs{json: true} }

func (s *jsonSource) pick(v view, dst []string, all bool) ([]string, *Fault) {
	root, fault := v.json()
	if fault != nil {
		return dst, fault
	}
	dst, ok := s.path.texts(dst, root, all, v.budget())
	if !ok {
		return dst, v.doc.spent()
	}
	return dst, nil
}
