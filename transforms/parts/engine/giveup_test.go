package engine

import (
	"context"
	"errors"
	"testing"

	"github.com/harrowdata/harrow/io/lakeio"
)

// Behind a step that failed a runner may have a commit of what is left; it must
// not become what the stage has.
func TestNothingIsCommittedBehindAStepThatFailed(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(ctx context.Context, e Env, l lakeio.Lake) error
		refuse bool
	}{
		{"undisturbed", func(context.Context, Env, lakeio.Lake) error { return nil }, false},
		{"a step without error", func(_ context.Context, e Env, _ lakeio.Lake) error { return e.Failed(nil) }, false},
		{"a step of another submission", func(_ context.Context, e Env, _ lakeio.Lake) error {
			e.Submission += " before"
			_ = e.Failed(errors.New("disk"))
			return nil
		}, false},
		{"a step on a runner that tries again", func(_ context.Context, e Env, _ lakeio.Lake) error {
			e.Submission = ""
			_ = e.Failed(errors.New("disk"))
			return nil
		}, false},
		{"a step", func(_ context.Context, e Env, _ lakeio.Lake) error {
			_ = e.Failed(errors.New("disk"))
			return nil
		}, true},
		{"a submission that was given up", func(_ context.Context, e Env, _ lakeio.Lake) error {
			GiveUp(e.Submission, context.Canceled)
			return nil
		}, true},
		{"a stop", func(ctx context.Context, _ Env, l lakeio.Lake) error { return l.Stop(ctx, "test") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := Env{Workspace: t.TempDir(), Job: "shop", Run: "0190e000-0000-7000-8000-000000000001", Stage: "fetch-1", Memory: 64 << 20, Shards: 1, Submission: t.Name()}
			w, err := NewWorker(env)
			if err == nil {
				err = c.before(t.Context(), env, w.lake)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.Commit(t.Context(), nil)
			done, cerr := w.lake.Committed(t.Context(), env.Stage)
			if cerr != nil {
				t.Fatal(cerr)
			}
			if got := errors.Is(err, errIncomplete); got != c.refuse || done == c.refuse {
				t.Errorf("Commit: %v, committed %v; want refused %v", err, done, c.refuse)
			}
		})
	}
}
