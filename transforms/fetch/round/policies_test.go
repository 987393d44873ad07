package round

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/robots"
	"github.com/harrowdata/harrow/io/lakeio"
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
func says(pol *policy) string {
	switch {
	case pol == nil:
		return "unknown"
	case pol.defers, pol.fails != "":
		return fmt.Sprint(pol.defers, pol.fails)
	case pol.group == nil:
		return "all"
	}
	n := 0
	for i := range 50 {
		if ok, _ := pol.group.Allowed(fmt.Sprintf("/%d/catalogue/products/x", i+1)); ok {
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
		ps := newPolicies(share, os.TempDir())
		model := map[string]string{}
		now := time.Unix(1_000_000, 0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			origin := fmt.Sprint("http://", rapid.IntRange(0, 12).Draw(t, "origin"))
			var pol *policy
			switch rapid.IntRange(0, 6).Draw(t, "do") {
			case 0:
				pol = &policy{defers: true}
			case 1:
				pol = &policy{fails: rapid.SampledFrom([]string{"nxdomain", "tls"}).Draw(t, "code")}
			case 2:
				pol = &policy{}
			case 6:
				ps.shrink()
			case 3:
				ps.forget(origin)
				delete(model, origin)
			case 4, 5:
				pol = &policy{group: groupOf(rapid.IntRange(0, 40).Draw(t, "rules"))}
			}
			if pol != nil {
				model[origin] = says(pol)
				if err := ps.put(origin, pol, now); err != nil {
					t.Fatal(err)
				}
			}
			for origin, want := range model {
				got, fresh, err := ps.get(origin, now)
				if err != nil || says(got) != want || !fresh {
					t.Fatalf("%s: %s fresh %v %v, want %s", origin, says(got), fresh, err, want)
				}
			}
			if got, _, _ := ps.get("http://never", now); got != nil {
				t.Fatal("an origin is known that nobody put")
			}
			if ps.held != share.Used() || ps.used.Len() != len(ps.cached) {
				t.Fatalf("holds %d, the share says %d; %d in use, %d cached", ps.held, share.Used(), ps.used.Len(), len(ps.cached))
			}
		}
		if err := ps.close(); err != nil || share.Used() != 0 {
			t.Fatalf("after close %d bytes are held: %v", share.Used(), err)
		}
		if got, _, err := ps.get("http://1", now); got != nil || err != nil {
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
		ps := newPolicies(share, t.TempDir())
		before := heapInUse()
		now := time.Unix(1_000_000, 0)
		for i := range n {
			if err := ps.put(fmt.Sprintf("http://host-%d.example", i), &policy{group: group}, now); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; i < n; i += n/100 + 1 {
			if pol, _, err := ps.get(fmt.Sprintf("http://host-%d.example", i), now); err != nil || says(pol) != says(&policy{group: group}) {
				t.Fatalf("host %d: %s %v", i, says(pol), err)
			}
		}
		took := heapInUse() - before
		if took > share.Size()*11/10 || share.Used() < share.Size()/2 {
			t.Errorf("%d files of 20 KB take %d bytes, said to be %d; the share is %d", n, took, share.Used(), share.Size())
		}
		if ps.end < int64(n)*16_000 {
			t.Errorf("%d bytes on disk: the files are smaller than they were to be", ps.end)
		}
		if err := ps.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// An origin that allows everything takes an entry and nothing else.
func TestAnOriginThatAllowsEverythingCostsNearlyNothing(t *testing.T) {
	const n = 100_000
	ps := newPolicies(memory.NewShare("robots", 64<<20), t.TempDir())
	before := heapInUse()
	for i := range n {
		if err := ps.put(fmt.Sprintf("http://host-%d.example", i), &policy{group: &robots.Group{}}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if took := (heapInUse() - before) / n; took > indexCost*5/4 {
		t.Errorf("%d bytes an origin, said to be %d", took, indexCost)
	}
	if ps.file != nil {
		t.Error("there is a file")
	}
	runtime.KeepAlive(ps)
}

// A file that was asked for a day ago is asked for again; where it can't be had
// any more the old one goes on to count.
func TestARobotsFileIsAskedForAgainAfterADay(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case r.URL.Path != "/robots.txt":
		case n == 1:
			_, _ = w.Write([]byte("User-agent: *\nDisallow: /private\n"))
		default:
			w.WriteHeader(503)
		}
	}))
	b.cfg.Fetch.Retry.Attempts = 2
	ask := func(round int, urls ...string) map[string]string {
		t.Helper()
		b.cfg.Round, b.cfg.Env.Stage = round, lakeio.FetchStage(round)
		parts, err := b.run(t.Context(), urls...)
		if err != nil {
			t.Fatal(err)
		}
		return outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))
	}
	first := ask(0, "http://one.example/a", "http://one.example/private/a")
	if b.log.Count("http://one.example/robots.txt") != 1 {
		t.Fatalf("robots.txt was asked %d times", b.log.Count("http://one.example/robots.txt"))
	}
	r, err := recall(b.cfg.Env.Workspace, b.cfg.Env.Job, b.cfg.Env.Run, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	r.robots.mu.Lock()
	for key, e := range r.robots.index {
		e.at -= uint32(freshFor.Seconds())
		r.robots.index[key] = e
	}
	r.robots.mu.Unlock()
	second := ask(1, "http://one.example/b", "http://one.example/private/b")
	if n := b.log.Count("http://one.example/robots.txt"); n != 3 {
		t.Errorf("robots.txt was asked %d times, want once and then twice more", n)
	}
	for _, got := range []map[string]string{first, second} {
		for url, outcome := range got {
			if want := map[bool]string{true: "denied robots", false: "fetched"}[strings.Contains(url, "private")]; outcome != want {
				t.Errorf("%s: %s, want %s", url, outcome, want)
			}
		}
	}
}
