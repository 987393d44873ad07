package view_test

import (
	"encoding/json"
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

func forecast(t *testing.T, store lakeio.Store) view.Forecast {
	t.Helper()
	job, _, err := jobfile.Parse("shop.yaml", []byte(plannedJob), nil, jobfile.Options{})
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
	_, err := at.Take(t.Context(), "me")
	check(t, err)
	check(t, at.Note(t.Context(), "me", lakeio.Notes{Delays: map[string]time.Duration{"slow.example": 2 * time.Second}}))
	f := forecast(t, store)
	got := planText(t, f)
	for _, want := range []string{
		"plan      by run " + runID + ", begun 2026-03-01 12:00:00Z\n",
		"asked     4 requests, 3 politeness keys of 3 registered domains; 1 deferred by the last run come first\n",
		// n = 2 without robots.txt: max(0.5, 2) + max(2 × 0.5, 1 × 2 + 0.5)
		"  slow.example      0         1          3  2.0 s   1        500 ms   4.5 s\n",
		"  a.example         2         2         11  100 ms  1        20 ms    1.0 s\n",
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
