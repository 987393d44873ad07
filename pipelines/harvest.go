// Package pipelines holds whole jobs: it reads a job file, composes the
// transforms and sees a run through. It has no DoFn.
package pipelines

import (
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/discover"
	"github.com/harrowdata/harrow/transforms/fetch"
	"github.com/harrowdata/harrow/transforms/parse"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
	"github.com/harrowdata/harrow/transforms/upsert"
)

// Plan is what a run's pipeline is composed from; it is derived from run.json
// alone, so a resumed run composes the same.
type Plan struct {
	Workspace string
	Run       lakeio.Run
	Job       harrow.Job
	Types     []harrow.RecordType // of what parse makes
	Lookups   Lookups
	LastEnd   time.Time // when the job's run before this process ended
	Died      bool      // that process did, without a word
	Remote    bool      // the runner's workers are other processes than this one
	Secrets   []string  // names of those that other processes need for what follows fetch
	Process   string    // who submits it, as run.json says
	// Submission is Process where the runner gives up at the first error, as
	// engine.Env has it.
	Submission string
	Until      string // last stage to run; empty: all
	Build      string // of the program that the workers run, as build.Of names it; empty: any

	replayed parts.Collection // of a run that replays: what stage discover sends to the others
}

// env says where a stage's output goes, and whose it is: a stage taken over
// from another run lives there.
func (p Plan) env(stage string) engine.Env {
	return engine.Env{Workspace: p.Workspace, Job: p.Run.Job, Run: p.Run.Source(stage), Stage: stage,
		Memory: int64(p.Job.Limits.Memory), Spill: p.Job.Limits.Spill, Shards: p.Run.Shards, Build: p.Build, Submission: p.Submission}
}

// Harvest composes the whole job:
//
//	seeds ─► discover ─► fetch ─► parse ─► refine ─► load
//
// Each line is a stage, and what it returns is committed.
func Harvest(s beam.Scope, p Plan) {
	stages := []func(p Plan, s beam.Scope, in parts.Collection) parts.Collection{Plan.discover, Plan.fetch, Plan.parse, Plan.refine, Plan.load}
	var out parts.Collection
	for i, stage := range lakeio.Stages {
		if own := p.Run.Source(stage) == p.Run.ID; own {
			out = stages[i](p, s, out)
		} else {
			out = p.takeOver(s, stage)
		}
		if stage == "discover" {
			p.replayed = out
		}
		if stage == p.Until {
			return
		}
	}
}

// takeOver yields what another run committed for a stage. That is in its folder,
// where nothing is written.
func (p Plan) takeOver(s beam.Scope, stage string) parts.Collection {
	if stage != "fetch" {
		return parts.Taken(s.Scope(stage), p.env(stage))
	}
	var rounds []parts.Collection
	for _, round := range p.Run.Manifests(stage) {
		env := p.env(stage)
		env.Stage = round
		rounds = append(rounds, parts.Taken(s.Scope(env.Stage), env))
	}
	return parts.Flatten(s, rounds...)
}

func (p Plan) discover(s beam.Scope, _ parts.Collection) parts.Collection {
	if p.Run.Replay != nil {
		return p.replay(s)
	}
	seeds := p.Job.Discover.Seeds
	cfg := discover.Config{URLs: seeds.URLs, Sitemaps: seeds.Sitemaps.URLs, Previous: p.Run.Previous, Canonical: p.Job.Discover.Canonical, Key: p.Job.Fetch.Politeness.Key}
	lake := lakeio.Lake{Job: p.Run.Job, Run: p.Run.ID}
	for _, in := range p.Run.Inputs {
		if in.Use != "" {
			continue
		}
		cfg.Files = append(cfg.Files, discover.File{Name: in.Path, URI: lake.InputURI(in.Digest)})
	}
	return discover.Requests(s, p.env("discover"), cfg)
}

func (p Plan) fetch(s beam.Scope, requests parts.Collection) parts.Collection {
	cfg := fetch.Config{Discover: p.Job.Discover, Fetch: p.Job.Fetch, Document: int64(p.Job.Limits.Document),
		Parse: p.Job.Parse, Types: p.Types, Limit: int64(p.Run.Limit), Shards: p.Run.FetchShards, Pages: p.Run.PagesRun, LastEnd: p.LastEnd, Died: p.Died,
		Remote: p.Remote, Secrets: p.Secrets, Process: p.Process}
	if r := p.Run.Replay; r != nil {
		cfg.Asked, cfg.Deferred = r.Asked, r.Deferred
	}
	return fetch.Captures(s, p.env("fetch"), cfg, requests).Captures
}

func (p Plan) parse(s beam.Scope, captures parts.Collection) parts.Collection {
	cfg := parse.Config{Rules: p.Job.Parse, Types: p.Types, Canonical: p.Job.Discover.Canonical, Run: p.Run.ID}
	cfg.Limits.Document = int64(p.Job.Limits.Document)
	cfg.Confirmed = p.Run.PagesRun != "" // without a memory nothing was asked conditionally
	out := []parts.Collection{parse.Records(s, p.env("parse"), cfg, captures)}
	if p.replays("parse") {
		out = append(out, parse.Again(s, p.env("parse"), cfg, p.replayed))
	}
	return parts.Commit(s, p.env("parse"), out...)
}

func (p Plan) load(s beam.Scope, refined parts.Collection) parts.Collection {
	return parts.Commit(s, p.env("load"), upsert.Rows(s, p.env("load"), upsert.ConfigOf(p.Job, p.Run.Dir), refined))
}

// after reports whether stage a comes after stage b.
func after(a, b string) bool { return slices.Index(lakeio.Stages, a) > slices.Index(lakeio.Stages, b) }
