// Package engine is the part of the engine room that knows no Beam: how one
// part goes through an operator, how rows are spilled, sorted and merged for a
// shuffle. Package parts wraps it into the four DoFns.
package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/build"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Env is what a step needs to reach the lake; it travels to the workers as
// JSON.
type Env struct {
	Workspace string `json:"workspace"` // as lakeio.Open takes it
	Job       string `json:"job"`
	Run       string `json:"run"`
	Stage     string `json:"stage"`  // "parse", "fetch-0": where output goes and whose manifest ends the work
	Memory    int64  `json:"memory"` // limits.memory of the process, bytes
	Spill     string `json:"spill"`  // limits.spill: local folder
	Shards    int    `json:"shards"` // limits.shards: shards of a shuffle
	// Held is what the stage's operators keep in memory as long as it runs, in
	// bytes: shuffles of the stage leave as much of their share alone.
	Held int64 `json:"held,omitempty"`
	// Build is the build of Harrow whose workers may do the step, as
	// [build.Self] names it; empty: any.
	Build string `json:"build,omitempty"`
	// Submission names what was handed to a runner that gives up at the first
	// error, where that runner may let what comes behind go on for a moment as
	// if nothing were missing; empty: another runner. See [Env.Failed].
	Submission string `json:"submission,omitempty"`
}

// Open opens the lake. A process of another build than the one that composed
// the step is refused, with [build.ErrOther]: it may read the step differently.
func (e Env) Open() (lakeio.Lake, error) {
	if err := build.Check(e.Build); err != nil {
		return lakeio.Lake{}, err
	}
	s, err := lakeio.Open(e.Workspace)
	return lakeio.Lake{Store: s, Job: e.Job, Run: e.Run}, err
}

// Step names a registered operator and its JSON config; a plain object is
// made from them on the worker.
type Step struct {
	Operator string          `json:"operator"`
	Config   json.RawMessage `json:"config,omitempty"`
	// Beside names second tables that the operator looks into: it must be a
	// [BesideOperator].
	Beside []string `json:"beside,omitempty"`
}

// Row is one row of a batch.
type Row struct {
	Batch harrow.Batch
	Index int
}

// Beside walks a second table forward in lockstep with the part that is being
// mapped.
type Beside interface {
	// Rows yields n rows of a part of the second table, from row first on. A
	// row is valid until the next one. Going forward is cheap; going back
	// decodes a batch again.
	Rows(part string, first, n int64) iter.Seq2[Row, error]
}

// BesideOperator is an operator that looks into a second table. Where its
// step names one, ProcessBeside is called instead of Process.
type BesideOperator interface {
	harrow.Operator
	ProcessBeside(ctx context.Context, in harrow.Batch, beside Beside, out harrow.Output) error
}

// Source is an operator that reads something else than Arrow parts: it is
// handed the reference itself, instead of its batches.
type Source interface {
	harrow.Operator
	ReadSource(ctx context.Context, lake lakeio.Lake, part harrow.Part, out harrow.Output) error
}

// Opener is an operator that needs more of the lake than its input.
type Opener interface {
	harrow.Operator
	// Open is called once, before the first batch.
	Open(ctx context.Context, lake lakeio.Lake) error
	// Close is called in the end, whatever happened, after a failed Open too.
	Close()
}

// open opens an operator that wants it. The caller calls close in the end.
func open(ctx context.Context, lake lakeio.Lake, op harrow.Operator) (close func(), err error) {
	o, ok := op.(Opener)
	if !ok {
		return func() {}, nil
	}
	return o.Close, o.Open(ctx, lake)
}

// OnWorker says of an error in which process it came about; nil stays nil. It is
// for what another worker may have: a secret, a folder.
func OnWorker(err error) error {
	if err == nil {
		return nil
	}
	host, herr := os.Hostname()
	if herr != nil {
		host = "of unknown name"
	}
	return fmt.Errorf("on worker %s, process %d: %w", host, os.Getpid(), err)
}
