// Package rows is where the benchmarks get generated rows from: a stage's
// parts, as parse would have committed them.
package rows

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// PartRows is how many rows a part has.
const PartRows = 250_000

// Row makes row i: its values and where it is said to come from.
type Row func(i int64) (values []any, o lakeio.Origin)

// Commit writes n rows as the parts of stage parse and commits them; it
// returns the mean size of a row, in bytes.
func Commit(ctx context.Context, lake lakeio.Lake, t harrow.RecordType, n int64, row Row) (rowBytes int64, err error) {
	parts := make([]harrow.Part, (n+PartRows-1)/PartRows)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for k := range parts {
		group.Go(func() (err error) {
			first := int64(k) * PartRows
			parts[k], err = writePart(gctx, lake, t, first, min(first+PartRows, n), row)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	raw := int64(0)
	for _, p := range parts {
		raw += p.Raw
	}
	_, err = lake.Commit(ctx, "parse", parts, nil, time.Now())
	return raw / n, err
}

func writePart(ctx context.Context, lake lakeio.Lake, t harrow.RecordType, first, end int64, row Row) (part harrow.Part, err error) {
	uri := lake.Stage("parse") + "/" + lakeio.RecordsPrefix + t.Name + "/" + uuid.NewString() + ".arrow"
	w, err := lakeio.NewPart(ctx, lake.Store, uri, lakeio.RecordSchema(t), lakeio.Zstd)
	if err != nil {
		return part, err
	}
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	b := lakeio.NewRecordBuilder(t)
	defer b.Release()
	for i := first; i < end; i++ {
		if err := b.Append(row(i)); err != nil {
			return part, err
		}
		if b.Full() || i == end-1 {
			batch := b.Batch()
			err := w.Write(batch)
			batch.Release()
			if err = errors.Join(err, ctx.Err()); err != nil {
				return part, err
			}
		}
	}
	return w.Close()
}

// Mix is the finaliser of splitmix64: a cheap permutation that looks random.
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
