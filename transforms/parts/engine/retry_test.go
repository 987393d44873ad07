package engine

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harrowdata/harrow"
)

// TestWhatWaitsForItsNextTryHoldsNothing fills the pool with tasks that wait
// for an hour: others run meanwhile, with the memory these have given back.
func TestWhatWaitsForItsNextTryHoldsNothing(t *testing.T) {
	w := newTestWorker(t)
	part := writeItems(t, w, someItems(1, 10), 10)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w.backoff = []time.Duration{time.Hour}
		g := NewGroup[harrow.Part](ctx)
		for range 3 * runtime.GOMAXPROCS(0) {
			g.Go(w.Map(step(`{"Fail":"process"}`), part))
		}
		synctest.Wait()
		if n := w.batches.Used(); n != 0 {
			t.Errorf("%d bytes are held by tasks that wait", n)
		}
		other := NewGroup[int](t.Context())
		other.Go(func(context.Context) ([]int, error) { return []int{1}, nil })
		sum := 0
		if err := other.Drain(func(i int) { sum += i }); err != nil || sum != 1 {
			t.Errorf("beside them: %d, %v", sum, err)
		}
		cancel()
		if err := g.Drain(func(harrow.Part) {}); !errors.Is(err, errTest) || !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the operator's and the context's", err)
		}
	})
	cpu.mu.Lock()
	defer cpu.mu.Unlock()
	if cpu.running < 0 || len(cpu.queue) > 0 {
		t.Errorf("%d run and %d wait in the pool when all is over", cpu.running, len(cpu.queue))
	}
}

func TestWhatWasTriedEnoughIsNotTriedAgainAbove(t *testing.T) {
	tries := 0
	backoff := make([]time.Duration, 3)
	err := Retry(t.Context(), backoff, func() error {
		return Retry(t.Context(), backoff, func() error { tries++; return errTest })
	})
	if tries != 4 || !errors.Is(err, errTest) {
		t.Errorf("%d tries, %v; want 4", tries, err)
	}
}
