package harrow

import "github.com/apache/arrow/go/v17/arrow"

// Batch is a run of rows of one table, at most 4,096 rows or 16 MiB. It is
// valid until the call it was handed to returns; to keep it longer, Retain it
// and Release it once.
type Batch struct{ record arrow.Record }

// NewBatch wraps an Arrow record; the batch shares its reference.
func NewBatch(r arrow.Record) Batch { return Batch{r} }

// Arrow returns the batch as what it is.
func (b Batch) Arrow() arrow.Record { return b.record }

// Rows is the number of rows; 0 for the zero Batch.
func (b Batch) Rows() int {
	if b.record == nil {
		return 0
	}
	return int(b.record.NumRows())
}

// Table is the name of the batch's table, "records/book" for example, as its
// schema's metadata has it (io/lakeio writes it); empty when that doesn't say.
func (b Batch) Table() string {
	if b.record == nil {
		return ""
	}
	meta := b.record.Schema().Metadata()
	table, _ := meta.GetValue("harrow.table")
	return table
}

// Column returns the column of that name, or nil when there is none.
func (b Batch) Column(name string) arrow.Array {
	i := b.record.Schema().FieldIndices(name)
	if len(i) == 0 {
		return nil
	}
	return b.record.Column(i[0])
}

// Retain keeps the batch alive beyond the call it was handed to.
func (b Batch) Retain() { b.record.Retain() }

// Release gives up one reference.
func (b Batch) Release() { b.record.Release() }
