package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Exit codes of the command.
const (
	exitDone     = 0
	exitFailed   = 1
	exitDeferred = 3
	exitStopped  = 130
)

func long() bool { return os.Getenv("HARROW_SOAK") == "1" }

// seed is of everything random in these tests.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("HARROW_SEED")
	if text == "" {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("HARROW_SEED=%q: want a number from 0", text)
	}
	return n
}

// random is what the seed and a case's number decide.
func random(seed uint64, number int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(number))) }

// missing ends a test whose means are not installed.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("HARROW_TEST_REQUIRE") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// program is the command, built once for all tests.
type program struct {
	name  string
	flags []string // of go build
	once  sync.Once
	err   error
}

// leaseTTL is how long the job lock of a process that was killed is waited for
// where the workspace is in a bucket.
const leaseTTL = 6 * time.Second

var (
	programs string // where they are built; of TestMain
	// built is the command with short leases, asReleased the command as it is.
	built      = &program{name: "harrow", flags: []string{"-ldflags", "-X github.com/harrowdata/harrow/io/lakeio.minTTL=" + leaseTTL.String()}}
	asReleased = &program{name: "released"}
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "harrow-soak-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// path builds the program if need be.
func (b *program) path(t *testing.T) string {
	t.Helper()
	path := filepath.Join(programs, b.name)
	b.once.Do(func() {
		build := exec.Command("go", append(append([]string{"build", "-o", path}, b.flags...), "./cmd/harrow")...)
		build.Dir = ".."
		if out, err := build.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return path
}

// output is what a process writes, to be read while it does.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is the command at work.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    output // both streams
	began  time.Time
	ended  time.Time
	exited chan struct{}
}

// start runs the command with arguments; it dies with the test's process.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(built.path(t), args...))
}

// launch starts a command of a program's, see [start].
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The server in this process keeps time: it goes first.
	if err := unix.Setpriority(unix.PRIO_PROCESS, p.cmd.Process.Pid, 10); err != nil {
		t.Errorf("nice: %v", err)
	}
	go func() {
		defer close(p.exited)
		var exit *exec.ExitError
		if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Errorf("%s: %v", strings.Join(cmd.Args, " "), err)
		}
		p.ended = time.Now()
	}()
	t.Cleanup(func() { p.signal(unix.SIGKILL); <-p.exited })
	return p
}

// signal sends a signal; to a process that has ended it does nothing.
func (p *process) signal(s unix.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("%v: %v", s, err)
	}
}

// patience is how long any one process may take.
const patience = 2 * time.Minute

// wait waits for the end of the process and returns its exit code, -1 when a
// signal ended it.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.signal(unix.SIGQUIT) // for the goroutines' stacks
		<-p.exited
		p.t.Fatalf("harrow %s did not end within %v:\n%s", strings.Join(p.cmd.Args[1:], " "), patience, tail(p.out.String()))
	}
	return p.cmd.ProcessState.ExitCode()
}

// want waits for the end of the process, which must be by this exit code.
func (p *process) want(code int) {
	p.t.Helper()
	if got := p.wait(); got != code {
		p.t.Fatalf("harrow %s: exit %d, want %d:\n%s", strings.Join(p.cmd.Args[1:], " "), got, code, tail(p.out.String()))
	}
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

// eventually looks until what is looked for is there, or the process ends, or
// patience does; it reports whether it was there.
func (p *process) eventually(there func() bool) bool {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !there() {
		select {
		case <-p.exited:
			return there()
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.signal(unix.SIGQUIT) // for the goroutines' stacks
			<-p.exited
			p.t.Fatalf("nothing came of waiting %v:\n%s", patience, tail(p.out.String()))
		}
	}
	return true
}

// report appends what a test came to to the table of results, if one is
// wanted.
func report(t *testing.T, seed uint64, counts string, args ...any) {
	t.Helper()
	file := os.Getenv("HARROW_SOAK_TABLE")
	if !long() || file == "" {
		return
	}
	result := "passed"
	if t.Failed() {
		result = "failed"
	}
	if err := appendRow(context.WithoutCancel(t.Context()), file, t.Name(), seed, fmt.Sprintf(counts, args...), result); err != nil {
		t.Errorf("HARROW_SOAK_TABLE: %v", err)
	}
}

const tableHead = "| test | seed | counts | result | commit |\n|---|---|---|---|---|\n"

func appendRow(ctx context.Context, file, test string, seed uint64, counts, result string) (err error) {
	if !filepath.IsAbs(file) {
		file = filepath.Join("..", file) // make is started at the top
	}
	commit, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return fmt.Errorf("git rev-parse: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	row := fmt.Sprintf("| %s | %d | %s | %s | %s |\n", test, seed, counts, result, strings.TrimSpace(string(commit)))
	if info.Size() == 0 {
		row = tableHead + row
	}
	_, err = f.WriteString(row)
	return err
}
