package dedup

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

const (
	ageName   = "dedup.age"
	ageColumn = "_age" // the last one, of the tables between
)

func init() { harrow.RegisterOperator(ageName, newAger) }

// Aged takes the rows of record t out of in and says how old they are: 0 for
// those of now, more for those of earlier runs. Rows of another type than t
// become of it: a column that is gone is dropped, a new one is null, and a row
// that can't be one of t is left out.
func Aged(s beam.Scope, env engine.Env, t harrow.RecordType, age int, in parts.Collection) parts.Collection {
	config, err := json.Marshal(agerConfig{t, age})
	if err != nil {
		panic(fmt.Errorf("dedup %s: %w", t.Name, err))
	}
	return parts.Map(s, "aged", env, engine.Step{Operator: ageName, Config: config}, in.Of(lakeio.RecordsPrefix+t.Name))
}

// ByAge returns parts with those rows of now that stay if the rows of earlier
// runs are there too: of a key for which one of these stays there is none. A
// row with the _url and _ordinal of a younger one of its key is outdated, and
// doesn't count. The input is what [Aged] returned, flattened; it is part of
// the stage of env, as [ByKey] is.
func ByAge(s beam.Scope, env engine.Env, cfg Config, in parts.Collection) parts.Collection {
	cfg.Aged = true
	key := Key(cfg, env.Shards)
	key.Order = append(key.Order, ageColumn)
	return parts.Shuffle(s, "by age", env, key, Step(cfg), in.Of(lakeio.RecordsPrefix+cfg.Record+engine.BetweenSuffix))
}

type agerConfig struct {
	Type harrow.RecordType `json:"type"`
	Age  int               `json:"age"`
}

// ager adds the column to rows.
type ager struct {
	agerConfig
	plain, aged *arrow.Schema
	rows        *lakeio.RecordBuilder // of those that were of another type
}

func newAger(config json.RawMessage) (harrow.Operator, error) {
	o := &ager{}
	if err := harrow.ReadConfig(config, &o.agerConfig); err != nil {
		return nil, fmt.Errorf("%s: config: %w", ageName, err)
	}
	o.plain = lakeio.RecordSchema(o.Type)
	between := o.Type
	between.Name += engine.BetweenSuffix
	meta := lakeio.RecordSchema(between).Metadata()
	o.aged = arrow.NewSchema(append(o.plain.Fields(), arrow.Field{Name: ageColumn, Type: arrow.PrimitiveTypes.Int64}), &meta)
	return o, nil
}

// Process implements [harrow.Operator].
func (o *ager) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	if in.Arrow().Schema().Equal(o.plain) {
		return o.emit(in, out)
	}
	if o.rows == nil {
		o.rows = lakeio.NewRecordBuilder(o.Type)
	}
	for row := range in.Rows() {
		if err := o.rows.AppendJSON(lakeio.AppendJSON(nil, in, row, nil)); err != nil {
			continue // it can't be compared with those of today's type
		}
		if o.rows.Full() {
			if err := o.flush(out); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// Finish implements [harrow.Operator].
func (o *ager) Finish(_ context.Context, out harrow.Output) error {
	if o.rows == nil {
		return nil
	}
	err := o.flush(out)
	o.rows.Release()
	o.rows = nil
	return err
}

func (o *ager) flush(out harrow.Output) error {
	if o.rows.Rows() == 0 {
		return nil
	}
	b := o.rows.Batch()
	defer b.Release()
	return o.emit(b, out)
}

func (o *ager) emit(b harrow.Batch, out harrow.Output) error {
	ages := array.NewInt64Builder(memory.DefaultAllocator)
	defer ages.Release()
	for range b.Rows() {
		ages.Append(int64(o.Age))
	}
	column := ages.NewArray()
	defer column.Release()
	columns := append(append([]arrow.Array(nil), b.Arrow().Columns()...), column)
	aged := harrow.NewBatch(array.NewRecord(o.aged, columns, int64(b.Rows())))
	defer aged.Release()
	return out.Emit(lakeio.RecordsPrefix+o.Type.Name+engine.BetweenSuffix, aged)
}

// ages is what the operator knows of the ages of a key's rows.
type ages struct {
	column       int // in the schema; -1: rows have no age
	url, ordinal comparer
	last         string // place of the row before
}

func agesOf(s *arrow.Schema) (a ages, err error) {
	if a.url, err = comparerOf(s, "_url"); err != nil {
		return a, err
	}
	if a.ordinal, err = comparerOf(s, "_ordinal"); err != nil {
		return a, err
	}
	age, err := comparerOf(s, ageColumn)
	a.column = age.column
	return a, err
}

// same reports whether the row has the place of the one before it, and is of
// the same key: that one is younger.
func (a *ages) same(b harrow.Batch, row int, sameKey bool) bool {
	if a.column < 0 {
		return false
	}
	place := fmt.Sprintf("%v %v", lakeio.Value(b.Arrow().Column(a.ordinal.column), row), lakeio.Value(b.Arrow().Column(a.url.column), row))
	same := sameKey && place == a.last
	a.last = place
	return same
}

// old reports whether a row is of an earlier run.
func (a *ages) old(b harrow.Batch, row int) bool {
	if a.column < 0 {
		return false
	}
	age, _ := lakeio.Value(b.Arrow().Column(a.column), row).(int64)
	return age > 0
}

// younger is the schema of what is emitted: without the ages.
func younger(s *arrow.Schema, record string) (*arrow.Schema, error) {
	t, err := lakeio.RecordTypeOf(s)
	t.Name = record
	return lakeio.RecordSchema(t), err
}
