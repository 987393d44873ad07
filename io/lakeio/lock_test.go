package lakeio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func lock(t *testing.T, l Lake) *JobLock {
	t.Helper()
	j, err := LockJob(t.Context(), l, LockConfig{Now: someTime})
	check(t, err)
	return j
}

func TestAnotherProcessHoldsTheJob(t *testing.T) {
	l := testLake(t)
	const theirs = "0190a0b0-0000-7000-8000-00000000000f"
	p := spawn(t, "lock", l.Store.Local(), theirs)
	p.goOn()
	if said := p.line(); said != "done" {
		t.Fatal(said)
	}
	host, err := os.Hostname()
	check(t, err)
	for range 2 {
		_, err = LockJob(t.Context(), l, LockConfig{Now: someTime})
		wants(t, err, ErrLocked, "job shop", "run "+theirs, fmt.Sprintf("process %d", p.cmd.Process.Pid), "on "+host)
	}
	h, held, err := ReadHolder(t.Context(), l)
	check(t, err)
	if !held || h.Run != theirs || h.PID != p.cmd.Process.Pid || h.Host != host || h.Since.IsZero() || !h.Ended.IsZero() {
		t.Errorf("held: %t, by %+v", held, h)
	}
	other := l
	other.Job = "other" // has a lock of its own
	check(t, lock(t, other).Release(someTime))

	p.kill()
	h, held, err = ReadHolder(t.Context(), l)
	check(t, err)
	if held || h.Run != theirs || !h.Ended.IsZero() {
		t.Errorf("after its death held: %t, by %+v", held, h)
	}
	j := lock(t, l)
	if prior := j.Prior(); prior.Run != theirs || !prior.Ended.IsZero() {
		t.Errorf("the holder before: %+v", prior)
	}
	check(t, j.Release(someTime))
}

func TestOneOfSeveralProcessesGetsTheJob(t *testing.T) {
	s := openTemp(t)
	var all []*process
	for i := range 4 {
		all = append(all, spawn(t, "lock", s.Local(), fmt.Sprint("run", i)))
	}
	for _, p := range all {
		p.goOn()
	}
	said, won := make([]string, len(all)), -1
	for i, p := range all {
		if said[i] = p.line(); said[i] == "done" {
			if won >= 0 {
				t.Errorf("processes %d and %d hold it", won, i)
			}
			won = i
		}
	}
	for i, s := range said {
		if won < 0 || i != won && !strings.Contains(s, "held by another run") {
			t.Errorf("process %d: %s", i, s)
		}
	}
}

func TestARunSharesItsLockWithinTheProcess(t *testing.T) {
	l := testLake(t)
	first, second := lock(t, l), lock(t, l)
	other := l
	other.Run = "0190a0b0-0000-7000-8000-000000000002"
	_, err := LockJob(t.Context(), other, LockConfig{Now: someTime})
	wants(t, err, ErrLocked, l.Run, "in this process")
	check(t, first.Release(someTime))
	if _, held, err := ReadHolder(t.Context(), l); !held || err != nil {
		t.Errorf("one share was released, held: %t, %v", held, err)
	}
	_, err = LockJob(t.Context(), other, LockConfig{Now: someTime})
	wants(t, err, ErrLocked, l.Run)
	ended := someTime.Add(time.Hour)
	check(t, second.Release(ended))
	check(t, second.Release(ended)) // no harm
	h, held, err := ReadHolder(t.Context(), l)
	check(t, err)
	if held || h.Run != l.Run || h.PID != os.Getpid() || !h.Since.Equal(someTime) || !h.Ended.Equal(ended) {
		t.Errorf("released; held: %t, by %+v", held, h)
	}
	next := lock(t, other)
	check(t, second.Release(ended)) // not the next one's
	if _, held, _ := ReadHolder(t.Context(), l); !held {
		t.Error("an old share released the next holder's lock")
	}
	if prior := next.Prior(); prior.Run != l.Run || !prior.Ended.Equal(ended) {
		t.Errorf("prior: %+v", prior)
	}
	check(t, next.Release(ended))
}

func TestNobodyHoldsAJobAtFirst(t *testing.T) {
	l := testLake(t)
	if h, held, err := ReadHolder(t.Context(), l); held || err != nil || h != (Holder{}) {
		t.Errorf("%+v, %t, %v", h, held, err)
	}
	if _, err := os.Stat(filepath.Join(l.Store.Local(), "shop")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking made something: %v", err)
	}
	j := lock(t, l)
	if j.Prior() != (Holder{}) {
		t.Errorf("prior: %+v", j.Prior())
	}
	check(t, j.Release(someTime))
}

// A lock file whose holder died while it wrote is no obstacle.
func TestDamagedLockFilesAreTakenOver(t *testing.T) {
	for _, text := range []string{"", "{", `{"run":`, strings.Repeat("x", 500), `{"run":"` + strings.Repeat("long", 100) + `"}`} {
		l := testLake(t)
		check(t, l.Store.Put(t.Context(), "shop/lock", []byte(text)))
		j := lock(t, l)
		if h, held, err := ReadHolder(t.Context(), l); !held || err != nil || h.Run != l.Run {
			t.Errorf("over %.20q: %+v, %t, %v", text, h, held, err)
		}
		check(t, j.Release(someTime))
	}
}

// Who looks always sees a holder whole, and never keeps a taker out.
func TestLookersDontDisturb(t *testing.T) {
	l := testLake(t)
	check(t, lock(t, l).Release(someTime))
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for ctx.Err() == nil {
				if h, _, err := ReadHolder(t.Context(), l); err != nil || h.Run == "" {
					t.Errorf("saw %+v, %v", h, err)
					return
				}
			}
		})
	}
	for i := range 50 {
		other := l
		other.Run = fmt.Sprint("run-", strings.Repeat("x", i%7))
		j, err := LockJob(t.Context(), other, LockConfig{Now: someTime.Add(time.Duration(i))})
		if err != nil {
			t.Error(err)
			break
		}
		check(t, j.Release(someTime))
	}
	cancel()
	all.Wait()
}

func TestLocksNeedAPlaceInTheWorkspace(t *testing.T) {
	l := testLake(t)
	for _, job := range []string{"../x", "/x", ""} {
		bad := l
		bad.Job = job
		_, err := LockJob(t.Context(), bad, LockConfig{Now: someTime})
		wants(t, err, nil, fmt.Sprintf("%q", job))
		_, _, err = ReadHolder(t.Context(), bad)
		wants(t, err, nil, fmt.Sprintf("%q", job))
	}
	check(t, os.WriteFile(filepath.Join(l.Store.Local(), "shop"), nil, 0o666)) // in the folder's place
	_, err := LockJob(t.Context(), l, LockConfig{Now: someTime})
	wants(t, err, nil, filepath.Join(l.Store.Local(), "shop"))
}

func TestLockingEndsWithItsContext(t *testing.T) {
	l := testLake(t)
	p := spawn(t, "lock", l.Store.Local(), "theirs")
	p.goOn()
	p.line()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := LockJob(ctx, l, LockConfig{Now: someTime})
	wants(t, err, context.Canceled)
	p.kill()
	check(t, lock(t, l).Release(someTime)) // nothing is kept
}
