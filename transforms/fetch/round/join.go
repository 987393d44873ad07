package round

import (
	"context"
	"fmt"
	"sync"

	"github.com/harrowdata/harrow/transforms/parts/engine"
)

var (
	processesMu sync.Mutex
	processes   = map[string]*Process{} // by workspace, job, run, stage, who submitted it
	leaving     = map[*Process]bool{}   // no longer to be joined, and not through yet
)

func (c Config) identity() string {
	return c.Env.Workspace + "\x00" + c.Env.Job + "\x00" + c.Env.Run + "\x00" + c.Env.Stage + "\x00" + c.Process
}

// Join returns this process's Process of a round, starting it if need be: also
// when one has ended, of which a bundle has not let go. Each Join wants one
// Close.
func Join(ctx context.Context, cfg Config) (*Process, error) {
	processesMu.Lock()
	defer processesMu.Unlock()
	if closed {
		return nil, fmt.Errorf("%s: %w", cfg.Env.Stage, errClosed)
	}
	if p, ok := processes[cfg.identity()]; ok {
		if !p.hasEnded() {
			p.refs++
			return p, nil
		}
		delete(processes, cfg.identity())
		leaving[p] = true
	}
	p, err := start(ctx, cfg)
	if err != nil {
		if cfg.Remote {
			err = engine.OnWorker(err)
		}
		return nil, fmt.Errorf("%s: %w", cfg.Env.Stage, err)
	}
	p.refs = 1
	processes[cfg.identity()] = p
	return p, nil
}
