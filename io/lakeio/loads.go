package lakeio

import (
	"strings"

	"github.com/harrowdata/harrow"
)

// counts are what a sink counts, as a manifest's counters call it.
var counts = []struct {
	name string
	of   func(*harrow.Counts) *int64
}{
	{"added", func(c *harrow.Counts) *int64 { return &c.Added }},
	{"changed", func(c *harrow.Counts) *int64 { return &c.Changed }},
	{"unchanged", func(c *harrow.Counts) *int64 { return &c.Unchanged }},
	{"stale", func(c *harrow.Counts) *int64 { return &c.Stale }},
	{"rejected", func(c *harrow.Counts) *int64 { return &c.Rejected }},
}

// LoadCounters are what loading rows of a record into a sink comes to as
// counters of a manifest: load.SINK.RECORD.added and so on. See
// [Manifest.Loads].
func LoadCounters(sink, record string, c harrow.Counts) map[string]int64 {
	counters := map[string]int64{}
	for _, count := range counts {
		counters["load."+sink+"."+record+"."+count.name] = *count.of(&c)
	}
	return counters
}

// Loads is what stage load counted, by sink and record: what [LoadCounters]
// wrote, summed.
func (m Manifest) Loads() map[string]map[string]harrow.Counts {
	loads := map[string]map[string]harrow.Counts{}
	for counter, n := range m.Counters {
		words := strings.Split(counter, ".")
		if len(words) != 4 || words[0] != "load" {
			continue
		}
		sink, record := words[1], words[2]
		if loads[sink] == nil {
			loads[sink] = map[string]harrow.Counts{}
		}
		c := loads[sink][record]
		for _, count := range counts {
			if count.name == words[3] {
				*count.of(&c) = n
			}
		}
		loads[sink][record] = c
	}
	return loads
}
