package pgio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"

	"github.com/harrowdata/harrow"
)

// appendFunc appends value i, which is not null, in the binary form of COPY,
// its length first. An error says why PostgreSQL has no such value.
type appendFunc func(dst []byte, a arrow.Array, i int) ([]byte, error)

// What PostgreSQL counts days and microseconds from, against 1970; and what it
// can hold (src/include/datatype/timestamp.h).
const (
	epochDays   = 10957
	epochMicros = epochDays * 24 * 60 * 60 * 1_000_000
	minDate     = -2451545 // 4713-11-24 BC
	endDate     = 2145031949
	minMicros   = -211813488000000000
	endMicros   = 9223371331200000000
)

var (
	errUTF8  = errors.New("the text is no UTF-8 (SQLSTATE 22021)")
	errNUL   = errors.New("PostgreSQL has no NUL in texts (SQLSTATE 22021)")
	errRange = errors.New("out of PostgreSQL's range (SQLSTATE 22008)")
)

// oids of the element types of arrays.
var oids = map[harrow.Kind]uint32{
	harrow.Text: 25, harrow.Int: 20, harrow.Float: 701, harrow.Bool: 16, harrow.Decimal: 1700, harrow.Date: 1082, harrow.Timestamp: 1184,
}

func appenderOf(t harrow.Type) appendFunc {
	if t.List {
		return listAppender(t)
	}
	switch t.Kind {
	case harrow.Int:
		return func(dst []byte, a arrow.Array, i int) ([]byte, error) {
			return append64(dst, uint64(a.(*array.Int64).Value(i))), nil
		}
	case harrow.Float:
		return func(dst []byte, a arrow.Array, i int) ([]byte, error) {
			return append64(dst, math.Float64bits(a.(*array.Float64).Value(i))), nil
		}
	case harrow.Bool:
		return appendBool
	case harrow.Decimal:
		return func(dst []byte, a arrow.Array, i int) ([]byte, error) {
			n := a.(*array.Decimal128).Value(i)
			if !n.FitsInPrecision(t.Precision) {
				return dst, fmt.Errorf("more than %d digits: numeric field overflow (SQLSTATE 22003)", t.Precision)
			}
			return appendNumeric(dst, n, int(t.Scale)), nil
		}
	case harrow.Date:
		return appendDate
	case harrow.Timestamp:
		return appendTimestamp
	}
	return appendText
}

func append64(dst []byte, v uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(dst, 8), v)
}

func appendBool(dst []byte, a arrow.Array, i int) ([]byte, error) {
	if a.(*array.Boolean).Value(i) {
		return append(dst, 0, 0, 0, 1, 1), nil
	}
	return append(dst, 0, 0, 0, 1, 0), nil
}

func appendDate(dst []byte, a arrow.Array, i int) ([]byte, error) {
	v := int64(a.(*array.Date32).Value(i)) - epochDays
	if v < minDate || v >= endDate {
		return dst, errRange
	}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, 4), uint32(int32(v))), nil
}

func appendTimestamp(dst []byte, a arrow.Array, i int) ([]byte, error) {
	v := int64(a.(*array.Timestamp).Value(i))
	if v < minMicros+epochMicros { // the other end lies beyond what 64 bits hold, once it is shifted
		return dst, errRange
	}
	if v -= epochMicros; v >= endMicros {
		return dst, errRange
	}
	return append64(dst, uint64(v)), nil
}

func appendText(dst []byte, a arrow.Array, i int) ([]byte, error) {
	s := a.(*array.String).Value(i)
	if !utf8.ValidString(s) {
		return dst, errUTF8
	}
	if strings.IndexByte(s, 0) >= 0 {
		return dst, errNUL
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...), nil
}

// listAppender writes arrays of one dimension, from 1 (array_send).
func listAppender(t harrow.Type) appendFunc {
	element := appenderOf(t.Element())
	oid := oids[t.Kind]
	return func(dst []byte, a arrow.Array, i int) (_ []byte, err error) {
		list := a.(*array.List)
		from, to := list.ValueOffsets(i)
		values := list.ListValues()
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		if from == to {
			dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
			dst = binary.BigEndian.AppendUint32(dst, oid)
		} else {
			dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1) // one dimension; may hold nulls
			dst = binary.BigEndian.AppendUint32(dst, oid)
			dst = binary.BigEndian.AppendUint32(dst, uint32(to-from))
			dst = append(dst, 0, 0, 0, 1)
		}
		for j := from; j < to; j++ {
			if values.IsNull(int(j)) {
				dst = append(dst, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			if dst, err = element(dst, values, int(j)); err != nil {
				return dst, fmt.Errorf("element %d: %w", j-from, err)
			}
		}
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
		return dst, nil
	}
}

// appendNumeric writes a decimal in digits of base 10,000 (numeric_send): how
// many, the weight of the first, the sign, how many decimals are shown.
func appendNumeric(dst []byte, n decimal128.Num, scale int) []byte {
	sign := uint16(0)
	if n.Sign() < 0 {
		sign, n = 0x4000, n.Negate()
	}
	var digits [12]uint16 // least first; 10^38 times up to 10^3
	count := 0
	// The number is made whole in base 10,000 after the point.
	hi, lo := uint64(n.HighBits()), n.LowBits()
	fraction := (scale + 3) / 4
	pad := fraction*4 - scale
	// The lowest digit has 4-pad decimals.
	if pad > 0 {
		power := [...]uint64{1, 10, 100, 1000}[4-pad]
		var d uint64
		hi, lo, d = divide(hi, lo, power)
		digits[0] = uint16(d * [...]uint64{1, 10, 100, 1000}[pad])
		count = 1
	}
	for hi|lo != 0 {
		var d uint64
		hi, lo, d = divide(hi, lo, 10_000)
		digits[count] = uint16(d)
		count++
	}
	first := 0 // digits that are zero at the end aren't sent
	for first < count && digits[first] == 0 {
		first++
	}
	for count > first && digits[count-1] == 0 {
		count--
	}
	weight := count - 1 - fraction
	if first == count {
		weight, sign = 0, 0
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(8+2*(count-first)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(count-first))
	dst = binary.BigEndian.AppendUint16(dst, uint16(int16(weight)))
	dst = binary.BigEndian.AppendUint16(dst, sign)
	dst = binary.BigEndian.AppendUint16(dst, uint16(scale))
	for i := count - 1; i >= first; i-- {
		dst = binary.BigEndian.AppendUint16(dst, digits[i])
	}
	return dst
}

func divide(hi, lo, by uint64) (qhi, qlo, rest uint64) {
	qhi, rest = hi/by, hi%by
	qlo, rest = bits.Div64(rest, lo, by)
	return qhi, qlo, rest
}
