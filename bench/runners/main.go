// Bench-runners measures the same work on every runner: deduplication of 12
// million rows, and fetching from 200 hosts that ask for two seconds between two
// requests, so that nothing but politeness takes time.
//
//	go run ./bench/runners [-small] [-only NAME,…] [-work refine,fetch] [-rows N] [-limit D] [-md FILE]
//
// Runners are direct, prism, local (a Flink within the job server, bundles in the
// submitter's process) and cluster (a standalone Flink of two TaskManagers with
// two slots each, workers from a pool beside them). Each work is a process of its
// own, of bench/refine or bench/fetch, which judge what came of it: rows by their
// checksum, politeness and pages by the web server's log. This process watches
// all it starts, Flink's too, and says by kind of process what CPU they took
// and how much memory at most.
//
// It ends with exit code 1 when a work fails, or a limit of politeness was
// broken, or fetch takes longer than its bound ÷ 0.95 on direct, ÷ 0.85 on
// Prism and ÷ 0.9 on Flink, by the server's log. A work that takes longer
// than -limit (20 minutes) is ended and fails, so all of it takes less than 160
// minutes, and about 40 on two quiet cores. -small is for continuous
// integration: direct and Prism, few rows and hosts, and time is not judged.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.BoolVar(&o.small, "small", false, "under a minute instead of 40; time is not judged")
	flag.StringVar(&o.only, "only", "", "runners, with commas between them: direct, prism, local, cluster; default all, with -small direct,prism")
	flag.StringVar(&o.work, "work", "refine,fetch", "what they do, with a comma between")
	flag.Int64Var(&o.rows, "rows", 0, "rows to refine; 0: 12,000,000, or 200,000 with -small")
	flag.DurationVar(&o.limit, "limit", 20*time.Minute, "for one work on one runner")
	flag.StringVar(&o.md, "md", "", "write the tables to this file, too, as Markdown")
	flag.Parse()
	ctx, done := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := bench(ctx, o, os.Stdout)
	done()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-runners:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

type options struct {
	small      bool
	only, work string
	rows       int64
	limit      time.Duration
	md         string
}

// allWorks and allRunners in the order of the tables.
var (
	allWorks   = []string{"refine", "fetch"}
	allRunners = []string{"direct", "prism", "local", "cluster"}
)

// check fills in the defaults.
func (o *options) check() (works, runners []string, err error) {
	if o.only == "" {
		o.only = "direct,prism,local,cluster"
		if o.small {
			o.only = "direct,prism"
		}
	}
	if o.rows == 0 {
		o.rows = 12_000_000
		if o.small {
			o.rows = 200_000
		}
	}
	if works, err = chosen("-work", o.work, allWorks); err == nil {
		runners, err = chosen("-only", o.only, allRunners)
	}
	if o.rows < 1 || o.limit <= 0 {
		return nil, nil, fmt.Errorf("-rows %d, -limit %v: want more than 0", o.rows, o.limit)
	}
	return works, runners, err
}

// chosen are those of all that a flag names, in all's order.
func chosen(name, text string, all []string) (list []string, err error) {
	named := strings.Split(text, ",")
	for _, n := range named {
		if !slices.Contains(all, n) {
			return nil, fmt.Errorf("%s %q: want some of %s", name, n, strings.Join(all, ","))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !slices.Contains(named, n) }), nil
}

// bench runs everything and prints it; ok is false when something does not hold.
func bench(ctx context.Context, o options, out io.Writer) (ok bool, err error) {
	works, runners, err := o.check()
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "harrow-bench-runners-")
	if err != nil {
		return false, err
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil {
			err = e
		}
	}()
	ok = true
	var all []outcome
	for _, work := range works {
		binary, err := build(ctx, dir, "./bench/"+work)
		if err != nil {
			return false, err
		}
		for _, runner := range runners {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			r := o.run(ctx, dir, binary, work, runner)
			all = append(all, r)
			ok = ok && len(r.problems(!o.small)) == 0
			if err := r.write(out, !o.small); err != nil {
				return false, err
			}
			if err := writeMarkdown(o.md, all, !o.small); err != nil { // what there is, if the rest fails
				return false, err
			}
		}
	}
	return ok, nil
}
