package lookup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/io/lakeio"
)

// typeOf is the type of a column of an Arrow or Parquet file; a type that no
// expression knows becomes text that is all null.
func typeOf(t arrow.DataType) harrow.Type {
	switch t := t.(type) {
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type, *arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type:
		return harrow.Type{Kind: harrow.Int}
	case *arrow.Float32Type, *arrow.Float64Type:
		return harrow.Type{Kind: harrow.Float}
	case *arrow.BooleanType:
		return harrow.Type{Kind: harrow.Bool}
	case *arrow.Decimal128Type:
		return harrow.Type{Kind: harrow.Decimal, Precision: t.Precision, Scale: max(t.Scale, 0)}
	case *arrow.Date32Type:
		return harrow.Type{Kind: harrow.Date}
	case *arrow.TimestampType:
		return harrow.Type{Kind: harrow.Timestamp}
	}
	return harrow.Type{Kind: harrow.Text}
}

// readable reports whether columns of that type can be used.
func readable(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.StringType, *arrow.LargeStringType:
		return true
	case *arrow.Decimal128Type:
		return t.Scale >= 0
	}
	return typeOf(t).Kind != harrow.Text
}

func columnsOfSchema(s *arrow.Schema) []expr.Column {
	columns := make([]expr.Column, s.NumFields())
	for i, f := range s.Fields() {
		columns[i] = expr.Column{Name: f.Name, Type: typeOf(f.Type)}
	}
	return columns
}

// vector is a column as expressions see it. It is a copy: it outlives the
// array.
func vector(name string, a arrow.Array) (*expr.Vector, error) {
	v := &expr.Vector{Kind: expr.Number, Rows: a.Len(), Nulls: make([]bool, a.Len())}
	for i := range v.Nulls {
		v.Nulls[i] = a.IsNull(i)
	}
	switch a := a.(type) {
	case *array.Int8:
		v.Ints = widened(a.Int8Values())
	case *array.Int16:
		v.Ints = widened(a.Int16Values())
	case *array.Int32:
		v.Ints = widened(a.Int32Values())
	case *array.Int64:
		v.Ints = widened(a.Int64Values())
	case *array.Uint8:
		v.Ints = widened(a.Uint8Values())
	case *array.Uint16:
		v.Ints = widened(a.Uint16Values())
	case *array.Uint32:
		v.Ints = widened(a.Uint32Values())
	case *array.Float32:
		v.Kind, v.Floats = expr.Float, make([]float64, a.Len())
		for i, f := range a.Float32Values() {
			v.Floats[i] = float64(f)
		}
	case *array.Float64:
		v.Kind, v.Floats = expr.Float, append([]float64(nil), a.Float64Values()...)
	case *array.String:
		v.Kind, v.Texts = expr.Text, texts(a.Len(), a.Value)
	case *array.LargeString:
		v.Kind, v.Texts = expr.Text, texts(a.Len(), a.Value)
	case *array.Timestamp:
		return v, stamps(v, a)
	case *array.Boolean, *array.Decimal128, *array.Date32:
		return lakeio.Vector(a), nil
	default:
		return nil, fmt.Errorf("column %s is of the Arrow type %s; expected text, a number, a truth value, a date or a timestamp", name, a.DataType())
	}
	return v, nil
}

func widened[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](in []T) []int64 {
	out := make([]int64, len(in))
	for i, n := range in {
		out[i] = int64(n)
	}
	return out
}

func texts(n int, value func(int) string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strings.ToValidUTF8(strings.Clone(value(i)), "\uFFFD")
	}
	return out
}

// stamps reads timestamps of any unit; what is finer than µs is cut off.
func stamps(v *expr.Vector, a *array.Timestamp) error {
	v.Kind, v.Ints = expr.Timestamp, make([]int64, a.Len())
	unit := a.DataType().(*arrow.TimestampType).Unit
	for i, t := range a.TimestampValues() {
		if a.IsNull(i) {
			continue
		}
		at := t.ToTime(unit)
		if y := at.Year(); y < 1 || y > 9999 {
			return fmt.Errorf("row %d: a timestamp in the year %d; expected 1 to 9999", i+1, y)
		}
		v.Ints[i] = at.UnixMicro()
	}
	return nil
}

// records hands on what a reader of records has. at are the positions in a
// record of the columns needed.
func records(ctx context.Context, columns []expr.Column, need, at []int, next func() (arrow.Record, error), do func(Chunk) error) error {
	for first := int64(1); ; {
		rec, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		begin := first
		c := Chunk{Rows: int(rec.NumRows()), Columns: make([]*expr.Vector, len(columns)), where: func(row int) int64 { return begin + int64(row) }}
		for i, column := range need {
			if c.Columns[column], err = vector(columns[column].Name, rec.Column(at[i])); err != nil {
				return err
			}
		}
		first += rec.NumRows()
		if err := do(c); err != nil {
			return err
		}
	}
}

func openArrow(in Input) (*ipc.FileReader, error) {
	r, err := ipc.NewFileReader(io.NewSectionReader(in, 0, in.Size()), ipc.WithAllocator(memory.DefaultAllocator))
	if err != nil {
		return nil, fmt.Errorf("%w; expected an Arrow IPC file", err)
	}
	return r, nil
}

func arrowColumns(_ context.Context, in Input) (columns []expr.Column, err error) {
	r, err := openArrow(in)
	if err != nil {
		return nil, err
	}
	return columnsOfSchema(r.Schema()), r.Close()
}

func readArrow(ctx context.Context, in Input, columns []expr.Column, need []int, do func(Chunk) error) (err error) {
	r, err := openArrow(in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	i := 0
	var last arrow.Record
	release := func() {
		if last != nil {
			last.Release()
			last = nil
		}
	}
	defer release()
	return records(ctx, columns, need, need, func() (arrow.Record, error) {
		release()
		if i == r.NumRecords() {
			return nil, io.EOF
		}
		i++
		last, err = r.RecordAt(i - 1)
		return last, err
	}, do)
}

func openParquet(in Input) (*pqarrow.FileReader, error) {
	r, err := file.NewParquetReader(io.NewSectionReader(in, 0, in.Size()))
	if err != nil {
		return nil, fmt.Errorf("%w; expected a Parquet file", err)
	}
	return pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: chunkRows}, memory.DefaultAllocator)
}

func parquetColumns(_ context.Context, in Input) ([]expr.Column, error) {
	r, err := openParquet(in)
	if err != nil {
		return nil, err
	}
	s, err := r.Schema()
	if err != nil {
		return nil, err
	}
	return columnsOfSchema(s), nil
}

// readParquet streams row groups.
func readParquet(ctx context.Context, in Input, columns []expr.Column, need []int, do func(Chunk) error) error {
	r, err := openParquet(in)
	if err != nil {
		return err
	}
	s, err := r.Schema()
	if err != nil {
		return err
	}
	// Leaves are counted apart from columns where one is nested: those are
	// refused, so the ones before must be counted.
	var leaves, at []int
	for i, column := range need {
		f := s.Field(column)
		if !readable(f.Type) {
			return fmt.Errorf("column %s is of the Arrow type %s; expected text, a number, a truth value, a date or a timestamp", f.Name, f.Type)
		}
		leaf := r.ParquetReader().MetaData().Schema.ColumnIndexByName(f.Name)
		if leaf < 0 {
			return fmt.Errorf("column %s can't be found in its schema", f.Name)
		}
		leaves, at = append(leaves, leaf), append(at, i)
	}
	rows, err := r.GetRecordReader(ctx, leaves, nil)
	if err != nil {
		return err
	}
	defer rows.Release()
	return records(ctx, columns, need, at, func() (arrow.Record, error) {
		if !rows.Next() {
			if err := rows.Err(); err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			return nil, io.EOF
		}
		return rows.Record(), nil
	}, do)
}
