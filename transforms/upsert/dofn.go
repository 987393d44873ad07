package upsert

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"golang.org/x/sync/errgroup"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func init() {
	register.DoFn3x1[context.Context, harrow.Part, func(string, harrow.Part), error](&keyFn{})
	register.DoFn4x1[context.Context, string, func(*harrow.Part) bool, func(harrow.Part), error](&loadFn{})
	register.Emitter1[harrow.Part]()
	register.Emitter2[string, harrow.Part]()
	register.Iter1[harrow.Part]()
}

// load turns references to parts of the tables into references to what load
// commits.
func load(s beam.Scope, env engine.Env, cfg Config, tables []string, in beam.PCollection) beam.PCollection {
	keyed := beam.ParDo(s, &keyFn{Env: env, Config: cfg, Tables: tables}, in)
	return beam.ParDo(s, &loadFn{Env: env, Config: cfg}, beam.GroupByKey(s, keyed))
}

// keyFn keys parts by record and shard.
type keyFn struct {
	Env    engine.Env
	Config Config
	Tables []string // as parts.Collection has them

	lake lakeio.Lake
}

// Setup opens the lake.
func (f *keyFn) Setup() (err error) {
	f.lake, err = f.Env.Open()
	return err
}

// ProcessElement emits a part of a record with its shard.
func (f *keyFn) ProcessElement(ctx context.Context, p harrow.Part, emit func(string, harrow.Part)) error {
	key, ok := f.Config.shardOf(p, f.Env.Shards)
	if !ok || !engine.Match(f.Tables, p.Table) {
		return nil
	}
	if done, err := f.lake.Committed(ctx, f.Env.Stage); err != nil || done {
		return f.Env.Failed(err)
	}
	emit(key.String(), p)
	return nil
}

const (
	// loads is how many shards of a bundle are loaded at once. A store that
	// takes one writer makes them wait for each other.
	loads = 4
	// loadBytes of the memory share of batches are held by each: an input
	// batch, arrow's decoder, the rows that a sink gathers and the encoder of
	// a part of rejects.
	loadBytes = 48 << 20
)

// loadFn loads shards. It gathers a bundle's and loads them at its end,
// several at once: inside a bundle a runner gives no parallelism.
type loadFn struct {
	Env    engine.Env
	Config Config

	lake  lakeio.Lake
	tasks []task
}

type task struct {
	key shardKey
	in  []harrow.Part
}

// Setup opens the lake.
func (f *loadFn) Setup() (err error) {
	f.lake, err = f.Env.Open()
	return err
}

// StartBundle forgets what a bundle that failed left.
func (f *loadFn) StartBundle(context.Context, func(harrow.Part)) error {
	f.tasks = nil
	return nil
}

// ProcessElement takes note of a shard.
func (f *loadFn) ProcessElement(ctx context.Context, name string, values func(*harrow.Part) bool, _ func(harrow.Part)) error {
	if done, err := f.lake.Committed(ctx, f.Env.Stage); err != nil || done {
		return f.Env.Failed(err)
	}
	key, err := parseShardKey(name)
	if err != nil {
		return f.Env.Failed(err)
	}
	t := task{key: key}
	for p := (harrow.Part{}); values(&p); {
		t.in = append(t.in, p)
	}
	f.tasks = append(f.tasks, t)
	return nil
}

// FinishBundle loads the shards and emits what load commits of them.
func (f *loadFn) FinishBundle(ctx context.Context, emit func(harrow.Part)) error {
	tasks := f.tasks
	f.tasks = nil
	if len(tasks) == 0 {
		return nil
	}
	out, err := loadAll(ctx, f.Env, f.Config, tasks)
	if err != nil {
		return f.Env.Failed(err)
	}
	for _, p := range out {
		emit(p)
	}
	return nil
}

// loadAll loads the shards of a bundle. The sinks live as long as it does.
func loadAll(ctx context.Context, env engine.Env, cfg Config, tasks []task) (out []harrow.Part, err error) {
	l, err := newLoader(ctx, env, cfg)
	if err != nil {
		return nil, err
	}
	results := make([][]harrow.Part, len(tasks))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(loads)
	for i, t := range tasks {
		g.Go(func() (err error) {
			results[i], err = l.load(gctx, t.key, t.in)
			return err
		})
	}
	err = g.Wait()
	// An error of Close is one of writing: nothing is emitted then.
	if e := l.close(); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		out = append(out, r...)
	}
	return out, nil
}
