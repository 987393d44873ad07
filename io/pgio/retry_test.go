package pgio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/postgres"
)

// after yields a shard's first batch, does something, and goes on: once.
func after(shard harrow.Shard, what func()) harrow.Shard {
	all := shard.Batches
	var once sync.Once
	shard.Batches = func() iter.Seq2[harrow.Batch, error] {
		return func(yield func(harrow.Batch, error) bool) {
			for b, err := range all() {
				if !yield(b, err) {
					return
				}
				once.Do(what)
			}
		}
	}
	return shard
}

func manyRows(n int) (rows []row) {
	for i := range n {
		rows = append(rows, bookRow(fmt.Sprintf("%06d", i), int64(i), day, "r1"))
	}
	return rows
}

// TestAServerThatGoesAwayIsWaitedFor ends backends, then the server, in the
// middle of a COPY.
func TestAServerThatGoesAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	srv := postgres.Start(t)
	s := newSink(t, Config{URL: srv.URL("postgres")})
	n := 3 * lakeio.BatchRows
	var back sync.WaitGroup
	for i, harm := range []func() error{
		func() error { _, err := srv.Terminate(t.Context()); return err },
		func() error { _, err := srv.KillBackends(t.Context()); return err },
		func() error {
			back.Go(func() {
				if err := srv.Restart(); err != nil {
					t.Error(err)
				}
			})
			return srv.Kill()
		},
	} {
		shard := after(bookShard(t, fmt.Sprint("r", i), append(manyRows(n), bookRow(nil, nil, day, "r1"))...), func() {
			if err := harm(); err != nil {
				t.Error(err)
			}
		})
		var refused atomic.Int64
		shard.Reject = func(harrow.Reject) error { refused.Add(1); return nil }
		want := harrow.Counts{Added: int64(n), Rejected: 1}
		if i > 0 {
			want = harrow.Counts{Unchanged: int64(n), Rejected: 1}
		}
		load(t, s, shard, want)
		back.Wait()
		if refused.Load() != 1 {
			t.Errorf("%d rejects handed on, want 1", refused.Load())
		}
	}
	wantRows(t, s, "SELECT count(*), sum(stock) FROM book", fmt.Sprint(n, "|", n*(n-1)/2))
	wantRows(t, s, "SELECT count(*) FROM _harrow_marks", "3")
}

func TestAServerThatStaysAwayIsAnErrorThatNamesIt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := newSink(t, Config{URL: "postgres://me:" + secret + "@" + address + "/d"})
	s.pauses = []time.Duration{1, 1, 1, 1}
	_, away := s.Load(t.Context(), bookShard(t, "r1"))
	for _, err := range []error{away, s.Check(t.Context(), nil)} {
		if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "database d") || strings.Contains(err.Error(), secret) {
			t.Error(err)
		}
	}
	// It is waited for once, and again when it has answered.
	s.down.Store(false)
	for i, c := range []struct {
		err  error
		want int
	}{{away, 5}, {away, 1}, {nil, 1}, {away, 5}, {away, 1}} {
		tries := 0
		if err := s.retry(t.Context(), "", s.pauses, func() error { tries++; return c.err }); !errors.Is(err, c.err) || tries != c.want {
			t.Errorf("call %d: %d tries, %v; want %d", i, tries, err, c.want)
		}
	}
}

// What passes by itself is waited for for a while, whatever a try takes, and by
// one of the calls for a shard.
func TestNothingIsTriedWithoutEnd(t *testing.T) {
	s, err := open(Config{URL: "postgres://h/d"}, "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.pauses = []time.Duration{1, 1, 1, 1}
	now := day
	s.now = func() time.Time { return now }
	locked := error(&pgconn.PgError{Code: "55P03"})
	for i, c := range []struct {
		what  string
		err   error
		takes time.Duration
		want  int
	}{
		{"a", locked, time.Second, 5}, {"a", locked, time.Second, 1}, {"b", locked, 25 * time.Second, 4}, {"b", locked, 0, 1},
		{"a", nil, 0, 1}, {"a", locked, 0, 5}, {"c", locked, time.Hour, 2},
	} {
		tries := 0
		if err := s.retry(t.Context(), c.what, s.pauses, func() error { tries++; now = now.Add(c.takes); return c.err }); !errors.Is(err, c.err) || tries != c.want {
			t.Errorf("call %d: %d tries, %v; want %d", i, tries, err, c.want)
		}
	}
}

// Somebody else who loads the shard and hangs is not waited for for ever, and
// named as what is in the way.
func TestAHungLoaderOfTheSameShardIsAnError(t *testing.T) {
	t.Parallel()
	s := newSink(t, home(t))
	s.hung = 50 * time.Millisecond
	load(t, s, bookShard(t, "r0"), harrow.Counts{})
	hangs, done := make(chan struct{}), make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		load(t, s, after(bookShard(t, "r1", bookRow("1", nil, day, "r1")), func() { close(hangs); <-done }), harrow.Counts{Added: 1})
	})
	<-hangs
	_, err := s.Load(t.Context(), bookShard(t, "r1", bookRow("1", nil, day, "r1")))
	if err == nil || !strings.Contains(err.Error(), "somebody else has been loading the same shard for 50ms") {
		t.Error(err)
	}
	close(done)
	other.Wait()
	load(t, s, bookShard(t, "r1"), harrow.Counts{Added: 1})
}

func TestAWrongPasswordIsSaidAtOnceAndNotShown(t *testing.T) {
	u, _ := url.Parse(postgres.Shared(t).URL("postgres"))
	u.User = url.UserPassword("postgres", secret)
	s := newSink(t, Config{URL: u.String()})
	_, err := s.Load(t.Context(), bookShard(t, "r1"))
	for _, err := range []error{err, s.Check(t.Context(), nil)} {
		if err == nil || !strings.Contains(err.Error(), "28P01") || strings.Contains(err.Error(), secret) {
			t.Error(err)
		}
	}
}

// proxy hands bytes on until a client says COMMIT with lose set: then the
// answer is lost.
func proxy(t *testing.T, to string, lose *atomic.Bool) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				t.Error(err)
				return
			}
			var lost atomic.Bool
			all.Go(func() {
				defer server.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := client.Read(buf)
					if bytes.Contains(buf[:n], []byte("COMMIT\x00")) && lose.CompareAndSwap(true, false) {
						lost.Store(true)
					}
					if _, werr := server.Write(buf[:n]); err != nil || werr != nil {
						return
					}
				}
			})
			all.Go(func() {
				defer client.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := server.Read(buf)
					if err != nil || lost.Load() {
						return
					}
					if _, err := client.Write(buf[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	return l.Addr().String()
}

// A commit whose answer is lost is found by its mark. Rejects that were handed
// on are not handed on twice: the caller, who tries again, begins anew.
func TestACommitWhoseAnswerIsLostCounts(t *testing.T) {
	srv := postgres.Shared(t)
	c := home(t)
	direct := newSink(t, c)
	load(t, direct, bookShard(t, "r0"), harrow.Counts{})
	var lose atomic.Bool
	u, _ := url.Parse(c.URL)
	u.Host = proxy(t, srv.Address(), &lose)
	u.RawQuery = "sslmode=disable"
	c.URL = u.String()
	s := newSink(t, c)
	load(t, s, bookShard(t, "r0"), harrow.Counts{}) // the table is ready

	lose.Store(true)
	load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1")), harrow.Counts{Added: 1})
	if lose.Load() {
		t.Error("no answer was lost")
	}

	lose.Store(true)
	shard := bookShard(t, "r2", bookRow("2", nil, day, "r2"), bookRow(nil, nil, day, "r2"))
	handed := 0
	shard.Reject = func(harrow.Reject) error { handed++; return nil }
	if _, err := s.Load(t.Context(), shard); err == nil || handed != 1 {
		t.Errorf("%v, %d rejects", err, handed)
	}
	load(t, s, shard, harrow.Counts{Added: 1, Rejected: 1})
	if handed != 2 {
		t.Errorf("%d rejects over two loads", handed)
	}
	wantRows(t, direct, "SELECT upc, _run FROM book ORDER BY upc", "1|r1", "2|r2")
}

// A connection that is lost while rejects are handed on is an error of the
// call: a try of the sink's own would hand the first ones on twice.
func TestRejectsAreNotHandedOnTwiceByOneCall(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of rejects")
	}
	t.Parallel()
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r0"), harrow.Counts{})
	const n = 2000 // more than is on its way at once
	var rows []row
	text := []string{noise(10_000)}
	for range n {
		r := bookRow(nil, nil, day, "r1")
		r.values[7] = text
		rows = append(rows, r)
	}
	shard := bookShard(t, s.place.schema, rows...)
	handed := 0
	shard.Reject = func(harrow.Reject) error {
		if handed++; handed == 1 {
			wantRows(t, s, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'harrow shop "+s.place.schema+"'", "t")
		}
		return nil
	}
	if _, err := s.Load(t.Context(), shard); err == nil || handed >= n {
		t.Errorf("%v, %d rejects handed on", err, handed)
	}
	first := handed
	load(t, s, shard, harrow.Counts{Rejected: n})
	if handed != first+n {
		t.Errorf("%d rejects handed on, then %d more", first, handed-first)
	}
}

// What waits for somebody's lock ends with its context, on the server too.
func TestWaitingForALockEndsWithTheContext(t *testing.T) {
	c := home(t)
	s := newSink(t, c)
	load(t, s, bookShard(t, "r0", bookRow("1", nil, day, "r0")), harrow.Counts{Added: 1})
	other, err := pgx.Connect(t.Context(), c.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.WithoutCancel(t.Context()))
	if _, err := other.Exec(t.Context(), "BEGIN; UPDATE "+s.place.table("book")+" SET stock = 7"); err != nil {
		t.Fatal(err)
	}
	waiting := "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'harrow shop " + c.Schema + "'"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	shard := bookShard(t, c.Schema, bookRow("1", int64(2), day, "r1"))
	go func() {
		_, err := s.Load(ctx, shard)
		ended <- err
	}()
	wait := func(want string) {
		for dump(t, s, waiting)[0] != want {
			select {
			case <-t.Context().Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	wait("1")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wait("0")
	if _, err := other.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	load(t, s, shard, harrow.Counts{Changed: 1})
}

// Somebody takes the schema away between two shards.
func TestWhatIsGoneIsMadeAnew(t *testing.T) {
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1")), harrow.Counts{Added: 1})
	for i, gone := range []string{"DROP TABLE book", "DROP SCHEMA " + s.place.schema + " CASCADE", "ALTER TABLE book DROP COLUMN weight"} {
		dump(t, s, gone)
		want := harrow.Counts{Added: 1}
		if i == 2 {
			want = harrow.Counts{Changed: 1}
		}
		load(t, s, bookShard(t, fmt.Sprint("r", i+2), bookRow("1", nil, day, "r1")), want)
	}
}

func TestADatabaseThatIsGoneIsMadeAnew(t *testing.T) {
	t.Parallel()
	c := home(t)
	c.Isolation = byDatabase
	s := newSink(t, c)
	for _, run := range []string{"r1", "r2"} {
		load(t, s, bookShard(t, run, bookRow("1", nil, day, run)), harrow.Counts{Added: 1})
		if _, err := postgres.Shared(t).SQL(t.Context(), "postgres", "DROP DATABASE "+c.Schema+" WITH (FORCE)"); err != nil {
			t.Fatal(err)
		}
	}
	c = home(t)
	c.URL, c.Isolation = as(t, c.URL, c.Schema+"_none"), byDatabase
	s = newSink(t, c)
	s.pauses = []time.Duration{time.Hour}
	if _, err := s.Load(t.Context(), bookShard(t, "r1")); err == nil || !strings.Contains(err.Error(), "3D000") {
		t.Error(err)
	}
}

// Triggers find the tables of the job's schema; what they miss is theirs, not
// ours, and making our tables anew would not help.
func TestWhatATriggerMissesIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSink(t, home(t))
	load(t, s, bookShard(t, "r0"), harrow.Counts{})
	dump(t, s, `CREATE TABLE log (upc text); GRANT ALL ON log TO PUBLIC;
		CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.upc); RETURN NEW; END $$;
		CREATE TRIGGER logs AFTER INSERT ON book FOR EACH ROW EXECUTE FUNCTION logs()`)
	load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1")), harrow.Counts{Added: 1})
	wantRows(t, s, "SELECT upc FROM log", "1")
	dump(t, s, "DROP TABLE log")
	tries := 0
	shard := bookShard(t, "r2", bookRow("2", nil, day, "r2"))
	all := shard.Batches
	shard.Batches = func() iter.Seq2[harrow.Batch, error] { tries++; return all() }
	if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), `relation "log" does not exist`) || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

// A server's own settings would end a long COPY, or lose a commit.
func TestSettingsOfTheRoleDoNoHarm(t *testing.T) {
	t.Parallel()
	name, to := login(t, "CREATEROLE")
	mayCreate(t, name)
	srv := postgres.Shared(t)
	if _, err := srv.SQL(t.Context(), "postgres", "ALTER ROLE "+name+" SET client_encoding = 'LATIN1'; ALTER ROLE "+name+" SET statement_timeout = '1s'; ALTER ROLE "+name+" SET synchronous_commit = off;"+
		"ALTER ROLE "+name+" SET standard_conforming_strings = off; ALTER ROLE "+name+" SET default_transaction_isolation = serializable; ALTER ROLE "+name+" SET search_path = nowhere"); err != nil {
		t.Fatal(err)
	}
	c := home(t)
	c.URL = to + "?client_encoding=LATIN1"
	s := newSink(t, c)
	s.pauses = nil
	rows := append(manyRows(5000), bookRow("für €", nil, day, "r1"))
	shard := after(bookShard(t, `r\1'`, rows...), func() { <-time.After(1200 * time.Millisecond) })
	load(t, s, shard, harrow.Counts{Added: 5001})
	wantRows(t, newSink(t, home(t)), "SELECT upc FROM "+s.place.table("book")+" WHERE length(upc) = 5", "für €")
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	lost := fmt.Errorf("%w: %w", errLost, io.ErrUnexpectedEOF)
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&pgconn.PgError{Code: "40001"}, true}, {&pgconn.PgError{Code: "40P01"}, true}, {&pgconn.PgError{Code: "55P03"}, true}, {&pgconn.PgError{Code: "57P01"}, true},
		{&pgconn.PgError{Code: "57P03"}, true}, {&pgconn.PgError{Code: "53300"}, true}, {&pgconn.PgError{Code: "08006"}, true}, {&pgconn.PgError{Code: "42P01"}, true},
		{&pgconn.PgError{Code: "42P01", Where: "PL/pgSQL function f() line 1 at SQL statement"}, false}, {&pgconn.PgError{Code: "42703", InternalQuery: "SELECT x"}, false},
		{&pgconn.PgError{Code: "XX000", Message: "tuple concurrently updated"}, true}, {&pgconn.PgError{Code: "XX000"}, false},
		{&pgconn.PgError{Code: "53100"}, false}, {&pgconn.PgError{Code: "42501"}, false}, {&pgconn.PgError{Code: "25006"}, false}, {&pgconn.PgError{Code: "23505"}, false},
		{lost, true}, {final{lost}, false}, {io.ErrUnexpectedEOF, false}, {errors.New("x"), false},
	} {
		if got := passes(fmt.Errorf("wrapped: %w", c.err)); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
