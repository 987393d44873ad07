package view_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

func TestListTellsOfJobsRunsAndStages(t *testing.T) {
	l, _ := full(t)
	jobs, err := view.List(t.Context(), l.Store, "", 5)
	check(t, err)
	var b strings.Builder
	check(t, view.WriteList(&b, jobs))
	want := `job shop
  run ` + runID + `  done, exit 3, begun 2026-03-01 12:00:00Z, ended 2026-03-01 12:01:30Z
    discover   committed    12 ms  requests 1
    fetch-0    committed    1m01s  bodies 1, captures 2, rejects 1
    fetch-1    committed           captures 1
    pages      committed           pages 2
    parse      committed           records/book 3, rejects 2
    refine     waiting
    load       waiting
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	data, err := json.Marshal(jobs)
	check(t, err)
	for _, part := range []string{`"job":"shop","holder":null`, `"state":"done","exit":3`, `"stage":"refine","state":"waiting","committed_at":null`, `"captures":{"rows":2,"parts":1,`} {
		if !strings.Contains(string(data), part) {
			t.Errorf("no %s in %s", part, data)
		}
	}
}

// What a run took over is said in one line for each run that it is of; JSON
// has it stage by stage.
func TestListSumsUpWhatWasTakenOver(t *testing.T) {
	l, r := full(t)
	child := r.Run
	child.ID, child.Parent, child.From, child.State = "0198c0de-0000-7000-8000-000000000002", r.ID, "refine", lakeio.Paused
	child.Sources = map[string]string{"discover": r.ID, "fetch": r.ID, "parse": r.ID}
	check(t, lakeio.CreateRun(t.Context(), l.Store, child))
	again := child
	again.ID, again.Parent, again.From = "0198c0de-0000-7000-8000-000000000003", child.ID, "load"
	again.Sources = map[string]string{"discover": r.ID, "fetch": r.ID, "parse": r.ID, "refine": child.ID}
	check(t, lakeio.CreateRun(t.Context(), l.Store, again))
	jobs, err := view.List(t.Context(), l.Store, "", 2)
	check(t, err)
	var b strings.Builder
	check(t, view.WriteList(&b, jobs))
	_, got, _ := strings.Cut(b.String(), "--last 0 lists all\n")
	taken := "    discover to parse  of run " + runID + ": bodies 1, captures 3, pages 2, records/book 3, rejects 3, requests 1\n"
	want := "  run " + child.ID + "  paused, exit 3, begun 2026-03-01 12:00:00Z, ended 2026-03-01 12:01:30Z, from refine of run " + runID + "\n" +
		taken + "    refine     waiting\n    load       waiting\n" +
		"  run " + again.ID + "  paused, exit 3, begun 2026-03-01 12:00:00Z, ended 2026-03-01 12:01:30Z, from load of run " + child.ID + "\n" +
		taken + "    refine     of run " + child.ID + "\n    load       waiting\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if s := jobs[0].Runs[1].Stages; s[1].Stage != "fetch-0" || s[1].Run != runID || s[1].Tables["captures"].Rows != 2 {
		t.Errorf("%+v", s)
	}
}

func TestListTellsARunningRunFromOneThatDied(t *testing.T) {
	_, l := newLake(t, "shop")
	_, err := lakeio.ChangeRun(t.Context(), l.Store, "shop", runID, func(r *lakeio.Run) error { r.State = lakeio.Active; return nil })
	check(t, err)
	state := func() string {
		jobs, err := view.List(t.Context(), l.Store, "shop", 0)
		check(t, err)
		return jobs[0].Runs[0].State
	}
	if got := state(); got != "interrupted" {
		t.Error(got)
	}
	lock, err := lakeio.LockJob(t.Context(), l, lakeio.LockConfig{Now: begun})
	check(t, err)
	if got := state(); got != "running" {
		t.Error(got)
	}
	if h, err := view.Held(t.Context(), l.Store, "shop"); err != nil || h == nil || h.Run != runID || h.PID != os.Getpid() {
		t.Errorf("%+v, %v", h, err)
	}
	check(t, lock.Release(begun))
	if h, err := view.Held(t.Context(), l.Store, "shop"); err != nil || h != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestReadingMakesNoWorkspace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nothing")
	for _, workspace := range []string{dir, "file://" + dir, "s3://bucket/x"} {
		if _, err := view.Open(workspace); !errors.Is(err, view.ErrUsage) {
			t.Errorf("%s: %v", workspace, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", dir, err)
	}
}

func TestJobIsFoundByNameOrFile(t *testing.T) {
	l, _ := full(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, []byte(text), 0o666))
		return path
	}
	for which, want := range map[string]string{
		"":     "shop",
		"shop": "shop",
		file("a.yaml", "job: shop\nfetch:\n  what: ${param.x}\n  ever: [1]\n"): "shop",
		"other":                            "!no job other in workspace",
		file("b.yaml", "job: other\n"):     "!no job other in workspace",
		file("c.yaml", "job: ../../etc\n"): "!want a name like",
		file("d.yaml", "{"):                "!want a job file",
		filepath.Join(dir, "none.yaml"):    "!want the name of a job or a job file",
	} {
		got, err := view.FindJob(t.Context(), l.Store, which)
		if wrong, ok := strings.CutPrefix(want, "!"); ok {
			if err == nil || !errors.Is(err, view.ErrUsage) || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%q: %q, %v; want %s", which, got, err, wrong)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %q, %v", which, got, err)
		}
	}
	for which, ok := range map[string]bool{"": true, "last": true, runID: true, "x": false, "../shop": false, "0198c0de-0000-7000-8000-000000000009": false} {
		_, err := view.FindRun(t.Context(), l.Store, "shop", which)
		if ok != (err == nil) || err != nil && !errors.Is(err, view.ErrUsage) {
			t.Errorf("run %q: %v", which, err)
		}
	}
}

func TestRejectsAreCountedByStageClassAndCode(t *testing.T) {
	_, r := full(t)
	counts, err := r.Rejects(t.Context())
	check(t, err)
	var b strings.Builder
	check(t, view.WriteRejects(&b, counts))
	const want = "stage  class      code      count\nfetch  permanent  http_403      1\nparse  data       type          2\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	got, err := cat(t, r, view.Query{Table: "rejects", Stage: "parse", Where: []string{"value=?"}}, view.Output{})
	check(t, err)
	if !strings.Contains(got, "parse  data   type  book    price  ?") {
		t.Errorf("%s", got)
	}
	if got, _ := cat(t, r, view.Query{Table: "rejects", Stage: "parse"}, view.Output{}); strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
	_, empty := newLake(t, "shop")
	none, err := view.FindRun(t.Context(), empty.Store, "shop", "")
	check(t, err)
	if counts, err := none.Rejects(t.Context()); err != nil || len(counts) != 0 {
		t.Errorf("%v, %v", counts, err)
	}
}

func TestUnitsForPeople(t *testing.T) {
	for got, want := range map[string]string{
		view.Bytes(0): "0 B", view.Bytes(1023): "1023 B", view.Bytes(1536): "1.5 KiB", view.Bytes(64 << 20): "64 MiB", view.Bytes(1 << 62): "4096 PiB",
		view.Count(0): "0", view.Count(999): "999", view.Count(-1234): "-1,234", view.Count(1234567): "1,234,567", view.Count(-123): "-123",
		view.Took(840 * time.Millisecond): "840 ms", view.Took(12340 * time.Millisecond): "12.3 s", view.Took(250 * time.Second): "4m10s", view.Took(125 * time.Minute): "2h05m",
		view.Cause("runner direct: while executing Plan[plan]:\n1: x\n\tcaused by:\nDoFn[UID:30, PID:x] failed:\nread a: no\nmore\n"): "read a: no; more",
		view.Cause("plain \x1b"): `plain \x1b`,
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
