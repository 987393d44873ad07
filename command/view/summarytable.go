package view

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/harrowdata/harrow"
)

// recordTable is a heading and a line a record: what was parsed, what refine
// left of it, and what became of it in each sink. Every cell is text, a number
// that isn't known "-".
func (s Summary) recordTable() [][]string {
	table := [][]string{{"record"}}
	names := s.recordNames()
	for _, name := range names {
		table = append(table, []string{name})
	}
	column := func(head string, cell func(record string) string) {
		table[0] = append(table[0], head)
		for i, name := range names {
			table[i+1] = append(table[i+1], cell(name))
		}
	}
	column("parsed", func(record string) string { return Count(s.Records[record].Parsed) })
	if s.refined() {
		column("refined", func(record string) string {
			if n := s.Records[record].Refined; n != nil {
				return Count(*n)
			}
			return "-"
		})
	}
	for _, sink := range sortedKeys(s.Load) {
		s.sinkColumns(sink, column)
	}
	return table
}

// recordNames are the records that anything is known of.
func (s Summary) recordNames() []string {
	known := map[string]bool{}
	for name := range s.Records {
		known[name] = true
	}
	for _, records := range s.Load {
		for name := range records {
			known[name] = true
		}
	}
	return sortedKeys(known)
}

func (s Summary) refined() bool {
	for _, r := range s.Records {
		if r.Refined != nil {
			return true
		}
	}
	return false
}

// sinkColumns adds a sink's columns. The first names it; those of what seldom
// happens are there where it did.
func (s Summary) sinkColumns(sink string, column func(head string, cell func(record string) string)) {
	head := sink + ": "
	for _, c := range []struct {
		name  string
		rare  bool
		count func(*harrow.Counts) int64
	}{
		{"added", false, func(c *harrow.Counts) int64 { return c.Added }},
		{"changed", false, func(c *harrow.Counts) int64 { return c.Changed }},
		{"unchanged", false, func(c *harrow.Counts) int64 { return c.Unchanged }},
		{"stale", true, func(c *harrow.Counts) int64 { return c.Stale }},
		{"rejected", true, func(c *harrow.Counts) int64 { return c.Rejected }},
	} {
		some := false
		for _, counts := range s.Load[sink] {
			some = some || c.count(counts) != 0
		}
		if c.rare && !some {
			continue
		}
		column(head+c.name, func(record string) string {
			if counts := s.Load[sink][record]; counts != nil {
				return Count(c.count(counts))
			}
			return "-"
		})
		head = ""
	}
}

// aligned sets a table's rows as lines: the first column to the left, numbers
// to the right.
func aligned(table [][]string) []string {
	var widths []int
	for _, row := range table {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(Printable(cell)))
		}
	}
	lines := make([]string, len(table))
	for r, row := range table {
		cells := make([]string, len(row))
		for i, cell := range row {
			width := widths[i]
			if i == 0 {
				width = -width
			}
			cells[i] = fmt.Sprintf("%*s", width, Printable(cell))
		}
		lines[r] = strings.Join(cells, "  ")
	}
	return lines
}
