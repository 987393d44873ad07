package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// A status file is written this often, and for the first time when a stage has
// run for a second: many are through by then.
const (
	progressEvery = 5 * time.Second
	progressFirst = time.Second
)

// Progress counts what this process has done of a stage and, every few
// seconds, writes it into the worker's status file. All workers of a stage
// share it. It has no goroutine: whoever does the work writes when it is time,
// between two batches.
type Progress struct {
	lake  lakeio.Lake
	stage string
	name  string // of the status file
	quiet bool   // a round of fetch has a status file of its own
	now   harrow.Clock
	begun time.Time

	parts, expectedParts, rows, expectedRows atomic.Int64

	mu   sync.Mutex // held while the file is written
	next time.Time
}

var (
	progressMu sync.Mutex
	progresses = map[Env]*Progress{} // of stages that have not committed
)

// ProgressOf returns the progress of a stage in this process.
func ProgressOf(env Env, lake lakeio.Lake, now harrow.Clock) *Progress {
	progressMu.Lock()
	defer progressMu.Unlock()
	p := progresses[env]
	if p == nil {
		begun := now()
		p = &Progress{lake: lake, stage: env.Stage, name: lakeio.WorkerName(env.Stage), quiet: env.stageName() == "fetch", now: now, begun: begun, next: begun.Add(progressFirst)}
		progresses[env] = p
	}
	return p
}

// forget ends the progress of a stage that has committed.
func forget(env Env) {
	progressMu.Lock()
	defer progressMu.Unlock()
	delete(progresses, env)
}

// Expect adds to what is to be done: parts, or shards of a merge, and the rows
// in them.
func (p *Progress) Expect(parts, rows int64) {
	p.expectedParts.Add(parts)
	p.expectedRows.Add(rows)
}

// Begin begins a part, or the next try at it.
func (p *Progress) Begin() *Piece { return &Piece{p: p} }

// Piece is a part, or a shard of a merge, that is being worked on by one
// goroutine.
type Piece struct {
	p    *Progress
	rows int64
}

// Rows counts rows that were worked on.
func (s *Piece) Rows(ctx context.Context, n int) {
	s.rows += int64(n)
	s.p.rows.Add(int64(n))
	s.p.tick(ctx)
}

// End ends the piece; what failed is taken back.
func (s *Piece) End(ctx context.Context, err error) {
	if err != nil {
		s.p.rows.Add(-s.rows)
		return
	}
	s.p.parts.Add(1)
	s.p.tick(ctx)
}

// tick writes the status file when it is time. Nothing depends on it: where it
// can't be written, the parts can't either, and say so.
func (p *Progress) tick(ctx context.Context) {
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	now := p.now()
	if now.Before(p.next) || p.quiet {
		return
	}
	p.next = now.Add(progressEvery)
	_ = p.lake.PutStatus(ctx, lakeio.Status{Worker: p.name, Stage: p.stage, At: now.UTC(), Started: p.begun.UTC(),
		Counters: map[string]int64{"parts": p.parts.Load(), "parts_total": p.expectedParts.Load(), "rows": p.rows.Load(), "rows_total": p.expectedRows.Load()}})
}
