package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/polite"
)

func small() plan {
	return plan{crowd: newCrowd(1000, 50_000, 200), workers: 2, inFlight: 64, limits: polite.Limits{Concurrency: 1, Delay: time.Second},
		least: 3 * time.Second, most: 5 * time.Second}
}

func TestASimulationBreaksNoLimitAndAsksForEverything(t *testing.T) {
	for _, limits := range []polite.Limits{{Concurrency: 1, Delay: time.Second}, {Concurrency: 4, Delay: 2 * time.Second}} {
		p := small()
		p.limits = limits
		r, err := simulate(p)
		if err != nil {
			t.Fatal(err)
		}
		if want := p.crowd.total + int64(len(p.crowd.sizes)); r.requests != want {
			t.Errorf("%d requests, want %d", r.requests, want)
		}
		if r.wall < r.bound || r.efficiency() < 0.9 {
			t.Errorf("wall %v, bound %v", r.wall, r.bound)
		}
		if r.keys < 400 || r.memory < 400*100 || r.memory > 2<<20 {
			t.Errorf("%d hosts, %d bytes", r.keys, r.memory)
		}
	}
}

// The longest first is what keeps a large host from being what is left at the
// end.
func TestMostTimeLeftFirstBeatsArrival(t *testing.T) {
	p := small()
	p.inFlight = 120 // about as many as the largest host leaves to do
	first, err := simulate(p)
	if err != nil {
		t.Fatal(err)
	}
	p.arrival = true
	arrival, err := simulate(p)
	if err != nil {
		t.Fatal(err)
	}
	if first.wall >= arrival.wall {
		t.Errorf("most time left first took %v, arrival %v", first.wall, arrival.wall)
	}
}

// The hosts judge for themselves: a scheduler that was told twice the limits is
// found out.
func TestABrokenLimitIsSeen(t *testing.T) {
	p := small()
	p.cheat = true
	if _, err := simulate(p); err == nil || !strings.Contains(err.Error(), "limits were broken") {
		t.Errorf("error %v", err)
	}
}

func TestACrowdHasAsManyRequestsAsAreWanted(t *testing.T) {
	c := newCrowd(10_000, 1_000_000, 2000)
	if c.total < 990_000 || c.total > 1_010_000 || c.sizes[0] != 2000 {
		t.Errorf("%d requests, the largest host has %d", c.total, c.sizes[0])
	}
	for r := 1; r < len(c.sizes); r++ {
		if c.sizes[r] > c.sizes[r-1] || c.sizes[r] < 1 {
			t.Fatalf("host %d has %d requests, the one before %d", r, c.sizes[r], c.sizes[r-1])
		}
	}
}

func TestEveryHostIsOneWorkers(t *testing.T) {
	seen := map[int32]bool{}
	for _, ranks := range spread(5000, 7) {
		if len(ranks) < 500 {
			t.Errorf("a worker has %d of 5000 hosts", len(ranks))
		}
		for _, r := range ranks {
			if seen[r] {
				t.Errorf("host %d is twice there", r)
			}
			seen[r] = true
		}
	}
	if len(seen) != 5000 {
		t.Errorf("%d hosts", len(seen))
	}
}

func TestFlightsEndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f flights
		last, n := int64(0), 0
		for _, ends := range rapid.SliceOfN(rapid.Int64Range(-50, 100), 1, 200).Draw(t, "ends") {
			if ends >= 0 {
				f.push(flight{ends: last + ends})
				n++
			} else if n > 0 {
				e := f.pop()
				if n--; e.ends < last {
					t.Fatalf("%d after %d", e.ends, last)
				}
				last = e.ends
			}
		}
		if len(f) != n {
			t.Fatalf("%d left, want %d", len(f), n)
		}
	})
}

func TestTheTableIsWritten(t *testing.T) {
	out := filepath.Join(t.TempDir(), "simulation.md")
	if err := (options{small: true, out: out}).run(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n| "); n != 5 {
		t.Errorf("%d lines of a table:\n%s", n, text)
	}
}
