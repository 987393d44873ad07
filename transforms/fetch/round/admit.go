package round

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/frontier"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Requests yields the requests of a fetch shard until yield fails.
type Requests func(ctx context.Context, l lakeio.Lake, yield func(harrow.Request) error) error

// Admission is a bundle's hold on a fetch shard.
type Admission struct {
	p *Process
	s *shard
}

// Admit hands a shard to the process: it takes the shard record, reads the
// shard's requests into the frontier and returns; the scheduler does the rest
// without the caller. A shard that the process runs already is joined. One that
// another worker may start exchanges of is waited for without the caller, too.
//
// read yields the shard's requests; it may be called several times.
func (p *Process) Admit(ctx context.Context, number int, read Requests) (*Admission, error) {
	p.mu.Lock()
	s, ok := p.shards[number]
	if !ok {
		s = &shard{at: lakeio.FetchShard{Lake: p.lake, Round: p.cfg.Round, Shard: number}, owner: newOwner(), seeds: map[string]bool{}, finished: make(chan struct{})}
		p.shards[number] = s
		if p.givenUp != nil { // there is nobody left who would
			p.end(s, p.givenUp)
		}
	}
	ended := s.closed
	p.mu.Unlock()
	a := &Admission{p, s}
	if ok || ended {
		return a, nil
	}
	if err := p.take(ctx, s, read); err != nil {
		p.mu.Lock()
		p.end(s, err)
		p.mu.Unlock()
		p.stop(err)
		return nil, err
	}
	return a, nil
}

// loadRequests admits the shard's requests. What the run before deferred comes
// first, and sitemaps: where a request is twice among them, the row that is
// admitted decides when it is asked, what it carries and whether it is read as a
// sitemap.
func (p *Process) loadRequests(ctx context.Context, s *shard, read Requests, skipped func(reason string)) error {
	if p.cfg.Round > 0 { // they were links; nothing in it comes from another run
		return read(ctx, p.lake, func(r harrow.Request) error { return p.admitLinked(s, r, skipped) })
	}
	// Before the first one starts anything.
	if err := read(ctx, p.lake, func(r harrow.Request) error { return p.keepRest(s, r) }); err != nil {
		return err
	}
	for _, urgent := range []bool{true, false} {
		err := read(ctx, p.lake, func(r harrow.Request) error {
			if (r.Priority > 0) != urgent {
				return nil
			}
			return p.admit(s, r, skipped)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// loadSeen marks what earlier rounds and earlier owners have captured; it
// counts against the caps too.
func (p *Process) loadSeen(ctx context.Context, s *shard, rec lakeio.ShardRecord) error {
	var took time.Duration
	for r := range p.cfg.Round {
		earlier := s.at
		earlier.Round = r
		er, err := earlier.Read(ctx)
		if err == nil {
			p.heed(er)
			took += er.Wall
			err = p.markSeen(ctx, s, er, true)
		}
		if err != nil {
			return err
		}
	}
	p.recall.fetchedFor(p.begun, took)
	p.heed(rec)
	if err := p.markSeen(ctx, s, rec, false); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, roll := range rec.Rolls {
		for _, part := range roll.Parts {
			if part.Table == lakeio.Captures.Name() {
				p.counts.admitted += part.Rows
			}
		}
	}
	return nil
}

// markSeen marks what a record's captures say; of an earlier round not what was
// left to the next one.
func (p *Process) markSeen(ctx context.Context, s *shard, rec lakeio.ShardRecord, earlier bool) error {
	limit, _ := p.site.maxPages()
	return eachRow(ctx, p.lake, rec, lakeio.Captures, func(c harrow.Capture) error {
		if earlier && c.Readmitted() {
			return nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		added, err := p.seen.Add(c.ID)
		if !added || err != nil || limit == 0 {
			return err
		}
		if before, err := p.met.has(c.ID); before || err != nil {
			return err // and counted there
		}
		u, err := p.site.canon.Parse(c.URL)
		if err == nil {
			*p.admitted(u, p.keyOf(u, s))++
		}
		return err
	})
}

// loadLinks admits the links within the domain that this round's rolls hold.
func (p *Process) loadLinks(ctx context.Context, s *shard, rec lakeio.ShardRecord) error {
	return eachRow(ctx, p.lake, rec, lakeio.Links, func(l harrow.Link) error {
		if !l.SameDomain {
			return nil
		}
		r, err := p.site.request(l)
		if err != nil {
			return err
		}
		return p.admitLinked(s, r, nil)
	})
}

func eachRow[R any](ctx context.Context, l lakeio.Lake, rec lakeio.ShardRecord, t *lakeio.Table[R], do func(R) error) error {
	for _, roll := range rec.Rolls {
		for _, part := range roll.Parts {
			if part.Table != t.Name() {
				continue
			}
			for r, err := range lakeio.ReadRows(ctx, l.Store, t, part) {
				if err == nil {
					err = do(r)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// maxRequest is what a request may take in the frontier, so that there is room
// for a hop's URL. A seed never takes it: its parts are bounded; what pages
// carry on may add up.
const maxRequest = frontier.MaxItem - 64<<10

// admit puts a request that was not seen yet into the frontier. skipped is
// told which cap kept it out.
func (p *Process) admit(s *shard, r harrow.Request, skipped func(reason string)) error {
	return p.admitAs(s, r, false, skipped)
}

// admitAs is admit for what an earlier round has admitted as well (again), or
// not.
func (p *Process) admitAs(s *shard, r harrow.Request, again bool, skipped func(reason string)) error {
	u, err := p.site.canon.Parse(r.URL)
	if err != nil {
		return fmt.Errorf("request %s: %w", r.ID, err)
	}
	until := r.NotBefore
	r.NotBefore = time.Time{} // which is its key's from here on
	data, err := (&item{Req: r, Shard: s.at.Shard}).encode()
	if err != nil {
		return err
	}
	if len(data) > maxRequest {
		if skipped != nil {
			skipped("too_large")
		}
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if seen, err := p.seen.Has(r.ID); seen || err != nil {
		return err
	}
	k := p.keyOf(u, s)
	before, err := p.met.has(r.ID) // it has its place among max_pages since then
	if err != nil {
		return err
	}
	admitted := p.admitted(u, k)
	if limit, reason := p.site.maxPages(); limit > 0 && !before && !again && *admitted+p.metCount(u) >= limit {
		if skipped != nil {
			skipped(reason)
		}
		return nil
	}
	if _, err := p.seen.Add(r.ID); err != nil {
		return err
	}
	if err := p.front.Push(k.name, r.Priority, data); err != nil {
		return err
	}
	if !before {
		*admitted++
	}
	if until = latest(until, p.metRest(u)); !until.IsZero() {
		p.restUntil(s, k, until)
	}
	s.pending++
	p.counts.admitted++
	p.counts.queued++
	p.pending(k)
	p.poke()
	return nil
}

// loaded lets the shard end. One with nothing left to do ends at once, and as
// every other by the writer's hand: its roll goes first.
func (p *Process) loaded(s *shard, skipped map[string]int64) {
	p.mu.Lock()
	s.loaded = true
	if p.stopping {
		p.mu.Unlock()
		return
	}
	p.flying.Add(1)
	p.mu.Unlock()
	defer p.flying.Done()
	p.results <- &result{shard: s, skipped: skipped}
	p.poke()
}

// finish marks a shard done and ends its wait.
func (p *Process) finish(s *shard) error {
	err := s.at.Finish(p.ctx, s.owner, p.bound(s), p.elapsed())
	if errors.Is(err, lakeio.ErrLost) {
		p.lose(s, err)
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(s, err)
	return err
}

// Wait returns when the shard is done, with its parts and one reference that
// carries its counters. A shard that was given up is an error: ErrStopped
// when the run was stopped.
func (a *Admission) Wait(ctx context.Context) ([]harrow.Part, error) {
	select {
	case <-a.s.finished:
	case <-ctx.Done():
		cause := context.Cause(ctx)
		if errors.Is(cause, ctx.Err()) {
			cause = errors.Join(ErrStopped, cause)
		}
		return nil, cause
	}
	if a.s.err != nil {
		return nil, a.s.err
	}
	rec, err := a.s.at.Read(ctx)
	if err != nil {
		return nil, err
	}
	if !rec.Done {
		return nil, fmt.Errorf("%s: %w", a.s.at.URI(), lakeio.ErrLost)
	}
	return recordParts(rec)
}

// recordParts lists what a done shard emits.
func recordParts(rec lakeio.ShardRecord) ([]harrow.Part, error) {
	counters := map[string]int64{}
	var parts []harrow.Part
	for _, roll := range rec.Rolls {
		parts = append(parts, roll.Parts...)
		for name, n := range roll.Counters {
			counters[name] += n
		}
	}
	if len(counters) == 0 {
		return parts, nil
	}
	tag, err := json.Marshal(counters)
	if err != nil {
		return nil, fmt.Errorf("counters: %w", err)
	}
	return append(parts, harrow.Part{Tag: string(tag)}), nil
}
