package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// ReadSlices calls fn with the batches of a shard's slices, without the sort
// key, in the order of their files: sorted within a slice, not across slices.
// A batch is valid until fn returns. An error names its file.
func ReadSlices(ctx context.Context, lake lakeio.Lake, shardSlices []Slice, fn func(harrow.Batch) error) error {
	sorted := slices.Clone(shardSlices)
	slices.SortFunc(sorted, func(a, b Slice) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.URI, b.URI), cmp.Compare(a.First, b.First))
	})
	for _, s := range sorted {
		if err := readSlice(ctx, lake.Store, s, fn); err != nil {
			return err
		}
	}
	return nil
}

func readSlice(ctx context.Context, store lakeio.Store, s Slice, fn func(harrow.Batch) error) (err error) {
	c, err := openCursor(ctx, store, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	plain := withoutSort(c.schema)
	for c.key != nil {
		rec := array.NewRecord(plain, c.batch.Arrow().Columns()[:plain.NumFields()], int64(c.batch.Rows()))
		err := fn(harrow.NewBatch(rec))
		rec.Release()
		if err == nil {
			err = c.load(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
