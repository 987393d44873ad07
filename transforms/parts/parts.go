// Package parts is the engine room: how references to Arrow parts flow through
// Beam while their rows go through operators, shuffles and commits.
//
//	parts ─► Map ─► parts ─► Shuffle (slices ─► GroupByKey ─► merge) ─► parts ─► Commit ─► the manifest's parts
//
// An element of a [Collection] is a [harrow.Part]: a few hundred bytes that
// name a file. A part with an empty table is a reference without file: every
// step passes over it. All work on rows is in package engine, which knows no
// Beam; the four DoFns here only hand references over.
//
// Steps of a stage may repeat: a bundle, a region or the whole graph. Each
// step looks for the stage's manifest when its first element comes, and emits
// nothing when it is there; [Commit] then emits the manifest's parts. What a
// bundle that failed has written is named by nobody.
package parts

import (
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Key says how a shuffle repartitions rows; see [engine.Key].
type Key = engine.Key

// Collection is a PCollection of parts, or those of some of its tables.
type Collection struct {
	Col    beam.PCollection // of harrow.Part
	Tables []string         // nil: all; a name that ends in * is a prefix
}

// Of narrows the collection to tables: exact names, or "records/*" for all
// that begin so. It adds no step: the next one passes over other parts.
// References without file, such as counters, are not in what was narrowed.
func (c Collection) Of(tables ...string) Collection {
	if c.Tables == nil {
		return Collection{c.Col, tables}
	}
	narrowed := []string{}
	for _, t := range tables {
		if engine.Match(c.Tables, t) {
			narrowed = append(narrowed, t)
		} else if strings.HasSuffix(t, "*") {
			for _, had := range c.Tables {
				if engine.Match([]string{t}, had) {
					narrowed = append(narrowed, had)
				}
			}
		}
	}
	return Collection{c.Col, narrowed}
}

// None is one empty reference: what a stage that needs no input starts from.
func None(s beam.Scope) Collection {
	return Collection{Col: beam.Create(s.Scope("none"), harrow.Part{})}
}

// Flatten is all parts of several collections, narrowed ones not among them.
func Flatten(s beam.Scope, cs ...Collection) Collection {
	cols := make([]beam.PCollection, len(cs))
	for i, c := range cs {
		if c.Tables != nil {
			panic("parts: Flatten of a narrowed collection; want what a Commit returned")
		}
		cols[i] = c.Col
	}
	return Collection{Col: beam.Flatten(s, cols...)}
}

// Only is a narrowed collection that holds nothing else, so that it can be
// flattened with others.
func Only(s beam.Scope, env engine.Env, c Collection) Collection {
	if c.Tables == nil {
		return c
	}
	check(env, "Only")
	// A mapFn without operator hands references on.
	return Collection{Col: beam.ParDo(s, &mapFn{Env: env, Tables: c.Tables}, c.Col)}
}

// Map sends each part through the step's operator and returns the parts that
// come out, with the input's shard. Every part has an operator of its own,
// whose Finish is called after the part's last batch.
//
// The references are reshuffled first, so all workers get some; a worker's
// parts are processed GOMAXPROCS at a time.
func Map(s beam.Scope, name string, env engine.Env, step engine.Step, in Collection) Collection {
	s = s.Scope(name)
	check(env, name)
	checkStep(step, name)
	fn := &mapFn{Env: env, Step: step, Tables: in.Tables}
	return Collection{Col: beam.ParDo(s, fn, beam.Reshuffle(s, in.Col))}
}

// Slices writes the rows of the parts, sorted, into shuffle files of the
// workspace and returns KV<int, engine.Slice>: shard and slice. A shard's rows
// are all slices of a GroupByKey over it.
func Slices(s beam.Scope, name string, env engine.Env, key Key, in Collection) beam.PCollection {
	return sliced(s.Scope(name), name, env, key, engine.Step{}, in)
}

func sliced(s beam.Scope, name string, env engine.Env, key Key, first engine.Step, in Collection) beam.PCollection {
	check(env, name)
	if err := key.Validate(); err != nil {
		panic(fmt.Sprintf("parts: %s: %v", name, err))
	}
	return beam.ParDo(s, &slicesFn{Env: env, Key: key, Step: first, Tables: in.Tables}, beam.Reshuffle(s, in.Col))
}

// Shuffle repartitions the rows of the parts by key and sends each shard, in
// (key, order), through the step's operator, whose Finish is called after the
// shard's last batch. The parts that come out carry their shard.
func Shuffle(s beam.Scope, name string, env engine.Env, key Key, step engine.Step, in Collection) Collection {
	s = s.Scope(name)
	return merge(s, name, env, step, Slices(s, "slices", env, key, in))
}

// ShuffleOf is Shuffle of what the operator of the step first makes of each
// part, row by row, on the way to its slice: nothing is written in between.
// That operator can leave rows out, but not reject them.
func ShuffleOf(s beam.Scope, name string, env engine.Env, first engine.Step, key Key, step engine.Step, in Collection) Collection {
	s = s.Scope(name)
	checkStep(first, name)
	return merge(s, name, env, step, sliced(s.Scope("slices"), name, env, key, first, in))
}

func merge(s beam.Scope, name string, env engine.Env, step engine.Step, slices beam.PCollection) Collection {
	checkStep(step, name)
	return Collection{Col: beam.ParDo(s, &mergeFn{Env: env, Step: step}, beam.GroupByKey(s, slices))}
}

// Commit makes the manifest of env.Stage out of the parts and returns the
// parts of the manifest that is there in the end, tables of all kinds, rejects
// included. It is the only way a stage's output leaves it, and it runs where a
// stage had no output too. See [engine.Worker.Commit] for counters.
func Commit(s beam.Scope, env engine.Env, outs ...Collection) Collection {
	s = s.Scope("commit " + env.Stage)
	check(env, "Commit")
	cols := []beam.PCollection{None(s).Col}
	for _, out := range outs {
		cols = append(cols, Only(s, env, out).Col)
	}
	grouped := beam.GroupByKey(s, beam.ParDo(s, oneKey, beam.Flatten(s, cols...)))
	return Collection{Col: beam.ParDo(s, &commitFn{Env: env}, grouped)}
}

// Stored yields the parts that a stage has committed, maybe of another run;
// none where it has not.
func Stored(s beam.Scope, env engine.Env) Collection {
	check(env, "Stored")
	return stored(s.Scope("stored "+env.Stage), &commitFn{Env: env, Stored: true})
}

// Taken is Stored of a stage that another run has committed for this one: it is
// an error that its manifest is gone. Nothing is written to that run.
func Taken(s beam.Scope, env engine.Env) Collection {
	check(env, "Taken")
	return stored(s.Scope("taken "+env.Stage), &commitFn{Env: env, Taken: true})
}

func stored(s beam.Scope, fn *commitFn) Collection {
	return Collection{Col: beam.ParDo(s, fn, beam.GroupByKey(s, beam.ParDo(s, oneKey, None(s).Col)))}
}

// Together yields the parts of a collection once all of them are there: what
// comes behind it begins when everything before it has ended. A runner that
// hands elements on one by one would let the next stage's work on the first
// ones get into the way of what has yet to make the last ones.
func Together(s beam.Scope, c Collection) Collection {
	s = s.Scope("together")
	return Collection{beam.ParDo(s, ungroup, beam.GroupByKey(s, beam.ParDo(s, oneKey, c.Col))), c.Tables}
}

// oneKey brings a stage's references to one place.
func oneKey(p harrow.Part) (int, harrow.Part) { return 0, p }

// ungroup hands on what was brought there.
func ungroup(_ int, next func(*harrow.Part) bool, emit func(harrow.Part)) {
	for p := (harrow.Part{}); next(&p); p = (harrow.Part{}) {
		emit(p)
	}
}

// check panics on an Env that no worker could use.
func check(env engine.Env, name string) {
	for field, value := range map[string]string{"Workspace": env.Workspace, "Job": env.Job, "Run": env.Run, "Stage": env.Stage} {
		if value == "" {
			panic(fmt.Sprintf("parts: %s: Env.%s must be set", name, field))
		}
	}
}

// checkStep panics on an operator that is not registered.
func checkStep(step engine.Step, name string) {
	if _, err := harrow.LookupOperator(step.Operator); err != nil {
		panic(fmt.Sprintf("parts: %s: %v", name, err))
	}
}

// wanted reports whether a step works on a part.
func wanted(tables []string, p harrow.Part) bool {
	return p.Table != "" && engine.Match(tables, p.Table)
}
