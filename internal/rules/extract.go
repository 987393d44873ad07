package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/normal"
)

// extractor is a Go extractor that a rule uses.
type extractor struct {
	harrow.Extractor
	records map[string]int // index in Program.types of what it may emit
}

func newExtractor(use string, with json.RawMessage) (e harrow.Extractor, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("extractor %s: panic: %v", use, p)
		}
	}()
	create, err := harrow.LookupExtractor(use)
	if err != nil {
		return nil, err
	}
	if e, err = create(with); err != nil {
		return nil, fmt.Errorf("extractor %s: %w", use, err)
	}
	return e, nil
}

func (p *Program) compileExtractor(use string, with json.RawMessage) (*extractor, error) {
	e, err := newExtractor(use, with)
	if err != nil {
		return nil, err
	}
	x := &extractor{e, map[string]int{}}
	for _, t := range e.Records() {
		at := p.typeIndex(t.Name)
		if at < 0 {
			return nil, fmt.Errorf("extractor %s: no record type is called %q", use, t.Name)
		}
		for _, column := range t.Columns {
			if !slices.Contains(p.types[at].Columns, column) {
				return nil, fmt.Errorf("extractor %s: the record type %s has no column %s of type %s", use, t.Name, column.Name, column.Type)
			}
		}
		x.records[t.Name] = at
	}
	return x, nil
}

// maxExtracted is about how many bytes of rows an extractor may emit for one
// page: they are held until it has ended well.
const maxExtracted = 64 << 20

// extract applies an extractor. Its rows count once it has ended without an
// error.
func (r *run) extract(rule *rule) error {
	x := &extraction{run: r, rule: rule}
	err := x.do()
	if ctxErr := r.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	if err != nil {
		r.rows -= x.rows
		fault := &Fault{CodeExtract, err}
		if errors.As(err, &fault) && fault.Code != CodePanic {
			return r.fault(rule, fault) // the page's, perhaps for other rules too
		}
		return r.reject(r.pageReject("", fault.Code, fmt.Errorf("extractor %s: %w", rule.name, err)))
	}
	for _, step := range x.steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// extraction is one call of an extractor.
type extraction struct {
	*run
	rule  *rule
	steps []func() error // emits and rejects, in order
	rows  int
	bytes int
	ended bool
}

func (x *extraction) do() (err error) {
	defer func() {
		x.ended = true
		if p := recover(); p != nil {
			err = faultf(CodePanic, "panic: %v", p)
		}
	}()
	return x.rule.extractor.Extract(x.ctx, x.doc, x.take)
}

// take is the emit of an extractor.
func (x *extraction) take(record harrow.Record) error {
	if x.ended {
		return errors.New("emit was called after Extract had returned")
	}
	if err := x.ctx.Err(); err != nil {
		return err
	}
	if fault := x.count(); fault != nil {
		return fault
	}
	x.rows++
	if x.bytes += sizeOf(record); x.bytes > maxExtracted {
		return faultf(CodeRows, "its rows of one page are over %d bytes", maxExtracted)
	}
	at, ok := x.rule.extractor.records[record.Name]
	if !ok {
		x.refuse(record, "", nil, fmt.Errorf("it is not said to emit records called %q", record.Name))
		return nil
	}
	columns := x.program.types[at].Columns
	values := make([]any, len(columns))
	for _, name := range slices.Sorted(maps.Keys(record.Values)) {
		i := slices.IndexFunc(columns, func(c harrow.Column) bool { return c.Name == name })
		if i < 0 {
			x.refuse(record, name, record.Values[name], fmt.Errorf("record %s has no column %q", record.Name, name))
			return nil
		}
		v, err := typed(columns[i].Type, record.Values[name])
		if err != nil {
			x.refuse(record, name, record.Values[name], fmt.Errorf("record %s, column %s: %w", record.Name, name, err))
			return nil
		}
		values[i] = v
	}
	x.steps = append(x.steps, func() error {
		ordinal := x.ordinals[at]
		x.ordinals[at]++
		return x.emit(Row{Record: at, Rule: x.rule.name, Ordinal: ordinal, Values: values})
	})
	return nil
}

// refuse rejects one row of an extractor.
func (x *extraction) refuse(record harrow.Record, column string, value any, err error) {
	x.steps = append(x.steps, func() error {
		p := payload{Rule: x.rule.name, Fields: map[string]any{}}
		if at, ok := x.rule.extractor.records[record.Name]; ok {
			p.Ordinal = x.ordinals[at]
			x.ordinals[at]++
		}
		for name, v := range record.Values {
			p.Fields[cut(name, maxRejectValue)] = bounded(plain(v))
		}
		reject := x.pageReject(record.Name, CodeExtractor, fmt.Errorf("extractor %s: %w", x.rule.name, err))
		reject.Field, reject.Payload = column, p.String()
		if value != nil {
			reject.Value = cut(fmt.Sprint(plain(value)), maxRejectValue)
		}
		return x.reject(reject)
	})
}

// plain is a value as a payload shows it: what isn't one of a column's Go
// types by the name of its type, since an extractor's own types may do
// anything when they are printed.
func plain(v any) any {
	switch v := v.(type) {
	case nil, string, []string, int64, []int64, bool, []bool, time.Time, []time.Time:
		return v
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
		return v
	case decimal.Decimal:
		if e := v.Exponent(); e < -1000 || e > 1000 {
			return "a decimal with exponent " + fmt.Sprint(e)
		}
		return v.String()
	}
	if items, ok := itemsOf(v); ok { // of what has to be looked at, too
		for i := range items {
			items[i] = plain(items[i])
		}
		return items
	}
	return fmt.Sprintf("a %T", v)
}

// sizeOf is about how many bytes a record takes.
func sizeOf(record harrow.Record) int {
	n := 64 * (1 + len(record.Values))
	for _, v := range record.Values {
		n += textSize(v)
	}
	return n
}

// typed checks that a value is of the Go type that harrow.Type names for the
// column, and fits it.
func typed(t harrow.Type, v any) (any, error) {
	if t.List && v != nil {
		return typedList(t, v)
	}
	ok := false
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if t.Kind == harrow.Text {
			return normal.UTF8(v), nil
		}
	case int64:
		ok = t.Kind == harrow.Int
	case bool:
		ok = t.Kind == harrow.Bool
	case float64:
		if t.Kind == harrow.Float && (math.IsNaN(v) || math.IsInf(v, 0)) {
			return nil, fmt.Errorf("%v is no number", v)
		}
		ok = t.Kind == harrow.Float
	case time.Time:
		return typedTime(t, v)
	case decimal.Decimal:
		if t.Kind == harrow.Decimal {
			return v, fits(v, t)
		}
	}
	if !ok {
		return nil, wrongType(t, v)
	}
	return v, nil
}

func wrongType(t harrow.Type, v any) error {
	return fmt.Errorf("got a value of Go type %T; %s wants %s", v, t, t.GoType())
}

func typedList(t harrow.Type, v any) (any, error) {
	items, ok := itemsOf(v)
	if !ok {
		return nil, wrongType(t, v)
	}
	for i := range items {
		item, err := typed(t.Element(), items[i])
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		items[i] = item
	}
	list := listOf(t.Kind, items)
	if reflect.TypeOf(list) != reflect.TypeOf(v) { // empty, and of another type
		return nil, wrongType(t, v)
	}
	return list, nil
}

func typedTime(t harrow.Type, v time.Time) (any, error) {
	v = v.UTC()
	if y := v.Year(); y < 1 || y > 9999 {
		return nil, fmt.Errorf("year %d; want 1 to 9999", y)
	}
	switch t.Kind {
	case harrow.Timestamp:
		return v.Truncate(time.Microsecond), nil
	case harrow.Date:
		if v != v.Truncate(24*time.Hour) {
			return nil, fmt.Errorf("%s; want midnight UTC for a date", v.Format(timeForm))
		}
		return v, nil
	}
	return nil, wrongType(t, v)
}

// fits checks that a decimal has no more digits than its column.
func fits(d decimal.Decimal, t harrow.Type) error {
	if e := d.Exponent(); e < -1000 || e > 1000 {
		return fmt.Errorf("a decimal with exponent %d does not fit %s", e, t)
	}
	scaled := d.Shift(t.Scale)
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Precision)), nil)
	if !scaled.IsInteger() || scaled.BigInt().CmpAbs(limit) >= 0 {
		return fmt.Errorf("%s has more digits than %s", d, t)
	}
	return nil
}

var _ harrow.Page = (*Document)(nil)
