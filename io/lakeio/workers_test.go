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
	check(t, AwaitWorkers(t.Context(), l)) // none
	a, b := workerPermit(t, l, 0, clock), workerPermit(t, l, 1, clock)
	left, err := l.Workers(t.Context())
	if err != nil || len(left) != 2 || left[0].Run != l.Run || left[0].PID == 0 {
		t.Errorf("workers %+v, %v", left, err)
	}
	check(t, a.Release(someTime))
	wants(t, awaitWorkers(soon(t), l, virtual(l, clock)), context.DeadlineExceeded, "1 workers", l.Run)
	check(t, b.Release(someTime))
	check(t, AwaitWorkers(t.Context(), l))
	if a.Err() != nil || b.Left() > 0 {
		t.Errorf("released: %v, left %s", a.Err(), b.Left())
	}
}

func TestADeadWorkerIsBuriedAndRenewsNothingAnyMore(t *testing.T) {
	l, theirs, clock := testLake(t), &hands{}, &hands{}
	p := workerPermit(t, l, 0, theirs)
	p.lease.stop() // it sleeps
	<-p.lease.ended
	wants(t, awaitWorkers(soon(t), l, virtual(l, clock)), context.DeadlineExceeded)
	theirs.advance(59 * time.Minute)
	clock.advance(59 * time.Minute)
	check(t, p.lease.renew(t.Context())) // just in time
	clock.advance(59 * time.Minute)
	wants(t, awaitWorkers(soon(t), l, virtual(l, clock)), context.DeadlineExceeded)
	if p.Left() != time.Hour {
		t.Errorf("left %s", p.Left())
	}
	clock.advance(time.Hour)
	theirs.advance(time.Hour)
	check(t, awaitWorkers(t.Context(), l, virtual(l, clock)))
	wants(t, p.lease.renew(t.Context()), ErrBuried, p.URI())
	wants(t, p.Err(), ErrBuried)
	if p.Left() != 0 {
		t.Errorf("left %s", p.Left())
	}
}
