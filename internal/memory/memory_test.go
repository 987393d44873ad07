package memory

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSharesAddUpToTheLimit(t *testing.T) {
	if sum := BodiesPercent + BatchesPercent + ShufflePercent + SeenPercent + RobotsPercent; sum != 100 {
		t.Fatalf("percentages add up to %d", sum)
	}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(MinLimit, 1<<62).Draw(t, "limit")
		b, err := New(limit)
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, s := range []*Share{b.Bodies, b.Batches, b.Shuffle, b.Seen, b.Robots} {
			if s.Size() < limit/100*3 {
				t.Fatalf("share of %d bytes out of %d", s.Size(), limit)
			}
			sum += s.Size()
		}
		if sum > limit || limit-sum > 5 {
			t.Fatalf("shares add up to %d of %d", sum, limit)
		}
	})
}

func TestNewRefusesTooLittle(t *testing.T) {
	for _, limit := range []int64{-1, 0, MinLimit - 1} {
		if _, err := New(limit); err == nil {
			t.Errorf("New(%d) gave no error", limit)
		}
	}
}

func TestForIsOnePerLimit(t *testing.T) {
	if For(MinLimit) != For(MinLimit) {
		t.Error("the same limit gave two budgets")
	}
	if For(MinLimit) == For(2*MinLimit) {
		t.Error("different limits gave one budget")
	}
	if For(1) != For(MinLimit) {
		t.Error("a limit that is too small is not the least one")
	}
}

func TestAcquireOfMoreThanTheShareFailsAtOnce(t *testing.T) {
	s := NewShare("test", 100)
	for _, n := range []int64{101, -1} {
		if err := s.Acquire(t.Context(), n); err == nil {
			t.Errorf("Acquire(%d) gave no error", n)
		}
		if s.TryAcquire(n) {
			t.Errorf("TryAcquire(%d) succeeded", n)
		}
	}
	if s.Used() != 0 {
		t.Errorf("%d bytes are held after errors", s.Used())
	}
}

func TestAcquireWaitsUntilReleaseOrTheEndOfItsContext(t *testing.T) {
	s := NewShare("test", 100)
	if err := s.Acquire(t.Context(), 80); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Acquire(ctx, 21); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v; want the context's error", err)
	}
	got := make(chan error)
	go func() { got <- s.Acquire(t.Context(), 21) }()
	s.Release(80)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if s.Used() != 21 {
		t.Errorf("used is %d; want 21", s.Used())
	}
}

func TestSharesNeverHoldMoreThanTheirSize(t *testing.T) {
	s := NewShare("test", 1000)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 200 {
				n := int64((i*31+j*17)%400 + 1)
				if j%2 == 0 {
					if !s.TryAcquire(n) {
						continue
					}
				} else if err := s.Acquire(t.Context(), n); err != nil {
					t.Error(err)
					return
				}
				if u := s.Used(); u > s.Size() {
					t.Errorf("%d of %d bytes are held", u, s.Size())
				}
				s.Release(n)
			}
		})
	}
	wg.Wait()
	if s.Used() != 0 {
		t.Errorf("%d bytes are held at the end", s.Used())
	}
}

// A process of ours collects its garbage before it comes to more than what the
// budgets and the runtime are to take; a program that embeds Harrow is left
// alone.
func TestTuneGCBoundsTheHeapByTheBudgets(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetMemoryLimit(before)
		debug.SetGCPercent(100)
		process.tuned = false
	}()
	For(201 << 20)
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("without TuneGC the limit became %d", got)
	}
	TuneGC()
	b := For(202 << 20)
	if got := debug.SetMemoryLimit(-1); got != b.Limit+runtimeBytes {
		t.Errorf("the limit is %d, want %d and %d beyond", got, b.Limit, int64(runtimeBytes))
	}
	if For(202<<20) != b || debug.SetMemoryLimit(-1) != b.Limit+runtimeBytes {
		t.Error("the same budget counts twice")
	}
}
