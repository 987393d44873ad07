package parquetio

import (
	"fmt"
	"iter"
	"runtime"
	"testing"

	"github.com/harrowdata/harrow"
)

// What a load holds doesn't grow with its shard, whether all rows are in one
// folder or in hundreds.
func TestALoadHoldsTheSameWhateverTheShard(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about values")
	}
	const bound = 24 << 20 // a batch, 8 MiB of rows, their copy and what is encoded of it
	for _, by := range [][]string{{"_run"}, {"genre", "_run"}} {
		var live [3]int64 // the first warms up what a process has once
		for i, n := range []int{8_000, 40_000, 400_000} {
			s := newSink(t, t.TempDir(), by...)
			var most int64
			shard := shardOf(t, shelf, run1)
			shard.Batches = func() iter.Seq2[harrow.Batch, error] { return generated(t, n, &most) }
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			load(t, s, shard, added(int64(n)))
			live[i] = most - int64(before.HeapAlloc)
			t.Logf("%v, %d rows: %d KiB", by, n, live[i]>>10)
			if live[i] > bound {
				t.Errorf("%v, %d rows: %d bytes are held; want at most %d", by, n, live[i], bound)
			}
		}
		if live[2] > live[1]+4<<20 {
			t.Errorf("%v: ten times the rows hold %d bytes, want about %d", by, live[2], live[1])
		}
	}
}

// generated yields n rows of shelf in batches and notes how much is live
// between them.
func generated(t testing.TB, n int, most *int64) iter.Seq2[harrow.Batch, error] {
	return func(yield func(harrow.Batch, error) bool) {
		const size = 4000
		for first := 0; first < n; first += size {
			var data [][]any
			for i := range size {
				data = append(data, []any{fmt.Sprintf("book number %09d of a long shelf", first+i), fmt.Sprint("genre ", (first+i)%300), int64(i)})
			}
			for b, err := range batches(t, shelf, run1, size, data)() {
				data = nil
				if !yield(b, err) {
					return
				}
				if first/size%3 == 0 {
					var m runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&m)
					*most = max(*most, int64(m.HeapAlloc))
				}
			}
		}
	}
}
