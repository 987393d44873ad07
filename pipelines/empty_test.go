package pipelines

import (
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/harrowdata/harrow/io/lakeio"
)

// smallJob is a job over http://one.example/ and its like, as fast as may be;
// %s are the seeds and what rules match.
const smallJob = `version: 1
job: small
discover:
  seeds: %s
  scope: {hosts: ["*.example"]}
  follow: [{css: "a@href"}]
fetch:
  timeout: 5s
  retry: {attempts: 2, base: 10ms, cap: 50ms}
  resolve: {"*.example": "${param.site}"}
  politeness: {default: {concurrency: 2, delay: 0s}}
parse:
  - record: page
    match: [%q]
    fields:
      title: {css: h1, required: true}
      n:     {css: "#n", type: int}
refine:
  page: {key: [title], keep: first}
`

// smallSite is pages that link to each other: / to /0 … /19.
func smallSite() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		links := ""
		if r.URL.Path == "/" {
			for i := range 20 {
				links += fmt.Sprintf(`<a href="/%d">%d</a>`, i, i)
			}
		}
		fmt.Fprintf(w, `<h1>%s %s</h1><p id=n>%d</p>%s`, r.Host, r.URL.Path, len(r.URL.Path), links)
	})
	return mux
}

// Stages that have nothing to do commit that, and the run ends.
func TestEveryStageCommitsWithEmptyInput(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, seeds, match, file string
		want                     map[string]int64 // rows by stage and table; all others have none
		requests                 int
	}{
		{name: "the only seed is no URL", seeds: `{urls: ["no url at all"]}`, match: "/**",
			want: map[string]int64{"discover rejects": 1}},
		{name: "the seed file is empty", seeds: `{files: [seeds.txt]}`, match: "/**", want: map[string]int64{}},
		{name: "the seed file has only comments", seeds: `{files: [seeds.txt]}`, file: "# none\n\n", match: "/**", want: map[string]int64{}},
		{name: "nothing matches", seeds: `{urls: ["http://one.example/"]}`, match: "/never/**", requests: 22,
			want: map[string]int64{"discover requests": 1, "fetch-0 captures": 21, "fetch-0 bodies": 21, "fetch-0 exchanges": 22, "fetch-0 links": 20}},
		{name: "every row is rejected", seeds: `{urls: ["http://one.example/none"]}`, match: "/none", requests: 2,
			want: map[string]int64{"discover requests": 1, "fetch-0 captures": 1, "fetch-0 exchanges": 2, "parse rejects": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachRunner(t, func(t *testing.T, runnerName string) {
				site := http.NewServeMux()
				site.HandleFunc("/none", func(http.ResponseWriter, *http.Request) {})
				site.Handle("/", smallSite())
				b := newBench(t, site, fmt.Sprintf(smallJob, c.seeds, c.match))
				b.seedFile("seeds.txt", c.file)
				run := b.must(runner(runnerName))
				if run.State != lakeio.Done {
					t.Errorf("the run is %s", run.State)
				}
				if got := rowCounts(b, run); !maps.Equal(got, c.want) {
					t.Errorf("rows %v, want %v", got, c.want)
				}
				if n := len(b.log.Requests()); n != c.requests {
					t.Errorf("%d requests were sent, want %d", n, c.requests)
				}
				if stored := b.database(); len(stored) > 0 {
					t.Errorf("stored %v", stored)
				}
			})
		})
	}
}

// rowCounts is how many rows each stage committed, by "stage table". A stage
// that has not committed fails the test.
func rowCounts(b *bench, run lakeio.Run) map[string]int64 {
	b.t.Helper()
	counts := map[string]int64{}
	for _, stage := range stages(run) {
		for table, count := range b.manifest(run, stage).Tables {
			counts[stage+" "+table] = count.Rows
		}
	}
	return counts
}
