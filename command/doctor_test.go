package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/command/doctor"
	"github.com/harrowdata/harrow/runners/workerpool"
)

// patient is a job that loads into a folder and has a secret.
const patient = `version: 1
job: shop
discover: {seeds: {urls: ["http://a.example/"]}}
fetch: {headers: {X-Key: "${DOCTOR_SECRET}"}}
parse: [{record: page, fields: {url: {from: url}}}]
load: {%s}
`

// see has a job looked at and returns what was found, by what it is about.
func see(t *testing.T, code int, args ...string) (found map[string]doctor.Check, errs string) {
	t.Helper()
	got, stdout, stderr := harrowRun(t, append([]string{"doctor"}, args...)...)
	if got != code {
		t.Errorf("doctor %v: exit %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	if strings.Contains(stdout+stderr, "hunter2") {
		t.Errorf("a secret is told: %s%s", stdout, stderr)
	}
	var report doctor.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil && code != exitUsage {
		t.Fatalf("%v: %s", err, stdout)
	}
	found = map[string]doctor.Check{}
	for _, c := range report {
		if c.State != doctor.OK && c.Do == "" {
			t.Errorf("no advice: %+v", c)
		}
		found[c.About] = c
	}
	return found, stderr
}

func TestDoctorHasTheWorkersOfARunnerLookForThemselves(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCTOR_SECRET", "hunter2")
	t.Setenv("HARROW_WORKSPACE", filepath.Join(dir, "w"))
	job := write(t, filepath.Join(dir, "job.yaml"), fmt.Sprintf(patient, "parquet: {path: out}"))
	pool, err := workerpool.Listen(t.Context(), workerpool.Config{Listen: "127.0.0.1:0", Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- pool.Serve(t.Context()) }()
	for _, c := range []struct {
		name string
		args []string
		ours bool // the worker is this process
	}{
		{"direct", []string{"--json", job}, true},
		{"prism", []string{"--json", "--runner", "prism", job}, true},
		{"workers of their own", []string{"--json", "--patience", "40s", "--runner", "prism", job, "--", "--environment_type=EXTERNAL", "--environment_config=" + pool.Addr().String()}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, _ := see(t, exitDone, c.args...)
			for _, about := range []string{"program", "job file", "workspace", "load", "workers", "build", "secrets", "load.parquet", "spill", "memory", "clock"} {
				if f := found[about]; f.State != doctor.OK {
					t.Errorf("%s: %+v", about, f)
				}
			}
			if _, asked := found["pool"]; asked == c.ours {
				t.Errorf("the pool: %+v", found["pool"])
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(dir, "w", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the workspace: %v, %v", left, err)
	}
}

func TestDoctorSaysWhatIsWrongFromHere(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCTOR_SECRET", "hunter2")
	t.Setenv("HARROW_CACHE", filepath.Join(dir, "cache"))
	manager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/overview" {
			fmt.Fprint(w, `{"taskmanagers":1,"slots-total":2,"slots-available":2,"flink-version":"1.18.1"}`)
			return
		}
		fmt.Fprint(w, `[]`)
	}))
	defer manager.Close()
	master := manager.Listener.Addr().String()
	job := write(t, filepath.Join(dir, "job.yaml"), fmt.Sprintf(patient, "parquet: {path: out}"))
	file := write(t, filepath.Join(dir, "file"), "")
	wrong := write(t, filepath.Join(dir, "wrong.yaml"), fmt.Sprintf(patient, "")+"frobnicate: 1\n")
	for _, c := range []struct {
		name string
		args []string
		want map[string]string // of what failed, by what it is about
	}{
		{"a wrong job file", []string{wrong}, map[string]string{"job file": "wrong.yaml:7:1"}},
		{"no job file", []string{filepath.Join(dir, "none.yaml")}, map[string]string{"job file": "no such file"}},
		{"a workspace that is none", []string{job, "--workspace", file}, map[string]string{"workspace": "is no folder"}},
		{"a workspace of another kind", []string{job, "--workspace", "s3://b/x"}, map[string]string{"workspace": "scheme s3 is not supported"}},
		{"a pool that is not there", []string{job, "--runner", "prism", "--", "--environment_type=EXTERNAL", "--environment_config=127.0.0.1:1"}, map[string]string{"pool": "refused"}},
		{"no jars, an old Flink", []string{job, "--runner", "flink", "--flink-master", master, "--", "--parallelism=3", "--environment_config=127.0.0.1:1"},
			map[string]string{"job server": "harrow flink install", "version": "Flink 1.18.1", "slots": "2 in all, the job wants 3", "pool": "refused"}},
		{"no cluster, no job server", []string{job, "--runner", "flink", "--flink-master", "127.0.0.1:1", "--endpoint", "127.0.0.1:1"},
			map[string]string{"job server": "refused", "flink": "refused", "pool": "refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !slices.Contains(c.args, "--workspace") {
				t.Setenv("HARROW_WORKSPACE", filepath.Join(dir, "w"))
			}
			found, _ := see(t, exitFailed, append([]string{"--json"}, c.args...)...)
			for about, f := range found {
				if want, failed := c.want[about]; failed != (f.State == doctor.Fail) || !strings.Contains(f.What+f.Do, want) {
					t.Errorf("%s: %+v, want %q", about, f, want)
				}
			}
			for about := range c.want {
				if _, ok := found[about]; !ok {
					t.Errorf("nothing about %s: %+v", about, found)
				}
			}
			if w := found["workers"]; w.State != doctor.Warn {
				t.Errorf("workers were asked all the same: %+v", w)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "w")); err == nil {
		t.Error("a workspace was made without a probe")
	}
}

func TestDoctorSaysThatAWorkspaceCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCTOR_SECRET", "hunter2")
	job := write(t, filepath.Join(dir, "job.yaml"), fmt.Sprintf(patient, "parquet: {path: out}"))
	found, _ := see(t, exitFailed, "--json", job, "--workspace", filepath.Join("/proc/self", "none"))
	if f := found["workspace"]; f.State != doctor.Fail {
		t.Errorf("%+v", f)
	}
}

// What the job's workers could not share is refused before anything is
// asked.
func TestDoctorRefusesWhatWorkersElsewhereCannotShare(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCTOR_SECRET", "hunter2")
	t.Setenv("HARROW_WORKSPACE", filepath.Join(dir, "w"))
	job := write(t, filepath.Join(dir, "job.yaml"), fmt.Sprintf(patient, "sqlite: {}"))
	found, _ := see(t, exitFailed, "--json", "--no-probe", "--runner", "flink", "--flink-master", "127.0.0.1:1", "--endpoint", "127.0.0.1:1", job)
	if f := found["load"]; f.State != doctor.Fail || !strings.Contains(f.What, "postgres or parquet") {
		t.Errorf("%+v", f)
	}
	if found, _ := see(t, exitDone, "--json", "--no-probe", job); found["load"].State != doctor.OK || found["workers"].State != doctor.Warn {
		t.Errorf("%+v", found)
	}
}

func TestDoctorRefusesAWrongCommand(t *testing.T) {
	job := write(t, filepath.Join(t.TempDir(), "job.yaml"), fmt.Sprintf(patient, ""))
	for args, want := range map[string]string{
		"--runner flink " + job:                              "--flink-master",
		"--runner frob " + job:                               "is not built",
		"--patience 0s " + job:                               "--patience 0s: want more than 0",
		"--probe --no-probe " + job:                          "can't be used together",
		"--param x " + job:                                   "want NAME=VALUE",
		"--flink-master a:1 " + job:                          "not for this runner",
		"--runner prism " + job + " -- --environment_type=X": "LOOPBACK or EXTERNAL",
	} {
		if _, stderr := see(t, exitUsage, strings.Fields(args)...); !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: %q, want %q in one line", args, stderr, want)
		}
	}
}
