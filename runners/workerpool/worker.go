package workerpool

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
)

// worker is a process of the pool's, or one that is about to be.
type worker struct {
	key
	pool   *Pool
	caller string // the address of who asked for it

	mu   sync.Mutex
	cmd  *exec.Cmd // nil: not started yet
	dir  string    // its temporary folder
	told string    // why it was told to end
	kill *time.Timer
	done chan struct{} // closed when the process is over

	connected *os.File // says when the worker is; see connectedVar
}

// start starts the process.
func (w *worker) start(logging string, info *fnpb.ProvisionInfo, options []byte) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told != "" {
		return errors.New(w.told)
	}
	if w.dir, err = os.MkdirTemp(w.pool.temp.Path, "worker-"); err != nil {
		return err
	}
	cmd, err := w.command(logging, info, options)
	if err != nil {
		return errors.Join(err, os.RemoveAll(w.dir))
	}
	out := w.pool.log.of(w.id, cmd)
	cmd.Stdout, cmd.Stderr = out, out
	var says *os.File
	if w.connected, says, err = os.Pipe(); err != nil {
		return errors.Join(err, os.RemoveAll(w.dir))
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, says)
	err = w.pool.threads.start(cmd)
	_ = says.Close() // the worker's alone
	if err != nil {
		return errors.Join(fmt.Errorf("starting a worker: %w", err), w.connected.Close(), os.RemoveAll(w.dir))
	}
	w.cmd = cmd
	w.pool.log.line("worker %s started, pid %d", w.key, cmd.Process.Pid)
	go w.wait(out)
	return nil
}

// command is the worker's command line and environment: the pool's own, where
// its secrets are, and what Beam's harness looks for there.
func (w *worker) command(logging string, info *fnpb.ProvisionInfo, options []byte) (*exec.Cmd, error) {
	cmd := program(w.pool.cfg.Program)
	cmd.Args = append(cmd.Args, "--worker=true", "--id="+w.id, "--logging_endpoint="+logging, "--control_endpoint="+w.control, "--semi_persist_dir="+w.dir)
	set := map[string]string{"TMPDIR": w.dir, "RUNNER_CAPABILITIES": strings.Join(info.GetRunnerCapabilities(), " "),
		"STATUS_ENDPOINT": info.GetStatusEndpoint().GetUrl(), "PIPELINE_OPTIONS_FILE": "", connectedVar: strconv.Itoa(connectedFD)}
	if len(options) > 0 {
		file := filepath.Join(w.dir, "options.json")
		if err := os.WriteFile(file, options, 0o600); err != nil {
			return nil, err
		}
		set["PIPELINE_OPTIONS_FILE"] = file
	}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		_, ours := set[name]
		return ours
	})
	for name, value := range set {
		if value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = withPool()
	cmd.ExtraFiles = []*os.File{w.pool.temp.Lock} // held by every worker: its files are not swept while it lives
	cmd.WaitDelay = 2 * time.Second               // for a child of its own that holds its output open
	return cmd, nil
}

// wait sees the process to its end.
func (w *worker) wait(out *lines) {
	err := w.cmd.Wait()
	close(w.done)
	out.flush()
	w.mu.Lock()
	if w.kill != nil {
		w.kill.Stop()
	}
	why := ""
	if w.told != "" {
		why = ", since " + w.told
	}
	w.mu.Unlock()
	if rerr := os.RemoveAll(w.dir); rerr != nil {
		w.pool.log.line("worker %s: its temporary folder: %v", w.key, rerr)
	}
	w.free()
	w.pool.log.line("worker %s ended, pid %d: %s%s", w.key, w.cmd.Process.Pid, outcome(w.cmd, err), why)
	w.pool.over.Done()
}

// outcome says how a process ended.
func outcome(cmd *exec.Cmd, err error) string {
	if cmd.ProcessState != nil {
		return cmd.ProcessState.String()
	}
	return err.Error()
}

// free makes room for another worker of that key.
func (w *worker) free() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	delete(w.pool.workers, w.key)
}

// end tells the worker to end, once, and sees to it that it does.
func (w *worker) end(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told != "" {
		return
	}
	w.told = why
	if w.cmd == nil {
		return // start will see it
	}
	w.signal(syscall.SIGTERM)
	w.kill = time.AfterFunc(w.pool.cfg.Grace, func() {
		w.pool.log.line("worker %s did not end within %v: it is killed", w.key, w.pool.cfg.Grace)
		w.signal(syscall.SIGKILL)
	})
}

// signal signals the process; SIGKILL, what it may have started too.
func (w *worker) signal(s syscall.Signal) {
	select {
	case <-w.done:
		return
	default:
	}
	var err error
	if s == syscall.SIGKILL {
		err = syscall.Kill(-w.cmd.Process.Pid, s)
	} else {
		err = w.cmd.Process.Signal(s)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
		w.pool.log.line("worker %s: %v: %v", w.key, s, err)
	}
}
