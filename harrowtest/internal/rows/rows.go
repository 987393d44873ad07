// Package rows is what the conformance suites share: rows as a test writes
// them, made into batches whose misuse shows.
package rows

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// At is when rows were fetched, unless they say otherwise.
var At = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// Row is one row of a record.
type Row struct {
	Values    map[string]any // as in a harrow.Record
	FetchedAt time.Time      // zero: At
}

// Of makes rows of values.
func Of(values ...map[string]any) []Row {
	list := make([]Row, len(values))
	for i, v := range values {
		list[i].Values = v
	}
	return list
}

// Batches yields rows in batches of the given sizes; what is left is one
// more. A batch is overwritten when it has no more references, so who kept
// one reads nonsense; memory counts what nobody gave back.
func Batches(tb testing.TB, memory *Memory, t harrow.RecordType, run string, rows []Row, sizes ...int) func() iter.Seq2[harrow.Batch, error] {
	return func() iter.Seq2[harrow.Batch, error] {
		return func(yield func(harrow.Batch, error) bool) {
			rest, ordinal := rows, 0
			for i := 0; len(rest) > 0; i++ {
				n := len(rest)
				if i < len(sizes) {
					n = min(n, sizes[i])
				}
				b := batch(tb, memory, t, run, rest[:n], ordinal)
				more := yield(b, nil)
				b.Release()
				if !more {
					return
				}
				rest, ordinal = rest[n:], ordinal+n
			}
		}
	}
}

// ID is the request id of the row at a position.
func ID(i int) harrow.ID { return harrow.ID{0xa0, byte(i >> 16), byte(i >> 8), byte(i)} }

func batch(tb testing.TB, memory *Memory, t harrow.RecordType, run string, rows []Row, first int) harrow.Batch {
	tb.Helper()
	rb := lakeio.NewRecordBuilder(t)
	defer rb.Release()
	for i, r := range rows {
		at := r.FetchedAt
		if at.IsZero() {
			at = At
		}
		values := make([]any, len(t.Columns))
		for j, c := range t.Columns {
			values[j] = r.Values[c.Name]
		}
		o := lakeio.Origin{ID: ID(first + i), URL: fmt.Sprintf("http://shop.example/%d", first+i), Ordinal: 0, Rule: "suite", Digest: "d", FetchedAt: at, Run: run}
		if err := rb.Append(values, o); err != nil {
			tb.Fatalf("row %d of the test: %v", first+i, err)
		}
	}
	plain := rb.Batch()
	defer plain.Release()
	b, err := memory.take(plain)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Text is a value in the form of `harrow cat`'s JSON, whether it comes as the
// Go type that harrow.Kind names or as that form already.
func Text(t harrow.Type, v any) string {
	data, err := json.Marshal(form(t, v))
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(data)
}

func form(t harrow.Type, v any) any {
	switch v := v.(type) {
	case decimal.Decimal:
		return plain(v)
	case time.Time:
		if t.Kind == harrow.Date {
			return v.UTC().Format(lakeio.DateLayout)
		}
		return v.UTC().Format(lakeio.TimestampLayout)
	case float64:
		return v + 0 // no -0
	case []string:
		return forms(t, v)
	case []int64:
		return forms(t, v)
	case []float64:
		return forms(t, v)
	case []bool:
		return forms(t, v)
	case []decimal.Decimal:
		return forms(t, v)
	case []time.Time:
		return forms(t, v)
	case []any:
		return forms(t, v)
	case string:
		return fromText(t, v)
	case json.Number:
		return fromText(t, v.String())
	}
	return v
}

func forms[T any](t harrow.Type, list []T) []any {
	out := []any{}
	for _, v := range list {
		out = append(out, form(t.Element(), v))
	}
	return out
}

// fromText takes a value that comes as text: a list in JSON, a number.
func fromText(t harrow.Type, text string) any {
	switch {
	case t.List:
		var list []any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if d.Decode(&list) == nil {
			return forms(t, list)
		}
	case t.Kind == harrow.Decimal:
		if d, err := decimal.NewFromString(text); err == nil {
			return plain(d)
		}
	case t.Kind == harrow.Float:
		var f float64
		if json.Unmarshal([]byte(text), &f) == nil {
			return f
		}
	case t.Kind == harrow.Int:
		var n int64
		if json.Unmarshal([]byte(text), &n) == nil {
			return n
		}
	}
	return text
}

func plain(d decimal.Decimal) string {
	s := d.String()
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// Texts are rows in one form each, sorted: the data columns, then the others
// named.
func Texts(t harrow.RecordType, rows []map[string]any, others ...string) []string {
	list := make([]string, len(rows))
	for i, r := range rows {
		var parts []string
		for _, c := range t.Columns {
			parts = append(parts, c.Name+"="+Text(c.Type, r[c.Name]))
		}
		for _, name := range others {
			parts = append(parts, name+"="+Text(harrow.Type{Kind: harrow.Text}, r[name]))
		}
		list[i] = strings.Join(parts, " ")
	}
	slices.Sort(list)
	return list
}

// Same compares sorted lists and says what is missing and what is too many.
func Same(tb testing.TB, what string, got, want []string) {
	tb.Helper()
	if slices.Equal(got, want) {
		return
	}
	count := map[string]int{}
	for _, s := range want {
		count[s]++
	}
	for _, s := range got {
		count[s]--
	}
	tb.Errorf("%s: got %d, want %d", what, len(got), len(want))
	shown := 0
	for _, s := range slices.Sorted(maps.Keys(count)) {
		if n := count[s]; n != 0 && shown < 10 {
			shown++
			tb.Errorf("  %s: %.500s", map[bool]string{true: "missing", false: "too many"}[n > 0], s)
		}
	}
}

// Stopped is a context that is over.
func Stopped() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
