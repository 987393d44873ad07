// Bench-fetch holds the fetch stage to its bound: a harvest may take little
// longer than politeness makes it.
//
//	go run ./bench/fetch [-small] [-only a|b|c|d] [-runner direct|prism|flink] [-size BYTES] [-requests N] [-md FILE] [-cpuprofile FILE]
//
// Scenario a is 20,000 pages on 200 hosts, 4 at once per host, 50 ms latency,
// one host holding 30% of the pages; b is 2,000 hosts of 1 to 40 pages whose
// robots.txt asks for a second between requests. Most pages are seeds, one in
// twenty of a larger host's is found by a link. Each is harvested by `harrow
// run`, fields, key and SQLite included, on the direct runner and on Prism; the
// site is a process of its own and keeps a log. By that log
//
//   - politeness is judged, beside what Harrow says of when each request was
//     sent (see package serverlog): one violation is a failure;
//   - every page must have been asked once;
//   - the bound is reckoned: the most, over all hosts, of max(L, delay) +
//     max(⌈n/c⌉·L, (n−1)·delay + L), L the server's own latency.
//
// Efficiency is bound ÷ wall of the fetch stage, from the commit of discover to
// that of fetch's last round; beside it stand what Harrow said itself, and the
// whole run's: bound ÷ wall from the start of the process to its end, all
// stages. Then where the time went, and how long the host that decides had a
// free place that was not used, seen from the server and from the client.
//
// It ends with exit code 1 when efficiency is below 0.95 on direct or 0.85 on
// Prism, the whole run's below 0.85 on direct, or a limit was broken. -small is
// for continuous integration: seconds, and efficiency is printed only.
//
// -only d is 200 hosts that ask for two seconds between two requests, up to the
// end of fetch: what bench/runners has on a cluster, too. -runner flink goes to
// one, by -flink-master and -beam.
//
// -only c is the other end: a million requests over 100,000 hosts, one of which
// has half of them, with limits.memory at 256 MiB, after 10,000 over 1,000. It
// fails when the process takes more than 300 MiB beyond the limit, or a request
// of the many more than 1.5 times the CPU of one of the few.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/harrowdata/harrow/bench/internal/anywhere"
)

// least is the least efficiency of fetch, by runner; leastWhole that of a
// whole run.
var (
	least      = map[string]float64{"direct": 0.95, "prism": 0.85, "flink": 0.9}
	leastWhole = map[string]float64{"direct": 0.85}
)

// flatters is how much more than the server's log says Harrow may say of its
// own efficiency: its latency has the way to the server and back in it, a
// millisecond or so of 50 on these two busy cores; and it counts the rounds,
// without what a cluster needs to hand their bundles out and to take them back.
var flatters = map[string]float64{"direct": 0.03, "prism": 0.03, "flink": 0.06}

func main() {
	anywhere.Worker()
	roles.Child()
	var o options
	o.on.Flags(flag.CommandLine)
	flag.BoolVar(&o.small, "small", false, "seconds instead of minutes; efficiency is not judged")
	flag.StringVar(&o.only, "only", "", "one scenario: a, b, c or d")
	flag.StringVar(&o.result, "result", "", "write the figures of the last run to this file as JSON")
	flag.IntVar(&o.requests, "requests", 1_000_000, "requests of scenario c")
	flag.StringVar(&o.md, "md", "", "write the table to this file, too, as Markdown")
	flag.IntVar(&o.size, "size", 0, "bytes of a page; 0: 15,000 in a, 5,000 in b")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the last run to this file")
	flag.Parse()
	scenarios, err := o.scenarios()
	ok := false
	if err == nil {
		ok, err = bench(context.Background(), o, scenarios, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-fetch:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

type options struct {
	small        bool
	only, result string
	on           anywhere.On
	size         int
	requests     int
	md           string
	profile      string
}

func (o options) scenarios() (all []scenario, err error) {
	size := func(n int) int {
		if o.size > 0 {
			return o.size
		}
		return n
	}
	if o.only == "c" {
		return []scenario{mostHosts(10_000), mostHosts(o.requests)}, nil
	}
	if o.only == "d" {
		return []scenario{sameDelay(size(5_000), o.small)}, nil
	}
	for _, s := range []scenario{bigHost(size(15_000), o.small), manyHosts(size(5_000), o.small)} {
		if o.only == "" || o.only == s.Name {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("-only %s: want a, b, c or d", o.only)
	}
	return all, nil
}

// bench runs everything and prints it; ok is false when a bound does not hold.
func bench(ctx context.Context, o options, scenarios []scenario, out io.Writer) (ok bool, err error) {
	names := []string{"direct", "prism"} // those of one process
	if o.on.Runner != "" {
		if o.on.Runner != "flink" && !slices.Contains(names, o.on.Runner) {
			return false, fmt.Errorf("-runner %s: want one of %v, or flink", o.on.Runner, names)
		}
		names = []string{o.on.Runner}
	} else if o.only == "c" {
		names = names[:1]
	}
	ok = true
	var table []outcome
	for _, s := range scenarios {
		for _, runner := range names {
			on := o.on
			on.Runner = runner
			r, err := measureRun(ctx, s, on, o.profile)
			if err != nil {
				return false, fmt.Errorf("scenario %s on %s: %w", s.Name, runner, err)
			}
			table = append(table, r)
			if err := r.write(out); err != nil {
				return false, err
			}
			for _, line := range r.problems(!o.small) {
				ok = false
				fmt.Fprintln(out, "  FAILED:", line)
			}
			fmt.Fprintln(out)
		}
	}
	if err := writeResult(o.result, table[len(table)-1]); err != nil {
		return false, err
	}
	if o.only == "c" {
		return reportGrowth(out, table) && ok, nil
	}
	if err := report(out, table); err != nil {
		return false, err
	}
	return ok, writeMarkdown(o.md, table)
}
