package lakeio

import (
	"context"
	"errors"

	"github.com/harrowdata/harrow"
)

// StageOf names a stage of a run, fetch by its round: a manifest.
type StageOf struct {
	Run   string `json:"run"`
	Stage string `json:"stage"`
}

// Replay says which rejects a run replays. It is part of run.json, so that
// whoever goes on with the run replays the same.
type Replay struct {
	Run    string `json:"run"` // whose rejects
	Stage  string `json:"stage,omitempty"`
	Class  string `json:"class,omitempty"`
	Code   string `json:"code,omitempty"`
	Record string `json:"record,omitempty"`

	Count    map[string]int64 `json:"count"`              // rejects to be replayed, by stage
	Stages   []StageOf        `json:"stages"`             // where they are, and the captures of those of parse
	Asked    []StageOf        `json:"asked"`              // rounds whose requests are not asked again, but for those replayed
	Refined  []StageOf        `json:"refined,omitempty"`  // stages refine whose rows those replayed are compared with, the latest first
	Deferred []StageOf        `json:"deferred,omitempty"` // stages whose table deferred the run carries on, for the run after it

	// Overtaken is the run, if any, that made rows after Run by other rules:
	// rows that refine and load rejected are not sent again then, or they could
	// replace newer ones of the same answers.
	Overtaken string `json:"overtaken,omitempty"`
}

// LoadSuffix ends the names of the tables of rows that a replay sends to load
// without refining them again: records/NAME.load, of its stage discover.
const LoadSuffix = ".load"

// Wants reports whether a reject is replayed. An empty filter takes all.
func (r Replay) Wants(reject harrow.Reject) bool {
	for _, f := range [][2]string{{r.Stage, reject.Stage}, {r.Class, string(reject.Class)}, {r.Code, reject.Code}, {r.Record, reject.Record}} {
		if f[0] != "" && f[0] != f[1] {
			return false
		}
	}
	return true
}

// Total is how many rejects are replayed.
func (r Replay) Total() (n int64) {
	for _, count := range r.Count {
		n += count
	}
	return n
}

// StagesOf lists the manifests of the run's stages: its own and those that it
// took over.
func (r Run) StagesOf() []StageOf {
	var list []StageOf
	for _, name := range r.StageNames() {
		list = append(list, StageOf{r.Source(BaseStage(name)), name})
	}
	return list
}

// Leaves lists the manifests of StagesOf whose table deferred the next run asks
// first: what the run's rounds left, and what its stage discover carried on.
func (r Run) Leaves() []StageOf { return r.Owned("discover", "fetch") }

// Owned lists the manifests of some of [Stages], each in the folder of the run
// that owns it.
func (r Run) Owned(stages ...string) (list []StageOf) {
	for _, stage := range stages {
		for _, name := range r.Manifests(stage) {
			list = append(list, StageOf{r.Source(stage), name})
		}
	}
	return list
}

// CountRows counts the rows of a table of some stages, those that have
// committed.
func CountRows(ctx context.Context, s Store, job string, stages []StageOf, table string) (n int64, err error) {
	for _, at := range stages {
		m, err := Lake{Store: s, Job: job, Run: at.Run}.Manifest(ctx, at.Stage)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return n, err
		}
		n += m.Tables[table].Rows
	}
	return n, nil
}

// EachRow hands out the rows of a table of some stages, those that have
// committed; a row is valid until do returns.
func EachRow[R any](ctx context.Context, s Store, job string, stages []StageOf, t *Table[R], do func(R) error) error {
	for _, at := range stages {
		m, err := Lake{Store: s, Job: job, Run: at.Run}.Manifest(ctx, at.Stage)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		for _, part := range m.TablesOf(t.Name()) {
			for r, err := range ReadRows(ctx, s, t, part) {
				if err == nil {
					err = do(r)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}
