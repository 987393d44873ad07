// Package fetch asks for the requests, politely, keeps the raw answers and
// follows links: the only stage that touches the network.
package fetch

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/session"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/fetch/round"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func init() {
	register.DoFn4x1[context.Context, int, func(*engine.Slice) bool, func(harrow.Part), error](&roundFn{})
	register.Emitter1[harrow.Part]()
	register.Iter1[engine.Slice]()
	beam.RegisterType(reflect.TypeFor[harrow.Part]())
}

// Config is what fetch goes by.
type Config struct {
	Discover harrow.Discover     // scope with its hosts filled in, follow, rounds, canonical
	Fetch    harrow.Fetch        // with defaults
	Document int64               // limits.document, bytes
	Parse    []harrow.Rule       // rules that a sample of the pages is parsed with, to tell early what is wrong with them
	Types    []harrow.RecordType // records that these can make
	Limit    int64               // --limit: requests per politeness key; 0: no limit
	Shards   int                 // fetch shards, as run.json says
	Pages    string              // run whose version of pages is known; empty: none
	Asked    []lakeio.StageOf    // of a replay: rounds of earlier runs; what was asked there and is linked to is not asked again
	Deferred []lakeio.StageOf    // of a replay: where what it leaves deferred lies; hosts rest as long as that says
	LastEnd  time.Time           // when the job's run before this one ended
	Died     bool                // as round.Config has it
	Remote   bool                // as round.Config has it
	Secrets  []string            // as round.Config has it
	Process  string              // as round.Config has it
	Status   time.Duration       // how often status files are rewritten; 0: 5 s
}

// Output is what fetch has committed, all rounds together.
type Output struct {
	Captures  parts.Collection // tables captures and bodies
	Links     parts.Collection
	Exchanges parts.Collection
	Deferred  parts.Collection
	Rejects   parts.Collection
	Pages     parts.Collection // this run's version
}

// Captures fetches the requests (parts of table requests) in Rounds + 1
// rounds, one commit each: a round asks for what earlier ones found out of
// the registered domain and for what the bundles of the round before left
// (fetch.max_bundle_time; table requests of that round); the last defers what
// is left. Every request a round admits ends as exactly one captures row; the
// run's view of a request is that of its last round (harrow.Capture.Readmitted). A repeated bundle of a shard that
// is done emits what its shard record says; one of a shard that this process
// runs joins it; any other takes the shard over and goes on.
//
// The last step commits this run's version of pages, out of all captures and
// the version that the run began with.
func Captures(s beam.Scope, env engine.Env, cfg Config, requests parts.Collection) Output {
	s = s.Scope("fetch")
	var committed []parts.Collection
	in := requests.Of(lakeio.Requests.Name())
	for r := range cfg.Discover.Rounds + 1 {
		rc := roundConfig(env, cfg, r)
		s := s.Scope(rc.Env.Stage)
		if r > 0 {
			in = parts.Map(s, "next requests", rc.Env, nextStep(rc), in).Of(lakeio.Requests.Name())
		}
		out := oneRound(s, rc, cfg.Shards, in)
		committed = append(committed, out)
		in = out.Of(lakeio.Links.Name(), lakeio.Requests.Name())
	}
	// Nothing that comes after fetch may hold up a round of it.
	all := parts.Together(s, parts.Flatten(s, committed...))
	return Output{
		Captures:  all.Of(lakeio.Captures.Name(), lakeio.Bodies.Name()),
		Links:     all.Of(lakeio.Links.Name()),
		Exchanges: all.Of(lakeio.Exchanges.Name()),
		Deferred:  all.Of(lakeio.DeferredRequests.Name()),
		Rejects:   all.Of(lakeio.Rejects.Name()),
		Pages:     remember(s, env, cfg, all),
	}
}

func roundConfig(env engine.Env, cfg Config, r int) round.Config {
	env.Stage = lakeio.FetchStage(r)
	c := round.Config{Env: env, Round: r, Rounds: cfg.Discover.Rounds, Scope: cfg.Discover.Scope, Sitemaps: cfg.Discover.Seeds.Sitemaps.Auto, Follow: cfg.Discover.Follow,
		Canonical: cfg.Discover.Canonical, Fetch: cfg.Fetch, Document: cfg.Document,
		Parse: cfg.Parse, Types: cfg.Types, Limit: cfg.Limit, LastEnd: cfg.LastEnd, Died: cfg.Died, Remote: cfg.Remote, Secrets: cfg.Secrets, Process: cfg.Process, Status: cfg.Status,
		Pages: cfg.Pages, Asked: cfg.Asked, Deferred: cfg.Deferred, Variant: round.Variant(cfg.Fetch), Plain: session.Plain(cfg.Discover, cfg.Fetch)}
	if err := c.Validate(); err != nil {
		panic(err)
	}
	return c
}

// oneRound groups the requests by fetch shard, so that one scheduler sees all
// of a registered domain, runs them and commits the round.
func oneRound(s beam.Scope, c round.Config, shards int, in parts.Collection) parts.Collection {
	slices := parts.Slices(s, "by domain", c.Env, parts.Key{Columns: []string{"domain"}, Shards: shards}, in)
	data, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("fetch: config: %v", err))
	}
	out := beam.ParDo(s, &roundFn{Config: data}, beam.GroupByKey(s, slices))
	return parts.Commit(s, c.Env, parts.Collection{Col: out})
}

// roundFn hands fetch shards to this process's scheduler and waits for them
// at the end of the bundle: a runner gives a bundle one goroutine, and a
// shard must not wait for another.
type roundFn struct {
	Config []byte // JSON of round.Config

	cfg      *round.Config // which Config says; nil until it was read
	lake     lakeio.Lake
	process  *round.Process
	admitted []*round.Admission
	began    time.Time // of the bundle
}

// ProcessElement admits one shard.
func (f *roundFn) ProcessElement(ctx context.Context, shard int, next func(*engine.Slice) bool, _ func(harrow.Part)) error {
	return f.failed(f.admit(ctx, shard, next))
}

// failed has a step's error noted before the runner hears of it.
func (f *roundFn) failed(err error) error {
	if f.cfg == nil {
		return err
	}
	return f.cfg.Env.Failed(err)
}

func (f *roundFn) admit(ctx context.Context, shard int, next func(*engine.Slice) bool) error {
	var slices []engine.Slice
	for s := (engine.Slice{}); next(&s); {
		slices = append(slices, s)
	}
	cfg, err := f.config()
	if err != nil {
		return err
	}
	if done, err := f.committed(ctx, cfg); done || err != nil {
		return err
	}
	if f.process == nil {
		f.began = time.Now()
		if f.process, err = round.Join(ctx, cfg); err != nil {
			return err
		}
	}
	a, err := f.process.Admit(ctx, shard, requestsOf(slices))
	if err != nil {
		return err
	}
	a.Began(f.began)
	f.admitted = append(f.admitted, a)
	return nil
}

func requestsOf(slices []engine.Slice) round.Requests {
	return func(ctx context.Context, l lakeio.Lake, yield func(harrow.Request) error) error {
		return engine.ReadSlices(ctx, l, slices, func(b harrow.Batch) error {
			for _, r := range lakeio.Requests.Rows(b) {
				if err := yield(r); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// FinishBundle waits for the shards and emits those that are done.
func (f *roundFn) FinishBundle(ctx context.Context, emit func(harrow.Part)) (err error) {
	for _, a := range f.admitted {
		parts, werr := a.Wait(ctx)
		if werr != nil {
			return f.failed(f.leave(werr))
		}
		for _, p := range parts {
			emit(p)
		}
	}
	return f.failed(f.leave(nil))
}

// Teardown leaves a round whose bundle ended in an error before its end.
func (f *roundFn) Teardown() error { return f.leave(nil) }

func (f *roundFn) leave(err error) error {
	p := f.process
	f.process, f.admitted = nil, nil
	if p == nil {
		return err
	}
	if cerr := p.Close(); err == nil {
		err = cerr
	}
	return err
}

// config reads the config, once: it may hold many rules.
func (f *roundFn) config() (round.Config, error) {
	if f.cfg == nil {
		var cfg round.Config
		if err := json.Unmarshal(f.Config, &cfg); err != nil {
			return cfg, fmt.Errorf("fetch: config: %w", err)
		}
		f.cfg = &cfg
	}
	return *f.cfg, nil
}

// committed reports whether the round has its manifest. The lake is opened
// once: to other stores than a folder that costs something.
func (f *roundFn) committed(ctx context.Context, cfg round.Config) (bool, error) {
	if f.lake.Store == nil {
		lake, err := cfg.Env.Open()
		if err != nil {
			return false, err
		}
		f.lake = lake
	}
	return f.lake.Committed(ctx, cfg.Env.Stage)
}
