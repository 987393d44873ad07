package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/harrowdata/harrow/bench/internal/measure"
)

// what is measured, by the index of samples.
var what = [2]string{"tree", "tree and fields"}

// table is a table of text, whose first row is its head.
type table [][]string

// print writes it for people: columns as wide as they must be, the first to
// the left.
func (t table) print(out io.Writer) error {
	var b strings.Builder
	width := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for _, row := range t {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i == 0 {
				b.WriteString(cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String()+"\n")
	return err
}

// markdown is the table as Markdown has it.
func (t table) markdown() string {
	var b strings.Builder
	for i, row := range t {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}

// cpu is the table of CPU and allocations a page.
func (r *results) cpu() table {
	head := []string{"page", "bytes", "of it"}
	for _, side := range r.sides {
		head = append(head, side+", µs")
	}
	for _, side := range r.sides[1:] {
		head = append(head, side+" ÷ harrow")
	}
	t := table{append(head, "harrow, allocations", "goquery, allocations")}
	for i := range r.groups {
		g := &r.groups[i]
		for with, what := range what {
			row := []string{g.Name, fmt.Sprint(g.bytes), what}
			for _, side := range r.sides {
				row = append(row, fmt.Sprintf("%.0f", measure.Median(g.side(side).cpu[with])))
			}
			for _, side := range r.sides[1:] {
				row = append(row, fmt.Sprintf("%.2f", g.times(side, with)))
			}
			for _, side := range r.sides[:2] {
				row = append(row, fmt.Sprintf("%.0f", measure.Median(g.side(side).allocs[with])))
			}
			t = append(t, row)
		}
	}
	return t
}

// memory is the table of what trees take.
func (r *results) memory() table {
	t := table{append([]string{"page"}, r.sides...)}
	for i := range r.groups {
		g := &r.groups[i]
		if !g.Largest {
			continue
		}
		row := []string{g.Name}
		for _, side := range r.sides {
			row = append(row, fmt.Sprintf("%.1f", g.side(side).memory))
		}
		t = append(t, row)
	}
	return t
}

// ordeals is the table of hostile pages.
func (r *results) ordeals() table {
	head := []string{"page"}
	for _, side := range r.sides {
		for _, kb := range r.hostile {
			head = append(head, fmt.Sprintf("%s, %d KB", side, kb))
		}
	}
	t := table{append(head, "growth, harrow", "elements, harrow")}
	for _, o := range r.hard {
		row := []string{o.name}
		for _, side := range r.sides {
			for i := range r.hostile {
				row = append(row, o.cell(side, i))
			}
		}
		growth, elements := "", ""
		if a := o.by[ours]; len(a) == 2 {
			growth, elements = fmt.Sprintf("%.1f", a[1].CPU/a[0].CPU), fmt.Sprint(a[1].Elements)
		}
		t = append(t, append(row, growth, elements))
	}
	return t
}

// cell is what a page took in milliseconds, or a sign for why it did not.
func (o ordeal) cell(side string, i int) string {
	all := o.by[side]
	switch {
	case i >= len(all):
		return "–"
	case all[i].Refused != "":
		return sign(all[i].Refused)
	}
	ms := fmt.Sprintf("%.1f", all[i].CPU/1000)
	if own := o.by[ours]; i < len(own) && all[i].Elements > 0 && all[i].Elements < own[i].Elements*9/10 {
		ms += fmt.Sprintf(" (%d elements)", all[i].Elements)
	}
	return ms
}

// sign shortens a refusal.
func sign(refused string) string {
	switch {
	case strings.Contains(refused, "not within"):
		return refused
	case strings.Contains(refused, "open stack"):
		return "refused: nesting"
	case strings.Contains(refused, "out of memory"), strings.Contains(refused, "MemoryError"), strings.Contains(refused, "cannot allocate"):
		return "out of memory"
	}
	return fmt.Sprintf("refused: %.40s", strings.ReplaceAll(refused, "|", "/"))
}

// conclude prints how it stands and what does not hold, and writes the row of
// the soak's table.
func (r *results) conclude(out io.Writer) error {
	lines := r.verdicts()
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	for _, wrong := range r.wrong {
		if _, err := fmt.Fprintln(out, "FAILED:", wrong); err != nil {
			return err
		}
	}
	return measure.SoakRow("HTML", fmt.Sprint(seed), fmt.Sprintf("%d pages of each of %d kinds and sizes, %d rounds; %d families of hostile pages", r.pages, len(r.groups), r.rounds, len(r.hard)),
		strings.Join(lines, "; "))
}

// write writes the report.
func (r *results) write(file string) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# Reading HTML, beside goquery, lexbor and libxml2

Made by `+"`make bench-html`"+` on %s, commit %s, %d cores, %s/%s, %s. Seed %d.

CPU of one page's tree, and of the tree with eight fields, in microseconds: medians of %d rounds, in which all sides have their turn, each in a process of its own
whose clock is taken, garbage collection included. ÷ is the median of the rounds' ratios. Each row is %d generated pages, read in turns, or each %dth page of PostgreSQL's
manual; all sides found the same values in them. goquery is golang.org/x/net/html and cascadia, its selectors compiled once; selectolax is lexbor and lxml is libxml2, both in C, called from
Python, which is what their users do. Harrow reads all pages into one tree. The product of %d KB is what the targets are about.

`, time.Now().UTC().Format(time.DateOnly), measure.Commit(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), seed, r.rounds, r.pages, r.every, targetKB)
	for _, line := range r.verdicts() {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	b.WriteString("\n" + r.cpu().markdown())
	b.WriteString("\nMemory of a tree that is kept, in bytes for each byte of its page: of Go's sides what is alive on the heap, of the others what the process grew by.\n\n" + r.memory().markdown())
	fmt.Fprintf(&b, `
Hostile pages: CPU of the tree in milliseconds, the least of up to three, at most %v and %d GiB. goquery refuses what is nested more than 512 deep; where a tree
has lost a tenth of Harrow's elements, or more, their number is beside the time. – is what was not tried, since the smaller page was refused.

%s`, r.patience, most>>30, r.ordeals().markdown())
	for _, wrong := range r.wrong {
		fmt.Fprintf(&b, "\nFAILED: %s\n", wrong)
	}
	return os.WriteFile(file, []byte(b.String()), 0o666)
}
