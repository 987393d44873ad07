package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/pipelines"
)

type runCmd struct {
	workspaceFlag
	paramFlag
	runnerFlags
	JobFile string `arg:"" name:"job.yaml" help:"Job file."`
	RunID   string `name:"run" help:"new: begin again; last or an id: go on with that run, or with --from begin with its stages; last~1 and the beginning of an id will do. Default: go on with an unfinished run, else a new one." placeholder:"new|last|ID"`
	From    string `help:"A new run that begins at this stage and takes the earlier ones over from --run (default: the last)." placeholder:"STAGE"`
	Until   string `help:"Stop after this stage; the run stays resumable." placeholder:"STAGE"`
	Limit   int64  `help:"The first N requests of each politeness key." placeholder:"N"`
	JSON    bool   `name:"json" help:"Print the summary as JSON."`
}

// Run implements the command.
func (c *runCmd) Run(e *env) error {
	params, err := c.params()
	if err != nil {
		return err
	}
	return e.harvest(pipelines.Request{JobFile: c.JobFile, Workspace: c.Workspace, Params: params, Runner: c.Runner, Options: c.options(e), Run: c.RunID,
		From: c.From, Until: c.Until, Limit: c.Limit}, c.JSON)
}

// Progress intervals.
const (
	liveEvery  = time.Second
	plainEvery = 10 * time.Second
	// remoteEvery is as often as the status files change.
	remoteEvery = 5 * time.Second
)

// harvest runs a job with its progress on stderr and prints what came of it.
func (e *env) harvest(req pipelines.Request, asJSON bool) error {
	ctx, done := e.interruptible("what is in flight ends and is kept, the run can be resumed")
	defer done()
	quietBeam(e.stderr)
	var started lakeio.Run
	var lake lakeio.Lake
	stopShowing := func() {}
	req.Started = func(l lakeio.Lake, r lakeio.Run) {
		lake, started = l, r
		fmt.Fprintf(e.stderr, "run %s of job %s\n", r.ID, r.Job)
		if req.Replay != nil && req.JobFile == "" {
			fmt.Fprintf(e.stderr, "it goes by the rules that run %s had; name the job file to go by today's\n", r.Replay.Run)
		}
		stopShowing = e.show(lake, r)
	}
	req.Waiting, req.Workers = e.waiting, e.waitingForWorkers
	cpu, begun := cpuTime(), time.Now()
	res, err := pipelines.Run(ctx, req)
	stopShowing()
	if started.ID == "" || err != nil && !errors.Is(err, pipelines.ErrStopped) {
		if started.ID != "" {
			err = &runFailed{started.ID, err}
		}
		return err
	}
	end := view.Ending{Exit: res.Exit, Why: res.Why, Resumed: res.Resumed, Wall: time.Since(begun), CPU: cpuTime() - cpu, Cores: runtime.NumCPU()}
	if err != nil {
		end.Exit, end.Why = exitStopped, "stopped; harrow run goes on with it"
		if req.Replay != nil {
			end.Why = "stopped; the same command goes on with it"
		}
	}
	if serr := e.summarize(lake, started.ID, req.Workspace, end, asJSON); serr != nil {
		return serr
	}
	if end.Exit != exitDone {
		return errQuiet(end.Exit)
	}
	return nil
}

// summarize prints what the run came to, read back from the workspace.
func (e *env) summarize(lake lakeio.Lake, id, workspace string, end view.Ending, asJSON bool) error {
	r, err := view.FindRun(e.ctx, lake.Store, lake.Job, id)
	if err != nil {
		return err
	}
	s, err := r.Summarize(e.ctx, end)
	if err != nil {
		return fmt.Errorf("the run ended, but its summary can't be read: %w", err)
	}
	s.Workspace(workspace)
	if asJSON {
		return writeJSON(e.stdout, s)
	}
	return s.WriteText(e.stdout)
}

// show writes the run's progress until it is told to stop.
func (e *env) show(lake lakeio.Lake, r lakeio.Run) (stop func()) {
	run, err := view.OpenRun(lake.Store, r)
	if err != nil {
		return func() {} // the run itself fails on this, and says so
	}
	is, width := terminal(e.stderr)
	every := plainEvery
	if is {
		every = liveEvery
	}
	if lake.Store.Local() == "" { // a look is a few requests
		every = max(every, remoteEvery)
	}
	tick := time.NewTicker(every)
	ctx, cancel := context.WithCancel(e.ctx)
	var shown sync.WaitGroup
	shown.Go(func() { view.NewProgress(run, time.Now()).Show(ctx, e.stderr, is, width, tick.C) })
	return func() {
		tick.Stop()
		cancel()
		shown.Wait()
	}
}

// waiting says why nothing happens.
func (e *env) waiting(h lakeio.Holder, longest time.Duration) {
	fmt.Fprintf(e.stderr, "the job was held by %s; looking for at most %s whether it still is\n", h, longest.Round(time.Second))
}

// waitingForWorkers says so where workers of a run have not ended.
func (e *env) waitingForWorkers(run string, left []lakeio.Holder) {
	if len(left) == 0 {
		return
	}
	longest := time.Duration(0)
	for _, h := range left {
		longest = max(longest, h.TTL)
	}
	fmt.Fprintf(e.stderr, "waiting for %d workers of run %s to end what they have in flight (process %d on %s); if they are dead, for %s\n",
		len(left), run, left[0].PID, left[0].Host, longest.Round(time.Second))
}

// endedWorkers is waitingForWorkers for who doesn't go on with the run.
func (e *env) endedWorkers(run string, left []lakeio.Holder) {
	if e.waitingForWorkers(run, left); len(left) == 0 {
		fmt.Fprintf(e.stderr, "run %s was asked to stop; if it is staged as a template, that can't be launched any more: harrow run goes on with it\n", run)
	}
}

// interruptible ends its context at the first interrupt, so that the run
// drains, and the process at the second; what says what becomes of things.
func (e *env) interruptible(what string) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(e.ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			case <-signals:
			}
			if n > 0 {
				os.Exit(exitStopped)
			}
			fmt.Fprintf(e.stderr, "\nharrow: stopping: %s; once more to exit at once\n", what)
			cancel()
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		cancel()
	}
}

// cpuTime is what this process and the children it waited for have used.
func cpuTime() time.Duration {
	total := time.Duration(0)
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err == nil {
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return total
}
