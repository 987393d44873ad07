package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/html5/pages"
)

func TestMain(m *testing.M) {
	roles.Child()
	os.Exit(m.Run())
}

// TestSmallCase measures the least there is: all sides find the values, answer
// everything, and have nothing held against them but what the targets say.
func TestSmallCase(t *testing.T) {
	t.Chdir("../..")
	var out strings.Builder
	r, err := bench(t.Context(), plan{sizes: []int{5}, pages: 1, every: 400, rounds: 1, hostile: []int{1, 4}, patience: time.Minute}, &out)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.wrong) > 0 || len(r.groups) < 3 || len(r.hard) != len(pages.Hostiles) {
		t.Errorf("wrong: %q\n%s", r.wrong, out.String())
	}
	for _, g := range r.groups {
		for _, side := range r.sides {
			if s := g.side(side); len(s.cpu[0]) != 1 || len(s.cpu[1]) != 1 || s.cpu[1][0] <= 0 {
				t.Errorf("%s: %+v", side, s)
			}
		}
	}
}

// good are results in which all targets are just reached.
func good() *results {
	r := &results{plan: plan{judge: true, hostile: []int{1000, 4000}}, sides: []string{ours, goquery, selectolax}}
	g := figures{group: group{Name: named(pages.Product, targetKB), Fields: pages.Product.Fields()}}
	for range 3 {
		g.side(ours).add(1, answer{CPU: 100, Allocs: 2})
		g.side(goquery).add(1, answer{CPU: 400, Allocs: 100})
		g.side(selectolax).add(1, answer{CPU: 101})
	}
	r.groups = append(r.groups, g)
	r.hard = append(r.hard, ordeal{"deep", map[string][]answer{ours: {{CPU: 1}, {CPU: 10}}, goquery: {{Refused: "open stack"}}}})
	return r
}

func TestWhatDoesNotHoldIsFound(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r *results)
		want string
	}{
		{"nothing", func(*results) {}, ""},
		{"CPU", func(r *results) { r.groups[0].by[ours].cpu[1] = []float64{101, 101, 90} }, "of goquery's CPU"},
		{"CPU that isn't judged", func(r *results) { r.judge = false; r.groups[0].by[ours].cpu[1] = []float64{900, 900, 900} }, ""},
		{"allocations", func(r *results) { r.judge = false; r.groups[0].by[ours].allocs[1] = []float64{3, 3, 3} }, "of goquery's allocations"},
		{"selectolax ahead", func(r *results) { r.groups[0].by[selectolax].cpu[1] = []float64{99, 99, 99} }, "selectolax's CPU"},
		{"growth", func(r *results) { r.hard[0].by[ours][1].CPU = 11 }, "times as long (deep)"},
		{"a page that Harrow refuses", func(r *results) { r.judge = false; r.hard[0].by[ours][1].Refused = "no" }, "deep, 4000 KB: no"},
		{"a value", func(r *results) {
			want := make([]string, 8)
			got := append([]string{"x"}, want[1:]...)
			r.compare(lxml, r.groups[0].group, 0, [][]string{got}, want)
		}, `lxml, product, 30 KB, page 0: title is "x"`},
		{"a page without values", func(r *results) { r.compare(ours, r.groups[0].group, 1, [][]string{{}}, make([]string, 8)) }, "not all values"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := good()
			c.do(r)
			lines := r.verdicts()
			if got := strings.Join(r.wrong, "; "); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it\n%q", got, c.want, lines)
			}
		})
	}
}

func TestRatiosAreThoseOfARound(t *testing.T) {
	f := figures{}
	for round := range 5 { // a machine that gets slower
		f.side(ours).add(0, answer{CPU: float64(100 * (round + 1))})
		f.side(lxml).add(0, answer{CPU: float64(300 * (round + 1))})
	}
	if got := f.times(lxml, 0); got != 3 {
		t.Errorf("got %v, want 3", got)
	}
}

func TestCellsSayWhyThereIsNoTime(t *testing.T) {
	o := ordeal{by: map[string][]answer{
		ours:       {{CPU: 1500, Elements: 100}, {CPU: 6000, Elements: 400}},
		lxml:       {{CPU: 500, Elements: 90}, {CPU: 500, Elements: 90}},
		goquery:    {{Refused: "html: open stack of elements exceeds 512 nodes"}},
		selectolax: {{CPU: 700}, {Refused: fmt.Sprint("not within ", time.Second)}},
	}}
	for _, c := range []struct {
		side string
		i    int
		want string
	}{
		{ours, 1, "6.0"}, {lxml, 0, "0.5"}, {lxml, 1, "0.5 (90 elements)"}, {goquery, 0, "refused: nesting"}, {goquery, 1, "–"},
		{selectolax, 0, "0.7"}, {selectolax, 1, "not within 1s"},
	} {
		if got := o.cell(c.side, c.i); got != c.want {
			t.Errorf("%s, %d: got %q, want %q", c.side, c.i, got, c.want)
		}
	}
}

// A child that is killed is started again for the next question.
func TestAKilledChildAnswersTheNextQuestion(t *testing.T) {
	p := newPeer(ours, "", "", []group{{Name: "none"}})
	if _, err := p.ask(t.Context(), question{Do: "hostile", File: "/dev/full"}, 0); !errors.Is(err, errLate) {
		t.Errorf("got %v, want %v", err, errLate)
	}
	if _, err := p.ask(t.Context(), question{Do: "nonsense"}, time.Minute); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v: want what the child said", err)
	}
	if _, err := p.ask(t.Context(), question{Do: "values"}, time.Minute); err != nil {
		t.Error(err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}
