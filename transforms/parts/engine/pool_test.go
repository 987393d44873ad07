package engine

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestPoolRunsNoMoreThanItsShareAtOnce(t *testing.T) {
	var now, peak atomic.Int64
	var bundles sync.WaitGroup
	for range 3 {
		bundles.Go(func() {
			g := NewGroup[int](t.Context())
			for i := range 40 {
				g.Go(func(context.Context) ([]int, error) {
					n := now.Add(1)
					defer now.Add(-1)
					for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
					}
					runtime.Gosched()
					return []int{i}, nil
				})
			}
			sum := 0
			if err := g.Drain(func(i int) { sum += i }); err != nil || sum != 40*39/2 {
				t.Errorf("results add up to %d, %v", sum, err)
			}
		})
	}
	bundles.Wait()
	if most := int64(runtime.GOMAXPROCS(0)); peak.Load() > most {
		t.Errorf("%d tasks at once, want at most %d", peak.Load(), most)
	}
}

func TestFirstErrorEndsTheGroup(t *testing.T) {
	g := NewGroup[int](t.Context())
	g.Go(func(context.Context) ([]int, error) { return nil, errTest })
	if runtime.GOMAXPROCS(0) > 1 {
		g.Go(func(ctx context.Context) ([]int, error) { <-ctx.Done(); return nil, ctx.Err() })
	}
	g.Go(func(context.Context) ([]int, error) { return []int{1}, nil })
	if err := g.Drain(func(int) { t.Error("a result was handed out") }); !errors.Is(err, errTest) {
		t.Errorf("error %v, want the first one", err)
	}
}

func TestEmitWaitsOnlyForTheTasksBeyondItsBound(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("needs two tasks at once")
	}
	g := NewGroup[int](t.Context())
	hold := make(chan struct{})
	g.Go(func(context.Context) ([]int, error) { <-hold; return []int{1}, nil })
	g.Go(func(context.Context) ([]int, error) { return []int{2}, nil })
	var got []int
	take := func(i int) { got = append(got, i) }
	if err := g.Emit(1, take); err != nil || len(got) != 1 || got[0] != 2 {
		t.Fatalf("got %v, %v before the first task's end", got, err)
	}
	close(hold)
	if err := g.Drain(take); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestStopEndsTasks(t *testing.T) {
	g := NewGroup[int](t.Context())
	for range 20 {
		g.Go(func(ctx context.Context) ([]int, error) { <-ctx.Done(); return nil, ctx.Err() })
	}
	g.Stop()
}
