package pipelines

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// A run that is paused or interrupted in the midst of a round has committed
// nothing of it, and goes on: every page is asked for as often as in one go.
func TestAPauseInMidRound(t *testing.T) {
	t.Parallel()
	want := map[string][]string(nil)
	for _, c := range []struct {
		name string
		stop func(b *bench, l lakeio.Lake, interrupt func())
	}{
		{"pause", func(b *bench, l lakeio.Lake, _ func()) {
			if err := l.Stop(b.t.Context(), "test"); err != nil {
				b.t.Error(err)
			}
		}},
		{"interrupt", func(_ *bench, _ lakeio.Lake, interrupt func()) { interrupt() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachStopped(t, func(t *testing.T, runnerName string) {
				b := newShop(t, demosite.Options{Latency: 5 * time.Millisecond}, exact...)
				b.drag(40)
				ctx, interrupt := context.WithCancel(t.Context())
				defer interrupt()
				req := b.request
				req.Runner = runnerName
				stopped := make(chan struct{})
				req.Started = func(l lakeio.Lake, _ lakeio.Run) {
					go func() {
						defer close(stopped)
						b.await(40)
						c.stop(b, l, interrupt)
					}()
				}
				res, err := Run(ctx, req)
				if !errors.Is(err, ErrStopped) {
					t.Fatalf("ended with %v, want ErrStopped", err)
				}
				<-stopped
				if res.Run.State != lakeio.Paused || res.Run.Exit != 130 || res.Run.Error == "" {
					t.Errorf("run.json says %s, exit %d, %q", res.Run.State, res.Run.Exit, res.Run.Error)
				}
				for _, stage := range stages(res.Run)[1:] {
					if done, err := b.lake(res.Run.ID).Committed(t.Context(), stage); done || err != nil {
						t.Errorf("%s is committed: %v %v", stage, done, err)
					}
				}
				asked := len(b.log.Requests())
				if asked >= 150 {
					t.Errorf("%d requests were sent before it stopped", asked)
				}

				b.drag(math.MaxInt32)
				again, err := b.run(runner(runnerName))
				if err != nil || again.Exit != 0 || !again.Resumed || again.Run.ID != res.Run.ID || again.Run.State != lakeio.Done {
					t.Fatalf("went on as run %s, resumed %v, %s, %v", again.Run.ID, again.Resumed, again.Run.State, err)
				}
				checkHits(b, b.site.Hits(), demosite.Books)
				checkPages(b, again.Run, b.site.Pages())
				tables := b.tables(again.Run)
				if want == nil {
					want = tables
				}
				same(t, "against the first", want, tables)
			})
		})
	}
}

// An interrupt may come at any time: once Run has returned nothing is asked
// any more, and the next one comes to the same end.
func TestAnInterruptAtAnyTime(t *testing.T) {
	t.Parallel()
	undisturbed := newShop(t, demosite.Options{Products: 40}, exact...)
	want := undisturbed.tables(undisturbed.must())
	eachStopped(t, func(t *testing.T, runnerName string) {
		for _, after := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 200 * time.Millisecond, 800 * time.Millisecond, 1500 * time.Millisecond} {
			t.Run(after.String(), func(t *testing.T) {
				b := newShop(t, demosite.Options{Products: 40}, exact...).beside()
				ctx, interrupt := context.WithCancel(t.Context())
				defer interrupt()
				req := b.request
				req.Runner = runnerName
				req.Started = func(lakeio.Lake, lakeio.Run) { time.AfterFunc(after, interrupt) }
				res, err := Run(ctx, req)
				asked := len(b.log.Requests())
				if err != nil && (!errors.Is(err, ErrStopped) || res.Run.State != lakeio.Paused) {
					t.Fatalf("ended with %v, run.json says %s", err, res.Run.State)
				}
				time.Sleep(100 * time.Millisecond) // for a start that should not be
				if n := len(b.log.Requests()); n > asked {
					t.Errorf("%d requests were sent after Run had returned", n-asked)
				}
				if err == nil {
					return // it was through before
				}
				run := b.must(runner(runnerName))
				if run.ID != res.Run.ID {
					t.Errorf("went on with run %s, want %s", run.ID, res.Run.ID)
				}
				same(t, "after an interrupt", want, b.tables(run))
				hits := b.site.Hits()
				for _, e := range b.log.Requests() {
					if e.Status/100 == 3 && b.log.Count(e.URL) == 2 {
						hits[e.URL] = 2 // stopped between two hops: asked from its start again
					}
				}
				checkHits(b, hits, demosite.Books)
			})
		}
	})
}
