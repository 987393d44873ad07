package round

import (
	"context"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// take makes this process the shard's owner and loads what is left to do, at
// once or when another worker lets it.
func (p *Process) take(ctx context.Context, s *shard, read Requests) error {
	rec, held, err := s.at.Claim(ctx, p.claim(s))
	if err != nil {
		return err
	}
	if held {
		p.takeLater(s, read)
		return nil
	}
	return p.taken(ctx, s, rec, read)
}

func (p *Process) claim(s *shard) lakeio.Claim {
	return lakeio.Claim{Owner: s.owner, Permit: p.permit.URI(), Process: p.cfg.Process}
}

// takeLater takes the shard when it is no longer another worker's, unless
// starts end before.
func (p *Process) takeLater(s *shard, read Requests) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return // it is given up with the others
	}
	s.held = true
	p.taking.Add(1)
	go func() {
		defer p.taking.Done()
		err := p.await(s, read)
		p.mu.Lock()
		s.held = false
		if err != nil && p.starts.Err() == nil {
			p.end(s, err)
		}
		p.mu.Unlock()
		if err != nil {
			p.stop(err)
		}
	}()
}

// await claims the shard again and again.
func (p *Process) await(s *shard, read Requests) error {
	tick := time.NewTicker(p.lake.LookEvery())
	defer tick.Stop()
	for {
		select {
		case <-p.starts.Done():
			return nil
		case <-tick.C:
		}
		rec, held, err := s.at.Claim(p.starts, p.claim(s))
		if p.starts.Err() != nil {
			return nil // whatever came of it: who comes next takes it over
		}
		if err != nil {
			return err
		}
		if held {
			continue
		}
		p.mu.Lock()
		s.held = false
		p.mu.Unlock()
		if err = p.taken(p.starts, s, rec, read); p.starts.Err() != nil {
			return nil
		}
		return err
	}
}

// taken loads what is left to do of a shard that is this process's, or done.
func (p *Process) taken(ctx context.Context, s *shard, rec lakeio.ShardRecord, read Requests) error {
	if rec.Done {
		p.mu.Lock()
		p.end(s, nil)
		p.mu.Unlock()
		return nil
	}
	s.epoch = rec.Epoch
	if err := p.loadKnown(ctx); err != nil {
		return err
	}
	if err := p.loadMet(ctx); err != nil {
		return err
	}
	if err := p.loadSeen(ctx, s, rec); err != nil {
		return err
	}
	skipped := map[string]int64{}
	skip := func(reason string) { skipped[reason]++ }
	if err := p.loadSeeds(ctx, s, read); err != nil {
		return err
	}
	if err := p.loadLeft(ctx, s); err != nil {
		return err
	}
	if err := p.loadRequests(ctx, s, read, skip); err != nil {
		return err
	}
	if err := p.noteRests(s); err != nil {
		return err
	}
	if err := p.loadLinks(ctx, s, rec); err != nil {
		return err
	}
	if len(rec.Rolls) > 0 {
		clear(skipped) // counted by the roll of the owner that came first
	}
	p.loaded(s, skipped)
	return nil
}
