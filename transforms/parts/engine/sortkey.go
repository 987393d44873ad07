package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/cespare/xxhash/v2"

	"github.com/harrowdata/harrow"
)

// Key says how a shuffle repartitions rows.
//
// Rows that are equal in Columns meet in one shard, and a shard's rows come in
// the order of (Columns, Order), ascending, nulls first. Where rows are equal
// in these too, the rest of the row decides, column by column: the order never
// depends on how rows arrived or how often they were spilled. It costs more
// then, so Order should make a row unique within its key.
//
// A row's shard is the xxHash64 of its encoded key columns modulo Shards: the
// same on every machine and in every release of this encoding.
type Key struct {
	Columns []string `json:"columns"`          // identity; at least one; a null equals a null
	Order   []string `json:"order,omitempty"`  // within a key
	Shards  int      `json:"shards,omitempty"` // 0: Env.Shards
}

// Validate reports what of the key can't be used.
func (k Key) Validate() error {
	if len(k.Columns) == 0 {
		return fmt.Errorf("Key.Columns must name at least one column")
	}
	if k.Shards < 0 {
		return fmt.Errorf("Key.Shards must be ≥ 0; got %d", k.Shards)
	}
	return nil
}

// encodeFunc appends row i of a to dst so that bytes.Compare of two encodings
// orders as the values do, and no encoding is the beginning of another one of
// the same type: encodings can be put one after the other.
type encodeFunc func(dst []byte, a arrow.Array, i int) []byte

// keyEncoder encodes the sort key of rows of one schema.
type keyEncoder struct {
	cols   []int
	encode []encodeFunc
	keys   int // how many of cols are the key; the rest is the order
}

func newKeyEncoder(k Key, s *arrow.Schema) (e keyEncoder, err error) {
	e.keys = len(k.Columns)
	for i := range len(k.Columns) + len(k.Order) {
		name := ""
		if i < e.keys {
			name = k.Columns[i]
		} else {
			name = k.Order[i-e.keys]
		}
		at := s.FieldIndices(name)
		if len(at) != 1 {
			return e, fmt.Errorf("shuffle key: the table has %d columns called %q, want one", len(at), name)
		}
		f, err := encoderOf(s.Field(at[0]).Type)
		if err != nil {
			return e, fmt.Errorf("shuffle key: column %s: %w", name, err)
		}
		e.cols, e.encode = append(e.cols, at[0]), append(e.encode, f)
	}
	return e, nil
}

// append encodes a row's sort key; the first n bytes of what it appends are
// the key columns.
func (e *keyEncoder) append(dst []byte, rec arrow.Record, row int) (key []byte, n int) {
	from := len(dst)
	for j, c := range e.cols {
		dst = e.encode[j](dst, rec.Column(c), row)
		if j == e.keys-1 {
			n = len(dst) - from
		}
	}
	return dst, n
}

// shardOf is the shard of an encoded key.
func shardOf(key []byte, shards int) int { return int(xxhash.Sum64(key) % uint64(shards)) }

// rowComparer compares whole rows of one schema.
type rowComparer struct {
	encode []encodeFunc
	a, b   []byte
}

func newRowComparer(s *arrow.Schema) (*rowComparer, error) {
	c := &rowComparer{}
	for _, f := range s.Fields() {
		fn, err := encoderOf(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		c.encode = append(c.encode, fn)
	}
	return c, nil
}

func (c *rowComparer) compare(a harrow.Batch, i int, b harrow.Batch, j int) int {
	for k, encode := range c.encode {
		c.a = encode(c.a[:0], a.Arrow().Column(k), i)
		c.b = encode(c.b[:0], b.Arrow().Column(k), j)
		if d := bytes.Compare(c.a, c.b); d != 0 {
			return d
		}
	}
	return 0
}

const (
	isNull  = 0
	isValue = 1
)

// nullFirst marks nulls and values so that nulls come first.
func nullFirst(encode encodeFunc) encodeFunc {
	return func(dst []byte, a arrow.Array, i int) []byte {
		if a.IsNull(i) {
			return append(dst, isNull)
		}
		return encode(append(dst, isValue), a, i)
	}
}

// appendText ends the text with 00 00 and writes a 00 in it as 00 FF.
func appendText(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(append(dst, s...), 0, 0)
		}
		dst, s = append(append(dst, s[:i]...), 0, 0xFF), s[i+1:]
	}
}

// appendInt writes the sign bit flipped, big end first.
func appendInt(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63)
}

// appendFloat orders as numbers do; -0 is 0 and all NaN are one, the greatest.
func appendFloat(dst []byte, v float64) []byte {
	if v == 0 {
		v = 0 // drops the sign of -0
	}
	if math.IsNaN(v) {
		v = math.NaN()
	}
	bits := math.Float64bits(v)
	if bits>>63 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(dst, bits)
}

func encoderOf(t arrow.DataType) (encodeFunc, error) {
	switch t := t.(type) {
	case *arrow.StringType:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte { return appendText(dst, a.(*array.String).Value(i)) }), nil
	case *arrow.BinaryType:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
			return appendText(dst, a.(*array.Binary).ValueString(i))
		}), nil
	case *arrow.LargeBinaryType:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
			return appendText(dst, a.(*array.LargeBinary).ValueString(i))
		}), nil
	case *arrow.Int32Type:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
			return appendInt(dst, int64(a.(*array.Int32).Value(i)))
		}), nil
	case *arrow.Int64Type:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte { return appendInt(dst, a.(*array.Int64).Value(i)) }), nil
	case *arrow.TimestampType:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
			return appendInt(dst, int64(a.(*array.Timestamp).Value(i)))
		}), nil
	case *arrow.Date32Type:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
			return appendInt(dst, int64(a.(*array.Date32).Value(i)))
		}), nil
	case *arrow.Float64Type:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
			return appendFloat(dst, a.(*array.Float64).Value(i))
		}), nil
	case *arrow.BooleanType:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
			if a.(*array.Boolean).Value(i) {
				return append(dst, 1)
			}
			return append(dst, 0)
		}), nil
	case *arrow.Decimal128Type:
		return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
			v := a.(*array.Decimal128).Value(i)
			return binary.BigEndian.AppendUint64(appendInt(dst, v.HighBits()), v.LowBits())
		}), nil
	case *arrow.ListType:
		return listEncoder(t)
	case *arrow.StructType:
		return structEncoder(t)
	}
	return nil, fmt.Errorf("no rows are sorted by Arrow type %s", t)
}

// listEncoder writes 01 before each element and 00 at the end: a list that
// begins another comes first.
func listEncoder(t *arrow.ListType) (encodeFunc, error) {
	elem, err := encoderOf(t.Elem())
	if err != nil {
		return nil, err
	}
	return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
		list := a.(*array.List)
		from, to := list.ValueOffsets(i)
		for j := from; j < to; j++ {
			dst = elem(append(dst, 1), list.ListValues(), int(j))
		}
		return append(dst, 0)
	}), nil
}

func structEncoder(t *arrow.StructType) (encodeFunc, error) {
	fields := make([]encodeFunc, t.NumFields())
	for i := range fields {
		var err error
		if fields[i], err = encoderOf(t.Field(i).Type); err != nil {
			return nil, err
		}
	}
	return nullFirst(func(dst []byte, a arrow.Array, i int) []byte {
		for j, f := range fields {
			dst = f(dst, a.(*array.Struct).Field(j), i)
		}
		return dst
	}), nil
}
