package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// ChainOperator is the name that [Chain]'s operator is registered by.
const ChainOperator = "chain"

func init() { harrow.RegisterOperator(ChainOperator, newChain) }

// Link is a step of a chain.
type Link struct {
	Step
	// Name is what errors call it; empty: the operator's.
	Name string `json:"name,omitempty"`
	// Makes is the record type its rows have; a batch it emits with other
	// columns is an error that names the operator.
	Makes harrow.RecordType `json:"makes"`
}

// ChainConfig is what a chain does. It travels to the workers as JSON.
type ChainConfig struct {
	Links []Link `json:"links"`
	// Counts are columns whose values that are not null are counted in what the
	// chain puts out, as filled.RECORD.COLUMN, beside its rows, as rows.RECORD.
	// Nil: nothing is counted.
	Counts []string `json:"counts,omitempty"`
}

// Chain makes one step of several: what one emits to the table of its record is
// the next one's input, without a file in between; what it emits to other
// tables and its rejects leave the chain at once. Operators that read something
// else than batches can't be in it.
func Chain(cfg ChainConfig) (Step, error) {
	config, err := json.Marshal(cfg)
	if err != nil {
		return Step{}, fmt.Errorf("chain: %w", err)
	}
	return Step{Operator: ChainOperator, Config: config}, nil
}

// Counter is an output that sums counters for the stage's manifest.
type Counter interface {
	Count(name string, n int64)
}

type chain struct {
	links  []*chainLink
	counts []string
	rows   int64
	filled []int64
}

// chainLink is an operator and, during a call, the output it writes to: itself.
type chainLink struct {
	name   string
	op     harrow.Operator
	close  func()
	schema *arrow.Schema // of what it is to emit
	table  string
	seen   *arrow.Schema // the last one that was found right

	ctx   context.Context
	out   harrow.Output // of the chain
	chain *chain
	next  *chainLink // nil for the last
}

func newChain(config json.RawMessage) (harrow.Operator, error) {
	var cfg ChainConfig
	if err := harrow.ReadConfig(config, &cfg); err != nil {
		return nil, fmt.Errorf("chain: config: %w", err)
	}
	if len(cfg.Links) == 0 {
		return nil, fmt.Errorf("chain: Links is empty; want at least one")
	}
	c := &chain{counts: cfg.Counts, filled: make([]int64, len(cfg.Counts))}
	for i, l := range cfg.Links {
		op, err := l.operator()
		if err != nil {
			return nil, err
		}
		link := &chainLink{name: cmp.Or(l.Name, l.Operator), op: op, schema: lakeio.RecordSchema(l.Makes), table: lakeio.RecordsPrefix + l.Makes.Name, chain: c}
		c.links = append(c.links, link)
		if i > 0 {
			c.links[i-1].next = link
		}
	}
	return c, nil
}

// Open implements Opener.
func (c *chain) Open(ctx context.Context, lake lakeio.Lake) error {
	for _, l := range c.links {
		var err error
		if l.close, err = open(ctx, lake, l.op); err != nil {
			return fmt.Errorf("operator %s: %w", l.name, err)
		}
	}
	return nil
}

// Close implements Opener.
func (c *chain) Close() {
	for _, l := range c.links {
		if l.close != nil {
			l.close()
		}
	}
}

// Process implements harrow.Operator.
func (c *chain) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	c.lend(ctx, out)
	return c.links[0].process(in)
}

// Finish implements harrow.Operator: link by link, as each may still emit.
func (c *chain) Finish(ctx context.Context, out harrow.Output) error {
	c.lend(ctx, out)
	for _, l := range c.links {
		if err := l.call(func() error { return l.op.Finish(ctx, l) }); err != nil {
			return err
		}
	}
	if counter, ok := out.(Counter); ok && c.counts != nil {
		record := strings.TrimPrefix(c.links[0].table, lakeio.RecordsPrefix)
		counter.Count("rows."+record, c.rows)
		for i, column := range c.counts {
			counter.Count("filled."+record+"."+column, c.filled[i])
		}
	}
	return nil
}

func (c *chain) lend(ctx context.Context, out harrow.Output) {
	for _, l := range c.links {
		l.ctx, l.out = ctx, out
	}
}

func (l *chainLink) process(b harrow.Batch) error {
	return l.call(func() error { return l.op.Process(l.ctx, b, l) })
}

// call runs a method of the operator; a panic is its error, not the process's
// end.
func (l *chainLink) call(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = finalError{fmt.Errorf("operator %s: panic: %v\n%s", l.name, p, debug.Stack())}
		}
	}()
	return f()
}

// Emit implements harrow.Output for the operator.
func (l *chainLink) Emit(table string, b harrow.Batch) error {
	if table != l.table {
		return l.out.Emit(table, b)
	}
	if b.Rows() == 0 {
		return nil
	}
	if err := l.check(b); err != nil {
		return finalError{err}
	}
	if l.next != nil {
		if b.Table() == "" { // the schema is the operator's own: the next one may ask for the table
			b = harrow.NewBatch(array.NewRecord(l.schema, b.Arrow().Columns(), b.Arrow().NumRows()))
			defer b.Release()
		}
		return l.next.process(b)
	}
	l.chain.count(b)
	return l.out.Emit(table, b)
}

// Reject implements harrow.Output for the operator.
func (l *chainLink) Reject(r harrow.Reject) error { return l.out.Reject(r) }

// check compares what was emitted with what was promised.
func (l *chainLink) check(b harrow.Batch) error {
	s := b.Arrow().Schema()
	if s == l.seen {
		return nil
	}
	want := l.schema.Fields()
	for i, f := range s.Fields() {
		if i >= len(want) {
			return fmt.Errorf("operator %s: it emitted a column %s to %s; expected no more than it declared", l.name, f.Name, l.table)
		}
		if f.Name != want[i].Name || !arrow.TypeEqual(f.Type, want[i].Type) {
			return fmt.Errorf("operator %s: column %d of what it emitted to %s is %s %s; expected %s %s: the columns it declared, then those of provenance",
				l.name, i+1, l.table, f.Name, f.Type, want[i].Name, want[i].Type)
		}
	}
	if n := s.NumFields(); n < len(want) {
		return fmt.Errorf("operator %s: what it emitted to %s has no column %s; expected the columns it declared, then those of provenance", l.name, l.table, want[n].Name)
	}
	l.seen = s
	return nil
}

func (c *chain) count(b harrow.Batch) {
	c.rows += int64(b.Rows())
	for i, name := range c.counts {
		if a := b.Column(name); a != nil {
			c.filled[i] += int64(a.Len() - a.NullN())
		}
	}
}
