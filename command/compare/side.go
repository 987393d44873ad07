package compare

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// identity columns of a record without a key.
var unkeyed = []string{"_id", "_ordinal"}

// pair is a record in both runs.
type pair struct {
	name    string
	sides   [2]recordSide
	match   []string // columns that say which rows belong together
	order   []string // among those that are equal in match
	compare []string // data columns of both
	notes   []string
}

// recordSide is a record in one run.
type recordSide struct {
	parts []harrow.Part
	rows  int64
	rtype harrow.RecordType // as its files have it
	known bool              // whether there is a file
	texts map[string]bool   // columns that are sorted and compared as text
	wants []string          // columns that are kept
}

// pair finds the record's parts and columns in both runs and decides how rows
// are matched.
func (c *comparison) pair(name string) (p *pair, err error) {
	p = &pair{name: name}
	for i := range p.sides {
		s := &p.sides[i]
		s.parts, s.texts = c.manifests[i].TablesOf(lakeio.RecordsPrefix+name), map[string]bool{}
		for _, part := range s.parts {
			s.rows += part.Rows
		}
		if len(s.parts) == 0 {
			continue
		}
		r, err := lakeio.OpenPart(c.ctx, c.runs[i].Store, s.parts[0].URI, s.parts[0].Table)
		if err != nil {
			return nil, err
		}
		s.rtype, err = lakeio.RecordTypeOf(r.Schema())
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", s.parts[0].URI, err)
		}
		s.known = true
	}
	// A run without rows has no files to tell its columns: it has the other's.
	for i, s := range p.sides {
		if !s.known {
			p.sides[i].rtype = p.sides[1-i].rtype
		}
	}
	p.identify(c)
	p.keep(c.query.Fields)
	return p, nil
}

// key is the record's key in a run; nil: none, or no such record.
func key(r view.Run, record string) []string { return r.Job.Refine[record].Key }

func hasRecord(r view.Run, s recordSide, record string) bool {
	return s.known || slices.ContainsFunc(r.Job.Parse, func(rule harrow.Rule) bool { return rule.Record == record })
}

// identify decides which rows belong together.
func (p *pair) identify(c *comparison) {
	there := [2]bool{}
	for i := range there {
		there[i] = hasRecord(c.runs[i], p.sides[i], p.name)
	}
	match := key(c.runs[1], p.name)
	switch first := key(c.runs[0], p.name); {
	case !there[0]:
		p.notes = append(p.notes, "the first run's rules make no such record")
	case !there[1]:
		p.notes = append(p.notes, "the second run's rules make no such record")
		match = first
	case !slices.Equal(first, match):
		p.notes = append(p.notes, fmt.Sprintf("the key was %s and is %s: rows are matched by the latter", keyText(first), keyText(match)))
	}
	for _, column := range match {
		for i, which := range []string{"first", "second"} {
			if _, ok := p.sides[i].rtype.Column(column); !ok && len(p.sides[i].rtype.Columns) > 0 && match != nil {
				p.notes = append(p.notes, fmt.Sprintf("the %s run has no column %s of the key: rows are matched by %s", which, column, keyText(nil)))
				match = nil
			}
		}
		if match == nil {
			break
		}
	}
	switch {
	case len(match) == 0:
		p.match = unkeyed
	case c.query.Stage == "parse":
		p.match, p.order = append(slices.Clone(match), "_id"), []string{"_ordinal"}
	default:
		p.match, p.order = match, []string{"_url", "_ordinal"}
	}
}

func keyText(key []string) string {
	if len(key) == 0 {
		key = unkeyed
	}
	return "(" + strings.Join(key, ", ") + ")"
}

// keep decides which columns are read and which are compared.
func (p *pair) keep(fields []string) {
	wanted := func(column string) bool { return len(fields) == 0 || slices.Contains(fields, column) }
	for i := range p.sides {
		s, other := &p.sides[i], p.sides[1-i].rtype
		for _, col := range s.rtype.Columns {
			o, both := other.Column(col.Name)
			s.texts[col.Name] = both && o.Type != col.Type
			if wanted(col.Name) || slices.Contains(p.match, col.Name) {
				s.wants = append(s.wants, col.Name)
			}
			if i == 0 && both && wanted(col.Name) {
				p.compare = append(p.compare, col.Name)
			}
		}
		s.wants = append(s.wants, "_id", "_url", "_ordinal")
	}
}

// columns are those that are not the same in both runs, in their order.
func (p *pair) columns(fields []string) (list []Column) {
	list = []Column{}
	add := func(name string, first, second *string) {
		if len(fields) == 0 || slices.Contains(fields, name) {
			list = append(list, Column{name, first, second})
		}
	}
	for _, col := range p.sides[0].rtype.Columns {
		was := col.Type.String()
		switch now, ok := p.sides[1].rtype.Column(col.Name); {
		case !ok:
			add(col.Name, &was, nil)
		case now.Type != col.Type:
			add(col.Name, &was, new(now.Type.String()))
		}
	}
	for _, col := range p.sides[1].rtype.Columns {
		if _, ok := p.sides[0].rtype.Column(col.Name); !ok {
			add(col.Name, nil, new(col.Type.String()))
		}
	}
	return list
}

// schema is what a side's rows are narrowed to.
func (s recordSide) schema(record string) *arrow.Schema {
	whole := lakeio.RecordSchema(s.rtype)
	fields := make([]arrow.Field, len(s.wants))
	for i, name := range s.wants {
		fields[i] = whole.Field(whole.FieldIndices(name)[0])
		if s.texts[name] {
			fields[i].Type = arrow.BinaryTypes.String
		}
	}
	meta := lakeio.RecordSchema(harrow.RecordType{Name: record}).Metadata()
	return arrow.NewSchema(fields, &meta)
}

// narrow returns what makes batches of that schema.
func (s recordSide) narrow(record string) func(harrow.Batch) (harrow.Batch, error) {
	schema, whole := s.schema(record), lakeio.RecordSchema(s.rtype)
	return func(b harrow.Batch) (harrow.Batch, error) {
		columns := make([]arrow.Array, len(s.wants))
		defer func() {
			for _, a := range columns {
				if a != nil {
					a.Release()
				}
			}
		}()
		for i, name := range s.wants {
			a := b.Column(name)
			want := whole.Field(whole.FieldIndices(name)[0]).Type
			if a == nil || !arrow.TypeEqual(a.DataType(), want) {
				return harrow.Batch{}, fmt.Errorf("%w: its column %s is not the %s of %s, which the same stage wrote",
					lakeio.ErrCorrupt, name, want, s.parts[0].URI)
			}
			if s.texts[name] {
				columns[i] = texts(a)
				continue
			}
			a.Retain()
			columns[i] = a
		}
		return harrow.NewBatch(array.NewRecord(schema, columns, int64(b.Rows()))), nil
	}
}

// texts are the values of a column as cat shows them.
func texts(a arrow.Array) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(view.ValueText(a, i))
	}
	return b.NewArray()
}
