package upsert

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	for _, sink := range l.sinks {
		p, ok := sink.Sink.(harrow.Publisher)
		if !ok {
			continue
		}
		loaded := harrow.Loaded{Run: env.Run, Input: l.input, Shards: max(env.Shards, 1), Counts: countsOf(m.Counters, sink.name)}
		if err := engine.Retry(ctx, l.backoff, func() error { return p.Publish(ctx, loaded) }); err != nil {
			return fmt.Errorf("load.%s: %w", sink.name, err)
		}
	}
	return nil
}

// countsOf reads a sink's counters, by record.
func countsOf(counters map[string]int64, sink string) map[string]harrow.Counts {
	by := map[string]harrow.Counts{}
	for name, n := range counters {
		rest, ok := strings.CutPrefix(name, "load."+sink+".")
		dot := strings.LastIndexByte(rest, '.')
		if !ok || dot < 0 {
			continue
		}
		c := by[rest[:dot]]
		switch rest[dot+1:] {
		case "added":
			c.Added = n
		case "changed":
			c.Changed = n
		case "unchanged":
			c.Unchanged = n
		case "stale":
			c.Stale = n
		case "rejected":
			c.Rejected = n
		}
		by[rest[:dot]] = c
	}
	return by
}
