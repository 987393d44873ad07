package parse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Operator is the name the operator is registered by.
const Operator = "parse"

func init() {
	harrow.RegisterOperator(Operator, func(config json.RawMessage) (harrow.Operator, error) {
		var c Config
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, fmt.Errorf("parse: config: %w", err)
		}
		return newOperator(c)
	})
}

// Config says what to get out of the captures. It travels to the workers as
// JSON.
type Config struct {
	Rules     []harrow.Rule       `json:"rules"`              // of the job, defaults filled in
	Types     []harrow.RecordType `json:"types"`              // every record the rules can make
	Canonical harrow.Canonical    `json:"canonical,omitzero"` // how columns of type url are written
	Limits    rules.Limits        `json:"limits,omitzero"`    // Limits.Document is limits.document; zero fields are the defaults
	Run       string              `json:"run"`                // for column _run
	// Confirmed says that there may be captures of outcome not_modified. The
	// operator leaves these out then: Records sends them through another one.
	Confirmed bool `json:"confirmed,omitempty"`
}

// Validate compiles the rules; errors name the rule, field and selector.
func (c Config) Validate() error {
	_, err := newOperator(c)
	return err
}

// operator makes records from captures and the bodies beside them.
type operator struct {
	run      string
	leave    bool // captures of outcome not_modified
	limits   rules.Limits
	program  *rules.Program
	pages    rules.Pages
	canon    *canon.Canonicalizer
	builders []*lakeio.RecordBuilder // by record, which copy what they take; nil: no row since the last Finish
	body     []byte                  // memory for bodies of several rows
}

func newOperator(c Config) (*operator, error) {
	if c.Limits.Document < 0 || c.Limits.Rows < 0 || c.Limits.Elements < 0 {
		return nil, fmt.Errorf("parse: limits must not be negative; got %+v", c.Limits)
	}
	if c.Limits.Document == 0 {
		c.Limits.Document = int64(10 * harrow.MiB)
	}
	o := &operator{run: c.Run, leave: c.Confirmed, limits: c.Limits, builders: make([]*lakeio.RecordBuilder, len(c.Types))}
	var err error
	if o.canon, err = canon.New(canon.Policy{Strip: c.Canonical.Strip, SortQuery: c.Canonical.SortQuery}); err != nil {
		return nil, err
	}
	o.program, err = rules.Compile(c.Rules, c.Types)
	return o, err
}

// Process implements harrow.Operator: without bodies there is nothing to parse.
func (o *operator) Process(context.Context, harrow.Batch, harrow.Output) error {
	return errors.New("parse: captures came without their bodies beside them")
}

// ProcessBeside implements engine.BesideOperator for batches of captures.
func (o *operator) ProcessBeside(ctx context.Context, in harrow.Batch, beside engine.Beside, out harrow.Output) error {
	for _, c := range lakeio.Captures.Rows(in) {
		confirmed := c.Outcome == harrow.NotModified
		if c.Kind != harrow.KindPage || c.Outcome != harrow.Fetched && !confirmed || confirmed && o.leave {
			continue
		}
		if confirmed {
			c.Status = 200 // of the answer that the 304 confirmed: rules read that one
		}
		if err := o.capture(ctx, c, beside, out); err != nil {
			if confirmed && (errors.Is(err, lakeio.ErrNotFound) || errors.Is(err, lakeio.ErrCorrupt)) {
				err = fmt.Errorf("the body that was confirmed can't be read any more (a new run with fetch.conditional: false asks for it in full): %w", err)
			}
			return fmt.Errorf("parse %s: %w", c.URL, err)
		}
	}
	return nil
}

// capture parses one page. Its body is read only if a rule wants the page: of
// pages that lie side by side whole batches are passed over. A body of one row
// is not copied: it is parsed while its row is valid.
func (o *operator) capture(ctx context.Context, c harrow.Capture, beside engine.Beside, out harrow.Output) error {
	switch {
	case !o.wanted(c):
		return nil
	case c.BodyPart == "" || c.BodyRows == 0:
		return o.page(ctx, rules.Page{Capture: c}, out)
	case c.BodyBytes > o.limits.Document:
		return o.stream(ctx, c, beside, out)
	case c.BodyRows > 1:
		body, err := o.collect(c, beside)
		if err != nil {
			return err
		}
		return o.page(ctx, rules.Page{Capture: c, Body: body}, out)
	}
	found := false
	for row, err := range beside.Rows(c.BodyPart, c.BodyRow, 1) {
		if err != nil {
			return err
		}
		body, err := chunk(row, c)
		if err != nil {
			return err
		}
		found = true
		if err := o.page(ctx, rules.Page{Capture: c, Body: body}, out); err != nil {
			return err
		}
	}
	if !found {
		return missing(c, c.BodyRow)
	}
	return nil
}

// wanted reports whether a rule applies to a page, or can't tell.
func (o *operator) wanted(c harrow.Capture) bool {
	d := rules.NewDocument(rules.Page{Capture: c}, o.canon, o.limits)
	return d.URL().IsZero() || len(o.program.Matching(d)) > 0
}

// stream parses a page whose body is too large for rules: extractors read it
// row by row.
func (o *operator) stream(ctx context.Context, c harrow.Capture, beside engine.Beside, out harrow.Output) error {
	var broken error
	open := func() io.ReadCloser { return &bodyReader{capture: c, beside: beside, broken: &broken} }
	if err := o.page(ctx, rules.Page{Capture: c, Open: open}, out); err != nil {
		return err
	}
	return broken
}

// collect puts the rows of a body together.
func (o *operator) collect(c harrow.Capture, beside engine.Beside) ([]byte, error) {
	o.body = o.body[:0]
	at := c.BodyRow
	for row, err := range beside.Rows(c.BodyPart, c.BodyRow, c.BodyRows) {
		if err != nil {
			return nil, err
		}
		b, err := chunk(row, c)
		if err != nil {
			return nil, err
		}
		o.body = append(o.body, b...)
		at++
	}
	if at != c.BodyRow+c.BodyRows {
		return nil, missing(c, at)
	}
	return o.body, nil
}

// chunk returns the payload of a row of the bodies table, in the row's memory.
func chunk(row engine.Row, c harrow.Capture) ([]byte, error) {
	digests, ok1 := row.Batch.Column("digest").(*array.String)
	bodies, ok2 := row.Batch.Column("body").(*array.LargeBinary)
	if !ok1 || !ok2 || row.Index < 0 || row.Index >= row.Batch.Rows() {
		return nil, fmt.Errorf("%s is no part of the table bodies", c.BodyPart)
	}
	if got := digests.Value(row.Index); got != c.Digest {
		return nil, fmt.Errorf("%s: row %d on has the body %s; the capture's is %s", c.BodyPart, c.BodyRow, got, c.Digest)
	}
	return bodies.Value(row.Index), nil
}

func missing(c harrow.Capture, row int64) error {
	return fmt.Errorf("%s: row %d of the body is missing; want %d rows from %d on", c.BodyPart, row, c.BodyRows, c.BodyRow)
}

// page applies the rules to one page.
func (o *operator) page(ctx context.Context, p rules.Page, out harrow.Output) error {
	c := &p.Capture
	origin := lakeio.Origin{ID: c.ID, URL: c.URL, Digest: c.Digest, FetchedAt: rules.FetchedAt(*c), Run: o.run}
	d := o.pages.Document(p, o.canon, o.limits)
	defer d.Close()
	return o.program.Apply(ctx, d, func(row rules.Row) error {
		origin.Ordinal, origin.Rule = row.Ordinal, row.Rule
		b := o.builder(row.Record)
		if err := b.Append(row.Values, origin); err != nil {
			return out.Reject(harrow.Reject{ID: c.ID, Class: harrow.DataFault, Code: rules.CodeType, Reason: err.Error(),
				URL: c.URL, Record: o.program.Types()[row.Record].Name})
		}
		if b.Full() {
			return o.flush(row.Record, out)
		}
		return nil
	}, out.Reject)
}

func (o *operator) builder(record int) *lakeio.RecordBuilder {
	if o.builders[record] == nil {
		o.builders[record] = lakeio.NewRecordBuilder(o.program.Types()[record])
	}
	return o.builders[record]
}

// flush emits what was gathered of a record.
func (o *operator) flush(record int, out harrow.Output) error {
	b := o.builders[record]
	if b == nil || b.Rows() == 0 {
		return nil
	}
	batch := b.Batch()
	defer batch.Release()
	return out.Emit(lakeio.RecordsPrefix+o.program.Types()[record].Name, batch)
}

// Finish implements harrow.Operator: it emits the rows that are left.
func (o *operator) Finish(_ context.Context, out harrow.Output) error {
	for record, b := range o.builders {
		if b == nil {
			continue
		}
		if err := o.flush(record, out); err != nil {
			return err
		}
		b.Release()
		o.builders[record] = nil
	}
	return nil
}
