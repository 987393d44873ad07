package upsert

import (
	"context"
	"errors"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Publish lets every sink that is a [harrow.Publisher] show what stage load
// has committed, and does nothing before. It may be called any number of
// times. A sink that fails is tried four times.
func Publish(ctx context.Context, env engine.Env, cfg Config) (err error) {
	lake, err := env.Open()
	if err != nil {
		return err
	}
	m, err := lake.Manifest(ctx, env.Stage)
	if errors.Is(err, lakeio.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	l, err := newLoader(ctx, env, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	loads := m.Loads()
	for _, sink := range l.sinks {
		p, ok := sink.Sink.(harrow.Publisher)
		if !ok {
			continue
		}
		loaded := harrow.Loaded{Run: env.Run, Input: l.input, Shards: max(env.Shards, 1), Counts: loads[sink.name]}
		if err := engine.Retry(ctx, l.backoff, func() error { return p.Publish(ctx, loaded) }); err != nil {
			return fmt.Errorf("load.%s: %w", sink.name, err)
		}
	}
	return nil
}
