package flink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/internal/scratch"
)

// patience is how long a process may take until it is ready, and grace how
// long it may take to end before it is killed.
const (
	patience = 3 * time.Minute
	grace    = 10 * time.Second
)

// Process names a process on this machine beyond the reuse of its id.
type Process struct {
	// Name says what it is: job server, jobmanager, taskmanager-1, pool.
	Name string `json:"name"`
	// PID is its id, which is that of its process group, too.
	PID int `json:"pid"`
	// Birth is when it was started, in the system's words.
	Birth string `json:"birth"`
	// Log is the file that holds what it printed.
	Log string `json:"log"`
}

// Alive reports whether the process runs.
func (p Process) Alive() bool { return p.PID > 0 && p.Birth != "" && birth(p.PID) == p.Birth }

// Kill kills the process at once (kill -9); one that has ended needs it no more.
func (p Process) Kill() error { return p.signal(unix.SIGKILL) }

// signal signals the process and what it started: each of ours leads a process
// group.
func (p Process) signal(s unix.Signal) error {
	if !p.Alive() {
		return nil
	}
	if err := unix.Kill(-p.PID, s); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%s (process %d): %w", p.Name, p.PID, err)
	}
	return nil
}

// ownGroup gives a command a process group of its own: a Ctrl-C in the
// terminal is not for it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true} }

func killGroup(pid int) error {
	if err := unix.Kill(-pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// child is a process that this one started and waits for.
type child struct {
	Process
	ended chan struct{} // closed when it has

	mu  sync.Mutex
	err error // how it ended
}

// tempDir makes a folder for what lives no longer than this process, and
// removes those of processes that were killed.
func tempDir() (*scratch.Folder, string, error) {
	const prefix = "harrow-flink-"
	if err := scratch.Sweep(os.TempDir(), prefix); err != nil {
		return nil, "", err
	}
	f, err := scratch.New(os.TempDir(), prefix)
	if err != nil {
		return nil, "", err
	}
	return f, f.Path, nil
}

// command is what to start.
type command struct {
	name     string
	args     []string
	dir, log string
	detached bool // lives on without us; else it dies with us
}

// start starts a process that writes to its log.
func start(c command) (*child, error) {
	log, err := os.OpenFile(c.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child writes it
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, log, log
	ownGroup(cmd)
	if c.detached {
		cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	} else {
		bind(cmd)
	}
	p := &child{Process: Process{Name: c.name, Log: c.log}, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The thread is the child's parent: it may end only after the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.PID = cmd.Process.Pid
		p.Birth = birth(p.PID)
		started <- nil
		p.over(cmd.Wait())
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return p, nil
}

func (p *child) over(err error) {
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	close(p.ended)
}

// failure is how a process ended that should be running, with its last words.
func (p *child) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended by itself: %s: %s", p.Name, how, p.words())
}

// words are the last lines of its log, the telling ones before others.
func (p Process) words() string {
	text, err := tail(p.Log, 64<<10)
	if err != nil {
		return err.Error()
	}
	var telling bytes.Buffer
	for line := range strings.Lines(string(text)) {
		if trouble.MatchString(line) {
			telling.WriteString(line)
		}
	}
	if telling.Len() > 0 {
		return lastWords(telling.Bytes())
	}
	return lastWords(text)
}

// trouble matches the lines of a Java log that say what went wrong.
var trouble = regexp.MustCompile(`^\s*(Caused by: |Exception in thread|Error: |Error occurred|java\.lang\.OutOfMemoryError|.* ERROR )|(Exception|Error): `)

// tail reads the end of a file.
func tail(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-n), n))
}

// await waits until each pattern has matched in the process's log from offset
// on, and returns their first groups. A process that ends meanwhile, and one
// that takes longer than patience, is an error with its last words.
func (p *child) await(ctx context.Context, from int64, patterns ...*regexp.Regexp) ([]string, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	slow := time.NewTimer(patience)
	defer slow.Stop()
	for {
		over := closed(p.ended) // before the log is read: it is whole then
		found, err := search(p.Log, from, patterns)
		switch {
		case err != nil || found != nil:
			return found, err
		case over:
			return nil, p.failure()
		}
		select {
		case <-tick.C:
		case <-p.ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-slow.C:
			return nil, fmt.Errorf("%s is not ready after %v: %s", p.Name, patience, p.words())
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// search is nil unless all of the patterns match.
func search(path string, from int64, patterns []*regexp.Regexp) (found []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()                             // only read
	text, err := io.ReadAll(io.NewSectionReader(f, from, 8<<20)) // a process is ready long before
	if err != nil {
		return nil, err
	}
	for _, p := range patterns {
		m := p.FindSubmatch(text)
		if m == nil {
			return nil, nil
		}
		found = append(found, string(m[1]))
	}
	return found, nil
}

// end ends processes: politely first, then not. It waits until they are gone.
func end(grace time.Duration, processes ...Process) error {
	var errs error
	for _, p := range processes {
		errs = errors.Join(errs, p.signal(unix.SIGTERM))
	}
	if gone(grace, processes) {
		return errs
	}
	for _, p := range processes {
		errs = errors.Join(errs, p.signal(unix.SIGKILL))
	}
	if !gone(grace, processes) {
		for _, p := range processes {
			if p.Alive() {
				errs = errors.Join(errs, fmt.Errorf("%s (process %d) does not end", p.Name, p.PID))
			}
		}
	}
	return errs
}

// gone waits for the end of processes, and reports whether all have ended.
func gone(within time.Duration, processes []Process) bool {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		alive := false
		for _, p := range processes {
			alive = alive || p.Alive()
		}
		if !alive {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		}
	}
}
