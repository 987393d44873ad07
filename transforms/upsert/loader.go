package upsert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// loader loads shards of a run into the sinks of its job.
type loader struct {
	lake   lakeio.Lake
	env    engine.Env
	config Config
	input  string // digest of refine's manifest
	sinks  []namedSink
	done   *engine.Progress

	now     harrow.Clock
	backoff []time.Duration // before each further try
}

type namedSink struct {
	name string
	harrow.Sink
}

// newLoader makes the sinks and reads what refine committed in the run that
// owns that stage.
func newLoader(ctx context.Context, env engine.Env, c Config) (l *loader, err error) {
	l = &loader{env: env, config: c, now: time.Now, backoff: engine.Backoff()}
	if l.lake, err = env.Open(); err != nil {
		return nil, err
	}
	l.done = engine.ProgressOf(env, l.lake, l.now)
	run, err := lakeio.ReadRun(ctx, l.lake.Store, env.Job, env.Run)
	if err != nil {
		return nil, err
	}
	owner := l.lake
	owner.Run = run.Source("refine")
	refined, err := owner.Manifest(ctx, "refine")
	if err != nil {
		return nil, fmt.Errorf("load: what refine committed: %w", err)
	}
	l.input = refined.Digest
	if err := l.openSinks(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// room takes the memory that loading a shard needs.
func (l *loader) room(ctx context.Context) (release func(), err error) {
	share := memory.For(l.env.Memory).Batches
	bytes := min(loadBytes, share.Size())
	if err := share.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	return func() { share.Release(bytes) }, nil
}

func (l *loader) openSinks() error {
	env := harrow.SinkEnv{Job: l.env.Job, Workspace: l.lake.Store.Local(), Dir: l.config.Dir}
	for _, name := range slices.Sorted(maps.Keys(l.config.Load)) {
		sink, err := jobfile.NewSink(name, l.config.Load[name], env, os.LookupEnv)
		if err != nil {
			return fmt.Errorf("load.%s: %w", name, engine.OnWorker(err))
		}
		l.sinks = append(l.sinks, namedSink{name, sink})
	}
	return nil
}

func (l *loader) close() error {
	var errs []error
	for _, s := range l.sinks {
		if err := s.Close(); err != nil {
			errs = append(errs, fmt.Errorf("load.%s: %w", s.name, err))
		}
	}
	l.sinks = nil
	return errors.Join(errs...)
}

// load loads a shard, whose parts are all of one record, into each sink and
// returns what load commits of it: counters and parts of rejects.
func (l *loader) load(ctx context.Context, key shardKey, in []harrow.Part) (out []harrow.Part, err error) {
	in = slices.SortedFunc(slices.Values(in), func(a, b harrow.Part) int { return strings.Compare(a.URI, b.URI) })
	in = slices.CompactFunc(in, func(a, b harrow.Part) bool { return a.URI == b.URI })
	rows := int64(0)
	for _, p := range in {
		rows += p.Rows
	}
	for _, sink := range l.sinks {
		l.done.Expect(1, rows)
		var some []harrow.Part
		err := engine.Retry(ctx, l.backoff, func() (err error) {
			release, err := l.room(ctx)
			if err != nil {
				return err
			}
			defer release()
			some, err = l.try(ctx, sink, key, in)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("load.%s: %w", sink.name, err)
		}
		out = append(out, some...)
	}
	return out, nil
}

// try loads a shard into one sink, once.
func (l *loader) try(ctx context.Context, sink namedSink, key shardKey, in []harrow.Part) (out []harrow.Part, err error) {
	piece := l.done.Begin()
	defer func() { piece.End(ctx, err) }()
	rtype, err := recordType(ctx, l.lake.Store, in[0])
	if err != nil {
		return nil, err
	}
	rejects := newRejectWriter(ctx, l.lake, l.env.Stage, l.now)
	defer rejects.abort()
	shard := harrow.Shard{
		Run: l.env.Run, Record: rtype, Key: l.config.Records[key.Record].Key, Latest: l.config.Records[key.Record].Latest,
		Input: l.input, Shard: key.Shard, Shards: max(l.env.Shards, 1), Reject: rejects.add,
		Batches: func() iter.Seq2[harrow.Batch, error] { return batches(ctx, l.lake.Store, in, piece) },
	}
	if len(shard.Key) == 0 {
		shard.Key = []string{"_id", "_ordinal"}
	}
	if shard.Latest == "" {
		shard.Latest = "_fetched_at"
	}
	counts, err := sink.Load(ctx, shard)
	if err != nil {
		return nil, err
	}
	out, err = rejects.close()
	if err != nil {
		return nil, err
	}
	tag, err := json.Marshal(lakeio.LoadCounters(sink.name, key.Record, counts)) // which the commit sums
	return append(out, harrow.Part{Tag: string(tag)}), err
}

func recordType(ctx context.Context, s lakeio.Store, p harrow.Part) (harrow.RecordType, error) {
	r, err := lakeio.OpenPart(ctx, s, p.URI, p.Table)
	if err != nil {
		return harrow.RecordType{}, err
	}
	t, err := lakeio.RecordTypeOf(r.Schema())
	if err != nil {
		err = fmt.Errorf("%s: %w", p.URI, err)
	}
	return t, errors.Join(err, r.Close())
}

// batches yields the rows of several parts, one part after the other, and
// counts them.
func batches(ctx context.Context, s lakeio.Store, in []harrow.Part, piece *engine.Piece) iter.Seq2[harrow.Batch, error] {
	return func(yield func(harrow.Batch, error) bool) {
		for _, p := range in {
			for b, err := range lakeio.ReadBatches(ctx, s, p) {
				if !yield(b, err) || err != nil {
					return
				}
				piece.Rows(ctx, b.Rows())
			}
		}
	}
}
