package lakeio

import (
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/harrowdata/harrow"
)

// recordsVersion is the version of the tables records/NAME.
const recordsVersion = 1

// ArrowType maps a column's type to Arrow's.
func ArrowType(t harrow.Type) arrow.DataType {
	if t.List {
		return arrow.ListOf(ArrowType(t.Element()))
	}
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
	default:
		return arrow.BinaryTypes.String
	}
}

// TypeOf is the inverse of [ArrowType]; an Arrow type that no column has is an
// error.
func TypeOf(t arrow.DataType) (harrow.Type, error) {
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
		if of, err := TypeOf(t.Elem()); err == nil && !of.List {
			of.List = true
			return of, nil
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
		ct, err := TypeOf(f.Type)
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
// that [harrow.Type] names or nil for null. A value of another type is an
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
