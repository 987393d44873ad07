package policies

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/memory/memorytest"
	"github.com/harrowdata/harrow/internal/robots"
)

// groupOf is a group of n rules, of which the last allows /n.
func groupOf(n int) *robots.Group {
	var file strings.Builder
	file.WriteString("User-agent: *\nDisallow: /\n")
	for i := range n {
		fmt.Fprintf(&file, "Allow: /%d/catalogue/products/*\n", i+1)
	}
	return robots.Parse([]byte(file.String())).Group("bot")
}

// says is what a policy makes of the pages of groups of rules.
func says(pol *Policy) string {
	switch {
	case pol == nil:
		return "unknown"
	case pol.Defers, pol.Fails != "":
		return fmt.Sprint(pol.Defers, pol.Fails)
	case pol.Group == nil:
		return "all"
	}
	n := 0
	for i := range 50 {
		if ok, _ := pol.Group.Allowed(fmt.Sprintf("/%d/catalogue/products/x", i+1)); ok {
			n++
		}
	}
	return fmt.Sprint(n, " allowed")
}

// Policies say what was put, whatever the share has room for, and never take
// more than that.
func TestPoliciesAreAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := memory.NewShare("robots", rapid.Int64Range(0, 20_000).Draw(t, "share"))
		ps := New(share, os.TempDir())
		model := map[string]string{}
		now := time.Unix(1_000_000, 0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			origin := fmt.Sprint("http://", rapid.IntRange(0, 12).Draw(t, "origin"))
			var pol *Policy
			switch rapid.IntRange(0, 6).Draw(t, "do") {
			case 0:
				pol = &Policy{Defers: true}
			case 1:
				pol = &Policy{Fails: rapid.SampledFrom([]string{"nxdomain", "tls"}).Draw(t, "code")}
			case 2:
				pol = &Policy{}
			case 6:
				ps.Shrink()
			case 3:
				ps.Forget(origin)
				delete(model, origin)
			case 4, 5:
				pol = &Policy{Group: groupOf(rapid.IntRange(0, 40).Draw(t, "rules"))}
			}
			if pol != nil {
				model[origin] = says(pol)
				if err := ps.Put(origin, pol, now); err != nil {
					t.Fatal(err)
				}
			}
			for origin, want := range model {
				got, fresh, err := ps.Get(origin, now)
				if err != nil || says(got) != want || !fresh {
					t.Fatalf("%s: %s fresh %v %v, want %s", origin, says(got), fresh, err, want)
				}
			}
			if got, _, _ := ps.Get("http://never", now); got != nil {
				t.Fatal("an origin is known that nobody put")
			}
			if ps.held != share.Used() || ps.used.Len() != len(ps.cached) {
				t.Fatalf("holds %d, the share says %d; %d in use, %d cached", ps.held, share.Used(), ps.used.Len(), len(ps.cached))
			}
		}
		if err := ps.Close(); err != nil || share.Used() != 0 {
			t.Fatalf("after close %d bytes are held: %v", share.Used(), err)
		}
		if got, _, err := ps.Get("http://1", now); got != nil || err != nil {
			t.Fatalf("known after close: %v %v", got, err)
		}
	})
}

// However many files of 20 KB there are, memory stays within the share and what
// the index takes; HARROW_SOAK=1 has 100,000.
func TestRobotsFilesStayWithinTheirShare(t *testing.T) {
	sizes := []int{500, 2000}
	if os.Getenv("HARROW_SOAK") == "1" {
		sizes = []int{10_000, 100_000}
	}
	group := groupOf(600) // 20 KB
	for _, n := range sizes {
		share := memory.NewShare("robots", 8<<20)
		ps := New(share, t.TempDir())
		before := memorytest.LiveHeap()
		now := time.Unix(1_000_000, 0)
		for i := range n {
			if err := ps.Put(fmt.Sprintf("http://host-%d.example", i), &Policy{Group: group}, now); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; i < n; i += n/100 + 1 {
			if pol, _, err := ps.Get(fmt.Sprintf("http://host-%d.example", i), now); err != nil || says(pol) != says(&Policy{Group: group}) {
				t.Fatalf("host %d: %s %v", i, says(pol), err)
			}
		}
		took := memorytest.LiveHeap() - before
		if took > share.Size()*11/10 || share.Used() < share.Size()/2 {
			t.Errorf("%d files of 20 KB take %d bytes, said to be %d; the share is %d", n, took, share.Used(), share.Size())
		}
		if ps.end < int64(n)*16_000 {
			t.Errorf("%d bytes on disk: the files are smaller than they were to be", ps.end)
		}
		if err := ps.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// An origin that allows everything takes an entry and nothing else.
func TestAnOriginThatAllowsEverythingCostsNearlyNothing(t *testing.T) {
	const n = 100_000
	ps := New(memory.NewShare("robots", 64<<20), t.TempDir())
	before := memorytest.LiveHeap()
	for i := range n {
		if err := ps.Put(fmt.Sprintf("http://host-%d.example", i), &Policy{Group: &robots.Group{}}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if took := (memorytest.LiveHeap() - before) / n; took > indexCost*5/4 {
		t.Errorf("%d bytes an origin, said to be %d", took, indexCost)
	}
	if ps.file != nil {
		t.Error("there is a file")
	}
	runtime.KeepAlive(ps)
}
