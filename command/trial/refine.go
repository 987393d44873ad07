package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/refine"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
)

// Refined is what refine makes of a row, as far as the row alone tells:
// duplicates, thresholds and operators are not looked at.
type Refined struct {
	Record  string   `json:"record"`
	Rule    string   `json:"rule"`
	Ordinal int64    `json:"ordinal"`
	OK      bool     `json:"ok"`     // nothing that was looked at makes it a reject
	Failed  []Failed `json:"failed"` // a run names the first and goes no further
	Added   []Added  `json:"added"`
	Notes   []string `json:"notes"`
}

// Failed is a demand that a row doesn't meet.
type Failed struct {
	What  string `json:"what"` // "min", "expr"; "key": a column of the record's key is null
	Late  bool   `json:"late"` // it is made after enrichment
	Field string `json:"field,omitempty"`
	Value any    `json:"value"` // of the field
	Why   string `json:"why"`
}

// Added is a column that enrichment adds.
type Added struct {
	Column string `json:"column"`
	Value  any    `json:"value"`
	Why    string `json:"why,omitempty"` // why it has none, and the row is a reject
}

// refining takes the rows of a record through its entry under refine.
type refining struct {
	cfg     *Config
	entry   harrow.Refine
	rt      harrow.RecordType // grows by what is added
	rows    []*Refined
	data    []*expr.Vector // by columns of rt
	origin  []*expr.Vector // by columns of provenance
	stopped []bool         // rows that an enrichment made rejects
}

// refined says what becomes of the rows of each record that has an entry.
func (t *trier) refined(ctx context.Context, rows map[string]*gathered, r *Report) error {
	for _, rt := range t.cfg.Types {
		g, entry := rows[rt.Name], t.cfg.Job.Refine[rt.Name]
		if g == nil || len(g.rows) == 0 || len(entry.Key)+len(entry.Check)+len(entry.Enrich)+len(entry.Operators) == 0 {
			continue
		}
		b := g.builder.Batch()
		f := &refining{cfg: &t.cfg, entry: entry, rt: rt, rows: g.rows, stopped: make([]bool, len(g.rows))}
		vectors := lakeio.NewVectors(b)
		for i := range len(rt.Columns) + len(harrow.Provenance) {
			if v := vectors.At(i); i < len(rt.Columns) {
				f.data = append(f.data, v)
			} else {
				f.origin = append(f.origin, v)
			}
		}
		err := f.run(ctx)
		b.Release() // the vectors see into it
		if err != nil {
			return fmt.Errorf("refine.%s: %w", rt.Name, err)
		}
		for _, row := range f.rows {
			r.Refined = append(r.Refined, *row)
		}
	}
	return nil
}

// gathered are the rows of a record.
type gathered struct {
	builder *lakeio.RecordBuilder
	rows    []*Refined
}

// run goes the way of a run: checks, key, enrichment, checks of what was added.
func (f *refining) run(ctx context.Context) error {
	early, late := refine.Split(f.entry.Check, f.rt)
	if err := f.check(early, false); err != nil {
		return err
	}
	f.key()
	for i, e := range f.entry.Enrich {
		if err := f.enrich(ctx, e); err != nil {
			return fmt.Errorf("enrich[%d]: %w", i, err)
		}
	}
	if len(f.entry.Operators) == 0 {
		return f.check(late, true)
	}
	note := "operators: not run by try"
	if len(late) > 0 {
		note += ", nor the checks that follow them"
	}
	for _, row := range f.rows {
		row.Notes = append(row.Notes, note)
	}
	return nil
}

// at is a column of the record as it is now, then of provenance.
func (f *refining) at(i int) *expr.Vector {
	if i < len(f.data) {
		return f.data[i]
	}
	return f.origin[i-len(f.data)]
}

// value is a column's value in a row.
func (f *refining) value(column, row int) any {
	t := harrow.Type{Kind: harrow.Text}
	if column < len(f.data) {
		t = f.rt.Columns[column].Type
	}
	return plainOf(f.at(column), t, row)
}

// plainOf is a value as JSON has it.
func plainOf(v *expr.Vector, t harrow.Type, row int) any {
	switch {
	case v.IsNull(row):
		return nil
	case v.Kind == expr.List:
		return fmt.Sprintf("a list of %d", v.Int(row))
	case v.Kind == expr.Bool:
		return v.Bool(row)
	case v.Kind == expr.Float, t.Kind == harrow.Int:
		return json.Number(v.Show(row))
	}
	return v.Show(row)
}

func (f *refining) check(checks []harrow.Check, late bool) error {
	columns := refine.Columns(f.rt)
	for i, c := range checks {
		column := slices.IndexFunc(columns, func(e expr.Column) bool { return e.Name == c.Field })
		t := harrow.Type{}
		if column >= 0 {
			t = columns[column].Type
		}
		for _, d := range refine.Demands(c, t) {
			program, err := d.Compile(columns)
			if err != nil {
				return fmt.Errorf("check[%d].%s: %w", i, d.Path, err)
			}
			f.judge(d, program.Eval(len(f.rows), f.at), column, late)
		}
	}
	return nil
}

// judge notes which rows don't meet a demand on a column; -1 is one on several.
func (f *refining) judge(d refine.Demand, v *expr.Vector, column int, late bool) {
	for row := range f.rows {
		err := v.Err(row)
		if f.stopped[row] || err == nil && (v.Kind == expr.Null || v.IsNull(row) || v.Bool(row)) {
			continue
		}
		failed := Failed{What: d.Path, Late: late, Why: "not so: " + d.Want}
		if column >= 0 {
			failed.Field, failed.Value = refine.Columns(f.rt)[column].Name, f.value(column, row)
			failed.Why = fmt.Sprintf("%s is %s; expected %s", failed.Field, shown(failed.Value), d.Want)
		}
		if err != nil {
			failed.Why = fmt.Sprintf("%s: %v", d.Want, err)
		}
		f.fail(row, failed)
	}
}

func (f *refining) fail(row int, failed Failed) {
	f.rows[row].Failed, f.rows[row].OK = append(f.rows[row].Failed, failed), false
}

func shown(v any) string {
	if v == nil {
		return "null"
	}
	return text(v)
}

// key notes which rows have a null in their key.
func (f *refining) key() {
	for i, c := range f.rt.Columns {
		if !slices.Contains(f.entry.Key, c.Name) {
			continue
		}
		for row := range f.rows {
			if f.data[i].IsNull(row) {
				f.fail(row, Failed{What: "key", Field: c.Name, Why: c.Name + " is null; expected a value, since it is part of the key"})
			}
		}
	}
}

// enrich adds an entry's columns.
func (f *refining) enrich(ctx context.Context, entry harrow.Enrich) error {
	file := entry.Lookup.File
	e, problems := refine.Enrich(entry, f.rt, f.cfg.Lookups[file])
	if len(problems) > 0 {
		return problems[0]
	}
	at, table, err := f.match(ctx, e, file)
	if err != nil {
		return err
	}
	added := make([]*expr.Vector, 0, len(e.Added))
	column := func(i int) *expr.Vector {
		switch {
		case i < len(e.Record):
			return f.at(i)
		case i < len(e.Record)+len(e.File):
			return table.Column(i-len(e.Record), at)
		}
		return added[i-len(e.Record)-len(e.File)]
	}
	for _, a := range e.Added {
		added = append(added, a.Program.Eval(len(f.rows), column))
	}
	f.add(e, added)
	f.rt, f.data = e.Type(f.rt), append(f.data, added...)
	return nil
}

// match finds the file's row of each row; of the file only these are kept.
func (f *refining) match(ctx context.Context, e *refine.Enrichment, file string) ([]int32, *lookup.Table, error) {
	columns := make([]*expr.Vector, len(e.Joins))
	for i, j := range e.Joins {
		columns[i] = j.Record.Eval(len(f.rows), f.at)
	}
	keys, wanted := make([][]byte, len(f.rows)), map[string]bool{}
	for row := range f.rows {
		if key, ok := lookup.RowKey(nil, columns, row); ok {
			keys[row] = key
			wanted[string(key)] = true
		}
	}
	table, err := lookup.LoadLocal(ctx, f.cfg.Beside(file), file, e, func(key []byte) bool { return wanted[string(key)] })
	if err != nil {
		return nil, nil, err
	}
	at := make([]int32, len(f.rows))
	for row, key := range keys {
		if at[row] = -1; key != nil {
			at[row] = table.Find(key)
		}
		if at[row] < 0 && !f.stopped[row] {
			f.rows[row].Notes = append(f.rows[row].Notes, f.unmatched(e, columns, file, row))
		}
	}
	return at, table, nil
}

// unmatched says that a file has no row for a row.
func (f *refining) unmatched(e *refine.Enrichment, keys []*expr.Vector, file string, row int) string {
	text := file + " has no row with"
	for i, j := range e.Joins {
		if keys[i].IsNull(row) {
			return fmt.Sprintf("no row of %s is joined: %s is null", file, j.Name)
		}
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %s %q", j.File, keys[i].Show(row))
	}
	return text
}

// add notes the values of the added columns; a row that has an error in one is
// a reject and goes no further.
func (f *refining) add(e *refine.Enrichment, added []*expr.Vector) {
	for row, to := range f.rows {
		for i, a := range e.Added {
			if f.stopped[row] {
				break
			}
			one := Added{Column: a.Name}
			if err := added[i].Err(row); err != nil {
				one.Why = err.Error()
				f.stopped[row], to.OK = true, false
			} else {
				one.Value = plainOf(added[i], a.Type, row)
			}
			to.Added = append(to.Added, one)
		}
	}
}
