// Package memorytest is for tests that hold what they test to the memory it may
// take.
package memorytest

import (
	"runtime"
	"runtime/metrics"
)

// LiveHeap is how many bytes of the heap are reachable now, without the garbage
// that others have made since: on a busy machine that is much. Whoever compares
// two of them keeps what it measures alive until after the second.
func LiveHeap() int64 {
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}
