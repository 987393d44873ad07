package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/bench/internal/anywhere"
	"github.com/harrowdata/harrow/bench/internal/measure"
)

func TestFlagsNameWhatIsRun(t *testing.T) {
	for _, c := range []struct {
		o              options
		works, runners string
		wrong          string
	}{
		{o: options{work: "refine,fetch"}, works: "refine fetch", runners: "direct prism local cluster"},
		{o: options{work: "refine,fetch", small: true}, works: "refine fetch", runners: "direct prism"},
		{o: options{work: "fetch", only: "cluster,direct", small: true}, works: "fetch", runners: "direct cluster"},
		{o: options{work: "fetch", only: "flink"}, wrong: `-only "flink": want some of direct,prism,local,cluster`},
		{o: options{work: "load"}, wrong: `-work "load": want some of refine,fetch`},
		{o: options{work: "fetch", rows: -1}, wrong: "-rows -1"},
	} {
		c.o.limit = time.Minute
		works, runners, err := c.o.check()
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%+v: %v; want %s", c.o, err, c.wrong)
			}
			continue
		}
		if got := strings.Join(works, " "); err != nil || got != c.works {
			t.Errorf("%+v: works %s, %v; want %s", c.o, got, err, c.works)
		}
		if got := strings.Join(runners, " "); got != c.runners {
			t.Errorf("%+v: runners %s; want %s", c.o, got, c.runners)
		}
	}
}

func TestProcessesAreToldByTheirCommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"java -cp x org.apache.beam.runners.flink.FlinkJobServerDriver --flink-master=[local]":         jobServer,
		"java org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir conf": jobManager,
		"java org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir conf":                taskManager,
		"/tmp/bench-fetch worker --pool --listen 127.0.0.1:50000":                                      pool,
		"/tmp/bench-fetch --worker=true --id=1-1 --control_endpoint=x":                                 worker,
		"/tmp/bench-fetch -runner flink":                                                               "",
		"go build -o x ./bench/fetch":                                                                  "",
	} {
		if got := kindOf(measure.Process{Args: strings.Fields(line)}); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for role, want := range map[string]string{"harrow": submitter, "refine": submitter, "site": "", "generate": ""} {
		if got := kindOf(measure.Process{Args: []string{"bench"}, Role: role}); got != want {
			t.Errorf("role %s: %q, want %q", role, got, want)
		}
	}
}

func TestWhatIsSlowFailsUnlessTimeIsNotJudged(t *testing.T) {
	o := outcome{work: "fetch", runner: "cluster", result: anywhere.Result{What: "d", Bound: 80 * time.Second, Fetch: 100 * time.Second},
		used: map[string]measure.Usage{worker: {CPU: 3 * time.Second, Peak: 100 << 20, Processes: 2}, taskManager: {CPU: time.Second, Peak: 50 << 20, Processes: 2}}}
	if p := o.problems(true); len(p) != 1 || !strings.Contains(p[0], "efficiency is 0.800, at least 0.90 on cluster") {
		t.Errorf("%v", p)
	}
	if p := o.problems(false); len(p) != 0 {
		t.Errorf("%v", p)
	}
	if o.result.Violations = 1; len(o.problems(false)) != 1 {
		t.Error("a broken limit is no problem")
	}
	failed := outcome{work: "refine", runner: "local", err: errors.New("no java | none\nbelow")}
	md := filepath.Join(t.TempDir(), "runners.md")
	if err := writeMarkdown(md, []outcome{failed, o}, true); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(md)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| local | 0s | 0s | 0 MiB | failed: no java / none |", "| cluster | 0 | 1m20s | 1m40s | 0.800 | 0.000 | 1 |", "| fetch | cluster | workers | 2 | 3s | 100 MiB |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// A work that fails, or takes too long, is told of with what it said; the others
// go on.
func TestAChildThatTakesTooLongIsEnded(t *testing.T) {
	script := filepath.Join(t.TempDir(), "bench")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no such host >&2\nexec sleep 60\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	r := options{limit: 300 * time.Millisecond, rows: 1}.run(t.Context(), t.TempDir(), script, "refine", "direct")
	if r.err == nil || !strings.Contains(r.err.Error(), "-limit 300ms") || !strings.Contains(r.err.Error(), "no such host") {
		t.Errorf("%v", r.err)
	}
}
