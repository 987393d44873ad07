package command

import (
	"errors"

	"github.com/harrowdata/harrow/command/trial"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/pipelines"
)

// Exit codes: see the command's help.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitCrossed = 3 // a threshold, or something was deferred
	exitStopped = 130
)

func exitCode(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, pipelines.ErrStopped):
		return exitStopped
	case errors.Is(err, pipelines.ErrUsage), errors.Is(err, view.ErrUsage), errors.Is(err, trial.ErrURL):
		return exitUsage
	}
	return exitFailed
}

// errorLines is what a user reads of an error: one line that names the
// program, or FILE:LINE:COL lines that an editor can jump to.
func errorLines(err error) []string {
	var all jobfile.Errors
	if errors.As(err, &all) {
		lines := make([]string, len(all))
		for i, one := range all {
			lines[i] = view.Printable(one.Error())
		}
		return lines
	}
	var one *jobfile.Error
	if errors.As(err, &one) {
		return []string{view.Printable(one.Error())}
	}
	text := err.Error()
	var failed *runFailed
	prefix := "harrow: "
	if errors.As(err, &failed) {
		prefix, text = "harrow: run "+failed.run+" failed and can be resumed: ", failed.err.Error()
	}
	return []string{prefix + view.Truncate(view.Cause(text), 2000)}
}

// runFailed is what ended a run that had begun.
type runFailed struct {
	run string
	err error
}

func (e *runFailed) Error() string { return "run " + e.run + ": " + e.err.Error() }

func (e *runFailed) Unwrap() error { return e.err }
