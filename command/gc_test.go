package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// runsIn makes a workspace with finished runs of a job, all two days old.
func runsIn(t *testing.T, n int) (dir string, ids []string) {
	t.Helper()
	dir = t.TempDir()
	store, err := lakeio.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		id, err := lakeio.NewRunID()
		if err == nil {
			err = lakeio.CreateRun(t.Context(), store, lakeio.Run{ID: id, Job: "shop", Spec: []byte("{}"), State: lakeio.Done, CreatedAt: time.Now().Add(-48 * time.Hour)})
		}
		if err == nil {
			at := time.Now().Add(-48 * time.Hour)
			err = os.Chtimes(filepath.Join(dir, "shop", "runs", id, "run.json"), at, at)
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return dir, ids
}

func TestGcRemovesOldRuns(t *testing.T) {
	dir, ids := runsIn(t, 3)
	code, out, stderr := harrowRun(t, "gc", "--workspace", dir)
	if code != exitDone || out != "job shop: nothing to remove\n" {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
	code, out, stderr = harrowRun(t, "gc", "--workspace", dir, "--keep", "1", "--dry-run")
	if code != exitDone || !strings.HasPrefix(out, "job shop: would remove 2 files, ") || !strings.Contains(out, "  run "+ids[0]+"\n  run "+ids[1]+"\n  runs       2 files, ") {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
	code, out, stderr = harrowRun(t, "gc", "--workspace", dir, "--keep", "1", "--json", "--job", "shop")
	var got struct {
		Jobs []struct {
			Job   string
			Runs  []string
			Kinds map[string]struct{ Files int }
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitDone {
		t.Fatalf("exit %d: %s%s, %v", code, out, stderr, err)
	}
	if len(got.Jobs) != 1 || len(got.Jobs[0].Runs) != 2 || got.Jobs[0].Kinds["runs"].Files != 2 {
		t.Errorf("it says %s", out)
	}
	if code, out, _ = harrowRun(t, "ls", "--workspace", dir, "--job", "shop"); code != exitDone || strings.Contains(out, ids[1]) || !strings.Contains(out, ids[2]) {
		t.Errorf("ls: exit %d: %s", code, out)
	}
}

func TestGcSaysWhoHoldsTheJob(t *testing.T) {
	dir, ids := runsIn(t, 3)
	store, err := lakeio.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := lakeio.LockJob(t.Context(), lakeio.Lake{Store: store, Job: "shop", Run: ids[2]}, lakeio.LockConfig{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := harrowRun(t, "gc", "--workspace", dir, "--keep", "1"); code != exitFailed || !strings.Contains(stderr, ids[2]) {
		t.Errorf("beside a run: exit %d: %s", code, stderr)
	}
	if code, out, stderr := harrowRun(t, "gc", "--workspace", dir); code != exitDone {
		t.Errorf("beside a run, without --keep: exit %d: %s%s", code, out, stderr)
	}
	if err := lock.Release(time.Now()); err != nil {
		t.Fatal(err)
	}
	lock, err = lakeio.LockJob(t.Context(), lakeio.Lake{Store: store, Job: "shop", Run: lakeio.CollectorRun}, lakeio.LockConfig{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if code, out, _ := harrowRun(t, "ls", "--workspace", dir); code != exitDone || !strings.Contains(out, "job shop, held by harrow gc: process ") {
		t.Errorf("ls beside gc: exit %d: %s", code, out)
	}
	if code, out, _ := harrowRun(t, "pause", "--workspace", dir, "shop"); code != exitDone || out != "job shop is not running\n" {
		t.Errorf("pause beside gc: exit %d: %s", code, out)
	}
	if err := lock.Release(time.Now()); err != nil {
		t.Fatal(err)
	}
}

func TestGcWithoutSense(t *testing.T) {
	dir, _ := runsIn(t, 1)
	for _, args := range [][]string{{"--keep", "-1"}, {"--older-than", "yesterday"}, {"--older-than", "-1h"}, {"--job", "none"}, {"--workspace", filepath.Join(dir, "none")}} {
		if code, _, stderr := harrowRun(t, append([]string{"gc", "--workspace", dir}, args...)...); code != exitUsage || stderr == "" {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
}
