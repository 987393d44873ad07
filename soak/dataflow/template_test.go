package dataflow

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	api "google.golang.org/api/dataflow/v1b3"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/rig"
)

// launch runs a template as Google does: under another name.
func (w *world) launch(t *testing.T, template []byte, name string) string {
	t.Helper()
	var job api.Job
	if err := json.Unmarshal(template, &job); err != nil {
		t.Fatal(err)
	}
	job.Name = name
	launched := w.Add(job, "PENDING")
	w.begin(launched)
	for end := time.Now().Add(rig.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if state := launched.State(); state != "PENDING" && state != "RUNNING" {
			return state
		}
	}
	t.Fatalf("job %s is still %s", name, launched.State())
	return ""
}

func (w *world) state(t *testing.T, h *harvest) lakeio.Run {
	t.Helper()
	store, err := lakeio.Open(h.workspace)
	if err != nil {
		t.Fatal(err)
	}
	run, err := lakeio.LastRun(t.Context(), store, jobName)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestATemplateRunsItsRunOnceHoweverOftenItIsLaunched(t *testing.T) {
	w := newWorld(t)
	h, flags := w.onDataflow(t)
	url := w.bucket.Workspace("templates/shop")
	p := h.run(append(flags, "--template_location="+url)...)
	p.Want(rig.ExitDone)
	if n := len(w.Jobs()) + len(w.Requests()); n != 0 {
		t.Fatalf("%d jobs and requests to the shop; nothing is to run before a launch", n)
	}
	run := w.state(t, h)
	if run.State != lakeio.Paused || run.Exit != 0 || !strings.Contains(p.Out.String(), "template "+url) {
		t.Errorf("the run is %s, exit %d; want paused, and a word on the template:\n%s", run.State, run.Exit, p.Out.String())
	}
	template, err := w.object(url)
	if err != nil {
		t.Fatal(err)
	}
	if state := w.launch(t, template, "nightly"); state != "DONE" {
		t.Fatalf("the launched job is %s", state)
	}
	asked := len(w.Requests())
	if state := w.launch(t, template, "nightly-again"); state != "DONE" || len(w.Requests()) != asked {
		t.Errorf("launched again it is %s, and %d requests are sent; want DONE and none", state, len(w.Requests())-asked)
	}
	h.run().Want(rig.ExitDone)
	if last := w.state(t, h); last.ID != run.ID || last.State != lakeio.Done || len(w.Requests()) != asked {
		t.Errorf("run %s is %s, %d requests more; want run %s done by none", last.ID, last.State, len(w.Requests())-asked, run.ID)
	}
	w.equal(t, h)
}
