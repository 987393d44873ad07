package sqlio

import (
	"cmp"
	"database/sql/driver"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// valueFunc returns value i, which is not null, as the driver takes it.
type valueFunc func(a arrow.Array, i int) driver.Value

func valueOf(t harrow.Type) valueFunc {
	if t.List {
		return func(a arrow.Array, i int) driver.Value {
			return clean(string(lakeio.AppendJSONValue(nil, a, i)))
		}
	}
	switch t.Kind {
	case harrow.Int:
		return func(a arrow.Array, i int) driver.Value { return a.(*array.Int64).Value(i) }
	case harrow.Float:
		return func(a arrow.Array, i int) driver.Value {
			if v := a.(*array.Float64).Value(i); !math.IsNaN(v) {
				return v
			}
			return nil
		}
	case harrow.Bool:
		return func(a arrow.Array, i int) driver.Value { return a.(*array.Boolean).Value(i) }
	case harrow.Decimal:
		return func(a arrow.Array, i int) driver.Value {
			return lakeio.DecimalText(a.(*array.Decimal128).Value(i), t.Scale)
		}
	case harrow.Date:
		return func(a arrow.Array, i int) driver.Value {
			return time.Unix(int64(a.(*array.Date32).Value(i))*24*60*60, 0).UTC().Format(lakeio.DateLayout)
		}
	case harrow.Timestamp:
		return func(a arrow.Array, i int) driver.Value {
			return time.UnixMicro(int64(a.(*array.Timestamp).Value(i))).UTC().Format(lakeio.TimestampLayout)
		}
	}
	return func(a arrow.Array, i int) driver.Value { return clean(a.(*array.String).Value(i)) }
}

// clean replaces what other programs stumble over in a text.
func clean(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

// compare orders a new value of a column and the stored one, null first. A
// stored value that somebody else put there in another type is neither older
// nor newer.
func compare(k harrow.Kind, a, b driver.Value) int {
	if a == nil || b == nil {
		return cmp.Compare(truth(a != nil), truth(b != nil))
	}
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b)
		}
	case bool: // stored as 0 or 1
		if b, ok := b.(int64); ok {
			return cmp.Compare(int64(truth(a)), b)
		}
	case string:
		b, ok := b.(string)
		if !ok {
			return 0
		}
		if k != harrow.Decimal {
			return strings.Compare(a, b)
		}
		x, err1 := decimal.NewFromString(a)
		y, err2 := decimal.NewFromString(b)
		if err1 == nil && err2 == nil {
			return x.Cmp(y)
		}
	}
	return 0
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
