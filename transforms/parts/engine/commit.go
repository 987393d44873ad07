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
// whatever the references are.
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
			m, err = w.lake.Commit(ctx, w.env.Stage, list, counters, w.Now())
			if err == nil {
				w.dropShuffle(ctx)
			}
		}
		parts = m.Parts
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("commit of %s: %w", w.env.Stage, err)
	}
	forget(w.env)
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

// dropShuffle deletes the stage's shuffle files, which nothing reads after its
// commit: a merge that comes too late finds the manifest. A file that stays
// costs only room until the run is removed, so errors are passed over.
func (w *Worker) dropShuffle(ctx context.Context) {
	folder := path.Join(w.lake.Stage(w.env.Stage), shuffleFolder)
	names, err := w.lake.Store.List(ctx, folder+"/")
	if err != nil {
		return
	}
	for _, n := range names {
		_ = w.lake.Store.Delete(ctx, path.Join(folder, n))
	}
}
