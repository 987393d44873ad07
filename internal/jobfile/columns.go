package jobfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/harrowdata/harrow"
)

// ExtractorRecords lists the record types that a registered extractor with
// this config may emit.
type ExtractorRecords func(use string, with json.RawMessage) ([]harrow.RecordType, error)

// Columns returns the data columns of a rule's record, in the fields' order;
// none for a rule that uses an extractor.
func Columns(rule harrow.Rule) []harrow.Column {
	var columns []harrow.Column
	for _, f := range rule.Fields {
		columns = append(columns, f.Columns(f.Name)...)
	}
	return columns
}

// RecordTypes returns the record types of a job, in the order in which its
// rules first name them. The rules of one record share its columns: those of
// the first come first. A column with two types is an error, as is a rule
// with `use` when extractors is nil or fails.
func RecordTypes(job *harrow.Job, extractors ExtractorRecords) ([]harrow.RecordType, error) {
	var first error
	types := collect(job, extractors, func(rule int, field string, err error) {
		if first == nil {
			first = fmt.Errorf("%s: %w", rulePath(rule, field), err)
		}
	})
	return types, first
}

// rulePath is the path of a rule, or of one of its fields.
func rulePath(rule int, field string) string {
	path := fmt.Sprintf("parse[%d]", rule)
	if field != "" {
		path += ".fields." + field
	}
	return path
}

// collect gathers record types and reports what is wrong with a rule or its
// field; what was reported is left out.
func collect(job *harrow.Job, extractors ExtractorRecords, report func(rule int, field string, err error)) []harrow.RecordType {
	c := &collector{at: map[string]int{}, report: report}
	for i, rule := range job.Parse {
		if rule.Use == "" {
			c.rule(i, rule)
			continue
		}
		if extractors == nil {
			report(i, "", fmt.Errorf("the record types of extractor %q are not known", rule.Use))
			continue
		}
		types, err := extractors(rule.Use, rule.With)
		if err != nil {
			report(i, "", err)
			continue
		}
		for _, t := range types {
			c.record(t.Name)
			for _, column := range t.Columns {
				if msg := c.add(t.Name, column); msg != "" {
					report(i, "", fmt.Errorf("extractor %s, %s.%s: %s", rule.Use, t.Name, column.Name, msg))
				}
			}
		}
	}
	return c.types
}

type collector struct {
	types  []harrow.RecordType
	at     map[string]int // index in types, by name
	report func(rule int, field string, err error)
}

func (c *collector) rule(i int, rule harrow.Rule) {
	own := map[string]string{} // columns of this rule, folded, and their fields
	for _, f := range rule.Fields {
		for _, column := range f.Columns(f.Name) {
			folded := strings.ToLower(column.Name)
			if other, twice := own[folded]; twice {
				c.report(i, f.Name, fmt.Errorf("column %s is made by the field %s already; expected names that differ in more than case", column.Name, other))
				continue
			}
			own[folded] = f.Name
			if msg := c.add(rule.Record, column); msg != "" {
				c.report(i, f.Name, errors.New(msg))
			}
		}
	}
}

// record returns the type of that name, new if need be.
func (c *collector) record(name string) *harrow.RecordType {
	i, known := c.at[name]
	if !known {
		i = len(c.types)
		c.at[name] = i
		c.types = append(c.types, harrow.RecordType{Name: name})
	}
	return &c.types[i]
}

// add takes one column of a record in, or says why not.
func (c *collector) add(record string, column harrow.Column) string {
	t := c.record(record)
	for _, old := range t.Columns {
		switch {
		case old.Name == column.Name && old.Type != column.Type:
			return fmt.Sprintf("column %s of %s is %s here; expected %s as in an earlier rule", column.Name, record, column.Type, old.Type)
		case old.Name == column.Name:
			return ""
		case strings.EqualFold(old.Name, column.Name):
			return fmt.Sprintf("column %s of %s; expected %s as in an earlier rule", column.Name, record, old.Name)
		}
	}
	t.Columns = append(t.Columns, column)
	return ""
}
