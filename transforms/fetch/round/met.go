package round

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/seen"
	"github.com/harrowdata/harrow/io/lakeio"
)

// met is what a replay needs to know of earlier runs. What they have asked for
// is not asked for again: only the requests that the replay begins with are,
// whether they were met or not. Hosts that asked for rest are named by what was
// deferred, which the replay leaves to the run after it. A process reads this
// once, when it takes its first shard of a round.
type met struct {
	once  sync.Once
	err   error
	ids   *seen.Set            // under Process.mu once it is read; nil: nothing
	count map[string]int64     // of them by what max_pages is held against, where there is a limit
	rests map[string]time.Time // by the same
}

// loadMet reads what earlier runs asked for, once.
func (p *Process) loadMet(ctx context.Context) error {
	m := &p.met
	m.once.Do(func() {
		if len(p.cfg.Asked) == 0 {
			return
		}
		m.ids, m.count, m.rests = seen.New(p.budget.Seen, p.cfg.Env.Spill), map[string]int64{}, map[string]time.Time{}
		if m.err = lakeio.EachRow(ctx, p.lake.Store, p.lake.Job, p.cfg.Asked, lakeio.Captures, p.meet); m.err == nil {
			m.err = lakeio.EachRow(ctx, p.lake.Store, p.lake.Job, p.cfg.Deferred, lakeio.DeferredRequests, p.meetRest)
		}
	})
	if m.err != nil {
		return fmt.Errorf("what was asked for before: %w", m.err)
	}
	return nil
}

// meet notes what was asked for.
func (p *Process) meet(c harrow.Capture) error {
	added, err := p.met.ids.Add(c.ID)
	if limit, _ := p.site.maxPages(); err != nil || !added || limit == 0 {
		return err
	}
	if u, err := p.site.canon.Parse(c.URL); err == nil {
		p.met.count[p.cappedBy(u)]++
	}
	return nil
}

// meetRest notes a rest that is not over.
func (p *Process) meetRest(r harrow.Request) error {
	u, err := p.site.canon.Parse(r.URL)
	if err != nil || !r.NotBefore.After(time.Now()) {
		return nil
	}
	name := p.cappedBy(u)
	if !r.NotBefore.After(p.met.rests[name]) {
		return nil
	}
	p.met.rests[name] = r.NotBefore
	if p.addrs == nil { // else the key is known by its address
		p.mu.Lock()
		defer p.mu.Unlock()
		p.remember(lakeio.Notes{Holds: map[string]time.Time{name: r.NotBefore}}) // for redirects to it
	}
	return nil
}

// cappedBy names what max_pages is held against for a URL; see admitted.
func (p *Process) cappedBy(u canon.URL) string {
	if p.addrs != nil {
		return u.Host()
	}
	return p.site.key(u)
}

// metRest is until when the host of a URL rests; zero: it does not.
func (p *Process) metRest(u canon.URL) (until time.Time) {
	if len(p.met.rests) > 0 {
		until = p.met.rests[p.cappedBy(u)]
	}
	return until
}

// metCount is how many requests have their place within max_pages already.
func (p *Process) metCount(u canon.URL) (n int64) {
	if len(p.met.count) > 0 {
		n = p.met.count[p.cappedBy(u)]
	}
	return n
}

// has reports whether an earlier run has asked for a request; under mu.
func (m *met) has(id harrow.ID) (bool, error) {
	if m.ids == nil {
		return false, nil
	}
	return m.ids.Has(id)
}

// close is for the end of the process.
func (m *met) close() error {
	if m.ids == nil {
		return nil
	}
	return m.ids.Close()
}

// admitLinked is admit for what was linked to: that is not asked for again.
func (p *Process) admitLinked(s *shard, r harrow.Request, skipped func(reason string)) error {
	p.mu.Lock()
	before, err := p.met.has(r.ID)
	p.mu.Unlock()
	if before || err != nil {
		return err
	}
	return p.admit(s, r, skipped)
}
