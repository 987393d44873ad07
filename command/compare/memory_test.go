package compare_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/compare"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

// many commits n rows whose order is not that of their key; every tenth has
// another price in another edition.
func (s *shelf) many(l lakeio.Lake, n, edition int) {
	s.t.Helper()
	rtype := harrow.RecordType{Name: "book", Columns: columns("upc:text title:text price:int")}
	b := lakeio.NewRecordBuilder(rtype)
	defer b.Release()
	w, err := lakeio.NewPart(s.t.Context(), s.store, l.Stage("refine")+"/book/many.arrow", lakeio.RecordSchema(rtype), lakeio.LZ4)
	check(s.t, err)
	for i := range n {
		k := i * 7919 % n
		price := int64(k)
		if k%10 == 0 {
			price += int64(edition)
		}
		check(s.t, b.Append([]any{fmt.Sprintf("%015d", k), fmt.Sprintf("a book whose title is as long as titles are, number %d", k), price},
			lakeio.Origin{ID: harrow.ID{byte(k), byte(k >> 8), byte(k >> 16)}, URL: fmt.Sprintf("http://books.example/catalogue/%d/index.html", k), Rule: "book", FetchedAt: begun, Run: l.Run}))
		if b.Full() || i+1 == n {
			batch := b.Batch()
			check(s.t, w.Write(batch))
			batch.Release()
		}
	}
	p, err := w.Close()
	check(s.t, err)
	s.commit(l, "refine", p)
}

// peak is the most memory that f had mapped of the heap, its garbage included.
func peak(f func()) uint64 {
	runtime.GC()
	debug.FreeOSMemory()
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		most := uint64(0)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(sample)
			most = max(most, sample[0].Value.Uint64())
			select {
			case <-stop:
				done <- most
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(stop)
	return <-done
}

// Rows of 300 bytes: a hundred thousand of them are 30 MB a side.
func TestMemoryIsTheSameWhateverTheRows(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about memory")
	}
	const bound = 64<<20 + 64<<20 // limits.memory, which is the least there is, and its garbage
	var peaks []uint64
	sizes := []int{15_000, 120_000}
	if os.Getenv("HARROW_SOAK") != "" {
		sizes = []int{100_000, 1_000_000}
	}
	for _, n := range sizes {
		s := newShelf(t)
		a, b := s.run([]string{"upc"}), s.run([]string{"upc"})
		s.many(a, n, 0)
		s.many(b, n, 1)
		first, second := s.find(a), s.find(b)
		var sum compare.Summary
		most := peak(func() {
			var rows lines
			d, err := compare.Runs(t.Context(), first, second, compare.Query{}, view.Output{W: &rows, Format: view.JSON}, false)
			check(t, err)
			check(t, d.Write())
			check(t, d.Close())
			sum = d.Summary
			if rows != lines(1+n/10) {
				t.Errorf("%d lines are written for %d rows that differ", rows, n/10)
			}
		})
		t.Logf("%d rows a side: peak %d MiB", n, most>>20)
		if r := sum.Records[0]; r.Equal != int64(n-n/10) || r.Changed != int64(n/10) || r.Fields["price"] != int64(n/10) {
			t.Errorf("%+v", r)
		}
		if most > bound {
			t.Errorf("%d rows a side took %d MiB; want at most %d", n, most>>20, bound>>20)
		}
		peaks = append(peaks, most)
	}
	if peaks[1] > peaks[0]+32<<20 {
		t.Errorf("the larger took %d MiB more", (peaks[1]-peaks[0])>>20)
	}
}

// lines counts lines.
type lines int

func (l *lines) Write(p []byte) (int, error) {
	*l += lines(strings.Count(string(p), "\n"))
	return len(p), nil
}
