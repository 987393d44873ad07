package jobfile

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
	rows "github.com/harrowdata/harrow/internal/refine"
)

// made is what the rules make, as far as they can be read.
type made struct {
	types map[string]harrow.RecordType
	names []string        // in the rules' order
	open  map[string]bool // records that may have more columns than are known
	all   bool            // the names are all known, and no unknown rule adds columns
}

// checkRecords verifies that refine names records and columns that parse
// makes. Where a rule is wrong itself, what depends on it isn't reported.
func (c *checker) checkRecords() {
	m := c.made()
	for _, name := range slices.Sorted(maps.Keys(c.job.Refine)) {
		path := join("refine", name)
		t, known := m.types[name]
		switch {
		case !m.all || known && m.open[name]:
		case known:
			r := refineChecker{checker: c, path: path, record: t}
			r.check(c.job.Refine[name])
		default:
			c.reportKey(path, "%s: no rule makes a record of this name; %sexpected %s", path, didYouMean(name, m.names), oneOf(m.names))
		}
	}
}

func (c *checker) made() made {
	m := made{types: map[string]harrow.RecordType{}, open: map[string]bool{}, all: len(c.job.Parse) > 0}
	for i, rule := range c.job.Parse {
		path := rulePath(i, "")
		switch wrong := c.errs.under(path); {
		case rule.Use == "" && rule.Record == "" || c.errs.under(path+".record") || wrong && rule.Use != "":
			m.all = false
		case wrong:
			m.open[rule.Record] = true
		}
	}
	types := collect(c.job, c.opts.ExtractorRecords, func(rule int, field string, err error) {
		path := rulePath(rule, field)
		if field != "" {
			m.open[c.job.Parse[rule].Record] = true
			c.reportKey(path, "%s: %v", path, err)
			return
		}
		m.all = false
		if c.opts.ExtractorRecords != nil { // else nobody here knows the extractors
			c.reportPlugIn(path, err)
		}
	})
	for _, t := range types {
		for _, n := range m.names {
			if strings.EqualFold(n, t.Name) {
				c.report("parse", "parse: the records %s and %s differ in case only; expected names that differ in more", n, t.Name)
			}
		}
		m.types[t.Name], m.names = t, append(m.names, t.Name)
	}
	return m
}

// reportPlugIn places what a plug-in finds wrong: at the key of its config, if
// it says which, else where it is used.
func (c *checker) reportPlugIn(path string, err error) {
	wrong := (*harrow.ConfigError)(nil)
	if !errors.As(err, &wrong) {
		c.report(path+".use", "%s.use: %v", path, err)
		return
	}
	at := path + ".with." + wrong.Key
	if _, there := c.at[at]; !there { // a key that is missing
		c.report(path+".use", "%s: %v", at, wrong.Err)
		return
	}
	c.report(at, "%s: %v", at, wrong.Err)
}

func didYouMean(name string, known []string) string {
	if n := nearest(name, known); n != "" {
		return fmt.Sprintf("did you mean %s? ", n)
	}
	return ""
}

// refineChecker looks at the entry of one record.
type refineChecker struct {
	*checker
	path   string
	record harrow.RecordType // its columns, and later those that enrich and operators make
	open   bool              // what an operator makes isn't known
}

func (r *refineChecker) check(refine harrow.Refine) {
	for i, column := range refine.Key {
		at := fmt.Sprintf("%s.key[%d]", r.path, i)
		if slices.Contains(refine.Key[:i], column) {
			r.report(at, "%s: %s comes twice; expected once", at, column)
		}
		r.ordered(at, column, "a key")
	}
	if refine.Keep.Column != "" {
		r.ordered(r.path+".keep", refine.Keep.Column, "latest")
	}
	before := r.record
	r.checkChecks(refine.Check, func(c harrow.Check) bool { return !rows.Late(c, before) })
	for i, e := range refine.Enrich {
		r.checkEnrich(fmt.Sprintf("%s.enrich[%d]", r.path, i), e)
	}
	for i, o := range refine.Operators {
		r.checkOperator(fmt.Sprintf("%s.operators[%d]", r.path, i), o)
	}
	if r.open {
		return
	}
	r.checkKept(refine, before)
	r.checkChecks(refine.Check, func(c harrow.Check) bool { return rows.Late(c, before) })
	if refine.Thresholds == nil {
		return
	}
	for _, column := range slices.Sorted(maps.Keys(refine.Thresholds.Coverage)) {
		r.column(join(r.path+".thresholds.coverage", column), column)
	}
}

// checkChecks looks at the checks that are made at one time, by the record's
// columns then.
func (r *refineChecker) checkChecks(checks []harrow.Check, now func(harrow.Check) bool) {
	for i, check := range checks {
		if now(check) {
			r.checkCheck(fmt.Sprintf("%s.check[%d]", r.path, i), check)
		}
	}
}

// checkOperator asks an operator what it makes of the record.
func (r *refineChecker) checkOperator(path string, o harrow.OperatorUse) {
	r.require(path+".use", o.Use == "", "the name of a registered operator")
	if o.Use == "" || r.open {
		return
	}
	if r.opts.OperatorType == nil {
		r.open = true
		return
	}
	after, err := r.opts.OperatorType(o.Use, o.With, r.record)
	if err != nil {
		r.reportPlugIn(path, err)
		r.open = true
		return
	}
	r.record = after
}

// checkKept verifies that operators left the columns that rows are told apart
// by.
func (r *refineChecker) checkKept(refine harrow.Refine, before harrow.RecordType) {
	for i, column := range append(slices.Clone(refine.Key), refine.Keep.Column) {
		path := fmt.Sprintf("%s.key[%d]", r.path, i)
		if i == len(refine.Key) {
			path = r.path + ".keep"
		}
		was, ok := before.Column(column)
		if is, still := r.record.Column(column); ok && (!still || is.Type != was.Type) {
			r.report(path, "%s: the operators drop or change the column %s; expected it as it was, since rows are loaded by it", path, column)
		}
	}
}

// column finds a column of the record, or a provenance column, and reports
// its lack.
func (r *refineChecker) column(path, name string) (harrow.Column, bool) {
	if c, ok := r.record.Column(name); ok {
		return c, true
	}
	for _, c := range harrow.Provenance {
		if c.Name == name {
			return c, true
		}
	}
	names := make([]string, len(r.record.Columns))
	for i, c := range r.record.Columns {
		names[i] = c.Name
	}
	if name == "" || r.errs.under(path) {
		return harrow.Column{}, false
	}
	hint := didYouMean(name, names)
	if _, money := r.record.Column(name + "_currency"); money {
		hint = fmt.Sprintf("money has two columns, did you mean %s_amount? ", name)
	}
	r.reportColumn(path, "%s: %s has no column %s; %sexpected %s", path, r.record.Name, name, hint, oneOf(names))
	return harrow.Column{}, false
}

// reportColumn places a problem at a value, or at a key where the name is a
// key.
func (r *refineChecker) reportColumn(path, format string, args ...any) {
	if strings.Contains(path, ".coverage.") || strings.Contains(path, ".join.") {
		r.reportKey(path, format, args...)
		return
	}
	r.report(path, format, args...)
}

// ordered wants a column whose values can be compared.
func (r *refineChecker) ordered(path, name, use string) {
	if c, ok := r.column(path, name); ok && c.Type.List {
		r.report(path, "%s: %s is a list; expected a column of one value for %s", path, name, use)
	}
}

func (r *refineChecker) checkEnrich(path string, e harrow.Enrich) {
	r.require(path+".lookup.file", e.Lookup.File == "", "a csv, jsonl, parquet or arrow file")
	r.require(path+".lookup.join", len(e.Lookup.Join) == 0, "column of the record: column of the file")
	for _, column := range slices.Sorted(maps.Keys(e.Lookup.Join)) {
		r.column(join(path+".lookup.join", column), column)
	}
	for _, add := range e.Add {
		r.checkAddition(join(path+".add", add.Name), add)
	}
	if r.opts.LookupColumns == nil || r.errs.under(path) {
		r.declare(e)
		return
	}
	file, err := r.opts.LookupColumns(e.Lookup.File)
	if err != nil {
		r.report(path+".lookup.file", "%s.lookup.file: %v", path, err)
		r.declare(e)
		return
	}
	_, problems := rows.Enrich(e, r.record, file)
	for _, p := range problems {
		at := path + "." + p.Path
		if p.Key {
			r.reportKey(at, "%s: %s", at, p.Msg)
		} else {
			r.report(at, "%s: %s", at, p.Msg)
		}
	}
	r.declare(e)
}

// checkAddition looks at what can be known of an added column without its file.
func (r *refineChecker) checkAddition(at string, add harrow.Addition) {
	r.require(at+".expr", add.Expr == "", "an expression")
	for _, c := range r.record.Columns {
		if strings.EqualFold(c.Name, add.Name) {
			r.reportKey(at, "%s: %s has a column %s already; expected a new name", at, r.record.Name, c.Name)
		}
	}
	if _, err := expr.Names(add.Expr); err != nil && add.Expr != "" {
		r.report(at+".expr", "%s.expr: %v", at, err)
	}
}

// declare adds the columns of an entry, as far as their types can be read.
func (r *refineChecker) declare(e harrow.Enrich) {
	for _, add := range e.Add {
		if _, there := r.record.Column(add.Name); there {
			continue
		}
		t, err := harrow.ParseType(add.Type)
		if err != nil { // none is text; a wrong one is reported already
			t = harrow.Type{Kind: harrow.Text}
		}
		columns := slices.Clone(r.record.Columns)
		r.record.Columns = append(columns, harrow.Column{Name: add.Name, Type: t})
	}
}

func (r *refineChecker) checkCheck(path string, check harrow.Check) {
	if check.Expr != "" {
		r.exclude(path, "expr", "field", "required", "min", "max", "in", "pattern", "length")
		r.checkDemands(path, check, harrow.Type{})
		return
	}
	r.require(path+".field", check.Field == "", "the name of a column, or expr")
	column, ok := r.column(path+".field", check.Field)
	if !check.Required && !check.Min.IsSet() && !check.Max.IsSet() && len(check.In) == 0 && check.Pattern == "" && check.Length == nil && !r.errs.under(path) {
		r.report(path, "%s demands nothing; expected min, max, in, required, pattern or length", path)
	}
	if l := check.Length; l != nil && l.Max != nil && *l.Max < l.Min {
		r.report(path+".length", "%s.length: max %d; expected at least min, %d", path, *l.Max, l.Min)
	}
	if !ok {
		return
	}
	r.scalar(path+".min", check.Min, column)
	r.scalar(path+".max", check.Max, column)
	for i, in := range check.In {
		r.scalar(fmt.Sprintf("%s.in[%d]", path, i), in, column)
	}
	kind := string(column.Type.Kind)
	if column.Type.List {
		kind = listType
	}
	for _, key := range []string{"min", "max", "in"} {
		r.onlyFor(path, key, kind, string(harrow.Text), string(harrow.Int), string(harrow.Float), string(harrow.Bool),
			string(harrow.Decimal), string(harrow.Date), string(harrow.Timestamp))
	}
	r.onlyFor(path, "pattern", kind, string(harrow.Text))
	r.onlyFor(path, "length", kind, string(harrow.Text), listType)
	r.checkDemands(path, check, column.Type)
}

// checkDemands compiles what the check asks for, where nothing simpler is
// wrong.
func (r *refineChecker) checkDemands(path string, check harrow.Check, t harrow.Type) {
	if r.errs.under(path) {
		return
	}
	for _, d := range rows.Demands(check, t) {
		if _, err := d.Compile(rows.Columns(r.record)); err != nil {
			at := path + "." + d.Path
			r.report(at, "%s: %v", at, err)
		}
	}
}

var wholeNumber = regexp.MustCompile(`^-?[0-9]+$`)

// scalar wants a value that the column could hold. What a text says, a date
// for example, is read where the check is compiled.
func (r *refineChecker) scalar(path string, s harrow.Scalar, column harrow.Column) {
	if !s.IsSet() || s.IsNull() || column.Type.List {
		return
	}
	expected := ""
	switch isText := s[0] == '"'; column.Type.Kind {
	case harrow.Int:
		if !wholeNumber.MatchString(string(s)) {
			expected = "a whole number"
		}
	case harrow.Float, harrow.Decimal:
		if !jsonNumber.MatchString(s.Text()) { // a decimal may be quoted
			expected = "a number"
		}
	case harrow.Bool:
		if s != "true" && s != "false" {
			expected = "true or false"
		}
	case harrow.Text, harrow.Date, harrow.Timestamp:
		if !isText {
			expected = "text, in quotes"
		}
	}
	if expected != "" {
		r.report(path, "%s: got %s; expected %s, since %s is %s", path, s, expected, column.Name, column.Type)
	}
}
