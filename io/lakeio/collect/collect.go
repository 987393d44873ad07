// Package collect removes from a workspace what nothing refers to any more,
// and on request old runs: it is what `harrow gc` does.
//
// # What stays
//
// All runs stay, unless it is said how many: then a job's last finished ones,
// those that are active or can be gone on with, the last one that fetched to
// the end if it deferred something, since the next run asks that first, and
// what one that is not yet beyond discover begins with. Of any run stays what these refer to:
//
//   - stages they took over, with all their manifests list;
//   - parts in other runs' folders that their manifests list;
//   - versions of pages they began with or committed, and the current one;
//   - bodies that their captures and these pages point to.
//
// A folder that has no run.json is no run: ls doesn't know it, but what lies
// there can be read by who refers to it.
//
// # Beside runs that work
//
// Nothing goes that is younger than Config.OlderThan, and nothing of a stage
// that a run has yet to commit. A job's runs are listed first, then references
// are read, then folders are gone through: what a run commits meanwhile lies
// in folders that are left alone, and what it refers to beyond these are pages
// and bodies that stay anyway. So nothing is locked, but for the removal of
// runs: a new run may take stages over from one that goes, so the job's lock
// is held.
//
// # Where it is killed
//
// First the run.json files of all runs that go are deleted: of those that only
// parsed again, then of those that asked, oldest first, so that the last one
// that asked is the same throughout; then of each version of
// pages and each stage its manifest, then files. So whatever there still is of
// a run or of a version of pages is whole, and the next collection goes on.
package collect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Config says what is collected of a job.
type Config struct {
	Job string
	// Keep is how many finished runs stay, and what replayed rejects of theirs
	// since; 0: all runs do.
	Keep int
	// OlderThan is the least age of what goes, by the store's modification
	// times and clock.
	OlderThan time.Duration
	DryRun    bool // only say what would go
	Now       harrow.Clock
	// Waiting is told before it is waited for the job's lock; see
	// [lakeio.LockConfig].
	Waiting func(h lakeio.Holder, longest time.Duration)
	// Workers is told before it is waited for worker processes of a run whose
	// command has died, and of a run that is asked to stop though nobody has to
	// be waited for: it may be staged as a template. See [lakeio.EndWorkers].
	Workers func(run string, left []lakeio.Holder)
	// Sinks removes what the job's sinks keep of a run that goes, or that
	// nobody can go on with; see [harrow.Collector]. Nil: there are none. A
	// run of which they say an error stays.
	Sinks func(ctx context.Context, run lakeio.Run, dry bool) (harrow.Collected, error)
	// Meter, where there is one, tells how far it has come.
	Meter *Meter
}

// Meter counts files while they are gone through.
type Meter struct{ Looked, Removed atomic.Int64 }

// Kind is what removed files were.
type Kind string

// The kinds.
const (
	Runs      Kind = "runs"      // of runs that went, or never began
	Pages     Kind = "pages"     // of versions of pages that nobody names
	Parts     Kind = "parts"     // of attempts that lost, named by no manifest or shard record
	Shuffle   Kind = "shuffle"   // of stages that are committed
	Temporary Kind = "temporary" // left by writers that were killed
	Inputs    Kind = "inputs"    // that run.json doesn't name
	Status    Kind = "status"    // of workers of runs that are over, and what told these to stop
	Sinks     Kind = "sinks"     // kept by sinks for runs that are over
)

// Count is how much went.
type Count struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	Rows  int64 `json:"rows,omitempty"` // of a database
}

// Report is what was collected of a job.
type Report struct {
	Job   string         `json:"job"`
	Runs  []string       `json:"runs"` // that went, oldest first
	Kinds map[Kind]Count `json:"kinds"`
}

// Job collects one job. An error may come with a report of what went before
// it. It is lakeio.ErrLocked where runs are to be removed and another process
// holds the job.
func Job(ctx context.Context, s lakeio.Store, cfg Config) (_ Report, err error) {
	c := &collector{Config: cfg, store: s, runs: map[string]*run{}, stages: map[lakeio.StageOf]bool{}, pages: map[string]bool{},
		done: map[string]bool{}, report: Report{Job: cfg.Job, Runs: []string{}, Kinds: map[Kind]Count{}}}
	if c.Meter == nil {
		c.Meter = &Meter{}
	}
	if c.Keep > 0 && !c.DryRun {
		lake := lakeio.Lake{Store: s, Job: cfg.Job, Run: lakeio.CollectorRun}
		if c.lock, err = lakeio.LockJob(ctx, lake, lakeio.LockConfig{Now: c.Now(), Waiting: c.Waiting}); err != nil {
			return c.report, err
		}
		defer func() { err = errors.Join(err, c.lock.Release(c.Now())) }()
		if _, err := lakeio.EndWorkers(ctx, s, cfg.Job, "harrow gc", cfg.Workers); err != nil {
			return c.report, err
		}
	}
	err = c.collect(ctx)
	return c.report, err
}

type collector struct {
	Config
	store  lakeio.Store
	lock   *lakeio.JobLock // held if runs are to go
	cutoff time.Time       // what was modified later stays

	runs     map[string]*run         // by id
	ids      []string                // of runs, oldest first
	versions []string                // folders of pages
	stages   map[lakeio.StageOf]bool // that stay; true: rows of theirs may point into other runs
	pages    map[string]bool         // versions of pages that stay
	outside  set                     // what is referred to from another folder
	done     map[string]bool         // files that were removed before their folder was gone through

	deletes *errgroup.Group // where deleting takes a request
	mu      sync.Mutex
	report  Report
}

func (c *collector) collect(ctx context.Context) (err error) {
	if c.cutoff, err = c.age(ctx); err != nil {
		return err
	}
	if err := c.list(ctx); err != nil {
		return err
	}
	serr := c.decide(ctx)
	if serr != nil && !errors.Is(serr, errSinks) {
		return serr
	}
	if err := c.refer(ctx); err != nil {
		return errors.Join(err, serr)
	}
	c.deletes, ctx = errgroup.WithContext(ctx)
	c.deletes.SetLimit(lakeio.Deletes)
	err = c.removeAll(ctx)
	return errors.Join(err, c.deletes.Wait(), serr)
}

// age is the time before which things must have been modified to go. The
// store's clock is asked by a file that is written and looked at; a dry run
// leaves no trace and goes by the clock of this machine.
func (c *collector) age(ctx context.Context) (time.Time, error) {
	now := c.Now()
	if !c.DryRun {
		probe := path.Join(c.Job, probePrefix+uuid.NewString()) // others may collect, too
		if err := c.store.Put(ctx, probe, nil); err != nil {
			return now, err
		}
		var there time.Time
		var dead []string // of collections that were killed
		err := c.store.Scan(ctx, c.Job+"/", func(e lakeio.Entry) error {
			if uri := path.Join(c.Job, e.Name); uri == probe {
				there = e.Modified
			} else if strings.HasPrefix(e.Name, probePrefix) && now.Sub(e.Modified) > time.Hour {
				dead = append(dead, uri)
			}
			return nil
		})
		for _, uri := range append(dead, probe) {
			err = errors.Join(err, c.store.Delete(ctx, uri))
		}
		if err != nil {
			return now, err
		}
		if there.IsZero() {
			return now, fmt.Errorf("%s: written, and then it was not there", probe)
		}
		now = there
	}
	return now.Add(-c.OlderThan), nil
}

// probePrefix begins the names of files that tell the store's time.
const probePrefix = "gc.clock-"

func (c *collector) old(e lakeio.Entry) bool { return !e.Modified.After(c.cutoff) }

// list finds the folders of runs and of versions of pages.
func (c *collector) list(ctx context.Context) error {
	// What began after this is none of ours: a run's folder comes before its
	// version of pages.
	_, err := c.folders(ctx, "")
	if err == nil {
		c.versions, err = c.folders(ctx, lakeio.PagesStage)
	}
	if err == nil {
		c.ids, err = c.folders(ctx, "runs")
	}
	return err
}

// folders lists those below a folder of the job whose names are ids. Where
// there are links it is not known what is referred to behind them.
func (c *collector) folders(ctx context.Context, folder string) (ids []string, err error) {
	dir := path.Join(c.Job, folder)
	err = c.store.Scan(ctx, dir+"/", func(e lakeio.Entry) error {
		id, isDir := strings.CutSuffix(e.Name, "/")
		if ours := uuid.Validate(id) == nil; ours && isDir {
			ids = append(ids, id)
		} else if e.Foreign && (ours || id == "runs" || id == lakeio.PagesStage) {
			return fmt.Errorf("%s is a link: nothing of the job is collected", path.Join(dir, id))
		}
		return nil
	})
	slices.Sort(ids)
	return ids, err
}

// removeAll removes what is to go, in an order in which it may be interrupted.
func (c *collector) removeAll(ctx context.Context) error {
	// Those that take stages over go before those they take them from.
	for _, takers := range []bool{true, false} {
		for _, id := range c.ids {
			r := c.runs[id]
			if r.fate != goes || takers != (r.Source("fetch") != id) {
				continue
			}
			if err := c.now(ctx, r.uri("run.json"), r.file.Bytes, Runs); err != nil {
				return err
			}
			c.report.Runs = append(c.report.Runs, id)
		}
	}
	slices.Sort(c.report.Runs)
	for _, id := range c.versions {
		if err := c.version(ctx, id); err != nil {
			return err
		}
	}
	for _, id := range c.ids {
		if err := c.run(ctx, c.runs[id]); err != nil {
			return err
		}
	}
	return nil
}

// Total sums what went, of all kinds.
func (r Report) Total() (n Count) {
	for _, c := range r.Kinds {
		n.Files, n.Bytes, n.Rows = n.Files+c.Files, n.Bytes+c.Bytes, n.Rows+c.Rows
	}
	return n
}

// KindsOf lists the kinds of which something went, sorted.
func (r Report) KindsOf() []Kind { return slices.Sorted(maps.Keys(r.Kinds)) }
