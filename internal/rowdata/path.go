package rowdata

import (
	"fmt"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"
)

// Path is a JSONPath (RFC 9535) that selects the rows of a JSON document.
//
// Paths of which every segment is one name, wildcard, index from 0 on or slice
// that counts up from 0 on, with at most a filter behind them that does not
// look at the root ($.items[*], $.pages[0:10].rows[?@.price > 5]), stream. For
// all others ($..item, $.items[-1]) the document has to be read as a whole.
type Path struct {
	path    *jsonpath.Path
	steps   []step
	filter  string
	streams bool
}

// step selects among the children of an array or object.
type step struct {
	name  string
	named bool // a name; else a wildcard or a slice
	any   bool // a wildcard: members too
	from  int64
	to    int64 // before it
	by    int64
}

// maxPathText bounds a JSONPath of a job file, in bytes.
const maxPathText = 4 << 10

// CompilePath reads a JSONPath.
func CompilePath(text string) (*Path, error) {
	if len(text) > maxPathText {
		return nil, fmt.Errorf("jsonpath of %d bytes; want at most %d", len(text), maxPathText)
	}
	path, err := jsonpath.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("jsonpath %q: %w", text, err)
	}
	p := &Path{path: path, streams: true}
	segments := path.Query().Segments()
	for i, segment := range segments {
		step, ok := stepOf(segment)
		if !ok && i == len(segments)-1 {
			if p.filter = filterOf(segment); p.filter != "" {
				step, ok = everyChild, true
			}
		}
		if !ok {
			p.streams = false
			return p, nil
		}
		p.steps = append(p.steps, step)
	}
	return p, nil
}

// String is the path in the form of RFC 9535.
func (p *Path) String() string { return p.path.String() }

// Filter is the filter at the end of a path that streams, as a JSONPath of an
// array that holds a row alone: $[?@.price > 5]; empty: there is none. A
// reader returns the rows that it refuses too.
func (p *Path) Filter() string { return p.filter }

// Streams reports whether documents of any size can be read by the path.
func (p *Path) Streams() bool { return p.streams }

const noEnd = 1<<63 - 1

var everyChild = step{any: true, to: noEnd, by: 1}

// stepOf translates a segment that can be followed while the text streams.
func stepOf(segment *spec.Segment) (step, bool) {
	selectors := segment.Selectors()
	if segment.IsDescendant() || len(selectors) != 1 {
		return step{}, false
	}
	switch s := selectors[0].(type) {
	case spec.Name:
		return step{name: string(s), named: true}, true
	case spec.WildcardSelector:
		return everyChild, true
	case spec.Index:
		return step{from: int64(s), to: int64(s) + 1, by: 1}, s >= 0
	case spec.SliceSelector:
		return step{from: int64(s.Start()), to: int64(s.End()), by: int64(s.Step())}, s.Start() >= 0 && s.End() >= 0 && s.Step() > 0
	}
	return step{}, false
}

// filterOf returns a filter that can be asked about one row without the rest
// of the document.
func filterOf(segment *spec.Segment) string {
	selectors := segment.Selectors()
	if segment.IsDescendant() || len(selectors) != 1 {
		return ""
	}
	filter, ok := selectors[0].(*spec.FilterSelector)
	if !ok || strings.Contains(filter.String(), "$") { // perhaps within a text, but who knows
		return ""
	}
	return spec.Query(true, segment).String()
}

// member reports whether the step selects an object's member.
func (s step) member(name string) bool { return s.any || s.named && s.name == name }

// element reports whether the step selects an array's element.
func (s step) element(i int64) bool {
	return !s.named && i >= s.from && i < s.to && (i-s.from)%s.by == 0
}

// objects reports whether the step may select members.
func (s step) objects() bool { return s.any || s.named }
