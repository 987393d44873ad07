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

// retry tries f again while its error may pass. Whoever calls Load tries again
// too: a server that was waited for in vain once is asked only once a call
// until it has answered.
func (s *Sink) retry(ctx context.Context, pauses []time.Duration, f func() error) error {
	for i := 0; ; i++ {
		err := f()
		if err == nil {
			s.down.Store(false)
			return nil
		}
		if ctx.Err() != nil || !passes(err) {
			return err
		}
		if err := s.forget(ctx, err); err != nil {
			return err
		}
		if i >= len(pauses) || s.down.Load() {
			s.down.Store(unreachable(err))
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
	if !slices.Contains(gone, e.Code) {
		return nil
	}
	return s.alone(ctx, func() error {
		s.based = false
		clear(s.ready)
		return nil
	})
}

// gone are the codes of a database, a schema, a table, a column or a role that
// somebody took away, and of a key that an upsert can't go by any more.
var gone = []string{"3D000", "3F000", "42P01", "42703", "22023", "42P10"}

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
		return strings.HasPrefix(e.Code, "08") || slices.Contains(gone, e.Code) && !isConnect(err) || slices.Contains(raced, e.Code)
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
