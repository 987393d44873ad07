// Package enrich adds columns to a record: computed from its own and from the
// row of a lookup file that has the same key.
//
// The join keeps every row. One whose key is null, or isn't in the file, sees
// nulls for the file's columns. In the file each key may come once. Keys are
// compared as what the record's columns are: numbers by value, texts with the
// text form of anything. A row whose expression has no value (a division by
// zero, text that is no number, a result with more digits than its type) is a
// reject (class data, code enrich) that names the column.
//
// A file that is small enough is a table in the memory of each process, read
// once ("enrich"). Otherwise file and rows are both shuffled by the key and
// merged ("enrich-keys", "enrich-file" and "enrich-merged"): any size works in
// the same memory, and both ways make the same rows.
package enrich

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/refine"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Operator is the name the operator with a table in memory is registered by.
const Operator = "enrich"

func init() { harrow.RegisterOperator(Operator, newOperator) }

// Config says what is added to the rows of a record. It travels to the workers
// as JSON.
type Config struct {
	Record harrow.RecordType `json:"record"` // whose rows: table records/NAME, its columns before
	Entry  harrow.Enrich     `json:"entry"`  // of the job file
	URI    string            `json:"uri"`    // of the run's copy of the file, relative to the workspace
	File   []expr.Column     `json:"file"`   // its columns
}

// compile is the entry, compiled.
func (c Config) compile() (*refine.Enrichment, error) {
	e, problems := refine.Enrich(c.Entry, c.Record, c.File)
	if len(problems) > 0 {
		return nil, fmt.Errorf("enrich %s: %w", c.Record.Name, problems[0])
	}
	return e, nil
}

// Lookup is the step that joins with a table in memory, and what it makes of
// the record.
func Lookup(cfg Config) (step engine.Step, after harrow.RecordType, err error) {
	e, err := cfg.compile()
	if err != nil {
		return step, after, err
	}
	config, err := json.Marshal(cfg)
	return engine.Step{Operator: Operator, Config: config}, e.Type(cfg.Record), err
}

// operator joins with a table in memory.
type operator struct {
	adder
	config Config
	table  *lookup.Table
	back   func()
	at     []int32
	key    []byte
}

func readConfig(config json.RawMessage) (c Config, e *refine.Enrichment, err error) {
	if err := harrow.ReadConfig(config, &c); err != nil {
		return c, nil, fmt.Errorf("enrich: config: %w", err)
	}
	e, err = c.compile()
	return c, e, err
}

func newOperator(config json.RawMessage) (harrow.Operator, error) {
	c, e, err := readConfig(config)
	if err != nil {
		return nil, err
	}
	return &operator{adder: newAdder(c.Record, e), config: c, back: func() {}}, nil
}

// Open implements [engine.Opener].
func (o *operator) Open(ctx context.Context, lake lakeio.Lake) error {
	key, err := json.Marshal(o.config)
	if err != nil {
		return err
	}
	o.table, o.back, err = borrow(ctx, lake, o.config.URI, o.config.Entry.Lookup.File, string(key), o.enrichment)
	return err
}

// Close implements [engine.Opener].
func (o *operator) Close() {
	o.back()
	o.back = func() {}
	o.release()
}

// Process implements [harrow.Operator].
func (o *operator) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	vectors := lakeio.NewVectors(in)
	o.match(in.Rows(), vectors)
	return o.add(in, vectors, func(column int) *expr.Vector { return o.table.Column(column, o.at) }, nil, out)
}

// match finds the row of the table for each row.
func (o *operator) match(rows int, vectors *lakeio.Vectors) {
	keys := make([]*expr.Vector, len(o.enrichment.Joins))
	for i, j := range o.enrichment.Joins {
		keys[i] = j.Record.Eval(rows, vectors.At)
	}
	o.at = o.at[:0]
	for row := range rows {
		at := int32(-1)
		var ok bool
		if o.key, ok = lookup.RowKey(o.key[:0], keys, row); ok {
			at = o.table.Find(o.key)
		}
		o.at = append(o.at, at)
	}
}

// Finish implements [harrow.Operator].
func (o *operator) Finish(context.Context, harrow.Output) error { return nil }

// adder evaluates the added columns and puts rows together.
type adder struct {
	enrichment *refine.Enrichment
	record     string
	before     int // data columns of the record
	types      []harrow.Type
	schema     *arrow.Schema // of the record after it
	copier     *lakeio.RowCopier
}

func newAdder(before harrow.RecordType, e *refine.Enrichment) adder {
	a := adder{enrichment: e, record: before.Name, before: len(before.Columns), schema: lakeio.RecordSchema(e.Type(before))}
	for _, c := range e.Added {
		a.types = append(a.types, c.Type)
	}
	return a
}

func (a *adder) release() {
	if a.copier != nil {
		a.copier.Release()
		a.copier = nil
	}
}

// add emits the rows of a batch with the added columns. file makes a column of
// the lookup file for all rows; rows for which skip says so are passed over
// (nil: none). The batch's first columns are the record's, then provenance.
func (a *adder) add(in harrow.Batch, record *lakeio.Vectors, file func(column int) *expr.Vector, skip func(row int) bool, out harrow.Output) error {
	added := a.evaluate(in.Rows(), record, file)
	failed := false
	for row := range in.Rows() {
		if skip != nil && skip(row) {
			failed = true
			continue
		}
		if i, err := firstError(added, row); err != nil {
			failed = true
			if err := out.Reject(a.reject(in, row, i, err)); err != nil {
				return err
			}
		}
	}
	whole, err := a.assemble(in, added)
	if err != nil {
		return err
	}
	defer whole.Release()
	if !failed {
		return out.Emit(lakeio.RecordsPrefix+a.record, whole)
	}
	return a.rest(whole, added, skip, out)
}

// evaluate computes the added columns, in order.
func (a *adder) evaluate(rows int, record *lakeio.Vectors, file func(column int) *expr.Vector) []*expr.Vector {
	e := a.enrichment
	added := make([]*expr.Vector, len(e.Added))
	gathered := make([]*expr.Vector, len(e.File))
	column := func(i int) *expr.Vector {
		if i < len(e.Record) {
			return record.At(i)
		}
		if i -= len(e.Record); i < len(e.File) {
			if gathered[i] == nil {
				gathered[i] = file(i)
			}
			return gathered[i]
		}
		return added[i-len(e.File)]
	}
	for i, c := range e.Added {
		added[i] = c.Program.Eval(rows, column)
	}
	return added
}

func firstError(added []*expr.Vector, row int) (int, error) {
	for i, v := range added {
		if v.Errs != nil {
			if err := v.Err(row); err != nil {
				return i, err
			}
		}
	}
	return 0, nil
}

func (a *adder) reject(in harrow.Batch, row, column int, err error) harrow.Reject {
	r := lakeio.RowReject(in, row, a.record)
	r.Class, r.Code, r.Field = harrow.DataFault, "enrich", a.enrichment.Added[column].Name
	r.Reason = fmt.Sprintf("%s: %v", r.Field, err)
	return r
}

// assemble makes a batch of the record's columns, the added ones and
// provenance; rows with an error are null in them.
func (a *adder) assemble(in harrow.Batch, added []*expr.Vector) (harrow.Batch, error) {
	columns := append([]arrow.Array(nil), in.Arrow().Columns()[:a.before]...)
	for i, v := range added {
		b := array.NewBuilder(memory.DefaultAllocator, a.schema.Field(a.before+i).Type)
		b.Reserve(in.Rows())
		for row := range in.Rows() {
			lakeio.AppendVector(b, a.types[i], v, row)
		}
		made := b.NewArray()
		b.Release()
		defer made.Release()
		columns = append(columns, made)
	}
	columns = append(columns, in.Arrow().Columns()[a.before:a.before+len(harrow.Provenance)]...)
	return harrow.NewBatch(array.NewRecord(a.schema, columns, int64(in.Rows()))), nil
}

// rest emits the rows that have no error and aren't to be passed over.
func (a *adder) rest(whole harrow.Batch, added []*expr.Vector, skip func(row int) bool, out harrow.Output) (err error) {
	if a.copier == nil {
		if a.copier, err = lakeio.NewRowCopier(a.schema); err != nil {
			return err
		}
	}
	for row := range whole.Rows() {
		if skip != nil && skip(row) {
			continue
		}
		if _, err := firstError(added, row); err == nil {
			a.copier.Append(whole, row)
		}
	}
	if a.copier.Rows() == 0 {
		return nil
	}
	b := a.copier.Batch()
	defer b.Release()
	return out.Emit(lakeio.RecordsPrefix+a.record, b)
}
