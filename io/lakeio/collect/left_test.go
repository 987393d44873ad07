package collect

import (
	"os"
	"testing"

	"github.com/harrowdata/harrow/io/lakeio"
)

// What a replay carries on of the run before it is left by the run, too, that
// took its stage discover over and fetched.
func TestARunLeavesWhatAReplayThatItTookOverCarriesOn(t *testing.T) {
	h := newHistory(t, t.Context(), must[string](t)(os.MkdirTemp(memory(t), "w")))
	first := h.run(plan{Until: done, Deferred: true})
	replay := h.run(plan{Until: done, Replay: first})
	asked := h.run(plan{Until: done, From: replay, Stage: "fetch"})
	if n := h.later(); n != 1 {
		t.Fatalf("the next run asks %d requests first, want 1", n)
	}
	c := &collector{Config: config(1), store: h.store}
	for id, want := range map[string]bool{first: true, replay: true, asked: true, h.run(plan{Until: done}): false} {
		r := &run{Run: must[lakeio.Run](t)(lakeio.ReadRun(h.ctx, h.store, job, id)), lake: h.lake(id)}
		if got := must[bool](t)(c.deferred(h.ctx, r)); got != want {
			t.Errorf("run %s has left something: %v, want %v", id, got, want)
		}
	}
}
