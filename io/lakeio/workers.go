package lakeio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ErrBuried: a worker's permit was not renewed in time and somebody saw to it
// that it can't be any more. Start no exchange; what is not appended yet may
// belong to another worker.
var ErrBuried = errors.New("the worker's right to start exchanges has run out, and was ended by another process")

// WorkerPermit is a worker process's right to start exchanges in one round of
// fetch: a lease of its own, <run>/fetch-<round>/workers/<nonce>.json. Where a
// run's fetch shards are owned by several processes the job lock is none of
// theirs: shard records name the owner's permit instead, and nobody takes a
// shard over while that lasts.
type WorkerPermit struct{ lease *lease }

func workersDir(l Lake, stage string) string { return path.Join(l.Stage(stage), "workers") }

// TakeWorkerPermit takes a new permit for a round and renews it until it is
// released or lost.
func TakeWorkerPermit(ctx context.Context, l Lake, round int, c LockConfig) (*WorkerPermit, error) {
	c = c.of(l.Job)
	h := Holder{Version: jsonVersion, Run: l.Run, Host: hostname(), PID: os.Getpid(), Since: c.Now.UTC(), Nonce: uuid.NewString(), TTL: c.TTL, Renewed: time.Now().UTC()}
	lease := newWorkerLease(l, round, h, c)
	began := c.clock()
	if err := lease.write(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", lease.what, err)
	}
	lease.until = began + lease.ttl
	lease.begin(ctx)
	return &WorkerPermit{lease}, nil
}

func newWorkerLease(l Lake, round int, h Holder, c LockConfig) *lease {
	w := newLease(l.Store, path.Join(workersDir(l, FetchStage(round)), h.Nonce+".json"), h, c)
	w.what = "permit " + w.uri
	w.held = func(Holder) error { return fmt.Errorf("%s: %w", w.what, ErrBuried) }
	return w
}

// URI is the permit's, as shard records name it.
func (p *WorkerPermit) URI() string { return p.lease.uri }

// Left is for how long the permit is certain to last, if nothing renews it.
func (p *WorkerPermit) Left() time.Duration { return p.lease.left() }

// Err is ErrBuried once the permit can't be renewed any more, and nil until
// then.
func (p *WorkerPermit) Err() error { return p.lease.err() }

// Release ends the permit: whoever wants a shard that names it need not wait.
// By then all that its owner has to append must be.
func (p *WorkerPermit) Release(now time.Time) error { return p.lease.release(now) }

// buryWorker ends a permit that is dead, so that a renewal that comes late
// fails. One that was renewed or ended meanwhile is left as it is: look again.
func buryWorker(ctx context.Context, s Store, uri string, l look) error {
	dead := &lease{store: s, uri: uri, holder: l.holder, gen: l.gen}
	dead.holder.Ended = time.Now().UTC()
	if err := dead.write(ctx); err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("permit %s: %w", uri, err)
	}
	return nil
}

// overWorker looks once at a worker's permit and buries it where it is dead;
// it is over when its holder has ended it or it is buried.
func overWorker(ctx context.Context, s Store, uri string, c LockConfig) (l look, over bool, err error) {
	if l, err = lookAt(ctx, s, uri, c); err != nil || l.free {
		return l, err == nil, err
	}
	if l.wait > 0 {
		return l, false, nil
	}
	if err := buryWorker(ctx, s, uri, l); err != nil {
		return l, false, err
	}
	l, err = lookAt(ctx, s, uri, c)
	if err == nil && l.free {
		forget(s, uri)
	}
	return l, err == nil && l.free, err
}

// Superseded reports whether the run, or the job, is somebody else's than that
// of the process that submitted the work (as run.json has it): the job lock
// names another run, or run.json another process.
func (l Lake) Superseded(ctx context.Context, process string) (bool, error) {
	data, _, err := l.Store.Read(ctx, path.Join(l.Job, "lock")) // by whatever it is held
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, fmt.Errorf("job lock: %w", err)
	}
	if h := decodeHolder(data); h.Run != "" && h.Run != l.Run {
		return true, nil
	}
	r, err := ReadRun(ctx, l.Store, l.Job, l.Run)
	return err == nil && r.Process != process, err
}

// permits lists the URIs of the permits of the run's workers, in all rounds.
func (l Lake) permits(ctx context.Context) (uris []string, err error) {
	stages, err := l.Store.List(ctx, l.RunDir()+"/")
	if err != nil {
		return nil, err
	}
	for _, stage := range stages {
		stage, isDir := strings.CutSuffix(stage, "/")
		if !isDir || !strings.HasPrefix(stage, "fetch-") {
			continue
		}
		names, err := l.Store.List(ctx, workersDir(l, stage)+"/")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".json") {
				uris = append(uris, path.Join(workersDir(l, stage), name))
			}
		}
	}
	return uris, nil
}

// Workers are the holders of the run's worker permits that have not ended:
// they are at work, or died without a word.
func (l Lake) Workers(ctx context.Context) (left []Holder, err error) {
	uris, err := l.permits(ctx)
	if err != nil {
		return nil, err
	}
	for _, uri := range uris {
		at, err := lookAt(ctx, l.Store, uri, LockConfig{}.of(l.Job))
		if err != nil {
			return nil, err
		}
		if !at.free {
			left = append(left, at.holder)
		}
	}
	return left, nil
}

// AwaitWorkers returns when no worker process of the run can start an exchange
// any more: when each of their permits is ended, or dead and buried. Call it
// when the run has been asked to stop (see [Lake.Stop]): a worker that goes on
// is waited for. One that takes its permit later finds the stop file, or
// another submission in run.json, before it asks for anything. told, if not nil,
// hears who is waited for, and every minute who still is.
func AwaitWorkers(ctx context.Context, l Lake, told func(run string, left []Holder)) error {
	return awaitWorkers(ctx, l, told, LockConfig{}.of(l.Job))
}

// tellEvery is how often it is said who is waited for.
var tellEvery = time.Minute

func awaitWorkers(ctx context.Context, l Lake, told func(run string, left []Holder), c LockConfig) error {
	uris, err := l.permits(ctx)
	if err != nil {
		return err
	}
	var said time.Time
	for {
		var left []string
		var who []Holder
		again := l.LookEvery()
		for _, uri := range uris {
			at, over, err := overWorker(ctx, l.Store, uri, c)
			if err != nil {
				return err
			}
			if !over {
				left, who, again = append(left, uri), append(who, at.holder), min(again, max(at.again, time.Millisecond))
			}
		}
		if uris = left; len(uris) == 0 {
			return nil
		}
		if told != nil && time.Since(said) >= tellEvery {
			told(l.Run, who)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d workers of run %s have not ended: %w", len(uris), l.Run, ctx.Err())
		case <-time.After(again):
		}
	}
}

// submitted is <job>/workers.json: the run whose worker processes may be at
// work, and the process that submitted them, as run.json has it. There is one at
// most: nobody submits another before they have ended.
type submitted struct {
	Version int    `json:"version"`
	Run     string `json:"run,omitempty"`
	Process string `json:"process,omitempty"`
}

func submittedURI(job string) string { return path.Join(job, "workers.json") }

// BeginWorkers notes that worker processes of the run may be at work from now
// on, submitted by process. The holder of the job lock calls it before it
// submits work to a runner whose workers are other processes.
func (l Lake) BeginWorkers(ctx context.Context, process string) error {
	data, err := json.Marshal(submitted{jsonVersion, l.Run, process})
	if err != nil {
		return err
	}
	return l.Store.Put(ctx, submittedURI(l.Job), data)
}

// WorkersRun is the run of a job whose worker processes may be at work; empty:
// there is none.
func WorkersRun(ctx context.Context, s Store, job string) (string, error) {
	at, err := readSubmitted(ctx, s, job)
	return at.Run, err
}

func readSubmitted(ctx context.Context, s Store, job string) (submitted, error) {
	at, err := readJSON[submitted](ctx, s, submittedURI(job))
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return at, err
}

// errOthers: workers.json names another submission.
var errOthers = errors.New("another submission has the job")

// forget takes BeginWorkers back, unless another submission has followed.
func (at submitted) forget(ctx context.Context, s Store, job string) error {
	_, err := swapJSON(ctx, s, submittedURI(job), func(*submitted) bool { return false }, func(now *submitted) error {
		if now.Run != at.Run || now.Process != at.Process {
			return errOthers
		}
		*now = submitted{Version: jsonVersion}
		return nil
	})
	if errors.Is(err, errOthers) {
		return nil
	}
	return err
}

// ForgetWorkers takes BeginWorkers back: the workers have ended, or the run has
// committed all that they were to do and none can start an exchange any more.
// What another process has submitted since stays.
func (l Lake) ForgetWorkers(ctx context.Context, process string) error {
	return submitted{Run: l.Run, Process: process}.forget(ctx, l.Store, l.Job)
}

// EndWorkers asks the workers of the run that was submitted last to stop, as far
// as there are any, and returns when they have ended; had says that there may
// have been some until now. Who holds the job lock calls it before it does
// anything else with the job. told, if not nil, hears who is waited for, as
// [AwaitWorkers] has it, or once of nobody (left is empty) where the run was
// asked to stop and none of its workers asks for anything at that moment.
func EndWorkers(ctx context.Context, s Store, job, why string, told func(run string, left []Holder)) (had bool, err error) {
	at, err := readSubmitted(ctx, s, job)
	if at.Run == "" || err != nil {
		return false, err
	}
	return true, at.end(ctx, Lake{Store: s, Job: job, Run: at.Run}, why, told)
}

// EndWorkers is the function of that name for who submitted them as process: it
// leaves alone what another process has submitted since.
func (l Lake) EndWorkers(ctx context.Context, process, why string, told func(run string, left []Holder)) error {
	at, err := readSubmitted(ctx, l.Store, l.Job)
	if err != nil || at.Run != l.Run || at.Process != process {
		return err
	}
	return at.end(ctx, l, why, told)
}

func (at submitted) end(ctx context.Context, l Lake, why string, told func(run string, left []Holder)) error {
	switch run, err := ReadRun(ctx, l.Store, l.Job, l.Run); {
	case err == nil:
		if err := l.Stop(ctx, why); err != nil {
			return err
		}
		if left, err := l.Workers(ctx); err != nil {
			return err
		} else if len(left) == 0 && run.State != Done && told != nil {
			told(l.Run, nil)
		}
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if err := AwaitWorkers(ctx, l, told); err != nil {
		return err
	}
	return at.forget(ctx, l.Store, l.Job)
}
