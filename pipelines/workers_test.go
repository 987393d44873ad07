package pipelines

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
)

// zombie leaves a worker's permit behind, as one has it whose command died. It
// is given back when the worker has heard that it is to stop, and for some time.
func (b *bench) zombie(run string) (heard chan bool) {
	b.t.Helper()
	l := b.lake(run)
	if err := l.BeginWorkers(b.t.Context(), "a command that died"); err != nil {
		b.t.Fatal(err)
	}
	permit, err := lakeio.TakeWorkerPermit(b.t.Context(), l, 0, lakeio.LockConfig{Now: time.Now(), TTL: time.Minute})
	if err != nil {
		b.t.Fatal(err)
	}
	heard = make(chan bool, 1)
	go func() {
		stopped := false
		for end := time.Now().Add(time.Minute); !stopped && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			stopped, _ = l.Stopped(context.Background())
		}
		time.Sleep(300 * time.Millisecond)
		if err := permit.Release(time.Now()); err != nil {
			b.t.Error(err)
		}
		heard <- stopped
	}()
	return heard
}

// Before a run is gone on with, or another one begun, its workers have ended.
func TestWorkersThatOutlivedTheirCommandAreWaitedFor(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{"the run is gone on with": "", "another run": "new"} {
		t.Run(name, func(t *testing.T) {
			b := newShop(t, demosite.Options{Products: 4}, exact...)
			first := b.must(func(r *Request) { r.Until = "discover" })
			heard := b.zombie(first.ID)
			var told []lakeio.Holder
			asked := 0
			run := b.must(func(r *Request) {
				r.Run = request
				r.Workers = func(run string, left []lakeio.Holder) {
					if run != first.ID {
						t.Errorf("told of run %s, want %s", run, first.ID)
					}
					told, asked = left, len(b.log.Requests())
				}
				r.Started = func(l lakeio.Lake, _ lakeio.Run) {
					if left, err := b.lake(first.ID).Workers(t.Context()); err != nil || len(left) > 0 || len(b.log.Requests()) > asked {
						t.Errorf("it began beside %v (%v), after %d requests", left, err, len(b.log.Requests())-asked)
					}
					if stopped, err := l.Stopped(t.Context()); stopped || err != nil {
						t.Errorf("it begins as one that is to stop: %v, %v", stopped, err)
					}
				}
			})
			if !<-heard || len(told) != 1 || (run.ID == first.ID) != (request == "") {
				t.Errorf("told of %v; run %s after %s", told, run.ID, first.ID)
			}
			if left, err := lakeio.WorkersRun(t.Context(), b.lake("").Store, run.Job); left != "" || err != nil {
				t.Errorf("run %s is said to have workers: %v", left, err)
			}
		})
	}
}

// Who doesn't want to wait that long leaves things as they are for the next one.
func TestAnInterruptWhileWorkersAreWaitedForChangesNothing(t *testing.T) {
	t.Parallel()
	b := newShop(t, demosite.Options{Products: 4}, exact...)
	first := b.must(func(r *Request) { r.Until = "discover" })
	heard := b.zombie(first.ID)
	ctx, interrupt := context.WithCancel(t.Context())
	req := b.request
	req.Run = "new"
	req.Workers = func(string, []lakeio.Holder) { interrupt() }
	req.Started = func(lakeio.Lake, lakeio.Run) { t.Error("it began") }
	if _, err := Run(ctx, req); !errors.Is(err, ErrStopped) {
		t.Errorf("ended with %v", err)
	}
	if left, err := lakeio.WorkersRun(t.Context(), b.lake("").Store, first.Job); left != first.ID || err != nil {
		t.Errorf("the next one hears of workers of %q, %v", left, err)
	}
	<-heard
	b.must()
}

func TestShardsGrowWithTheRunnersParallelism(t *testing.T) {
	for _, c := range []struct {
		req           Request
		fetch, shards int
	}{
		{Request{Runner: "direct"}, 1, 16},
		{Request{Runner: "prism"}, 1, 16},
		{Request{Runner: "flink", Options: runners.Options{FlinkMaster: "local", Beam: []string{"--parallelism", "8"}}}, 1, 16},
		{Request{Runner: "flink", Options: runners.Options{FlinkMaster: "host:8081", Beam: []string{"--parallelism", "8"}}}, 32, 32},
		{Request{Runner: "flink", Options: runners.Options{FlinkMaster: "host:8081", Beam: []string{"--parallelism", "2"}}}, 8, 16},
	} {
		if err := runners.Check(c.req.Runner, c.req.Options); err != nil {
			t.Fatal(err)
		}
		if f, s := orAuto(harrow.Auto(0), autoOf(autoFetchShards, c.req)), orAuto(harrow.Auto(0), autoOf(autoShards, c.req)); f != c.fetch || s != c.shards {
			t.Errorf("%+v: %d fetch shards and %d shards, want %d and %d", c.req, f, s, c.fetch, c.shards)
		}
	}
}

func TestARunnerIsToldWhoseJobItIs(t *testing.T) {
	t.Parallel()
	store, err := lakeio.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := optionsOf(Request{Options: runners.Options{FlinkMaster: "jm:1"}}, lakeio.Lake{Store: store, Job: "shop", Run: "id"})
	if o.Name != "harrow-shop-id" || o.Workspace != store.Local() || o.FlinkMaster != "jm:1" {
		t.Errorf("%+v", o)
	}
}
