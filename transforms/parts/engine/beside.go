package engine

import (
	"context"
	"fmt"
	"iter"
	"sort"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// walker is the Beside of one task: one open part and one decoded batch of it.
type walker struct {
	ctx    context.Context
	store  lakeio.Store
	tables []string

	uri    string
	part   *lakeio.PartReader
	starts []int64 // first row of each batch seen so far, and the row after the last of them
	at     int     // batch that is decoded
	batch  harrow.Batch
}

// Rows implements Beside.
func (w *walker) Rows(part string, first, n int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if first < 0 || n < 0 {
			yield(Row{}, finalError{fmt.Errorf("%s: rows %d to %d asked for", part, first, first+n)})
			return
		}
		for row := first; row < first+n; row++ {
			r, err := w.row(part, row)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func (w *walker) row(part string, row int64) (Row, error) {
	if err := w.open(part); err != nil {
		return Row{}, err
	}
	for row >= w.starts[len(w.starts)-1] {
		if len(w.starts) > w.part.Batches() {
			return Row{}, fmt.Errorf("%s: %w: row %d asked for, has %d", part, lakeio.ErrCorrupt, row, w.starts[len(w.starts)-1])
		}
		if err := w.decode(len(w.starts) - 1); err != nil {
			return Row{}, err
		}
		w.starts = append(w.starts, w.starts[len(w.starts)-1]+int64(w.batch.Rows()))
	}
	i := sort.Search(len(w.starts), func(i int) bool { return w.starts[i] > row }) - 1
	if err := w.decode(i); err != nil {
		return Row{}, err
	}
	return Row{w.batch, int(row - w.starts[i])}, nil
}

// open makes part the open one.
func (w *walker) open(part string) error {
	if w.part != nil && w.uri == part {
		return nil
	}
	if err := w.close(); err != nil {
		return err
	}
	r, err := lakeio.OpenPart(w.ctx, w.store, part, "")
	if err != nil {
		return err
	}
	w.uri, w.part, w.starts = part, r, append(w.starts[:0], 0)
	table, _, err := lakeio.TableOf(r.Schema())
	if err == nil && !Match(w.tables, table) {
		err = fmt.Errorf("holds table %s, want %v", table, w.tables)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", part, lakeio.ErrCorrupt, err)
	}
	return nil
}

// decode makes batch i the decoded one.
func (w *walker) decode(i int) error {
	if w.batch.Arrow() != nil && w.at == i {
		return nil
	}
	w.drop()
	if err := w.ctx.Err(); err != nil {
		return err
	}
	b, err := w.part.Batch(i)
	if err != nil {
		return err
	}
	w.batch, w.at = b, i
	return nil
}

func (w *walker) drop() {
	if w.batch.Arrow() != nil {
		w.batch.Release()
		w.batch = harrow.Batch{}
	}
}

func (w *walker) close() error {
	w.drop()
	if w.part == nil {
		return nil
	}
	err := w.part.Close()
	w.part = nil
	return err
}
