// Package pgio is the PostgreSQL sink, registered as "postgres": a schema or a
// database of the job's own, one table per record, rows upserted by the job's
// key. It needs PostgreSQL 12 and a database in UTF8.
//
// # Tables
//
// A table has the record's data columns, then [harrow.Provenance], and its key
// as its primary key, named _harrow_key_TABLE:
//
//	text text · int bigint · float double precision · bool boolean ·
//	decimal(P,S) numeric(P,S) · date date ·
//	timestamp timestamp with time zone · list(T) T[]
//
// A column that a table lacks is added; a column that the record lacks stays
// as it is, and nothing is ever dropped but the key, when the job has another
// one. A column of another type is an error before the first fetch. A table
// that somebody made by hand is taken if its columns fit; a unique constraint
// on the key's columns is as good as ours. Names are kept as they are, upper
// case too, and never cut: one of more than 63 bytes is an error.
//
// Numbers that are none (NaN) and infinities are kept. What PostgreSQL has no
// value for is a reject: NUL and what is no UTF-8 in texts, days and moments
// beyond its calendar (4713 BC to 5874897 for dates, to 294276 for
// timestamps), a decimal of more digits than its column.
//
// Every table and column has a comment that says what it is, and so has the
// schema. Names that begin with _harrow are the sink's own: _harrow_job says
// whose schema this is, _harrow_marks which shards are loaded, and
// _harrow_rejects what was refused of them.
//
// # Loading
//
// A shard is one transaction. Its mark is put first, so that nobody else loads
// it at the same time (who does is waited for, three minutes), and gets its
// counts last. Its rows go by COPY, in
// binary, batch by batch, into a temporary table, and from there in one
// statement into the record's: it inserts new rows, updates those of which a
// data column differs, unless they are older than what is stored, and touches
// nothing else. Rows of one key go one after the other; each time a key comes
// again in a shard costs a statement, so refine should leave one row of it.
//
// While rows are written the search path is pg_catalog and the job's schema:
// what a trigger or a CHECK uses of other schemas it must name with them.
//
// A row that the table refuses (a constraint, a trigger that raises or leaves
// it out, a key too long for its index) is a reject and its neighbours are
// loaded: the statement is undone and halved until the row is alone, which
// costs about log n statements for each bad row of n. What is a matter of the
// store (no permission, disk or memory full, read-only) is an error.
//
// Deadlocks, serialisation failures, locks of others, lost connections and a
// server that starts again are waited for, about a minute after the first
// failure, and the shard is loaded from its first row. A commit whose answer
// was lost is found by its mark; where rejects were handed on before, by the
// call after this one, which fails.
//
// All settings, the role and the temporary table end with the transaction, and
// statements have no names: a pooler like PgBouncer may stand between, in
// transaction mode.
//
// # Isolation
//
// The schema is made on demand, and so is the database with isolation:
// database. Where the connection's role may make roles (superuser or
// CREATEROLE) the schema belongs to a role of its own that can't log in,
// harrow_DATABASE_SCHEMA (harrow_SCHEMA in a database of that name; one that
// is longer, or another place's already, ends in a digest), and every
// transaction acts as that role: it owns what is made, and has no rights
// elsewhere but those that everybody has. Triggers and functions in the schema
// run as it too. From a database of the job's own everybody else is kept out
// (CONNECT is revoked from PUBLIC). Where no role can be made, or it could not
// be given what it needs (CREATE in the database, TEMPORARY), the connection's
// own loads: give each job a login of its own then.
//
// An existing schema is taken if it is empty or the job's already. One that
// has tables and is no job's is taken where the job file names it: the
// connection's role loads then, and what is there stays whose and what it is.
// Otherwise that is an error, and so is a schema of another job, and, with
// isolation: database, a database with tables elsewhere.
//
// The role is no wall against code that somebody puts into the schema on
// purpose, which may RESET ROLE: that needs a login without other rights.
package pgio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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
	hung   time.Duration // how long another loader of the same shard is waited for

	making chan struct{}     // held by who makes what is not there yet, and guards:
	based  bool              // the database is there
	actor  string            // who loads; empty: the connection's own role
	ready  map[string]string // tables, and the columns and the key that they have by now

	down  atomic.Bool // the server was waited for in vain: see retry
	tired sync.Map    // shards that were tried for long enough, likewise
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
	return &Sink{place: p, conns: newPool(p.config(p.database)), pauses: pauses(), now: time.Now, hung: 3 * time.Minute,
		making: make(chan struct{}, 1), ready: map[string]string{}}, nil
}

// Close closes the connections.
func (s *Sink) Close() error {
	s.conns.close()
	return nil
}

// Check implements [harrow.Sink]: a server that can't be reached or written,
// a schema that is somebody else's, names that can't be tables or columns, a
// stored column of another type. It creates nothing.
func (s *Sink) Check(ctx context.Context, types []harrow.RecordType) error {
	var errs []error
	if err := checkNames(types); err != nil {
		errs = append(errs, &harrow.ConfigError{Err: err})
	}
	err := s.retry(ctx, "check", s.pauses[:min(3, len(s.pauses))], func() error { return s.checkServer(ctx, types) })
	if err != nil {
		errs = append(errs, misconfigured(fmt.Errorf("%s: %w", s.place, onOneLine{err})))
	}
	return errors.Join(errs...)
}

// onOneLine is an error of the driver, which tells each address that it tried on
// a line of its own.
type onOneLine struct{ error }

func (e onOneLine) Error() string {
	return strings.NewReplacer(":\n\t", ": ", "\n\t", "; ").Replace(e.error.Error())
}

func (e onOneLine) Unwrap() error { return e.error }

// misconfigured makes a [harrow.ConfigError] of an error of Check that no
// waiting mends: who logs in, what that role may do, what the database has
// already. Any other (nobody answers, the disk is full) stays as it is.
func misconfigured(err error) error {
	if err == nil {
		return nil
	}
	if e := pgError(err); e != nil {
		// Invalid authorisation, insufficient privilege, no such database.
		if strings.HasPrefix(e.Code, "28") || e.Code == "42501" || e.Code == "3D000" {
			return &harrow.ConfigError{Key: "url", Err: err}
		}
		return err
	}
	if f := (final{}); errors.As(err, &f) {
		return &harrow.ConfigError{Err: err}
	}
	return err
}

// Load implements [harrow.Sink]. A shard is one transaction; an error leaves
// the database as it was. What passes by itself (a lost connection, a restart
// of the server, a deadlock, a lock) is waited for about a minute, and in
// further calls for the same shard only once.
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
	l.hung = s.hung
	err = s.retry(ctx, fmt.Sprint(markOf(shard)...), s.pauses, func() error {
		if err := s.makeDatabase(ctx); err != nil {
			return err
		}
		return s.conns.with(ctx, func(c *pgx.Conn) error {
			actor, err := s.prepare(ctx, c, l)
			if err != nil {
				return err
			}
			counts, err = l.load(ctx, session{c, s.place}, actor, s.now)
			return err
		})
	})
	return counts, err
}

// makeDatabase makes the job's database, once.
func (s *Sink) makeDatabase(ctx context.Context) error {
	return s.alone(ctx, func() (err error) {
		if !s.based {
			err = s.place.makeDatabase(ctx)
			s.based = err == nil
		}
		return err
	})
}

// prepare makes the schema and the shard's table, once, and returns the role
// that loads it.
func (s *Sink) prepare(ctx context.Context, conn *pgx.Conn, l *loader) (actor string, err error) {
	err = s.alone(ctx, func() (err error) {
		table, wanted := l.shard.Record.Name, l.wanted()
		if s.ready[table] != wanted {
			actor, err := session{conn, s.place}.prepare(ctx, l.shard)
			if err != nil {
				return err
			}
			s.actor, s.ready[table] = actor, wanted
		}
		actor = s.actor
		return nil
	})
	return actor, err
}

// alone runs f while nobody else runs in here.
func (s *Sink) alone(ctx context.Context, f func() error) error {
	select {
	case s.making <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.making }()
	return f()
}
