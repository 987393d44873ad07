package lakeio

import (
	"maps"
	"reflect"
	"testing"

	"github.com/harrowdata/harrow"
)

func TestLoadsAreReadAsTheyAreCounted(t *testing.T) {
	book, offer := harrow.Counts{Added: 1, Changed: 2, Unchanged: 3, Stale: 4, Rejected: 5}, harrow.Counts{Added: 6}
	m := Manifest{Counters: map[string]int64{"links_not_taken.host": 7, "load.sqlite": 8, "rows.book": 9}}
	maps.Copy(m.Counters, LoadCounters("sqlite", "book", book))
	maps.Copy(m.Counters, LoadCounters("sqlite", "offer", offer))
	maps.Copy(m.Counters, LoadCounters("parquet", "book", offer))
	want := map[string]map[string]harrow.Counts{"sqlite": {"book": book, "offer": offer}, "parquet": {"book": offer}}
	if got := m.Loads(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := m.Counters["load.sqlite.book.stale"]; n != 4 {
		t.Errorf("load.sqlite.book.stale is %d, want 4", n)
	}
}
