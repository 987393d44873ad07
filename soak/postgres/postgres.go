// Package postgres runs a PostgreSQL server for tests: a real one, which can
// be killed, hung, stopped and started again.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Password is the superuser's: a test may look for it where no secret belongs.
const Password = "pa55-w0rd-of-the-test"

// patience is how long a server may take to start, recover or end.
const patience = time.Minute

// settings are what every server here starts with; those handed to Start and
// Restart come after them and win. Nothing is synced: what is killed here is
// a process, and what it wrote stays with the kernel.
var settings = []string{
	"listen_addresses=127.0.0.1", "max_connections=50", "shared_buffers=16MB", "max_wal_size=256MB",
	"fsync=off", "full_page_writes=off", "autovacuum_naptime=10min", "wal_level=minimal", "max_wal_senders=0",
	"logging_collector=off", "log_min_messages=warning", "log_timezone=UTC", "timezone=UTC", "restart_after_crash=on",
}

// Server is a PostgreSQL server. Its methods are safe for concurrent use, but
// what kills, stops and starts it is done by one at a time.
type Server struct {
	// Dir holds the data (in data), the log and the sockets.
	Dir string

	programs string   // folder
	own      []string // settings
	account  *syscall.Credential
	port     int
	keeper   io.Closer

	mu       sync.Mutex
	postgres *exec.Cmd
	ended    chan struct{}
}

// ErrMissing: PostgreSQL is not installed.
var ErrMissing = errors.New("no PostgreSQL server found; make setup installs it")

// New makes a database cluster in a new folder of dir, which the server's user
// must be able to enter, and starts a server for it. Settings are those of
// postgresql.conf, each as name=value ("fsync=on"). The server ends with this
// process, however that ends, or by Close.
func New(dir string, settings ...string) (*Server, error) {
	programs, err := find()
	if err != nil {
		return nil, err
	}
	return start(dir, programs, settings)
}

// Start is New in the folder for temporary files, for a test; the server ends
// with it. Where PostgreSQL is not installed, the test is skipped; with
// HARROW_TEST_REQUIRE=1 it fails.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	return StartIn(tb, os.TempDir(), settings...)
}

// StartIn is Start in another folder.
func StartIn(tb testing.TB, dir string, settings ...string) *Server {
	tb.Helper()
	s := must(tb, func() (*Server, error) { return New(dir, settings...) })
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the server's log:\n%s", s.Log())
		}
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

var shared = sync.OnceValues(func() (*Server, error) { return New(os.TempDir()) })

// Shared is one server for all tests of a process. It ends with the process;
// who disturbs it takes one of its own.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	return must(tb, shared)
}

func must(tb testing.TB, make func() (*Server, error)) *Server {
	tb.Helper()
	s, err := make()
	if errors.Is(err, ErrMissing) && os.Getenv("HARROW_TEST_REQUIRE") != "1" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// find looks for the server's programs where Debian puts them.
func find() (folder string, err error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		path, err := exec.LookPath("postgres")
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrMissing, err)
		}
		found = []string{path}
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// version is N of /usr/lib/postgresql/N/bin/postgres.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for any other
	return n
}

// account is who the server runs as: it refuses to be root.
func account() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// freePort finds one below those that the kernel gives to clients: it is still
// free when the server comes back to it.
func freePort() (int, error) {
	for range 100 {
		port := 15000 + rand.IntN(15000)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("PostgreSQL: no free port found on 127.0.0.1")
}

func start(dir, programs string, more []string) (_ *Server, err error) {
	s := &Server{programs: programs, own: more}
	if s.account, err = account(); err != nil {
		return nil, err
	}
	if s.Dir, err = os.MkdirTemp(dir, "harrow-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err = s.Give(s.Dir); err != nil {
		return nil, err
	}
	if err = s.keep(); err != nil {
		return nil, err
	}
	if err = s.initialise(); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	return s, s.Restart()
}

// Give makes a file or folder the server's user's.
func (s *Server) Give(path string) error {
	if s.account == nil {
		return nil
	}
	return os.Chown(path, int(s.account.Uid), int(s.account.Gid))
}

// keep starts the one that ends the server and removes its folder once this
// process is gone: then its standard input ends. Postmaster's children end by
// themselves when it does.
func (s *Server) keep() error {
	const script = `read -r _
pid=$(head -n 1 data/postmaster.pid 2>/dev/null) && kill -CONT "$pid" && kill -QUIT "$pid"
cd / && for i in 1 2 3; do rm -rf "$0" && break; sleep 1; done`
	k := exec.Command("sh", "-c", script, s.Dir)
	k.Dir = s.Dir
	k.SysProcAttr = &unix.SysProcAttr{Setsid: true} // a Ctrl-C in the terminal is not for it
	in, err := k.StdinPipe()
	if err != nil {
		return err
	}
	if err := k.Start(); err != nil {
		return err
	}
	s.keeper = closer(func() error { return errors.Join(in.Close(), k.Wait()) })
	return nil
}

type closer func() error

func (c closer) Close() error { return c() }

func (s *Server) initialise() error {
	words := filepath.Join(s.Dir, "password")
	if err := os.WriteFile(words, []byte(Password+"\n"), 0o644); err != nil { // in a folder for the server's user alone
		return err
	}
	out, err := s.command("initdb", "--pgdata", s.data(), "--no-sync", "--no-instructions", "--username", "postgres", "--pwfile", words,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8").CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("initdb: %w; the server's user must be able to enter %s", err, filepath.Dir(s.Dir))
	}
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// command is a program of PostgreSQL's, run as the server's user.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.programs, name), args...)
	c.Dir = s.Dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"}
	c.SysProcAttr = &unix.SysProcAttr{Credential: s.account, Setsid: true}
	return c
}

// Close kills the server and removes all it had.
func (s *Server) Close() error {
	err := s.Kill()
	if s.keeper != nil {
		err = errors.Join(err, s.keeper.Close())
	}
	return errors.Join(err, os.RemoveAll(s.Dir))
}

// Log is what the server wrote to its log, the last 8 KiB of it.
func (s *Server) Log() string {
	text, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-8<<10):])
}

// Address is the host and port of the server; they stay.
func (s *Server) Address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// URL is how the superuser reaches a database.
func (s *Server) URL(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword("postgres", Password), Host: s.Address(), Path: "/" + database}).String()
}

var databases atomic.Int64

// Database makes an empty database for a test, which is dropped after it, and
// returns its URL.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if _, err := s.SQL(tb.Context(), "postgres", "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// Of a server that is gone by now nothing stays anyway.
		if _, err := s.SQL(context.Background(), "postgres", "DROP DATABASE "+name+" WITH (FORCE)"); err != nil && s.ready() {
			tb.Error(err)
		}
	})
	return s.URL(name)
}

// SQL runs statements by psql and returns what it prints: a row a line, its
// values between |.
func (s *Server) SQL(ctx context.Context, database, statements string) (string, error) {
	c := exec.CommandContext(ctx, filepath.Join(s.programs, "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--set", "ON_ERROR_STOP=1", "--file", "-", s.URL(database))
	c.Stdin = strings.NewReader(statements)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}
