package pgio

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// pauses are what is waited before each further try of what may pass: long
// enough, together, for a server to start again.
func pauses() []time.Duration {
	const ms, s = time.Millisecond, time.Second
	return []time.Duration{50 * ms, 100 * ms, 250 * ms, 500 * ms, s, 2 * s, 4 * s, 8 * s, 8 * s, 8 * s, 8 * s, 8 * s, 8 * s}
}

// final is an error that is not tried again here.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// longEnough is how long f is tried again after it failed, however long each
// try takes: one may wait for a lock for half a minute.
const longEnough = time.Minute

// retry tries f again while its error may pass. Whoever calls Load tries again
// too: what was waited for in vain once (a server that can't be reached, or
// what, which is a shard) is tried only once a call until that went well.
func (s *Sink) retry(ctx context.Context, what string, pauses []time.Duration, f func() error) error {
	var failed time.Time
	for i := 0; ; i++ {
		err := f()
		if err == nil {
			s.down.Store(false)
			s.tired.Delete(what)
			return nil
		}
		if ctx.Err() != nil || !passes(err) && !s.databaseGone(err) {
			return err
		}
		if err := s.forget(ctx, err); err != nil {
			return err
		}
		if i == 0 {
			failed = s.now()
		}
		if _, tired := s.tired.Load(what); tired || i >= len(pauses) || s.down.Load() || s.now().Sub(failed) >= longEnough {
			s.down.Store(unreachable(err))
			s.tired.Store(what, true)
			return err
		}
		timer := time.NewTimer(pauses[i])
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

// forget makes the next try look anew at what an error says is gone.
func (s *Sink) forget(ctx context.Context, err error) error {
	e := pgError(err)
	if e == nil || len(e.Code) < 2 || e.Code[:2] == "57" {
		s.conns.clear() // the others' server is gone too
		return nil
	}
	if !isGone(e) {
		return nil
	}
	if e.Code == "3D000" {
		s.conns.clear()
	}
	return s.alone(ctx, func() error {
		s.based = false
		clear(s.ready)
		return nil
	})
}

// gone are the codes of a database, a schema, a table, a column or a role that
// somebody took away.
var gone = []string{"3D000", "3F000", "42P01", "42703", "22023"}

// isGone reports whether something of ours was taken away. What a function of
// the user's misses (a trigger's, a CHECK's) isn't ours.
func isGone(e *pgconn.PgError) bool {
	return slices.Contains(gone, e.Code) && e.Where == "" && e.InternalQuery == ""
}

// databaseGone reports whether somebody dropped the database that we made.
func (s *Sink) databaseGone(err error) bool {
	e, f := pgError(err), final{}
	return e != nil && e.Code == "3D000" && !errors.As(err, &f) && s.place.isolation == byDatabase && s.conns.config.Database != s.place.base.Database
}

// raced are the codes of what somebody else made at the same time.
var raced = []string{"42P04", "42P06", "42P07", "42710"}

// passes reports whether an error may pass by itself.
func passes(err error) bool {
	if f := (final{}); errors.As(err, &f) {
		return false
	}
	if e := pgError(err); e != nil {
		switch e.Code {
		case "40001", "40P01", "55P03", // serialisation failure, deadlock, lock time-out
			"57P01", "57P02", "57P03", "53300", // shut down, crashed, starting; too many connections
			"57014", "XX000": // cancelled by somebody else; a row or a table that changed under a DDL
			return e.Code != "XX000" || strings.Contains(e.Message, "concurrently")
		}
		return strings.HasPrefix(e.Code, "08") || isGone(e) && !isConnect(err) || slices.Contains(raced, e.Code)
	}
	return isConnect(err) || errors.Is(err, errLost)
}

func isConnect(err error) bool {
	e := (*pgconn.ConnectError)(nil)
	return errors.As(err, &e)
}

// pgError is the server's error in a chain, or nil.
func pgError(err error) (e *pgconn.PgError) {
	errors.As(err, &e)
	return e
}

// unreachable reports whether nobody answers, or one who isn't ready.
func unreachable(err error) bool {
	e := pgError(err)
	return isConnect(err) && (e == nil || e.Code == "57P03")
}

// errLost marks errors of a connection that is gone.
var errLost = errors.New("the connection is lost")
