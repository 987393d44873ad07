package lakeio

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
)

const (
	// PagesStage is the last step of fetch: it commits a version of the table
	// pages, named by the run.
	PagesStage = "pages"
	// PagesBatchRows is the most rows of a batch of the table pages. All parts
	// of a version are read side by side, a batch of each in memory.
	PagesBatchRows = 512
)

// CurrentPages is the job's newest version of pages: the greatest run id that
// committed one; "" where there is none.
func CurrentPages(ctx context.Context, s Store, job string) (run string, err error) {
	names, err := s.List(ctx, path.Join(job, PagesStage)+"/")
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	for _, n := range slices.Backward(names) {
		id, isDir := strings.CutSuffix(n, "/")
		if !isDir || uuid.Validate(id) != nil {
			continue
		}
		done, err := Lake{Store: s, Job: job, Run: id}.Committed(ctx, PagesStage)
		if err != nil {
			return "", err
		}
		if done {
			return id, nil
		}
	}
	return "", nil
}

// EachPage hands the rows of the lake's run's version of pages to do, sorted
// by id across its parts. It holds a batch of each shard. Text of a row is
// valid until do returns. A version that is not there has no rows.
func (l Lake) EachPage(ctx context.Context, do func(harrow.PageState) error) (err error) {
	m, err := l.Manifest(ctx, PagesStage)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	h, err := l.pageCursors(ctx, m.TablesOf(Pages.Name()))
	defer func() {
		for _, c := range h {
			err = errors.Join(err, c.close())
		}
	}()
	if err != nil {
		return err
	}
	heap.Init(&h)
	for len(h) > 0 {
		c := h[0]
		if err := do(c.rows[c.at]); err != nil {
			return err
		}
		if err := c.next(); err != nil {
			return err
		}
		if len(c.rows) > 0 {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h) // it has closed its last part
		}
	}
	return nil
}

// pageCursors opens a cursor for each shard that has rows. Those opened before
// an error are the caller's to close.
func (l Lake) pageCursors(ctx context.Context, parts []harrow.Part) (h pageHeap, err error) {
	shards := map[int][]harrow.Part{}
	for _, p := range parts {
		shards[p.Shard] = append(shards[p.Shard], p)
	}
	for _, list := range shards {
		if err := l.inOrder(ctx, list); err != nil {
			return h, err
		}
		c := &pageCursor{ctx: ctx, store: l.Store, parts: list}
		h = append(h, c)
		if err := c.load(); err != nil {
			return h, err
		}
		if len(c.rows) == 0 {
			h = h[:len(h)-1]
		}
	}
	return h, nil
}

// inOrder sorts a shard's parts by their first id: each is sorted, and goes on
// where another ended.
func (l Lake) inOrder(ctx context.Context, parts []harrow.Part) error {
	if len(parts) < 2 {
		return nil
	}
	first := map[string]harrow.ID{}
	for _, p := range parts {
		c := &pageCursor{ctx: ctx, store: l.Store, parts: []harrow.Part{p}}
		err := c.load()
		if err == nil && len(c.rows) > 0 {
			first[p.URI] = c.rows[0].ID
		}
		if err = errors.Join(err, c.close()); err != nil {
			return err
		}
	}
	slices.SortFunc(parts, func(a, b harrow.Part) int { return compareIDs(first[a.URI], first[b.URI]) })
	return nil
}

func compareIDs(a, b harrow.ID) int { return bytes.Compare(a[:], b[:]) }

// pageCursor walks parts of pages, one after the other.
type pageCursor struct {
	ctx   context.Context
	store Store
	parts []harrow.Part // in, if it is open, and those to come

	in    *PartReader
	read  int   // batches of in
	seen  int64 // rows of in
	batch harrow.Batch
	rows  []harrow.PageState // of batch; none: all parts are at their end
	at    int
	last  harrow.ID
}

func (c *pageCursor) next() error {
	if c.at++; c.at < len(c.rows) {
		return nil
	}
	return c.load()
}

// load decodes the next batch that has rows.
func (c *pageCursor) load() error {
	c.rows, c.at = c.rows[:0], 0
	for len(c.rows) == 0 && len(c.parts) > 0 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		c.release()
		part := c.parts[0]
		var err error
		switch {
		case c.in == nil:
			c.read, c.seen = 0, 0
			c.in, err = OpenPart(c.ctx, c.store, part.URI, part.Table)
		case c.read == c.in.Batches():
			if c.seen != part.Rows {
				return fmt.Errorf("%s: %w: has %d rows, want %d", part.URI, ErrCorrupt, c.seen, part.Rows)
			}
			c.parts = c.parts[1:]
			err = c.close()
		default:
			err = c.decode(part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decode reads a batch.
func (c *pageCursor) decode(part harrow.Part) error {
	b, err := c.in.Batch(c.read)
	if err != nil {
		return err
	}
	c.batch, c.read, c.seen = b, c.read+1, c.seen+int64(b.Rows())
	for _, r := range Pages.Rows(b) {
		if compareIDs(c.last, r.ID) >= 0 {
			return fmt.Errorf("%s: %w: id %s comes after %s", part.URI, ErrCorrupt, r.ID, c.last)
		}
		c.last = r.ID
		c.rows = append(c.rows, r)
	}
	return nil
}

func (c *pageCursor) release() {
	if c.batch.Arrow() != nil {
		c.batch.Release()
		c.batch = harrow.Batch{}
	}
}

func (c *pageCursor) close() error {
	c.release()
	in := c.in
	if c.in = nil; in == nil {
		return nil
	}
	return in.Close()
}

// pageHeap has the cursor with the least id first.
type pageHeap []*pageCursor

func (h pageHeap) Len() int { return len(h) }
func (h pageHeap) Less(i, j int) bool {
	return compareIDs(h[i].rows[h[i].at].ID, h[j].rows[h[j].at].ID) < 0
}
func (h pageHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *pageHeap) Push(x any)   { *h = append(*h, x.(*pageCursor)) }
func (h *pageHeap) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}
