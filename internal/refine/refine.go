// Package refine is what a job's entry under refine means, apart from the rows
// it is applied to: checks as expressions, which of them come late, the columns
// that enrichment adds, and what is wrong with any of it. The job file's reader
// and the operators ask the same questions here.
package refine

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
)

// Problem is what is wrong with a part of an entry.
type Problem struct {
	Path string // below the entry's part: "expr", "lookup.join.price_currency"
	Key  bool   // it is about the key at Path, not its value
	Msg  string // what was found; what was expected
}

// Error is the path and what is wrong.
func (p *Problem) Error() string { return p.Path + ": " + p.Msg }

// Columns are those an expression over a record's rows may name: the record's,
// then provenance.
func Columns(t harrow.RecordType) []expr.Column {
	list := make([]expr.Column, 0, len(t.Columns)+len(harrow.Provenance))
	for _, c := range slices.Concat(t.Columns, harrow.Provenance) {
		list = append(list, expr.Column{Name: c.Name, Type: c.Type})
	}
	return list
}

// column finds a column by name.
func column(list []expr.Column, name string) (expr.Column, bool) {
	i := slices.IndexFunc(list, func(c expr.Column) bool { return c.Name == name })
	if i < 0 {
		return expr.Column{}, false
	}
	return list[i], true
}

// Demand is one thing that a check asks for: an expression that must not be
// false, and what it means in a sentence.
type Demand struct {
	Path string // below the check: "min", "in"
	Expr string
	Want string // "at least 0"
}

// Demands are those of a check on a column of that type (which is not asked
// for where the check is an expression), the most basic first.
func Demands(c harrow.Check, t harrow.Type) (list []Demand) {
	if c.Expr != "" {
		return []Demand{{"expr", c.Expr, c.Expr}}
	}
	name := "`" + strings.ReplaceAll(c.Field, "`", "``") + "`"
	add := func(path, expr, want string) { list = append(list, Demand{path, name + " " + expr, want}) }
	if c.Required {
		add("required", "is not null", "a value")
	}
	if l := c.Length; l != nil {
		lists := Demand{"length", "", fmt.Sprintf("a length of at least %d", l.Min)}
		lists.Expr = fmt.Sprintf("length(%s) >= %d", name, l.Min)
		if l.Max != nil {
			lists.Expr += fmt.Sprintf(" and length(%s) <= %d", name, *l.Max)
			lists.Want = fmt.Sprintf("a length of %d to %d", l.Min, *l.Max)
		}
		list = append(list, lists)
	}
	if c.Min.IsSet() && !c.Min.IsNull() {
		add("min", ">= "+literal(c.Min, t), "at least "+c.Min.Text())
	}
	if c.Max.IsSet() && !c.Max.IsNull() {
		add("max", "<= "+literal(c.Max, t), "at most "+c.Max.Text())
	}
	if len(c.In) > 0 {
		var literals, texts []string
		for _, s := range c.In {
			literals, texts = append(literals, literal(s, t)), append(texts, s.Text())
		}
		add("in", "in ("+strings.Join(literals, ", ")+")", "one of "+strings.Join(texts, ", "))
	}
	if c.Pattern != "" {
		list = append(list, Demand{"pattern", "matches(" + name + ", " + quoted(c.Pattern) + ")", "a match of " + c.Pattern})
	}
	return list
}

// literal writes a scalar as an expression has it: a number may be quoted in
// the job file, to keep its digits.
func literal(s harrow.Scalar, t harrow.Type) string {
	text := s.Text()
	if s.IsNull() {
		return "null"
	}
	switch expr.KindOf(t) {
	case expr.Number, expr.Float, expr.Bool:
		return text
	}
	return quoted(text)
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// Compile compiles a demand over columns.
func (d Demand) Compile(columns []expr.Column) (*expr.Program, error) {
	p, err := expr.Compile(d.Expr, columns)
	if err != nil {
		return nil, err
	}
	if p.Kind() != expr.Bool && p.Kind() != expr.Null {
		return nil, fmt.Errorf("the expression is %s; expected one that is true or false", p.Kind())
	}
	return p, nil
}

// Late reports whether a check names a column that the record doesn't have
// before enrichment: it is made after it, and after the operators.
func Late(c harrow.Check, before harrow.RecordType) bool {
	names := []string{c.Field}
	if c.Expr != "" {
		names, _ = expr.Names(c.Expr) // one that can't be read is reported elsewhere
	}
	known := Columns(before)
	return slices.ContainsFunc(names, func(n string) bool {
		_, ok := column(known, n)
		return !ok
	})
}

// Split divides checks into those made before dedup and those made in the end.
func Split(checks []harrow.Check, before harrow.RecordType) (early, late []harrow.Check) {
	for _, c := range checks {
		if Late(c, before) {
			late = append(late, c)
		} else {
			early = append(early, c)
		}
	}
	return early, late
}

// Join is a pair of columns that are compared as Kind: what the record's column
// is. A lookup file's value of no declared type is read as that.
type Join struct {
	Name   string // of the record's column
	File   string // of the file's
	Record *expr.Program
	Lookup *expr.Program // over the file's columns
}

// Added is a column that enrichment adds.
type Added struct {
	harrow.Column
	Program *expr.Program // over the record's columns, the file's, and what was added before it
}

// Enrichment is an entry of enrich, compiled.
type Enrichment struct {
	Record  []expr.Column // the record's columns before it, and provenance
	File    []expr.Column // the file's
	Columns []expr.Column // what Added.Program is over: Record, File, then the columns of Added
	Joins   []Join
	Added   []Added
}

// Needed are the indices of the file's columns that are named at all,
// ascending.
func (e *Enrichment) Needed() []int {
	used := map[int]bool{}
	for _, j := range e.Joins {
		for _, i := range j.Lookup.Columns() {
			used[i] = true
		}
	}
	for _, a := range e.Added {
		for _, i := range a.Program.Columns() {
			if i -= len(e.Record); i >= 0 && i < len(e.File) {
				used[i] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(used))
}

// Type is the record after it.
func (e *Enrichment) Type(before harrow.RecordType) harrow.RecordType {
	after := harrow.RecordType{Name: before.Name, Columns: slices.Clone(before.Columns)}
	for _, a := range e.Added {
		after.Columns = append(after.Columns, a.Column)
	}
	return after
}

// Enrich compiles an entry for rows of a record and a file of those columns.
func Enrich(e harrow.Enrich, record harrow.RecordType, file []expr.Column) (*Enrichment, []*Problem) {
	c := &enricher{entry: e, name: record.Name, out: &Enrichment{Record: Columns(record), File: file}}
	c.joins()
	c.hideTwins()
	c.out.Columns = slices.Concat(c.out.Record, c.visible)
	for _, a := range e.Add {
		c.add(a)
	}
	return c.out, c.problems
}

type enricher struct {
	entry    harrow.Enrich
	name     string
	out      *Enrichment
	visible  []expr.Column   // the file's, those that can't be named without a name
	twins    map[string]bool // columns of both that aren't joined
	problems []*Problem
}

func (c *enricher) problem(path string, key bool, format string, args ...any) {
	c.problems = append(c.problems, &Problem{path, key, fmt.Sprintf(format, args...)})
}

func (c *enricher) joins() {
	for _, name := range slices.Sorted(maps.Keys(c.entry.Lookup.Join)) {
		path, there := "lookup.join."+name, c.entry.Lookup.Join[name]
		mine, ok := column(c.out.Record, name)
		if !ok {
			continue // reported where columns are looked for
		}
		if mine.Type.List {
			c.problem(path, true, "%s is a list; expected a column of one value to join by", name)
			continue
		}
		theirs, ok := column(c.out.File, there)
		if !ok {
			c.problem(path, false, "%s has no column %q; expected %s", c.entry.Lookup.File, there, oneOf(c.out.File))
			continue
		}
		j, err := c.join(mine, theirs)
		if err != nil {
			c.problem(path, false, "%s is %s, %s of %s %s: %v", name, mine.Type, there, c.entry.Lookup.File, theirs.Type, err)
			continue
		}
		c.out.Joins = append(c.out.Joins, j)
	}
}

// join compares as what the record's column is; texts with the text form of
// anything.
func (c *enricher) join(mine, theirs expr.Column) (j Join, err error) {
	j.Name, j.File = mine.Name, theirs.Name
	if j.Record, err = expr.Compile(tick(mine.Name), c.out.Record); err != nil {
		return j, err
	}
	source := tick(theirs.Name)
	if expr.KindOf(mine.Type) == expr.Text {
		source = "text(" + source + ")"
	}
	if j.Lookup, err = expr.Compile(source, c.out.File); err != nil {
		return j, err
	}
	j.Lookup, err = j.Lookup.As(j.Record.Kind())
	return j, err
}

func tick(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// hideTwins lets no expression name a column of the file that the record has
// too: of a joined pair the record's is meant, of any other nobody knows.
func (c *enricher) hideTwins() {
	c.twins, c.visible = map[string]bool{}, slices.Clone(c.out.File)
	for i, f := range c.out.File {
		if _, both := column(c.out.Record, f.Name); both {
			c.visible[i].Name = ""
			c.twins[f.Name] = c.entry.Lookup.Join[f.Name] != f.Name
		}
	}
}

func (c *enricher) add(a harrow.Addition) {
	path := "add." + a.Name
	t := harrow.Type{Kind: harrow.Text}
	if a.Type != "" {
		var err error
		if t, err = harrow.ParseType(a.Type); err != nil {
			c.problem(path+".type", false, "%v", err)
			return
		}
	}
	names, err := expr.Names(a.Expr)
	for _, n := range names {
		if c.twins[n] {
			c.problem(path+".expr", false, "%s is a column of %s and of %s; expected names that say which", n, c.name, c.entry.Lookup.File)
			return
		}
	}
	var p *expr.Program
	if err == nil {
		p, err = expr.Compile(a.Expr, c.out.Columns)
	}
	if err == nil {
		p, err = p.To(t)
	}
	if err != nil {
		c.problem(path+".expr", false, "%v", err)
		return
	}
	column := harrow.Column{Name: a.Name, Type: t}
	c.out.Added = append(c.out.Added, Added{column, p})
	c.out.Columns = append(c.out.Columns, expr.Column{Name: a.Name, Type: t})
}

func oneOf(columns []expr.Column) string {
	const most = 20
	var names []string
	for _, c := range columns[:min(most, len(columns))] {
		names = append(names, strconv.Quote(c.Name))
	}
	text := strings.Join(names, ", ")
	if n := len(columns) - most; n > 0 {
		text += fmt.Sprintf(" or one of %d more", n)
	}
	return text
}
