package pipelines

import (
	"strconv"
	"sync"
	"testing"

	"github.com/harrowdata/harrow/internal/demosite"
)

// exact makes the demo's answer independent of timing: which of two rows of a
// book is the latest depends on when they were fetched.
var exact = []string{"keep: latest", "keep: first"}

// Runner and numbers of shards say how the work is cut, never what comes of it.
func TestTheTablesDoNotDependOnRunnerOrShards(t *testing.T) {
	t.Parallel()
	meaning(t)
	var first struct {
		sync.Mutex
		name   string
		tables map[string][]string
	}
	for _, c := range []struct {
		runner             string
		fetchShards, shard int
	}{
		{"direct", 1, 4}, {"direct", 3, 4}, {"direct", 16, 4}, {"direct", 1, 1}, {"direct", 1, 32}, {"direct", 16, 32},
		{"prism", 1, 1}, {"prism", 3, 4}, {"prism", 16, 32},
	} {
		name := c.runner + " " + strconv.Itoa(c.fetchShards) + " fetch shards " + strconv.Itoa(c.shard) + " shards"
		t.Run(name, func(t *testing.T) {
			limits := "limits: {fetch_shards: " + strconv.Itoa(c.fetchShards) + ", shards: " + strconv.Itoa(c.shard) + "}\n"
			b := newShop(t, demosite.Options{}, append(exact, "job: shop\n", "job: shop\n"+limits)...)
			if c.runner == "direct" {
				b.beside() // Prism shares one server and spins
			}
			run := b.must(runner(c.runner))
			if run.FetchShards != c.fetchShards || run.Shards != c.shard {
				t.Errorf("run.json says %d and %d shards", run.FetchShards, run.Shards)
			}
			tables := b.tables(run)
			for _, table := range []string{"fetch captures", "fetch bodies", "fetch links", "fetch rejects", "parse records/book", "parse rejects",
				"refine records/book", "refine records/offer", "stored book", "stored offer"} {
				if len(tables[table]) == 0 {
					t.Errorf("%s is empty", table)
				}
			}
			first.Lock()
			defer first.Unlock()
			if first.tables == nil {
				first.name, first.tables = name, tables
			}
			same(t, "against "+first.name, first.tables, tables)
		})
	}
}
