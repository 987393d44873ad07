package round

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
)

// mendable is a site whose page /bad fails until it is mended; it then links to
// /, to /new/0 to /new/9, and to two pages of another domain.
func mendable(mended *atomic.Bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch {
		case r.URL.Path == "/robots.txt":
			http.NotFound(w, r)
		case r.URL.Path == "/":
			fmt.Fprint(w, page("/bad", "/a", "http://other.example/old"))
		case r.URL.Path == "/bad" && !mended.Load():
			http.Error(w, "not now", http.StatusForbidden)
		case r.URL.Path == "/bad":
			links := []string{"/", "/a", "http://other.example/old", "http://other.example/fresh"}
			for i := range 10 {
				links = append(links, fmt.Sprintf("/new/%d", i))
			}
			fmt.Fprint(w, page(links...))
		default:
			fmt.Fprint(w, page("/bad"))
		}
	}
}

// replayed fetches one.example once, mends it and makes the bench one of another
// run, to which that is known.
func replayed(t *testing.T) *bench {
	t.Helper()
	var mended atomic.Bool
	b := newBench(t, mendable(&mended))
	first := b.lake
	parts, err := b.run(t.Context(), "http://one.example/", "http://other.example/old")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Commit(t.Context(), lakeio.FetchStage(0), slices.DeleteFunc(parts, func(p harrow.Part) bool { return p.Table == "" }), nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	mended.Store(true)
	b.log.Reset()
	b.cfg.Asked = []lakeio.StageOf{{Run: first.Run, Stage: lakeio.FetchStage(0)}}
	if b.cfg.Env.Run, err = lakeio.NewRunID(); err != nil {
		t.Fatal(err)
	}
	b.lake.Run = b.cfg.Env.Run
	return b
}

// asked are the pages that were asked for, sorted.
func (b *bench) asked() (list []string) {
	for _, r := range b.log.Requests() {
		if url := strings.TrimPrefix(r.URL, "http://"); !strings.HasSuffix(url, "/robots.txt") {
			list = append(list, url)
		}
	}
	slices.Sort(list)
	return list
}

func TestAReplayAsksOnlyForWhatItBeginsWithAndWhatIsNew(t *testing.T) {
	b := replayed(t)
	parts, err := b.run(t.Context(), "http://one.example/bad")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("one.example/new/%d", i))
	}
	if got := b.asked(); !slices.Equal(got, append([]string{"one.example/bad"}, want...)) {
		t.Errorf("asked for %v", got)
	}
	// What was asked before is linked to as ever.
	links := map[string]bool{}
	for _, l := range rowsOf(t, b.lake, lakeio.Links, parts) {
		links[l.URL] = true
	}
	if !links["http://one.example/"] || !links["http://one.example/new/0"] || len(links) != 15 {
		t.Errorf("links %v", links)
	}
}

// In a later round all requests were links: none of them is asked again.
func TestAReplaysLaterRoundsAskOnlyForWhatIsNew(t *testing.T) {
	b := replayed(t)
	b.cfg.Round, b.cfg.Env.Stage = 1, lakeio.FetchStage(1)
	if _, err := b.run(t.Context(), "http://one.example/bad", "http://other.example/old", "http://other.example/fresh"); err != nil {
		t.Fatal(err)
	}
	if got := b.asked(); !slices.Equal(got, []string{"other.example/fresh"}) {
		t.Errorf("asked for %v", got)
	}
}

// What was asked before has its place within max_pages, once.
func TestAReplayKeepsToMaxPagesOfBothRuns(t *testing.T) {
	b := replayed(t)
	b.cfg.Scope.MaxPages = 5 // three were asked for
	if _, err := b.run(t.Context(), "http://one.example/bad"); err != nil {
		t.Fatal(err)
	}
	if got := b.asked(); len(got) != 3 || !strings.HasPrefix(strings.Join(got, " "), "one.example/bad one.example/new/") {
		t.Errorf("asked for %v; want the page replayed and two more", got)
	}
}

// A host that asked for rest in a run whose deferred requests are left to the
// next one rests in the replay too.
func TestAReplayLetsHostsRest(t *testing.T) {
	b := replayed(t)
	earlier := lakeio.Lake{Store: b.lake.Store, Job: b.lake.Job, Run: b.cfg.Asked[0].Run}
	part := laketest.WriteRows(t, b.lake.Store, "in/deferred.arrow", lakeio.DeferredRequests,
		harrow.Request{ID: harrow.ID{1}, URL: "http://one.example/x", Method: "GET", Key: "one.example", NotBefore: time.Now().Add(time.Hour)})
	if _, err := earlier.Commit(t.Context(), lakeio.FetchStage(1), []harrow.Part{part}, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	b.cfg.Deferred = []lakeio.StageOf{{Run: earlier.Run, Stage: lakeio.FetchStage(1)}}
	parts, err := b.run(t.Context(), "http://one.example/bad", "http://other.example/fresh")
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))
	if got["http://one.example/bad"] != "deferred retry_after" || got["http://other.example/fresh"] != "fetched" {
		t.Errorf("captures %v", got)
	}
	if asked := b.asked(); !slices.Equal(asked, []string{"other.example/fresh"}) {
		t.Errorf("asked for %v", asked)
	}
}
