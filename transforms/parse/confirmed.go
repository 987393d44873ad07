package parse

import (
	"context"
	"encoding/json"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

const confirmedName = "parse.confirmed"

func init() {
	harrow.RegisterOperator(confirmedName, func(json.RawMessage) (harrow.Operator, error) { return &confirmed{}, nil })
}

// confirmed hands on the captures of outcome not_modified.
type confirmed struct{ copier *lakeio.RowCopier }

// Process implements harrow.Operator.
func (o *confirmed) Process(_ context.Context, in harrow.Batch, out harrow.Output) (err error) {
	outcomes, ok := in.Column("outcome").(*array.String)
	if !ok {
		return nil
	}
	for row := range in.Rows() {
		if outcomes.Value(row) != string(harrow.NotModified) {
			continue
		}
		if o.copier == nil {
			if o.copier, err = lakeio.NewRowCopier(in.Arrow().Schema()); err != nil {
				return err
			}
		}
		o.copier.Append(in, row)
		if o.copier.Full() {
			if err := o.emit(out); err != nil {
				return err
			}
		}
	}
	return nil
}

// Finish implements harrow.Operator.
func (o *confirmed) Finish(_ context.Context, out harrow.Output) error {
	if o.copier == nil {
		return nil
	}
	defer func() { o.copier.Release(); o.copier = nil }()
	return o.emit(out)
}

func (o *confirmed) emit(out harrow.Output) error {
	if o.copier.Rows() == 0 {
		return nil
	}
	b := o.copier.Batch()
	defer b.Release()
	return out.Emit(lakeio.Captures.Name(), b)
}
