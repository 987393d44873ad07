package sqlio

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

// stored is what the model knows of a row.
type stored struct {
	stock any
	at    int
	run   string
}

// TestLoadAgreesWithAMap loads shards of a few keys in any order, duplicates
// and repeats of runs included, into a table and into a map.
func TestLoadAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newSink(t, t.TempDir())
		model := map[string]stored{}
		marked := map[string]harrow.Counts{}
		for range rapid.IntRange(1, 5).Draw(rt, "loads") {
			run := fmt.Sprint("r", rapid.IntRange(0, 3).Draw(rt, "run"))
			var rows []row
			var want harrow.Counts
			seen, again := marked[run]
			for range rapid.IntRange(0, 8).Draw(rt, "rows") {
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
			load(t, s, bookShard(t, run, rows...), want)
		}
		if len(dump(t, s, "SELECT upc FROM book")) != len(model) {
			rt.Errorf("%d rows, want %d", len(dump(t, s, "SELECT upc FROM book")), len(model))
		}
		for key, v := range model {
			want := fmt.Sprintf("%v|%v|%s", v.stock, day.Add(time.Duration(v.at)*time.Microsecond).Format("2006-01-02T15:04:05.000000Z"), v.run)
			if got := dump(t, s, "SELECT stock, _fetched_at, _run FROM book WHERE upc = '"+key+"'"); len(got) != 1 || got[0] != want {
				rt.Errorf("%q: %v, want %s", key, got, want)
			}
		}
		if t.Failed() {
			rt.FailNow()
		}
	})
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
