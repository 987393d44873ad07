package parse

import (
	"encoding/json"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Records applies the job's rules to the pages among the captures and returns
// parts of the tables records/NAME, for records that have rows, and rejects.
// Captures of outcome fetched and not_modified are parsed; their bodies are
// read from the parts of the table bodies that they name.
//
// With cfg.Confirmed, captures that are not_modified go another way: their
// bodies lie in parts of earlier runs, mixed up, so they are shuffled by these
// and each old part is read once, forward.
//
// Rows of one part come in the order of its captures, those of a capture in
// the order of the rules. A repeated bundle makes the same rows again, in
// parts of its own: only what [parts.Commit] names counts. An empty cfg.Run is
// env.Run. A config that does not hold (see [Config.Validate]) panics.
func Records(s beam.Scope, env engine.Env, cfg Config, captures parts.Collection) parts.Collection {
	if cfg.Run == "" {
		cfg.Run = env.Run
	}
	if err := cfg.Validate(); err != nil {
		panic(fmt.Sprintf("parse.Records: %v", err))
	}
	captures = captures.Of(lakeio.Captures.Name())
	out := parts.Map(s, "parse", env, step(cfg), captures)
	if !cfg.Confirmed {
		return out
	}
	cfg.Confirmed = false // whatever comes is parsed
	return parts.Flatten(s, out, parts.ShuffleOf(s, "parse confirmed", env, engine.Step{Operator: confirmedName}, byBody, step(cfg), captures))
}

// byBody brings captures whose bodies lie anywhere into the order of these.
var byBody = parts.Key{Columns: []string{"body_part"}, Order: []string{"body_row", "url"}}

// Again is Records for captures of earlier runs, whatever their order: all go
// the way of those that are not_modified.
func Again(s beam.Scope, env engine.Env, cfg Config, captures parts.Collection) parts.Collection {
	if cfg.Run == "" {
		cfg.Run = env.Run
	}
	cfg.Confirmed = false
	if err := cfg.Validate(); err != nil {
		panic(fmt.Sprintf("parse.Again: %v", err))
	}
	return parts.Shuffle(s, "parse again", env, byBody, step(cfg), captures.Of(lakeio.Captures.Name()))
}

func step(cfg Config) engine.Step {
	config, err := json.Marshal(cfg)
	if err != nil {
		panic(fmt.Sprintf("parse.Records: config: %v", err))
	}
	return engine.Step{Operator: Operator, Config: config, Beside: []string{lakeio.Bodies.Name()}}
}
