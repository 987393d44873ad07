package rows

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
)

// Memory gives memory to batches. What is given back is overwritten, so that
// who still reads it sees that; what isn't is counted.
type Memory struct {
	mu   sync.Mutex
	held int
	from memory.GoAllocator
}

// Allocate implements memory.Allocator.
func (m *Memory) Allocate(size int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held += size
	return m.from.Allocate(size)
}

// Reallocate implements memory.Allocator: always to another place.
func (m *Memory) Reallocate(size int, b []byte) []byte {
	fresh := m.Allocate(size)
	copy(fresh, b)
	m.Free(b)
	return fresh
}

// Free implements memory.Allocator.
func (m *Memory) Free(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held -= len(b)
	for i := range b {
		b[i] = 0xAA
	}
}

// Held is what was not given back, in bytes.
func (m *Memory) Held() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

// take copies a batch into the memory.
func (m *Memory) take(b harrow.Batch) (harrow.Batch, error) {
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(b.Arrow().Schema()))
	if err := w.Write(b.Arrow()); err != nil {
		return harrow.Batch{}, err
	}
	if err := w.Close(); err != nil {
		return harrow.Batch{}, err
	}
	r, err := ipc.NewReader(&buf, ipc.WithAllocator(m))
	if err != nil {
		return harrow.Batch{}, err
	}
	defer r.Release()
	if !r.Next() {
		return harrow.Batch{}, fmt.Errorf("a batch of %d rows is lost: %v", b.Rows(), r.Err())
	}
	rec := r.Record()
	rec.Retain()
	return harrow.NewBatch(rec), nil
}
