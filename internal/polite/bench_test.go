package polite

import (
	"fmt"
	"testing"
	"time"
)

// crowded is a Scheduler of n keys with work for ever, and the function that
// takes it one exchange further: 256 are in flight, each ends in the order in
// which it began.
func crowded(n int) (*Scheduler, func()) {
	s := New(Config{Base: time.Second, Cap: 5 * time.Minute, Failures: 8, CoolDown: 2 * time.Minute, Adaptive: true, Random: func() float64 { return 0.5 }}, epoch)
	for i := range n {
		k := s.Add(fmt.Sprintf("host-%d.example", i), Limits{Concurrency: 1 + i%4, Delay: time.Duration(i%3) * time.Second}, nil)
		s.Pending(k, 1+i*7919%5000, 0)
	}
	var flying [256]*Key
	now, next := epoch, 0
	return s, func() {
		now = now.Add(100 * time.Microsecond)
		if k := flying[next]; k != nil {
			s.Finish(k, now, Observation{Latency: 25 * time.Millisecond, FirstByte: 20 * time.Millisecond, Attempt: 1})
			s.Pending(k, 1+k.pending, 0)
		}
		k, wait := s.Next(now)
		if k == nil {
			now = now.Add(wait)
			k, _ = s.Next(now)
		}
		if flying[next] = k; k != nil {
			s.Start(k, now)
		}
		next = (next + 1) % len(flying)
	}
}

// BenchmarkRequest is what the scheduler costs a request: Next, Start, Finish
// and Pending.
func BenchmarkRequest(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n, " keys"), func(b *testing.B) {
			_, step := crowded(n)
			for range 1000 {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// BenchmarkStates is what looking at every key costs, a key.
func BenchmarkStates(b *testing.B) {
	s, step := crowded(100_000)
	for range 1000 {
		step()
	}
	for i := 0; b.Loop(); i++ {
		s.State(s.At(i%s.Len()), epoch.Add(time.Second))
	}
}

func TestARequestAllocatesNothing(t *testing.T) {
	_, step := crowded(1000)
	if n := testing.AllocsPerRun(5000, step); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// The queue is in order whatever is put in, moved and taken out.
func TestTheQueueIsInOrder(t *testing.T) {
	s, step := crowded(500)
	for i := range 20_000 {
		step()
		if i%100 > 0 {
			continue
		}
		for _, q := range []*queue{&s.waiting, &s.ready} {
			for j, e := range q.items {
				if int(e.key.index) != j || e.key.in != q.in {
					t.Fatalf("key %s is said to be at %d of queue %d; it is at %d of %d", e.key.Name(), e.key.index, e.key.in, j, q.in)
				}
				if j > 0 && q.items[(j-1)/2].order > e.order {
					t.Fatalf("position %d comes before its parent", j)
				}
			}
		}
	}
}
