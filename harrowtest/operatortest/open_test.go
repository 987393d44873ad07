package operatortest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// opened is stocked that works only between Open and Close.
type opened struct {
	*stocked
	lake  string
	count *int
}

func (o *opened) Open(_ context.Context, lake lakeio.Lake) error {
	o.lake = lake.Run
	*o.count++
	return nil
}

func (o *opened) Close() { o.lake = ""; *o.count-- }

func (o *opened) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	if o.lake != "r7" {
		return errors.New("it is not open")
	}
	return o.stocked.Process(ctx, in, out)
}

func TestAnOperatorThatOpensFilesIsOpened(t *testing.T) {
	count := 0
	t.Run("suite", func(t *testing.T) {
		Run(t, Case{Lake: lakeio.Lake{Run: "r7"}, Config: json.RawMessage(`{"min": 1}`), Record: item, Out: 3,
			Rows: []map[string]any{{"code": "a", "stock": int64(1)}, {"code": "b", "stock": int64(0)}, {"code": "c"}, {"code": "d", "stock": int64(5)}},
			Make: func(config json.RawMessage) (harrow.Operator, error) {
				op, err := newStocked(config)
				if err != nil {
					return nil, err
				}
				return &opened{stocked: op.(*stocked), count: &count}, nil
			}})
	})
	if count != 0 {
		t.Errorf("%d operators are not closed", count)
	}
}
