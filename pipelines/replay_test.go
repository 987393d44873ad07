package pipelines

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	_ "github.com/harrowdata/harrow/io/pgio"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/postgres"
	"github.com/harrowdata/harrow/soak/stable"
)

// brokenShop has something for every stage to reject until it is mended: /
// links to /p/1 to /p/6, of which /p/2 fails at first, and links to /p/7 and /p/1
// then. Of the others /p/3 has its title elsewhere, /p/4 is dear, /p/5 of a grade
// that is not mapped, and /p/6 long.
type brokenShop struct{ mended atomic.Bool }

func (s *brokenShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := strings.TrimPrefix(r.URL.Path, "/p/")
	title, price, grade, more := "<h1>Item "+n+"</h1>", "10", "A", ""
	switch {
	case r.URL.Path == "/":
		title = ""
		for i := range 6 {
			more += fmt.Sprintf(`<a href="/p/%d">%d</a>`, i+1, i+1)
		}
	case r.URL.Path == "/robots.txt" || n == r.URL.Path:
		http.NotFound(w, r)
		return
	case n == "2" && !s.mended.Load():
		http.Error(w, "not for you", http.StatusForbidden)
		return
	case n == "2":
		more = `<a href="/p/7">7</a> <a href="/p/1">1</a>`
	case n == "3":
		title = "<h2>Item 3</h2>"
	case n == "4":
		price = "900"
	case n == "5":
		grade = "B"
	case n == "6":
		more = strings.Repeat("<p>more and more</p>", 2000)
	}
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, `<!doctype html><title>x</title>%s<i id=sku>%s</i><i id=price>%s</i><i id=grade>%s</i>%s`, title, n, price, grade, more)
}

// shopRules are the rules that reject; mendedRules those that don't.
const shopRules = `version: 1
job: broken
limits: {document: 16KiB, shards: 3}
discover:
  seeds: {urls: ["http://one.example/"], files: [seeds.jsonl]}
  scope: {hosts: ["*.example"]}
  follow: [{within: ["/", "/p/2"], css: "a@href"}]
fetch:
  timeout: 5s
  retry: {attempts: 1, base: 10ms, cap: 50ms}
  resolve: {"*.example": "${param.site}"}
  politeness: {default: {concurrency: 2, delay: 0s}}
parse:
  - record: item
    match: ["/p/*"]
    fields:
      sku: {css: "#sku", required: true}
      title: {css: h1, required: true}
      price: {css: "#price", type: int}
      grade: {css: "#grade", map: {A: 1}, type: int}
refine:
  item: {key: [sku], keep: first, check: [{field: price, max: 500}]}
`

var mendedRules = strings.NewReplacer("document: 16KiB", "document: 1MiB", "title: {css: h1,", "title: {any: [{css: h1}, {css: h2}],",
	"map: {A: 1}", "map: {A: 1, B: 2}", "max: 500", "max: 1000").Replace(shopRules)

// newBroken serves the shop; a database that refuses item 1 has seen item 9.
func newBroken(t *testing.T, rules string, refuses bool) (*bench, *brokenShop) {
	t.Helper()
	shop := &brokenShop{}
	b := newBench(t, shop, rules)
	b.begin(rules)
	if refuses {
		b.exec("CREATE TRIGGER no_one BEFORE INSERT ON item WHEN NEW.sku = '1' BEGIN SELECT RAISE(ABORT, 'no one'); END")
	}
	return b, shop
}

// begin makes the store with item 9, and the job ready to run.
func (b *bench) begin(rules string) {
	b.t.Helper()
	b.write(strings.NewReplacer(`"http://one.example/"`, `"http://one.example/p/9"`).Replace(rules))
	b.seedFile("seeds.jsonl", "")
	b.must()
	b.seedFile("seeds.jsonl", `{"url": "http://one.example/p/8"}`+"\n"+`{"url": 8}`+"\n")
	b.write(rules)
}

// exec changes the database behind Harrow's back.
func (b *bench) exec(statement string) {
	b.t.Helper()
	job := b.lake("").Job
	db, err := sql.Open("sqlite", filepath.Join(b.dir, job, job+".db"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(b.t.Context(), statement); err != nil {
		b.t.Fatal(err)
	}
}

// replaying makes it a run that replays; of is the run, "" the last.
func replaying(of string, filters ...string) func(*Request) {
	return func(r *Request) {
		r.Replay = &lakeio.Replay{Run: of}
		for _, f := range filters {
			name, value, _ := strings.Cut(f, "=")
			switch name {
			case "stage":
				r.Replay.Stage = value
			case "class":
				r.Replay.Class = value
			case "code":
				r.Replay.Code = value
			case "record":
				r.Replay.Record = value
			}
		}
	}
}

// askedFor is what the site was asked for, robots.txt aside, sorted.
func (b *bench) askedFor() (list []string) {
	for _, r := range b.log.Requests() {
		if !strings.HasSuffix(r.URL, "/robots.txt") {
			list = append(list, strings.TrimPrefix(strings.TrimPrefix(r.URL, "http://"), "one.example"))
		}
	}
	slices.Sort(list)
	return list
}

// byStage counts a run's rejects by stage and code.
func (b *bench) byStage(run lakeio.Run) string {
	counts := map[string]int{}
	for _, r := range rows(b, lakeio.Rejects, run) {
		counts[r.Stage+" "+r.Code]++
	}
	return strings.TrimPrefix(fmt.Sprint(counts), "map")
}

// allRejects is what the broken shop's rules reject.
const allRejects = "[discover line:1 fetch http_403:1 load refused:1 parse document:1 parse map:1 parse required:1 refine check:1]"

// After a replay the store is what a run with today's rules and a healthy site
// would have made of it, and nobody was asked anything twice.
func TestARefusedHarvestIsMendedByAReplay(t *testing.T) {
	meaning(t)
	t.Parallel()
	scratch, healthy := newBroken(t, mendedRules, false)
	healthy.mended.Store(true)
	scratch.must()
	want := scratch.database()
	if len(want["stored item"]) != 9 {
		t.Fatalf("%d items: %v", len(want["stored item"]), want)
	}
	eachRunner(t, func(t *testing.T, runnerName string) {
		b, shop := newBroken(t, shopRules, true)
		b.request.Runner = runnerName
		parent := b.must()
		if got := b.byStage(parent); got != allRejects {
			t.Fatalf("rejects %s", got)
		}
		shop.mended.Store(true)
		b.exec("DROP TRIGGER no_one")
		b.write(mendedRules)
		b.log.Reset()
		run := b.must(replaying(""))
		if run.Parent != parent.ID || run.Replay == nil || run.Replay.Run != parent.ID || run.Replay.Total() != 7 {
			t.Errorf("run %s replays %+v", run.Parent, run.Replay)
		}
		same(t, "after the replay", want, b.database())
		if got := b.askedFor(); !slices.Equal(got, []string{"/p/2", "/p/7"}) {
			t.Errorf("asked for %v", got)
		}
		if got := b.byStage(run); got != "[discover line:1]" {
			t.Errorf("rejects of the replay: %s", got)
		}
		if got := b.loaded(run, "item"); got != (harrow.Counts{Added: 7}) {
			t.Errorf("loaded %+v", got)
		}
		if runnerName != "direct" {
			return
		}
		// What is left is replayed next.
		b.log.Reset()
		again := b.must(replaying(""))
		if again.Replay.Run != run.ID || again.Replay.Total() != 1 || len(b.askedFor()) > 0 || b.byStage(again) != "[discover line:1]" {
			t.Errorf("replay of the replay: %+v, rejects %s, asked for %v", again.Replay, b.byStage(again), b.askedFor())
		}
		// The same rejects can be replayed again: nothing changes.
		twice := b.must(replaying(parent.ID))
		if got := b.loaded(twice, "item"); twice.Replay.Total() != 7 || got.Added+got.Changed > 0 {
			t.Errorf("second replay: %+v, loaded %+v", twice.Replay, got)
		}
		same(t, "after a second replay", want, b.database())
		nothing := &NothingError{}
		if _, err := b.run(replaying(parent.ID, "code=nothing")); !errors.As(err, &nothing) || nothing.Replay.Run != parent.ID || !strings.Contains(err.Error(), "has no rejects of code nothing") {
			t.Errorf("nothing to replay: %v", err)
		}
	})
}

// A filter takes some; what the others are is left where it is.
func TestAReplayTakesWhatItsFiltersSay(t *testing.T) {
	meaning(t)
	t.Parallel()
	b, _ := newBroken(t, shopRules, true)
	parent := b.must()
	b.write(mendedRules)
	for _, c := range []struct {
		filter, left string
		rows         int64
	}{
		{"stage=refine", "[]", 1}, {"code=map", "[]", 1}, {"stage=load", "[load refused:1]", 0}, {"record=item", "[load refused:1]", 4},
		{"class=permanent", "[fetch http_403:1]", 0}, {"stage=discover", "[discover line:1]", 0},
	} {
		run := b.must(replaying(parent.ID, c.filter))
		got := b.loaded(run, "item")
		if left := b.byStage(run); left != c.left || got.Added+got.Changed+got.Unchanged != c.rows {
			t.Errorf("%s: left %s, loaded %+v; want %s and %d rows", c.filter, left, got, c.left, c.rows)
		}
	}
	_, err := b.run(replaying("", "stage=cook"))
	wantUsage(t, "a stage that is none", err, "--stage cook: want one of")
}

// Without a job file the rules are those that the run had.
func TestAReplayGoesByTheRulesThatTheRunKept(t *testing.T) {
	meaning(t)
	t.Parallel()
	b, shop := newBroken(t, shopRules, true)
	parent := b.must()
	shop.mended.Store(true)
	b.exec("DROP TRIGGER no_one")
	kept := func(r *Request) { r.JobFile, r.Params, r.Job = "", nil, "broken" }
	res, err := b.run(replaying(""), kept)
	if err != nil || res.Run.Parent != parent.ID {
		t.Fatalf("parent %s, %v", res.Run.Parent, err)
	}
	if got := b.byStage(res.Run); got != "[discover line:1 parse document:1 parse map:1 parse required:1 refine check:1]" {
		t.Errorf("rejects %s", got)
	}
	if got := b.loaded(res.Run, "item"); got != (harrow.Counts{Added: 3}) { // 1, 2 and 7
		t.Errorf("loaded %+v", got)
	}
}

func TestAReplayWantsAFinishedRun(t *testing.T) {
	meaning(t)
	t.Parallel()
	b, _ := newBroken(t, shopRules, false)
	res, err := b.run(until("parse"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.run(replaying(""))
	wantUsage(t, "unfinished", err, res.Run.ID+" is not finished", "`harrow run`")
	_, err = b.run(replaying(res.Run.ID))
	wantUsage(t, "unfinished, by its id", err, "`harrow run`")
	done := b.must()
	_, err = b.run(replaying("0190e000-0000-7000-8000-000000000009"))
	wantUsage(t, "no such run", err, "0190e000")
	run := b.must(replaying(done.ID))
	_, err = b.run(from("discover"), which(run.ID))
	wantUsage(t, "its seeds again", err, "harrow rejects replay --run "+done.ID)
}

// A replay that stops anywhere goes on to the same end, by whichever command.
func TestAStoppedReplayGoesOn(t *testing.T) {
	t.Parallel()
	scratch, healthy := newBroken(t, mendedRules, false)
	healthy.mended.Store(true)
	scratch.must()
	want := scratch.database()
	eachStopped(t, func(t *testing.T, runnerName string) {
		for i, after := range []time.Duration{time.Millisecond, 60 * time.Millisecond, 200 * time.Millisecond} {
			if runnerName == "prism" && i != 1 {
				continue
			}
			b, shop := newBroken(t, shopRules, true)
			b.request.Runner = runnerName
			parent := b.must()
			shop.mended.Store(true)
			b.exec("DROP TRIGGER no_one")
			b.write(mendedRules)
			ctx, interrupt := context.WithCancel(t.Context())
			req := b.request
			replaying("")(&req)
			req.Started = func(lakeio.Lake, lakeio.Run) { time.AfterFunc(after, interrupt) }
			res, err := Run(ctx, req)
			interrupt()
			if err != nil && !errors.Is(err, ErrStopped) {
				t.Fatal(err)
			}
			if err != nil {
				b.write(shopRules)
				_, other := b.run(replaying(""))
				wantUsage(t, "other rules", other, res.Run.ID)
				_, other = b.run()
				wantUsage(t, "other rules, run", other, res.Run.ID, "--run new")
				b.write(mendedRules)
				_, other = b.run(replaying("", "stage=parse"))
				wantUsage(t, "another filter", other, res.Run.ID)
			}
			var run lakeio.Run
			switch {
			case err == nil:
				run = res.Run
			case i == 0:
				run = b.must()
			case i == 1:
				run = b.must(replaying(""))
			default:
				run = b.must(replaying(parent.ID), func(r *Request) { r.JobFile, r.Params, r.Job = "", nil, "broken" })
			}
			if run.ID != res.Run.ID {
				t.Errorf("%v: went on with run %s, want %s", after, run.ID, res.Run.ID)
			}
			same(t, after.String(), want, b.database())
		}
	})
}

// Stages of a replay can be done again as those of any run, with what they were
// sent.
// What a newer run made of the same answers by other rules has the same time as
// the rows that the older one could not store.
func TestRowsThatOtherRulesMadeSinceAreNotOverwrittenByAReplay(t *testing.T) {
	meaning(t)
	t.Parallel()
	b, _ := newBroken(t, shopRules, true)
	parent := b.must()
	b.write(mendedRules)
	newer := b.must(from("parse"))
	b.exec("DROP TRIGGER no_one")
	run := b.must(replaying(parent.ID, "stage=load"))
	if got := b.loaded(run, "item"); got != (harrow.Counts{}) {
		t.Errorf("loaded %+v", got)
	}
	left := rows(b, lakeio.Rejects, run)
	if len(left) != 1 || left[0].Stage != "load" || !strings.Contains(left[0].Reason, "run "+newer.ID+" has made rows since") {
		t.Errorf("rejects %+v", left)
	}
	if again := b.must(from("parse")); again.Parent != newer.ID || again.Replay != nil {
		t.Errorf("parsed run %s again, want %s, which replays nothing", again.Parent, newer.ID)
	}
	if run = b.must(replaying(newer.ID[:len(newer.ID)-4], "stage=load")); b.loaded(run, "item").Unchanged != 1 { // which that one loaded
		t.Errorf("loaded %+v of the newer run's", b.loaded(run, "item"))
	}
}

func TestStagesOfAReplayCanBeTakenOver(t *testing.T) {
	meaning(t)
	t.Parallel()
	b, shop := newBroken(t, shopRules, true)
	b.must()
	shop.mended.Store(true)
	run := b.must(replaying(""))
	b.exec("DROP TRIGGER no_one")
	b.write(mendedRules)
	b.log.Reset()
	again := b.must(from("parse"), which(run.ID))
	if again.Replay == nil || len(b.askedFor()) > 0 || b.byStage(again) != "[discover line:1]" {
		t.Errorf("replay %+v asked for %v, rejects %s", again.Replay, b.askedFor(), b.byStage(again))
	}
	if n := len(b.database()["stored item"]); n != 9 {
		t.Errorf("%d items, want all 9", n)
	}
}

// What a run deferred is asked for by the run after a replay, which itself
// leaves it alone; and pages that a replay doesn't ask for are not absent.
func TestAReplayKeepsWhatWasDeferredAndForgetsNoPage(t *testing.T) {
	meaning(t)
	t.Parallel()
	var mended atomic.Bool
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/robots.txt":
			http.NotFound(w, r)
		case r.URL.Path == "/bad" && !mended.Load():
			http.Error(w, "no", http.StatusForbidden)
		default:
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<h1>%s%s</h1><a href="/bad">x</a><a href="http://two.example/">x</a>`, r.Host, r.URL.Path)
		}
	}), strings.Replace(fmt.Sprintf(smallJob, `{urls: ["http://one.example/"]}`, "/**"), "fetch:\n", "  rounds: 1\nfetch:\n", 1))
	first, err := b.run()
	if err != nil || first.Exit != 3 || len(rows(b, lakeio.DeferredRequests, first.Run)) != 1 {
		t.Fatalf("exit %d, %v", first.Exit, err)
	}
	mended.Store(true)
	b.log.Reset()
	run := b.must(replaying(""))
	if got := b.askedFor(); !slices.Equal(got, []string{"/bad"}) {
		t.Errorf("the replay asked for %v", got)
	}
	carried := b.manifest(run, "discover").TablesOf("deferred")
	if len(carried) != 1 || !strings.Contains(carried[0].URI, first.Run.ID) {
		t.Errorf("carried on: %v", carried)
	}
	for _, p := range b.pages(run) {
		if !strings.Contains(p, " 0 ") || !strings.Contains(p, "fetched") && !strings.Contains(p, "two.example") {
			t.Errorf("page %s", p)
		}
	}
	// The next run asks for it, whatever its seeds are.
	b.write(strings.Replace(fmt.Sprintf(smallJob, `{urls: ["http://one.example/new"]}`, "/**"), "fetch:\n", "  rounds: 1\nfetch:\n", 1))
	next, err := b.run()
	if err != nil || !slices.Contains(b.askedFor(), "two.example/") {
		t.Errorf("exit %d, %v: the next run asked for %v", next.Exit, err, b.askedFor())
	}
}

// A row that PostgreSQL refused gets there once it does not.
func TestARowThatPostgreSQLRefusedIsReplayed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: as SQLite, with a server")
	}
	server := postgres.Start(t)
	url := server.Database(t)
	into := func(rules string) string { return rules + "load: {postgres: {url: \"" + url + "\", schema: broken}}\n" }
	shop := &brokenShop{}
	b := newBench(t, shop, into(shopRules))
	b.begin(into(shopRules))
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	if _, err := db.Exec(t.Context(), "ALTER TABLE broken.item ADD CONSTRAINT no_one CHECK (sku <> '1')"); err != nil {
		t.Fatal(err)
	}
	parent := b.must()
	if got := rows(b, lakeio.Rejects, parent, "load"); len(got) != 1 || !strings.Contains(got[0].Payload, `"sku":"1"`) {
		t.Fatalf("load rejected %+v", got)
	}
	if _, err := db.Exec(t.Context(), "ALTER TABLE broken.item DROP CONSTRAINT no_one"); err != nil {
		t.Fatal(err)
	}
	shop.mended.Store(true)
	b.write(into(mendedRules))
	run := b.must(replaying(""))
	if got := b.byStage(run); got != "[discover line:1]" {
		t.Errorf("rejects %s", got)
	}
	stored, err := stable.Postgres(t.Context(), url, "broken")
	if err != nil || len(stored["stored item"]) != 9 {
		t.Errorf("%v, %v; want all 9 items", stored, err)
	}
}

// A workspace in a bucket is replayed from as one on a disk.
func TestARunInABucketIsReplayed(t *testing.T) {
	meaning(t)
	t.Parallel()
	server := fakegcs.Shared(t)
	into := func(rules string) string {
		return strings.Replace(rules, "timeout: 5s", "timeout: 1s", 1) + "load: {parquet: {path: out/}}\n"
	}
	shop := &brokenShop{}
	b := newBench(t, shop, into(shopRules))
	b.dir, b.ttl = server.Workspace(place(t)), leaseTTL
	b.request.Workspace = b.dir
	b.begin(into(shopRules))
	parent := b.must()
	shop.mended.Store(true)
	b.write(into(mendedRules))
	b.log.Reset()
	run := b.must(replaying(""), runner("prism"))
	if got := b.byStage(run); got != "[discover line:1]" || run.Parent != parent.ID || !slices.Equal(b.askedFor(), []string{"/p/2", "/p/7"}) {
		t.Errorf("rejects %s, asked for %v", got, b.askedFor())
	}
	if got := b.published()["parquet item"]; len(got) != 9 {
		t.Errorf("%d items: %v; want all 9", len(got), got)
	}
}
