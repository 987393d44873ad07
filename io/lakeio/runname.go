package lakeio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// shortestID is the least of an id that names a run.
const shortestID = 4

// FindRun reads a run that a user names: "last" is the newest one, "last~N"
// the Nth before it, everything else an id or a beginning of one that no other
// run's has. ErrNotFound where that names none, or several: its text says what
// would.
func FindRun(ctx context.Context, s Store, job, which string) (Run, error) {
	if which == "last" { // no need to know the others
		return LastRun(ctx, s, job)
	}
	r, err := ReadRun(ctx, s, job, which)
	if err == nil || errors.Is(err, ErrCorrupt) {
		return r, err
	}
	runs, err := Runs(ctx, s, job)
	if err != nil {
		return Run{}, err
	}
	if which, err = matchRun(runs, job, which); err != nil {
		return Run{}, err
	}
	return ReadRun(ctx, s, job, which)
}

// noRun is ErrNotFound in its own words.
type noRun struct{ text string }

func (e noRun) Error() string { return e.text }

func (noRun) Is(target error) bool { return target == ErrNotFound }

// matchRun finds the id that is not named in full.
func matchRun(runs []string, job, which string) (id string, err error) {
	if back, ok := strings.CutPrefix(which, "last~"); ok {
		n, err := strconv.ParseUint(back, 10, 31)
		if err != nil || int(n) >= len(runs) {
			return "", noRun{fmt.Sprintf("run %s: job %s has %d runs; want last~N with N below that", which, job, len(runs))}
		}
		return runs[len(runs)-1-int(n)], nil
	}
	begin := slices.DeleteFunc(slices.Clone(runs), func(id string) bool {
		return len(which) < shortestID || !strings.HasPrefix(id, strings.ToLower(which))
	})
	switch len(begin) {
	case 0:
		return "", noRun{fmt.Sprintf("no run %s of job %s; want last or one of its %d runs, see harrow ls", which, job, len(runs))}
	case 1:
		return begin[0], nil
	}
	return "", noRun{fmt.Sprintf("run %s: the ids of %d runs begin so, %s and %s for example", which, len(begin), begin[0], begin[1])}
}
