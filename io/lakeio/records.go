package lakeio

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
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
		if t.Elem().ID() == arrow.STRING {
			return harrow.Type{Kind: harrow.TextList}, nil
		}
	}
	return harrow.Type{}, fmt.Errorf("no record has a column of Arrow type %s", t)
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

// RecordTypeOf reads the record type back from the schema of a table
// records/NAME.
func RecordTypeOf(s *arrow.Schema) (harrow.RecordType, error) {
	name, _, err := TableOf(s)
	if err != nil {
		return harrow.RecordType{}, err
	}
	record, ok := strings.CutPrefix(name, RecordsPrefix)
	if !ok {
		return harrow.RecordType{}, fmt.Errorf("table %s holds no records", name)
	}
	t := harrow.RecordType{Name: record}
	for _, f := range s.Fields() {
		if strings.HasPrefix(f.Name, "_") {
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
	gatherer
	rtype harrow.RecordType
}

// NewRecordBuilder returns an empty builder; Release frees it.
func NewRecordBuilder(t harrow.RecordType) *RecordBuilder {
	return &RecordBuilder{gatherer: newGatherer(RecordSchema(t)), rtype: t}
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
	b.begin()
	for i, v := range values {
		b.bytes += appendValue(b.rb.Field(i), b.rtype.Columns[i].Type, v)
	}
	n := len(values)
	for i, v := range []any{o.ID.String(), o.URL, o.Ordinal, o.Rule, o.Digest, o.FetchedAt, o.Run} {
		b.bytes += appendValue(b.rb.Field(n+i), harrow.Provenance[i].Type, v)
	}
	return nil
}

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
		if y := v.UTC().Year(); ok && (y < 1 || y > 9999) {
			return fmt.Errorf("year %d; want 1 to 9999", y)
		}
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
	if d.Exponent() < -1000 || d.Exponent() > 1000 || d.NumDigits() > 1000 { // would be written out below
		return decimal128.Num{}, fmt.Errorf("a number of %d digits and exponent %d has more digits than %s", d.NumDigits(), d.Exponent(), t)
	}
	scaled := d.Shift(t.Scale)
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Precision)), nil)
	if n := scaled.BigInt(); scaled.IsInteger() && n.CmpAbs(limit) < 0 {
		return decimal128.FromBigInt(n), nil
	}
	return decimal128.Num{}, fmt.Errorf("%s has more digits than %s", d, t)
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
