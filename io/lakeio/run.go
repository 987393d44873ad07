package lakeio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Stages are the stages of a run in their order.
var Stages = []string{"discover", "fetch", "parse", "refine", "load"}

// Input is one file a run copied at its start.
type Input struct {
	Path   string `json:"path"`   // as found, relative to the job file where it can be
	Digest string `json:"digest"` // SHA-256: the copy's name below inputs/
	Bytes  int64  `json:"bytes"`
	Use    string `json:"use,omitempty"`    // InputLookup; empty: seeds
	Memory int64  `json:"memory,omitempty"` // of a lookup file: about what its table takes, bytes
}

// InputLookup is the use of files that refine joins with.
const InputLookup = "lookup"

// Run is run.json: what a run is and how it stands.
type Run struct {
	Version     int               `json:"version"`
	ID          string            `json:"id"` // UUIDv7: ids sort by time
	Job         string            `json:"job"`
	JobFile     string            `json:"job_file"` // text with parameters filled in, secrets not
	Dir         string            `json:"dir"`      // of the job file, absolute: what relative paths of the job are relative to
	Spec        json.RawMessage   `json:"spec"`     // the same as the typed job, with defaults
	Digest      string            `json:"digest"`   // of the job, its inputs and the limit
	Parent      string            `json:"parent,omitempty"`
	From        string            `json:"from,omitempty"`     // first stage that is not the parent's
	Sources     map[string]string `json:"sources,omitempty"`  // stages taken over: to the run whose manifests are used
	Replay      *Replay           `json:"replay,omitempty"`   // the rejects it replays; nil: none, it begins at the seeds
	Rounds      int               `json:"rounds"`             // fetch stages of the run, deferring one included
	Previous    string            `json:"previous,omitempty"` // the run whose deferred requests are asked first
	PagesRun    string            `json:"pages,omitempty"`    // run whose version of pages was known to fetch; empty: none
	Releases    map[string]string `json:"releases,omitempty"` // of harrow, beam, arrow
	FetchShards int               `json:"fetch_shards"`
	Shards      int               `json:"shards"`
	Limit       int               `json:"limit,omitempty"`
	Inputs      []Input           `json:"inputs,omitempty"`
	CreatedAt   time.Time         `json:"created_at"`
	State       State             `json:"state"`
	Process     string            `json:"process,omitempty"` // a nonce of the process that runs it, or did last: only that one says how it ended
	Exit        int               `json:"exit"`              // exit code of the last process
	Error       string            `json:"error,omitempty"`   // of the last process
	EndedAt     time.Time         `json:"ended_at,omitzero"`
	Elapsed     map[string]int64  `json:"elapsed_ms,omitempty"` // per stage, ms
}

// State is how a run stands.
type State string

const (
	// Active runs have a process, or had one that died.
	Active State = "active"
	// Paused runs were stopped in good order and can go on.
	Paused State = "paused"
	// Broken runs ended with an error and can go on.
	Broken State = "failed"
	// Done runs are finished: exit 0 or 3.
	Done State = "done"
)

// NewRunID returns a UUIDv7.
func NewRunID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("run id: %w", err)
	}
	return id.String(), nil
}

// Source returns the run whose manifest of a stage this run uses: itself, or
// the one it took the stage over from.
func (r Run) Source(stage string) string {
	if from, ok := r.Sources[stage]; ok {
		return from
	}
	return r.ID
}

func runURI(job, run string) string { return path.Join(runDir(job, run), "run.json") }

// CreateRun writes run.json of a new run.
func CreateRun(ctx context.Context, s Store, r Run) error {
	r.Version = jsonVersion
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("run %s: %w", r.ID, err)
	}
	return s.Create(ctx, runURI(r.Job, r.ID), data)
}

// ReadRun reads run.json; ErrNotFound where there is no such run.
func ReadRun(ctx context.Context, s Store, job, run string) (Run, error) {
	if err := uuid.Validate(run); err != nil {
		return Run{}, fmt.Errorf("run %q: want the id of a run: %w", run, err)
	}
	return readJSON[Run](ctx, s, runURI(job, run))
}

// ChangeRun changes run.json by compare-and-swap.
func ChangeRun(ctx context.Context, s Store, job, run string, change func(*Run) error) (Run, error) {
	return swapJSON(ctx, s, runURI(job, run), func(*Run) bool { return true }, func(r *Run) error {
		if r.ID == "" {
			return fmt.Errorf("run %s of job %s: %w", run, job, ErrNotFound)
		}
		return change(r)
	})
}

// Jobs lists the jobs of a workspace.
func Jobs(ctx context.Context, s Store) ([]string, error) {
	names, err := s.List(ctx, "./")
	if err != nil {
		return nil, err
	}
	var jobs []string
	for _, n := range names {
		job, isDir := strings.CutSuffix(n, "/")
		if !isDir {
			continue
		}
		if below, err := s.List(ctx, path.Join(job, "runs")+"/"); err != nil {
			return nil, err
		} else if len(below) > 0 {
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// Runs lists the ids of a job's runs, oldest first. A folder without run.json
// is a run that died before it began: it is left out.
func Runs(ctx context.Context, s Store, job string) ([]string, error) {
	ids, err := runFolders(ctx, s, job)
	if err != nil {
		return nil, err
	}
	var runs []string
	for _, id := range ids {
		if _, err := ReadRun(ctx, s, job, id); errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		runs = append(runs, id)
	}
	return runs, nil
}

// runFolders lists the folders whose names are ids, sorted.
func runFolders(ctx context.Context, s Store, job string) (ids []string, err error) {
	names, err := s.List(ctx, path.Join(job, "runs")+"/")
	for _, n := range names {
		id, isDir := strings.CutSuffix(n, "/")
		if isDir && uuid.Validate(id) == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// LastRun returns the newest run of a job; ErrNotFound when there is none.
func LastRun(ctx context.Context, s Store, job string) (Run, error) {
	for r, err := range NewestRuns(ctx, s, job) {
		return r, err
	}
	return Run{}, fmt.Errorf("job %s has no run: %w", job, ErrNotFound)
}

// NewestRuns reads a job's runs, the newest first, one at a time: who is looking
// for one of them reads no more than up to it. It ends with the first error.
func NewestRuns(ctx context.Context, s Store, job string) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		ids, err := runFolders(ctx, s, job)
		if err != nil {
			yield(Run{}, err)
			return
		}
		for _, id := range slices.Backward(ids) {
			r, err := ReadRun(ctx, s, job, id)
			if errors.Is(err, ErrNotFound) {
				continue // it died before it began
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// stopURI names the file whose presence ends all starts of a run.
func (l Lake) stopURI() string { return path.Join(l.RunDir(), "stop") }

// Stop asks the run to stop: exchanges in flight end, no new one starts.
func (l Lake) Stop(ctx context.Context, why string) error {
	return l.Store.Put(ctx, l.stopURI(), []byte(why+"\n"))
}

// Stopped reports whether the run was asked to stop.
func (l Lake) Stopped(ctx context.Context) (bool, error) {
	_, _, err := l.Store.Read(ctx, l.stopURI())
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// LookEvery is how often the stop file may be looked at: what is a system call
// on a disk is a request elsewhere.
func (l Lake) LookEvery() time.Duration {
	if l.Store.Local() == "" {
		return 4 * time.Second
	}
	return 500 * time.Millisecond
}

// ClearStop lets the run start again; only the holder of the job lock may.
func (l Lake) ClearStop(ctx context.Context) error { return l.Store.Delete(ctx, l.stopURI()) }

// StageNames are the stages of the run in their order, fetch as its rounds and
// its last step, which commits [PagesStage].
func (r Run) StageNames() []string {
	var names []string
	for _, stage := range Stages {
		names = append(names, r.Manifests(stage)...)
		if stage == "fetch" {
			names = append(names, PagesStage)
		}
	}
	return names
}

// Manifests are the names under which one of [Stages] commits: its own, or of
// fetch those of its rounds. (What PagesStage commits is about all rounds.)
func (r Run) Manifests(stage string) (names []string) {
	if stage != "fetch" {
		return []string{stage}
	}
	for n := range r.Rounds {
		names = append(names, FetchStage(n))
	}
	return names
}
