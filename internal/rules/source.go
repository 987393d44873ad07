package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/andybalholm/cascadia"
	"github.com/theory/jsonpath"
	"golang.org/x/net/html"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/rowdata"
)

// needs are the pieces of a page without which a rule can't be applied.
type needs struct{ text, tree, linked bool }

func (n needs) or(m needs) needs {
	return needs{n.text || m.text, n.tree || m.tree, n.linked || m.linked}
}

// view is what a row's fields look at.
type view struct {
	doc  *Document
	node *html.Node   // the tree, or the row's element; nil when no rule needs it
	row  *rowdata.Row // of a data file; nil: the page is a document
}

// source is a field's first step.
type source interface {
	// pick appends the selected texts to dst in document order: all of them,
	// or the first. The pieces it needs are made already.
	pick(v view, dst []string, all bool) []string
	needs() needs
	// String is the selector as the job file has it.
	String() string
}

// CheckSelector says what is wrong with a selector of a job file. Kinds are
// css (with or without "@attribute" at the end), jsonld, regex, and rows for
// the JSONPath of a rule's rows; others are not supported yet.
func CheckSelector(kind, expr string) error {
	var err error
	switch kind {
	case "css":
		_, err = compileCSS(expr)
	case "jsonld":
		_, err = compileLinked(expr)
	case "regex":
		_, err = regexp.Compile(expr)
	case "rows":
		_, err = rowdata.CompilePath(expr)
	default:
		err = fmt.Errorf("selectors of kind %s are not supported yet", kind)
	}
	return err
}

// cssSource selects elements, and of them the text content or an attribute.
type cssSource struct {
	expr      string
	matcher   cascadia.Matcher // nil: the row's element itself
	attribute string           // lower case; empty: the text content
}

var attributeSuffix = regexp.MustCompile(`@([A-Za-z_:][-A-Za-z0-9_:.]*)\s*$`)

func compileCSS(expr string) (*cssSource, error) {
	s := &cssSource{expr: expr}
	selector := expr
	if m := attributeSuffix.FindStringSubmatchIndex(expr); m != nil {
		selector, s.attribute = expr[:m[0]], strings.ToLower(expr[m[2]:m[3]])
	}
	switch selector = strings.TrimSpace(selector); {
	case selector == ":scope", selector == "" && s.attribute != "":
		return s, nil
	case selector == "":
		return nil, errors.New("css: the selector is empty")
	}
	var err error
	s.matcher, err = compileMatcher(selector)
	return s, err
}

func compileMatcher(selector string) (cascadia.Matcher, error) {
	group, err := cascadia.ParseGroup(selector)
	if err != nil {
		return nil, fmt.Errorf("css %q: %w", selector, err)
	}
	if len(group) == 1 {
		return group[0], nil
	}
	return group, nil
}

func (s *cssSource) String() string { return "css: " + s.expr }
func (s *cssSource) needs() needs   { return needs{tree: true} }

func (s *cssSource) pick(v view, dst []string, all bool) []string {
	if s.matcher == nil {
		if text, ok := s.value(v.node); ok {
			dst = append(dst, text)
		}
		return dst
	}
	for n := next(v.node, v.node); n != nil; n = next(v.node, n) {
		if n.Type != html.ElementNode || !s.matcher.Match(n) {
			continue
		}
		text, ok := s.value(n)
		if !ok {
			continue
		}
		if dst = append(dst, text); !all {
			break
		}
	}
	return dst
}

func (s *cssSource) value(n *html.Node) (string, bool) {
	if s.attribute == "" {
		return textOf(n, 0), true
	}
	return attribute(n, s.attribute)
}

// linkedSource is a JSONPath in the JSON-LD nodes.
type linkedSource struct {
	path     *jsonpath.Path
	singular bool // selects one value at most
}

func compileLinked(expr string) (*linkedSource, error) {
	path, err := jsonpath.Parse(expr)
	if err != nil {
		return nil, fmt.Errorf("jsonld %q: %w", expr, err)
	}
	return &linkedSource{path, path.Query().Singular() != nil}, nil
}

func (s *linkedSource) String() string { return "jsonld: " + s.path.String() }
func (s *linkedSource) needs() needs   { return needs{tree: true, linked: true} }

func (s *linkedSource) pick(v view, dst []string, all bool) []string {
	nodes, _ := v.doc.Linked()
	before := len(dst)
	for _, node := range nodes {
		for _, value := range s.values(node) {
			if dst = appendTexts(dst, value); !all && len(dst) > before {
				return dst[:before+1]
			}
		}
		if len(dst) > before {
			break
		}
	}
	return dst
}

// values selects in one node, in an order that is the same every time: the
// members of an object have none of their own, so they go by name.
func (s *linkedSource) values(node any) []any {
	if s.singular {
		return s.path.Select(node)
	}
	located := s.path.SelectLocated(node)
	located.Sort()
	values := make([]any, len(located))
	for i, l := range located {
		values[i] = l.Node
	}
	return values
}

// appendTexts appends a JSON value as text: a number as it was written, an
// array as its elements, an object as JSON. null is nothing.
func appendTexts(dst []string, value any) []string {
	switch value := value.(type) {
	case nil:
	case string:
		dst = append(dst, value)
	case json.Number:
		dst = append(dst, value.String())
	case bool:
		dst = append(dst, strconv.FormatBool(value))
	case []any:
		for _, element := range value {
			dst = appendTexts(dst, element)
		}
	default:
		if text, err := json.Marshal(value); err == nil {
			dst = append(dst, string(text))
		}
	}
	return dst
}

// regexSource selects in the decoded text.
type regexSource struct{ pattern }

func (s regexSource) String() string { return "regex: " + s.re.String() }
func (s regexSource) needs() needs   { return needs{text: true} }

func (s regexSource) pick(v view, dst []string, all bool) []string {
	text, _ := v.doc.Text()
	limit := 1
	if all {
		limit = -1
	}
	for _, m := range s.re.FindAllSubmatchIndex(text, limit) {
		if from, to := m[2*s.group], m[2*s.group+1]; from >= 0 {
			dst = append(dst, string(text[from:to]))
		}
	}
	return dst
}

// pattern is an expression and the group of it that counts.
type pattern struct {
	re    *regexp.Regexp
	group int // named value, else 1, else 0: the whole match
}

func compilePattern(expr string) (pattern, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return pattern{}, fmt.Errorf("regex %q: %w", expr, err)
	}
	p := pattern{re: re, group: re.SubexpIndex("value")}
	if p.group < 0 {
		p.group = min(re.NumSubexp(), 1)
	}
	return p, nil
}

// find returns what the group holds; false: no match, or not of the group.
func (p pattern) find(text string) (string, bool) {
	m := p.re.FindStringSubmatchIndex(text)
	if m == nil || m[2*p.group] < 0 {
		return "", false
	}
	return text[m[2*p.group]:m[2*p.group+1]], true
}

// timeForm is RFC 3339 in UTC with microseconds.
const timeForm = "2006-01-02T15:04:05.000000Z07:00"

// fromSource is something known of the capture.
type fromSource struct {
	what   string
	header string // name of the header, for header:NAME
}

func compileFrom(expr string) (*fromSource, error) {
	name, isHeader := strings.CutPrefix(expr, "header:")
	switch {
	case isHeader && strings.TrimSpace(name) != "":
		return &fromSource{expr, strings.TrimSpace(name)}, nil
	case strings.HasPrefix(expr, "carry:"):
		return nil, fmt.Errorf("from %s is not supported yet", expr)
	}
	switch expr {
	case "url", "request_url", "host", "path", "status", "fetched_at":
		return &fromSource{what: expr}, nil
	}
	return nil, fmt.Errorf("from %q: want url, request_url, host, path, status, fetched_at or header:NAME", expr)
}

func (s *fromSource) String() string { return "from: " + s.what }
func (s *fromSource) needs() needs   { return needs{} }

func (s *fromSource) pick(v view, dst []string, all bool) []string {
	c := &v.doc.page.Capture
	switch s.what {
	case "url":
		return append(dst, v.doc.final.String())
	case "request_url":
		return append(dst, c.URL)
	case "host":
		return append(dst, v.doc.final.Host())
	case "path":
		return append(dst, v.doc.final.Path())
	case "status":
		return append(dst, strconv.Itoa(int(c.Status)))
	case "fetched_at":
		return append(dst, FetchedAt(*c).Format(timeForm))
	}
	return appendHeaders(dst, c.Headers, s.header, all)
}

func appendHeaders(dst []string, headers []harrow.Header, name string, all bool) []string {
	for _, h := range headers {
		if !strings.EqualFold(h.Name, name) {
			continue
		}
		if dst = append(dst, h.Value); !all {
			break
		}
	}
	return dst
}
