package rules

import (
	"context"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/dom"
)

// Row is one record that a rule got out of a page.
type Row struct {
	Record  int    // index in Program.Types
	Rule    string // column _rule
	Ordinal int64  // column _ordinal
	// Values has one value a column, with the Go type that harrow.Type names,
	// or nil for null. It is valid until emit returns, and so are the texts in
	// it: they are views of the page.
	Values []any
}

// Apply applies every rule that matches the page, in their order. Rows go to
// emit, rejects (with ID and URL, without Stage and At) to reject. The same
// page gives the same calls every time. An error is one of emit or reject, or
// ctx's: what is wrong with a page is a reject.
func (p *Program) Apply(ctx context.Context, d *Document, emit func(Row) error, reject func(harrow.Reject) error) error {
	r := &run{
		ctx: ctx, program: p, doc: d, emit: emit, reject: reject,
		ordinals: make([]int64, len(p.types)), css: p.selection(d),
	}
	defer r.css.close()
	for _, rule := range p.rules {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(rule.match) > 0 && d.final.IsZero() {
			if err := r.fault(rule, d.noURL()); err != nil {
				return err
			}
			continue
		}
		if !rule.matches(d) {
			continue
		}
		if err := r.rule(rule); err != nil {
			return err
		}
		if rule.last {
			break
		}
	}
	return nil
}

// run is one Apply.
type run struct {
	ctx      context.Context
	program  *Program
	doc      *Document
	css      *selection
	emit     func(Row) error
	reject   func(harrow.Reject) error
	ordinals []int64 // by record: of the next row
	rows     int
	bytes    int      // of text in its rows
	faults   []string // codes the page was rejected for
	broken   bool     // the rule met a fault of the page
	values   []any
	scratch  []string
}

func (r *run) rule(rule *rule) error {
	if rule.extractor != nil {
		return r.extract(rule)
	}
	if rule.rows != nil {
		return r.data(rule)
	}
	r.broken = false
	r.css.begin(rule.selectors)
	v, fault := view{doc: r.doc, css: r.css}.with(rule.needs)
	if fault == nil && !rule.elements {
		fault = r.count()
	}
	if fault != nil {
		return r.fault(rule, fault)
	}
	if !rule.elements {
		return r.row(rule, v)
	}
	nodes, fault := r.css.below(rule.each, dom.Root)
	if fault != nil {
		return r.fault(rule, fault)
	}
	for _, n := range nodes {
		if fault := r.count(); fault != nil {
			return r.fault(rule, fault)
		}
		if r.rows%256 == 0 && r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		v.node = n
		if err := r.row(rule, v); err != nil || r.broken {
			return err
		}
	}
	return nil
}

// count counts one more row of the page.
func (r *run) count() *Fault {
	if r.rows >= r.doc.limits.Rows {
		return faultf(CodeRows, "the page has more than %d rows", r.doc.limits.Rows)
	}
	if r.bytes > maxPageBytes {
		return faultf(CodeRows, "the rows of the page hold more than %d bytes", maxPageBytes)
	}
	r.rows++
	return nil
}

func (r *run) row(rule *rule, v view) error {
	_, err := r.fields(rule, v)
	return err
}

// fields emits what the rule's fields make of a row, or rejects it: then
// refused.
func (r *run) fields(rule *rule, v view) (refused bool, err error) {
	record := &r.program.types[rule.record]
	row := Row{Record: rule.record, Rule: rule.name, Ordinal: r.ordinals[rule.record], Values: r.blank(len(record.Columns))}
	r.ordinals[rule.record]++
	r.doc.nextRow()
	for _, f := range rule.fields {
		if fault := f.eval(v, row.Values, &r.scratch); fault != nil && fault.page != nil {
			r.broken = true
			return true, r.fault(rule, fault.page)
		} else if fault != nil {
			reject := r.rowReject(rule, f, row.Ordinal, v, fault)
			r.weigh(v, len(reject.Payload))
			return true, r.reject(reject)
		}
	}
	for _, value := range row.Values {
		r.weigh(v, textSize(value))
	}
	return false, r.emit(row)
}

// weigh counts text towards the bound of a page. The rows of a data file that
// streams have none but the file's size.
func (r *run) weigh(v view, n int) {
	if v.row == nil || v.row.Raw == nil {
		r.bytes += n
	}
}

// maxPageBytes is about how many bytes of values the rows and rejects of one
// page may hold. A page can be made so that every element's text is nearly
// all of it.
const maxPageBytes = 256 << 20

// blank returns n nils, in the same memory each time.
func (r *run) blank(n int) []any {
	if cap(r.values) < n {
		r.values = make([]any, n)
	}
	r.values = r.values[:n]
	clear(r.values)
	return r.values
}

// fault rejects the page, once for each code.
func (r *run) fault(rule *rule, fault *Fault) error {
	for _, code := range r.faults {
		if code == fault.Code {
			return nil
		}
	}
	r.faults = append(r.faults, fault.Code)
	record := ""
	if rule.record >= 0 {
		record = r.program.types[rule.record].Name
	}
	return r.reject(r.pageReject(record, fault.Code, fmt.Errorf("rule %s: %w", rule.name, fault)))
}
