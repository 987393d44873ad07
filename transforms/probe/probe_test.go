package probe

import (
	"strings"
	"testing"

	"github.com/harrowdata/harrow/transforms/probe/look"
)

func TestReportsAreOneAProcess(t *testing.T) {
	text := func(r look.Report) string {
		text, err := r.Text()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	counters := map[string]int64{
		namespace + "." + text(look.Report{Worker: "c", Host: "tm-2", PID: 9}): 3,
		namespace + "." + text(look.Report{Worker: "b", Host: "tm-1", PID: 8}): 2,
		namespace + "." + text(look.Report{Worker: "a", Host: "tm-1", PID: 7}): 1,
		// The same process, asked by two bundles that did not wait for another.
		namespace + "." + text(look.Report{Worker: "a", Host: "tm-1", PID: 7, Room: 1}): 1,
		"harrow.rows.book": 17,
	}
	got, err := Reports(counters)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range got {
		names = append(names, r.Worker)
	}
	if strings.Join(names, " ") != "a b c" {
		t.Errorf("got %v", names)
	}
	if _, err := Reports(map[string]int64{namespace + ".frob": 1}); err == nil {
		t.Error("what is no report is passed over")
	}
}
