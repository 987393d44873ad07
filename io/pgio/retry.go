package pgio

import (
	"context"
	"errors"
	"io"
	"net"
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
func (s *Sink) retry(ctx context.Context, f func() error) error {
	var err error
	for i := 0; ; i++ {
		if err = f(); err == nil {
			s.note(false)
			return nil
		}
		if ctx.Err() != nil || !passes(err) {
			return err
		}
		s.forget(err)
		if i >= len(s.pauses) || s.waitedInVain() {
			break
		}
		timer := time.NewTimer(s.pauses[i])
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
	s.note(unreachable(err))
	return err
}

func (s *Sink) note(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *Sink) waitedInVain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// forget makes the next try look at tables again when one was gone.
func (s *Sink) forget(err error) {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) && slices.Contains(gone, e.Code) {
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(s.ready)
	}
}

// gone are the codes of a table, a schema or a column that somebody took away.
var gone = []string{"42P01", "3F000", "42703"}

// passes reports whether an error may pass by itself.
func passes(err error) bool {
	if f := (final{}); errors.As(err, &f) {
		return false
	}
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		switch e.Code {
		case "40001", "40P01", "55P03", // serialisation failure, deadlock, lock time-out
			"57P01", "57P02", "57P03", "53300", // shut down, crashed, starting; too many connections
			"57014": // cancelled by somebody else
			return true
		}
		return strings.HasPrefix(e.Code, "08") || slices.Contains(gone, e.Code)
	}
	return unreachable(err)
}

// unreachable reports whether an error is one of the connection.
func unreachable(err error) bool {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return e.Code == "57P03"
	}
	var netErr net.Error
	return errors.As(err, &netErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errLost)
}

// errLost marks errors of a connection that is gone.
var errLost = errors.New("the connection is lost")
