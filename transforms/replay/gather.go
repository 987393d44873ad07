package replay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Names the operators are registered by.
const (
	gatherName = "replay.gather"
	sendName   = "replay.send"
	rowsName   = "replay.rows"
)

func init() {
	harrow.RegisterOperator(gatherName, func(config json.RawMessage) (harrow.Operator, error) {
		r, err := newReader(config)
		return &gather{reader: r}, err
	})
}

// Columns of what goes through the shuffle.
const (
	idColumn    = "id"    // of the request; null: there is none
	rankColumn  = "rank"  // which rows of an id come first
	placeColumn = "place" // of a capture when it was made; of a row its stage, record and digest
	textColumn  = "text"  // JSON of the capture or reject; null: of a capture that is not parsed
)

// Ranks, in the order in which an id's rows are needed.
const (
	rankCapture int64 = iota // what is known of the request
	rankRequest              // rejects of fetch, and what is no request
	rankPage                 // rejects of parse
	rankRow                  // rejects of refine and load
	rankNew                  // requests that may have been asked for
)

// lineType is what goes through the shuffle: captures and rejects, as rows of
// one table so that one order holds for both.
var lineType = harrow.RecordType{Name: "replay" + engine.BetweenSuffix, Columns: []harrow.Column{
	{Name: idColumn, Type: harrow.Type{Kind: harrow.Text}},
	{Name: rankColumn, Type: harrow.Type{Kind: harrow.Int}},
	{Name: placeColumn, Type: harrow.Type{Kind: harrow.Text}},
	{Name: textColumn, Type: harrow.Type{Kind: harrow.Text}},
}}

// gather makes lines of captures and of the rejects that are wanted.
type gather struct {
	*reader
	lines *lakeio.RecordBuilder
}

// Process implements harrow.Operator.
func (o *gather) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	if o.lines == nil {
		o.lines = lakeio.NewRecordBuilder(lineType)
	}
	table := in.Table()
	switch table {
	case lakeio.Captures.Name():
		for _, c := range lakeio.Captures.Rows(in) {
			if err := o.capture(c, out); err != nil {
				return err
			}
		}
		return nil
	case lakeio.Rejects.Name():
		for _, r := range lakeio.Rejects.Rows(in) {
			if !o.cfg.Replay.Wants(r) {
				continue
			}
			if err := o.reject(ctx, r, out); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%s: table %q; want rejects or captures", gatherName, table)
}

func (o *gather) capture(c harrow.Capture, out harrow.Output) error {
	if c.Kind != harrow.KindPage || c.Outcome != harrow.Fetched && c.Outcome != harrow.NotModified {
		return o.line(c.ID, rankCapture, "", nil, out)
	}
	return o.line(c.ID, rankCapture, c.StartedAt.UTC().Format(lakeio.TimestampLayout), c, out)
}

func (o *gather) reject(ctx context.Context, r harrow.Reject, out harrow.Output) error {
	switch r.Stage {
	case "parse":
		return o.line(r.ID, rankPage, "", r, out)
	case "refine", "load":
		sum := sha256.Sum256([]byte(r.Payload))
		return o.line(r.ID, rankRow, r.Stage+" "+r.Record+" "+hex.EncodeToString(sum[:]), r, out)
	}
	req, err := o.request(ctx, r)
	if err == nil && req.ID != r.ID { // of a seed, or of a URL that is written in another way now
		return o.line(req.ID, rankNew, "", r, out)
	}
	return o.line(r.ID, rankRequest, "", r, out)
}

// line adds a row; a nil v is null.
func (o *gather) line(id harrow.ID, rank int64, place string, v any, out harrow.Output) error {
	values := []any{nil, rank, place, nil}
	if !id.IsZero() {
		values[0] = id.String()
	}
	if v != nil {
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("%s: %w", gatherName, err)
		}
		values[3] = string(text)
	}
	if err := o.lines.Append(values, lakeio.Origin{}); err != nil {
		return err
	}
	if !o.lines.Full() {
		return nil
	}
	return flush(o.lines, lakeio.RecordsPrefix+lineType.Name, out)
}

// Finish implements harrow.Operator.
func (o *gather) Finish(_ context.Context, out harrow.Output) error {
	if o.lines == nil {
		return nil
	}
	defer func() { o.lines.Release(); o.lines = nil }()
	return flush(o.lines, lakeio.RecordsPrefix+lineType.Name, out)
}

// gathered is a builder of any table.
type gathered interface {
	Rows() int
	Full() bool
	Batch() harrow.Batch
	Release()
}

// flush emits what was gathered.
func flush(b gathered, table string, out harrow.Output) error {
	if b.Rows() == 0 {
		return nil
	}
	batch := b.Batch()
	defer batch.Release()
	return out.Emit(table, batch)
}
