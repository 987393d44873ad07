package upsert

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/harrowdata/harrow"
)

// Config says what is loaded where. It travels to the workers as JSON;
// secrets in it (${NAME}) are filled in there.
type Config struct {
	Load    map[string]json.RawMessage `json:"load"`              // config by the sink's registered name
	Dir     string                     `json:"dir,omitempty"`     // of the job file: what the sinks' relative paths are relative to
	Records map[string]Record          `json:"records,omitempty"` // by name; a record without an entry is keyed by (_id, _ordinal)
}

// Record says which rows of a record are one row of the store. Its rows come
// out of a shuffle by Key, so that all rows of a key are in one shard.
type Record struct {
	Key    []string `json:"key"`              // identity; empty: (_id, _ordinal)
	Latest string   `json:"latest,omitempty"` // the column that says which row is newer; empty: _fetched_at
}

// ConfigOf takes from a job what upsert needs of it; dir is the job file's
// folder.
func ConfigOf(job harrow.Job, dir string) Config {
	c := Config{Load: job.Load, Dir: dir, Records: map[string]Record{}}
	for name, r := range job.Refine {
		if len(r.Key) > 0 {
			c.Records[name] = Record{Key: r.Key, Latest: r.Keep.Column}
		}
	}
	return c
}

// Validate names what is wrong: no sink, or one that isn't registered.
func (c Config) Validate() error {
	if len(c.Load) == 0 {
		return errors.New("upsert: Load is empty; want at least one sink")
	}
	for name := range c.Load {
		if _, err := harrow.LookupSink(name); err != nil {
			return fmt.Errorf("upsert: Load: %w", err)
		}
	}
	return nil
}
