package round

import (
	"context"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// tableWriter gathers the rows of one table of a roll; a table without rows
// has no file.
type tableWriter[R any] struct {
	lake  lakeio.Lake
	uri   string
	table *lakeio.Table[R]
	b     *lakeio.Builder[R]
	w     *lakeio.PartWriter
}

func (t *tableWriter[R]) init(l lakeio.Lake, uri string, table *lakeio.Table[R]) {
	t.lake, t.uri, t.table = l, uri, table
}

func (t *tableWriter[R]) append(r R) {
	if t.b == nil {
		t.b = t.table.NewBuilder()
	}
	t.b.Append(r)
}

func (t *tableWriter[R]) bytes() int64 {
	if t.b == nil {
		return 0
	}
	return t.b.Bytes()
}

func (t *tableWriter[R]) flushFull(ctx context.Context) (int64, error) {
	if t.b == nil || !t.b.Full() {
		return 0, nil
	}
	n := t.b.Bytes()
	return n, t.flush(ctx)
}

func (t *tableWriter[R]) flush(ctx context.Context) (err error) {
	if t.w == nil {
		if t.w, err = lakeio.NewPart(ctx, t.lake.Store, t.uri, t.table.Schema(), lakeio.Zstd); err != nil {
			return err
		}
	}
	batch := t.b.Batch()
	defer batch.Release()
	return t.w.Write(batch)
}

func (t *tableWriter[R]) close(ctx context.Context) (*harrow.Part, error) {
	if t.b == nil {
		return nil, nil
	}
	defer func() { t.b.Release(); t.b = nil }()
	if t.b.Rows() > 0 {
		if err := t.flush(ctx); err != nil {
			return nil, err
		}
	}
	w := t.w
	t.w = nil
	part, err := w.Close()
	return &part, err
}

func (t *tableWriter[R]) abort() {
	if t.w != nil {
		t.w.Abort()
	}
	if t.b != nil {
		t.b.Release()
		t.b = nil
	}
}
