package view_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

func TestARunIsFoundByItsPlaceAndByTheBeginningOfItsID(t *testing.T) {
	store, l := newLake(t, "shop")
	ids := []string{runID, "0198c0de-1000-7000-8000-000000000001", "0199ffff-0000-7000-8000-00000000000a"}
	for _, id := range ids[1:] {
		r, err := lakeio.ReadRun(t.Context(), store, "shop", runID)
		check(t, err)
		r.ID = id
		check(t, lakeio.CreateRun(t.Context(), store, r))
	}
	for which, want := range map[string]int{"": 2, "last": 2, "last~0": 2, "last~1": 1, "last~2": 0, "0199": 2, "0199FFFF-0": 2, "0198c0de-1": 1, runID: 0} {
		if r, err := view.FindRun(t.Context(), store, "shop", which); err != nil || r.ID != ids[want] {
			t.Errorf("%q: run %s, %v; want %s", which, r.ID, err, ids[want])
		}
	}
	none := "no run %s of job shop; want last or one of its 3 runs, see harrow ls"
	for which, want := range map[string]string{
		"last~3": "run last~3: job shop has 3 runs; want last~N with N below that", "last~-1": "run last~-1: job shop has 3 runs; want last~N with N below that",
		"0198": "run 0198: the ids of 2 runs begin so, " + ids[0] + " and " + ids[1] + " for example",
		"019":  fmt.Sprintf(none, "019"), "last1": fmt.Sprintf(none, "last1"), "0198c0de-2": fmt.Sprintf(none, "0198c0de-2"), "../../x": fmt.Sprintf(none, "../../x"),
	} {
		if _, err := view.FindRun(t.Context(), store, "shop", which); err == nil || err.Error() != want || !errors.Is(err, view.ErrUsage) {
			t.Errorf("%q: %v; want %s", which, err, want)
		}
	}
	if _, err := view.FindRun(t.Context(), l.Store, "none", "last~1"); !errors.Is(err, view.ErrUsage) {
		t.Error(err)
	}
}
