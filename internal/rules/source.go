package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/harrowdata/harrow/internal/css"
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/rowdata"
)

// needs are the pieces of a page without which a rule can't be applied.
type needs struct{ text, tree, linked, json bool }

func (n needs) or(m needs) needs {
	return needs{n.text || m.text, n.tree || m.tree, n.linked || m.linked, n.json || m.json}
}

// view is what a row's fields look at.
type view struct {
	doc  *Document
	css  *selection   // what css selects in the page
	node dom.ID       // the row's element, or the tree's root
	row  *rowdata.Row // of a data file; nil: the page is a document
}

// with makes the pieces of the page that are needed.
func (v view) with(n needs) (_ view, fault *Fault) {
	if n.text {
		_, fault = v.doc.Text()
	}
	if n.tree && fault == nil {
		_, fault = v.doc.Tree()
	}
	if n.linked && fault == nil {
		_, fault = v.doc.Linked()
	}
	if n.json && fault == nil {
		_, fault = v.json()
	}
	return v, fault
}

// source is a field's first step.
type source interface {
	// pick appends the selected texts to dst in document order: all of them,
	// or the first. They are valid until the document's next row. The pieces
	// it needs are made already. A fault is the page's, not the row's.
	pick(v view, dst []string, all bool) ([]string, *Fault)
	needs() needs
	// String is the selector as the job file has it.
	String() string
}

// CheckSelector says what is wrong with a selector of a job file. Kinds are
// css (with or without "@attribute" at the end), xpath, jsonpath, jsonld,
// regex, and rows for the JSONPath of a rule's rows.
func CheckSelector(kind, expr string) error {
	var err error
	switch kind {
	case "css":
		_, err = compileCSS(expr)
	case "xpath":
		_, err = compileXPath(expr)
	case "jsonpath":
		_, err = compileJSON(expr)
	case "jsonld":
		_, err = compileLinked(expr)
	case "regex":
		_, err = regexp.Compile(expr)
	case "rows":
		_, err = rowdata.CompilePath(expr)
	default:
		err = fmt.Errorf("no selectors are called %s", kind)
	}
	return err
}

// cssSource selects elements, and of them the text content or an attribute.
type cssSource struct {
	expr      string
	selector  *css.Selector // nil: the row's element itself
	number    int           // of the selector, among those of the program or follower
	attribute string        // lower case; empty: the text content
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
	if s.selector, err = compileSelector(selector); err != nil {
		return s, fmt.Errorf("%w%s", err, takenOtherwise(selector))
	}
	return s, nil
}

// takenOtherwise says how to write here what other tools write as a
// pseudo-element.
func takenOtherwise(selector string) string {
	if before, ok := strings.CutSuffix(selector, "::text"); ok {
		return fmt.Sprintf("; an element's text is taken by %q", strings.TrimSpace(before))
	}
	if before, name, ok := strings.Cut(selector, "::attr("); ok {
		return fmt.Sprintf("; an attribute is taken by %q", before+"@"+strings.TrimSuffix(name, ")"))
	}
	return ""
}

func (s *cssSource) String() string { return "css: " + s.expr }
func (s *cssSource) needs() needs   { return needs{tree: true} }

func (s *cssSource) pick(v view, dst []string, all bool) ([]string, *Fault) {
	if s.selector == nil {
		dst, _, fault := s.append(v.doc, v.node, dst)
		return dst, fault
	}
	nodes, fault := v.css.below(s.number, v.node)
	if fault != nil {
		return dst, fault
	}
	for _, n := range nodes {
		var ok bool
		var fault *Fault
		if dst, ok, fault = s.append(v.doc, n, dst); fault != nil || ok && !all {
			return dst, fault
		}
	}
	return dst, nil
}

// append appends what the source takes of an element; false: nothing.
func (s *cssSource) append(d *Document, n dom.ID, dst []string) ([]string, bool, *Fault) {
	text, ok, fault := s.of(d, n)
	if ok {
		dst = append(dst, text)
	}
	return dst, ok, fault
}

func (s *cssSource) of(d *Document, n dom.ID) (text string, ok bool, fault *Fault) {
	if s.attribute == "" {
		text, fault = d.textOf(n, 0)
		return text, fault == nil, fault
	}
	return d.attributeOf(n, s.attribute)
}

// linkedSource is a JSONPath in the JSON-LD nodes.
type linkedSource struct{ path jsonPath }

func compileLinked(expr string) (*linkedSource, error) {
	path, err := compileJSONPath("jsonld", expr)
	return &linkedSource{path}, err
}

func (s *linkedSource) String() string { return "jsonld: " + s.path.String() }
func (s *linkedSource) needs() needs   { return needs{tree: true, linked: true} }

func (s *linkedSource) pick(v view, dst []string, all bool) ([]string, *Fault) {
	nodes, fault := v.doc.Linked()
	before := len(dst)
	for _, node := range nodes {
		var ok bool
		if dst, ok = s.path.texts(dst, node, all, &v.doc.budget); !ok {
			return dst, v.doc.spent()
		}
		if len(dst) > before {
			break
		}
	}
	return dst, fault
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

func compileRegex(expr string) (regexSource, error) {
	p, err := compilePattern(expr)
	return regexSource{p}, err
}

func (s regexSource) String() string { return "regex: " + s.re.String() }
func (s regexSource) needs() needs   { return needs{text: true} }

func (s regexSource) pick(v view, dst []string, all bool) ([]string, *Fault) {
	text, fault := v.doc.Text()
	limit := 1
	if all {
		limit = -1
	}
	for _, m := range s.re.FindAllSubmatchIndex(text, limit) {
		if from, to := m[2*s.group], m[2*s.group+1]; from >= 0 {
			dst = append(dst, string(text[from:to]))
		}
	}
	return dst, fault
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
