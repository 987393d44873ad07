package soak

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/soak/stable"
)

// pages is what the newest run's version of pages says, without times, runs
// and places.
func (h *harvest) pages() (rows []string) {
	h.t.Helper()
	lake, _, _ := h.lake()
	err := lake.EachPage(h.t.Context(), func(p harrow.PageState) error {
		rows = append(rows, fmt.Sprint(p.URL, " ", p.FinalURL, " ", p.ETag, " ", p.LastModified, " ", p.Digest, " ", p.Outcome, " ", p.Absences))
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return rows
}

// second harvests the shop once, then, after its prices have changed, again,
// with kills at moments of the second run.
func (s *site) second(t *testing.T, at []moment) (h *harvest, tables map[string][]string, kills int) {
	t.Helper()
	h = s.harvest(t)
	h.run().Want(rig.ExitDone)
	first, _, _ := h.lake()
	s.shop.SetRevision(1)
	s.log.Reset()
	for _, m := range at {
		p := h.run()
		p.Eventually(func() bool { lake, _, ok := h.lake(); return ok && lake.Run != first.Run }) // else the first run's commits are taken for its
		if !h.killAt(p, m) {
			break
		}
		kills++
	}
	if _, run, _ := h.lake(); run.ID == first.Run || run.State != lakeio.Done {
		h.run().Want(rig.ExitDone)
	}
	if lake, run, _ := h.lake(); run.PagesRun != first.Run || lake.Run == first.Run {
		t.Errorf("run %s knows the pages of %q, want those of %s", lake.Run, run.PagesRun, first.Run)
	}
	return h, h.tables(), kills
}

// secondLegs are where second runs are killed, each in two of them.
var secondLegs = []string{"fetch-0", "load", "fetch-1", "refine", publishing, "discover", "parse"}

// A run that asks conditionally and is killed comes to what it comes to
// undisturbed, its memory too.
func TestSIGKILLOfASecondRunLosesNeitherTablesNorMemory(t *testing.T) {
	s, seed := newSite(t), rig.Seed(t)
	c := s.calm(t)
	calm, want, _ := s.second(t, nil)
	known := calm.pages()
	confirmed := slices.ContainsFunc(want["fetch captures"], func(row string) bool { return strings.Contains(row, `"outcome":"not_modified"`) })
	if !confirmed {
		t.Fatal("nothing was not_modified in the undisturbed second run")
	}
	n, kills := 1, 0
	if rig.Long() {
		n = 8
	}
	for number := range n {
		t.Run(fmt.Sprintf("case-%02d", number), func(t *testing.T) {
			at := killCase{first: []string{secondLegs[number%len(secondLegs)], secondLegs[(number+3)%len(secondLegs)]}, more: 1}.moments(rig.Random(seed, 1000+number), c)
			h, tables, k := s.second(t, at)
			kills += k
			if diff := stable.Diff(want, tables); diff != "" {
				t.Errorf("undisturbed and killed second run differ:\n%s", diff)
			}
			if got := h.pages(); !slices.Equal(got, known) {
				t.Errorf("pages: %d rows, want %d of the undisturbed run", len(got), len(known))
			}
			t.Logf("%d kills of %v", k, at)
			if t.Failed() {
				h.keep()
			}
		})
	}
	if kills == 0 && !t.Failed() {
		t.Error("no kill in any case: the moments are wrong")
	}
	rig.Report(t, seed, "%d cases, %d kills, %d rows equal, %d pages known", n, kills, count(want), len(known))
}
