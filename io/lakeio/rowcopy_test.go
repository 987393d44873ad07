package lakeio

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

func TestRowsAreCopiedInAnyOrder(t *testing.T) {
	rb := NewRecordBuilder(everyKind)
	defer rb.Release()
	c, err := NewRowCopier(RecordSchema(everyKind))
	check(t, err)
	defer c.Release()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "rows")
		for i := range n {
			if err := rb.Append(anyValues(t), Origin{Ordinal: int64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		in := rb.Batch()
		defer in.Release()
		sameCopies(t, c, in, rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 10).Draw(t, "picks"))
	})
}

// fails is what sameCopies needs of a test.
type fails interface{ Fatalf(string, ...any) }

// sameCopies copies rows and compares them, and what they weigh.
func sameCopies(t fails, c *RowCopier, in harrow.Batch, picks []int) {
	for _, i := range picks {
		c.Append(in, i)
	}
	if c.Rows() != len(picks) || (c.Bytes() > 0) != (len(picks) > 0) {
		t.Fatalf("%d rows, %d bytes of %d picks", c.Rows(), c.Bytes(), len(picks))
	}
	bytes := c.Bytes()
	out := c.Batch()
	defer out.Release()
	if out.Rows() != len(picks) || !out.Arrow().Schema().Equal(in.Arrow().Schema()) {
		t.Fatalf("%d rows of %s", out.Rows(), out.Arrow().Schema())
	}
	for to, from := range picks {
		if got, want := string(AppendJSON(nil, out, to, nil)), string(AppendJSON(nil, in, from, nil)); got != want {
			t.Fatalf("row %d: %s, want %s", to, got, want)
		}
	}
	// Bitmaps, the offset that ends a column and rounding to 64 bytes are left
	// out; the rest is what it says.
	if size := BatchSize(out); len(picks) > 0 && (bytes > size || size > bytes+int64(len(out.Arrow().Columns()))*300+int64(len(picks))*20) {
		t.Fatalf("%d bytes, says the copier, the batch has %d", bytes, size)
	}
}

func TestEveryTypeOfATableCanBeCopied(t *testing.T) {
	for _, s := range []*arrow.Schema{Requests.Schema(), Captures.Schema(), Bodies.Schema(), Exchanges.Schema(), Links.Schema(), Rejects.Schema(), partsList.Schema()} {
		c, err := NewRowCopier(s)
		check(t, err)
		c.Release()
	}
	b := Captures.NewBuilder()
	defer b.Release()
	b.Append(harrow.Capture{})
	b.Append(harrow.Capture{ID: harrow.ID{1}, URL: "u", Status: 200, Truncated: true, StartedAt: time.Unix(1, 0), BodyRow: 3, Headers: []harrow.Header{{Name: "a", Value: "b"}, {}}})
	in := b.Batch()
	defer in.Release()
	c, err := NewRowCopier(Captures.Schema())
	check(t, err)
	defer c.Release()
	for range 3 { // with room from the batch before
		sameCopies(t, c, in, []int{1, 0, 1, 1})
	}
	bodies := Bodies.NewBuilder()
	defer bodies.Release()
	bodies.Append(harrow.Body{Body: []byte("body")})
	bodies.Append(harrow.Body{})
	pages := bodies.Batch()
	defer pages.Release()
	cb, err := NewRowCopier(Bodies.Schema())
	check(t, err)
	defer cb.Release()
	sameCopies(t, cb, pages, []int{1, 0})
}

// Binary is the type of sort keys; a null struct has values below it.
func TestColumnsOfShufflesAreCopied(t *testing.T) {
	s := arrow.NewSchema([]arrow.Field{{Name: "key", Type: arrow.BinaryTypes.Binary, Nullable: true}, {Name: "pair", Type: headerType, Nullable: true}}, nil)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer rb.Release()
	keys, pairs := rb.Field(0).(*array.BinaryBuilder), rb.Field(1).(*array.StructBuilder)
	keys.Append([]byte{0, 255})
	keys.AppendNull()
	pairs.Append(true)
	pairs.FieldBuilder(0).(*array.StringBuilder).Append("n")
	pairs.FieldBuilder(1).(*array.StringBuilder).Append("v")
	pairs.AppendNull()
	in := harrow.NewBatch(rb.NewRecord())
	defer in.Release()
	c, err := NewRowCopier(s)
	check(t, err)
	defer c.Release()
	sameCopies(t, c, in, []int{1, 0, 1})
}

func TestTypesOfNoTableAreNotCopied(t *testing.T) {
	for _, typ := range []arrow.DataType{arrow.PrimitiveTypes.Uint8, arrow.ListOf(arrow.PrimitiveTypes.Uint8), arrow.StructOf(arrow.Field{Name: "x", Type: arrow.Null})} {
		_, err := NewRowCopier(arrow.NewSchema([]arrow.Field{{Name: "odd", Type: typ}}, nil))
		wants(t, err, nil, "column odd", "no table has")
	}
}

func TestNullsAreCounted(t *testing.T) {
	b := Captures.NewBuilder()
	defer b.Release()
	b.Append(harrow.Capture{})
	in := b.Batch()
	defer in.Release()
	c, err := NewRowCopier(Captures.Schema())
	check(t, err)
	defer c.Release()
	for range 1000 {
		c.Append(in, 0)
	}
	said := c.Bytes()
	out := c.Batch()
	defer out.Release()
	if size := BatchSize(out); said < size*9/10 {
		t.Errorf("1000 rows of nulls take %d bytes, the copier says %d", size, said)
	}
}

func TestBatchSizeCountsWhatIsBelow(t *testing.T) {
	if BatchSize(harrow.Batch{}) != 0 {
		t.Error("the zero batch has a size")
	}
	b := Requests.NewBuilder()
	defer b.Release()
	long := strings.Repeat("x", 1000+rand.IntN(1000))
	b.Append(harrow.Request{Headers: []harrow.Header{{Name: long, Value: long}}, Body: []byte(long)})
	batch := b.Batch()
	defer batch.Release()
	if got, least := BatchSize(batch), int64(3*len(long)); got < least || got > least+8192 {
		t.Errorf("%d, want a little more than %d", got, least)
	}
}
