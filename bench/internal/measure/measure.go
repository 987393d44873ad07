// Package measure is what the benchmarks share: parts of a benchmark run in
// processes of their own, so that what one of them costs is not counted for
// another, and figures go to a table.
package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The environment of a child: which role it plays, and its configuration.
const (
	roleEnv   = "HARROW_BENCH_ROLE"
	configEnv = "HARROW_BENCH_CONFIG"
)

// Cost is what a process took from its start to its end.
type Cost struct {
	CPU  time.Duration // user and system
	Peak int64         // resident bytes at most
}

// Roles are what a child of this binary may be, by name. A role gets its
// configuration as JSON and returns its result.
type Roles map[string]func(ctx context.Context, config []byte) (any, error)

// Role makes a role of a function.
func Role[C, R any](play func(context.Context, C) (R, error)) func(ctx context.Context, config []byte) (any, error) {
	return func(ctx context.Context, config []byte) (any, error) {
		var c C
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, err
		}
		return play(ctx, c)
	}
}

// Serve prints the address and serves until standard input ends.
func Serve(server *http.Server, l net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is what counts
		_ = server.Close()
	}()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Child plays the role that this process was started for and ends it. In a
// process that is no child it returns at once: call it first in main.
func (roles Roles) Child() {
	name := os.Getenv(roleEnv)
	if name == "" {
		return
	}
	play, ok := roles[name]
	if !ok {
		fail(name, fmt.Errorf("no such role; known: %v", len(roles)))
	}
	result, err := play(context.Background(), []byte(os.Getenv(configEnv)))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fail(name, err)
	}
	os.Exit(0)
}

func fail(role string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
	os.Exit(1)
}

// Command is a child of this binary in a role; what it says to standard error
// goes to this process's.
func Command(ctx context.Context, role string, config any) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, configEnv+"="+string(data))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// Run runs a child to its end, decodes its result and says what it cost.
func Run(ctx context.Context, role string, config, result any) (Cost, error) {
	cmd, err := Command(ctx, role, config)
	if err != nil {
		return Cost{}, err
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return Cost{}, fmt.Errorf("%s: %w", role, err)
	}
	if err := json.Unmarshal(out.Bytes(), result); err != nil {
		return Cost{}, fmt.Errorf("%s: result %.200q: %w", role, out.String(), err)
	}
	return costOf(cmd.ProcessState), nil
}

func costOf(s *os.ProcessState) Cost {
	c := Cost{CPU: s.UserTime() + s.SystemTime()}
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		c.Peak = u.Maxrss << 10 // Linux counts KiB
	}
	return c
}

// Own is what this process has cost so far.
func Own() (Cost, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return Cost{}, fmt.Errorf("getrusage: %w", err)
	}
	return Cost{CPU: time.Duration(u.Utime.Nano() + u.Stime.Nano()), Peak: u.Maxrss << 10}, nil
}

// Start starts a child that serves until stop is called; it must print one
// line, which is returned, when it is ready, and end when its standard input
// does.
func Start(ctx context.Context, role string, config any) (line string, stop func() error, err error) {
	cmd, err := Command(ctx, role, config)
	if err != nil {
		return "", nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("%s: %w", role, err)
	}
	stop = func() error {
		err := in.Close()
		if werr := cmd.Wait(); err == nil {
			err = werr
		}
		return err
	}
	if _, err := fmt.Fscanln(out, &line); err != nil {
		_ = stop() // what it has to say is on standard error
		return "", nil, fmt.Errorf("%s did not get ready: %w", role, err)
	}
	return line, stop, nil
}

// Median of some values; 0 of none.
func Median[T int64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// SoakRow appends a row to the Markdown table that HARROW_SOAK_TABLE names:
// bench, seed, counts, result, commit. Without it nothing is written.
func SoakRow(bench, seed, counts, result string) (err error) {
	name := os.Getenv("HARROW_SOAK_TABLE")
	if name == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	_, err = fmt.Fprintf(f, "| %s | %s | %s | %s | %s |\n", bench, seed, counts, result, Commit())
	return err
}

// Commit is what is checked out, with a + where files have changed since.
func Commit() string {
	out, err := exec.Command("git", "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=+").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// MiB writes bytes as mebibytes.
func MiB(n int64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) }
