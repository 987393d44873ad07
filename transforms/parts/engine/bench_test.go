package engine

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
)

// BenchmarkShuffle spills and merges 200,000 rows of about 350 bytes and keeps
// the first of each key, in the memory of a limit of 64 MiB.
func BenchmarkShuffle(b *testing.B) {
	for _, shards := range []int{1, 16} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			w := newTestWorker(b)
			budget, err := memory.New(64 << 20)
			if err != nil {
				b.Fatal(err)
			}
			w.batches, w.shuffle = budget.Batches, budget.Shuffle
			items := make([]item, 200_000)
			for i := range items {
				items[i] = item{fmt.Sprintf("key-%08d", i*7919%150_000), int64(i), fmt.Sprintf("%x", i*2654435761) + strings.Repeat("lorem ipsum ", 15)}
			}
			parts := writeParts(b, w, items, 4, 4096)
			b.SetBytes(partsRaw(parts))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				sliced, err := runTasks(b, w.Spill(Key{Columns: []string{"key"}, Order: []string{"n"}, Shards: shards}, Step{}, parts)...)
				if err != nil {
					b.Fatal(err)
				}
				var tasks []Task[harrow.Part]
				for shard, s := range byShard(sliced) {
					tasks = append(tasks, w.Merge(Step{Operator: "group"}, shard, s, shards))
				}
				if _, err := runTasks(b, tasks...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(items))/b.Elapsed().Seconds(), "rows/s")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapSys>>20), "MiB-heap")
		})
	}
}

func partsRaw(parts []harrow.Part) (n int64) {
	for _, p := range parts {
		n += p.Raw
	}
	return n
}
