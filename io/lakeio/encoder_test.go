package lakeio

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"unsafe"

	"github.com/harrowdata/harrow"
)

// encoderOf is the encoder that a writer has now, nil for none.
func encoderOf(t *testing.T, w *PartWriter) unsafe.Pointer {
	t.Helper()
	c := compressorsOf(w.file.ipc)
	if c == nil || len(*c) != 1 {
		t.Fatal("ipc.FileWriter has no field compressors with one element any more: nothing is lent")
	}
	return (*c)[0][1]
}

func writerWith(t *testing.T, s Store, uri string, rows []harrow.Body) *PartWriter {
	t.Helper()
	w, err := NewPart(t.Context(), s, uri, Bodies.Schema(), Zstd)
	check(t, err)
	b := Bodies.NewBuilder()
	defer b.Release()
	for _, r := range rows {
		b.Append(r)
	}
	batch := b.Batch()
	defer batch.Release()
	check(t, w.Write(batch))
	return w
}

func TestEncodersAreLent(t *testing.T) {
	s := openTemp(t)
	for name, end := range map[string]func(*PartWriter){
		"closed":  func(w *PartWriter) { _, err := w.Close(); check(t, err) },
		"aborted": (*PartWriter).Abort,
	} {
		lent := false
		for range 200 { // the pool may drop one, at a collection or to show races
			w := writerWith(t, s, "a.arrow", bodies(3))
			had := encoderOf(t, w)
			if had == nil {
				t.Fatal("a writer that wrote has no encoder where we look for it")
			}
			end(w)
			if encoderOf(t, w) != nil {
				t.Fatalf("a writer that was %s keeps its encoder", name)
			}
			next, err := NewPart(t.Context(), s, "b.arrow", Bodies.Schema(), Zstd)
			check(t, err)
			lent = encoderOf(t, next) == had
			next.Abort()
			if lent {
				break
			}
		}
		if !lent {
			t.Errorf("the encoder of a writer that was %s is never used again", name)
		}
	}
}

func TestEncodersOfFailuresAreDropped(t *testing.T) {
	s := openTemp(t)
	w := writerWith(t, s, "a.arrow", bodies(3))
	had := encoderOf(t, w)
	if err := w.Write(harrow.NewBatch(oddRecord{})); err == nil {
		t.Fatal("want a failure")
	}
	if _, err := w.Close(); err == nil {
		t.Fatal("want a failure")
	}
	w.Abort()
	if encoderOf(t, w) != had {
		t.Error("the encoder of a write that failed was given back")
	}
}

func TestWritersNeverShareAnEncoder(t *testing.T) {
	s := openTemp(t)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 10 {
				uri := func(n int) string { return fmt.Sprintf("%d-%d-%d.arrow", g, i, n) }
				a, b := writerWith(t, s, uri(0), bodies(50+g)), writerWith(t, s, uri(1), bodies(60+g))
				if encoderOf(t, a) == encoderOf(t, b) {
					t.Error("two open writers have one encoder")
				}
				a.Abort()
				part, err := b.Close()
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				for r, err := range ReadRows(t.Context(), s, Bodies, part) {
					if want := bodies(60 + g)[n]; err != nil || string(r.Body) != string(want.Body) {
						t.Errorf("row %d: %q, %v, want %q", n, r.Body, err, want.Body)
						return
					}
					n++
				}
			}
		})
	}
	all.Wait()
}

func TestLZ4WritersTakeNoEncoder(t *testing.T) {
	returnEncoder(writerWith(t, openTemp(t), "a.arrow", bodies(3)).file.ipc) // one is there
	w, err := newFileWriter(io.Discard, Bodies.Schema(), LZ4)
	check(t, err)
	if c := compressorsOf(w.ipc); (*c)[0][1] != nil {
		t.Error("an lz4 writer was lent a zstd encoder")
	}
}
