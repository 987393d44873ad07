package view_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/io/lakeio"
)

const plannedJob = `
version: 1
job: shop
discover:
  seeds: {urls: ["http://a.example/", "http://a.example/2", "http://new.example/"]}
  scope: {hosts: ["a.example", "new.example"], include: ["/never/**"]}
fetch:
  user_agent: "tester/1.0"
  politeness: {default: {concurrency: 1, delay: 100ms}}
parse:
- {record: book, match: ["/book/*"], fields: {title: {css: h1, required: true}}}
- {record: other, match: ["/other/*"], fields: {title: {css: h1}}}
`

func forecast(t *testing.T, store lakeio.Store, replace ...string) view.Forecast {
	t.Helper()
	text := plannedJob
	for pair := range slices.Chunk(replace, 2) {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("the job has no %q", pair[0])
		}
		text = strings.Replace(text, pair[0], pair[1], 1)
	}
	job, _, err := jobfile.Parse("shop.yaml", []byte(text), nil, jobfile.Options{})
	check(t, err)
	types, err := jobfile.RecordTypes(job, nil)
	check(t, err)
	c, err := canon.New(canon.Policy{})
	check(t, err)
	f, err := view.Plan(t.Context(), store, *job, types, func(do func(canon.URL)) error {
		for _, text := range job.Discover.Seeds.URLs {
			u, err := c.Parse(text)
			if err != nil {
				return err
			}
			do(u)
		}
		return nil
	})
	check(t, err)
	return f
}

func planText(t *testing.T, f view.Forecast) string {
	t.Helper()
	var b strings.Builder
	check(t, f.WriteText(&b, 2, 0))
	return b.String()
}

func TestPlanWithoutAFormerRunCountsSeeds(t *testing.T) {
	f := forecast(t, nil)
	want := `plan      by the seeds
assumed   no run of the job is done yet: only the seeds are counted; what links and sitemaps lead to is not known
assumed   answers take no time, nothing is tried again, no robots.txt asks for a crawl-delay
asked     3 requests, 2 politeness keys of 2 registered domains
  key          seeds  requests  exchanges  delay   at once  latency  at least
  a.example        2         2          3  100 ms  1        -        200 ms
  new.example      1         1          2  100 ms  1        -        100 ms
at least  200 ms for fetch; a.example decides
workers   1, fetch_shards 1: about 0.0 exchanges are in flight at once
cluster   parallelism 1, fetch_shards 4, 1.2 GiB for a worker; a.example has 60% of the exchanges and stays with one worker, as each registered domain
          one process fetches as fast as politeness allows: more are of use to parse, refine and load only
          what parse, refine and load take is known after a run, of a part with --limit, too
          load.sqlite is for one process: a cluster wants postgres or parquet
flink     --runner flink --flink-master HOST:PORT -- --parallelism=1
dataflow  --runner dataflow -- --project=PROJECT --region=REGION --staging_location=gs://BUCKET/staging --max_num_workers=1
warning   discover.scope.include matches no seed: seeds are asked anyway, links only if a pattern matches
warning   discover.scope has patterns, but without discover.follow or sitemaps there are only seeds, which are always in scope
warning   fetch.user_agent "tester/1.0" names no address where you can be reached
`
	if got := planText(t, f); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlanReckonsFromTheLastRun(t *testing.T) {
	store, l := newLake(t, "shop")
	var exchanges []harrow.Exchange
	ask := func(key string, n int, took time.Duration) {
		for range n {
			exchanges = append(exchanges, harrow.Exchange{Kind: harrow.KindPage, Key: key, URL: "http://" + key + "/x", StartedAt: begun, EndedAt: begun.Add(took)})
		}
	}
	ask("a.example", 11, 20*time.Millisecond)
	ask("slow.example", 3, 500*time.Millisecond)
	captures := []harrow.Capture{
		{URL: "http://a.example/book/1", FinalURL: "http://a.example/book/1", Kind: harrow.KindPage, Outcome: harrow.Fetched, StartedAt: begun},
		{URL: "http://a.example/gone", FinalURL: "http://a.example/gone", Kind: harrow.KindPage, Outcome: harrow.Gone, StartedAt: begun},
		{URL: "http://a.example/late", FinalURL: "http://a.example/late", Kind: harrow.KindPage, Outcome: harrow.Deferred, Code: "max_time", StartedAt: begun},
		{URL: "http://slow.example/x", FinalURL: "http://slow.example/x", Kind: harrow.KindPage, Outcome: harrow.Fetched, StartedAt: begun},
	}
	commit(t, l, "discover", nil)
	commit(t, l, "fetch-0", nil, part(t, l, "fetch-0", lakeio.Exchanges, exchanges...), part(t, l, "fetch-0", lakeio.Captures, captures...))
	commit(t, l, "parse", nil, part(t, l, "parse", lakeio.Rejects,
		harrow.Reject{Stage: "parse", Class: harrow.DataFault, Code: "required", Record: "book", Field: "title", At: begun}))
	at := lakeio.FetchShard{Lake: l}
	_, _, err := at.Claim(t.Context(), lakeio.Claim{Owner: "me"})
	check(t, err)
	check(t, at.Note(t.Context(), "me", lakeio.Notes{Delays: map[string]time.Duration{"slow.example": 2 * time.Second}}))
	f := forecast(t, store)
	got := planText(t, f)
	for _, want := range []string{
		"plan      by run " + runID + ", begun 2026-03-01 12:00:00Z\n",
		"asked     5 requests, 3 politeness keys of 3 registered domains; 1 deferred by the last run come first\n",
		// n = 2 without robots.txt: max(0.5, 2) + max(2 × 0.5, 1 × 2 + 0.5)
		"  slow.example      0         1          3  2.0 s   1        500 ms   4.5 s\n",
		"  a.example         2         3         12  100 ms  1        20 ms    1.1 s\n",
		"  … 1 more\n",
		"at least  4.5 s for fetch; slow.example decides\n",
		"warning   parse[1] matches none of the 2 pages that the last run fetched\n",
		"warning   record book had no row in the last run: the required field title was missing in 1 row\n",
		"workspace about ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if data, err := json.Marshal(f); err != nil || !strings.Contains(string(data), `"bound_ms":4500`) {
		t.Errorf("%s %v", data, err)
	}
}

// asked commits a run that sent so many exchanges to each key, of a latency.
func asked(t *testing.T, l lakeio.Lake, took time.Duration, counts map[string]int) {
	t.Helper()
	var exchanges []harrow.Exchange
	for key, n := range counts {
		for range n {
			exchanges = append(exchanges, harrow.Exchange{Kind: harrow.KindPage, Key: key, URL: "http://" + key + "/x", StartedAt: begun, EndedAt: begun.Add(took)})
		}
	}
	commit(t, l, "discover", nil)
	commit(t, l, "fetch-0", nil, part(t, l, "fetch-0", lakeio.Exchanges, exchanges...))
}

func TestPlanSaysHowManyRunsBundlesTake(t *testing.T) {
	for _, c := range []struct {
		bundle, rounds, want string
		runs                 int64
	}{
		// A bundle of 10 s: robots.txt, and 99 starts 100 ms apart; later ones wait the delay too: 98.
		{"10s", "3", "bundles   of 10.0 s at most: big.example needs 11 rounds; discover.rounds is 3, so each run ends with exit 3, and after 4 runs each page was asked once; one run is complete with discover.rounds 11\n", 4},
		{"10s", "16", "bundles   of 10.0 s at most: big.example needs 11 rounds; discover.rounds is 16, so one run has time for what is known\n", 1},
		{"10m", "3", "bundles   of 10m00s at most: one round has time for every key\n", 1},
		{"150ms", "3", "bundles   of 150 ms at most: big.example is never through: in a bundle of a later round it waits its delay, asks for robots.txt, and has no time for a page\n", 0},
	} {
		store, l := newLake(t, "shop")
		asked(t, l, 20*time.Millisecond, map[string]int{"big.example": 1001, "a.example": 60})
		f := forecast(t, store, "fetch:\n", "fetch:\n  max_bundle_time: "+c.bundle+"\n", "discover:\n", "discover:\n  rounds: "+c.rounds+"\n")
		if got := planText(t, f); !strings.Contains(got, c.want) || !strings.Contains(got, "not counted: redirects to other registered domains") {
			t.Errorf("%s: no %q in\n%s", c.bundle, c.want, got)
		}
		if f.Bundles == nil || f.Bundles.Runs != c.runs {
			t.Errorf("%s: %+v", c.bundle, f.Bundles)
		}
	}
}

func TestPlanSizesACluster(t *testing.T) {
	store, l := newLake(t, "shop")
	counts := map[string]int{}
	for i := range 40 {
		counts[fmt.Sprintf("h%02d.example", i)] = 101
	}
	counts["a.big.example"], counts["b.big.example"] = 101, 101
	asked(t, l, 500*time.Millisecond, counts)
	_, err := lakeio.ChangeRun(t.Context(), store, "shop", runID, func(r *lakeio.Run) error {
		r.Elapsed["parse"], r.Elapsed["refine"] = 200_000, 60_000
		return nil
	})
	check(t, err)
	f := forecast(t, store, "fetch:\n", "fetch:\n  in_flight: 16\n", "version: 1\n", "version: 1\nload: {parquet: {path: out}}\nlimits: {memory: 512MiB}\n")
	// Each key keeps one exchange in flight: 42 of them, 16 a worker, for 50.5 s;
	// parse and refine took 260 s.
	got := planText(t, f)
	for _, want := range []string{
		"workers   3, fetch_shards 12: about 42.0 exchanges are in flight at once\n",
		"cluster   parallelism 6, fetch_shards 24, 768 MiB for a worker; big.example has 5% of the exchanges and stays with one worker, as each registered domain\n",
		"flink     --runner flink --flink-master HOST:PORT -- --parallelism=6\n",
		"--max_num_workers=6\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for _, not := range []string{"one process fetches", "sqlite", "bundle"} {
		if strings.Contains(got, not) {
			t.Errorf("%q in\n%s", not, got)
		}
	}
	data, err := json.Marshal(f)
	if want := `"bundles":null,"cluster":{"workers":6,"fetch_shards":24,"memory_bytes":805306368,"compute_ms":260000,"largest_domain":{"domain":"big.example","share":0.04`; err != nil || !strings.Contains(string(data), want) {
		t.Errorf("no %s in %s, %v", want, data, err)
	}
}

func TestPlanWarnsOfWhatAClusterRefusesAndOfBundlesTooLongForDataflow(t *testing.T) {
	store, l := newLake(t, "shop")
	asked(t, l, time.Millisecond, map[string]int{"big.example": 30_001})
	got := planText(t, forecast(t, store, "politeness: {", "politeness: {key: ip, "))
	for _, want := range []string{"load.sqlite is for one process", "fetch.politeness.key ip is for one process",
		"on Dataflow a bundle of fetch would run for 50m00s: set fetch.max_bundle_time; with 10m big.example needs 6 rounds; discover.rounds is 3, so each run ends with exit 3, and after 2 runs each page was asked once"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
