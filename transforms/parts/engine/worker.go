package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
)

// What tasks take of the memory shares before they open anything. Each takes
// all it needs at once, batches before shuffle, so tasks can't wait for each
// other in a circle. Half of a shuffle task's part is for rows it holds on
// purpose; the other half is left to buffers on their way and to the garbage
// collector, which lets the heap grow to twice what is live. A shuffle of 3 M
// rows of 350 bytes at a limit of 256 MiB on 2 cores peaked at 192 MB resident
// with one shard and at 169 MB with 16.
const (
	// taskBytes of the share of batches: an input batch (≤ 16 MiB, mostly
	// much less), arrow's decoder (10 MB a batch) and the encoder of an output
	// part (19 MB, lent from part to part).
	taskBytes = 32 << 20
	// laneBytes is the least of the share of the shuffle that a task is worth.
	laneBytes = 16 << 20
)

// Worker does the engine's tasks for one stage. It may be used by several
// goroutines.
type Worker struct {
	Now harrow.Clock // for rejects and manifests; time.Now unless a test sets it

	env     Env
	lake    lakeio.Lake
	batches *memory.Share
	shuffle *memory.Share
	done    *Progress
	backoff []time.Duration // before each further try
}

// NewWorker opens the lake. The memory is the process's budget for
// env.Memory.
func NewWorker(env Env) (*Worker, error) {
	lake, err := env.Open()
	if err != nil {
		return nil, err
	}
	budget := memory.For(env.Memory)
	return &Worker{
		Now: time.Now, env: env, lake: lake, batches: budget.Batches, shuffle: budget.Shuffle,
		done: ProgressOf(env, lake, time.Now), backoff: Backoff(),
	}, nil
}

// Committed reports whether the stage has a manifest: then there is nothing
// left to do in it.
func (w *Worker) Committed(ctx context.Context) (done bool, err error) {
	err = w.retry(ctx, func() error {
		done, err = w.lake.Committed(ctx, w.env.Stage)
		return err
	})
	return done, err
}

// stageName is the stage without its round: "fetch" of "fetch-0".
func (e Env) stageName() string {
	if i := strings.LastIndexByte(e.Stage, '-'); i > 0 && strings.Trim(e.Stage[i+1:], "0123456789") == "" {
		return e.Stage[:i]
	}
	return e.Stage
}

// uri names a new file of the stage.
func (w *Worker) uri(folder, id string) string {
	return path.Join(w.lake.Stage(w.env.Stage), folder, id+".arrow")
}

// take acquires n bytes of a share, or all of a smaller one.
func take(ctx context.Context, s *memory.Share, n int64) (release func(), err error) {
	n = min(n, s.Size())
	if err := s.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { s.Release(n) }, nil
}

// takeShuffle acquires what a shuffle task needs: the fixed part of the
// batches and the nth part of the shuffle.
func (w *Worker) takeShuffle(ctx context.Context, tasks int) (bytes int64, release func(), err error) {
	batches, err := take(ctx, w.batches, taskBytes)
	if err != nil {
		return 0, nil, err
	}
	bytes = w.forShuffles() / int64(tasks)
	shuffle, err := take(ctx, w.shuffle, bytes)
	if err != nil {
		batches()
		return 0, nil, err
	}
	return bytes, func() { shuffle(); batches() }, nil
}

// forShuffles is the share of the shuffle without what the stage's operators
// hold of it.
func (w *Worker) forShuffles() int64 {
	return max(w.shuffle.Size()-w.env.Held, w.shuffle.Size()/4)
}

// shuffleTasks is how many tasks share the memory of the shuffle when there
// are n to do.
func (w *Worker) shuffleTasks(n int) int {
	return max(1, min(n, runtime.GOMAXPROCS(0), int(w.forShuffles()/laneBytes)))
}

// Match reports whether a table is one of tables; nil is all, and "records/*"
// is every table that begins so.
func Match(tables []string, table string) bool {
	return tables == nil || slices.ContainsFunc(tables, func(t string) bool {
		prefix, glob := strings.CutSuffix(t, "*")
		return t == table || glob && strings.HasPrefix(table, prefix)
	})
}

// finalError ends the tries: what it wraps was tried enough, or can't get
// better.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// final reports whether trying again is pointless. All else is taken for a
// system fault that may pass: an operator, too, returns an error for nothing
// else.
func final(err error) bool {
	var f finalError
	return errors.As(err, &f) || errors.Is(err, lakeio.ErrCorrupt) || errors.Is(err, lakeio.ErrNotFound) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Backoff is how long a step waits before each further try of what failed.
func Backoff() []time.Duration {
	return []time.Duration{250 * time.Millisecond, time.Second, 4 * time.Second}
}

// Retry tries f again after each backoff while its error may pass; files that
// are gone or damaged stay so. What it returns in the end was tried enough: a
// Retry around it doesn't try it again. A task of the process's pool gives its
// place there to another while it waits. What f took (memory, files) it should
// have given back when it returns an error.
func Retry(ctx context.Context, backoff []time.Duration, f func() error) error {
	err := f()
	for _, pause := range backoff {
		if err == nil || final(err) {
			return err
		}
		if e := sleep(ctx, pause); e != nil {
			return errors.Join(err, e)
		}
		err = f()
	}
	if err != nil {
		err = finalError{err}
	}
	return err
}

// sleep waits, outside of the pool.
func sleep(ctx context.Context, pause time.Duration) (err error) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	aside(ctx, func() {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-timer.C:
		}
	})
	return err
}

// retryFunc is [Retry] with a backoff.
type retryFunc = func(ctx context.Context, f func() error) error

// retry is Retry with the worker's backoff.
func (w *Worker) retry(ctx context.Context, f func() error) error { return Retry(ctx, w.backoff, f) }

// recovered turns a panic into a final error that says where it came from.
func recovered(what string, err *error) {
	if p := recover(); p != nil {
		*err = finalError{fmt.Errorf("%s: panic: %v\n%s", what, p, debug.Stack())}
	}
}

// operator makes the step's operator.
func (s Step) operator() (harrow.Operator, error) {
	make, err := harrow.LookupOperator(s.Operator)
	if err != nil {
		return nil, finalError{err}
	}
	config := s.Config
	if config == nil {
		config = json.RawMessage("null")
	}
	op, err := make(config)
	if err != nil {
		return nil, finalError{fmt.Errorf("operator %s: %w", s.Operator, err)}
	}
	return op, nil
}
