package pgio

import (
	"bytes"
	"encoding/binary"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
)

// keyOrder watches whether each row's key is greater than the one before: then
// no key comes twice, and nobody has to look for it. It knows an order of
// texts, ints, dates and timestamps, the one that a shuffle delivers.
type keyOrder struct {
	last, key []byte
	broken    bool
	any       bool
}

func newKeyOrder(key []harrow.Column) keyOrder {
	o := keyOrder{}
	for _, c := range key {
		switch c.Type.Kind {
		case harrow.Text, harrow.Int, harrow.Date, harrow.Timestamp:
			o.broken = o.broken || c.Type.List
		default:
			o.broken = true
		}
	}
	return o
}

func (o *keyOrder) ascending() bool { return !o.broken }

// see takes the next row's key, which holds no null and no NUL.
func (o *keyOrder) see(key []arrow.Array, row int) {
	if o.broken {
		return
	}
	o.key = o.key[:0]
	for _, a := range key {
		switch a := a.(type) {
		case *array.String:
			o.key = append(append(o.key, a.Value(row)...), 0)
		case *array.Int64:
			o.key = binary.BigEndian.AppendUint64(o.key, uint64(a.Value(row))^1<<63)
		case *array.Timestamp:
			o.key = binary.BigEndian.AppendUint64(o.key, uint64(a.Value(row))^1<<63)
		case *array.Date32:
			o.key = binary.BigEndian.AppendUint32(o.key, uint32(a.Value(row))^1<<31)
		}
	}
	o.broken = o.any && bytes.Compare(o.last, o.key) >= 0
	o.any = true
	o.last, o.key = o.key, o.last
}
