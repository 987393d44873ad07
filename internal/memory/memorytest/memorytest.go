// Package memorytest is for tests that hold what they test to the memory it may
// take.
package memorytest

import "runtime"

// LiveHeap is how many bytes of the heap are reachable now. Whoever compares two
// of them keeps what it measures alive until after the second.
func LiveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
