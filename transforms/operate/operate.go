// Package operate runs a job's own operators over the rows of a record: those
// over batches as they are, those over plain structs (harrow.RegisterRows)
// through the operator "rows".
package operate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// own are operators that stages are made of; a job file names others.
var own = []string{"chain", "check", "dedup", "dedup.age", "discover", "enrich", "enrich-file", "enrich-keys", "enrich-merged",
	"fetch.next", "fetch.pages", "fetch.visits", "parse", "parse.confirmed", rowsOperator, "replay.gather", "replay.rows", "replay.send"}

// Link is a use of an operator as a link of a record's chain: it was made from
// its config once, and asked what it makes of the record. keyed says whether
// the record has a key, which operators need that make several rows of one.
func Link(use harrow.OperatorUse, in harrow.RecordType, keyed bool) (engine.Link, error) {
	if slices.Contains(own, use.Use) {
		return engine.Link{}, unknown(use.Use)
	}
	config := use.With
	if config == nil {
		config = json.RawMessage("null")
	}
	if rows, err := harrow.LookupRows(use.Use); err == nil {
		return rowsLink(rows, rowsConfig{Name: use.Use, With: config, Record: in, Keyed: keyed})
	}
	make, err := harrow.LookupOperator(use.Use)
	if err != nil {
		return engine.Link{}, unknown(use.Use)
	}
	op, err := make(config)
	if err != nil {
		return engine.Link{}, fmt.Errorf("operator %s: %w", use.Use, err)
	}
	link := engine.Link{Step: engine.Step{Operator: use.Use, Config: config}, Makes: in}
	if t, ok := op.(harrow.Typer); ok {
		if link.Makes, err = t.Type(in); err != nil {
			return link, fmt.Errorf("operator %s: %w", use.Use, err)
		}
		if link.Makes.Name != in.Name {
			return link, fmt.Errorf("operator %s makes rows of %s; expected rows of %s", use.Use, link.Makes.Name, in.Name)
		}
	}
	return link, check(use.Use, link.Makes)
}

// check verifies that a table can have the columns.
func check(use string, t harrow.RecordType) error {
	for i, c := range t.Columns {
		_, err := harrow.ParseType(c.Type.String())
		if c.Name == "" || strings.HasPrefix(c.Name, "_") || err != nil {
			return fmt.Errorf("operator %s makes a column %q of type %s; expected a name that doesn't begin with _, and a type of records", use, c.Name, c.Type)
		}
		if slices.ContainsFunc(t.Columns[:i], func(d harrow.Column) bool { return strings.EqualFold(c.Name, d.Name) }) {
			return fmt.Errorf("operator %s makes the column %s twice; expected names that differ in more than case", use, c.Name)
		}
	}
	return nil
}

func unknown(name string) error {
	known := slices.DeleteFunc(harrow.OperatorNames(), func(n string) bool { return slices.Contains(own, n) })
	if len(known) == 0 {
		return fmt.Errorf("no operator is called %q; none is registered", name)
	}
	return fmt.Errorf("no operator is called %q; known: %s", name, strings.Join(known, ", "))
}
