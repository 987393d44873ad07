package pipelines

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// takeStages points the stages before --from at the runs that committed them.
func takeStages(ctx context.Context, store lakeio.Store, r *lakeio.Run, parent lakeio.Run, job *Job, req Request) error {
	if !slices.Contains(lakeio.Stages, req.From) {
		return usagef("--from %s: want one of %v", req.From, lakeio.Stages)
	}
	if parent.ID == "" {
		return usagef("--from %s: job %s has no run whose stages could be used", req.From, r.Job)
	}
	if parent.Replay != nil && !takesOver(req.From, "discover") {
		return usagef("--from %s: run %s replays rejects of run %s and begins with these: replay them again with `harrow rejects replay --run %s`",
			req.From, parent.ID, parent.Replay.Run, parent.Replay.Run)
	}
	r.Parent, r.From, r.Sources, r.Replay = parent.ID, req.From, map[string]string{}, parent.Replay
	for _, stage := range lakeio.Stages {
		if !takesOver(req.From, stage) {
			break
		}
		owner := parent.Source(stage)
		if stage == "fetch" {
			r.Rounds, r.FetchShards, r.PagesRun = parent.Rounds, parent.FetchShards, parent.PagesRun
		}
		for _, name := range parent.Manifests(stage) {
			done, err := lakeio.Lake{Store: store, Job: r.Job, Run: owner}.Committed(ctx, name)
			if err != nil {
				return err
			}
			if !done {
				return usagef("--from %s: run %s has not committed %s", req.From, owner, name)
			}
		}
		if err := sameRules(ctx, store, job, stage, owner, req); err != nil {
			return err
		}
		r.Sources[stage] = owner
	}
	if r.Sources["refine"] != "" {
		r.Shards = parent.Shards // its parts lie in these
	}
	return nil
}

// sameRules refuses rows that other rules made: what comes after a stage goes
// by the columns and keys of the job file. What discover and fetch were told
// may have changed: they are not done again on purpose.
func sameRules(ctx context.Context, store lakeio.Store, job *Job, stage, owner string, req Request) error {
	var of func(harrow.Job) any
	switch stage {
	case "parse":
		of = func(j harrow.Job) any { return j.Parse }
	case "refine":
		of = func(j harrow.Job) any { return rowsOf(j.Refine) }
	default:
		return nil
	}
	run, err := lakeio.ReadRun(ctx, store, job.Name, owner)
	if err != nil {
		return err
	}
	then, err := specIn(run)
	if err != nil {
		return err
	}
	same, err := sameJSON(of(then), of(job.Job))
	if err != nil {
		return err
	}
	if !same {
		return usagef("--from %s: %s of %s is not what it was in run %s, whose rows it would take over; want --from %s", req.From, stage, job.Path, owner, stage)
	}
	return nil
}

// sameJSON compares what two rules, say, are as JSON.
func sameJSON(a, b any) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}

// forgetsNothing refuses to fetch the requests of an old run where the newest
// deferred others: only a run that discovers for itself asks these, and the
// next one goes by what this one defers.
func forgetsNothing(ctx context.Context, store lakeio.Store, r lakeio.Run) error {
	if r.From != "fetch" || r.Previous == "" {
		return nil
	}
	last, err := lakeio.ReadRun(ctx, store, r.Job, r.Previous)
	if err != nil {
		return err
	}
	if last.Source("discover") == r.Source("discover") {
		return nil // what it deferred is among the requests, is found again, or is left to the next run with them
	}
	n, err := lakeio.CountRows(ctx, store, r.Job, last.Leaves(), lakeio.DeferredRequests.Name())
	if n > 0 && err == nil {
		err = usagef("--from fetch: run %s deferred %d requests, which are not among those of run %s and would be forgotten; want --run %s, or a new run, which asks them first",
			last.ID, n, r.Parent, last.ID)
	}
	return err
}

// rowsOf is what of refine decides about rows: not thresholds, by which a run
// is judged.
func rowsOf(refine map[string]harrow.Refine) map[string]harrow.Refine {
	rows := map[string]harrow.Refine{}
	for name, r := range refine {
		if len(r.Key)+len(r.Check)+len(r.Enrich)+len(r.Operators) > 0 { // else it is as if there were none
			r.Thresholds = nil
			rows[name] = r
		}
	}
	return rows
}
