package postgres

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sql runs statements and wants them to print this.
func sql(t *testing.T, s *Server, database, statements, want string) {
	t.Helper()
	got, err := s.SQL(t.Context(), database, statements)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("%s: got %q, want %q", statements, got, want)
	}
}

// busy keeps a client's statement going until the connection ends.
func busy(t *testing.T, s *Server) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { _, err := s.SQL(t.Context(), "postgres", "SELECT pg_sleep(600)"); ended <- err }()
	deadline := time.Now().Add(patience)
	for {
		for _, title := range s.Backends() {
			if strings.Contains(title, "SELECT") {
				return ended
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no backend serves the client: %q", s.Backends())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestCommittedRowsOutliveEveryWayToEnd(t *testing.T) {
	t.Parallel()
	s := Start(t)
	sql(t, s, "postgres", "CREATE TABLE kept (n int)", "")
	ways := []struct {
		name string
		end  func() error
		runs bool // afterwards
	}{
		{"fast", func() error { return s.Stop("fast") }, false},
		{"immediate", func() error { return s.Stop("immediate") }, false},
		{"killed", s.Kill, false},
		{"a backend killed", func() error {
			if n, err := s.KillBackends(t.Context()); n != 1 || err != nil {
				return errors.Join(err, errors.New("want one backend killed"))
			}
			for end := time.Now().Add(patience); !strings.Contains(s.Log(), "reinitializing"); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					return errors.New("the postmaster takes no notice")
				}
			}
			return nil
		}, true},
		{"connections ended", func() error { _, err := s.Terminate(t.Context()); return err }, true},
	}
	address := s.Address()
	for i, way := range ways {
		sql(t, s, "postgres", "INSERT INTO kept VALUES (1)", "")
		client := busy(t, s)
		if err := way.end(); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		if err := <-client; err == nil {
			t.Errorf("%s: the client saw nothing of it", way.name)
		}
		if !way.runs {
			if c, err := net.Dial("tcp", address); err == nil {
				c.Close()
				t.Errorf("%s: the server still listens", way.name)
			}
			if err := s.Restart(); err != nil {
				t.Fatalf("%s: %v", way.name, err)
			}
		} else {
			settled(t, s)
		}
		if s.Address() != address {
			t.Errorf("%s: the address changed from %s to %s", way.name, address, s.Address())
		}
		sql(t, s, "postgres", "SELECT count(*) FROM kept", string(rune('1'+i)))
	}
}

// settled waits until the server serves again.
func settled(t *testing.T, s *Server) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		_, err := s.SQL(t.Context(), "postgres", "SELECT 1")
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestAServerThatHangsGoesOn(t *testing.T) {
	t.Parallel()
	s := Start(t)
	if err := s.Hang(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := s.SQL(t.Context(), "postgres", "SELECT 1"); done <- err }()
	select {
	case err := <-done:
		t.Errorf("a server that hangs answered: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := s.Wake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRestartTakesSettings(t *testing.T) {
	t.Parallel()
	s := Start(t, "work_mem=5MB")
	sql(t, s, "postgres", "SHOW work_mem; SHOW fsync", "5MB\noff")
	if err := s.Restart("default_transaction_read_only=on", "fsync=on"); err != nil {
		t.Fatal(err)
	}
	sql(t, s, "postgres", "SHOW fsync", "on")
	if _, err := s.SQL(t.Context(), "postgres", "CREATE TABLE t (n int)"); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a table on a read-only server: %v", err)
	}
	if err := s.Restart("no_such_setting=1"); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("a setting that isn't one: got %v, want an error with the log's words", err)
	}
}

func TestDatabasesOfOneServerAreApart(t *testing.T) {
	t.Parallel()
	s := Shared(t)
	if s != Shared(t) {
		t.Error("there are two shared servers")
	}
	var first string
	t.Run("one", func(t *testing.T) {
		first = name(s.Database(t))
		sql(t, s, first, "CREATE TABLE t (n int)", "")
		sql(t, s, name(s.Database(t)), "SELECT to_regclass('t')", "")
	})
	sql(t, s, "postgres", "SELECT count(*) FROM pg_database WHERE datname = '"+first+"'", "0")
}

func name(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// TestTheServerDiesWithTheProcess runs this test's program again as a process
// that starts a server and is killed.
func TestTheServerDiesWithTheProcess(t *testing.T) {
	if os.Getenv("HARROW_TEST_ORPHAN") == "1" {
		s := Start(t)
		t.Logf("started: %s %s.", s.Dir, s.Address())
		select {}
	}
	if _, err := find(); err != nil {
		must(t, func() (*Server, error) { return nil, err })
	}
	child := exec.Command(os.Args[0], "-test.run=^TestTheServerDiesWithTheProcess$", "-test.v")
	child.Env = append(os.Environ(), "HARROW_TEST_ORPHAN=1")
	read, write := io.Pipe()
	child.Stdout = write
	child.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	buf := make([]byte, 1024)
	for !strings.Contains(text.String(), "started: ") || !strings.HasSuffix(strings.TrimSpace(text.String()), ".") {
		n, err := read.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(buf[:n])
	}
	_, after, _ := strings.Cut(text.String(), "started: ")
	dir, address, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(after), "."), " ")
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(dir)
		c, dialErr := net.Dial("tcp", address)
		if dialErr == nil {
			c.Close()
		}
		if errors.Is(err, fs.ErrNotExist) && dialErr != nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a minute later: folder: %v, dial: %v", err, dialErr)
		}
	}
}
