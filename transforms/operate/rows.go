package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

const rowsOperator = "rows"

func init() { harrow.RegisterOperator(rowsOperator, newRows) }

// rowsConfig travels to the workers as JSON.
type rowsConfig struct {
	Name   string            `json:"name"` // as it was registered
	With   json.RawMessage   `json:"with"`
	Record harrow.RecordType `json:"record"` // whose rows: its columns before
	Keyed  bool              `json:"keyed"`  // the record has a key: one row may become several
}

func rowsLink(rows harrow.RowOperator, cfg rowsConfig) (engine.Link, error) {
	after, err := rows.Type(cfg.Record)
	if err == nil {
		_, err = rows.New(cfg.With)
	}
	if err != nil {
		return engine.Link{}, fmt.Errorf("operator %s: %w", cfg.Name, err)
	}
	config, err := json.Marshal(cfg)
	return engine.Link{Step: engine.Step{Operator: rowsOperator, Config: config}, Name: cfg.Name, Makes: after}, err
}

// rows calls a function for each row and puts what it emits together again.
type rows struct {
	config rowsConfig
	spec   harrow.RowOperator
	call   harrow.RowCall
	after  harrow.RecordType
	schema *arrow.Schema
	in     []int // the column that each field of In reads
	out    []int // the column of after that each field of Out sets
	copier *lakeio.RowCopier

	from    []int   // of the rows emitted so far: the row they were made of
	values  [][]any // of the rows emitted so far, by field of Out
	emitted []reflect.Value
}

func newRows(config json.RawMessage) (harrow.Operator, error) {
	o := &rows{}
	err := harrow.ReadConfig(config, &o.config)
	if err == nil {
		o.spec, err = harrow.LookupRows(o.config.Name)
	}
	if err == nil {
		o.after, err = o.spec.Type(o.config.Record)
	}
	if err == nil {
		o.call, err = o.spec.New(o.config.With)
	}
	if err != nil {
		return nil, fmt.Errorf("rows %s: %w", o.config.Name, err)
	}
	o.schema = lakeio.RecordSchema(o.after)
	before := lakeio.RecordSchema(o.config.Record)
	for _, f := range o.spec.In {
		o.in = append(o.in, before.FieldIndices(f.Column)[0])
	}
	for _, f := range o.spec.Out {
		o.out = append(o.out, o.schema.FieldIndices(f.Column)[0])
	}
	o.values = make([][]any, len(o.out))
	return o, nil
}

// Process implements [harrow.Operator].
func (o *rows) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	o.from = o.from[:0]
	for i := range o.values {
		o.values[i] = o.values[i][:0]
	}
	for row := range in.Rows() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := o.row(ctx, in, row); err != nil {
			if ctx.Err() != nil {
				return err // the run stops: that is not the row's fault
			}
			if err := out.Reject(o.reject(in, row, err)); err != nil {
				return err
			}
		}
	}
	if len(o.from) == 0 {
		return nil
	}
	return o.emit(in, out)
}

// row calls the function; an error, or a panic, is the row's.
func (o *rows) row(ctx context.Context, in harrow.Batch, row int) (err error) {
	o.emitted = o.emitted[:0]
	if err := o.guarded(ctx, o.read(in, row)); err != nil {
		return err
	}
	if len(o.emitted) > 1 && !o.config.Keyed {
		return fmt.Errorf("it made %d rows of one; expected a key in refine that tells them apart", len(o.emitted))
	}
	var made [][]any
	for _, e := range o.emitted {
		values, err := o.write(e)
		if err != nil {
			return err
		}
		made = append(made, values)
	}
	for _, values := range made {
		o.from = append(o.from, row)
		for i, v := range values {
			o.values[i] = append(o.values[i], v)
		}
	}
	return nil
}

func (o *rows) guarded(ctx context.Context, in reflect.Value) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return o.call(ctx, in, func(v reflect.Value) { o.emitted = append(o.emitted, v) })
}

// read makes an In of a row.
func (o *rows) read(in harrow.Batch, row int) reflect.Value {
	s := o.spec.NewIn()
	for i, f := range o.spec.In {
		v := lakeio.Value(in.Arrow().Column(o.in[i]), row)
		if v == nil {
			continue
		}
		field := s.Field(f.Index)
		if f.Pointer {
			field.Set(reflect.New(field.Type().Elem()))
			field = field.Elem()
		}
		field.Set(reflect.ValueOf(v))
	}
	return s
}

// write takes the values out of an Out.
func (o *rows) write(s reflect.Value) ([]any, error) {
	values := make([]any, len(o.spec.Out))
	for i, f := range o.spec.Out {
		v := s.Field(f.Index)
		if f.Pointer || f.Type.List {
			if v.IsNil() {
				continue
			}
			if f.Pointer {
				v = v.Elem()
			}
		}
		values[i] = v.Interface()
		if err := lakeio.CheckValue(o.after.Columns[o.out[i]].Type, values[i]); err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Column, err)
		}
	}
	return values, nil
}

// emit puts the rows emitted for a batch together: what isn't set is the input
// row's.
func (o *rows) emit(in harrow.Batch, out harrow.Output) (err error) {
	source := in
	if !o.oneForOne(in.Rows()) {
		if source, err = o.sources(in); err != nil {
			return err
		}
		defer source.Release()
	}
	before := len(o.config.Record.Columns)
	columns := make([]arrow.Array, o.schema.NumFields())
	for i := range columns {
		if i < before {
			columns[i] = source.Arrow().Column(i)
		} else if p := i - len(o.after.Columns); p >= 0 {
			columns[i] = source.Arrow().Column(before + p)
		}
	}
	for i, at := range o.out {
		b := array.NewBuilder(memory.DefaultAllocator, o.schema.Field(at).Type)
		b.Reserve(len(o.from))
		for _, v := range o.values[i] {
			lakeio.AppendValue(b, o.after.Columns[at].Type, v)
		}
		columns[at] = b.NewArray()
		b.Release()
		defer columns[at].Release()
	}
	b := harrow.NewBatch(array.NewRecord(o.schema, columns, int64(len(o.from))))
	defer b.Release()
	return out.Emit(lakeio.RecordsPrefix+o.after.Name, b)
}

func (o *rows) oneForOne(rows int) bool {
	return len(o.from) == rows && slices.IsSorted(o.from) && len(slices.Compact(slices.Clone(o.from))) == rows
}

// sources gathers the input row of each row emitted.
func (o *rows) sources(in harrow.Batch) (b harrow.Batch, err error) {
	if o.copier == nil {
		if o.copier, err = lakeio.NewRowCopier(in.Arrow().Schema()); err != nil {
			return b, err
		}
	}
	for _, row := range o.from {
		o.copier.Append(in, row)
	}
	return o.copier.Batch(), nil
}

func (o *rows) reject(in harrow.Batch, row int, err error) harrow.Reject {
	r := lakeio.RowReject(in, row, o.config.Record.Name)
	r.Class, r.Code, r.Reason = harrow.DataFault, "operator", fmt.Sprintf("operator %s: %v", o.config.Name, err)
	return r
}

// Finish implements [harrow.Operator].
func (o *rows) Finish(context.Context, harrow.Output) error {
	if o.copier != nil {
		o.copier.Release()
		o.copier = nil
	}
	return nil
}
