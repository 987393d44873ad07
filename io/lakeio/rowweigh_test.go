package lakeio

import (
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
)

// weighedBatch has a row of each kind of value, one of nulls, and an empty one.
func weighedBatch() harrow.Batch {
	item := arrow.StructOf(arrow.Field{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}, arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true})
	rb := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "body", Type: arrow.BinaryTypes.LargeBinary, Nullable: true},
		{Name: "key", Type: arrow.BinaryTypes.Binary, Nullable: true}, {Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "sum", Type: &arrow.Decimal128Type{Precision: 20}, Nullable: true}, {Name: "list", Type: arrow.ListOf(item), Nullable: true}}, nil))
	defer rb.Release()
	rb.Field(0).(*array.StringBuilder).AppendValues([]string{"four", "", ""}, []bool{true, false, true})
	rb.Field(1).(*array.BinaryBuilder).AppendValues([][]byte{[]byte("sixsix"), nil, {}}, []bool{true, false, true})
	rb.Field(2).(*array.BinaryBuilder).AppendValues([][]byte{{1}, nil, {}}, []bool{true, false, true})
	rb.Field(3).(*array.BooleanBuilder).AppendValues([]bool{true, false, false}, []bool{true, false, true})
	rb.Field(4).AppendNulls(3)
	list := rb.Field(5).(*array.ListBuilder)
	of := list.ValueBuilder().(*array.StructBuilder)
	list.Append(true)
	for _, s := range []string{"ab", "cde"} {
		of.Append(true)
		of.FieldBuilder(0).(*array.StringBuilder).Append(s)
		of.FieldBuilder(1).AppendNull()
	}
	list.AppendNull()
	list.Append(true)
	return harrow.NewBatch(rb.NewRecord())
}

func TestRowsWeighTheirValues(t *testing.T) {
	b := weighedBatch()
	defer b.Release()
	w, err := NewRowWeigher(b.Arrow().Schema())
	check(t, err)
	none := 4 + 8 + 4 + 1 + 16 + 4 // offsets and values of fixed width
	want := []int{none + 4 + 6 + 1 + 2*(1+4+4) + 2 + 3, none, none}
	same := func(got []int32, want []int) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%v, want %v", got, want)
		}
		for i := range want {
			if int(got[i]) != want[i] {
				t.Errorf("row %d weighs %d, want %d", i, got[i], want[i])
			}
		}
	}
	buf := w.Rows(b, nil)
	same(buf, want)
	same(w.Rows(b, buf), want) // the weights of before don't count
	slice := harrow.NewBatch(b.Arrow().NewSlice(1, 3))
	defer slice.Release()
	same(w.Rows(slice, buf), want[1:])
	empty := harrow.NewBatch(b.Arrow().NewSlice(0, 0))
	defer empty.Release()
	same(w.Rows(empty, nil), nil)
}

func TestRowsOfReleasedBatchesAreCopied(t *testing.T) {
	b := weighedBatch()
	c, err := NewRowCopier(b.Arrow().Schema())
	check(t, err)
	defer c.Release()
	for range 2*pendingRows + 3 {
		c.Append(b, 0)
	}
	if len(c.pending) >= pendingRows || c.held >= pendingBytes {
		t.Errorf("%d rows of %d bytes wait", len(c.pending), c.held)
	}
	want := string(AppendJSON(nil, b, 0, nil))
	b.Release()
	out := c.Batch()
	defer out.Release()
	if out.Rows() != 2*pendingRows+3 {
		t.Fatalf("%d rows", out.Rows())
	}
	for i := range out.Rows() {
		if got := string(AppendJSON(nil, out, i, nil)); got != want {
			t.Fatalf("row %d: %s, want %s", i, got, want)
		}
	}
}

func TestLargeRowsAreCopiedAtOnce(t *testing.T) {
	b := Bodies.NewBuilder()
	defer b.Release()
	b.Append(harrow.Body{Body: make([]byte, pendingBytes)})
	in := b.Batch()
	defer in.Release()
	c, err := NewRowCopier(Bodies.Schema())
	check(t, err)
	defer c.Release()
	c.Append(in, 0)
	if len(c.pending) > 0 || c.Bytes() < pendingBytes {
		t.Errorf("%d rows wait; %d bytes", len(c.pending), c.Bytes())
	}
}
