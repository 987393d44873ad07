// Package doctor judges, before anything is submitted, whether a job can run
// where it is meant to, and says of each thing that it can't be what to do.
package doctor

import (
	"fmt"
	"io"
	"strings"

	"github.com/harrowdata/harrow/command/view"
)

// State is how a check came out.
type State string

// What a check can come to.
const (
	OK   State = "ok"
	Warn State = "warn" // it runs, but not as it should, or nobody can tell from here
	Fail State = "FAIL" // it will not run
)

// Check is one line of a report.
type Check struct {
	State State  `json:"state"`
	What  string `json:"what"`            // was found
	Do    string `json:"do,omitempty"`    // about it; empty where all is well
	About string `json:"about,omitempty"` // one word for what was looked at: java, workers, workspace …
}

// Report is what was looked at, in the order of looking.
type Report []Check

// Add appends checks.
func (r *Report) Add(checks ...Check) { *r = append(*r, checks...) }

// OK reports whether nothing failed.
func (r Report) OK() bool {
	for _, c := range r {
		if c.State == Fail {
			return false
		}
	}
	return true
}

// WriteText writes a line a check: its state, what was found and what to do.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, c := range r {
		line := fmt.Sprintf("%-4s  %s", c.State, c.What)
		if c.Do != "" {
			line += " — " + c.Do
		}
		b.WriteString(view.Printable(line))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func ok(about, format string, args ...any) Check {
	return Check{State: OK, About: about, What: fmt.Sprintf(format, args...)}
}

func warn(about, do, format string, args ...any) Check {
	return Check{State: Warn, About: about, Do: do, What: fmt.Sprintf(format, args...)}
}

func fail(about, do, format string, args ...any) Check {
	return Check{State: Fail, About: about, Do: do, What: fmt.Sprintf(format, args...)}
}

// Failed is the check of something that ended in an error.
func Failed(about, do string, err error) Check { return fail(about, do, "%s: %v", about, err) }

// Fine is the check of something that is right.
func Fine(about, what string) Check { return ok(about, "%s: %s", about, what) }

// Unsure is the check of something that may be right.
func Unsure(about, what, do string) Check { return warn(about, do, "%s: %s", about, what) }
