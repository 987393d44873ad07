package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/harrowdata/harrow/bench/internal/anywhere"
	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/internal/flink"
)

// The cluster: as many slots as a step has subtasks.
const (
	taskManagers = 2
	slots        = 2
	parallelism  = taskManagers * slots
)

// outcome is what came of a work on a runner.
type outcome struct {
	work, runner string
	result       anywhere.Result
	wall         time.Duration // of the work's processes, from their start to their end
	used         map[string]measure.Usage
	err          error
}

// build builds a benchmark's binary. It is a harrow of its own: see
// anywhere.Worker.
func build(ctx context.Context, dir, pkg string) (string, error) {
	binary := filepath.Join(dir, "bench-"+filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, pkg)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go build %s: %w", pkg, err)
	}
	return binary, nil
}

// run does a work on a runner. What goes wrong is in the outcome: the others go
// on.
func (o options) run(ctx context.Context, dir, binary, work, runner string) (r outcome) {
	r = outcome{work: work, runner: runner}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("it took longer than -limit %v", o.limit))
	defer cancel()
	on := anywhere.On{Runner: runner}
	switch runner {
	case "local":
		on = anywhere.On{Runner: "flink", FlinkMaster: flink.Local, Beam: fmt.Sprintf("--parallelism=%d", parallelism)}
	case "cluster":
		c, err := startCluster(ctx, dir, binary)
		if err != nil {
			r.err = err
			return r
		}
		defer func() { r.err = errors.Join(r.err, c.stop()) }()
		on = c.on()
	}
	result := filepath.Join(dir, "result.json")
	args := []string{"-runner", on.Runner, "-flink-master", on.FlinkMaster, "-beam", on.Beam, "-result", result}
	if work == "refine" {
		args = append(args, "-one", fmt.Sprint(o.rows), "-dir", dir)
	} else {
		args = append(args, "-only", "d", fmt.Sprintf("-small=%t", o.small))
	}
	used, begun := measure.Watch(kindOf), time.Now()
	err := child(ctx, binary, args...)
	r.wall = time.Since(begun)
	if r.used, r.err = used(); r.err == nil {
		r.err = err
	}
	if data, err := os.ReadFile(result); err == nil {
		r.err = errors.Join(r.err, json.Unmarshal(data, &r.result))
	}
	if err := os.Remove(result); err != nil && r.err == nil {
		r.err = fmt.Errorf("it left no result: %w", err)
	}
	return r
}

// child runs a process to its end. When ctx ends it is told to end, and killed
// if it does not: what it has started dies with it.
func child(ctx context.Context, binary string, args ...string) error {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	var said tail
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("%w:\n%s", err, said.text)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

const tailBytes = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailBytes):]
	return len(p), nil
}

// cluster is a Flink with a pool of workers beside it.
type cluster struct {
	flink *flink.Cluster
	pool  *exec.Cmd
	at    string // of the pool
}

// startCluster starts the pool of the binary that will submit, and Flink.
func startCluster(ctx context.Context, dir, binary string) (c *cluster, err error) {
	c = &cluster{}
	if c.at, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	c.pool = exec.Command(binary, "worker", "--pool", "--listen", c.at)
	c.pool.Stderr = &tail{}
	c.pool.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := c.pool.Start(); err != nil {
		return nil, err
	}
	c.flink, err = flink.Up(ctx, flink.ClusterConfig{Dir: filepath.Join(dir, "flink"), TaskManagers: taskManagers, Slots: slots})
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (c *cluster) on() anywhere.On {
	return anywhere.On{Runner: "flink", FlinkMaster: c.flink.REST(), Beam: fmt.Sprintf("--parallelism=%d --environment_type=EXTERNAL --environment_config=%s", parallelism, c.at)}
}

// stop ends the pool, which ends its workers, and Flink.
func (c *cluster) stop() (err error) {
	if c.flink != nil {
		err = c.flink.Close()
	}
	if serr := c.pool.Process.Signal(syscall.SIGTERM); serr != nil {
		err = errors.Join(err, fmt.Errorf("worker pool: %w", serr))
	}
	ended := make(chan struct{})
	timer := time.AfterFunc(30*time.Second, func() { _ = c.pool.Process.Kill() }) // it should have ended
	go func() { defer close(ended); _ = c.pool.Wait() }()                         // told to end, it ends with a code of its own
	<-ended
	timer.Stop()
	return err
}

// The kinds of processes, in the order of the tables.
const (
	submitter   = "harrow, submits"
	worker      = "workers"
	pool        = "worker pool"
	jobServer   = "job server (JVM)"
	jobManager  = "JobManager (JVM)"
	taskManager = "TaskManagers (JVM)"
)

var kinds = []string{submitter, worker, pool, jobServer, jobManager, taskManager}

// kindOf says what a process is; "": one that serves the web, makes rows, or only
// watches.
func kindOf(p measure.Process) string {
	line := strings.Join(p.Args, " ")
	switch {
	case strings.Contains(line, "FlinkJobServerDriver"):
		return jobServer
	case strings.Contains(line, "ClusterEntrypoint"):
		return jobManager
	case strings.Contains(line, "TaskManagerRunner"):
		return taskManager
	case len(p.Args) > 1 && p.Args[1] == "worker":
		return pool
	case len(p.Args) > 1 && strings.HasPrefix(p.Args[1], "--worker"):
		return worker
	case p.Role == "harrow" || p.Role == "refine":
		return submitter
	}
	return ""
}
