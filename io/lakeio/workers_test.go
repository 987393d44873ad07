package lakeio

import (
	"context"
	"testing"
	"time"
)

// virtual are permits whose time is set by hand.
func virtual(l Lake, clock *hands) LockConfig {
	return LockConfig{Now: someTime, TTL: time.Hour, clock: clock.now}.of(l.Job)
}

func workerPermit(t *testing.T, l Lake, round int, clock *hands) *WorkerPermit {
	t.Helper()
	p, err := TakeWorkerPermit(t.Context(), l, round, virtual(l, clock))
	check(t, err)
	t.Cleanup(func() { check(t, p.Release(someTime)) })
	return p
}

func TestWorkersAreAwaitedUntilTheyHaveEnded(t *testing.T) {
	l, clock := testLake(t), &hands{}
	check(t, AwaitWorkers(t.Context(), l, nil)) // none
	a, b := workerPermit(t, l, 0, clock), workerPermit(t, l, 1, clock)
	left, err := l.Workers(t.Context())
	if err != nil || len(left) != 2 || left[0].Run != l.Run || left[0].PID == 0 {
		t.Errorf("workers %+v, %v", left, err)
	}
	check(t, a.Release(someTime))
	wants(t, awaitWorkers(soon(t), l, nil, virtual(l, clock)), context.DeadlineExceeded, "1 workers", l.Run)
	check(t, b.Release(someTime))
	check(t, AwaitWorkers(t.Context(), l, nil))
	if a.Err() != nil || b.Left() > 0 {
		t.Errorf("released: %v, left %s", a.Err(), b.Left())
	}
}

func TestADeadWorkerIsBuriedAndRenewsNothingAnyMore(t *testing.T) {
	l, theirs, clock := testLake(t), &hands{}, &hands{}
	p := workerPermit(t, l, 0, theirs)
	p.lease.stop() // it sleeps
	<-p.lease.ended
	wants(t, awaitWorkers(soon(t), l, nil, virtual(l, clock)), context.DeadlineExceeded)
	theirs.advance(59 * time.Minute)
	clock.advance(59 * time.Minute)
	check(t, p.lease.renew(t.Context())) // just in time
	clock.advance(59 * time.Minute)
	wants(t, awaitWorkers(soon(t), l, nil, virtual(l, clock)), context.DeadlineExceeded)
	if p.Left() != time.Hour {
		t.Errorf("left %s", p.Left())
	}
	clock.advance(time.Hour)
	theirs.advance(time.Hour)
	check(t, awaitWorkers(t.Context(), l, nil, virtual(l, clock)))
	wants(t, p.lease.renew(t.Context()), ErrBuried, p.URI())
	wants(t, p.Err(), ErrBuried)
	if p.Left() != 0 {
		t.Errorf("left %s", p.Left())
	}
}

func TestWhoTakesTheJobEndsTheWorkersOfTheRunBefore(t *testing.T) {
	l, clock := testLake(t), &hands{}
	end := func() (had bool, told int) {
		t.Helper()
		told = -1
		had, err := EndWorkers(t.Context(), l.Store, l.Job, "test", func(run string, left []Holder) {
			if told = max(told, len(left)); run != l.Run {
				t.Errorf("told of run %s", run)
			}
		})
		check(t, err)
		return had, told
	}
	if waited, told := end(); waited || told >= 0 {
		t.Errorf("waited %t for %d of a job that has no workers", waited, told)
	}
	check(t, CreateRun(t.Context(), l.Store, Run{ID: l.Run, Job: l.Job}))
	check(t, l.BeginWorkers(t.Context(), mine))
	p := workerPermit(t, l, 0, clock)
	ended := make(chan error)
	go func() {
		for stopped := false; !stopped; time.Sleep(time.Millisecond) {
			stopped, _ = l.Stopped(context.Background())
		}
		ended <- p.Release(someTime)
	}()
	if waited, told := end(); !waited || told != 1 {
		t.Errorf("waited %t for %d", waited, told)
	}
	check(t, <-ended)
	check(t, l.ClearStop(t.Context()))
	if waited, told := end(); waited || told >= 0 {
		t.Errorf("waited %t for %d once more", waited, told)
	}
	if stopped, err := l.Stopped(t.Context()); stopped || err != nil {
		t.Errorf("a run whose workers have ended was asked to stop: %v", err)
	}
	// A run whose folder is gone leaves nothing to stop.
	other := l
	other.Run = "0190a0b0-0000-7000-8000-000000000009"
	check(t, other.BeginWorkers(t.Context(), mine))
	if waited, told := end(); !waited || told >= 0 {
		t.Errorf("waited %t for %d of a run that is gone", waited, told)
	}
	// One that is between two permits is told to stop.
	check(t, l.BeginWorkers(t.Context(), mine))
	if waited, told := end(); !waited || told != 0 {
		t.Errorf("waited %t for %d between two permits", waited, told)
	}
	if stopped, err := l.Stopped(t.Context()); !stopped || err != nil {
		t.Errorf("it was not asked to stop: %v", err)
	}
}

// Who comes late, after another process has gone on with the run, leaves that
// one's workers, and what names them, alone.
func TestWorkersAreEndedByWhoSubmittedThem(t *testing.T) {
	l := testLake(t)
	check(t, l.ForgetWorkers(t.Context(), mine)) // there are none
	check(t, CreateRun(t.Context(), l.Store, Run{ID: l.Run, Job: l.Job}))
	check(t, l.BeginWorkers(t.Context(), "successor"))
	check(t, l.EndWorkers(t.Context(), mine, "test", nil))
	check(t, l.ForgetWorkers(t.Context(), mine))
	other := l
	other.Run = "0190a0b0-0000-7000-8000-000000000009"
	check(t, other.ForgetWorkers(t.Context(), "successor"))
	stopped, err := l.Stopped(t.Context())
	if run, rerr := WorkersRun(t.Context(), l.Store, l.Job); stopped || run != l.Run || err != nil || rerr != nil {
		t.Errorf("stopped %t, workers of %q, %v %v", stopped, run, err, rerr)
	}
	check(t, l.EndWorkers(t.Context(), "successor", "test", nil))
	stopped, err = l.Stopped(t.Context())
	if run, rerr := WorkersRun(t.Context(), l.Store, l.Job); !stopped || run != "" || err != nil || rerr != nil {
		t.Errorf("its own: stopped %t, workers of %q, %v %v", stopped, run, err, rerr)
	}
}

func TestItIsSaidAgainWhoIsWaitedFor(t *testing.T) {
	l, clock := testLake(t), &hands{}
	defer func(every time.Duration) { tellEvery = every }(tellEvery)
	tellEvery = time.Nanosecond
	p := workerPermit(t, l, 0, clock)
	said := 0
	check(t, awaitWorkers(t.Context(), l, func(_ string, left []Holder) {
		if said++; len(left) != 1 || left[0].Run != l.Run {
			t.Errorf("told of %v", left)
		}
		if said == 2 {
			check(t, p.Release(someTime))
		}
	}, virtual(l, clock)))
	if said != 2 {
		t.Errorf("it was said %d times", said)
	}
}

const mine = "mine" // a process that submits work

func TestARunIsSomebodyElses(t *testing.T) {
	l := testLake(t)
	ask := func(want bool) {
		t.Helper()
		if got, err := l.Superseded(t.Context(), mine); err != nil || got != want {
			t.Errorf("superseded %t, %v, want %t", got, err, want)
		}
	}
	_, err := l.Superseded(t.Context(), mine)
	wants(t, err, ErrNotFound)
	check(t, CreateRun(t.Context(), l.Store, Run{ID: l.Run, Job: l.Job, Process: mine}))
	ask(false) // nobody holds the job
	lock, err := LockJob(t.Context(), l, LockConfig{Now: someTime})
	check(t, err)
	ask(false)
	check(t, lock.Release(someTime))
	ask(false)
	other := l
	other.Run = "0190a0b0-0000-7000-8000-000000000009"
	lock, err = LockJob(t.Context(), other, LockConfig{Now: someTime})
	check(t, err)
	ask(true)
	check(t, lock.Release(someTime))
	lock, err = LockJob(t.Context(), l, LockConfig{Now: someTime})
	check(t, err)
	ask(false)
	check(t, lock.Release(someTime))
	_, err = ChangeRun(t.Context(), l.Store, l.Job, l.Run, func(r *Run) error { r.Process = "another"; return nil })
	check(t, err)
	ask(true)
}
