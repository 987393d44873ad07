package pipelines

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/dedup"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
	"github.com/harrowdata/harrow/transforms/replay"
)

// NothingError: there is nothing to replay; no run was made.
type NothingError struct {
	Job    string
	Replay lakeio.Replay // what was asked for
}

// Error implements error.
func (e *NothingError) Error() string {
	return fmt.Sprintf("nothing to replay: run %s has no rejects%s", e.Replay.Run, filtered(e.Replay))
}

// replayInputs is inputs for a run that replays: it reads no seeds. Its rules
// count as they are with their defaults, so that they are the same whether a job
// file says them or the run.json of an earlier run.
func replayInputs(ctx context.Context, job *Job, limit int64, r lakeio.Replay) ([]inputFile, string, error) {
	spec, err := specOf(ctx, job, true)
	if err != nil {
		return nil, "", err
	}
	files, extra, err := lookupInputs(job)
	if err != nil {
		return nil, "", err
	}
	h := sha256.New()
	for _, text := range slices.Concat([]string{string(spec), strconv.FormatInt(limit, 10), r.Run, r.Stage, r.Class, r.Code, r.Record}, extra) {
		fmt.Fprintf(h, "%d:%s\n", len(text), text)
	}
	return files, hex.EncodeToString(h.Sum(nil)), nil
}

// replay goes on with the job's newest run if that is unfinished and replays
// what is asked for, or designs one that does.
func (d *decision) replay(ctx context.Context, store lakeio.Store, job *Job, req Request, last lakeio.Run) error {
	parent, err := replayed(ctx, store, job.Name, *req.Replay, last)
	if err != nil {
		return err
	}
	r := *req.Replay
	r.Run = parent.ID
	digest := ""
	if d.inputs, digest, err = replayInputs(ctx, job, req.Limit, r); err != nil {
		return err
	}
	if last.State != lakeio.Done {
		if last.Digest != digest {
			return usagef("the rules are not those that run %s, which replays rejects and is not finished, began with: go on with it with these, "+
				"or leave it with `harrow run --run new`", last.ID)
		}
		d.run, d.resumed = last, true
		return nil
	}
	if err := choose(ctx, store, parent, &r); err != nil {
		return err
	}
	req.Limit = int64(parent.Limit) // of both runs together
	if d.run, err = newRun(ctx, store, job, req, digest, parent); err != nil {
		return err
	}
	if d.run.Previous != "" {
		previous, err := lakeio.ReadRun(ctx, store, job.Name, d.run.Previous)
		if err != nil {
			return err
		}
		r.Deferred = previous.Leaves()
	}
	d.run.Parent, d.run.Replay = parent.ID, &r
	return nil
}

// choose fills in what is replayed.
func choose(ctx context.Context, store lakeio.Store, parent lakeio.Run, r *lakeio.Replay) (err error) {
	r.Stages, r.Count = parent.Owned(lakeio.Stages...), map[string]int64{}
	err = lakeio.EachRow(ctx, store, parent.Job, r.Stages, lakeio.Rejects, func(reject harrow.Reject) error {
		if r.Wants(reject) {
			r.Count[strings.Clone(reject.Stage)]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.Total() == 0 {
		return &NothingError{parent.Job, *r}
	}
	if r.Asked, err = askedBy(ctx, store, parent); err != nil {
		return err
	}
	if r.Refined, err = refinedBy(ctx, store, parent); err != nil {
		return err
	}
	r.Overtaken, err = overtaken(ctx, store, parent)
	return err
}

// overtaken finds the newest run that made rows after this one by other rules;
// empty: none did. Its rows may well be of the same answers, so no time of
// theirs says that those of this run are older.
func overtaken(ctx context.Context, store lakeio.Store, parent lakeio.Run) (string, error) {
	was, err := specIn(parent)
	if err != nil {
		return "", err
	}
	for r, err := range lakeio.NewestRuns(ctx, store, parent.Job) {
		if err != nil || r.ID <= parent.ID {
			return "", err
		}
		if r.Replay != nil || r.Source("refine") != r.ID {
			continue
		}
		done, err := lakeio.Lake{Store: store, Job: r.Job, Run: r.ID}.Committed(ctx, "refine")
		if err != nil {
			return "", err
		}
		now, err := specIn(r)
		if err != nil {
			return "", err
		}
		same, err := sameJSON([2]any{was.Parse, rowsOf(was.Refine)}, [2]any{now.Parse, rowsOf(now.Refine)})
		if err != nil || done && !same {
			return r.ID, err
		}
	}
	return "", nil
}

// replayed finds the run whose rejects are to be replayed; last is the job's
// newest.
func replayed(ctx context.Context, store lakeio.Store, job string, r lakeio.Replay, last lakeio.Run) (parent lakeio.Run, err error) {
	id := r.Run
	if id == "last" {
		id = ""
	}
	switch {
	case last.ID == "":
		return parent, usagef("job %s has no run whose rejects could be replayed", job)
	case last.State != lakeio.Done && goesOnWith(last, r, id):
		id = last.Replay.Run
	case last.State != lakeio.Done:
		return parent, usagef("run %s is not finished: go on with it with `harrow run` first, then replay what it rejects", last.ID)
	case id == "":
		return last, nil
	}
	if parent, err = lakeio.FindRun(ctx, store, job, id); err != nil {
		if errors.Is(err, lakeio.ErrNotFound) {
			err = usage{fmt.Errorf("--run: %w", err)}
		}
		return parent, err
	}
	if parent.State != lakeio.Done {
		return parent, usagef("run %s is not finished: go on with it with `harrow run --run %s` first, then replay what it rejects", parent.ID, parent.ID)
	}
	return parent, nil
}

// goesOnWith reports whether an unfinished run replays what is asked for: of
// this run, or of any.
func goesOnWith(last lakeio.Run, r lakeio.Replay, id string) bool {
	was := last.Replay
	return was != nil && (id == "" || id == was.Run || id == last.ID) && was.Stage == r.Stage && was.Class == r.Class && was.Code == r.Code && was.Record == r.Record
}

// filtered says by what a replay chooses.
func filtered(r lakeio.Replay) string {
	var words []string
	for _, f := range [][2]string{{"stage", r.Stage}, {"class", r.Class}, {"code", r.Code}, {"record", r.Record}} {
		if f[1] != "" {
			words = append(words, f[0]+" "+f[1])
		}
	}
	if words == nil {
		return ""
	}
	return " of " + strings.Join(words, ", ")
}

// askedBy lists the rounds whose requests a replay of the run does not ask
// again: the run's, and of one that replayed also those of the run it replayed.
func askedBy(ctx context.Context, store lakeio.Store, r lakeio.Run) (rounds []lakeio.StageOf, err error) {
	rounds = r.Owned("fetch")
	owner, err := ownerOf(ctx, store, r, "fetch")
	if err != nil {
		return nil, err
	}
	if owner.Replay != nil {
		rounds = append(rounds, owner.Replay.Asked...)
	}
	return rounds, nil
}

// refinedBy lists the stages refine whose rows a replay of the run compares its
// own with: the run's, and of one that replayed also those of the runs before.
func refinedBy(ctx context.Context, store lakeio.Store, r lakeio.Run) (stages []lakeio.StageOf, err error) {
	owner, err := ownerOf(ctx, store, r, "refine")
	if err != nil {
		return nil, err
	}
	stages = []lakeio.StageOf{{Run: owner.ID, Stage: "refine"}}
	if owner.Replay != nil {
		stages = append(stages, owner.Replay.Refined...)
	}
	return stages, nil
}

// KeptJob is the job as a run has it: what `harrow rejects replay` goes by where
// no job file is given. Lookup files are read where they were.
func KeptJob(ctx context.Context, store lakeio.Store, r lakeio.Run) (*Job, error) {
	job, err := specIn(r)
	if err != nil {
		return nil, err
	}
	if len(job.Discover.Scope.Hosts) == 0 {
		owner, err := ownerOf(ctx, store, r, "fetch")
		if err != nil {
			return nil, err
		}
		fetched, err := specIn(owner)
		if err != nil {
			return nil, err
		}
		job.Discover.Scope.Hosts = fetched.Discover.Scope.Hosts
	}
	return keptJob(&job, r)
}

// ownerOf is the run that made what a run uses of a stage.
func ownerOf(ctx context.Context, store lakeio.Store, r lakeio.Run, stage string) (lakeio.Run, error) {
	if from := r.Source(stage); from != r.ID {
		return lakeio.ReadRun(ctx, store, r.Job, from)
	}
	return r, nil
}

// specIn is the job as a run has it, with defaults.
func specIn(r lakeio.Run) (job harrow.Job, err error) {
	if err := json.Unmarshal(r.Spec, &job); err != nil {
		return job, fmt.Errorf("run %s: spec: %w", r.ID, err)
	}
	job.SetDefaults() // which an older release may not have known
	return job, nil
}

// replay sends the rejects of an earlier run to their stages.
func (p Plan) replay(s beam.Scope) parts.Collection {
	cfg := replay.Config{Replay: *p.Run.Replay, Canonical: p.Job.Discover.Canonical, Key: p.Job.Fetch.Politeness.Key, Scope: p.Job.Discover.Scope, Parsed: p.Types}
	for _, t := range p.Types {
		r, err := newRefining(t, p.Job.Refine[t.Name], p.Lookups, nil)
		if err != nil {
			panic(fmt.Errorf("refine.%s: %w", t.Name, err)) // the job was read and found right
		}
		cfg.Refined = append(cfg.Refined, r.after)
	}
	return replay.Requests(s, p.env("discover"), cfg)
}

// replays reports whether the run replays rejects of a stage.
func (p Plan) replays(stage string) bool { return p.Run.Replay != nil && p.Run.Replay.Count[stage] > 0 }

// refinedBefore adds to what refine makes of a record the rows that load
// rejected, which were refined already. Rows of one key have to meet again; so
// have those that the runs before made, which are not loaded again, where the
// row that stays is not the latest: load would take it for that.
func (p Plan) refinedBefore(s beam.Scope, env engine.Env, t harrow.RecordType, r *refining, outs []parts.Collection) []parts.Collection {
	if p.replays("load") {
		outs = append(slices.Clone(outs), replay.Rows(s, env, r.after, p.replayed))
	}
	keep := p.Job.Refine[t.Name].Keep.Policy
	older := keep == harrow.KeepFirst || keep == harrow.KeepMostComplete
	if r.key == nil || !older && !p.replays("load") {
		return outs
	}
	for i, out := range outs {
		outs[i] = parts.Only(s.Scope(fmt.Sprint("made ", i)), env, out)
	}
	made, cfg := parts.Flatten(s, outs...), duplicates(t, p.Job.Refine[t.Name])
	var merged parts.Collection
	if older {
		all := []parts.Collection{dedup.Aged(s, env, r.after, 0, made)}
		for i, at := range p.Run.Replay.Refined {
			from, scope := env, s.Scope(fmt.Sprint("before ", i))
			from.Run, from.Stage = at.Run, at.Stage
			all = append(all, dedup.Aged(scope, env, r.after, i+1, parts.Stored(scope, from)))
		}
		merged = dedup.ByAge(s, env, cfg, parts.Flatten(s, all...))
	} else {
		merged = parts.Shuffle(s, "with replayed", env, dedup.Key(cfg, 0), dedup.Step(cfg), made.Of(lakeio.RecordsPrefix+t.Name))
	}
	return []parts.Collection{merged, made.Of(lakeio.Rejects.Name())}
}
