// Package check keeps the rows that pass a record's checks.
//
// A row that fails one is a reject (class data, code check) that names the
// first check it failed, in the job file's order; so is one for which a check
// can't be told (a division by zero). Null passes everything but required. The
// operator is registered as "check"; a batch all of whose rows pass is handed
// on as it is.
package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/refine"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Operator is the name the operator is registered by.
const Operator = "check"

func init() { harrow.RegisterOperator(Operator, newOperator) }

// Config says what is demanded of the rows of a record. It travels to the
// workers as JSON.
type Config struct {
	Record harrow.RecordType `json:"record"` // whose rows: table records/NAME
	Checks []harrow.Check    `json:"checks"` // in order; a job file's
}

// Rows is the step that makes the checks. An error names the check that can't
// be compiled.
func Rows(cfg Config) (engine.Step, error) {
	if _, err := compile(cfg); err != nil {
		return engine.Step{}, err
	}
	config, err := json.Marshal(cfg)
	return engine.Step{Operator: Operator, Config: config}, err
}

// demand is one compiled demand.
type demand struct {
	program *expr.Program
	field   int // the column it is about; -1 for an expression over several
	refine.Demand
}

type operator struct {
	record  harrow.RecordType
	demands []demand
	copier  *lakeio.RowCopier // made for the first batch in which a row fails
	failed  []int             // by row: the demand it fails first, from 1; 0 for none
	errs    map[int]error     // by row: why a check can't be told
}

func newOperator(config json.RawMessage) (harrow.Operator, error) {
	var c Config
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("check: config: %w", err)
	}
	demands, err := compile(c)
	return &operator{record: c.Record, demands: demands}, err
}

func compile(c Config) (demands []demand, err error) {
	columns := refine.Columns(c.Record)
	for i, check := range c.Checks {
		field, t := -1, harrow.Type{}
		for j, column := range columns {
			if column.Name == check.Field {
				field, t = j, column.Type
			}
		}
		for _, d := range refine.Demands(check, t) {
			program, err := d.Compile(columns)
			if err != nil {
				return nil, fmt.Errorf("check %s[%d].%s: %w", c.Record.Name, i, d.Path, err)
			}
			demands = append(demands, demand{program, field, d})
		}
	}
	return demands, nil
}

// Process implements [harrow.Operator].
func (o *operator) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	bad := o.judge(in)
	if bad == 0 {
		return out.Emit(lakeio.RecordsPrefix+o.record.Name, in)
	}
	if err := o.learn(in); err != nil {
		return err
	}
	for row := range in.Rows() {
		if o.failed[row] == 0 {
			o.copier.Append(in, row)
			continue
		}
		if err := out.Reject(o.reject(in, row)); err != nil {
			return err
		}
	}
	if bad == in.Rows() {
		return nil
	}
	b := o.copier.Batch()
	defer b.Release()
	return out.Emit(lakeio.RecordsPrefix+o.record.Name, b)
}

func (o *operator) learn(in harrow.Batch) (err error) {
	if o.copier == nil {
		o.copier, err = lakeio.NewRowCopier(in.Arrow().Schema())
	}
	return err
}

// judge notes the first demand that each row fails and counts the rows that
// fail one.
func (o *operator) judge(in harrow.Batch) (bad int) {
	o.failed = append(o.failed[:0], make([]int, in.Rows())...)
	clear(o.errs)
	vectors := lakeio.NewVectors(in)
	for i, d := range o.demands {
		v := d.program.Eval(in.Rows(), vectors.At)
		if v.Kind == expr.Null {
			continue
		}
		for row := range in.Rows() {
			err := v.Err(row)
			if o.failed[row] != 0 || err == nil && (v.IsNull(row) || v.Bool(row)) {
				continue
			}
			if err != nil {
				if o.errs == nil {
					o.errs = map[int]error{}
				}
				o.errs[row] = err
			}
			o.failed[row] = i + 1
			bad++
		}
	}
	return bad
}

func (o *operator) reject(in harrow.Batch, row int) harrow.Reject {
	d := o.demands[o.failed[row]-1]
	r := lakeio.RowReject(in, row, o.record.Name)
	r.Class, r.Code = harrow.DataFault, "check"
	value := ""
	if d.field >= 0 {
		r.Field = in.Arrow().ColumnName(d.field)
		r.Value = lakeio.ValueText(in.Arrow().Column(d.field), row)
		value = fmt.Sprintf("%s is %.100s", r.Field, r.Value)
		if in.Arrow().Column(d.field).IsNull(row) {
			value = r.Field + " is null"
		}
	}
	switch {
	case o.errs[row] != nil:
		r.Reason = fmt.Sprintf("%s: %v", d.Want, o.errs[row])
	case value != "":
		r.Reason = value + "; expected " + d.Want
	default:
		r.Reason = "not so: " + d.Want
	}
	return r
}

// Finish implements [harrow.Operator].
func (o *operator) Finish(context.Context, harrow.Output) error {
	if o.copier != nil {
		o.copier.Release()
		o.copier = nil
	}
	return nil
}
