package doctor

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// jobManager answers as Flink 1.19's REST API does.
func jobManager(t *testing.T, overview, config string) string {
	t.Helper()
	mux := http.NewServeMux()
	for path, answer := range map[string]string{"/overview": overview, "/jobmanager/config": config, "/jobmanager/environment": `{"classpath":["` + runnerJar + `"]}`} {
		if answer != "" {
			mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
		}
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// runnerJar is all that a cluster needs of Beam in these tests.
const runnerJar = "/opt/flink/lib/beam.jar"

func equipped(path []string) error {
	if !slices.Equal(path, []string{runnerJar}) {
		return fmt.Errorf("class path %v", path)
	}
	return nil
}

const (
	wellOverview = `{"taskmanagers":2,"slots-total":4,"slots-available":4,"jobs-running":0,"jobs-finished":3,"flink-version":"1.19.3","flink-commit":"x"}`
	wellConfig   = `[{"key":"taskmanager.memory.task.off-heap.size","value":"256m"},{"key":"heartbeat.timeout","value":"50000"},{"key":"restart-strategy.type","value":"fixed-delay"}]`
)

func TestAClusterIsJudgedByWhatItTells(t *testing.T) {
	for _, c := range []struct {
		name, overview, config string
		state                  State
		about, what, advice    string
	}{
		{"no TaskManager", strings.NewReplacer(`"taskmanagers":2`, `"taskmanagers":0`, `:4`, `:0`).Replace(wellOverview), wellConfig, Fail, "slots", "no TaskManager has registered", "start TaskManagers"},
		{"too few slots", strings.ReplaceAll(wellOverview, ":4", ":3"), wellConfig, Fail, "slots", "3 in all, the job wants 4", "--parallelism to 3"},
		{"slots that are taken", strings.NewReplacer(`available":4`, `available":0`, `running":0`, `running":1`).Replace(wellOverview), wellConfig, Fail, "slots", "0 of 4 are free, the job wants 4; 1 job runs on the cluster", "cancel"},
		{"another Flink", strings.ReplaceAll(wellOverview, "1.19.3", "1.190.0"), wellConfig, Fail, "version", "the cluster is Flink 1.190.0, the job server's jars are for 1.19", "take a cluster of Flink 1.19"},
		{"no direct memory", wellOverview, strings.ReplaceAll(wellConfig, "taskmanager.memory.task.off-heap.size", "x"), Warn, "memory", "task.off-heap.size is not set", "256m"},
		{"none of it", wellOverview, strings.ReplaceAll(wellConfig, "256m", "0 bytes"), Warn, "memory", "is not set", "256m"},
		{"no restarts", wellOverview, strings.ReplaceAll(wellConfig, "fixed-delay", "none"), Warn, "restarts", "a lost TaskManager fails a job", "restart-strategy.type: fixed-delay"},
		{"a hasty heartbeat", wellOverview, strings.ReplaceAll(wellConfig, "50000", "10 s"), Fail, "heartbeat", "heartbeat.timeout (10s) is no longer than heartbeat.interval (10s)", "declared lost"},
		{"settings that are kept back", wellOverview, "", Warn, "config", "404", "not looked at"},
		{"something else", `{}`, "", Fail, "flink", "is no JobManager", "REST address"},
		{"a page", `<html>`, "", Fail, "flink", "is no JobManager's", "REST address"},
		{"nothing", "", "", Fail, "flink", "404", "REST address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, checks := Flink(t.Context(), jobManager(t, c.overview, c.config), FlinkJob{Version: "1.19", Parallelism: 4, Equipped: equipped})
			var bad []Check
			for _, got := range checks {
				if got.State != OK {
					bad = append(bad, got)
				}
			}
			if len(bad) != 1 || bad[0].State != c.state || bad[0].About != c.about || !strings.Contains(bad[0].What, c.what) || !strings.Contains(bad[0].Do, c.advice) {
				t.Errorf("got %+v\nwant one %s about %s: %q, advice %q", bad, c.state, c.about, c.what, c.advice)
			}
		})
	}
	cluster, checks := Flink(t.Context(), jobManager(t, wellOverview, wellConfig), FlinkJob{Version: "1.19", Parallelism: 4, Equipped: equipped})
	if cluster.TaskManagers != 2 || !Report(checks).OK() || len(checks) != 6 {
		t.Errorf("a good cluster: %+v, %+v", cluster, checks)
	}
}

func TestARunnerThatJobsMustBringIsToldOf(t *testing.T) {
	lacks := func([]string) error { return errors.New("no beam-runners-flink.jar") }
	_, checks := Flink(t.Context(), jobManager(t, wellOverview, wellConfig), FlinkJob{Version: "1.19", Parallelism: 4, Equipped: lacks})
	i := slices.IndexFunc(checks, func(c Check) bool { return c.About == "runner" })
	if i < 0 || checks[i].State != Warn || !strings.Contains(checks[i].What, "no beam-runners-flink.jar") || !strings.Contains(checks[i].Do, "harrow flink install") {
		t.Errorf("%+v", checks)
	}
}

func TestAStepInBatchModeDoesWithFewerSlotsAndMoreBuffers(t *testing.T) {
	job := FlinkJob{Version: "1.19", Parallelism: 8, Batch: true, Equipped: equipped}
	var got []string
	_, checks := Flink(t.Context(), jobManager(t, wellOverview, wellConfig), job)
	for _, c := range checks {
		if c.State != OK {
			got = append(got, string(c.State)+" "+c.About)
		}
	}
	if strings.Join(got, ", ") != "warn slots, warn buffers" {
		t.Errorf("got %v: %+v", got, checks)
	}
	none := strings.ReplaceAll(wellOverview, `available":4`, `available":0`)
	if _, checks := Flink(t.Context(), jobManager(t, none, wellConfig), job); Report(checks).OK() {
		t.Errorf("without a free slot: %+v", checks)
	}
}

func TestFlinksDurationsAreRead(t *testing.T) {
	for text, want := range map[string]time.Duration{"": time.Hour, "50000": 50 * time.Second, "10 s": 10 * time.Second, "1min": time.Hour, "2 m": 2 * time.Minute, "x": time.Hour} {
		if got := millis(text, time.Hour); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestAPoolIsJudgedByItsAnswer(t *testing.T) {
	const at, build = "localhost:50000", "harrow v1 (build 01)"
	refused := errors.New("worker pool localhost:50000: connection refused")
	for _, c := range []struct {
		name, answer string
		here         bool
		err          error
		state        State
		what, advice string
	}{
		{"the same build", build, true, nil, OK, "with the same build", ""},
		{"none here", "", true, refused, Fail, "connection refused", "harrow worker --pool --listen localhost:50000"},
		{"one that only others see", "", false, refused, Warn, "from here", "only the TaskManagers"},
		{"something else", "", true, nil, Fail, "no worker pool", "harrow worker --pool"},
		{"another build", "harrow v1 (build 02)", true, nil, Fail, "has harrow v1 (build 02), this is harrow v1 (build 01)", "again from the file"},
	} {
		if got := Pool(at, c.answer, build, c.here, c.err); got.State != c.state || !strings.Contains(got.What, c.what) || !strings.Contains(got.Do, c.advice) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
