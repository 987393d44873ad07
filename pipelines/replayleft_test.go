package pipelines

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/io/lakeio"
)

// What a replay carries on of the run before it is asked by the next run, though
// another one asked the replay's own requests again.
func TestWhatAReplayCarriesOnIsAskedThoughItsRequestsAreAskedAgain(t *testing.T) {
	meaning(t)
	t.Parallel()
	site := http.NewServeMux()
	site.Handle("/", smallSite())
	site.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not for you", http.StatusForbidden) })
	b := newBench(t, site, "")
	job := func(seeds string) string {
		text := strings.Replace(pagesJob("a", "none"), "['http://one.example/a', 'http://one.example/none']", seeds, 1)
		return strings.Replace(text, `{"*.example": "${param.site}"}`, `{"*.example": "${param.site}", "down.example": "`+deadAddress(t)+`"}`, 1)
	}
	b.write(job("['http://one.example/a', 'http://one.example/none', 'http://down.example/x']"))
	first, err := b.run()
	if err != nil || !strings.Contains(first.Why, "1 requests were deferred") || len(rows(b, lakeio.Rejects, first.Run)) != 1 {
		t.Fatalf("%q, %v, rejects %v", first.Why, err, rows(b, lakeio.Rejects, first.Run))
	}
	replay := b.must(replaying(""))
	again := b.must(from("fetch"), which(replay.ID))
	_, err = b.run(from("fetch"), which(first.Run.ID))
	wantUsage(t, "what was carried on would be forgotten", err, "run "+again.ID+" deferred 1 requests")
	b.write(strings.Replace(job("['http://one.example/a']"), "down.example\": \"", "other.example\": \"", 1))
	b.log.Reset()
	b.must()
	if n := b.log.Count("http://down.example/x"); n != 1 {
		t.Errorf("what was deferred was asked %d times, want once", n)
	}
}

// A run whose stages are another's fails where these are gone, and writes nothing
// there.
func TestARunWhoseStagesAreGoneFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSite(), pagesJob("a", "b"))
	first := b.must()
	again, err := b.run(from("parse"), until("parse"))
	if err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(b.dir, filepath.FromSlash(b.lake(first.ID).Stage(lakeio.FetchStage(0))))
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(b.dir, filepath.FromSlash(b.lake(again.Run.ID).Stage("parse")))); err != nil {
		t.Fatal(err)
	}
	res, err := b.run(which(again.Run.ID))
	if err == nil || !strings.Contains(err.Error(), "fetch-0 of run "+first.ID) {
		t.Errorf("exit %d, %v; want an error that names the stage and its run", res.Exit, err)
	}
	if _, err := os.Stat(gone); err == nil {
		t.Errorf("there is a folder %s again", gone)
	}
}
