package lakeio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Status is what one worker does now; it rewrites its file every few
// seconds. The progress line and `ls` read only these, so they are the same on
// every runner.
type Status struct {
	Version  int              `json:"version"`
	Worker   string           `json:"worker"` // name of the file
	Stage    string           `json:"stage"`
	At       time.Time        `json:"at"`
	Started  time.Time        `json:"started"`           // of the stage in this worker
	Counters map[string]int64 `json:"counters"`          // requests, captures by outcome, bytes; of other stages parts and rows, and parts_total and rows_total as far as they are known
	InFlight int              `json:"in_flight"`         // exchanges
	Queued   int64            `json:"queued"`            // requests not started
	Waiting  map[string]int   `json:"waiting,omitempty"` // politeness keys by why they wait
	Next     time.Time        `json:"next,omitzero"`     // next start that is allowed
	Blocked  string           `json:"blocked,omitempty"` // what holds all starts back: memory, stop
	Held     int              `json:"held,omitempty"`    // fetch shards that wait for another worker, which holds them
	Ended    bool             `json:"ended,omitempty"`   // the worker has done all it was to do, and says nothing more
	Rates    map[string]int64 `json:"per_min,omitempty"` // what the last minute brought
	Keys     []KeyStatus      `json:"keys,omitempty"`    // with something left to do, most time left first; at most [StatusKeys]
	Sample   []RecordSample   `json:"sample,omitempty"`  // what the job's rules make of a sample of the pages
}

// StatusKeys is the most politeness keys that a status names.
const StatusKeys = 50

// KeyStatus is how one politeness key stands, and why it is not asked.
type KeyStatus struct {
	Key         string        `json:"key"`
	Why         string        `json:"why"`            // as in [Status].Waiting
	Until       time.Time     `json:"until,omitzero"` // no start before; zero where that is not a matter of time
	Queued      int64         `json:"queued"`         // requests not started
	InFlight    int           `json:"in_flight"`
	Concurrency int           `json:"concurrency"` // exchanges in flight that are allowed
	Delay       time.Duration `json:"delay_ns"`    // between starts, as it is now
	Latency     time.Duration `json:"latency_ns"`  // smoothed; 0: not known yet
	Left        time.Duration `json:"left_ns"`     // what the queued requests take at this pace, about
}

// RecordSample is what the rules of one record made of a sample of the pages
// fetched: they are parsed to show soon whether a rule is right, and what
// comes of it is thrown away.
type RecordSample struct {
	Record  string           `json:"record"`
	Matched int64            `json:"matched"` // pages fetched that a rule of the record matches
	Fetched int64            `json:"fetched"` // pages fetched, whatever matches them
	Pages   int64            `json:"pages"`   // of those matched, parsed
	Rows    int64            `json:"rows"`
	Fields  []FieldSample    `json:"fields,omitempty"`  // in the record's order
	Rejects map[string]int64 `json:"rejects,omitempty"` // by code
}

// FieldSample counts the values of a field in a sample.
type FieldSample struct {
	Field    string `json:"field"`
	Required bool   `json:"required,omitzero"`
	Filled   int64  `json:"filled"`           // rows where it is not null
	Failed   int64  `json:"failed,omitempty"` // rows that are rejected for it
}

// Merge adds what another worker's sample of the same record says.
func (r *RecordSample) Merge(other RecordSample) {
	r.Matched += other.Matched
	r.Fetched += other.Fetched
	r.Pages += other.Pages
	r.Rows += other.Rows
	fields := make([]FieldSample, 0, len(other.Fields))
	for i, f := range other.Fields {
		if i < len(r.Fields) && r.Fields[i].Field == f.Field {
			f.Filled += r.Fields[i].Filled
			f.Failed += r.Fields[i].Failed
		}
		fields = append(fields, f)
	}
	r.Fields = fields
	rejects := maps.Clone(r.Rejects)
	for code, n := range other.Rejects {
		if rejects == nil {
			rejects = map[string]int64{}
		}
		rejects[code] += n
	}
	r.Rejects = rejects
}

// hostname is this machine's, for people to look at.
func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}

// WorkerName is a name for the status of a piece of work that begins in this
// process: no other has it, on this machine or another, now or later.
func WorkerName(stage string) string {
	host := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, hostname())
	return fmt.Sprintf("%s-%.40s-%d-%.8s", stage, host, os.Getpid(), uuid.NewString())
}

// PutStatus rewrites a worker's status file.
func (l Lake) PutStatus(ctx context.Context, st Status) error {
	if st.Worker == "" || path.Base(st.Worker) != st.Worker {
		return fmt.Errorf("status: worker %q; want the name of a file", st.Worker)
	}
	st.Version = jsonVersion
	data, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("status of %s: %w", st.Worker, err)
	}
	return l.Store.Put(ctx, path.Join(l.RunDir(), "status", st.Worker+".json"), data)
}

// Statuses reads what the run's workers said last.
func (l Lake) Statuses(ctx context.Context) ([]Status, error) {
	dir := path.Join(l.RunDir(), "status")
	names, err := l.Store.List(ctx, dir+"/")
	if err != nil {
		return nil, err
	}
	var all []Status
	for _, n := range names {
		if !strings.HasSuffix(n, ".json") {
			continue
		}
		st, err := readJSON[Status](ctx, l.Store, path.Join(dir, n))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}
