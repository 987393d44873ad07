package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// mergeRuns calls each with a cursor for every row of the runs, in order. The
// cursor's batch and key are valid during the call.
func mergeRuns(ctx context.Context, runs []run, each func(*cursor) error) (err error) {
	h := &cursorHeap{}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.open(ctx, runs); err != nil {
		return err
	}
	for len(h.cursors) > 0 {
		if err := each(h.cursors[0]); err != nil {
			return err
		}
		if err := h.advance(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tableRows is what the slices of a table have in common.
type tableRows struct {
	first *cursor
	rows  *rowComparer
}

// cursorHeap has the cursor with the least row first.
type cursorHeap struct {
	cursors []*cursor
	tables  map[string]*tableRows
}

// open opens the runs. The caller calls close in the end, after an error too.
func (h *cursorHeap) open(ctx context.Context, runs []run) error {
	h.tables = map[string]*tableRows{}
	for _, r := range runs {
		c, err := openCursor(ctx, r.store, r.Slice)
		if err != nil {
			return err
		}
		h.cursors = append(h.cursors, c)
		if err := h.admit(c); err != nil {
			return err
		}
	}
	for i := len(h.cursors)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
	return nil
}

// advance takes the first cursor on by a row; one that is at its end goes.
func (h *cursorHeap) advance(ctx context.Context) error {
	c := h.cursors[0]
	if err := c.advance(ctx); err != nil {
		return err
	}
	if c.key == nil {
		last := len(h.cursors) - 1
		h.cursors[0] = h.cursors[last]
		h.cursors = h.cursors[:last]
		if err := c.close(); err != nil {
			return err
		}
	}
	h.down(0)
	return nil
}

// admit checks that a cursor's slice has the columns of its table's others.
func (h *cursorHeap) admit(c *cursor) (err error) {
	t := h.tables[c.slice.Table]
	if t == nil {
		t = &tableRows{first: c}
		if t.rows, err = newRowComparer(withoutSort(c.schema)); err != nil {
			return c.corrupt(err.Error())
		}
		h.tables[c.slice.Table] = t
	}
	if !t.first.schema.Equal(c.schema) {
		return finalError{fmt.Errorf("%s and %s, both of table %s, have other columns: %v, %v",
			t.first.slice.URI, c.slice.URI, c.slice.Table, t.first.schema.Fields(), c.schema.Fields())}
	}
	return nil
}

func (h *cursorHeap) less(a, b *cursor) bool {
	if d := bytes.Compare(a.key, b.key); d != 0 {
		return d < 0
	}
	if a.slice.Table != b.slice.Table {
		return a.slice.Table < b.slice.Table
	}
	return h.tables[a.slice.Table].rows.compare(a.batch, a.row, b.batch, b.row) < 0
}

// down moves cursor i to its place below.
func (h *cursorHeap) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(h.cursors) {
			return
		}
		if r := least + 1; r < len(h.cursors) && h.less(h.cursors[r], h.cursors[least]) {
			least = r
		}
		if !h.less(h.cursors[least], h.cursors[i]) {
			return
		}
		h.cursors[i], h.cursors[least] = h.cursors[least], h.cursors[i]
		i = least
	}
}

func (h *cursorHeap) close() (err error) {
	for _, c := range h.cursors {
		err = errors.Join(err, c.close())
	}
	return err
}
