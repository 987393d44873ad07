package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Restart starts the server again at its port, with settings beside those that
// it was made with, until the next Restart, and waits until it takes connections; one that runs is
// stopped first.
func (s *Server) Restart(more ...string) error {
	if err := s.Stop("fast"); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server writes it
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.Dir}
	for _, setting := range slices.Concat(settings, s.own, more) {
		args = append(args, "-c", setting)
	}
	p := s.command("postgres", args...)
	p.Stdout, p.Stderr = log, log
	if err := p.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = p.Wait() }() // however it ends
	s.mu.Lock()
	s.postgres, s.ended = p, ended
	s.mu.Unlock()
	return s.Ready(context.Background())
}

// running is the postmaster, nil when it has ended, and the channel that is
// closed then.
func (s *Server) running() (*exec.Cmd, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended: // nil: it was never started
		return nil, nil
	default:
		return s.postgres, s.ended
	}
}

// Ready waits until the server takes connections, as it does some time after
// a restart or the death of a backend. A server that ends meanwhile, or takes
// more than a minute, is an error.
func (s *Server) Ready(ctx context.Context) error {
	p, ended := s.running()
	if p == nil {
		return errors.New("PostgreSQL: the server does not run:\n" + s.Log())
	}
	return s.until(ctx, "take connections", func() (bool, error) {
		select {
		case <-ended:
			return false, errors.New("PostgreSQL: the server ended:\n" + s.Log())
		default:
			return s.ready(), nil
		}
	})
}

// ready reads the state from the file by which pg_ctl knows it.
func (s *Server) ready() bool {
	p, _ := s.running()
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if p == nil || err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n")
	return len(lines) > 7 && lines[0] == strconv.Itoa(p.Process.Pid) && strings.TrimSpace(lines[7]) == "ready"
}

// until waits for something of the server's.
func (s *Server) until(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("PostgreSQL: the server did not %s within %v", what, patience))
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Stop stops the server as pg_ctl stop does, by the mode smart (when all
// clients have gone), fast (they are sent away) or immediate (it recovers at
// the next start), and waits for its end. A server that doesn't run has
// stopped.
func (s *Server) Stop(mode string) error {
	signals := map[string]unix.Signal{"smart": unix.SIGTERM, "fast": unix.SIGINT, "immediate": unix.SIGQUIT}
	signal, ok := signals[mode]
	if !ok {
		return fmt.Errorf("PostgreSQL: stop mode %q: want smart, fast or immediate", mode)
	}
	p, ended := s.running()
	if p == nil {
		return nil
	}
	if err := p.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return s.until(context.Background(), "stop", func() (bool, error) { return over(ended), nil })
}

// Kill kills the server with all its processes at once, and waits until
// nothing of them is left that would be in the way of the next start.
func (s *Server) Kill() error {
	p, ended := s.running()
	if p == nil {
		return nil
	}
	pid := p.Process.Pid
	err := unix.Kill(pid, unix.SIGSTOP) // from now on it forks no more
	children := s.children(pid)
	err = errors.Join(err, kill(unix.SIGKILL, pid))
	for _, child := range children {
		err = errors.Join(err, kill(unix.SIGKILL, child.pid))
	}
	return errors.Join(err, s.until(context.Background(), "die", func() (bool, error) {
		for _, child := range children {
			if alive(child.pid) {
				return false, nil
			}
		}
		return over(ended), nil
	}))
}

func over(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// KillBackends kills the processes that serve clients. PostgreSQL then ends
// all others too and recovers; Ready waits for that. It returns how many were
// killed.
func (s *Server) KillBackends(ctx context.Context) (int, error) { return s.signal(ctx, unix.SIGKILL) }

// Terminate ends the connections of all clients as pg_terminate_backend does,
// and returns how many there were. The server lives on.
func (s *Server) Terminate(ctx context.Context) (int, error) { return s.signal(ctx, unix.SIGTERM) }

// backend matches the title of a process that serves a client: postgres: USER
// DATABASE ADDRESS WHAT IT DOES.
var backend = regexp.MustCompile(`^postgres: \S+ \S+ (\[local\]|[0-9.]+\([0-9]+\)) `)

func (s *Server) signal(ctx context.Context, signal unix.Signal) (n int, err error) {
	p, _ := s.running()
	if p == nil {
		return 0, errors.New("PostgreSQL: the server does not run")
	}
	for _, child := range s.children(p.Process.Pid) {
		if backend.MatchString(child.title) {
			n++
			err = errors.Join(err, kill(signal, child.pid))
		}
	}
	return n, errors.Join(err, ctx.Err())
}

// Backends are the titles of the processes that serve clients: user, database,
// address and what they do.
func (s *Server) Backends() (titles []string) {
	if p, _ := s.running(); p != nil {
		for _, child := range s.children(p.Process.Pid) {
			if backend.MatchString(child.title) {
				titles = append(titles, strings.TrimPrefix(child.title, "postgres: "))
			}
		}
	}
	return titles
}

// Hang stops all of the server's processes where they are, as a machine does
// that swaps itself to death: connections stay and nothing is answered. Wake
// lets them go on.
func (s *Server) Hang() error { return s.all(unix.SIGSTOP) }

// Wake ends Hang.
func (s *Server) Wake() error { return s.all(unix.SIGCONT) }

func (s *Server) all(signal unix.Signal) error {
	p, _ := s.running()
	if p == nil {
		return errors.New("PostgreSQL: the server does not run")
	}
	err := kill(signal, p.Process.Pid)
	for _, child := range s.children(p.Process.Pid) {
		err = errors.Join(err, kill(signal, child.pid))
	}
	return err
}

// kill signals a process; one that has ended needs it no more.
func kill(signal unix.Signal, pid int) error {
	if err := unix.Kill(pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill %d: %w", pid, err)
	}
	return nil
}

type child struct {
	pid   int
	title string
}

// children lists a process's children with their titles; of one that has ended,
// but was not waited for, that is empty.
func (s *Server) children(parent int) (children []child) {
	folders, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if _, of := status(pid); of != parent {
			continue
		}
		title, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil {
			continue // it has ended meanwhile
		}
		children = append(children, child{pid, strings.TrimRight(string(title), "\x00 ") + " "})
	}
	return children
}

// alive says whether a process runs; one that ended and was not waited for
// holds nothing any more.
func alive(pid int) bool {
	state, _ := status(pid)
	return state != "" && state != "Z" && state != "X"
}

// stat is what follows the name in /proc/PID/stat: state, parent and so on;
// nothing of a process that isn't there.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

func status(pid int) (state string, parent int) {
	fields := stat(pid)
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1]) // a number by proc(5)
	return fields[0], parent
}

// CPU is what the server has spent of the processor in all: the postmaster,
// the processes that have ended and those that run.
func (s *Server) CPU() time.Duration {
	p, _ := s.running()
	if p == nil {
		return 0
	}
	const user, system, ofUser, ofSystem = 11, 12, 13, 14 // utime, stime, cutime, cstime, after the state
	ticks := spent(p.Process.Pid, user, system, ofUser, ofSystem)
	for _, child := range s.children(p.Process.Pid) {
		ticks += spent(child.pid, user, system)
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

func spent(pid int, fields ...int) (ticks int64) {
	all := stat(pid)
	for _, i := range fields {
		if i < len(all) {
			n, _ := strconv.ParseInt(all[i], 10, 64) // a number by proc(5)
			ticks += n
		}
	}
	return ticks
}
