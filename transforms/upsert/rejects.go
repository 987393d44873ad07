package upsert

import (
	"context"
	"path"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// rejectWriter writes what a sink refuses of one shard into parts of the
// stage. They count only once load commits; those of a try that fails are
// dropped.
type rejectWriter struct {
	ctx   context.Context
	lake  lakeio.Lake
	stage string
	now   harrow.Clock
	rows  *lakeio.Builder[harrow.Reject]
	part  *lakeio.PartWriter
	done  []harrow.Part
}

func newRejectWriter(ctx context.Context, l lakeio.Lake, stage string, now harrow.Clock) *rejectWriter {
	return &rejectWriter{ctx: ctx, lake: l, stage: stage, now: now}
}

func (w *rejectWriter) add(r harrow.Reject) error {
	if w.rows == nil {
		w.rows = lakeio.Rejects.NewBuilder()
	}
	r.Stage, r.At = "load", w.now().UTC()
	w.rows.Append(r)
	if w.rows.Full() {
		return w.flush()
	}
	return nil
}

func (w *rejectWriter) flush() (err error) {
	if w.part == nil {
		uri := path.Join(w.lake.Stage(w.stage), lakeio.Rejects.Name(), uuid.NewString()+".arrow")
		if w.part, err = lakeio.NewPart(w.ctx, w.lake.Store, uri, lakeio.Rejects.Schema(), lakeio.Zstd); err != nil {
			return err
		}
	}
	b := w.rows.Batch()
	defer b.Release()
	if err := w.part.Write(b); err != nil {
		return err
	}
	if w.part.Raw() >= lakeio.PartBytes {
		return w.finish()
	}
	return nil
}

func (w *rejectWriter) finish() error {
	part, err := w.part.Close()
	w.part = nil
	w.done = append(w.done, part)
	return err
}

// close returns the parts; none without rejects.
func (w *rejectWriter) close() ([]harrow.Part, error) {
	if w.rows != nil && w.rows.Rows() > 0 {
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
	if w.part != nil {
		if err := w.finish(); err != nil {
			return nil, err
		}
	}
	return w.done, nil
}

// abort frees what close left.
func (w *rejectWriter) abort() {
	if w.part != nil {
		w.part.Abort()
	}
	if w.rows != nil {
		w.rows.Release()
	}
}
