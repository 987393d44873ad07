package pipelines

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/collect"
)

// collect is harrow gc with --older-than 0.
func (b *bench) collect(keep int) (collect.Report, error) {
	b.t.Helper()
	l := b.lake("")
	return collect.Job(b.t.Context(), l.Store, collect.Config{Job: l.Job, Keep: keep, Now: time.Now,
		Sinks: func(ctx context.Context, run lakeio.Run, dry bool) (harrow.Collected, error) {
			return CollectSinks(ctx, l.Store, run, dry)
		}})
}

// below sums the files of a folder of the workspace whose paths hold a text.
func (b *bench) below(text string) (files, bytes int64) {
	b.t.Helper()
	err := filepath.WalkDir(b.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(path, text) {
			return err
		}
		info, err := e.Info()
		if err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return files, bytes
}

func TestABodyOutlivesTheRunThatFetchedIt(t *testing.T) {
	meaning(t)
	b := newShop(t, demosite.Options{Products: 40}, exact...).beside()
	first := b.must()
	if n, size := b.below("/shuffle/"); n > 0 {
		t.Errorf("%d shuffle files, %d bytes, stay after a run", n, size)
	}
	b.site.SetRevision(0) // pages that fail at first do so again
	second := b.must()
	want := b.tables(second)
	before, _ := b.below(first.ID)

	report, err := b.collect(1)
	if err != nil || len(report.Runs) != 1 || report.Runs[0] != first.ID {
		t.Fatalf("collected %+v, %v; want run %s gone", report, err, first.ID)
	}
	if report.Kinds[collect.Sinks].Rows == 0 {
		t.Error("the database keeps the marks of a run that is no more")
	}
	if after, _ := b.below(first.ID); after == 0 || after >= before {
		t.Errorf("of %d files of the first run %d are left: want bodies only", before, after)
	}
	runs, err := lakeio.Runs(t.Context(), b.lake("").Store, first.Job)
	if err != nil || len(runs) != 1 {
		t.Errorf("runs %v, %v", runs, err)
	}
	same(t, "a run that stays", want, b.tables(second))

	b.site.SetRevision(0)
	third := b.must()
	if _, outcomes := b.captured(third); outcomes[harrow.NotModified] == 0 || outcomes[harrow.NotModified] < outcomes[harrow.Fetched] {
		t.Errorf("outcomes %v, want most not modified", outcomes)
	}
	b.sameBut("parsed from old bodies", second, third)
	b.unchanged(third)
	b.sameBut("parsed again from the run that stayed", second, b.must(from("parse"), which(second.ID)))
	want = b.tables(third)
	for n := range 2 { // what is passed on within a round nobody needs after it
		if report, err := b.collect(0); err != nil || len(report.Runs) > 0 || n == 1 && report.Total() != (collect.Count{}) {
			t.Errorf("without --keep, time %d, it removed %+v, %v", n+1, report, err)
		}
	}
	same(t, "after one more collection", want, b.tables(third))
}

func TestCollectingBesideARunTouchesNothingOfIt(t *testing.T) {
	options := demosite.Options{Products: 40, Latency: 5 * time.Millisecond}
	b := newShop(t, options, exact...).beside()
	first := b.must()
	b.site.SetRevision(0)
	started, refused, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var second lakeio.Run
	go func() {
		defer close(ended)
		res, err := b.run(which("new"), func(r *Request) { r.Started = func(lakeio.Lake, lakeio.Run) { close(started); <-refused } })
		if second = res.Run; err != nil || res.Exit != 0 {
			t.Errorf("the run ended with %v, exit %d %s", err, res.Exit, res.Why)
		}
	}()
	select {
	case <-started:
	case <-ended:
		return
	}
	for n := 0; ; n++ {
		if n == 0 {
			// Runs are not removed beside one that may come to need them.
			if _, err := b.collect(1); !errors.Is(err, lakeio.ErrLocked) {
				t.Errorf("--keep beside a run: %v, want that the job is held", err)
			}
			close(refused)
		}
		if _, err := b.collect(0); err != nil {
			t.Error(err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-ended:
		}
		break
	}
	b.sameBut("a run beside which was collected", first, second)
}

func TestARunDoesNotBeginWithOneThatWasRemovedMeanwhile(t *testing.T) {
	b := newShop(t, demosite.Options{Products: 20}, exact...).beside()
	first := b.must()
	b.must(which("new"))
	store := b.lake("").Store
	job, err := ReadJob(b.request.JobFile, b.request.Params)
	if err != nil {
		t.Fatal(err)
	}
	// What Run does before it has the lock, which gc has meanwhile.
	req := b.request
	req.From, req.Run = "parse", first.ID
	d, err := decide(t.Context(), store, job, req)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := b.collect(1); err != nil || len(report.Runs) != 1 {
		t.Fatalf("collected %+v, %v", report, err)
	}
	if err := prepare(t.Context(), b.lake(d.run.ID), &d); err == nil || !strings.Contains(err.Error(), first.ID+" was removed meanwhile") {
		t.Errorf("error %v", err)
	}
	if _, err := b.run(from("parse"), which(first.ID)); !errors.Is(err, ErrUsage) {
		t.Errorf("--run of a run that is gone: %v", err)
	}
}
