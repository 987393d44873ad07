package pipelines

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// shelfSite serves /0 to /5, whose prices are those of an edition.
func shelfSite() (*atomic.Int64, http.Handler) {
	edition := new(atomic.Int64)
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<h1>Book %s</h1><p class=price>%d.50</p><p class=shelf>S%s</p>`, r.URL.Path[1:], edition.Load(), r.URL.Path[1:])
	})
	return edition, mux
}

const shelfPages = 6

// shelfJob is a job over the site; fields are added to its record's.
func shelfJob(fields, more string) string {
	return `version: 1
job: shelf
` + more + `
discover: {seeds: {files: [seeds.txt]}}
fetch:
  timeout: 5s
  resolve: {"*.example": "${param.site}"}
  politeness: {default: {concurrency: 2, delay: 0s}}
parse:
  - record: book
    fields:
      title: {css: h1, required: true}
      price: {css: .price, type: "decimal(18,2)"}
` + fields + `
refine: {book: {key: [title]}}
`
}

func newShelf(t *testing.T) (b *bench, edition *atomic.Int64) {
	edition, site := shelfSite()
	b = newBench(t, site, shelfJob("", ""))
	seeds := ""
	for i := range shelfPages {
		seeds += fmt.Sprintf("http://one.example/%d\n", i)
	}
	b.seedFile("seeds.txt", seeds)
	return b, edition
}

const shelfField = `      shelf: {css: .shelf}`

// ofEdition are the rows that the pages of an edition make.
func ofEdition(edition int, shelf bool) (list []string) {
	for i := range shelfPages {
		row := fmt.Sprintf(`{"title":"Book %d","price":"%d.5"`, i, edition)
		if shelf {
			row += fmt.Sprintf(`,"shelf":"S%d"`, i)
		}
		list = append(list, row+"}")
	}
	return list
}

// Any run that has fetched can be parsed again by today's rules: not the last,
// one that took its stages over, one of other shards, one that stopped after
// fetch. Nobody is asked, and seed files need not be there any more.
func TestAnyEarlierRunIsParsedAgain(t *testing.T) {
	t.Parallel()
	meaning(t)
	b, edition := newShelf(t)
	first := b.must()
	edition.Store(1)
	b.write(shelfJob("", "limits: {fetch_shards: 3, shards: 5}"))
	second := b.must()
	edition.Store(2)
	b.write(shelfJob("", ""))
	res, err := b.run(until("fetch"))
	if err != nil {
		t.Fatal(err)
	}
	third := res.Run
	edition.Store(9)
	b.log.Reset()

	b.write(shelfJob(shelfField, "limits: {shards: 2}"))
	if err := os.Remove(filepath.Join(filepath.Dir(b.request.JobFile), "seeds.txt")); err != nil {
		t.Fatal(err)
	}
	chain := first
	for i, c := range []struct {
		name  string
		of    lakeio.Run // whose stages are named
		owner lakeio.Run // whose pages these are
	}{
		{"not the last", first, first},
		{"of other shards", second, second},
		{"stopped after fetch", third, third},
		{"that took its stages over", chain, first},
	} {
		if i == 3 {
			c.of = chain
		}
		run := b.must(from("parse"), which(c.of.ID), runner([]string{"direct", "prism"}[i%2]))
		if i == 0 {
			chain = run
		}
		if run.Source("discover") != c.owner.ID || run.Source("fetch") != c.owner.ID || run.Source("parse") != run.ID || run.Parent != c.of.ID {
			t.Errorf("%s: stages of %v, parent %s", c.name, run.Sources, run.Parent)
		}
		if run.Shards != 2 || run.FetchShards != c.owner.FetchShards || run.Rounds != c.owner.Rounds || run.PagesRun != c.owner.PagesRun || len(run.Inputs) != 0 {
			t.Errorf("%s: %d shards, %d fetch shards, %d rounds, pages of %q, inputs %v", c.name, run.Shards, run.FetchShards, run.Rounds, run.PagesRun, run.Inputs)
		}
		sameSet(t, c.name, b.records(run, "refine", "book", "title", "price", "shelf"), ofEdition(slices.Index([]string{first.ID, second.ID, third.ID}, c.owner.ID), true))
	}
	// One that stops on the way goes on as what it is. The second run is five
	// before the last by now.
	res, err = b.run(from("parse"), which("last~5"), until("parse"))
	if err != nil || res.Run.State != lakeio.Paused || res.Run.Parent != second.ID {
		t.Fatal(res.Run.State, res.Run.Parent, err)
	}
	again, err := b.run()
	if err != nil || !again.Resumed || again.Run.ID != res.Run.ID || again.Run.State != lakeio.Done {
		t.Fatalf("resumed %v run %s, %v; want %s", again.Resumed, again.Run.ID, err, res.Run.ID)
	}
	sameSet(t, "gone on with", b.records(again.Run, "refine", "book", "title", "price", "shelf"), ofEdition(1, true))
	if n := len(b.log.Requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// What is in the store stays where it is newer than what is parsed again.
func TestAnOldRunParsedAgainOverwritesNothingNewer(t *testing.T) {
	t.Parallel()
	meaning(t)
	b, edition := newShelf(t)
	first := b.must()
	edition.Store(1)
	second := b.must()
	if got := b.loaded(second, "book"); got.Changed != shelfPages {
		t.Fatalf("%+v", got)
	}
	before := b.database()
	b.write(shelfJob(shelfField, ""))
	old := b.must(from("parse"), which(first.ID))
	if got := b.loaded(old, "book"); got != (harrow.Counts{Stale: shelfPages}) {
		t.Errorf("of the old run: %+v; want all stale", got)
	}
	if got := b.writtenBy("book"); got[second.ID] != shelfPages {
		t.Errorf("rows were written by %v, want all by %s", got, second.ID)
	}
	for _, row := range b.database()["stored book"] {
		if !strings.Contains(row, "1.5") || strings.Contains(row, `"S`) {
			t.Errorf("an old row was written: %s", row)
		}
	}
	if len(before["stored book"]) != shelfPages {
		t.Errorf("%d rows before", len(before["stored book"]))
	}
	newer := b.must(from("parse"), which(second.ID))
	if got := b.loaded(newer, "book"); got != (harrow.Counts{Changed: shelfPages}) {
		t.Errorf("of the newest pages: %+v; want all changed", got)
	}
	b.write(shelfJob(shelfField, "limits: {shards: 3}"))
	if got := b.loaded(b.must(from("parse"), which(newer.ID)), "book"); got != (harrow.Counts{Unchanged: shelfPages}) {
		t.Errorf("once more: %+v; want nothing changed", got)
	}
}

// A run that stopped after fetch, and was parsed by another, still has the next
// run ask what it deferred.
func TestParsingAgainForgetsNothingThatWasDeferred(t *testing.T) {
	t.Parallel()
	meaning(t)
	b, _ := newShelf(t)
	slow := strings.Replace(shelfJob("", ""), "concurrency: 2, delay: 0s", "concurrency: 1, delay: 100ms", 1)
	b.write(strings.Replace(slow, "timeout: 5s", "timeout: 5s\n  max_time: 150ms", 1))
	res, err := b.run(until("fetch"))
	if err != nil {
		t.Fatal(err)
	}
	deferred := len(rows(b, lakeio.DeferredRequests, res.Run, "fetch-0"))
	if deferred == 0 {
		t.Fatal("nothing was deferred")
	}
	b.write(strings.Replace(shelfJob(shelfField, ""), "concurrency: 2, delay: 0s", "concurrency: 1, delay: 0s", 1))
	parsed := b.must(from("parse"))
	if parsed.Source("fetch") != res.Run.ID {
		t.Fatalf("%+v", parsed)
	}
	b.seedFile("seeds.txt", "# none any more\n")
	b.log.Reset()
	next := b.must()
	if next.Previous != res.Run.ID {
		t.Errorf("what run %s deferred is asked, want that of %s", next.Previous, res.Run.ID)
	}
	if n := len(rows(b, lakeio.Captures, next)); n != deferred {
		t.Errorf("%d requests, want the %d that were deferred", n, deferred)
	}
}

// The requests of an old run are not asked again where the newest deferred
// others.
func TestFromFetchForgetsNothingThatWasDeferred(t *testing.T) {
	t.Parallel()
	meaning(t)
	b, _ := newShelf(t)
	first := b.must()
	slow := strings.Replace(shelfJob("", ""), "concurrency: 2, delay: 0s", "concurrency: 1, delay: 100ms", 1)
	b.write(strings.Replace(slow, "timeout: 5s", "timeout: 5s\n  max_time: 150ms", 1))
	res, err := b.run()
	if err != nil || res.Exit != 3 {
		t.Fatal(res.Exit, err)
	}
	b.write(shelfJob("", ""))
	_, err = b.run(from("fetch"), which(first.ID))
	wantUsage(t, "--from fetch of an older run", err, res.Run.ID, "deferred", "--run "+res.Run.ID)
	again := b.must(from("fetch"))
	if n := len(rows(b, lakeio.Captures, again)); n != shelfPages || again.Source("discover") != res.Run.ID {
		t.Errorf("%d captures of the requests of %s", n, again.Source("discover"))
	}
	if run := b.must(from("fetch"), which(first.ID)); run.Source("discover") != first.ID { // nothing is deferred any more
		t.Errorf("%v", run.Sources)
	}
}

// Rows are taken over only where the rules that made them are today's.
func TestRowsOfOtherRulesAreNotTakenOver(t *testing.T) {
	t.Parallel()
	meaning(t)
	b, _ := newShelf(t)
	first := b.must()
	b.write(shelfJob(shelfField, ""))
	for _, stage := range []string{"refine", "load"} {
		_, err := b.run(from(stage))
		wantUsage(t, "--from "+stage+" with another rule", err, "--from "+stage, "parse of ", first.ID, "want --from parse")
	}
	b.write(strings.Replace(shelfJob("", ""), "key: [title]", "key: [title, price]", 1))
	_, err := b.run(from("load"))
	wantUsage(t, "--from load with another key", err, "refine of ", first.ID, "want --from refine")
	b.write(strings.Replace(shelfJob("", ""), "key: [title]", "key: [title], thresholds: {min_rows: 6}", 1))
	run := b.must(from("load"), which(first.ID)) // thresholds make no rows
	if run.Source("refine") != first.ID {
		t.Errorf("%v", run.Sources)
	}
	_, err = b.run(from("parse"), func(r *Request) { r.Limit = 5 })
	wantUsage(t, "--limit where nothing is asked", err, "--limit 5", "--from parse")
	_, err = b.run(from("parse"), which("0190e000-0000-7000-8000-000000000009"))
	wantUsage(t, "a run that isn't there", err, "0190e000-0000-7000-8000-000000000009", "harrow ls")
}

// A store that was added to the job file gets what was refined before.
func TestFromLoadFillsAStoreThatWasAdded(t *testing.T) {
	t.Parallel()
	meaning(t)
	b, _ := newShelf(t)
	b.write(shelfJob("", "limits: {shards: 7}\nload: {sqlite: {}}"))
	first := b.must()
	b.write(shelfJob("", "limits: {shards: 2}\nload: {sqlite: {}, parquet: {path: out}}"))
	b.log.Reset()
	run := b.must(from("load"))
	if run.Shards != 7 {
		t.Errorf("%d shards; the rows lie in 7", run.Shards)
	}
	c := b.manifest(run, "load").Counters
	if c["load.parquet.book.added"] != shelfPages || c["load.sqlite.book.unchanged"] != shelfPages {
		t.Errorf("%v", c)
	}
	if n := len(b.log.Requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
	again := b.must(from("fetch"))
	if n := len(rows(b, lakeio.Captures, again)); n != shelfPages || again.Source("discover") != first.ID || again.Previous != first.ID {
		t.Errorf("--from fetch: %d captures, discover of %s, after %s", n, again.Source("discover"), again.Previous)
	}
}

// A run that was left in the middle of fetch goes on after others parsed
// again, but not after one that fetched.
func TestAnUnfinishedRunIsNotLostToOneThatParsesAgain(t *testing.T) {
	t.Parallel()
	meaning(t)
	b, _ := newShelf(t)
	first := b.must()
	res, err := b.run(until("discover"))
	if err != nil {
		t.Fatal(err)
	}
	left := res.Run
	parsed := b.must(from("parse"), which(first.ID))
	res, err = b.run(which(left.ID), until("fetch"))
	if err != nil || res.Run.ID != left.ID || !res.Resumed {
		t.Fatalf("run %s, resumed %v, %v", res.Run.ID, res.Resumed, err)
	}
	if parsed.ID < left.ID {
		t.Errorf("run %s is older than %s", parsed.ID, left.ID)
	}
	fetched := b.must()
	_, err = b.run(which(left.ID))
	wantUsage(t, "a run after one that fetched", err, left.ID, fetched.ID, "--from STAGE")
	run := b.must(from("parse"), which(left.ID))
	sameSet(t, "of the run that was left", b.records(run, "refine", "book", "title", "price"), ofEdition(0, false))
}
