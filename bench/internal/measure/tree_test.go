package measure

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Roles{
		"busy": Role(func(_ context.Context, d time.Duration) (int, error) {
			block := make([]byte, 64<<20)
			n := 0
			for end := time.Now().Add(d); time.Now().Before(end); n++ {
				block[n%len(block)]++
				for i := 0; i < len(block); i += 4096 {
					block[i]++
				}
			}
			return n, nil
		}),
	}.Child()
	os.Exit(m.Run())
}

// What is watched is held against what the kernel says at a child's end.
func TestWatchCountsWhatDescendantsTake(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); errors.Is(err, os.ErrNotExist) {
		t.Skip("there is no /proc")
	}
	used := Watch(func(p Process) string {
		switch {
		case p.Role != "":
			return p.Role
		case strings.HasPrefix(p.Args[0], "sleep"):
			return "grandchild"
		}
		return ""
	})
	shell := exec.Command("sh", "-c", "sleep 1 & wait")
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	var rounds int
	cost, err := Run(t.Context(), "busy", 800*time.Millisecond, &rounds)
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Wait(); err != nil {
		t.Fatal(err)
	}
	got, err := used()
	if err != nil {
		t.Fatal(err)
	}
	busy := got["busy"]
	if busy.Processes != 1 || busy.CPU < cost.CPU/2 || busy.CPU > cost.CPU+50*time.Millisecond {
		t.Errorf("watched %+v, the kernel says %v", busy, cost.CPU)
	}
	if busy.Peak < 64<<20 || busy.Peak > cost.Peak+8<<20 {
		t.Errorf("watched a peak of %d, the kernel says %d", busy.Peak, cost.Peak)
	}
	if got["grandchild"].Processes != 1 || got[""].Processes != 0 {
		t.Errorf("watched %+v", got)
	}
}

func TestTakenIsWhatAProcessHasTaken(t *testing.T) {
	before, ok := Taken(os.Getpid())
	if !ok {
		t.Skip("there is no /proc")
	}
	own, err := Own()
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := Taken(os.Getpid()); own.CPU < before-tick || own.CPU > after+2*tick {
		t.Errorf("the kernel says %v, which is not between %v and %v", own.CPU, before, after)
	}
	if _, ok := Taken(1 << 30); ok {
		t.Error("a process that isn't there has taken something")
	}
}
