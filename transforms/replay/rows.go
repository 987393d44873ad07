package replay

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func init() {
	harrow.RegisterOperator(rowsName, func(config json.RawMessage) (harrow.Operator, error) {
		o := &rows{}
		if err := harrow.ReadConfig(config, &o.rtype); err != nil {
			return nil, fmt.Errorf("%s: config: %w", rowsName, err)
		}
		var err error
		o.copier, err = lakeio.NewRowCopier(lakeio.RecordSchema(o.rtype))
		return o, err
	})
}

// rows gives rows of records/NAME.load their record's table.
type rows struct {
	rtype  harrow.RecordType
	copier *lakeio.RowCopier
}

// Process implements harrow.Operator.
func (o *rows) Process(_ context.Context, in harrow.Batch, out harrow.Output) error {
	for row := range in.Rows() {
		o.copier.Append(in, row)
		if err := flushFull(o.copier, lakeio.RecordsPrefix+o.rtype.Name, out); err != nil {
			return err
		}
	}
	return nil
}

// Finish implements harrow.Operator.
func (o *rows) Finish(_ context.Context, out harrow.Output) error {
	defer o.copier.Release()
	return flush(o.copier, lakeio.RecordsPrefix+o.rtype.Name, out)
}
