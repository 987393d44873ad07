package pgio

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// maxConns is how many connections a sink has at most: as many as shards are
// loaded at once.
const maxConns = 4

// pool keeps a few connections, made when they are first needed.
type pool struct {
	config *pgx.ConnConfig
	tokens chan struct{}

	mu   sync.Mutex
	idle []*pgx.Conn
	over bool
}

func newPool(c *pgx.ConnConfig) *pool {
	return &pool{config: c, tokens: make(chan struct{}, maxConns)}
}

// with runs f on a connection that nobody else uses. One that f leaves closed
// or in the middle of a transaction is not used again.
func (p *pool) with(ctx context.Context, f func(*pgx.Conn) error) error {
	select {
	case p.tokens <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.tokens }()
	c, err := p.take(ctx)
	if err != nil {
		return err
	}
	err = f(c)
	if err != nil && c.IsClosed() && pgError(err) == nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", errLost, err)
	}
	if err != nil && !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
		rollback(c)
	}
	p.give(c)
	return err
}

func (p *pool) take(ctx context.Context) (*pgx.Conn, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	return pgx.ConnectConfig(ctx, p.config)
}

func (p *pool) give(c *pgx.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || c.IsClosed() || c.PgConn().TxStatus() != 'I' {
		_ = hangUp(c) // its transaction, if there is one, is rolled back
		return
	}
	p.idle = append(p.idle, c)
}

// clear closes connections that nobody uses: a server that has gone away took
// them with it.
func (p *pool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		_ = hangUp(c)
	}
	p.idle = nil
}

// close closes all connections. There is nothing to lose by it: what was
// written is committed.
func (p *pool) close() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.clear()
}

// patience is for what is said in parting.
const patience = 5 * time.Second

func hangUp(c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Close(ctx)
}

func rollback(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
		_ = hangUp(c) // the server rolls back what it hears no more of
	}
}
