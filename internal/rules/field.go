package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/normal"
)

// field is a compiled field of a rule.
type field struct {
	name     string
	at       int // position of its first column in the record type
	width    int // columns: 2 for money, else 1
	source   source
	regex    *pattern           // nil: none
	mapped   map[string]*string // nil: no map; a nil value is null
	list     bool
	kind     harrow.Kind // of the column, or of its elements
	required bool
	fallback string // stands in for null; empty: null stays
	convert  converter
}

// fieldFault says why a field has no value.
type fieldFault struct {
	code  string
	value string // the text that failed
	err   error
	page  *Fault // not nil: of the page, not of the field
}

// eval sets the field's columns in row. scratch is reused for texts.
func (f *field) eval(v view, row []any, scratch *[]string) *fieldFault {
	texts, broken := f.source.pick(v, (*scratch)[:0], f.list)
	*scratch = texts
	if broken != nil {
		fault := &fieldFault{code: broken.Code, err: broken}
		if v.row == nil { // else it is the row's own
			fault.page = broken
		}
		return fault
	}
	if f.list {
		return f.evalList(v, row, texts)
	}
	if len(texts) > 0 {
		text, ok, fault := f.refine(tidy(texts[0]))
		if fault != nil {
			return fault
		}
		if ok {
			return f.set(v.doc, text, row)
		}
	}
	return f.null(v.doc, row)
}

// set sets the field's columns from a text.
func (f *field) set(d *Document, text string, row []any) *fieldFault {
	if err := f.convert(d, text, row[f.at:f.at+f.width]); err != nil {
		return &fieldFault{code: CodeType, value: text, err: err}
	}
	return nil
}

func (f *field) evalList(v view, row []any, texts []string) *fieldFault {
	var items []any
	for _, text := range texts {
		text, ok, fault := f.refine(tidy(text))
		switch {
		case fault != nil:
			return fault
		case !ok:
			continue
		}
		var item [1]any
		if err := f.convert(v.doc, text, item[:]); err != nil {
			return &fieldFault{code: CodeType, value: text, err: err}
		}
		items = append(items, item[0])
	}
	if items == nil {
		return f.null(v.doc, row)
	}
	row[f.at] = listOf(f.kind, items)
	return nil
}

// tidy makes a selected text valid UTF-8 with its white space collapsed.
func tidy(text string) string { return normal.Space(normal.UTF8(text)) }

// refine is the steps regex and map; false: nothing is left.
func (f *field) refine(text string) (string, bool, *fieldFault) {
	if f.regex != nil {
		found, ok := f.regex.find(text)
		if !ok {
			return "", false, nil
		}
		text = tidy(found)
	}
	if f.mapped != nil {
		to, ok := f.mapped[text]
		switch {
		case !ok && text == "":
			return "", false, nil
		case !ok:
			return "", false, &fieldFault{code: CodeMap, value: text, err: fmt.Errorf("field %s: %.200q is not in the map", f.name, text)}
		case to == nil:
			return "", false, nil
		}
		return *to, true, nil
	}
	return text, text != "", nil
}

// null sets what stands in for null, if anything does.
func (f *field) null(d *Document, row []any) *fieldFault {
	switch {
	case f.fallback != "" && f.list:
		var item [1]any
		if err := f.convert(d, f.fallback, item[:]); err != nil {
			return &fieldFault{code: CodeType, value: f.fallback, err: err}
		}
		row[f.at] = listOf(f.kind, item[:])
	case f.fallback != "":
		return f.set(d, f.fallback, row)
	case f.required:
		return &fieldFault{code: CodeRequired, err: errors.New("nothing is selected, and the field is required")}
	}
	return nil
}

// raw is what the field selects, with white space collapsed: a string, a
// []string for a list, or nil.
func (f *field) raw(v view) any {
	texts, _ := f.source.pick(v, nil, f.list)
	return f.tidied(texts)
}

func (f *field) tidied(texts []string) any {
	for i := range texts {
		texts[i] = tidy(texts[i])
	}
	switch {
	case len(texts) == 0:
		return nil
	case f.list:
		return texts
	}
	return texts[0]
}

// compileField compiles a field but for its place in the record type.
func compileField(name string, def harrow.Field) (*field, error) {
	columns := def.Columns(name)
	f := &field{name: name, width: len(columns), list: def.IsList(), kind: columns[0].Type.Kind, required: def.Required}
	var err error
	if f.source, err = compileSource(def); err != nil {
		return nil, err
	}
	if _, alone := f.source.(regexSource); def.Regex != "" && !alone {
		p, err := compilePattern(def.Regex)
		if err != nil {
			return nil, err
		}
		f.regex = &p
	}
	if f.convert, err = compileType(def); err != nil {
		return nil, err
	}
	if err := f.compileMap(def); err != nil {
		return nil, err
	}
	return f, f.compileDefault(def)
}

// compileDefault tries the value that stands in for null.
func (f *field) compileDefault(def harrow.Field) error {
	if !def.Default.IsSet() || def.Default.IsNull() {
		return nil
	}
	f.fallback = tidy(def.Default.Text())
	if f.fallback == "" {
		return fmt.Errorf("default %s: want a text that is not empty", def.Default)
	}
	if def.Type == harrow.TypeURL { // needs a page to be resolved against
		return nil
	}
	if err := f.convert(nil, f.fallback, make([]any, f.width)); err != nil {
		return fmt.Errorf("default: %w", err)
	}
	return nil
}

// compileSource compiles the one selector of a field.
func compileSource(def harrow.Field) (source, error) {
	var chosen []source
	var errs []error
	add := func(s source, err error) {
		chosen = append(chosen, s)
		errs = append(errs, err)
	}
	if def.CSS != "" {
		add(compileCSS(def.CSS))
	}
	if def.XPath != "" {
		add(compileXPath(def.XPath))
	}
	if def.JSONPath != "" {
		add(compileJSON(def.JSONPath))
	}
	if def.JSONLD != "" {
		add(compileLinked(def.JSONLD))
	}
	if def.Column != "" {
		add(columnSource{def.Column}, nil)
	}
	if def.From != "" {
		add(compileFrom(def.From))
	}
	if len(def.Any) > 0 {
		add(compileAny(def.Any))
	}
	if len(chosen) == 0 && def.Regex != "" {
		add(compileRegex(def.Regex))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(chosen) != 1 {
		var got []string
		for _, s := range chosen {
			got = append(got, s.String())
		}
		return nil, fmt.Errorf("got %d selectors (%s); want one of css, xpath, jsonpath, jsonld, column, from, any, or regex alone", len(chosen), strings.Join(got, ", "))
	}
	return chosen[0], nil
}

// compileMap reads the map and tries each of its values.
func (f *field) compileMap(def harrow.Field) error {
	if len(def.Map) == 0 {
		return nil
	}
	f.mapped = make(map[string]*string, len(def.Map))
	for _, e := range def.Map {
		from := tidy(e.From)
		if e.To.IsNull() {
			f.mapped[from] = nil
			continue
		}
		to := e.To.Text()
		f.mapped[from] = &to
		if def.Type == harrow.TypeURL { // needs a page to be resolved against
			continue
		}
		if err := f.convert(nil, to, make([]any, f.width)); err != nil {
			return fmt.Errorf("map: %q to %q: %w", e.From, to, err)
		}
	}
	return nil
}
