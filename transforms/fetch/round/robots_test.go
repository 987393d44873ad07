package round

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/robots/policies"
	"github.com/harrowdata/harrow/io/lakeio"
)

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
	const origin = "http://one.example"
	pol, _, err := r.robots.Get(origin, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.robots.Put(origin, pol, time.Now().Add(-policies.FreshFor)); err != nil {
		t.Fatal(err)
	}
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
