package rig

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Output is what a process writes, to be read while it does.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// String is all that was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Process is a command at work. It dies with the test's process and is killed
// when its test ends.
type Process struct {
	Cmd    *exec.Cmd
	Out    Output        // both streams
	Exited chan struct{} // closed once it has
	Began  time.Time
	Ended  time.Time // once it has
	// Patience is how long it may take to end, or to do what is waited for.
	Patience time.Duration

	t testing.TB
}

// Patience is how long any one process may take unless it is told otherwise.
const Patience = 2 * time.Minute

// Launch starts a command. What is nice goes behind the test's own process.
func Launch(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, Cmd: cmd, Exited: make(chan struct{}), Patience: Patience}
	cmd.Stdout, cmd.Stderr = &p.Out, &p.Out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	p.Began = time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The server in this process keeps time: it goes first.
	if err := unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, 10); err != nil {
		t.Errorf("nice: %v", err)
	}
	go func() {
		defer close(p.Exited)
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Errorf("%s: %v", strings.Join(cmd.Args, " "), err)
		}
		p.Ended = time.Now()
	}()
	t.Cleanup(func() { p.Signal(unix.SIGKILL); <-p.Exited })
	return p
}

// Signal sends a signal; to a process that has ended it does nothing.
func (p *Process) Signal(s unix.Signal) {
	if err := p.Cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("%v: %v", s, err)
	}
}

// Wait waits for the end of the process and returns its exit code, -1 when a
// signal ended it.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.Exited:
	case <-time.After(p.Patience):
		p.Signal(unix.SIGQUIT) // for the goroutines' stacks
		<-p.Exited
		p.t.Fatalf("harrow %s did not end within %v:\n%s", p.args(), p.Patience, Tail(p.Out.String()))
	}
	return p.Cmd.ProcessState.ExitCode()
}

func (p *Process) args() string { return strings.Join(p.Cmd.Args[1:], " ") }

// Want waits for the end of the process, which must be by this exit code.
func (p *Process) Want(code int) {
	p.t.Helper()
	if got := p.Wait(); got != code {
		p.t.Fatalf("harrow %s: exit %d, want %d:\n%s", p.args(), got, code, Tail(p.Out.String()))
	}
}

// Tail is the end of a text.
func Tail(text string) string { return text[max(0, len(text)-4000):] }

// Eventually looks until what is looked for is there, or the process ends, or
// patience does; it reports whether it was there.
func (p *Process) Eventually(there func() bool) bool {
	p.t.Helper()
	deadline := time.Now().Add(p.Patience)
	for !there() {
		select {
		case <-p.Exited:
			return there()
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.Signal(unix.SIGQUIT) // for the goroutines' stacks
			<-p.Exited
			p.t.Fatalf("nothing came of waiting %v:\n%s", p.Patience, Tail(p.Out.String()))
		}
	}
	return true
}
