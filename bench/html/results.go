package main

import (
	"fmt"
	"slices"

	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// What must hold for a product of 30 KB with its fields, and of hostile pages.
const (
	targetKB    = 30
	mostOfCPU   = 1.0 / 4  // goquery's
	mostOfAlloc = 1.0 / 50 // goquery's
	mostGrowth  = 10       // of time, when a hostile page is four times as large
)

// results are what all sides took, and what does not hold.
type results struct {
	plan
	sides  []string
	groups []figures
	hard   []ordeal
	wrong  []string
}

// figures are what the pages of a group took, by side.
type figures struct {
	group
	bytes int // of a page
	by    map[string]*samples
}

// samples are what one side took: [0] the tree alone, [1] with the fields.
type samples struct {
	cpu    [2][]float64 // microseconds a page, by round
	allocs [2][]float64
	memory float64 // bytes a byte of the page
}

// ordeal is what parsing hostile pages took, by side and size.
type ordeal struct {
	name string
	by   map[string][]answer
}

func (f *figures) side(name string) *samples {
	if f.by == nil {
		f.by = map[string]*samples{}
	}
	if f.by[name] == nil {
		f.by[name] = &samples{}
	}
	return f.by[name]
}

func (s *samples) add(with int, a answer) {
	s.cpu[with] = append(s.cpu[with], a.CPU)
	s.allocs[with] = append(s.allocs[with], a.Allocs)
}

// times is how many times as much CPU as Harrow a side took: the median of the
// rounds' ratios, since a round's measurements are close to each other in time.
func (f *figures) times(side string, with int) float64 {
	own, theirs := f.side(ours).cpu[with], f.side(side).cpu[with]
	ratios := make([]float64, min(len(own), len(theirs)))
	for i := range ratios {
		ratios[i] = theirs[i] / own[i]
	}
	return measure.Median(ratios)
}

func (r *results) failed(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.wrong, text) {
		r.wrong = append(r.wrong, text)
	}
}

// compare judges the values that a side read from a page.
func (r *results) compare(side string, g group, page int, got [][]string, want []string) {
	if page >= len(got) || len(got[page]) != len(want) {
		r.failed("%s, %s, page %d: not all values", side, g.Name, page)
		return
	}
	for i, f := range g.Fields {
		if got[page][i] != want[i] {
			r.failed("%s, %s, page %d: %s is %.80q, want %.80q", side, g.Name, page, f.Name, got[page][i], want[i])
		}
	}
}

// target is the group that the targets are about; nil: it wasn't measured.
func (r *results) target() *figures {
	for i := range r.groups {
		if g := &r.groups[i]; g.Name == named(pages.Product, targetKB) {
			return g
		}
	}
	return nil
}

// verdicts judges what was measured and says in words how it stands.
func (r *results) verdicts() (lines []string) {
	say := func(judged, ok bool, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		switch {
		case !ok && judged:
			r.failed("%s", text)
			lines = append(lines, "MISSED: "+text)
		case judged:
			lines = append(lines, "holds: "+text)
		default:
			lines = append(lines, "not judged: "+text)
		}
	}
	if g := r.target(); g != nil {
		own, theirs := measure.Median(g.side(ours).allocs[1]), measure.Median(g.side(goquery).allocs[1])
		of := "of goquery's %s for a product of %d KB with its fields, at most %.2f"
		say(r.judge, 1/g.times(goquery, 1) <= mostOfCPU, "%.2f "+of, 1/g.times(goquery, 1), "CPU", targetKB, mostOfCPU)
		say(true, own <= theirs*mostOfAlloc, "%.3f "+of+" (%.0f of %.0f)", own/theirs, "allocations", targetKB, mostOfAlloc, own, theirs)
		if slices.Contains(r.sides, selectolax) {
			say(r.judge, g.times(selectolax, 1) > 1, "%.2f of selectolax's CPU for the same, less than 1", 1/g.times(selectolax, 1))
		}
	}
	if len(r.hard) > 0 {
		most, name := r.growth()
		say(r.judge, most <= mostGrowth, "four times a hostile page takes at most %.1f times as long (%s), at most %d", most, name, mostGrowth)
	}
	for _, o := range r.hard {
		for i, a := range o.by[ours] {
			if a.Refused != "" {
				r.failed("%s, %d KB: %s", o.name, r.hostile[i], a.Refused)
			}
		}
	}
	return lines
}

// growth is by how much Harrow's time grew most with a hostile page.
func (r *results) growth() (most float64, name string) {
	for _, o := range r.hard {
		if a := o.by[ours]; len(a) == 2 && a[0].CPU > 0 && a[1].CPU/a[0].CPU > most {
			most, name = a[1].CPU/a[0].CPU, o.name
		}
	}
	return most, name
}
