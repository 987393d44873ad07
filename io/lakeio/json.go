package lakeio

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"

	"github.com/harrowdata/harrow"
)

// Layouts of times as text, in JSON and in sinks without types for them.
const (
	TimestampLayout = "2006-01-02T15:04:05.000000Z" // RFC 3339, UTC, µs
	DateLayout      = "2006-01-02"
)

// AppendJSON appends one row as a JSON object and returns the extended slice.
// Columns name the keys in their order; nil is all of the batch's. A column
// that the batch doesn't have is null.
//
// Null is null and never left out, and so is a float that is no number or
// infinite; bytes are base64; decimals are strings (see [DecimalText]);
// timestamps and dates are strings (see [TimestampLayout], [DateLayout]);
// headers are a list of [name, value] in order; lists are arrays. What is no
// UTF-8 becomes U+FFFD, so the object is valid JSON for any bytes.
func AppendJSON(dst []byte, b harrow.Batch, row int, columns []string) []byte {
	dst = append(dst, '{')
	if columns == nil && b.Arrow() != nil {
		for i, f := range b.Arrow().Schema().Fields() {
			dst = appendMember(dst, i, f.Name, b.Arrow().Column(i), row)
		}
	}
	for i, name := range columns {
		dst = appendMember(dst, i, name, b.Column(name), row)
	}
	return append(dst, '}')
}

func appendMember(dst []byte, i int, name string, a arrow.Array, row int) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return AppendJSONValue(append(appendJSONString(dst, name), ':'), a, row)
}

// AppendJSONValue appends value i of a column in the form that [AppendJSON]
// describes; a nil column is all null.
func AppendJSONValue(dst []byte, a arrow.Array, i int) []byte {
	if a == nil || a.IsNull(i) {
		return append(dst, "null"...)
	}
	switch a := a.(type) {
	case *array.String:
		return appendJSONString(dst, a.Value(i))
	case *array.Int32:
		return strconv.AppendInt(dst, int64(a.Value(i)), 10)
	case *array.Int64:
		return strconv.AppendInt(dst, a.Value(i), 10)
	case *array.Float64:
		return appendJSONFloat(dst, a.Value(i))
	case *array.Boolean:
		return strconv.AppendBool(dst, a.Value(i))
	case *array.Decimal128:
		dst = appendDecimal(append(dst, '"'), a.Value(i), a.DataType().(*arrow.Decimal128Type).Scale)
		return append(dst, '"')
	case *array.Timestamp:
		at := a.Value(i).ToTime(a.DataType().(*arrow.TimestampType).Unit)
		return append(at.UTC().AppendFormat(append(dst, '"'), TimestampLayout), '"')
	case *array.Date32:
		return append(dateOf(a.Value(i)).AppendFormat(append(dst, '"'), DateLayout), '"')
	case *array.LargeBinary:
		return appendJSONBytes(dst, a.Value(i))
	case *array.Binary:
		return appendJSONBytes(dst, a.Value(i))
	case *array.List:
		return appendJSONList(dst, a, i)
	case *array.Struct:
		return appendJSONStruct(dst, a, i)
	}
	return appendJSONString(dst, a.ValueStr(i))
}

func appendJSONList(dst []byte, a *array.List, i int) []byte {
	dst = append(dst, '[')
	from, to := a.ValueOffsets(i)
	for j := from; j < to; j++ {
		if j > from {
			dst = append(dst, ',')
		}
		dst = AppendJSONValue(dst, a.ListValues(), int(j))
	}
	return append(dst, ']')
}

// appendJSONStruct writes the values without their names: the only struct in a
// table of ours is a header.
func appendJSONStruct(dst []byte, a *array.Struct, i int) []byte {
	dst = append(dst, '[')
	for j := range a.NumField() {
		if j > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSONValue(dst, a.Field(j), i)
	}
	return append(dst, ']')
}

func appendJSONBytes(dst, v []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"')
}

// appendJSONFloat writes a float like ECMAScript: plain between 1e-6 and 1e21.
func appendJSONFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

func appendJSONString(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0 // s[:done] is written
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[done:i]...)
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case utf8.RuneError:
			dst = append(dst, "\uFFFD"...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i += size
		done = i
	}
	return append(append(dst, s[done:]...), '"')
}

// dateOf is midnight UTC of a day; time.Unix, unlike arrow, takes any day.
func dateOf(d arrow.Date32) time.Time { return time.Unix(int64(d)*24*60*60, 0).UTC() }

// DecimalText is the one text form of a decimal, in JSON and in sinks without
// a decimal type: plain notation without exponent, no zeros at the end of the
// fraction, no point without a fraction, "0" for any zero. Equal numbers have
// equal texts, whatever their scale.
func DecimalText(n decimal128.Num, scale int32) string {
	return string(appendDecimal(make([]byte, 0, 42), n, scale))
}

func appendDecimal(dst []byte, n decimal128.Num, scale int32) []byte {
	var room [48]byte
	var digits []byte
	if v := int64(n.LowBits()); n.HighBits() == v>>63 { // it fits 64 bits
		digits = strconv.AppendInt(room[:0], v, 10)
	} else {
		digits = n.BigInt().Append(room[:0], 10)
	}
	if digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	if digits[0] == '0' {
		return append(dst, '0')
	}
	for ; scale > 0 && digits[len(digits)-1] == '0'; scale-- {
		digits = digits[:len(digits)-1]
	}
	if scale <= 0 {
		return append(append(dst, digits...), strings.Repeat("0", int(-scale))...)
	}
	point := len(digits) - int(scale)
	if point <= 0 {
		dst = append(append(dst, "0."...), strings.Repeat("0", -point)...)
		return append(dst, digits...)
	}
	return append(append(append(dst, digits[:point]...), '.'), digits[point:]...)
}

// RowReject begins the reject of a row of records/NAME: its request, URL and
// record, and the row itself as payload. The caller adds class, code, reason,
// field and value.
func RowReject(b harrow.Batch, row int, record string) harrow.Reject {
	r := harrow.Reject{Record: record, Payload: string(AppendJSON(nil, b, row, nil))}
	if a, ok := b.Column("_id").(*array.String); ok && a.IsValid(row) {
		_ = r.ID.UnmarshalText([]byte(a.Value(row))) // an id that is none stays zero; the payload has it
	}
	if a, ok := b.Column("_url").(*array.String); ok && a.IsValid(row) {
		r.URL = strings.Clone(a.Value(row))
	}
	return r
}
