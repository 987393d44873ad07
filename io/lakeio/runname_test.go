package lakeio

import (
	"fmt"
	"testing"
)

func TestARunIsFoundByItsPlaceAndByTheBeginningOfItsID(t *testing.T) {
	s := openTemp(t)
	_, err := FindRun(t.Context(), s, "shop", "last")
	wants(t, err, ErrNotFound, "job shop has no run")
	ids := []string{"0198c0de-0000-7000-8000-000000000001", "0198c0de-1000-7000-8000-000000000001", "0199ffff-0000-7000-8000-00000000000a"}
	for _, id := range ids {
		check(t, CreateRun(t.Context(), s, Run{ID: id, Job: "shop", Spec: []byte("{}")}))
	}
	for which, want := range map[string]int{"last": 2, "last~0": 2, "last~1": 1, "last~2": 0, "0199": 2, "0199FFFF-0": 2, "0198c0de-1": 1, ids[0]: 0} {
		if r, err := FindRun(t.Context(), s, "shop", which); err != nil || r.ID != ids[want] {
			t.Errorf("%q: run %s, %v; want %s", which, r.ID, err, ids[want])
		}
	}
	none := "no run %s of job shop; want last or one of its 3 runs, see harrow ls"
	for which, want := range map[string]string{
		"last~3": "run last~3: job shop has 3 runs; want last~N with N below that", "last~-1": "run last~-1: job shop has 3 runs; want last~N with N below that",
		"0198": "run 0198: the ids of 2 runs begin so, " + ids[0] + " and " + ids[1] + " for example",
		"019":  fmt.Sprintf(none, "019"), "last1": fmt.Sprintf(none, "last1"), "0198c0de-2": fmt.Sprintf(none, "0198c0de-2"), "../../x": fmt.Sprintf(none, "../../x"),
	} {
		_, err := FindRun(t.Context(), s, "shop", which)
		wants(t, err, ErrNotFound, want)
	}
}
