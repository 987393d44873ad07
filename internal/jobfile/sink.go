package jobfile

import (
	"encoding/json"

	"github.com/harrowdata/harrow"
)

// NewSink makes the sink that a job file calls by name, with the secrets of
// its config filled in. The error of an unknown name lists the known ones.
func NewSink(name string, config json.RawMessage, env harrow.SinkEnv, secrets Env) (harrow.Sink, error) {
	create, err := harrow.LookupSink(name)
	if err != nil {
		return nil, err
	}
	filled, err := resolveJSON(config, secrets)
	if err != nil {
		return nil, err
	}
	return create(filled, env)
}
