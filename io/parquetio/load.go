package parquetio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// loader loads one shard: rows are gathered, then each folder's are written as
// a row group of its file.
type loader struct {
	sink    *Sink
	store   lakeio.Store
	shard   harrow.Shard
	columns []harrow.Column
	schema  *arrow.Schema
	attempt string // names the files of this attempt

	part   partitioner
	rows   *lakeio.RowCopier
	groups map[string]*group // of the rows gathered
	open   map[string]*fileWriter
	files  []file // that are complete
	begun  int
	counts harrow.Counts
}

// group is the rows of one folder among those gathered.
type group struct {
	folder, description string
	rows                []int
}

func newLoader(s *Sink, shard harrow.Shard) (*loader, error) {
	if len(shard.Key) == 0 {
		shard.Key = []string{"_id", "_ordinal"}
	}
	if shard.Reject == nil {
		shard.Reject = func(harrow.Reject) error { return nil }
	}
	if err := s.checkType(shard.Record); err != nil {
		return nil, err
	}
	l := &loader{sink: s, shard: shard, columns: shard.Record.AllColumns(), schema: s.fileSchema(shard.Record), attempt: uuid.NewString(),
		groups: map[string]*group{}, open: map[string]*fileWriter{}}
	find := func(name string) (harrow.Column, error) {
		i := slices.IndexFunc(l.columns, func(c harrow.Column) bool { return c.Name == name })
		if i < 0 {
			return harrow.Column{}, fmt.Errorf("%q is no column of the record", name)
		}
		return l.columns[i], nil
	}
	for _, name := range shard.Key {
		if _, err := find(name); err != nil {
			return nil, fmt.Errorf("the key: %w", err)
		}
	}
	l.part = partitioner{record: shard.Record.Name, key: shard.Key}
	for _, name := range s.partitionBy {
		c, err := find(name)
		if err != nil {
			return nil, err // unreachable: checkType has looked
		}
		l.part.columns = append(l.part.columns, c)
	}
	return l, nil
}

func (l *loader) load(ctx context.Context) (_ harrow.Counts, err error) {
	if l.store, err = l.sink.open(); err != nil {
		return l.counts, err
	}
	m, ok, err := marked(ctx, l.store, l.shard)
	if err != nil {
		return l.counts, err
	}
	if ok {
		return m.Counts, l.repeatRejects(ctx, m)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.drop(context.WithoutCancel(ctx)))
		}
	}()
	if err := l.write(ctx); err != nil {
		return l.counts, err
	}
	return l.mark(ctx)
}

// mark makes this attempt the one that counts, unless there is one already.
// From here on its files go only when another's mark was read: a mark may be
// there although writing it failed.
func (l *loader) mark(ctx context.Context) (harrow.Counts, error) {
	m := markOf(l.shard)
	m.Counts, m.Files = l.counts, l.files
	l.files = nil
	created := create(ctx, l.store, markURI(l.shard), m)
	if created != nil && !errors.Is(created, lakeio.ErrExists) {
		return l.counts, created
	}
	// Another attempt may have come first, and its run be published meanwhile.
	winner, ok, err := marked(ctx, l.store, l.shard)
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w: it was written a moment ago", markURI(l.shard), lakeio.ErrNotFound)
	}
	if err != nil {
		return l.counts, err
	}
	if len(winner.Files) > 0 && !strings.Contains(winner.Files[0].Staged, l.attempt) {
		l.files = m.Files
		err = l.drop(ctx)
		if created == nil { // it is published: the mark is beside what counts
			err = errors.Join(err, l.store.Delete(ctx, markURI(l.shard)))
		}
	}
	return winner.Counts, err
}

// repeatRejects hands the rejects of a marked shard on: the process that
// loaded it may have died before its own were committed.
func (l *loader) repeatRejects(ctx context.Context, m mark) error {
	if m.Counts.Rejected == 0 {
		return nil
	}
	return l.each(ctx, func(b harrow.Batch) error {
		for row := range b.Rows() {
			if why, refused := l.part.refusal(row); refused {
				if err := l.shard.Reject(l.part.reject(b, row, why)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// each hands the shard's batches to f.
func (l *loader) each(ctx context.Context, f func(harrow.Batch) error) error {
	for b, err := range l.shard.Batches() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		l.part.begin(b)
		if err := f(b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (l *loader) write(ctx context.Context) (err error) {
	if l.rows, err = lakeio.NewRowCopier(l.schema); err != nil {
		return err
	}
	defer l.rows.Release()
	if err := l.each(ctx, func(b harrow.Batch) error { return l.batch(ctx, b) }); err != nil {
		return err
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(l.open)) {
		if err := l.finish(ctx, id, l.open[id]); err != nil {
			return err
		}
	}
	return nil
}

// batch gathers the rows of a batch.
func (l *loader) batch(ctx context.Context, in harrow.Batch) error {
	b, err := project(l.schema, l.columns, in)
	if err != nil {
		return err
	}
	defer b.Release()
	for row := range in.Rows() {
		if why, refused := l.part.refusal(row); refused {
			l.counts.Rejected++
			if err := l.shard.Reject(l.part.reject(in, row, why)); err != nil {
				return err
			}
			continue
		}
		id := l.part.identify(row)
		g, ok := l.groups[string(id)]
		if !ok {
			g = &group{}
			g.folder, g.description = l.part.folder(row)
			l.groups[string(id)] = g
		}
		g.rows = append(g.rows, l.rows.Rows())
		l.rows.Append(b, row)
		l.counts.Added++
		if l.rows.Bytes() >= l.sink.limits.rowBytes {
			if err := l.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the rows gathered.
func (l *loader) flush(ctx context.Context) error {
	if l.rows.Rows() == 0 {
		return nil
	}
	b := l.rows.Batch()
	defer b.Release()
	for _, id := range slices.Sorted(maps.Keys(l.groups)) {
		if err := l.writeGroup(ctx, id, l.groups[id], b); err != nil {
			return err
		}
	}
	clear(l.groups)
	return nil
}

func (l *loader) writeGroup(ctx context.Context, id string, g *group, b harrow.Batch) (err error) {
	w, kept := l.open[id]
	if !kept {
		if w, err = l.begin(ctx, g); err != nil {
			return err
		}
		l.open[id] = w
	}
	if err := l.writeRows(w, g.rows, b); err != nil {
		return err
	}
	if !kept && len(l.open) > l.sink.limits.openFiles || w.raw >= l.sink.limits.fileBytes {
		return l.finish(ctx, id, w)
	}
	return nil
}

func (l *loader) writeRows(w *fileWriter, rows []int, b harrow.Batch) error {
	if len(rows) == b.Rows() {
		return w.write(b)
	}
	some, err := lakeio.NewRowCopier(l.schema)
	if err != nil {
		return err
	}
	defer some.Release()
	for _, row := range rows {
		some.Append(b, row)
	}
	few := some.Batch()
	defer few.Release()
	return w.write(few)
}

// begin starts a file of a folder.
func (l *loader) begin(ctx context.Context, g *group) (*fileWriter, error) {
	if l.begun == l.sink.limits.files {
		return nil, fmt.Errorf("partition_by %s makes more than %d files of one shard; want columns of fewer values", strings.Join(l.sink.partitionBy, ", "), l.begun)
	}
	f := file{Staged: stagedURI(l.shard, l.attempt, l.begun), URI: finalURI(l.shard, g.folder, l.begun)}
	l.begun++
	return newFile(ctx, l.store, f, l.schema, l.sink.metadata(l.shard, g.description))
}

func (l *loader) finish(ctx context.Context, id string, w *fileWriter) error {
	delete(l.open, id)
	f, err := w.close(ctx, l.store)
	if err == nil {
		l.files = append(l.files, f)
	}
	return err
}

// drop removes what this attempt wrote.
func (l *loader) drop(ctx context.Context) error {
	var errs []error
	for _, w := range l.open {
		w.abort()
	}
	for _, f := range l.files {
		errs = append(errs, l.store.Delete(ctx, f.Staged))
	}
	return errors.Join(errs...)
}
