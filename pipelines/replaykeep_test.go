package pipelines

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// twins are rules for pages with items that several of them have.
const twins = `version: 1
job: twins
limits: {shards: 2}
discover:
  seeds: {urls: ["http://one.example/a"]}
  scope: {hosts: ["*.example"]}
  follow: [{css: "a@href"}]
fetch:
  timeout: 5s
  resolve: {"*.example": "${param.site}"}
  politeness: {default: {concurrency: 1, delay: 0s}}
parse:
  - record: item
    match: ["/*"]
    each: p
    fields:
      sku: {css: i, required: true}
      price: {css: b, map: {"7": 7}, type: int}
      note: {css: u}
      page: {css: s}
refine:
  item: {key: [sku], keep: %s}
`

// The row that was kept stays the one though the page of another is parsed
// again, which was asked for later.
func TestAReplayKeepsTheRowThatDuplicatesLeave(t *testing.T) {
	t.Parallel()
	for _, keep := range []string{"first", "most_complete"} {
		t.Run(keep, func(t *testing.T) {
			b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				switch r.URL.Path {
				case "/a":
					fmt.Fprint(w, `<p><i>1</i><b>7</b><u>full</u><s>a</s></p><a href="/b">asked for later</a>`)
				case "/b": // item 2 is rejected at first
					time.Sleep(5 * time.Millisecond)
					fmt.Fprint(w, `<p><i>1</i><b>7</b><s>b</s></p><p><i>2</i><b>8</b><s>b</s></p>`)
				default:
					http.NotFound(w, r)
				}
			}), fmt.Sprintf(twins, keep))
			parent := b.must()
			if got := b.byStage(parent); got != "[parse map:1]" {
				t.Fatalf("rejects %s", got)
			}
			before := b.database()["stored item"]
			if len(before) != 1 || !strings.Contains(before[0], `"page":"a"`) {
				t.Fatalf("stored %v", before)
			}
			b.write(strings.Replace(fmt.Sprintf(twins, keep), `"7": 7`, `"7": 7, "8": 8`, 1))
			for i := range 2 { // a replay of the parent again
				run := b.must(replaying(parent.ID))
				after := b.database()["stored item"]
				if len(after) != 2 || after[0] != before[0] || !strings.Contains(after[1], `"sku":"2"`) {
					t.Errorf("replay %d: stored %v, before %v", i, after, before)
				}
				if got := b.loaded(run, "item"); got.Added != int64(1-i) || got.Changed > 0 || got.Unchanged != int64(i) {
					t.Errorf("replay %d: loaded %+v", i, got)
				}
			}
		})
	}
}
