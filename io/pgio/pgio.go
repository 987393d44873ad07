// Package pgio is the PostgreSQL sink, registered as "postgres": a schema or a
// database of the job's own, one table per record, rows upserted by the job's
// key.
package pgio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
)

func init() { harrow.RegisterSink("postgres", New) }

// Sink loads records into one schema of a PostgreSQL database. It connects
// when it first needs to.
type Sink struct {
	place  place
	conns  *pool // to the database that is loaded into
	pauses []time.Duration
	now    harrow.Clock

	mu    sync.Mutex
	ready map[string]bool // tables that are as the record and the key want them
	down  bool            // the server was waited for in vain: see retry
}

// New makes a sink from its JSON [Config]. An error about one of its keys is a
// [harrow.ConfigError], and holds nothing of the url.
func New(config json.RawMessage, env harrow.SinkEnv) (harrow.Sink, error) {
	var c Config
	if err := harrow.ReadConfig(config, &c); err != nil {
		return nil, err
	}
	p, err := c.place(env.Job)
	if err != nil {
		return nil, err
	}
	return &Sink{place: p, conns: newPool(p.config(p.database)), pauses: pauses(), now: time.Now, ready: map[string]bool{}}, nil
}

// Close closes the connections.
func (s *Sink) Close() error {
	if err := s.conns.close(); err != nil {
		return fmt.Errorf("%s: %w", s.place, err)
	}
	return nil
}

// Check implements [harrow.Sink]: a server that can't be reached or written,
// a schema that is somebody else's, names that can't be tables or columns, a
// stored column of another type. It creates nothing.
func (s *Sink) Check(ctx context.Context, types []harrow.RecordType) error {
	errs := []error{checkNames(types)}
	if err := s.checkServer(ctx, types); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", s.place, err))
	}
	return errors.Join(errs...)
}

// Load implements [harrow.Sink]. A shard is one transaction; an error leaves
// the database as it was. What passes by itself (a lost connection, a restart
// of the server, a deadlock) is waited for about a minute.
func (s *Sink) Load(ctx context.Context, shard harrow.Shard) (counts harrow.Counts, err error) {
	defer func() {
		if err != nil {
			counts, err = harrow.Counts{}, fmt.Errorf("%s: record %s, shard %d: %w", s.place, shard.Record.Name, shard.Shard, err)
		}
	}()
	l, err := newLoader(s.place, shard)
	if err != nil {
		return counts, err
	}
	err = s.retry(ctx, func() error {
		return s.conns.with(ctx, func(c *pgx.Conn) error {
			if err := s.prepare(ctx, c, l); err != nil {
				return err
			}
			counts, err = l.load(ctx, session{c, s.place}, s.now)
			return err
		})
	})
	return counts, err
}

// prepare makes the schema and the shard's table, once.
func (s *Sink) prepare(ctx context.Context, c *pgx.Conn, l *loader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := l.tableID()
	if s.ready[id] {
		return nil
	}
	err := session{c, s.place}.transaction(ctx, func(c session) error {
		if err := c.lock(ctx); err != nil {
			return err
		}
		if err := c.place.make(ctx, c.conn); err != nil {
			return err
		}
		return c.prepareTable(ctx, l.shard.Record, l.shard.Key)
	})
	s.ready[id] = err == nil
	return err
}
