package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/harrowdata/harrow/bench/internal/anywhere"
	"github.com/harrowdata/harrow/bench/internal/measure"
)

// problems says what does not hold; timing is judged only if judge.
func (o outcome) problems(judge bool) (lines []string) {
	lines = append(lines, o.server.Violations...)
	lines = append(lines, o.server.Faults...)
	lines = append(lines, o.unnamed...)
	if n := o.loaded(); o.Until == "" && n != int64(o.pages()) {
		lines = append(lines, fmt.Sprintf("%d rows were loaded, there are %d pages", n, o.pages()))
	}
	if o.Lean {
		if most := o.memory() + beyond; o.cost.Peak > most {
			lines = append(lines, fmt.Sprintf("peak memory is %s MiB, at most %s", measure.MiB(o.cost.Peak), measure.MiB(most)))
		}
		return lines
	}
	if !judge {
		return lines
	}
	if e, want := o.efficiency(), least[o.runner]; e < want {
		lines = append(lines, fmt.Sprintf("efficiency is %.3f, at least %.2f on %s", e, want, o.runner))
	}
	if e, want := o.whole(), leastWhole[o.runner]; e < want {
		lines = append(lines, fmt.Sprintf("efficiency of the whole run is %.3f, at least %.2f on %s", e, want, o.runner))
	}
	if said := o.said(); said > o.efficiency()+flatters[o.runner] {
		lines = append(lines, fmt.Sprintf("harrow says that its efficiency was %.3f, the server's log %.3f", said, o.efficiency()))
	}
	return lines
}

// beyond is what a process may take on top of limits.memory: the Go runtime,
// Beam and what the garbage collector has not found yet. most is what a request
// of many may cost more than one of few.
const (
	beyond = 300 << 20
	most   = 1.5
)

// each is what a request cost, ms of CPU.
func (o outcome) each() float64 { return o.cost.CPU.Seconds() * 1000 / float64(o.server.Requests) }

// reportGrowth compares what a request cost of few and of many.
func reportGrowth(out io.Writer, all []outcome) (ok bool) {
	few, many := all[0], all[len(all)-1]
	ratio, verdict := many.each()/few.each(), "ok"
	if ok = ratio <= most; !ok {
		verdict = "FAILED"
	}
	text := fmt.Sprintf("%.3f ms CPU a request, %.2f × what it is at %d, at most %.1f: %s; %s MiB peak, limits.memory %s", many.each(), ratio, few.server.Requests, most, verdict,
		measure.MiB(many.cost.Peak), measure.MiB(many.memory()))
	fmt.Fprintln(out, text)
	if err := measure.SoakRow("fetch of many", "-", many.scenario.String(), text); err != nil {
		fmt.Fprintln(out, err)
		return false
	}
	return ok
}

// loaded is how many rows the database got.
func (o outcome) loaded() (n int64) {
	for _, records := range o.harrow.Load {
		for _, c := range records {
			n += c.Added + c.Changed + c.Unchanged
		}
	}
	return n
}

// said is the efficiency that Harrow printed.
func (o outcome) said() float64 {
	if o.harrow.Efficiency == nil {
		return 0
	}
	return o.harrow.Efficiency.Ratio
}

// write tells of one run.
func (o outcome) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	j := o.server
	line := func(format string, args ...any) { fmt.Fprintf(w, "  "+format+"\n", args...) }
	fmt.Fprintf(w, "%s on %s: %v\n", o.Name, o.runner, o.scenario)
	if o.Lean {
		line("%d requests\t%v\tCPU %v, %.3f ms a request, peak %s MiB", j.Requests, tens(o.wall()), tens(o.cost.CPU), o.each(), measure.MiB(o.cost.Peak))
		line("politeness\t%d violations\tat most %d at once on a host", len(j.Violations), j.AtOnce)
		return w.Flush()
	}
	line("efficiency\t%.3f\tbound %v (%s, latency %v) ÷ %v from discover's commit to fetch's; harrow said %.3f", o.efficiency(), tens(j.Bound), j.Bounding, tens(j.Latency), tens(o.fetchWall()), o.said())
	line("whole run\t%.3f\t%v; CPU %v, peak %s MiB", o.whole(), tens(o.wall()), tens(o.cost.CPU), measure.MiB(o.cost.Peak))
	line("politeness\t%d violations\tat most %d at once on a host, smallest gap %v, %d hosts got requests closer to each other than they were sent, %d requests",
		len(j.Violations), j.AtOnce, tens(j.Gap), j.Close, j.Requests)
	line("time line\t%s", strings.Join(o.timeline(), ", "))
	line("%s at the server\t%v", j.Bounding, j.Slots)
	line("%s at the client\t%v", j.Bounding, o.client)
	return w.Flush()
}

func tens(d time.Duration) time.Duration {
	switch {
	case d > time.Minute:
		return d.Round(100 * time.Millisecond)
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}

// String says how the places were used.
func (s slots) String() string {
	return fmt.Sprintf("a start that is allowed waits %v (99%%: %v), %v in all; a request takes %v (99%%: %v)",
		tens(s.Idle.P50), tens(s.Idle.P99), tens(s.Idle.Sum), tens(s.Took.P50), tens(s.Took.P99))
}

// timeline lists what came when, each with the time since what came before.
func (o outcome) timeline() (lines []string) {
	last := o.began
	add := func(name string, at time.Time) {
		lines = append(lines, fmt.Sprintf("%s %v", name, tens(at.Sub(last))))
		last = at
	}
	add("run's start", o.run.CreatedAt)
	for _, s := range o.stages {
		if s.name == "fetch-0" {
			add("first request", o.server.First)
			add("last answer", o.server.Last)
		}
		add(s.name, s.at)
	}
	add("run's end", o.run.EndedAt)
	add("process's end", o.ended)
	return lines
}

// report prints the table of all runs.
func report(out io.Writer, all []outcome) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\trunner\trequests\tbound\tfetch\tefficiency\tharrow says\twhole run\tefficiency\tviolations\tCPU ms/request\tpeak MiB")
	for _, o := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%v\t%v\t%.3f\t%.3f\t%v\t%.3f\t%d\t%.2f\t%s\n", o.Name, o.runner, o.server.Requests, tens(o.server.Bound), tens(o.fetchWall()),
			o.efficiency(), o.said(), tens(o.wall()), o.whole(), len(o.server.Violations), o.each(), measure.MiB(o.cost.Peak))
	}
	return w.Flush()
}

// writeResult writes the figures of a run as JSON; without a name it does
// nothing.
func writeResult(name string, o outcome) error {
	return anywhere.Write(name, anywhere.Result{What: o.scenario.String(), Began: o.began, Wall: o.wall(), Bound: o.server.Bound, Fetch: o.fetchWall(),
		Said: o.said(), Violations: len(o.server.Violations), Requests: o.server.Requests})
}

// writeMarkdown writes the table with what it depends on; without a name it
// does nothing.
func writeMarkdown(name string, all []outcome) error {
	if name == "" {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Fetch against its bound\n\nMade by `make bench-fetch` on %s, commit %s, %d cores, %s/%s, %s. Nothing in it is random but what the machine does.\n\n",
		time.Now().UTC().Format(time.DateOnly), measure.Commit(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	b.WriteString("Bound and violations are reckoned from the server's log: bound is the least time that politeness allows for what was asked, L the server's own latency.\n" +
		"Efficiency is bound ÷ wall, of fetch from discover's commit to its own, and of the whole run from the start of the process to its end.\n\n")
	b.WriteString("| scenario | runner | requests | L | bound | fetch | efficiency | harrow said | whole run | efficiency | violations | CPU a request | peak |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, o := range all {
		fmt.Fprintf(&b, "| %s | %s | %d | %v | %v | %v | %.3f | %.3f | %v | %.3f | %d | %.2f ms | %s MiB |\n", o.Name, o.runner, o.server.Requests, tens(o.server.Latency), tens(o.server.Bound),
			tens(o.fetchWall()), o.efficiency(), o.said(), tens(o.wall()), o.whole(), len(o.server.Violations), o.each(), measure.MiB(o.cost.Peak))
	}
	b.WriteString("\nThe host that decides: how long a start that is allowed waits, at the server and at the client, and how long a request takes.\n\n" +
		"| scenario | runner | at the server: median, 99% | at the client: median, 99% | a request at the server | at the client |\n|---|---|---|---|---|---|\n")
	for _, o := range all {
		s, c := o.server.Slots, o.client
		fmt.Fprintf(&b, "| %s | %s | %v, %v | %v, %v | %v, %v | %v, %v |\n", o.Name, o.runner, tens(s.Idle.P50), tens(s.Idle.P99), tens(c.Idle.P50), tens(c.Idle.P99),
			tens(s.Took.P50), tens(s.Took.P99), tens(c.Took.P50), tens(c.Took.P99))
	}
	b.WriteString("\nWhat came when, each after what came before:\n\n")
	for _, o := range all {
		fmt.Fprintf(&b, "- %s on %s: %s\n", o.Name, o.runner, strings.Join(o.timeline(), ", "))
	}
	b.WriteString("\nThe scenarios:\n\n")
	for i, o := range all {
		if i == 0 || all[i-1].Name != o.Name {
			fmt.Fprintf(&b, "- %s: %v\n", o.Name, o.scenario)
		}
	}
	return os.WriteFile(name, []byte(b.String()), 0o666)
}
