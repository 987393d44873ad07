package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/harrowdata/harrow/bench/internal/measure"
)

// least is the least efficiency of fetch, by runner.
var least = map[string]float64{"direct": 0.95, "prism": 0.85, "local": 0.9, "cluster": 0.9}

// efficiency is bound ÷ wall of fetch, bound by the server's log; 0: nothing was
// fetched.
func (o outcome) efficiency() float64 {
	if o.result.Fetch <= 0 {
		return 0
	}
	return o.result.Bound.Seconds() / o.result.Fetch.Seconds()
}

// problems says what does not hold; timing is judged only if judge.
func (o outcome) problems(judge bool) (lines []string) {
	if o.err != nil {
		return []string{o.err.Error()}
	}
	if o.work != "fetch" {
		return nil
	}
	if n := o.result.Violations; n > 0 {
		lines = append(lines, fmt.Sprintf("%d limits of politeness were broken", n))
	}
	if e, want := o.efficiency(), least[o.runner]; judge && e < want {
		lines = append(lines, fmt.Sprintf("efficiency is %.3f, at least %.2f on %s", e, want, o.runner))
	}
	return lines
}

// total is what all processes took: CPU, and the sum of the peaks.
func (o outcome) total() (u measure.Usage) {
	for _, one := range o.used {
		u.CPU += one.CPU
		u.Peak += one.Peak
	}
	return u
}

// write tells of one work on one runner.
func (o outcome) write(out io.Writer, judge bool) error {
	all := o.total()
	text := fmt.Sprintf("%s on %s: %s\n  wall %s, CPU %s, peak %s MiB in all\n", o.work, o.runner, o.result.What, short(o.result.Wall), short(all.CPU), measure.MiB(all.Peak))
	for _, kind := range kinds {
		if u, ok := o.used[kind]; ok {
			text += fmt.Sprintf("    %-20s %3d  CPU %s, peak %s MiB\n", kind, u.Processes, short(u.CPU), measure.MiB(u.Peak))
		}
	}
	if o.work == "fetch" {
		text += fmt.Sprintf("  efficiency %.3f: bound %s ÷ %s; harrow said %.3f; %d requests, %d violations\n", o.efficiency(), short(o.result.Bound), short(o.result.Fetch), o.result.Said, o.result.Requests, o.result.Violations)
	}
	verdict := "ok"
	problems := o.problems(judge)
	if len(problems) > 0 {
		verdict = "FAILED: " + strings.Join(problems, "; ")
	}
	if _, err := fmt.Fprintf(out, "%s  %s\n\n", text, verdict); err != nil {
		return err
	}
	return measure.SoakRow(o.work+" on "+o.runner, "-", o.result.What, fmt.Sprintf("%s; wall %s, CPU %s, peak %s MiB", verdict, short(o.result.Wall), short(all.CPU), measure.MiB(all.Peak)))
}

func short(d time.Duration) string {
	if d < time.Minute {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// writeMarkdown writes the tables with what they depend on; without a name it
// does nothing.
func writeMarkdown(name string, all []outcome, judge bool) error {
	if name == "" {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The same work on every runner\n\nMade by `make bench-runners` on %s, commit %s, %d cores, %s/%s, %s.\n\n",
		time.Now().UTC().Format(time.DateOnly), measure.Commit(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	fmt.Fprintf(&b, "`local` is a Flink within Beam's job server, with bundles in the submitter's process; `cluster` a standalone Flink of %d TaskManagers with %d slots each on the same\n"+
		"machine, workers from a pool beside them. Wall is from submission to the end, on `local` and `cluster` the start of the job server included, the cluster's own not. CPU and peak\n"+
		"(resident, of all processes of a kind at once) are read from /proc ten times a second. The web server, the generator and what watches are not counted.\n", taskManagers, slots)
	for _, work := range allWorks {
		writeWork(&b, work, all, judge)
	}
	b.WriteString("\n## Where CPU and memory went\n\n| work | runner | processes | how many | CPU | peak |\n|---|---|---|---|---|---|\n")
	for _, o := range all {
		for _, kind := range kinds {
			if u, ok := o.used[kind]; ok {
				fmt.Fprintf(&b, "| %s | %s | %s | %d | %s | %s MiB |\n", o.work, o.runner, kind, u.Processes, short(u.CPU), measure.MiB(u.Peak))
			}
		}
	}
	return os.WriteFile(name, []byte(b.String()), 0o666)
}

func writeWork(b *strings.Builder, work string, all []outcome, judge bool) {
	first := true
	for _, o := range all {
		if o.work != work {
			continue
		}
		if first {
			first = false
			fmt.Fprintf(b, "\n## %s: %s\n\n", work, o.result.What)
			if work == "fetch" {
				b.WriteString("| runner | requests | bound | fetch | efficiency | harrow said | violations | wall | CPU | peak | |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
			} else {
				b.WriteString("| runner | wall | CPU | peak | |\n|---|---|---|---|---|\n")
			}
		}
		u, r, verdict := o.total(), o.result, "ok"
		if problems := o.problems(judge); len(problems) > 0 {
			line, _, _ := strings.Cut(strings.Join(problems, "; "), "\n")
			verdict = "failed: " + strings.ReplaceAll(line, "|", "/")
		}
		fmt.Fprintf(b, "| %s | ", o.runner)
		if work == "fetch" {
			fmt.Fprintf(b, "%d | %s | %s | %.3f | %.3f | %d | ", r.Requests, short(r.Bound), short(r.Fetch), o.efficiency(), r.Said, r.Violations)
		}
		fmt.Fprintf(b, "%s | %s | %s MiB | %s |\n", short(r.Wall), short(u.CPU), measure.MiB(u.Peak), verdict)
	}
}
