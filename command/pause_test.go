package command

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
)

// tinyRun makes a run of a job that has nothing else.
func tinyRun(t *testing.T, workspace string) lakeio.Lake {
	t.Helper()
	store, err := lakeio.Open(workspace)
	if err != nil {
		t.Fatal(err)
	}
	l := lakeio.Lake{Store: store, Job: "tiny", Run: "0198c0de-0000-7000-8000-000000000001"}
	if err := lakeio.CreateRun(t.Context(), store, lakeio.Run{ID: l.Run, Job: l.Job, Spec: []byte("{}"), State: lakeio.Active}); err != nil {
		t.Fatal(err)
	}
	return l
}

func locked(t *testing.T, l lakeio.Lake) *lakeio.JobLock {
	t.Helper()
	lock, err := lakeio.LockJob(t.Context(), l, lakeio.LockConfig{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func TestPauseOfWhatIsNotRunning(t *testing.T) {
	dir := t.TempDir()
	l := tinyRun(t, dir)
	pause := func(args ...string) (int, string, string) {
		return harrowRun(t, append([]string{"pause", "tiny", "--workspace", dir}, args...)...)
	}
	if code, stdout, stderr := pause(); code != 0 || stdout != "job tiny is not running\n" || stderr != "" {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	lock := locked(t, l)
	if code, stdout, _ := pause("--no-wait"); code != 0 || stdout != "run "+l.Run+" was asked to stop\n" {
		t.Errorf("exit %d, %s", code, stdout)
	}
	if stopped, err := l.Stopped(t.Context()); err != nil || !stopped {
		t.Errorf("%v, %v", stopped, err)
	}
	drained := make(chan error)
	go func() {
		drained <- lock.Release(time.Now())
	}()
	if code, stdout, _ := pause(); code != 0 || !strings.HasSuffix(stdout, " is paused; harrow run goes on with it\n") && !strings.HasSuffix(stdout, "is not running\n") {
		t.Errorf("exit %d, %s", code, stdout)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestPauseOfARunThatEndsMeanwhileSaysSo(t *testing.T) {
	dir := t.TempDir()
	l := tinyRun(t, dir)
	lock := locked(t, l)
	ended := make(chan error)
	go func() {
		var err error
		for stopped := false; err == nil && !stopped; time.Sleep(5 * time.Millisecond) {
			stopped, err = l.Stopped(t.Context())
		}
		_, cerr := lakeio.ChangeRun(t.Context(), l.Store, l.Job, l.Run, func(r *lakeio.Run) error { r.State = lakeio.Done; return nil })
		ended <- errors.Join(err, cerr, lock.Release(time.Now()))
	}()
	if code, stdout, _ := harrowRun(t, "pause", "tiny", "--workspace", dir); code != 0 || stdout != "run "+l.Run+" is done\n" {
		t.Errorf("exit %d, %s", code, stdout)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if stopped, err := l.Stopped(t.Context()); err != nil || stopped {
		t.Errorf("the run is asked to stop still: %v, %v", stopped, err)
	}
}

// A process that has just begun clears away what was asked of the one before
// it; and the one that goes on after a pause was not asked.
func TestPauseInsistsUntilTheProcessItMeantIsGone(t *testing.T) {
	dir := t.TempDir()
	l := tinyRun(t, dir)
	first := locked(t, l)
	paused := make(chan string, 1)
	go func() {
		_, stdout, _ := harrowRun(t, "pause", "tiny", "--workspace", dir)
		paused <- stdout
	}()
	for range 2 {
		for stopped := false; !stopped; time.Sleep(5 * time.Millisecond) {
			var err error
			if stopped, err = l.Stopped(t.Context()); err != nil || t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
		if err := l.ClearStop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Release(time.Now()); err != nil {
		t.Fatal(err)
	}
	second := locked(t, l)
	select {
	case stdout := <-paused:
		if want := "run " + l.Run + " is paused; harrow run goes on with it\n"; stdout != want {
			t.Errorf("said %q, want %q", stdout, want)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the process that went on")
	}
	if err := second.Release(time.Now()); err != nil {
		t.Fatal(err)
	}
}

// Clocks of two machines differ: who renews is alive, whatever time it says.
func TestPauseFindsAProcessWhoseClockIsWrong(t *testing.T) {
	workspace := fakegcs.Start(t).Workspace("w")
	l := tinyRun(t, workspace)
	yesterday := time.Now().Add(-24 * time.Hour)
	renew := func(n int, gen lakeio.Generation) lakeio.Generation {
		h := lakeio.Holder{Version: 1, Run: l.Run, PID: 1, Host: "elsewhere", Nonce: "n", TTL: time.Second, Since: yesterday, Renewals: int64(n), Renewed: yesterday}
		data, err := json.Marshal(h)
		if err == nil {
			gen, err = l.Store.Swap(context.WithoutCancel(t.Context()), "tiny/lock", gen, data, false)
		}
		if err != nil {
			t.Error(err)
		}
		return gen
	}
	gen := renew(0, "")
	if code, stdout, _ := harrowRun(t, "pause", "tiny", "--workspace", workspace); code != 0 || stdout != "job tiny is not running\n" {
		t.Errorf("not renewed: exit %d, %s", code, stdout)
	}
	gen = renew(1, gen)
	over, renewed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(renewed)
		for n := 2; ; n++ {
			select {
			case <-over:
				return
			case <-time.After(100 * time.Millisecond):
				gen = renew(n, gen)
			}
		}
	}()
	if code, stdout, _ := harrowRun(t, "pause", "tiny", "--workspace", workspace, "--no-wait"); code != 0 || stdout != "run "+l.Run+" was asked to stop\n" {
		t.Errorf("renewed: exit %d, %s", code, stdout)
	}
	close(over)
	<-renewed
}

// Workers may go on when the command that watched over them has died.
func TestPauseOfARunWhoseCommandDiedEndsItsWorkers(t *testing.T) {
	dir := t.TempDir()
	l := tinyRun(t, dir)
	permit, err := lakeio.TakeWorkerPermit(t.Context(), l, 0, lakeio.LockConfig{Now: time.Now(), TTL: time.Minute})
	if err == nil {
		err = l.BeginWorkers(t.Context(), "a command that died")
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := harrowRun(t, "pause", "tiny", "--workspace", dir, "--no-wait"); code != 0 || stdout != "run "+l.Run+" was asked to stop\n" {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	if err := l.ClearStop(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		var err error
		for stopped := false; err == nil && !stopped; time.Sleep(5 * time.Millisecond) {
			stopped, err = l.Stopped(t.Context())
		}
		ended <- errors.Join(err, permit.Release(time.Now()))
	}()
	code, stdout, stderr := harrowRun(t, "pause", "tiny", "--workspace", dir)
	if code != 0 || stdout != "run "+l.Run+" is paused; harrow run goes on with it\n" || !strings.Contains(stderr, "waiting for 1 workers of run "+l.Run) {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// Between two rounds its workers hold no permit.
	if err := l.ClearStop(t.Context()); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ = harrowRun(t, "pause", "tiny", "--workspace", dir)
	if stopped, err := l.Stopped(t.Context()); code != 0 || !stopped || err != nil || !strings.HasPrefix(stdout, "run "+l.Run+" was asked to stop; no worker of it asks") {
		t.Errorf("exit %d, stopped %t (%v), %s", code, stopped, err, stdout)
	}
	if _, err := lakeio.ChangeRun(t.Context(), l.Store, l.Job, l.Run, func(r *lakeio.Run) error { r.State = lakeio.Done; return nil }); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := harrowRun(t, "pause", "tiny", "--workspace", dir); code != 0 || stdout != "job tiny is not running\n" {
		t.Errorf("exit %d, %s", code, stdout)
	}
}
