package collect

import (
	"context"
	"errors"
	"testing"
	"time"

	_ "github.com/harrowdata/harrow/io/gcsio"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
)

func TestABucketIsCollectedAsADiskIs(t *testing.T) {
	h := newHistory(t, t.Context(), fakegcs.Start(t).Workspace("lake"))
	h.run(plan{Until: done, Litter: true})
	h.run(plan{Until: 4, Litter: true, Known: true})
	last := h.run(plan{Until: done, Known: true, Litter: true})
	cfg := config(1)
	if report, err := Job(t.Context(), h.store, cfg); err != nil || report.Total() != (Count{}) {
		t.Fatalf("of today's files it removed %+v, %v", report, err)
	}
	cfg.OlderThan = 0
	report, err := Job(t.Context(), h.store, cfg)
	if err != nil || len(report.Runs) != 2 || report.Kinds[Shuffle].Files == 0 || report.Kinds[Parts].Files == 0 || report.Kinds[Runs].Files == 0 {
		t.Fatalf("it removed %+v, %v", report, err)
	}
	if runs, err := lakeio.Runs(t.Context(), h.store, job); err != nil || len(runs) != 1 || runs[0] != last {
		t.Errorf("runs %v, %v; want %s", runs, err, last)
	}
	h.readable(nil)
	if again, err := Job(t.Context(), h.store, cfg); err != nil || again.Total() != (Count{}) {
		t.Errorf("a second time it removed %+v, %v", again, err)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	h := newHistory(t, t.Context(), t.TempDir())
	h.run(plan{Until: done})
	h.run(plan{Until: done})
	elsewhere := t.TempDir()
	check(t, h.store.Put(t.Context(), "x", nil))
	link(t, elsewhere, h.store.Local()+"/shop/runs/here")
	link(t, elsewhere, h.store.Local()+"/shop/runs/"+h.previous()+"/parse/elsewhere")
	keep := elsewhere + "/precious"
	write(t, keep)
	cfg := config(1)
	cfg.OlderThan, cfg.Now = 0, func() time.Time { return time.Now() }
	if _, err := Job(t.Context(), h.store, cfg); err != nil {
		t.Fatal(err)
	}
	if !there(keep) {
		t.Error("it went through a link")
	}
	// Of a run behind a link it is not known what it refers to.
	link(t, elsewhere, h.store.Local()+"/shop/runs/0190e000-0000-7000-8000-000000000001")
	if report, err := Job(t.Context(), h.store, cfg); err == nil || report.Total() != (Count{}) {
		t.Errorf("beside a run that is a link: %+v, %v", report, err)
	}
}

func TestARunThatBeginsIsLeftAlone(t *testing.T) {
	h := newHistory(t, t.Context(), t.TempDir())
	id := must[string](t)(lakeio.NewRunID())
	lock := must[*lakeio.JobLock](t)(lakeio.LockJob(t.Context(), h.lake(id), lakeio.LockConfig{Now: time.Now()}))
	h.litter(h.lake(id).InputURI("aa"), h.lake(must[string](t)(lakeio.NewRunID())).InputURI("bb"))
	cfg := config(0)
	cfg.OlderThan = 0
	if report, err := Job(t.Context(), h.store, cfg); err != nil || report.Total().Files != 1 {
		t.Errorf("removed %+v, %v; want what never began", report, err)
	}
	if !there(h.store.Local() + "/" + h.lake(id).InputURI("aa")) {
		t.Error("the inputs of a run that begins are gone")
	}
	cfg.Keep = 1
	if _, err := Job(t.Context(), h.store, cfg); !errors.Is(err, lakeio.ErrLocked) {
		t.Errorf("runs are to go beside it: %v", err)
	}
	check(t, lock.Release(time.Now()))
}

// Workers may go on when their command has died. Before runs go they have ended.
func TestWorkersEndBeforeRunsGo(t *testing.T) {
	h := newHistory(t, t.Context(), t.TempDir())
	id := must[string](t)(lakeio.NewRunID())
	l := h.lake(id)
	check(t, lakeio.CreateRun(t.Context(), h.store, lakeio.Run{ID: id, Job: l.Job, State: lakeio.Active}))
	check(t, l.BeginWorkers(t.Context(), "a command that died"))
	permit := must[*lakeio.WorkerPermit](t)(lakeio.TakeWorkerPermit(t.Context(), l, 0, lakeio.LockConfig{Now: time.Now(), TTL: time.Minute}))
	ended := make(chan error)
	go func() {
		var err error
		for stopped := false; err == nil && !stopped; time.Sleep(time.Millisecond) {
			stopped, err = l.Stopped(context.Background())
		}
		ended <- errors.Join(err, permit.Release(time.Now()))
	}()
	cfg, told := config(1), ""
	cfg.Workers = func(run string, left []lakeio.Holder) {
		if told = run; len(left) != 1 {
			t.Errorf("told of %v", left)
		}
	}
	if _, err := Job(t.Context(), h.store, cfg); err != nil || told != id {
		t.Errorf("%v; told of run %q", err, told)
	}
	check(t, <-ended)
}
