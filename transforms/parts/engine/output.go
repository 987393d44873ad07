package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// BetweenSuffix ends the names of tables that are read within their stage only:
// they lie with the shuffle's files and go with them when the stage commits.
const BetweenSuffix = ".between"

// output writes what an operator emits into parts: one file per table at a
// time, rolled at lakeio.PartBytes. A batch that is emitted becomes a batch of
// the file. It belongs to one goroutine.
type output struct {
	ctx     context.Context
	w       *Worker
	shard   int
	open    map[string]*openPart
	rejects *lakeio.Builder[harrow.Reject]
	done    []harrow.Part
	counts  map[string]int64
	err     error // the first error of a write; what an operator makes of it doesn't matter
}

type openPart struct {
	*lakeio.PartWriter
	schema *arrow.Schema
}

func (w *Worker) newOutput(ctx context.Context, shard int) *output {
	return &output{ctx: ctx, w: w, shard: shard, open: map[string]*openPart{}}
}

// Emit implements harrow.Output.
func (o *output) Emit(table string, b harrow.Batch) error {
	if o.err == nil && b.Rows() > 0 {
		o.err = o.emit(table, b)
	}
	return o.err
}

func (o *output) emit(table string, b harrow.Batch) error {
	schema := b.Arrow().Schema()
	p := o.open[table]
	if p != nil && (p.Raw() >= lakeio.PartBytes || !p.schema.Equal(schema)) {
		if err := o.finish(table); err != nil {
			return err
		}
		p = nil
	}
	if p == nil {
		if name, _, err := lakeio.TableOf(schema); err != nil {
			return finalError{fmt.Errorf("emit to %s: %w", table, err)}
		} else if name != table {
			return finalError{fmt.Errorf("emit to %s: the batch is of table %s", table, name)}
		}
		folder, codec := table, lakeio.Zstd
		if strings.HasSuffix(table, BetweenSuffix) {
			folder, codec = shuffleFolder, lakeio.LZ4
		}
		part, err := lakeio.NewPart(o.ctx, o.w.lake.Store, o.w.uri(folder, uuid.NewString()), schema, codec)
		if err != nil {
			return err
		}
		p = &openPart{part, schema}
		o.open[table] = p
	}
	return p.Write(b)
}

// Reject implements harrow.Output.
func (o *output) Reject(r harrow.Reject) error {
	if o.rejects == nil {
		o.rejects = lakeio.Rejects.NewBuilder()
	}
	r.Stage, r.At = o.w.env.stageName(), o.w.Now().UTC()
	o.rejects.Append(r)
	if o.rejects.Full() {
		return o.flushRejects()
	}
	return o.err
}

// Count implements Counter.
func (o *output) Count(name string, n int64) {
	if o.counts == nil {
		o.counts = map[string]int64{}
	}
	o.counts[name] += n
}

func (o *output) flushRejects() error {
	b := o.rejects.Batch()
	defer b.Release()
	return o.Emit(lakeio.Rejects.Name(), b)
}

// finish closes a table's file and keeps its part.
func (o *output) finish(table string) error {
	p := o.open[table]
	delete(o.open, table)
	part, err := p.Close()
	if err != nil {
		return err
	}
	part.Shard = o.shard
	o.done = append(o.done, part)
	return nil
}

// close finishes all files and returns their parts.
func (o *output) close() ([]harrow.Part, error) {
	if o.rejects != nil && o.err == nil {
		o.err = o.flushRejects()
	}
	for table := range o.open {
		if o.err == nil {
			o.err = o.finish(table)
		}
	}
	if o.err != nil {
		return nil, o.err
	}
	parts := o.done
	o.done = nil
	if o.counts != nil {
		tag, err := json.Marshal(o.counts)
		if err != nil {
			return nil, fmt.Errorf("counters: %w", err)
		}
		parts = append(parts, harrow.Part{Tag: string(tag)})
	}
	return parts, nil
}

// abort drops what was not handed over by close, finished files too. After
// close it only frees memory.
func (o *output) abort() {
	for _, p := range o.open {
		p.Abort()
	}
	clear(o.open)
	for _, part := range o.done {
		// Nothing names the file: one that stays is garbage, not an error.
		_ = o.w.lake.Store.Delete(context.WithoutCancel(o.ctx), part.URI)
	}
	o.done = nil
	if o.rejects != nil {
		o.rejects.Release()
		o.rejects = nil
	}
}

// failure prefers the output's own error over what an operator made of it.
func (o *output) failure(step Step, err error) error {
	if o.err != nil {
		return o.err
	}
	if errors.Is(err, o.ctx.Err()) {
		return err
	}
	return fmt.Errorf("operator %s: %w", step.Operator, err)
}
