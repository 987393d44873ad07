package round

import (
	"context"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Some runners take a worker for lost whose bundle runs for very long, so a
// bundle may be given an end (fetch.max_bundle_time). Then the starts of its
// shards end, what is in flight ends, and each request that is left ends as
// deferred with [harrow.CodeBundleTime]: the shard is done. What is left is no
// row of table deferred, since this run goes on with it: it is a row of table
// requests of the round, and the next round admits it again. The last round,
// which asks nothing, defers it.

// Began says when the bundle of an admission began; it ends
// fetch.max_bundle_time after that. A shard that several bundles wait for ends
// with the first of them.
func (a *Admission) Began(at time.Time) {
	most := time.Duration(a.p.cfg.Fetch.MaxBundleTime)
	if most <= 0 || a.p.cfg.Round >= a.p.cfg.Rounds { // the last round starts nothing
		return
	}
	p, end := a.p, at.Add(most)
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.s.ends.IsZero() || end.Before(a.s.ends) {
		a.s.ends = end
		p.poke()
	}
}

// endBundles leaves what there is of the shards whose bundle is over, and
// returns the time until the next one is; 0: never. Under mu.
func (p *Process) endBundles(now time.Time) (next time.Duration) {
	over := false
	for _, s := range p.shards {
		switch left := s.ends.Sub(now); {
		case s.ends.IsZero() || s.closed || s.dead != "":
		case left <= 0:
			s.dead, over = harrow.CodeBundleTime, true
		case next == 0 || left < next:
			next = left
		}
	}
	switch {
	case !over:
	case p.addrs != nil: // shards share keys: they end together
		p.drainAll(harrow.CodeBundleTime)
	default:
		for _, k := range p.keys {
			if k.shard.dead != "" {
				p.kill(k, k.shard.dead)
			}
		}
	}
	return next
}

// ending reports whether a key is given up for this round only: what failed
// for the moment says nothing then.
func (k *key) ending() bool { return k.dead == harrow.CodeBundleTime }

// loadLeft admits again what the shard's bundle left in the round before: first
// of all, so that a request which others link to meanwhile keeps its depth and
// what it carries, and beyond the caps, which it was held against then.
func (p *Process) loadLeft(ctx context.Context, s *shard) error {
	if p.cfg.Round == 0 {
		return nil
	}
	before := s.at
	before.Round--
	rec, err := before.Read(ctx)
	if err != nil {
		return err
	}
	// The first one that is admitted has its robots.txt asked for, which may be
	// answered while the others are read.
	err = eachRow(ctx, p.lake, rec, lakeio.Requests, func(r harrow.Request) error {
		if p.cfg.Sitemaps {
			if err := p.noteSeed(s, r); err != nil {
				return err
			}
		}
		return p.keepRest(s, r)
	})
	if err != nil {
		return err
	}
	return eachRow(ctx, p.lake, rec, lakeio.Requests, func(r harrow.Request) error { return p.admitAs(s, r, true, nil) })
}
