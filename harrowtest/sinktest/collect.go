package sinktest

import (
	"slices"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/internal/rows"
)

func collects(b *bench) {
	s := b.open()
	c, ok := s.(harrow.Collector)
	if !ok {
		return
	}
	gone := []string{run1, run2}
	b.collects("of an empty store", c, gone, false, harrow.Collected{})
	first, second, third := items(1, "a", nil, "b"), items(5, "c", "d"), items(7, "e")
	b.load(s, b.shard(item, run1, first...), harrow.Counts{Added: 2, Rejected: 1})
	b.commit(s, run1)
	b.load(s, b.shard(item, run2, second...), added(2))
	b.load(s, b.shard(item, run3, third...), added(1))
	shown := values(run1, []rows.Row{first[0], first[2]})
	if _, hides := s.(harrow.Publisher); !hides {
		shown = slices.Concat(shown, values(run2, second), values(run3, third))
	}

	would, err := c.Collect(b.Context(), gone, true)
	if err != nil || would == (harrow.Collected{}) {
		b.Fatalf("dry, with a run that is loaded and not committed: %+v, %v; want something", would, err)
	}
	b.collects("after a dry run", c, gone, false, would)
	b.collects("once more", c, gone, false, harrow.Collected{})
	b.shows("rows", item, shown, "_run")
	// A run that was not named has all it had.
	b.load(b.open(), b.shard(item, run3, items(100, "x", "y")...), added(1))
	b.commit(s, run3)
	if _, hides := s.(harrow.Publisher); hides {
		shown = slices.Concat(shown, values(run3, third))
	}
	b.shows("rows after the commit of another run", item, shown, "_run")
}

func (b *bench) collects(what string, c harrow.Collector, runs []string, dry bool, want harrow.Collected) {
	b.Helper()
	if got, err := c.Collect(b.Context(), runs, dry); err != nil || got != want {
		b.Errorf("%s: collected %+v, %v; want %+v", what, got, err, want)
	}
}
