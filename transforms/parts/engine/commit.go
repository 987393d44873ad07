package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Commit makes the manifest of the stage out of references and returns the
// parts of the manifest that won: with one there already, these are its parts
// whatever the references are. Then it removes the stage's shuffle files; an
// error there leaves the stage committed.
//
// A reference without table names no file: the empty one says that the stage
// ran; the Tag of another is a JSON object of counters, which are summed into
// the manifest's. References with the same URI count once.
func (w *Worker) Commit(ctx context.Context, refs []harrow.Part) (parts []harrow.Part, err error) {
	list, counters, err := gather(refs)
	if err != nil {
		return nil, err
	}
	err = w.retry(ctx, func() error {
		m, err := w.lake.Manifest(ctx, w.env.Stage)
		if errors.Is(err, lakeio.ErrNotFound) {
			if err := w.mayCommit(ctx); err != nil {
				return err
			}
			m, err = w.lake.Commit(ctx, w.env.Stage, list, counters, w.Now())
		}
		parts = m.Parts
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("commit of %s: %w", w.env.Stage, err)
	}
	forget(w.env)
	// Whoever comes to a stage that is committed does this again: the process
	// that committed it may have died before its end.
	if err := w.retry(ctx, func() error { return w.dropShuffle(ctx) }); err != nil {
		return nil, fmt.Errorf("%s is committed, but its shuffle files can't be removed: %w", w.env.Stage, err)
	}
	return parts, nil
}

// Stored returns the parts of the stage's manifest; none where there is none.
// The references say nothing.
func (w *Worker) Stored(ctx context.Context, _ []harrow.Part) (parts []harrow.Part, err error) {
	err = w.retry(ctx, func() error {
		m, err := w.lake.Manifest(ctx, w.env.Stage)
		if errors.Is(err, lakeio.ErrNotFound) {
			return nil
		}
		parts = m.Parts
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("what %s committed: %w", w.env.Stage, err)
	}
	return parts, nil
}

// Taken is Stored of a stage that must have been committed: it is an error that
// it was not.
func (w *Worker) Taken(ctx context.Context, _ []harrow.Part) (parts []harrow.Part, err error) {
	err = w.retry(ctx, func() error {
		m, err := w.lake.Manifest(ctx, w.env.Stage)
		parts = m.Parts
		return err
	})
	if errors.Is(err, lakeio.ErrNotFound) {
		return nil, fmt.Errorf("stage %s of run %s, which is taken over, is not there any more: %w", w.env.Stage, w.env.Run, err)
	}
	if err != nil {
		return nil, fmt.Errorf("what %s committed: %w", w.env.Stage, err)
	}
	return parts, nil
}

// gather splits references into parts and counters.
func gather(refs []harrow.Part) (parts []harrow.Part, counters map[string]int64, err error) {
	parts = slices.Clone(refs)
	slices.SortFunc(parts, func(a, b harrow.Part) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.URI, b.URI))
	})
	parts = slices.CompactFunc(parts, func(a, b harrow.Part) bool { return a.URI != "" && a.URI == b.URI })
	counters = map[string]int64{}
	for _, p := range parts {
		if p.Table != "" || p.Tag == "" {
			continue
		}
		var some map[string]int64
		if err := json.Unmarshal([]byte(p.Tag), &some); err != nil {
			return nil, nil, fmt.Errorf("counters %.100q: want a JSON object of numbers: %w", p.Tag, err)
		}
		for name, n := range some {
			counters[name] += n
		}
	}
	return slices.DeleteFunc(parts, func(p harrow.Part) bool { return p.Table == "" }), counters, nil
}

// dropShuffle deletes the stage's shuffle files, which nothing needs after its
// commit: see late.
func (w *Worker) dropShuffle(ctx context.Context) error {
	return lakeio.RemoveFolder(ctx, w.lake.Store, path.Join(w.lake.Stage(w.env.Stage), shuffleFolder))
}

// late takes the error of a step for none that came after its stage was
// committed, where it says that a file is gone: shuffle files and tables that
// were between two steps go then. What the step was to make nobody takes.
func (w *Worker) late(ctx context.Context, err error) error {
	if !errors.Is(err, lakeio.ErrNotFound) {
		return err
	}
	// Not by Committed, which may remember a no of a moment ago.
	if _, merr := w.lake.Manifest(ctx, w.env.Stage); merr == nil {
		return nil
	}
	return err
}
