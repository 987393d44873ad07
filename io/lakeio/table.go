package lakeio

import (
	"fmt"
	"iter"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/harrowdata/harrow"
)

// Bounds of what is written: a batch is at most BatchRows rows or about
// BatchBytes, a part about PartBytes, all before compression.
const (
	BatchRows  = 4096
	BatchBytes = 16 << 20
	PartBytes  = 128 << 20
	// ChunkBytes is the most one row of the bodies table holds.
	ChunkBytes = 4 << 20
)

// Metadata keys of every schema.
const (
	metaTable   = "harrow.table"
	metaVersion = "harrow.version"
)

// Table ties a table's schema to its Go type R.
type Table[R any] struct {
	name    string
	version int
	columns []column[R]
	schema  *arrow.Schema
}

func newTable[R any](name string, version int, columns ...column[R]) *Table[R] {
	t := &Table[R]{name: name, version: version, columns: columns}
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = c.field
	}
	t.schema = withMeta(fields, name, version)
	return t
}

func withMeta(fields []arrow.Field, table string, version int) *arrow.Schema {
	meta := arrow.NewMetadata([]string{metaTable, metaVersion}, []string{table, strconv.Itoa(version)})
	return arrow.NewSchema(fields, &meta)
}

// Name is the table's name, as in Part.Table.
func (t *Table[R]) Name() string { return t.name }

// Schema is the table's Arrow schema with its name and version.
func (t *Table[R]) Schema() *arrow.Schema { return t.schema }

// Rows decodes a batch row by row. Byte slices in a row point into the batch.
func (t *Table[R]) Rows(b harrow.Batch) iter.Seq2[int, R] {
	cols := make([]arrow.Array, len(t.columns))
	for i, c := range t.columns {
		cols[i] = b.Column(c.field.Name)
	}
	return func(yield func(int, R) bool) {
		for i := range b.Rows() {
			var r R
			for j, c := range t.columns {
				if cols[j] != nil && !cols[j].IsNull(i) {
					c.get(cols[j], i, &r)
				}
			}
			if !yield(i, r) {
				return
			}
		}
	}
}

// Builder gathers rows of a table into a batch.
type Builder[R any] struct {
	gatherer
	table *Table[R]
}

// NewBuilder returns an empty builder; Release frees it.
func (t *Table[R]) NewBuilder() *Builder[R] {
	return &Builder[R]{gatherer: newGatherer(t.schema), table: t}
}

// Append adds one row, copying its bytes.
func (b *Builder[R]) Append(r R) {
	b.begin()
	for i := range b.table.columns {
		b.bytes += int64(b.table.columns[i].put(b.rb.Field(i), &r))
	}
}

// RecordsPrefix begins the name of every table of records.
const RecordsPrefix = "records/"

// TableOf returns name and version from a schema's metadata.
func TableOf(s *arrow.Schema) (name string, version int, err error) {
	name, ok := s.Metadata().GetValue(metaTable)
	if !ok {
		return "", 0, fmt.Errorf("its schema has no %s: not a part of Harrow's", metaTable)
	}
	v, _ := s.Metadata().GetValue(metaVersion)
	if version, err = strconv.Atoi(v); err != nil {
		return "", 0, fmt.Errorf("%s %q of table %s: want a number", metaVersion, v, name)
	}
	known := knownVersion(name)
	if known == 0 {
		return "", 0, fmt.Errorf("table %q is not known to this release", name)
	}
	if version < 1 || version > known {
		return "", 0, fmt.Errorf("table %s has version %d, this release reads 1 to %d", name, version, known)
	}
	return name, version, nil
}
