// Package upsert loads the records of a run into the sinks of its job.
//
// A shard of a record is loaded into a sink in one piece: a database takes its
// rows and a mark in one transaction, so a shard that is loaded is not loaded
// again, whoever repeats it. What load commits is counters and rejects.
package upsert

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Rows loads every row of the tables records/* of in, which is what stage
// refine committed, into every sink of cfg.
//
// It returns references without a table, whose Tag holds the counters
// load.SINK.RECORD.{added, changed, unchanged, stale, rejected}, and parts of
// rejects: one row for each that a sink refused. The caller commits them as
// stage load. Nothing is loaded when that stage has a manifest already, and a
// repeated bundle loads only what is not marked. A record without rows makes
// no shard, and so no table.
//
// A sink that fails is tried four times before the bundle fails. A config that
// can't be used panics.
func Rows(s beam.Scope, env engine.Env, cfg Config, in parts.Collection) parts.Collection {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	rows := in.Of(lakeio.RecordsPrefix + "*")
	// Tables stays nil: narrowed to rejects, a commit would not see counters.
	return parts.Collection{Col: load(s.Scope("load"), env, cfg, rows.Tables, rows.Col)}
}
