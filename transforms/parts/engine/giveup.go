package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// givenUp are submissions of which a step failed in this process, or that were
// given up, with the reason. There is one a run at most, and it stays: bundles
// may be left over that hear of nothing.
var givenUp sync.Map

// errIncomplete: what a stage would commit may lack something.
var errIncomplete = errors.New("nothing is committed any more: what comes to it may not be all")

// Failed takes note of a step's error and returns it. A runner that gives up at
// the first error need not do so at once: Prism (v2.77.0) lets its watermarks
// pass a bundle that failed before it ends the job, so that a commit may be
// handed what came of the others alone. Behind a failed step nothing of its
// submission is committed.
func (e Env) Failed(err error) error {
	if err != nil {
		GiveUp(e.Submission, err)
	}
	return err
}

// GiveUp lets nothing of a submission be committed in this process any more. It
// is called before the runner is told to end.
func GiveUp(submission string, cause error) {
	if submission != "" {
		givenUp.LoadOrStore(submission, cause)
	}
}

// mayCommit reports why a stage that has no manifest can't get one now. A run
// that was asked to stop drains: bundles that ended early look like bundles
// without output to a runner that has been told to cancel.
func (w *Worker) mayCommit(ctx context.Context) error {
	if cause, ok := givenUp.Load(w.env.Submission); ok {
		return finalError{fmt.Errorf("%w: %w", errIncomplete, cause.(error))}
	}
	stopped, err := w.lake.Stopped(ctx)
	if stopped {
		err = finalError{fmt.Errorf("%w: the run was asked to stop", errIncomplete)}
	}
	return err
}
