package flink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A test binary that is told to starts something as a command would, and is
// then killed.
const actVariable = "HARROW_TEST_FLINK_ACT"

func TestMain(m *testing.M) {
	if act := os.Getenv(actVariable); act != "" {
		os.Exit(perform(act))
	}
	os.Exit(m.Run())
}

// acts are what such a process can do, given a folder with a fake Java.
var acts = map[string]func(ctx context.Context, f fake) error{
	"jobserver": func(ctx context.Context, f fake) error {
		_, err := StartJobServer(ctx, JobServer{Config: f.config(), Master: Local})
		return err
	},
	"stand": func(ctx context.Context, f fake) error {
		_, _, err := Stand(ctx, f.stand())
		return err
	},
}

func perform(act string) int {
	name, dir, _ := strings.Cut(act, " ")
	err := acts[name](context.Background(), fake{dir: dir})
	fmt.Println("done", err)
	time.Sleep(time.Minute)
	return 0
}

// as starts a process that performs an act; kill ends it at once.
func (f fake) as(t *testing.T, act string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), actVariable+"="+act+" "+f.dir, "TMPDIR="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	kill = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		}
	}
	t.Cleanup(kill)
	return kill
}

// fake is a folder with programs that stand in for Java and Maven.
type fake struct{ dir string }

func newFake(t *testing.T) fake {
	t.Helper()
	f := fake{t.TempDir()}
	f.java(t, goodJava)
	return f
}

func (f fake) cache() string { return filepath.Join(f.dir, "cache") }

func (f fake) config() Config {
	return Config{Cache: f.cache(), Java: filepath.Join(f.dir, "java"), Maven: filepath.Join(f.dir, "mvn")}
}

func (f fake) script(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(f.dir, name)
	// A program that is open for writing can't be run, and a child that is made
	// meanwhile would have it open.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	err := errors.Join(os.WriteFile(path+".tmp", []byte("#!/bin/sh\n"+text), 0o755), os.Rename(path+".tmp", path))
	if err != nil {
		t.Error(err)
	}
	return path
}

// java is a Java that says what Flink's processes say, except as told.
func (f fake) java(t *testing.T, text string) {
	t.Helper()
	f.script(t, "java", "dir="+f.dir+`
case "$*" in -version) echo 'openjdk version "17.0.15" 2025-04-15' >&2; exit 0;; esac
echo $$ >>"$dir/pids"
echo "$@" >>"$dir/args"
`+text)
}

const goodJava = `
case "$*" in
*JobServerDriver*)
	echo "[main] INFO x - ArtifactStagingService started on localhost:4001"
	echo "[main] INFO x - JobService started on localhost:4002" ;;
*Standalone*)
	echo "INFO x - Actor system started at pekko.tcp://flink@127.0.0.1:6123"
	echo "INFO x - Actor system started at pekko.tcp://flink-metrics@127.0.0.1:6124"
	echo "INFO x - Rest endpoint listening at 127.0.0.1:8081" ;;
*TaskManagerRunner*)
	echo "INFO x - Successful registration at resource manager pekko.tcp://flink@127.0.0.1:6123 under registration id 1" ;;
esac
exec sleep 300
`

// install lays the jars of the real list out, as files of their sizes with
// nothing in them.
func (f fake) install(t *testing.T) {
	t.Helper()
	s := source{pom, list}
	dir := s.folder(f.cache())
	jars, err := parseList(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jars {
		path := filepath.Join(dir, j.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, j.size); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, stamp), nil, 0o666); err != nil {
		t.Fatal(err)
	}
}

func (f fake) stand() StandConfig {
	return StandConfig{Cluster: ClusterConfig{Config: f.config()}, Pool: []string{filepath.Join(f.dir, "pool")}}
}

// pids are the processes that the fake Java was.
func (f fake) pids(t *testing.T) (all []Process) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "pids"))
	if err != nil {
		return nil
	}
	for _, word := range strings.Fields(string(text)) {
		var p Process
		if _, err := fmt.Sscan(word, &p.PID); err != nil {
			t.Fatal(err)
		}
		if p.Birth = birth(p.PID); p.Birth != "" {
			all = append(all, p)
		}
	}
	return all
}

// eventually waits for what must come.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// small is a list of two jars, and where a fake Maven finds them.
func (f fake) small(t *testing.T) source {
	t.Helper()
	var text bytes.Buffer
	for path, content := range map[string]string{"lib/flink-a-1.jar": "flink", "beam/beam-b-1.jar": "beam beam"} {
		fmt.Fprintf(&text, "%x %d %s\n", sha256.Sum256([]byte(content)), len(content), path)
		at := filepath.Join(f.dir, "repository", filepath.Base(path))
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	f.maven(t, `echo "[INFO] Downloaded from central: x/flink-a-1.jar (5 B)"; cp "$dir"/repository/* "$out"`)
	return source{"<project/>", text.String()}
}

// maven is a Maven that does as told with its output folder $out.
func (f fake) maven(t *testing.T, text string) {
	t.Helper()
	f.script(t, "mvn", "dir="+f.dir+`
for arg; do case "$arg" in -DoutputDirectory=*) out=${arg#*=};; esac; done
echo "$@" >>"$dir/maven-calls"
`+text)
}

func (f fake) calls(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "maven-calls"))
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte("\n"))
}

func readState(t *testing.T, c Config) (path string, s Standing) {
	t.Helper()
	at, err := standIn(c)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(at.state())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return at.state(), s
}
