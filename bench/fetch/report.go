package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/harrowdata/harrow/bench/internal/measure"
)

// problems says what does not hold; timing is judged only if judge.
func (o outcome) problems(judge bool) (lines []string) {
	lines = append(lines, o.server.Violations...)
	lines = append(lines, o.server.Faults...)
	lines = append(lines, o.unnamed...)
	if n := o.loaded(); n != int64(o.pages()) {
		lines = append(lines, fmt.Sprintf("%d rows were loaded, there are %d pages", n, o.pages()))
	}
	if !judge {
		return lines
	}
	if e, want := o.efficiency(), least[o.runner]; e < want {
		lines = append(lines, fmt.Sprintf("efficiency is %.3f, at least %.2f on %s", e, want, o.runner))
	}
	if e := o.whole(); e < leastWhole {
		lines = append(lines, fmt.Sprintf("efficiency of the whole run is %.3f, at least %.2f", e, leastWhole))
	}
	if said := o.said(); said > o.efficiency()+flatters {
		lines = append(lines, fmt.Sprintf("harrow says that its efficiency was %.3f, the server's log %.3f", said, o.efficiency()))
	}
	return lines
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
	line("efficiency\t%.3f\tbound %v (%s, latency %v) ÷ %v from discover's commit to fetch's; harrow said %.3f", o.efficiency(), tens(j.Bound), j.Bounding, tens(j.Latency), tens(o.fetchWall()), o.said())
	line("whole run\t%.3f\t%v; CPU %v, peak %s MiB", o.whole(), tens(o.wall()), tens(o.cost.CPU), measure.MiB(o.cost.Peak))
	line("politeness\t%d violations\tat most %d at once on a host, smallest gap %v, %d requests", len(j.Violations), j.AtOnce, tens(j.Gap), j.Requests)
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
			o.efficiency(), o.said(), tens(o.wall()), o.whole(), len(o.server.Violations), o.cost.CPU.Seconds()*1000/float64(o.server.Requests), measure.MiB(o.cost.Peak))
	}
	return w.Flush()
}
