package lakeio

import (
	"fmt"
	"math/big"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
)

// recordsVersion is the version of the tables records/NAME.
const recordsVersion = 1

// ArrowType maps a column's type to Arrow's.
func ArrowType(t harrow.Type) arrow.DataType {
	switch t.Kind {
	case harrow.Int:
		return arrow.PrimitiveTypes.Int64
	case harrow.Float:
		return arrow.PrimitiveTypes.Float64
	case harrow.Bool:
		return arrow.FixedWidthTypes.Boolean
	case harrow.Decimal:
		return &arrow.Decimal128Type{Precision: t.Precision, Scale: t.Scale}
	case harrow.Date:
		return arrow.FixedWidthTypes.Date32
	case harrow.Timestamp:
		return timestampType
	case harrow.TextList:
		return arrow.ListOf(arrow.BinaryTypes.String)
	default:
		return arrow.BinaryTypes.String
	}
}

// typeOf is the inverse of ArrowType.
func typeOf(t arrow.DataType) (harrow.Type, error) {
	switch t := t.(type) {
	case *arrow.StringType:
		return harrow.Type{Kind: harrow.Text}, nil
	case *arrow.Int64Type:
		return harrow.Type{Kind: harrow.Int}, nil
	case *arrow.Float64Type:
		return harrow.Type{Kind: harrow.Float}, nil
	case *arrow.BooleanType:
		return harrow.Type{Kind: harrow.Bool}, nil
	case *arrow.Decimal128Type:
		return harrow.Type{Kind: harrow.Decimal, Precision: t.Precision, Scale: t.Scale}, nil
	case *arrow.Date32Type:
		return harrow.Type{Kind: harrow.Date}, nil
	case *arrow.TimestampType:
		return harrow.Type{Kind: harrow.Timestamp}, nil
	case *arrow.ListType:
		return harrow.Type{Kind: harrow.TextList}, nil
	}
	return harrow.Type{}, fmt.Errorf("Arrow type %s has no record type", t)
}

// RecordSchema is the schema of records/NAME: the data columns, then
// [harrow.Provenance].
func RecordSchema(t harrow.RecordType) *arrow.Schema {
	var fields []arrow.Field
	for _, cols := range [][]harrow.Column{t.Columns, harrow.Provenance} {
		for _, c := range cols {
			fields = append(fields, arrow.Field{Name: c.Name, Type: ArrowType(c.Type), Nullable: true})
		}
	}
	return withMeta(fields, RecordsPrefix+t.Name, recordsVersion)
}

// RecordTypeOf reads the record type back from a schema.
func RecordTypeOf(s *arrow.Schema) (harrow.RecordType, error) {
	name, _, err := TableOf(s)
	if err != nil {
		return harrow.RecordType{}, err
	}
	t := harrow.RecordType{Name: name[min(len(name), len(RecordsPrefix)):]}
	for _, f := range s.Fields() {
		if f.Name[0] == '_' {
			continue
		}
		ct, err := typeOf(f.Type)
		if err != nil {
			return t, fmt.Errorf("column %s: %w", f.Name, err)
		}
		t.Columns = append(t.Columns, harrow.Column{Name: f.Name, Type: ct})
	}
	return t, nil
}

// Origin is the provenance of a record.
type Origin struct {
	ID        harrow.ID
	URL       string
	Ordinal   int64
	Rule      string
	Digest    string
	FetchedAt time.Time
	Run       string
}

// RecordBuilder gathers records of one type into a batch.
type RecordBuilder struct {
	rtype harrow.RecordType
	rb    *array.RecordBuilder
	rows  int
	bytes int64
}

// NewRecordBuilder returns an empty builder; Release frees it.
func NewRecordBuilder(t harrow.RecordType) *RecordBuilder {
	return &RecordBuilder{rtype: t, rb: array.NewRecordBuilder(memory.DefaultAllocator, RecordSchema(t))}
}

// Append adds a row: one value per data column in order, with the Go type
// that [harrow.Kind] names or nil for null. A value of another type is an
// error that names the column, and the row is not added.
func (b *RecordBuilder) Append(values []any, o Origin) error {
	if len(values) != len(b.rtype.Columns) {
		return fmt.Errorf("record %s: %d values for %d columns", b.rtype.Name, len(values), len(b.rtype.Columns))
	}
	for i, c := range b.rtype.Columns {
		if err := checkValue(c.Type, values[i]); err != nil {
			return fmt.Errorf("record %s: column %s: %w", b.rtype.Name, c.Name, err)
		}
	}
	for i, v := range values {
		b.bytes += appendValue(b.rb.Field(i), b.rtype.Columns[i].Type, v)
	}
	n := len(values)
	for i, v := range []any{o.ID.String(), o.URL, o.Ordinal, o.Rule, o.Digest, o.FetchedAt, o.Run} {
		b.bytes += appendValue(b.rb.Field(n+i), harrow.Provenance[i].Type, v)
	}
	b.rows++
	return nil
}

// Full reports whether the rows make a batch.
func (b *RecordBuilder) Full() bool { return b.rows >= BatchRows || b.bytes >= BatchBytes }

// Rows is the number of rows gathered.
func (b *RecordBuilder) Rows() int { return b.rows }

// Batch returns the rows and empties the builder. The caller releases it.
func (b *RecordBuilder) Batch() harrow.Batch {
	b.rows, b.bytes = 0, 0
	return harrow.NewBatch(b.rb.NewRecord())
}

// Release frees the builder.
func (b *RecordBuilder) Release() { b.rb.Release() }

func checkValue(t harrow.Type, v any) error {
	ok := false
	switch v := v.(type) {
	case nil:
		ok = true
	case string:
		ok = t.Kind == harrow.Text
	case int64:
		ok = t.Kind == harrow.Int
	case float64:
		ok = t.Kind == harrow.Float
	case bool:
		ok = t.Kind == harrow.Bool
	case []string:
		ok = t.Kind == harrow.TextList
	case time.Time:
		ok = t.Kind == harrow.Timestamp || t.Kind == harrow.Date
	case decimal.Decimal:
		if t.Kind == harrow.Decimal {
			_, err := decimal128Of(v, t)
			return err
		}
	}
	if !ok {
		return fmt.Errorf("value of Go type %T; want what a %s holds", v, t)
	}
	return nil
}

// decimal128Of scales d exactly; more digits than t has are an error.
func decimal128Of(d decimal.Decimal, t harrow.Type) (decimal128.Num, error) {
	scaled := d.Shift(t.Scale)
	if d.Exponent() < -1000 || d.Exponent() > 1000 || !scaled.IsInteger() {
		return decimal128.Num{}, fmt.Errorf("%s has more digits than %s", d, t)
	}
	n := scaled.BigInt()
	if limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Precision)), nil); n.CmpAbs(limit) >= 0 {
		return decimal128.Num{}, fmt.Errorf("%s has more digits than %s", d, t)
	}
	return decimal128.FromBigInt(n), nil
}

// appendValue appends a checked value and returns about its size.
func appendValue(b array.Builder, t harrow.Type, v any) int64 {
	switch v := v.(type) {
	case nil:
		b.AppendNull()
	case string:
		b.(*array.StringBuilder).Append(valid(v))
		return int64(len(v)) + 4
	case int64:
		b.(*array.Int64Builder).Append(v)
	case float64:
		b.(*array.Float64Builder).Append(v)
	case bool:
		b.(*array.BooleanBuilder).Append(v)
	case decimal.Decimal:
		n, _ := decimal128Of(v, t) // checked before
		b.(*array.Decimal128Builder).Append(n)
		return 16
	case time.Time:
		if t.Kind == harrow.Date {
			b.(*array.Date32Builder).Append(arrow.Date32FromTime(v))
		} else {
			b.(*array.TimestampBuilder).Append(arrow.Timestamp(v.UnixMicro()))
		}
	case []string:
		list := b.(*array.ListBuilder)
		list.Append(true)
		n := int64(4)
		for _, s := range v {
			list.ValueBuilder().(*array.StringBuilder).Append(valid(s))
			n += int64(len(s)) + 4
		}
		return n
	}
	return 8
}
