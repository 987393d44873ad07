package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
)

// FieldTrace is what one field of one row came to, or a note on a rule.
type FieldTrace struct {
	Record   string  // name of the record
	Rule     string  // as in column _rule
	Row      int     // of the rule, from 0; -1: the trace is about the rule
	Field    string  // as in the job file; empty when Row is -1
	Selector string  // "css: h1", …; of `any`, the alternative that selected, or all of them
	Raw      any     // what was selected, white space collapsed: string, []string or nil
	Value    any     // what it became, nil for null; money is a []any of amount and currency
	Note     string  // why there is no value; for a rule, why there is no row
	Tried    []Tried // of `any`, in order, up to the one that selected
}

// Tried is one alternative of a field's `any`.
type Tried struct {
	Selector string // "css: h1", …
	Raw      any    // what it selected: string, []string or nil
	Note     string // why it selected nothing, where there is more to say
}

// maxExplained is the most rows of a rule that are explained.
const maxExplained = 100

// Explain tells, for every rule and field, what it selects and what comes of
// it, for the command `try`. Extractors are not run: their rows are those of
// [Program.Apply].
func (p *Program) Explain(d *Document) []FieldTrace {
	var traces []FieldTrace
	found := p.selection(d)
	defer found.close()
	for i, r := range p.rules {
		about := FieldTrace{Rule: r.name, Row: -1}
		if r.record >= 0 {
			about.Record = p.types[r.record].Name
		}
		if !r.matches(d) {
			about.Note = r.mismatch(d)
			traces = append(traces, about)
			continue
		}
		traces = append(traces, p.explainRule(r, view{doc: d, css: found}, about)...)
		if r.last && i+1 < len(p.rules) {
			about.Note = "last: no further rule is applied"
			return append(traces, about)
		}
	}
	return traces
}

func (p *Program) explainRule(r *rule, v view, about FieldTrace) []FieldTrace {
	if r.extractor != nil {
		about.Note = "an extractor"
		return []FieldTrace{about}
	}
	if r.rows != nil {
		return p.explainData(r, v.doc, about)
	}
	v.css.begin(r.selectors)
	v, fault := v.with(r.needs)
	if fault != nil {
		about.Note = fault.Error()
		return []FieldTrace{about}
	}
	if !r.elements {
		return p.explainRow(r, v, about, 0)
	}
	var traces []FieldTrace
	rows := 0
	nodes, fault := v.css.below(r.each, dom.Root)
	if fault != nil {
		about.Note = fault.Error()
		return []FieldTrace{about}
	}
	for _, n := range nodes {
		if rows == maxExplained {
			about.Note = fmt.Sprintf("only the first %d rows are explained", maxExplained)
			return append(traces, about)
		}
		v.node = n
		traces = append(traces, p.explainRow(r, v, about, rows)...)
		rows++
	}
	if rows == 0 {
		about.Note = "each selects nothing"
		traces = append(traces, about)
	}
	return traces
}

func (p *Program) explainRow(r *rule, v view, about FieldTrace, row int) []FieldTrace {
	values := make([]any, len(p.types[r.record].Columns))
	var scratch []string
	v.doc.nextRow()
	traces := make([]FieldTrace, 0, len(r.fields))
	for _, f := range r.fields {
		t := about
		t.Row, t.Field, t.Selector, t.Raw = row, f.name, f.source.String(), kept(bounded(f.raw(v)))
		if s, ok := f.source.(*anySource); ok {
			if t.Tried = f.tried(s, v); t.Raw != nil {
				t.Selector = t.Tried[len(t.Tried)-1].Selector
			}
		}
		if fault := f.eval(v, values, &scratch); fault != nil {
			t.Note = fault.code + ": " + fault.err.Error()
		} else if f.width == 1 {
			t.Value = kept(values[f.at])
		} else if values[f.at] != nil {
			t.Value = kept(slices.Clone(values[f.at : f.at+f.width]))
		}
		switch {
		case t.Note != "":
		case t.Raw == nil && f.fallback != "":
			t.Note = "nothing selected: the default"
		case t.Raw == nil:
			t.Note = "nothing selected"
		case t.Value == nil:
			t.Note = "nothing is left of what was selected"
		}
		traces = append(traces, t)
	}
	return traces
}

// kept is a value with copies of the page's texts in it, since traces outlive
// the page.
func kept(value any) any {
	switch value := value.(type) {
	case string:
		return strings.Clone(value)
	case []string:
		for i := range value {
			value[i] = strings.Clone(value[i])
		}
	case []any:
		for i := range value {
			value[i] = kept(value[i])
		}
	}
	return value
}

// tried tries the alternatives up to the first that selects something.
func (f *field) tried(s *anySource, v view) (list []Tried) {
	for i := range s.alternatives {
		a := &s.alternatives[i]
		texts, fault := a.pick(v, f.list)
		t := Tried{Selector: a.source.String()}
		if a.regex != nil {
			t.Selector += ", regex: " + a.regex.re.String()
		}
		if fault != nil {
			t.Note = fault.Error()
		} else {
			t.Raw = kept(bounded(f.tidied(texts)))
		}
		if list = append(list, t); t.Raw != nil {
			break
		}
	}
	return list
}
