package engine

import (
	"context"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// feeder gathers merged rows into batches for an operator.
type feeder struct {
	ctx     context.Context
	piece   *Piece
	step    Step
	process func(context.Context, harrow.Batch, harrow.Output) error
	out     *output
	limit   int64                // bytes of a batch
	gathers map[string]*gathered // by table
	now     *gathered            // whose rows are gathered; nil before the first
}

type gathered struct {
	*lakeio.RowCopier
	table string
}

func (f *feeder) row(c *cursor) error {
	if f.now == nil || c.slice.Table != f.now.table {
		if err := f.turnTo(c); err != nil {
			return err
		}
	}
	f.now.AppendWeighed(c.batch, c.row, c.weight())
	if f.now.Rows() >= lakeio.BatchRows || f.now.Bytes() >= f.limit {
		return f.flush()
	}
	return nil
}

// turnTo gets ready for rows of another table.
func (f *feeder) turnTo(c *cursor) error {
	if err := f.flush(); err != nil {
		return err
	}
	table := c.slice.Table
	if f.gathers[table] == nil {
		copier, err := lakeio.NewRowCopier(withoutSort(c.schema))
		if err != nil {
			return c.corrupt(err.Error())
		}
		f.gathers[table] = &gathered{copier, table}
	}
	f.now = f.gathers[table]
	return nil
}

// flush hands the rows gathered to the operator.
func (f *feeder) flush() error {
	if f.now == nil || f.now.Rows() == 0 {
		return nil
	}
	b := f.now.Batch()
	defer b.Release()
	if err := f.process(f.ctx, b, f.out); err != nil {
		return f.out.failure(f.step, err)
	}
	f.piece.Rows(f.ctx, b.Rows())
	return nil
}

func (f *feeder) release() {
	for _, g := range f.gathers {
		g.Release()
	}
}
