package command

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/runners/worker"
	"github.com/harrowdata/harrow/runners/workerpool"
	"github.com/harrowdata/harrow/transforms/fetch/round"
)

type workerCmd struct {
	Pool   bool   `help:"Start workers as a runner asks for them (environment EXTERNAL)." required:"" xor:"what"`
	Ping   bool   `help:"Ask the pool at --listen whether it is well: exit 0 if it is, else 1. For whoever watches over a pool that only its own machine reaches." required:"" xor:"what"`
	Listen string `help:"Address to listen on. Who reaches it can make this machine work, with the secrets in this environment." default:"${listen}" placeholder:"HOST:PORT"`
}

// Run implements the command.
func (c *workerCmd) Run(e *env) error {
	if err := workerpool.CheckListen(c.Listen); err != nil {
		return view.Usagef("--listen: %v", err)
	}
	if c.Ping {
		ctx, cancel := context.WithTimeout(e.ctx, poolPatience)
		defer cancel()
		name, err := workerpool.Ping(ctx, c.Listen)
		if err == nil {
			_, err = fmt.Fprintln(e.stdout, name)
		}
		return err
	}
	ctx, done := e.interruptible("workers append what they fetched and end")
	defer done()
	pool, err := workerpool.Listen(ctx, workerpool.Config{Listen: c.Listen, Log: e.stderr})
	if err != nil {
		return err
	}
	return pool.Serve(ctx)
}

// serveAsWorker is the life of a process that a runner started as a worker; it
// returns its exit code. Beam's own hook would take over in beam.Init and never
// end, so it isn't told.
//
// That hook also means to bound the process's memory by 90 % of the machine's.
// In Beam v2.77.0 it sets the limit of open files instead, to a number that the
// kernel refuses, so there is nothing that memory.TuneGC could be at odds with.
func serveAsWorker() int {
	// The pool reads what a worker writes, and a worker outlives a pool that is
	// killed by as long as it needs to let go.
	signal.Ignore(syscall.SIGPIPE)
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, os.Interrupt)
	flag.Parse()
	of := func(name string) string {
		f := flag.Lookup(name)
		if f == nil {
			return ""
		}
		return f.Value.String()
	}
	if err := flag.Set("worker", "false"); err != nil {
		fmt.Fprintln(os.Stderr, "harrow:", err)
		return worker.ExitRefused
	}
	beam.Init()
	return worker.Run(worker.Config{ID: of("id"), Logging: of("logging_endpoint"), Control: of("control_endpoint"), Options: of("options"),
		Drain: round.ShutdownAll, Log: os.Stderr}, told)
}
