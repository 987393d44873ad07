package lakeio

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
)

// gatherer gathers rows in arrow's builders until they make a batch.
type gatherer struct {
	rb    *array.RecordBuilder
	rows  int
	bytes int64
	last  []extent // of the columns of the batch before
}

func newGatherer(s *arrow.Schema) gatherer {
	return gatherer{rb: array.NewRecordBuilder(memory.DefaultAllocator, s)}
}

// begin makes ready for a row. The builders of a new batch get as much room as
// the one before took: growing from nothing copies every byte several times.
func (g *gatherer) begin() {
	if g.rows == 0 {
		for i, e := range g.last {
			e.reserve(g.rb.Field(i))
		}
	}
	g.rows++
}

// Rows is the number of rows gathered.
func (g *gatherer) Rows() int { return g.rows }

// Bytes is about how much memory the rows take.
func (g *gatherer) Bytes() int64 { return g.bytes }

// Full reports whether the rows make a batch.
func (g *gatherer) Full() bool { return g.rows >= BatchRows || g.bytes >= BatchBytes }

// Batch returns the rows and begins anew. The caller releases it.
func (g *gatherer) Batch() harrow.Batch {
	rec := g.rb.NewRecord()
	if g.rows > 0 {
		g.last = g.last[:0]
		for _, c := range rec.Columns() {
			g.last = append(g.last, extentOf(c))
		}
	}
	g.rows, g.bytes = 0, 0
	return harrow.NewBatch(rec)
}

// Release frees the builders.
func (g *gatherer) Release() { g.rb.Release() }

// extent is how much a column holds.
type extent struct {
	rows  int
	data  int      // bytes of text or binary
	below []extent // of a list's values, a struct's fields
}

func extentOf(a arrow.Array) extent {
	e := extent{rows: a.Len()}
	switch a := a.(type) {
	case *array.String:
		e.data = len(a.ValueBytes())
	case *array.Binary:
		e.data = len(a.ValueBytes())
	case *array.LargeBinary:
		e.data = len(a.ValueBytes())
	case *array.List:
		e.below = []extent{extentOf(a.ListValues())}
	case *array.Struct:
		for i := range a.NumField() {
			e.below = append(e.below, extentOf(a.Field(i)))
		}
	}
	return e
}

// reserveMost bounds the room for a column's text or binary: what is reserved
// is memory that no share accounts for, and the last doublings are few.
const reserveMost = 1 << 20

// reserve makes room for as much and an eighth more, since batches differ.
func (e extent) reserve(b array.Builder) {
	b.Reserve(e.rows)
	data := min(e.data+e.data/8, reserveMost)
	switch b := b.(type) {
	case *array.StringBuilder:
		b.ReserveData(data)
	case *array.BinaryBuilder:
		b.ReserveData(data)
	case *array.ListBuilder:
		e.below[0].reserve(b.ValueBuilder())
	case *array.StructBuilder:
		for i, f := range e.below {
			f.reserve(b.FieldBuilder(i))
		}
	}
}
