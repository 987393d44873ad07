package engine

import (
	"context"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Map returns the task that sends one part through the step's operator and
// returns the parts that came out, with the input's shard. Nothing of a task
// that fails stays.
func (w *Worker) Map(step Step, part harrow.Part) Task[harrow.Part] {
	w.done.Expect(1, part.Rows)
	return func(ctx context.Context) (out []harrow.Part, err error) {
		err = w.retry(ctx, func() error {
			release, err := take(ctx, w.batches, taskBytes)
			if err != nil {
				return err
			}
			defer release()
			out, err = w.mapPart(ctx, step, part)
			return err
		})
		if err != nil {
			if err = w.late(ctx, err); err == nil {
				return nil, nil
			}
			return nil, fmt.Errorf("part %s: %w", part.URI, err)
		}
		return out, nil
	}
}

func (w *Worker) mapPart(ctx context.Context, step Step, part harrow.Part) (parts []harrow.Part, err error) {
	defer recovered("operator "+step.Operator+" on part "+part.URI, &err)
	op, err := step.operator()
	if err != nil {
		return nil, err
	}
	closeOp, err := open(ctx, w.lake, op)
	defer closeOp()
	if err != nil {
		return nil, fmt.Errorf("operator %s: %w", step.Operator, err)
	}
	piece := w.done.Begin()
	defer func() { piece.End(ctx, err) }()
	out := w.newOutput(ctx, part.Shard)
	defer out.abort()
	process, done, err := w.process(ctx, step, op)
	if err != nil {
		return nil, err
	}
	defer done()
	if source, ok := op.(Source); ok {
		err = source.ReadSource(ctx, w.lake, part, out)
	} else {
		err = eachBatch(ctx, w.lake, part, func(b harrow.Batch) error {
			err := process(ctx, b, out)
			piece.Rows(ctx, b.Rows())
			return err
		})
	}
	if err != nil {
		return nil, out.failure(step, err)
	}
	if err := op.Finish(ctx, out); err != nil {
		return nil, out.failure(step, err)
	}
	return out.close()
}

// process is what the step's operator does to a batch: Process, or
// ProcessBeside with a walker of the second table, which done closes.
func (w *Worker) process(ctx context.Context, step Step, op harrow.Operator) (
	process func(context.Context, harrow.Batch, harrow.Output) error, done func(), err error) {
	if len(step.Beside) == 0 {
		return op.Process, func() {}, nil
	}
	with, ok := op.(BesideOperator)
	if !ok {
		return nil, nil, finalError{fmt.Errorf("operator %s is no BesideOperator: it can't look into %v", step.Operator, step.Beside)}
	}
	second := &walker{ctx: ctx, store: w.lake.Store, tables: step.Beside}
	process = func(ctx context.Context, in harrow.Batch, out harrow.Output) error {
		return with.ProcessBeside(ctx, in, second, out)
	}
	return process, func() { _ = second.close() }, nil // only read
}

func eachBatch(ctx context.Context, l lakeio.Lake, part harrow.Part, do func(harrow.Batch) error) error {
	for b, err := range lakeio.ReadBatches(ctx, l.Store, part) {
		if err == nil {
			err = do(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
