package lakeio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
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
	Counters map[string]int64 `json:"counters"`          // requests, captures by outcome, bytes, parts, rows
	InFlight int              `json:"in_flight"`         // exchanges
	Queued   int64            `json:"queued"`            // requests not started
	Waiting  map[string]int   `json:"waiting,omitempty"` // politeness keys by why they wait
	Next     time.Time        `json:"next,omitzero"`     // next start that is allowed
	Blocked  string           `json:"blocked,omitempty"` // what holds all starts back: memory, stop
	Rates    map[string]int64 `json:"per_min,omitempty"` // what the last minute brought
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
