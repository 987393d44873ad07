package pgio

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/sqlio"
)

// stored is what the model knows of a row.
type stored struct {
	stock any
	at    int
	run   string
}

// TestLoadAgreesWithAMap loads shards of a few keys in any order, duplicates
// and repeats of runs included, into a table, into a map, and into SQLite.
func TestLoadAgreesWithAMap(t *testing.T) {
	s := newSink(t, home(t))
	other, err := sqlio.New(nil, harrow.SinkEnv{Job: "shop", Workspace: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	checks := "25" // each costs several commits
	if testing.Short() {
		checks = "5"
	}
	fewChecks(t, checks)
	rapid.Check(t, func(rt *rapid.T) {
		table := harrow.RecordType{Name: fmt.Sprint("book_", schemas.Add(1)), Columns: book.Columns}
		model := map[string]stored{}
		marked := map[string]harrow.Counts{}
		for range rapid.IntRange(1, 6).Draw(rt, "loads") {
			run := fmt.Sprint(table.Name, "-r", rapid.IntRange(0, 3).Draw(rt, "run"))
			var rows []row
			var want harrow.Counts
			seen, again := marked[run]
			for range rapid.IntRange(0, 12).Draw(rt, "rows") {
				key := rapid.SampledFrom([]any{"a", "A", "", "é", nil}).Draw(rt, "key")
				stock := rapid.SampledFrom([]any{nil, int64(0), int64(1)}).Draw(rt, "stock")
				at := rapid.IntRange(0, 2).Draw(rt, "at")
				rows = append(rows, bookRow(key, stock, day.Add(time.Duration(at)*time.Microsecond), run))
				if !again {
					count(&want, model, key, stored{stock, at, run})
				}
			}
			if again {
				want = seen
			}
			marked[run] = want
			shard := bookShard(t, run, rows...)
			shard.Record, shard.Batches = table, batches(t, table, rows)
			if n, err := s.Load(t.Context(), shard); err != nil || n != want {
				rt.Errorf("counts %+v, %v; want %+v", n, err, want)
			}
			shard.Reject = func(harrow.Reject) error { return nil }
			if n, err := other.Load(t.Context(), shard); err != nil || n != want {
				rt.Errorf("SQLite counts %+v, %v", n, err)
			}
		}
		agrees(t, rt, s, table.Name, model)
	})
}

// fewChecks makes rapid check less often, unless the command line says how
// often.
func fewChecks(t *testing.T, n string) {
	t.Helper()
	const name = "rapid.checks"
	if slices.ContainsFunc(os.Args, func(arg string) bool { return strings.Contains(arg, name) }) {
		return
	}
	before := flag.Lookup(name).Value.String()
	if err := flag.Set(name, n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, before) })
}

func agrees(t *testing.T, rt *rapid.T, s *Sink, table string, model map[string]stored) {
	var want []string
	for key, v := range model {
		stock := "<nil>"
		if v.stock != nil {
			stock = fmt.Sprint(v.stock)
		}
		want = append(want, fmt.Sprintf("%s|%s|%d|%s", key, stock, v.at, v.run))
	}
	got := dump(t, s, "SELECT upc, stock, extract(microseconds FROM _fetched_at)::bigint, _run FROM "+table)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		rt.Errorf("rows %q, want %q", got, want)
	}
}

func count(n *harrow.Counts, model map[string]stored, key any, v stored) {
	if key == nil {
		n.Rejected++
		return
	}
	have, ok := model[key.(string)]
	switch {
	case !ok:
		n.Added++
	case have.stock == v.stock:
		n.Unchanged++
		return
	case v.at < have.at:
		n.Stale++
		return
	default:
		n.Changed++
	}
	model[key.(string)] = v
}
