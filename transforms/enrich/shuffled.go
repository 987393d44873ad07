package enrich

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/refine"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Names the operators of a join by shuffle are registered by.
const (
	keysOperator   = "enrich-keys"
	fileOperator   = "enrich-file"
	mergedOperator = "enrich-merged"
)

func init() {
	harrow.RegisterOperator(keysOperator, func(config json.RawMessage) (harrow.Operator, error) {
		u, err := newUnion(config)
		return &keys{union: u}, err
	})
	harrow.RegisterOperator(fileOperator, func(config json.RawMessage) (harrow.Operator, error) {
		u, err := newUnion(config)
		return &fileRows{union: u}, err
	})
	harrow.RegisterOperator(mergedOperator, func(config json.RawMessage) (harrow.Operator, error) {
		u, err := newUnion(config)
		return &merged{union: u, adder: newAdder(u.config.Record, u.enrichment)}, err
	})
}

// Shuffled joins with a file of any size: the rows of the record in in and
// those of the file are shuffled by the key, and each shard's are merged and go
// on through links, a chain (see engine.Chain) that counts counts. The same
// rows come out as of [Lookup]. Rows whose key is null meet in one shard.
func Shuffled(s beam.Scope, env engine.Env, cfg Config, links []engine.Link, counts []string, in parts.Collection) parts.Collection {
	config, err := json.Marshal(cfg)
	if err != nil {
		panic(fmt.Errorf("enrich %s: %w", cfg.Record.Name, err))
	}
	e, err := cfg.compile()
	if err != nil {
		panic(err)
	}
	both := unionType(cfg.Record, e)
	table := lakeio.RecordsPrefix + both.Name
	rows := parts.Map(s, "keys", env, engine.Step{Operator: keysOperator, Config: config}, parts.Collection{Col: in.Col}.Of(lakeio.RecordsPrefix+cfg.Record.Name))
	source := parts.Collection{Col: beam.Create(s, harrow.Part{Table: "lookup", URI: cfg.URI})}
	file := parts.Map(s, "file", env, engine.Step{Operator: fileOperator, Config: config}, source)
	all := parts.Collection{Col: beam.Flatten(s, rows.Col, file.Col)}.Of(table)
	step, err := engine.Chain(engine.ChainConfig{Counts: counts, Links: append([]engine.Link{
		{Step: engine.Step{Operator: mergedOperator, Config: config}, Makes: e.Type(cfg.Record)}}, links...)})
	if err != nil {
		panic(err)
	}
	return parts.Shuffle(s, "join", env, parts.Key{Columns: []string{keyColumn}, Order: []string{sideColumn, "_id", "_ordinal"}}, step, all)
}

const (
	keyColumn  = "_key"  // what rows are joined by, encoded; null: equal to nothing
	sideColumn = "_side" // 0: a row of the file, before the record's rows of its key; 1
	fileSide   = 0
	recordSide = 1
)

// unionType holds rows of both sides: the record's columns, the file's that
// are needed, the key and the side. A row is null in the other side's columns.
func unionType(record harrow.RecordType, e *refine.Enrichment) harrow.RecordType {
	t := harrow.RecordType{Name: record.Name + engine.BetweenSuffix}
	t.Columns = append(t.Columns, record.Columns...)
	for _, i := range e.Needed() {
		t.Columns = append(t.Columns, harrow.Column{Name: fmt.Sprintf("_%d", i), Type: e.File[i].Type})
	}
	return harrow.RecordType{Name: t.Name, Columns: append(t.Columns,
		harrow.Column{Name: keyColumn, Type: harrow.Type{Kind: harrow.Text}}, harrow.Column{Name: sideColumn, Type: harrow.Type{Kind: harrow.Int}})}
}

// union is what the operators of a join by shuffle know.
type union struct {
	config     Config
	enrichment *refine.Enrichment
	schema     *arrow.Schema
	table      string
	need       []int // columns of the file
	record     int   // data columns of the record
	key        []byte
}

func newUnion(config json.RawMessage) (u union, err error) {
	if u.config, u.enrichment, err = readConfig(config); err != nil {
		return u, err
	}
	t := unionType(u.config.Record, u.enrichment)
	u.schema, u.table = lakeio.RecordSchema(t), lakeio.RecordsPrefix+t.Name
	u.need, u.record = u.enrichment.Needed(), len(u.config.Record.Columns)
	return u, nil
}

// emit puts rows together: of one side's columns by their place in the union,
// nil for what is null.
func (u *union) emit(rows, side int, keys []*expr.Vector, columns []arrow.Array, out harrow.Output) error {
	last := u.record + len(u.need)
	columns[last] = u.keyArray(rows, keys)
	sides := array.NewInt64Builder(memory.DefaultAllocator)
	defer sides.Release()
	for range rows {
		sides.Append(int64(side))
	}
	columns[last+1] = sides.NewArray()
	defer columns[last].Release()
	defer columns[last+1].Release()
	for i, c := range columns {
		if c == nil {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, u.schema.Field(i).Type, rows)
			defer columns[i].Release()
		}
	}
	b := harrow.NewBatch(array.NewRecord(u.schema, columns, int64(rows)))
	defer b.Release()
	return out.Emit(u.table, b)
}

// keyArray is the encoded keys as text: bytes that are no UTF-8 would be
// replaced, so they are written as hexadecimal digits.
func (u *union) keyArray(rows int, keys []*expr.Vector) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for row := range rows {
		var ok bool
		if u.key, ok = lookup.RowKey(u.key[:0], keys, row); ok {
			b.Append(fmt.Sprintf("%x", u.key))
		} else {
			b.AppendNull()
		}
	}
	return b.NewArray()
}

// keys turns the record's rows into those of the union.
type keys struct{ union }

// Process implements [harrow.Operator].
func (o *keys) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	vectors := lakeio.NewVectors(in)
	keys := make([]*expr.Vector, len(o.enrichment.Joins))
	for i, j := range o.enrichment.Joins {
		keys[i] = j.Record.Eval(in.Rows(), vectors.At)
	}
	columns := make([]arrow.Array, o.schema.NumFields())
	copy(columns, in.Arrow().Columns()[:o.record])
	copy(columns[len(columns)-len(harrow.Provenance):], in.Arrow().Columns()[o.record:])
	return errors.Join(ctx.Err(), o.emit(in.Rows(), recordSide, keys, columns, out))
}

// Finish implements [harrow.Operator].
func (o *keys) Finish(context.Context, harrow.Output) error { return nil }

// fileRows reads the file's rows as those of the union.
type fileRows struct{ union }

// Process is not used: the operator reads a file.
func (o *fileRows) Process(context.Context, harrow.Batch, harrow.Output) error {
	return errors.New("enrich-file reads a lookup file, not batches")
}

// ReadSource implements [engine.Source].
func (o *fileRows) ReadSource(ctx context.Context, lake lakeio.Lake, part harrow.Part, out harrow.Output) (err error) {
	in, err := lake.Store.Open(ctx, part.URI)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return lookup.Each(ctx, in, o.config.Entry.Lookup.File, o.enrichment, func(c lookup.Chunk, keys []*expr.Vector) error {
		columns := make([]arrow.Array, o.schema.NumFields())
		for i, column := range o.need {
			at := o.record + i
			columns[at] = o.array(c.Columns[column], at)
			defer columns[at].Release()
		}
		return o.emit(c.Rows, fileSide, keys, columns, out)
	})
}

// array is a column of the file as that of a table.
func (o *fileRows) array(v *expr.Vector, at int) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, o.schema.Field(at).Type)
	defer b.Release()
	t := o.enrichment.File[o.need[at-o.record]].Type
	for row := range v.Rows {
		lakeio.AppendVector(b, t, v, row)
	}
	return b.NewArray()
}

// Finish implements [harrow.Operator].
func (o *fileRows) Finish(context.Context, harrow.Output) error { return nil }

// merged gets rows of both sides in the order of (key, side) and adds the
// columns. It holds one row of the file.
type merged struct {
	union
	adder adder
	held  []*expr.Vector // by the file's columns: one row, that of heldKey
	key   string
	has   bool
}

// Process implements [harrow.Operator].
func (o *merged) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	keys := in.Column(keyColumn).(*array.String)
	sides := in.Column(sideColumn).(*array.Int64)
	// Where each row's row of the file is: in this batch, held from the one
	// before (its place is then after the batch's), or nowhere.
	at := make([]int32, in.Rows())
	held, now := int32(in.Rows()), int32(-1)
	if o.has {
		now = held
	}
	skip := func(row int) bool { return sides.Value(row) == fileSide }
	for row := range in.Rows() {
		at[row] = -1
		switch {
		case keys.IsNull(row):
		case skip(row):
			if o.has && o.key == keys.Value(row) {
				return fmt.Errorf("%s: a key comes twice", o.config.Entry.Lookup.File) // it was looked for before the run began
			}
			now, o.key, o.has = int32(row), strings.Clone(keys.Value(row)), true
		case o.has && o.key == keys.Value(row):
			at[row] = now
		}
	}
	file := o.columns(in)
	rows := o.recordRows(in)
	defer rows.Release()
	err := o.adder.add(rows, lakeio.NewVectors(rows), func(column int) *expr.Vector { return file[column].Gather(at) }, skip, out)
	if err == nil && o.has && now != held {
		for _, column := range o.need {
			o.hold(column, file[column].Gather([]int32{now}))
		}
	}
	return err
}

// columns are the file's, and after the batch's rows the one that is held.
func (o *merged) columns(in harrow.Batch) []*expr.Vector {
	file := make([]*expr.Vector, len(o.enrichment.File))
	for i, column := range o.need {
		v := lakeio.Vector(in.Arrow().Column(o.record + i)).Append(nil)
		if o.held != nil {
			v = o.held[column].Append(v)
		}
		file[column] = v
	}
	return file
}

func (o *merged) hold(column int, v *expr.Vector) {
	if o.held == nil {
		o.held = make([]*expr.Vector, len(o.enrichment.File))
	}
	o.held[column] = v.Owned()
}

// recordRows is the batch without the columns of the file, the key and the
// side.
func (o *merged) recordRows(in harrow.Batch) harrow.Batch {
	all := in.Arrow().Columns()
	columns := append(append([]arrow.Array(nil), all[:o.record]...), all[len(all)-len(harrow.Provenance):]...)
	return harrow.NewBatch(array.NewRecord(lakeio.RecordSchema(o.config.Record), columns, int64(in.Rows())))
}

// Finish implements [harrow.Operator].
func (o *merged) Finish(context.Context, harrow.Output) error {
	o.adder.release()
	return nil
}
