// Simulate lets fetch's scheduler, the very type that a run uses, crawl a
// quarter of a billion pages on a virtual clock: how many workers a day of
// crawling takes, how near that comes to the least time that politeness allows,
// and what the scheduler costs.
//
//	go run ./bench/simulate [-small] [-requests N] [-hosts N] [-largest N] [-out FILE]
//
// It writes a Markdown table. Each row is one simulation; every start is held
// against the limits by the host that is asked, and one broken limit ends the
// program with exit code 1, as does a wall time below the bound.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/harrowdata/harrow/internal/polite"
)

// options are the flags.
type options struct {
	small    bool
	requests int64
	hosts    int
	largest  int64
	out      string
}

func main() {
	var o options
	flag.BoolVar(&o.small, "small", false, "seconds: 200,000 requests")
	flag.Int64Var(&o.requests, "requests", 250_000_000, "pages in all")
	flag.IntVar(&o.hosts, "hosts", 1_000_000, "hosts")
	flag.Int64Var(&o.largest, "largest", 12_000, "pages of the largest host")
	flag.StringVar(&o.out, "out", "", "file to write; default: standard output")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func (o options) run() (err error) {
	out := io.Writer(os.Stdout)
	if o.out != "" {
		f, cerr := os.Create(o.out)
		if cerr != nil {
			return cerr
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	workers := []int{64, 80, 96, 128}
	base := plan{inFlight: 256, limits: polite.Limits{Concurrency: 1, Delay: time.Second}, least: 3 * time.Second, most: 5 * time.Second}
	if o.small {
		o.requests, o.hosts, o.largest, workers, base.inFlight = 200_000, 4000, 300, []int{2, 4}, 64
	}
	base.crowd = newCrowd(o.hosts, o.requests, o.largest)
	if err := heading(out, base); err != nil {
		return err
	}
	for _, n := range workers {
		for _, arrival := range []bool{false, true} {
			p := base
			p.workers, p.arrival = n, arrival
			r, err := simulate(p)
			if err == nil {
				err = r.row(out)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// result is one row: what came of all workers.
type result struct {
	plan
	requests int64
	wall     time.Duration // of the slowest worker
	bound    time.Duration // of the worker whose bound is longest
	busy     time.Duration
	keys     int   // of the worker with the most
	memory   int64 // bytes of its scheduler
	cpu      time.Duration
}

// simulate runs a plan, a worker for each core at a time: they know nothing of
// each other. A limit that was broken is an error.
func simulate(p plan) (result, error) {
	r := result{plan: p}
	ranks := spread(len(p.crowd.sizes), p.workers)
	outcomes := make([]outcome, p.workers)
	for from := 0; from < p.workers; from += runtime.GOMAXPROCS(0) {
		group := min(runtime.GOMAXPROCS(0), p.workers-from)
		workers := make([]*worker, group)
		for i := range workers { // one after the other, so that each knows its memory
			workers[i] = newWorker(p, ranks[from+i], uint64(from+i))
		}
		before := processCPU()
		var all sync.WaitGroup
		for i, w := range workers {
			all.Go(func() { outcomes[from+i] = w.run() })
		}
		all.Wait()
		r.cpu += processCPU() - before
	}
	for i, o := range outcomes {
		if o.broken > 0 {
			return r, fmt.Errorf("worker %d of %d: %d limits were broken; the first: %s", i, p.workers, o.broken, o.first)
		}
		if o.wall < o.bound {
			return r, fmt.Errorf("worker %d of %d took %v, less than its bound %v", i, p.workers, o.wall, o.bound)
		}
		r.requests, r.busy = r.requests+o.requests, r.busy+o.busy
		r.wall, r.bound = max(r.wall, o.wall), max(r.bound, o.bound)
		if o.memory > r.memory {
			r.memory, r.keys = o.memory, o.keys
		}
	}
	return r, nil
}

func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // no measurement; the row shows it
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
