// Package replay sends the rejects of an earlier run back to the stage that
// rejected them: it is stage discover of a run that replays.
//
//	rejects of ─► discover: seeds, read again ──► requests
//	              fetch:    requests ───────────► requests
//	              parse:    pages ──────────────► captures, whose bodies lie in the earlier run
//	              refine:   rows as parsed ─────► records/NAME
//	              load:     rows as refined ────► records/NAME.load
//
// All of it is decided by today's rules and committed at once, so a run that is
// gone on with goes on with the same. What can't be replayed is a reject again,
// as it was, with the reason: nothing is lost.
package replay

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Config says what is replayed and by which rules. It travels to the workers
// as JSON.
type Config struct {
	Replay    lakeio.Replay       `json:"replay"`    // as run.json has it
	Canonical harrow.Canonical    `json:"canonical"` // how URLs are written
	Key       string              `json:"key"`       // politeness.key
	Scope     harrow.Scope        `json:"scope"`     // hosts filled in: what was linked to and is out of it now stays a reject
	Parsed    []harrow.RecordType `json:"parsed"`    // what rows rejected by refine have to be
	Refined   []harrow.RecordType `json:"refined"`   // what rows rejected by load have to be
}

// Requests reads the rejects and commits the stage: the tables requests,
// captures, records/NAME and records/NAME.load hold what is replayed, rejects
// what can't be, and deferred what the run before has deferred: references to
// its parts, for the run after this one.
//
//   - A request that was rejected is asked again if it is in scope, with all it
//     carries. A seed, read again, is asked unless an earlier run has.
//   - A page with several rejects is parsed once, and not at all from its old
//     answer if it is asked for again. What refine or load rejected of its rows
//     comes with it: these rows are not replayed on their own.
//   - Of a row a column that is gone is dropped and a new one is null. A row
//     that several sinks refused is loaded once.
//
// Rejects meet the captures of their request in a shuffle, so their number
// doesn't matter. A repeated bundle writes files that don't count.
func Requests(s beam.Scope, env engine.Env, cfg Config) parts.Collection {
	s = s.Scope("replay")
	env.Stage = "discover"
	data, err := json.Marshal(cfg)
	if err != nil {
		panic(fmt.Sprintf("replay: config: %v", err))
	}
	r := cfg.Replay
	in := stored(s.Scope("rejects"), env, lakeio.Rejects.Name(), r.Stages)
	if r.Count["parse"]+r.Count["discover"]+r.Count["fetch"] > 0 {
		captures := stored(s.Scope("captures"), env, lakeio.Captures.Name(), union(r.Stages, r.Asked))
		in = parts.Flatten(s, in, captures)
	}
	byID := parts.Key{Columns: []string{idColumn}, Order: []string{rankColumn, placeColumn}}
	out := parts.ShuffleOf(s, "by id", env, engine.Step{Operator: gatherName, Config: data}, byID,
		engine.Step{Operator: sendName, Config: data}, in.Of(lakeio.Rejects.Name(), lakeio.Captures.Name()))
	if len(r.Deferred) == 0 {
		return parts.Commit(s, env, out)
	}
	return parts.Commit(s, env, out, stored(s.Scope("deferred"), env, lakeio.DeferredRequests.Name(), r.Deferred))
}

// stored are the parts of a table that some stages have committed.
func stored(s beam.Scope, env engine.Env, table string, stages []lakeio.StageOf) parts.Collection {
	all := []parts.Collection{parts.None(s)}
	for i, at := range stages {
		from := env
		from.Run, from.Stage = at.Run, at.Stage
		all = append(all, parts.Stored(s.Scope(fmt.Sprint(i)), from))
	}
	return parts.Only(s, env, parts.Flatten(s, all...).Of(table))
}

func union(a, b []lakeio.StageOf) []lakeio.StageOf {
	all := slices.Clone(a)
	for _, at := range b {
		if !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all
}

// Rows takes the rows of a record that go to load as they are out of in, what
// [Requests] has committed, as parts of records/NAME.
func Rows(s beam.Scope, env engine.Env, t harrow.RecordType, in parts.Collection) parts.Collection {
	data, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("replay: config: %v", err))
	}
	return parts.Map(s, "replayed", env, engine.Step{Operator: rowsName, Config: data}, in.Of(lakeio.RecordsPrefix+t.Name+lakeio.LoadSuffix))
}
