// Package laketest writes parts for tests, as a stage that went before would
// have.
package laketest

import (
	"context"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// T is a test of testing or of rapid.
type T interface {
	Helper()                  // as that of testing.TB
	Fatal(args ...any)        // ends the test
	Context() context.Context // over when the test is
}

// Write writes a batch, which stays the caller's, as a part at uri.
func Write(t T, s lakeio.Store, uri string, batch harrow.Batch) harrow.Part {
	t.Helper()
	w, err := lakeio.NewPart(t.Context(), s, uri, batch.Arrow().Schema(), lakeio.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	part, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return part
}

// WriteRows writes rows of a table as a part at uri.
func WriteRows[R any](t T, s lakeio.Store, uri string, table *lakeio.Table[R], rows ...R) harrow.Part {
	t.Helper()
	b := table.NewBuilder()
	defer b.Release()
	for _, r := range rows {
		b.Append(r)
	}
	batch := b.Batch()
	defer batch.Release()
	return Write(t, s, uri, batch)
}
