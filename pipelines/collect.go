package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/io/lakeio"
)

// CollectSinks lets the sinks that a run loaded into remove what they keep of
// it: see [harrow.Collector]. The run says which they are and how they are
// reached; secrets are of now. A sink that this binary doesn't have is passed
// over.
func CollectSinks(ctx context.Context, store lakeio.Store, run lakeio.Run, dry bool) (total harrow.Collected, errs error) {
	job, err := specIn(run)
	if err != nil {
		return total, err
	}
	for _, name := range slices.Sorted(maps.Keys(job.Load)) {
		n, err := collectSink(ctx, store, run, name, job.Load[name], dry)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("load.%s: %w", name, err))
		}
		total = total.Add(n)
	}
	return total, errs
}

func collectSink(ctx context.Context, store lakeio.Store, run lakeio.Run, name string, config json.RawMessage, dry bool) (n harrow.Collected, err error) {
	if _, err := harrow.LookupSink(name); err != nil {
		return n, nil
	}
	sink, err := jobfile.NewSink(name, config, harrow.SinkEnv{Job: run.Job, Workspace: store.Local(), Dir: run.Dir}, os.LookupEnv)
	if err != nil {
		return n, err
	}
	if c, ok := sink.(harrow.Collector); ok {
		n, err = c.Collect(ctx, []string{run.ID}, dry)
	}
	return n, errors.Join(err, sink.Close())
}

// unremoved reports a run that a new one begins with and that was removed
// before the new one had the job's lock.
func unremoved(ctx context.Context, store lakeio.Store, r lakeio.Run) error {
	for _, id := range append([]string{r.Parent, r.Previous}, slices.Sorted(maps.Values(r.Sources))...) {
		if id == "" {
			continue
		}
		if _, err := lakeio.ReadRun(ctx, store, r.Job, id); errors.Is(err, lakeio.ErrNotFound) {
			return fmt.Errorf("job %s: run %s was removed meanwhile; try again", r.Job, id)
		} else if err != nil {
			return err
		}
	}
	return nil
}
