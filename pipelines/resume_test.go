package pipelines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// wantUsage fails the test unless the error is one of usage with these texts.
func wantUsage(t *testing.T, what string, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, ErrUsage) {
		t.Errorf("%s: %v, want ErrUsage", what, err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", what, err, text)
		}
	}
}

// pagesJob is a job over given pages of smallSite.
func pagesJob(pages ...string) string {
	for i, p := range pages {
		pages[i] = "'http://one.example/" + p + "'"
	}
	return strings.Replace(fmt.Sprintf(smallJob, "{urls: ["+strings.Join(pages, ", ")+"]}", "/**"), `  follow: [{css: "a@href"}]`+"\n", "", 1)
}

func TestAnUnfinishedRunGoesOnOnlyWithWhatItBeganWith(t *testing.T) {
	b := newBench(t, smallSite(), pagesJob("a", "b")).beside()
	res, err := b.run(until("fetch"))
	if err != nil || res.Exit != 0 || res.Run.State != lakeio.Paused {
		t.Fatalf("--until fetch: exit %d, %s, %v", res.Exit, res.Run.State, err)
	}
	first := res.Run
	for _, stage := range []string{"parse", "refine", "load"} {
		if done, err := b.lake(first.ID).Committed(t.Context(), stage); done || err != nil {
			t.Errorf("--until fetch committed %s: %v %v", stage, done, err)
		}
	}

	b.write(pagesJob("a", "b", "c"))
	for _, run := range []string{"", "last", first.ID} {
		_, err = b.run(which(run))
		wantUsage(t, "changed job file, --run "+run, err, first.ID, "--run new", "--from STAGE")
	}
	_, err = b.run(func(r *Request) { r.Limit = 5 })
	wantUsage(t, "another limit", err, "--run new")

	// A comment is no change.
	b.write("# a comment\n" + pagesJob("a", "b"))
	b.log.Reset()
	res, err = b.run()
	if err != nil || !res.Resumed || res.Run.ID != first.ID || res.Run.State != lakeio.Done {
		t.Fatalf("resumed %v run %s %s, %v; want %s done", res.Resumed, res.Run.ID, res.Run.State, err, first.ID)
	}
	if n := len(b.log.Requests()); n > 0 {
		t.Errorf("fetch was committed, but %d requests were sent", n)
	}
	sameSet(t, "rows", b.records(res.Run, "refine", "page", "title"), []string{`{"title":"one.example /a"}`, `{"title":"one.example /b"}`})

	for _, run := range []string{"last", first.ID} {
		_, err = b.run(which(run))
		wantUsage(t, "a finished run, --run "+run, err, "finished")
	}
	_, err = b.run(which("0190e000-0000-7000-8000-000000000009"))
	wantUsage(t, "no such run", err, "0190e000-0000-7000-8000-000000000009")
	_, err = b.run(which("../../etc"))
	wantUsage(t, "no id", err, "../../etc")
}

func TestRunNewLeavesAnUnfinishedRunBehind(t *testing.T) {
	b := newBench(t, smallSite(), pagesJob("a")).beside()
	res, err := b.run(until("discover"))
	if err != nil {
		t.Fatal(err)
	}
	b.write(pagesJob("a", "b"))
	second := b.must(which("new"))
	if second.ID <= res.Run.ID {
		t.Errorf("run %s after %s", second.ID, res.Run.ID)
	}
	if stopped, err := b.lake(res.Run.ID).Stopped(t.Context()); !stopped || err != nil {
		t.Errorf("the old run was not told to stop: %v %v", stopped, err)
	}
	// The newest run is the one to go on with.
	b.write(pagesJob("a"))
	third := b.must()
	if third.ID <= second.ID {
		t.Errorf("run %s after %s", third.ID, second.ID)
	}
	_, err = b.run(which(res.Run.ID))
	if err == nil {
		t.Error("an old run was gone on with after newer ones")
	}
}

func TestARunGoesOnByItsID(t *testing.T) {
	b := newBench(t, smallSite(), pagesJob("a")).beside()
	for _, name := range []string{"last", "id"} {
		res, err := b.run(until("parse"))
		if err != nil {
			t.Fatal(err)
		}
		if name == "id" {
			name = res.Run.ID
		}
		again, err := b.run(which(name))
		if err != nil || again.Run.ID != res.Run.ID || again.Run.State != lakeio.Done || !again.Resumed {
			t.Errorf("--run %s went on with %s, %s, %v; want %s", name, again.Run.ID, again.Run.State, err, res.Run.ID)
		}
	}
}

// Each stage can be the last of one process; the next goes on.
func TestUntilEveryStage(t *testing.T) {
	meaning(t)
	b := newShop(t, demosite.Options{Products: 40}, exact...).beside()
	for i, stage := range lakeio.Stages {
		res, err := b.run(until(stage))
		if err != nil || res.Exit != 0 {
			t.Fatalf("--until %s: exit %d, %v", stage, res.Exit, err)
		}
		want := lakeio.Paused
		if stage == "load" {
			want = lakeio.Done
		}
		if res.Run.State != want || res.Resumed != (i > 0) {
			t.Errorf("--until %s: %s, resumed %v", stage, res.Run.State, res.Resumed)
		}
		for _, name := range stages(res.Run) {
			of, _, _ := strings.Cut(name, "-")
			done, err := b.lake(res.Run.ID).Committed(t.Context(), name)
			if err != nil || done != (slices.Index(lakeio.Stages, of) <= i) {
				t.Errorf("--until %s: %s committed %v, %v", stage, name, done, err)
			}
		}
		if stage == "load" {
			checkHits(b, b.site.Hits())
			checkPages(b, res.Run, b.site.Pages())
			checkRecords(b, res.Run, b.site.Books(), b.site.Offers())
		}
	}
}

// A run from a later stage takes the earlier ones over: the same tables, and
// nobody is asked anything.
func TestFromALaterStage(t *testing.T) {
	t.Parallel()
	meaning(t)
	b := newShop(t, demosite.Options{Products: 40}, exact...)
	first := b.must()
	want := b.tables(first)
	b.log.Reset()
	eachRunner(t, func(t *testing.T, runnerName string) {
		parent := first
		for _, stage := range []string{"parse", "refine", "load"} {
			run := b.must(from(stage), runner(runnerName))
			if run.ID == first.ID || run.From != stage || run.State != lakeio.Done {
				t.Errorf("--from %s: run %s, from %q, %s", stage, run.ID, run.From, run.State)
			}
			if run.Parent == "" || run.Source("fetch") != first.ID {
				t.Errorf("--from %s: parent %q, fetch of %s; want that of %s", stage, run.Parent, run.Source("fetch"), parent.ID)
			}
			for _, name := range stages(run) {
				of, _, _ := strings.Cut(name, "-")
				done, err := b.lake(run.ID).Committed(t.Context(), name)
				if err != nil || done != !after(stage, of) {
					t.Errorf("--from %s: %s committed %v, %v", stage, name, done, err)
				}
			}
			same(t, "--from "+stage, want, b.tables(run))
			parent = run
		}
	})
	if n := len(b.log.Requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}

	// A changed rule is what parsing again is for.
	b.write(shopJob(t, append(exact, `{css: "h1", required: true}`, `{css: "h1", required: true, regex: "^(.)"}`)...))
	run := b.must(from("parse"), which(first.ID))
	for _, row := range b.records(run, "parse", "book", "title", "_url") {
		if title := strings.Split(row, `"`)[3]; strings.Contains(row, "/catalogue/") && len([]rune(title)) != 1 {
			t.Errorf("parsed by the old rule: %s", row)
		}
	}
	if n := len(b.log.Requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
	// A run that has not committed what is to be taken over is named.
	res, err := b.run(which("new"), until("discover"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.run(from("parse"))
	wantUsage(t, "--from parse of a run without fetch", err, res.Run.ID, "fetch-0")
	b.log.Reset()
}

func TestFlagsThatMakeNoSense(t *testing.T) {
	b := newBench(t, smallSite(), pagesJob("a")).beside()
	for name, c := range map[string]struct {
		change func(*Request)
		want   []string
	}{
		"--from nothing":          {from("parse"), []string{"--from parse", "no run"}},
		"--from an unknown stage": {from("plough"), []string{"plough", "discover"}},
		"--until an unknown":      {until("plough"), []string{"plough", "discover"}},
		"--from after --until":    {func(r *Request) { r.From, r.Until = "load", "parse" }, []string{"load", "parse"}},
		"an unknown runner":       {runner("spark"), []string{"spark", "direct", "prism"}},
		"a negative limit":        {func(r *Request) { r.Limit = -1 }, []string{"--limit -1"}},
		"an unknown run":          {which("0190e000-0000-7000-8000-000000000009"), []string{"0190e000"}},
		"an unknown parameter":    {func(r *Request) { r.Params = map[string]string{"site": b.addr, "colour": "blue"} }, []string{"colour"}},
		"a missing parameter":     {func(r *Request) { r.Params = nil }, []string{"site"}},
		"an unknown scheme":       {func(r *Request) { r.Workspace = "s3://bucket/x" }, []string{"workspace scheme s3 is not supported"}},
		"no job file":             {func(r *Request) { r.JobFile += ".not" }, []string{"job.yaml.not"}},
	} {
		_, err := b.run(c.change)
		wantUsage(t, name, err, c.want...)
	}
	if n := len(b.log.Requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestLimitIsPerKeyAndPartOfTheRun(t *testing.T) {
	meaning(t)
	b := newShop(t, demosite.Options{Products: 40}, exact...).beside()
	res, err := b.run(func(r *Request) { r.Limit = 3 })
	if err != nil || res.Exit != 0 {
		t.Fatal(res.Exit, res.Why, err)
	}
	keys := map[string]int{}
	for _, c := range rows(b, lakeio.Captures, res.Run) {
		keys[c.Key]++
	}
	for _, host := range demosite.Hosts {
		if n := keys[host]; n > 3 || host == demosite.Books && n != 3 {
			t.Errorf("%s has %d captures with --limit 3", host, n)
		}
	}
	if res.Run.Limit != 3 {
		t.Errorf("run.json says limit %d", res.Run.Limit)
	}
	if n := b.manifest(res.Run, "fetch-0").Counters["links_not_taken.limit"]; n == 0 {
		t.Error("links that the limit kept out are not counted")
	}
}

// What a job's run before deferred is asked before anything else.
func TestWhatWasDeferredIsAskedFirst(t *testing.T) {
	var pages []string
	for i := range 60 {
		pages = append(pages, fmt.Sprint(i))
	}
	job := strings.Replace(pagesJob(pages...), "timeout: 5s", "timeout: 5s\n  max_time: 400ms", 1)
	job = strings.Replace(job, "concurrency: 2, delay: 0s", "concurrency: 1, delay: 15ms", 1)
	b := newBench(t, smallSite(), job).beside()
	first, err := b.run()
	if err != nil || first.Exit != 3 || !strings.Contains(first.Why, "deferred") || first.Run.State != lakeio.Done || first.Run.Exit != 3 {
		t.Fatalf("exit %d %q, run.json %s %d, %v; want 3 with the reason", first.Exit, first.Why, first.Run.State, first.Run.Exit, err)
	}
	deferred := map[string]bool{}
	for _, r := range rows(b, lakeio.DeferredRequests, first.Run) {
		if r.Reason != "max_time" {
			t.Errorf("%s was deferred for %q", r.URL, r.Reason)
		}
		deferred[r.URL] = true
	}
	if len(deferred) == 0 || len(deferred) >= 60 {
		t.Fatalf("%d of 60 were deferred", len(deferred))
	}
	b.log.Reset()
	b.write(strings.Replace(job, "max_time: 400ms", "max_time: 1m", 1))
	second, err := b.run()
	if err != nil || second.Run.ID == first.Run.ID || second.Run.Previous != first.Run.ID {
		t.Fatalf("run %s, previous %q, %v", second.Run.ID, second.Run.Previous, err)
	}
	asked := 0
	for _, e := range b.log.Requests() {
		if strings.HasSuffix(e.URL, "/robots.txt") {
			continue
		}
		if asked++; asked <= len(deferred) && !deferred[e.URL] {
			t.Errorf("%s was asked as number %d, before the %d that were deferred", e.URL, asked, len(deferred))
			break
		}
	}
	if asked == 0 {
		t.Error("nothing was asked")
	}
	if n := len(rows(b, lakeio.Captures, second.Run)); n != 60 {
		t.Errorf("%d captures, want each of 60 requests once", n)
	}
}

// Nothing of a run is lost where the caller's context is over before it begins.
func TestAnInterruptBeforeTheFirstStage(t *testing.T) {
	b := newBench(t, smallSite(), pagesJob("a")).beside()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, b.request); err == nil {
		t.Error("a run whose context is over came through")
	}
	b.must()
}
