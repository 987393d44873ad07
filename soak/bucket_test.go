package soak

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	_ "github.com/harrowdata/harrow/io/gcsio"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/stable"
)

// The command as it is, its lease of 30 s and all: a workspace in a bucket,
// processes killed while they fetch. (Kills at any moment, with a shorter
// lease, are in package pipelines.)
func TestSIGKILLWithTheWorkspaceInABucket(t *testing.T) {
	if !long() {
		t.Skip("waits for leases to end: HARROW_SOAK=1")
	}
	server, s, seed := fakegcs.Start(t), newSite(t), seed(t)
	job := bucketJob(t)
	harvested := func(name string, kills int) map[string][]string {
		s.shop.SetRevision(0)
		s.log.Reset()
		store, err := lakeio.Open(server.Workspace(name))
		if err != nil {
			t.Fatal(err)
		}
		h := &harvest{t: t, site: s, dir: server.Workspace(name), store: store, out: t.TempDir()}
		r := random(seed, kills)
		for range kills {
			before := len(s.log.Requests())
			p := h.runJob(job)
			more := 1 + r.IntN(200)
			if p.eventually(func() bool { return len(s.log.Requests()) >= before+more }) {
				p.signal(unix.SIGKILL)
			}
			if code := p.wait(); code != -1 {
				break // it was quicker
			}
		}
		h.runJob(job).want(exitDone)
		tables, _, err := stable.Run(t.Context(), store, jobName)
		if err != nil {
			t.Fatal(err)
		}
		h.judge()
		return tables
	}
	calm, killed := harvested("calm", 0), harvested("killed", 3)
	if diff := stable.Diff(calm, killed); diff != "" {
		t.Errorf("undisturbed and disturbed run differ:\n%s", diff)
	}
	report(t, seed, "3 kills, %d rows equal", count(calm))
}

// bucketJob is testdata/soak.yaml, loading into a folder.
func bucketJob(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "soak.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rates, err := os.ReadFile(filepath.Join("testdata", "rates.csv"))
	if err != nil {
		t.Fatal(err)
	}
	at, dir := strings.LastIndex(string(data), "\nload:"), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rates.csv"), rates, 0o666); err != nil {
		t.Fatal(err)
	}
	job := filepath.Join(dir, "soak.yaml")
	if err := os.WriteFile(job, append(data[:at:at], "\nload: {parquet: {path: \"${param.out}\"}}\n"...), 0o666); err != nil {
		t.Fatal(err)
	}
	return job
}
