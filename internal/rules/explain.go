package rules

import (
	"fmt"

	"golang.org/x/net/html"
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
		traces = append(traces, p.explainRule(r, d, about)...)
		if r.last && i+1 < len(p.rules) {
			about.Note = "last: no further rule is applied"
			return append(traces, about)
		}
	}
	return traces
}

func (p *Program) explainRule(r *rule, d *Document, about FieldTrace) []FieldTrace {
	if r.extractor != nil {
		about.Note = "an extractor"
		return []FieldTrace{about}
	}
	if r.rows != nil {
		return p.explainData(r, d, about)
	}
	v, fault := d.view(r.needs)
	if fault != nil {
		about.Note = fault.Error()
		return []FieldTrace{about}
	}
	if r.each == nil {
		return p.explainRow(r, v, about, 0)
	}
	var traces []FieldTrace
	rows := 0
	for n := next(v.node, v.node); n != nil; n = next(v.node, n) {
		if n.Type != html.ElementNode || !r.each.Match(n) {
			continue
		}
		if rows == maxExplained {
			about.Note = fmt.Sprintf("only the first %d rows are explained", maxExplained)
			return append(traces, about)
		}
		traces = append(traces, p.explainRow(r, view{doc: d, node: n}, about, rows)...)
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
	traces := make([]FieldTrace, 0, len(r.fields))
	for _, f := range r.fields {
		t := about
		t.Row, t.Field, t.Selector, t.Raw = row, f.name, f.source.String(), bounded(f.raw(v))
		if s, ok := f.source.(*anySource); ok {
			if t.Tried = f.tried(s, v); t.Raw != nil {
				t.Selector = t.Tried[len(t.Tried)-1].Selector
			}
		}
		if fault := f.eval(v, values, &scratch); fault != nil {
			t.Note = fault.code + ": " + fault.err.Error()
		} else if f.width == 1 {
			t.Value = values[f.at]
		} else if values[f.at] != nil {
			t.Value = append([]any(nil), values[f.at:f.at+f.width]...)
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
			t.Raw = bounded(f.tidied(texts))
		}
		if list = append(list, t); t.Raw != nil {
			break
		}
	}
	return list
}
