package round

import (
	"context"
	"fmt"
	"sync"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/seen"
	"github.com/harrowdata/harrow/io/lakeio"
)

// met is what earlier runs have asked for that this one, a replay, does not ask
// for again: only the requests that it begins with are asked whether they were
// met or not. A process reads it once, when it takes its first shard of a round.
type met struct {
	once  sync.Once
	err   error
	ids   *seen.Set        // under Process.mu once it is read; nil: nothing
	count map[string]int64 // of them by what max_pages is held against, where there is a limit
}

// loadMet reads what earlier runs asked for, once.
func (p *Process) loadMet(ctx context.Context) error {
	m := &p.met
	m.once.Do(func() {
		if len(p.cfg.Asked) == 0 {
			return
		}
		m.ids, m.count = seen.New(p.budget.Seen, p.cfg.Env.Spill), map[string]int64{}
		limit, _ := p.site.maxPages()
		m.err = lakeio.EachRow(ctx, p.lake.Store, p.lake.Job, p.cfg.Asked, lakeio.Captures, func(c harrow.Capture) error {
			added, err := m.ids.Add(c.ID)
			if err != nil || !added || limit == 0 {
				return err
			}
			if u, err := p.site.canon.Parse(c.URL); err == nil {
				m.count[p.cappedBy(u)]++
			}
			return nil
		})
	})
	if m.err != nil {
		return fmt.Errorf("what was asked for before: %w", m.err)
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
