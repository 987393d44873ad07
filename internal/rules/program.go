package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/css"
)

// Program is the compiled `parse` of a job. It is used by one goroutine at a
// time, as its extractors are.
type Program struct {
	types []harrow.RecordType
	rules []*rule
	css   *selectors
}

// rule is a compiled entry of `parse`.
type rule struct {
	name         string // column _rule
	record       int    // index in Program.types; -1 with an extractor
	match        []*canon.Glob
	contentTypes []string
	last         bool
	elements     bool       // one row an element that each selects; else one row a page
	each         int        // number of the selector
	rows         *rowSource // nil: the page is a document
	fields       []*field
	selectors    []wanted // those of each and the fields
	needs        needs
	extractor    *extractor // nil: fields
}

// Types are the record types, in the order in which Row.Record counts them.
func (p *Program) Types() []harrow.RecordType { return p.types }

// Compile compiles rules. types are the record types of the job in any order:
// every record that a rule or an extractor can make must be among them, with
// at least its columns. Errors name the rule by its index, the field and the
// selector, for example: parse[0].fields.upc: css "th:": …
func Compile(rules []harrow.Rule, types []harrow.RecordType) (*Program, error) {
	p := &Program{types: types, css: newSelectors()}
	for i, def := range rules {
		r, err := p.compileRule(i, def)
		if err != nil {
			return nil, fmt.Errorf("parse[%d]%w", i, err)
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// compileRule returns errors that begin with the rest of the path.
func (p *Program) compileRule(i int, def harrow.Rule) (*rule, error) {
	r := &rule{last: def.Last, record: -1}
	for _, pattern := range def.Match {
		g, err := canon.CompileGlob(pattern)
		if err != nil {
			return nil, fmt.Errorf(".match: %w", err)
		}
		r.match = append(r.match, g)
	}
	for _, media := range def.ContentType {
		r.contentTypes = append(r.contentTypes, mediaType(media))
	}
	if def.Use != "" {
		r.name = def.Use
		var err error
		if r.extractor, err = p.compileExtractor(def.Use, def.With); err != nil {
			return nil, fmt.Errorf(".use: %w", err)
		}
		return r, nil
	}
	r.name = fmt.Sprintf("%s#%d", def.Record, i+1)
	if r.record = p.typeIndex(def.Record); r.record < 0 {
		return nil, fmt.Errorf(".record: no record type is called %q", def.Record)
	}
	if def.Rows.Format != "" {
		var err error
		if r.rows, err = compileRows(def); err != nil {
			return nil, err
		}
		if def.Each != "" {
			return nil, fmt.Errorf(".each: a rule with rows has no elements")
		}
	}
	if def.Each != "" {
		each, err := compileSelector(def.Each)
		if err != nil {
			return nil, fmt.Errorf(".each: %w", err)
		}
		r.elements, r.each, r.needs.tree = true, p.css.set.Add(each), true
		r.selectors = append(r.selectors, wanted{r.each, css.All})
	}
	for _, named := range def.Fields {
		if err := p.addField(r, named); err != nil {
			return nil, fmt.Errorf(".fields.%s: %w", named.Name, err)
		}
	}
	return r, nil
}

func (p *Program) typeIndex(record string) int {
	return slices.IndexFunc(p.types, func(t harrow.RecordType) bool { return t.Name == record })
}

func (p *Program) addField(r *rule, named harrow.NamedField) error {
	f, err := compileField(named.Name, named.Field)
	if err != nil {
		return err
	}
	for _, s := range sourcesOf(f.source) {
		if column, ok := s.(columnSource); ok && r.rows == nil {
			return fmt.Errorf("column %q means a row's, and the rule has no rows", column.name)
		}
		if css, ok := s.(*cssSource); ok && css.selector == nil && !r.elements {
			return fmt.Errorf("css %q means the rule's element, and the rule has no each", css.expr)
		}
	}
	own := p.types[r.record].Columns
	for k, column := range named.Columns(named.Name) {
		at := slices.Index(own, column)
		if at < 0 {
			return fmt.Errorf("the record type %s has no column %s of type %s", p.types[r.record].Name, column.Name, column.Type)
		}
		if k == 0 {
			f.at = at
		} else if at != f.at+k {
			return fmt.Errorf("the record type %s does not have column %s behind %s", p.types[r.record].Name, column.Name, own[f.at].Name)
		}
	}
	r.fields = append(r.fields, f)
	r.selectors = p.css.add(r.selectors, f.source, f.list || r.elements)
	r.needs = r.needs.or(f.source.needs())
	return nil
}

// sourcesOf is the source itself, or those of its alternatives.
func sourcesOf(s source) []source {
	any, ok := s.(*anySource)
	if !ok {
		return []source{s}
	}
	list := make([]source, len(any.alternatives))
	for i, a := range any.alternatives {
		list[i] = a.source
	}
	return list
}

// selection begins with a page's elements.
func (p *Program) selection(d *Document) *selection {
	return p.css.of(d, func(yield func([]wanted) bool) {
		p.matching(d, func(i int) bool { return yield(p.rules[i].selectors) })
	})
}

// matches reports whether the rule applies to a page.
func (r *rule) matches(d *Document) bool {
	if len(r.match) > 0 && !slices.ContainsFunc(r.match, func(g *canon.Glob) bool { return g.Match(d.final) }) {
		return false
	}
	return len(r.contentTypes) == 0 || slices.ContainsFunc(r.contentTypes, func(media string) bool {
		prefix, open := strings.CutSuffix(media, "*")
		return media == d.media || open && strings.HasPrefix(d.media, prefix)
	})
}

// ExtractorRecords lists the record types that a registered extractor with
// this config may emit.
func ExtractorRecords(use string, with json.RawMessage) ([]harrow.RecordType, error) {
	e, err := newExtractor(use, with)
	if err != nil {
		return nil, err
	}
	return e.Records(), nil
}
