package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/transforms/probe/look"
)

var noon = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// healthy is two workers on two hosts that see all they need.
func healthy() ([]look.Report, Wanted) {
	b := "harrow v1 (build 01)"
	w := Wanted{Build: b, Machines: 2, Memory: 1 << 30, Secrets: []string{"DATABASE_URL"}, Sinks: []string{"parquet", "postgres"},
		Workspace: "gs://b/w", Spill: "/tmp", Began: noon, Over: noon.Add(time.Minute)}
	report := func(host string, pid int) look.Report {
		return look.Report{Worker: host, Host: host, PID: pid, At: noon.Add(30 * time.Second), Build: b, Memory: 4 << 30, Room: 20 << 30}
	}
	return []look.Report{report("tm-1", 7), report("tm-2", 8)}, w
}

func TestWorkersThatSeeAllTheyNeedAreFine(t *testing.T) {
	reports, w := healthy()
	var about []string
	for _, c := range Workers(reports, w) {
		about = append(about, c.About)
		if c.State != OK || c.Do != "" {
			t.Errorf("%+v", c)
		}
	}
	if got := strings.Join(about, " "); got != "workers build workspace secrets load.parquet load.postgres spill memory clock" {
		t.Errorf("looked at %s", got)
	}
}

func TestWhatAWorkerLacksIsALineWithAdvice(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(r []look.Report, w *Wanted)
		state  State
		about  string
		what   string
		advice string
	}{
		{"one host only", func(_ []look.Report, w *Wanted) { w.Machines = 3 }, Warn, "workers", "2 processes answered, on tm-1 (1), tm-2 (1); there are 3 TaskManagers", "--parallelism"},
		{"another binary", func(r []look.Report, _ *Wanted) { r[1].Build = "harrow v1 (build 02)" }, Fail, "build", "build, on tm-2 pid 8: harrow v1 (build 02)", "start the worker pools again from the file (the image) that submits, harrow v1 (build 01)"},
		{"a bucket that it may not write", func(r []look.Report, _ *Wanted) { r[0].Workspace = "gs://b/w: 403" }, Fail, "workspace", "workspace, on tm-1 pid 7: gs://b/w: 403", "credentials"},
		{"a folder of its own", func(r []look.Report, w *Wanted) { w.Workspace, r[0].Workspace = "/data", "read-only file system" }, Fail, "workspace", "read-only", "all machines share"},
		{"no secret", func(r []look.Report, _ *Wanted) {
			for i := range r {
				r[i].Secrets = []string{"${DATABASE_URL} has no value"}
			}
		}, Fail, "secrets", "secrets, on all 2 workers (tm-1 pid 7, tm-2 pid 8): ${DATABASE_URL} has no value", "worker pool's own environment"},
		{"no database", func(r []look.Report, _ *Wanted) { r[1].Sinks = map[string]string{"postgres": "connection refused"} }, Fail, "load.postgres", "load.postgres, on tm-2 pid 8: connection refused", "reached from each worker's machine"},
		{"nowhere to spill", func(r []look.Report, _ *Wanted) { r[0].Spill, r[0].Room = "permission denied", 0 }, Fail, "spill", "permission denied", "writable"},
		{"no room to spill", func(r []look.Report, _ *Wanted) { r[0].Room = 10 << 20 }, Warn, "spill", "spill, on tm-1 pid 7: only 10 MiB free in /tmp", "larger disk"},
		{"no memory", func(r []look.Report, _ *Wanted) { r[1].Memory = 1 << 29 }, Warn, "memory", "memory, on tm-2", "limits.memory"},
		{"two workers in one container", func(r []look.Report, w *Wanted) { r[0].Host, w.Memory = "tm-2", 3<<30 }, Warn, "memory", "memory, on tm-2", "limits.memory"},
		{"a clock behind", func(r []look.Report, _ *Wanted) { r[0].At = noon.Add(-time.Hour) }, Warn, "clock", "clock, on tm-1: off by -1h0m0s", "NTP"},
		{"a clock ahead", func(r []look.Report, _ *Wanted) { r[1].At = noon.Add(2 * time.Minute) }, Warn, "clock", "clock, on tm-2: off by 1m0s", "NTP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reports, w := healthy()
			c.spoil(reports, &w)
			var bad []Check
			for _, got := range Workers(reports, w) {
				if got.State != OK {
					bad = append(bad, got)
				}
			}
			if len(bad) != 1 || bad[0].State != c.state || bad[0].About != c.about || !strings.Contains(bad[0].What, c.what) || bad[0].Do == "" || !strings.Contains(bad[0].Do, c.advice) {
				t.Errorf("got %+v\nwant one %s about %s: %q, advice %q", bad, c.state, c.about, c.what, c.advice)
			}
		})
	}
}

func TestWorkersThatSayNothingFail(t *testing.T) {
	_, w := healthy()
	if got := Workers(nil, w); len(got) != 1 || got[0].State != Fail || got[0].Do == "" {
		t.Errorf("%+v", got)
	}
}

func TestManyWorkersAreNotAllNamed(t *testing.T) {
	var many []look.Report
	for i := range 9 {
		many = append(many, look.Report{Host: "h", PID: i})
	}
	if got := who(many[:8], 9); got != "h pid 0, h pid 1, h pid 2, …" {
		t.Error(got)
	}
}
