// Package discover turns seeds, and what earlier runs deferred, into the first
// round's requests.
package discover

import (
	"encoding/json"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Config says where seeds come from.
type Config struct {
	URLs      []string         `json:"urls"`      // written in the job file
	Files     []File           `json:"files"`     // the run's copies; see package seedfile
	Sitemaps  []string         `json:"sitemaps"`  // written in the job file
	Previous  string           `json:"previous"`  // run whose deferred requests are asked first; empty: none
	Canonical harrow.Canonical `json:"canonical"` // how URLs are written
	Key       string           `json:"key"`       // politeness.key
}

// File is a seed file.
type File struct {
	Name string `json:"name"` // as the user knows it; its ending says what it is
	URI  string `json:"uri"`  // of the copy, relative to the workspace
}

// Requests reads the seeds and commits the stage: table requests, one row per
// seed that is a request (twice the same seed is two rows: fetch asks once),
// and rejects for the others, which name file and line. A repeated bundle writes files that don't count.
func Requests(s beam.Scope, env engine.Env, cfg Config) parts.Collection {
	s = s.Scope("discover")
	env.Stage = "discover"
	data, err := json.Marshal(cfg)
	if err != nil {
		panic(fmt.Sprintf("discover: config: %v", err))
	}
	out := parts.Map(s, "seeds", env, engine.Step{Operator: operatorName, Config: data}, parts.Collection{Col: beam.CreateList(s, sources(cfg))})
	return parts.Commit(s, env, out)
}

// sources names what is read apart: each is one element, so many files are
// read side by side.
func sources(cfg Config) []harrow.Part {
	list := []harrow.Part{{Table: seedTable, Tag: "urls"}}
	for i := range cfg.Files {
		list = append(list, harrow.Part{Table: seedTable, URI: cfg.Files[i].URI, Tag: cfg.Files[i].Name})
	}
	if cfg.Previous != "" {
		list = append(list, harrow.Part{Table: seedTable, URI: cfg.Previous, Tag: "deferred"})
	}
	return list
}
