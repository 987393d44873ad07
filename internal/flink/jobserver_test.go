package flink

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestJobServerRunsUntilItIsClosed(t *testing.T) {
	f := newFake(t)
	f.install(t)
	dir := t.TempDir()
	s, err := StartJobServer(t.Context(), JobServer{Config: f.config(), Master: "host.example:8081", Dir: dir, Options: map[string]string{"client.timeout": "60 s"}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Endpoint() != "localhost:4002" || s.Err() != nil || !s.Process().Alive() {
		t.Errorf("endpoint %s, %v, %+v", s.Endpoint(), s.Err(), s.Process())
	}
	if group, err := unix.Getpgid(s.Process().PID); err != nil || group != s.Process().PID {
		t.Errorf("it is of group %d, %v: an interrupt in the terminal would end it before the run has cancelled its job", group, err)
	}
	args, err := os.ReadFile(filepath.Join(f.dir, "args"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-Xmx512m ", "-XX:MaxDirectMemorySize=512m ", "-Djava.io.tmpdir=" + dir, "--flink-master=host.example:8081 ", "--job-port=0 --artifact-port=0 --expansion-port=-1", "--artifacts-dir=" + dir} {
		if !strings.Contains(string(args), want) {
			t.Errorf("started with %s; want %q", args, want)
		}
	}
	conf, err := os.ReadFile(filepath.Join(dir, "jobserver-conf", "config.yaml"))
	if err != nil || !strings.Contains(string(conf), `"client.timeout": "60 s"`) || !strings.Contains(string(conf), `"rest.bind-address": "127.0.0.1"`) {
		t.Errorf("configuration: %s, %v", conf, err)
	}
	if err := errors.Join(s.Close(), s.Close(), s.Err()); err != nil {
		t.Error(err)
	}
	<-s.Done()
	if s.Process().Alive() {
		t.Error("it lives on")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 || filepath.Base(left[0]) != "jobserver.log" {
		t.Errorf("left: %v, %v; want the log", left, err)
	}
}

func TestJobServerThatWasGivenNoFolderLeavesNone(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f := newFake(t)
	f.install(t)
	s, err := StartJobServer(t.Context(), JobServer{Config: f.config(), Master: Local})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestJobServerThatEndsSaysWhy(t *testing.T) {
	f := newFake(t)
	f.install(t)
	f.java(t, goodJava[:strings.Index(goodJava, "exec")]+`
while [ ! -e "$dir/die" ]; do sleep 0.02; done
echo "INFO x - nothing to see"
echo "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space" >&2
exit 3`)
	s, err := StartJobServer(t.Context(), JobServer{Config: f.config(), Master: Local, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "die"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	for range 2 { // Close after the end makes no other end of it
		if err := s.Err(); err == nil || !strings.Contains(err.Error(), "job server for Flink ended by itself: exit status 3: Exception in thread") || strings.Contains(err.Error(), "nothing to see") {
			t.Errorf("%v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestJobServerThatDoesNotStartSaysWhyAndLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		name, java, master string
		missing            bool
		want               string
	}{
		{name: "dies", java: `echo "Error: Could not find or load main class x"; exit 1`, want: "ended by itself: exit status 1: Error: Could not find or load main class"},
		{name: "ends well", java: `echo bye; exit 0`, want: "ended by itself: exit status 0: bye"},
		{name: "says nothing", java: `exec sleep 300`, want: "context canceled"},
		{name: "does not end when told to", java: `trap "" TERM; echo $$ >"$dir/up"; while :; do sleep 0.1; done`, want: "context canceled"},
		{name: "no port", master: "host", want: `flink: master "host": want HOST:PORT of the JobManager's REST address, or local`},
		{name: "no host", master: ":8081", want: "want HOST:PORT"},
		{name: "port 0", master: "h:0", want: "want HOST:PORT"},
		{name: "no jars", master: Local, missing: true, want: "run harrow flink install once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			if !c.missing {
				f.install(t)
			}
			if c.java != "" {
				f.java(t, c.java)
			}
			if c.master == "" {
				c.master = Local
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.want == "context canceled" {
				go func() {
					defer cancel()
					for len(f.pids(t)) == 0 && t.Context().Err() == nil {
						time.Sleep(5 * time.Millisecond)
					}
				}()
			}
			dir := filepath.Join(f.dir, "server")
			_, err := StartJobServer(ctx, JobServer{Config: f.config(), Master: c.master, Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrMissing) != c.missing {
				t.Errorf("%v; want %q", err, c.want)
			}
			if left := f.pids(t); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "jobserver-*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestJobServerDiesWithItsStarterHoweverThatEnds(t *testing.T) {
	f := newFake(t)
	f.install(t)
	kill := f.as(t, "jobserver")
	eventually(t, "it starts", func() bool { return len(f.pids(t)) > 0 })
	kill()
	eventually(t, "it dies", func() bool { return len(f.pids(t)) == 0 })
}

func TestProcessIsToldFromAnotherOfItsNumber(t *testing.T) {
	f := newFake(t)
	f.install(t)
	s, err := StartJobServer(t.Context(), JobServer{Config: f.config(), Master: Local})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other := s.Process()
	other.Birth = "1" + other.Birth
	if err := errors.Join(other.Kill(), end(grace, other, Process{})); err != nil || other.Alive() || !s.Process().Alive() {
		t.Errorf("%v; %v, %v", err, other.Alive(), s.Process().Alive())
	}
}

func TestLastWordsAreTheTellingOnes(t *testing.T) {
	for _, c := range []struct{ log, want string }{
		{"a\nb\n", "a\nb"},
		{"", "it printed nothing"},
		{"2026 [main] INFO x - y\n2026 [main] ERROR x - Fatal\n\tat x.y(z)\nCaused by: java.net.BindException: Address already in use\n2026 INFO end\n",
			"2026 [main] ERROR x - Fatal\nCaused by: java.net.BindException: Address already in use"},
		{"INFO x - java.lang.IllegalStateException: no\n", "INFO x - java.lang.IllegalStateException: no"},
		{strings.Repeat("line\n", 100), strings.TrimSpace(strings.Repeat("line\n", lastLines))},
	} {
		p := Process{Log: filepath.Join(t.TempDir(), "log")}
		if err := os.WriteFile(p.Log, []byte(c.log), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := p.words(); got != c.want {
			t.Errorf("of %q: %q; want %q", c.log, got, c.want)
		}
	}
}

func TestWaitsForAllPatternsInWhatIsNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("old 1\nnew 2\nother 3\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from int64
		want int
	}{{0, 2}, {6, 0}} {
		found, err := search(path, c.from, []*regexp.Regexp{regexp.MustCompile(`old (\d)`), regexp.MustCompile(`other (\d)`)})
		if err != nil || len(found) != c.want {
			t.Errorf("from %d: %v, %v; want %d", c.from, found, err, c.want)
		}
	}
}
