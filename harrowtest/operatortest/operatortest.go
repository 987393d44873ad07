// Package operatortest is the conformance suite of operators over records
// (refine's `operators`): one call in the test of a plug-in holds it to what
// Harrow relies on.
package operatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/internal/rows"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/operate"
)

// Case is an operator and the rows it is tried on.
type Case struct {
	Operator string             // its registered name, by RegisterOperator or RegisterRows
	Config   json.RawMessage    // `with:` of a job file; null when absent
	Record   harrow.RecordType  // of the rows
	Rows     []map[string]any   // the data columns' values, as in a harrow.Record; at least 4, in the order the operator expects
	Make     harrow.NewOperator // instead of Operator, where it isn't registered

	// Lake is the run whose files an operator opens that has the methods
	// Open(context.Context, lakeio.Lake) error and Close(). They are called
	// before its first batch and in the end.
	Lake lakeio.Lake

	// Out is how many rows and rejects come out of Rows, all tables together; 0
	// is not looked at, and then rows that the operator loses may stay unseen.
	Out int
	// NewRows says that rows come out which did not come in: their _id and
	// _ordinal are not looked for among the input's.
	NewRows bool
}

// Run runs the suite, each demand as a subtest:
//
//   - as many rows and rejects come out as the case says;
//   - the same rows and rejects come out however the input is cut into
//     batches, from one instance or another, time after time;
//   - no batch is used beyond the call it was handed to, unless it was
//     retained, and none is kept for ever: batches are overwritten when they
//     have no more references, and memory is counted;
//   - rows keep their provenance columns, in a table records/NAME;
//   - no input, an empty batch and columns of nothing but null are borne;
//   - the config may be written with its keys in another order and with other
//     white space, and one that is no JSON is an error;
//   - an error of Emit or Reject is returned; a context that has ended is an
//     error or changes nothing.
func Run(t *testing.T, c Case) {
	t.Helper()
	for _, d := range demands {
		t.Run(d.name, func(t *testing.T) { d.check(t, c) })
	}
}

// demand is one subtest.
type demand struct {
	name  string
	check func(testing.TB, Case)
}

var demands = []demand{
	{"makes something of its rows", makesSomething},
	{"is the same however the input is cut", cut},
	{"is deterministic", deterministic},
	{"keeps no batch it did not retain", keepsNothing},
	{"gives back what it retained", givesBack},
	{"keeps the provenance", provenance},
	{"bears no rows", noRows},
	{"bears nulls", nulls},
	{"takes its config in any form", config},
	{"returns the error of Emit and Reject", outputFails},
	{"bears a context that has ended", contextEnds},
}

func (c Case) make(tb testing.TB, config json.RawMessage) harrow.Operator {
	tb.Helper()
	op, err := c.try(config)
	if err != nil {
		tb.Fatalf("config %s: %v", config, err)
	}
	if o, ok := op.(opener); ok {
		tb.Cleanup(o.Close)
		if err := o.Open(tb.Context(), c.Lake); err != nil {
			tb.Fatalf("Open: %v", err)
		}
	}
	return op
}

// opener is an operator that needs more of a run than its input.
type opener interface {
	Open(ctx context.Context, lake lakeio.Lake) error
	Close()
}

func (c Case) try(config json.RawMessage) (harrow.Operator, error) {
	name, config, f := c.Operator, slices.Clone(config), c.Make
	if _, err := harrow.LookupRows(name); err == nil && f == nil { // an operator over batches runs it
		link, err := operate.Link(harrow.OperatorUse{Use: name, With: config}, c.Record, true)
		if err != nil {
			return nil, err
		}
		name, config = link.Operator, link.Config
	}
	if f == nil {
		var err error
		if f, err = harrow.LookupOperator(name); err != nil {
			return nil, err
		}
	}
	return f(config)
}

const run = "0190e000-0000-7000-8000-000000000001"

// output takes what an operator makes, as text: what it was handed is not
// looked at later.
type output struct {
	rows    []string // table and row
	rejects []string
	tables  map[string][]string // columns by table
	ids     []string
	fail    error
	calls   int
}

// Emit implements harrow.Output.
func (o *output) Emit(table string, b harrow.Batch) error {
	o.calls++
	if o.fail != nil {
		return o.fail
	}
	if o.tables == nil {
		o.tables = map[string][]string{}
	}
	var columns []string
	for _, f := range b.Arrow().Schema().Fields() {
		columns = append(columns, f.Name)
	}
	o.tables[table] = columns
	for i := range b.Rows() {
		o.rows = append(o.rows, table+" "+string(lakeio.AppendJSON(nil, b, i, nil)))
		id, _ := b.Column("_id").(*array.String)
		ordinal, _ := b.Column("_ordinal").(*array.Int64)
		if id != nil && ordinal != nil {
			o.ids = append(o.ids, fmt.Sprint(strings.Clone(id.Value(i)), " ", ordinal.Value(i)))
		}
	}
	return nil
}

// Reject implements harrow.Output.
func (o *output) Reject(r harrow.Reject) error {
	o.calls++
	if o.fail != nil {
		return o.fail
	}
	o.rejects = append(o.rejects, fmt.Sprintf("%s %s %s %s %s %q %s", r.Class, r.Code, r.Record, r.Field, r.Value, r.Reason, r.Payload))
	return nil
}

// all is what came out, sorted: operators may change the order.
func (o *output) all() []string {
	list := append(slices.Clone(o.rows), o.rejects...)
	slices.Sort(list)
	return list
}

// process puts rows through an operator; a panic fails the test.
func (c Case) process(tb testing.TB, op harrow.Operator, in []map[string]any, sizes ...int) *output {
	tb.Helper()
	out := &output{}
	if err := c.into(tb, tb.Context(), op, &rows.Memory{}, out, in, sizes...); err != nil {
		tb.Fatal(err)
	}
	return out
}

func (c Case) into(tb testing.TB, ctx context.Context, op harrow.Operator, memory *rows.Memory, out harrow.Output, in []map[string]any, sizes ...int) error {
	tb.Helper()
	defer func() {
		if p := recover(); p != nil {
			tb.Fatalf("the operator panics: %v", p)
		}
	}()
	for b, err := range rows.Batches(tb, memory, c.Record, run, rows.Of(in...), sizes...)() {
		if err == nil {
			err = op.Process(ctx, b, out)
		}
		if err != nil {
			return err
		}
	}
	return op.Finish(ctx, out)
}

func ones(n int) []int { return slices.Repeat([]int{1}, n) }

func makesSomething(tb testing.TB, c Case) {
	if len(c.Rows) < 4 {
		tb.Fatalf("the case has %d rows; want at least 4, to be cut", len(c.Rows))
	}
	out := c.process(tb, c.make(tb, c.Config), c.Rows)
	if len(out.rows) == 0 {
		tb.Error("no row comes out: the suite shows nothing")
	}
	if n := len(out.rows) + len(out.rejects); c.Out > 0 && n != c.Out {
		tb.Errorf("%d rows and rejects come out, want %d (Finish emits what was held back)", n, c.Out)
	}
}

func cut(tb testing.TB, c Case) {
	want := c.process(tb, c.make(tb, c.Config), c.Rows).all()
	n := len(c.Rows)
	for _, sizes := range [][]int{ones(n), {1}, {n - 1}, {n / 2}, {2, 1, 2, 1}} {
		got := c.process(tb, c.make(tb, c.Config), c.Rows, sizes...).all()
		rows.Same(tb, fmt.Sprintf("cut into batches of %v and the rest", sizes), got, want)
	}
}

func deterministic(tb testing.TB, c Case) {
	want := c.process(tb, c.make(tb, c.Config), c.Rows)
	for range 3 {
		got := c.process(tb, c.make(tb, c.Config), c.Rows)
		if !slices.Equal(got.rows, want.rows) || !slices.Equal(got.rejects, want.rejects) {
			rows.Same(tb, "another instance", got.all(), want.all())
			tb.Error("another instance gives other rows, or in another order")
		}
	}
}

func keepsNothing(tb testing.TB, c Case) {
	want := c.process(tb, c.make(tb, c.Config), c.Rows).all()
	got := c.process(tb, c.make(tb, c.Config), c.Rows, ones(len(c.Rows))...).all()
	for _, row := range got {
		if strings.Contains(row, "\xaa\xaa") || strings.Contains(row, `\ufffd\ufffd`) || strings.Contains(row, "\uFFFD\uFFFD") {
			tb.Errorf("a batch was read after its call: %.300q", row)
		}
	}
	rows.Same(tb, "batches that are overwritten after their call", got, want)
}

func givesBack(tb testing.TB, c Case) {
	memory := &rows.Memory{}
	if err := c.into(tb, tb.Context(), c.make(tb, c.Config), memory, &output{}, c.Rows, ones(len(c.Rows))...); err != nil {
		tb.Fatal(err)
	}
	if n := memory.Held(); n != 0 {
		tb.Errorf("after Finish %d bytes of the input's batches are held: Release what you Retain", n)
	}
}

func provenance(tb testing.TB, c Case) {
	out := c.process(tb, c.make(tb, c.Config), c.Rows)
	for table, columns := range out.tables {
		if !strings.HasPrefix(table, lakeio.RecordsPrefix) {
			continue
		}
		for _, p := range harrow.Provenance {
			if !slices.Contains(columns, p.Name) {
				tb.Errorf("table %s lacks column %s", table, p.Name)
			}
		}
	}
	if c.NewRows {
		return
	}
	known := map[string]bool{}
	for i := range c.Rows {
		known[fmt.Sprint(rows.ID(i), " 0")] = true
	}
	for _, id := range out.ids {
		if !known[id] {
			tb.Errorf("a row with _id and _ordinal %s came out; none came in", id)
		}
	}
}

func noRows(tb testing.TB, c Case) {
	if out := c.process(tb, c.make(tb, c.Config), nil); len(out.rows)+len(out.rejects) > 0 && !c.NewRows {
		tb.Errorf("of no batch: %v", out.all())
	}
	want := c.process(tb, c.make(tb, c.Config), c.Rows).all()
	op, out := c.make(tb, c.Config), &output{}
	rb := lakeio.NewRecordBuilder(c.Record)
	defer rb.Release()
	empty := rb.Batch()
	defer empty.Release()
	if err := op.Process(tb.Context(), empty, out); err != nil {
		tb.Fatalf("an empty batch: %v", err)
	}
	if err := c.into(tb, tb.Context(), op, &rows.Memory{}, out, c.Rows); err != nil {
		tb.Fatal(err)
	}
	rows.Same(tb, "an empty batch before the others", out.all(), want)
}

func nulls(tb testing.TB, c Case) {
	in := slices.Repeat([]map[string]any{nil}, 5)
	want := c.process(tb, c.make(tb, c.Config), in).all()
	rows.Same(tb, "rows of null, one at a time", c.process(tb, c.make(tb, c.Config), in, ones(5)...).all(), want)
	for _, col := range c.Record.Columns {
		some := make([]map[string]any, len(c.Rows))
		for i, r := range c.Rows {
			some[i] = map[string]any{}
			for k, v := range r {
				if k != col.Name {
					some[i][k] = v
				}
			}
		}
		c.process(tb, c.make(tb, c.Config), some, 2)
	}
}

func config(tb testing.TB, c Case) {
	want := c.process(tb, c.make(tb, c.Config), c.Rows).all()
	if len(bytes.TrimSpace(c.Config)) > 0 {
		var v any
		d := json.NewDecoder(bytes.NewReader(c.Config))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			tb.Fatalf("the case's config: %v", err)
		}
		sorted, err := json.MarshalIndent(v, " ", "\t")
		if err != nil {
			tb.Fatal(err)
		}
		rows.Same(tb, "the config in another form", c.process(tb, c.make(tb, sorted), c.Rows).all(), want)
	}
	for _, bad := range []string{"{", `{"no_such_key_of_any_operator": 1}`} {
		if _, err := c.try(json.RawMessage(bad)); err == nil {
			tb.Errorf("config %s is taken; want an error that says what was expected", bad)
		}
	}
}

var errAway = errors.New("the suite's error")

func outputFails(tb testing.TB, c Case) {
	for _, in := range [][]map[string]any{c.Rows, slices.Repeat([]map[string]any{nil}, 4)} {
		out := &output{fail: errAway}
		err := c.into(tb, tb.Context(), c.make(tb, c.Config), &rows.Memory{}, out, in, 1)
		if out.calls > 0 && !errors.Is(err, errAway) {
			tb.Errorf("an error of Emit or Reject is not returned: %v", err)
		}
	}
}

func contextEnds(tb testing.TB, c Case) {
	out := &output{}
	if err := c.into(tb, rows.Stopped(), c.make(tb, c.Config), &rows.Memory{}, out, c.Rows); err != nil {
		return
	}
	rows.Same(tb, "no error, but not all rows", out.all(), c.process(tb, c.make(tb, c.Config), c.Rows).all())
}
