// Package dedup keeps one row of each key.
//
// Rows of a record that are equal in the key's columns are duplicates, and one
// of them stays:
//
//	first          the least (_url, _ordinal)
//	most_complete  the one with the most non-null data columns, then first
//	latest         the greatest _fetched_at, then first
//	{latest: C}    the greatest value of column C, null lowest, then first
//
// A row with a null in its key is a reject (class data, code key). The
// operator is registered as "dedup" and streams: it holds one candidate.
package dedup

import (
	"encoding/json"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// ByKey takes the parts of the record out of in and returns parts with one row
// per key, and of rejects. What stays depends on the rows alone, not on their
// order or on the number of shards. All rows of a key are in one part, whose
// Shard is that of the key, and a shard's rows come in the order of the key.
// Without a key there are no duplicates, and the record's parts go on as they
// are.
//
// It is part of the stage of env: what it returns counts once the caller
// commits it, and a repeated bundle does the same again. A config that can't
// be used panics.
func ByKey(s beam.Scope, env engine.Env, cfg Config, in parts.Collection) parts.Collection {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	rows := in.Of(lakeio.RecordsPrefix + cfg.Record)
	if len(cfg.Key) == 0 {
		return rows
	}
	return parts.Shuffle(s, "dedup", env, Key(cfg, env.Shards), Step(cfg), rows)
}

// Key is how rows come to the step.
func Key(cfg Config, shards int) parts.Key {
	return parts.Key{Columns: cfg.Key, Order: []string{"_url", "_ordinal"}, Shards: shards}
}

// Step is the operator alone, for rows that a shuffle by [Key] brings: they
// may go through other steps before, as long as these keep their order.
func Step(cfg Config) engine.Step {
	config, err := json.Marshal(cfg)
	if err != nil {
		panic(fmt.Errorf("dedup %s: %w", cfg.Record, err))
	}
	return engine.Step{Operator: "dedup", Config: config}
}
