package extras

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
)

func init() { harrow.RegisterOperator("mask", newMask) }

// mask replaces e-mail addresses in a text column. It works on whole columns:
// all others go on as they are, without a copy.
type mask struct {
	Column string `json:"column"`
	With   string `json:"with"` // what stands in for an address; default "***"
}

func newMask(config json.RawMessage) (harrow.Operator, error) {
	m := &mask{With: "***"}
	return m, harrow.ReadConfig(config, m)
}

// Type is asked before the first fetch. The columns stay what they are.
func (m *mask) Type(in harrow.RecordType) (harrow.RecordType, error) {
	if c, ok := in.Column(m.Column); !ok || c.Type != (harrow.Type{Kind: harrow.Text}) {
		return in, &harrow.ConfigError{Key: "column", Err: fmt.Errorf("got %q; expected a text column of %s", m.Column, in.Name)}
	}
	return in, nil
}

var address = regexp.MustCompile(`[\w.+-]+@[\w-]+(\.[\w-]+)+`)

// Process gets a few thousand rows at a time and emits them to their table.
func (m *mask) Process(_ context.Context, in harrow.Batch, out harrow.Output) error {
	texts, ok := in.Column(m.Column).(*array.String)
	if !ok {
		return fmt.Errorf("mask: %s has no text column %s", in.Table(), m.Column)
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range texts.Len() {
		if texts.IsNull(i) {
			b.AppendNull()
		} else {
			b.Append(address.ReplaceAllLiteralString(texts.Value(i), m.With))
		}
	}
	masked := b.NewArray()
	defer masked.Release()

	schema, columns := in.Arrow().Schema(), slices.Clone(in.Arrow().Columns())
	columns[schema.FieldIndices(m.Column)[0]] = masked
	record := array.NewRecord(schema, columns, int64(in.Rows()))
	defer record.Release()
	return out.Emit(in.Table(), harrow.NewBatch(record))
}

// Finish has nothing to do: no rows were kept back.
func (m *mask) Finish(context.Context, harrow.Output) error { return nil }
