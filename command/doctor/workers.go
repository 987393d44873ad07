package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/transforms/probe/look"
)

// Wanted is what workers are held to.
type Wanted struct {
	Build       string    // of who submits
	Machines    int       // that have workers, as far as the runner told; 0: unknown
	Memory      int64     // limits.memory of the job file: for each process
	Secrets     []string  // names
	Sinks       []string  // names
	Workspace   string    //
	Spill       string    // limits.spill
	Began, Over time.Time // between which they looked, by the clock of who submits
}

// drift is what clocks may differ by before it is said.
const drift = 5 * time.Second

// Workers judges what workers saw.
func Workers(reports []look.Report, w Wanted) []Check {
	if len(reports) == 0 {
		return []Check{fail("workers", "nothing came back from them: look at the runner's own page and logs for the job", "workers: none answered")}
	}
	list := []Check{answered(reports, w)}
	for _, judge := range []func([]look.Report, Wanted) []Check{builds, workspaces, secrets, sinks, spills, memories, clocks} {
		list = append(list, judge(reports, w)...)
	}
	return list
}

// answered says who did.
func answered(reports []look.Report, w Wanted) Check {
	hosts := map[string]int{}
	for _, r := range reports {
		hosts[r.Host]++
	}
	var names []string
	for _, h := range slices.Sorted(maps.Keys(hosts)) {
		names = append(names, fmt.Sprintf("%s (%d)", h, hosts[h]))
	}
	what := fmt.Sprintf("workers: %s answered, on %s", count(len(reports), "process", "processes"), strings.Join(names, ", "))
	if len(reports) < w.Machines {
		return Check{State: Warn, About: "workers", What: what + fmt.Sprintf("; there are %d TaskManagers", w.Machines),
			Do: "raise -- --parallelism to use all of them, or free their slots"}
	}
	return Check{State: OK, About: "workers", What: what}
}

// group gathers workers by what they say of one thing; those that say nothing
// are well.
func group(reports []look.Report, of func(look.Report) string) (said map[string][]look.Report, well int) {
	said = map[string][]look.Report{}
	for _, r := range reports {
		if text := of(r); text != "" {
			said[text] = append(said[text], r)
		} else {
			well++
		}
	}
	return said, well
}

// failing is a failed check for each thing that workers say is wrong, or one
// good one.
func failing(reports []look.Report, about, fine, do string, of func(look.Report) string) (list []Check) {
	said, _ := group(reports, of)
	for _, text := range slices.Sorted(maps.Keys(said)) {
		list = append(list, fail(about, do, "%s, on %s: %s", about, who(said[text], len(reports)), text))
	}
	if list == nil {
		list = []Check{ok(about, "%s, on every worker: %s", about, fine)}
	}
	return list
}

// shown is how many workers are named.
const shown = 3

// who names workers.
func who(some []look.Report, of int) string {
	var names []string
	for i, r := range some {
		if i == shown {
			names = append(names, "…")
			break
		}
		names = append(names, fmt.Sprintf("%s pid %d", r.Host, r.PID))
	}
	text := strings.Join(names, ", ")
	if len(some) == of && of > 1 {
		return fmt.Sprintf("all %d workers (%s)", of, text)
	}
	return text
}

func builds(reports []look.Report, w Wanted) []Check {
	return failing(reports, "build", w.Build, "start the worker pools again from the file (the image) that submits, "+w.Build+": a step's code is found by its name in the worker's own program",
		func(r look.Report) string {
			if r.Build == w.Build {
				return ""
			}
			return r.Build
		})
}

func workspaces(reports []look.Report, w Wanted) []Check {
	do := "a folder must be one that all machines share; better take a gs:// workspace"
	if strings.Contains(w.Workspace, "://") {
		do = "give the workers' machines credentials that may create, read, replace and delete objects there, and a way to it"
	}
	return failing(reports, "workspace", w.Workspace+" can be written, read and cleaned", do, func(r look.Report) string { return r.Workspace })
}

func secrets(reports []look.Report, w Wanted) []Check {
	if len(w.Secrets) == 0 {
		return nil
	}
	return failing(reports, "secrets", strings.Join(w.Secrets, ", ")+" can be had", "secrets don't travel: give them to the worker pool's own environment (or its files), and start it again",
		func(r look.Report) string { return strings.Join(r.Secrets, "; ") })
}

func sinks(reports []look.Report, w Wanted) (list []Check) {
	for _, name := range w.Sinks {
		list = append(list, failing(reports, "load."+name, "ready", "it must be reached from each worker's machine, with the same rights as from here",
			func(r look.Report) string { return r.Sinks[name] })...)
	}
	return list
}

// leastRoom is what a worker should find where it spills: chunks of the
// frontier, runs of the seen set, a shuffle's leftovers.
const leastRoom = 1 << 30

func spills(reports []look.Report, w Wanted) []Check {
	least := slices.MinFunc(reports, func(a, b look.Report) int { return int(a.Room>>10 - b.Room>>10) })
	list := failing(reports, "spill", fmt.Sprintf("%s can be written, %s free at least", w.Spill, view.Bytes(least.Room)),
		"make the folder that limits.spill names writable for the worker's user", func(r look.Report) string { return r.Spill })
	if least.Spill == "" && least.Room < leastRoom {
		list = append(list, warn("spill", "give it a larger disk, or name another folder in limits.spill", "spill, on %s: only %s free in %s",
			who([]look.Report{least}, len(reports)), view.Bytes(least.Room), w.Spill))
	}
	return list
}

func memories(reports []look.Report, w Wanted) []Check {
	hosts := map[string]int64{} // what a host's processes take together
	for _, r := range reports {
		hosts[r.Host] += w.Memory
	}
	for _, r := range reports {
		if r.Memory > 0 && r.Memory < hosts[r.Host] {
			return []Check{warn("memory", "lower limits.memory, or give the workers' container more", "memory, on %s: %s for workers that may use %s together (limits.memory of each)",
				r.Host, view.Bytes(r.Memory), view.Bytes(hosts[r.Host]))}
		}
	}
	return []Check{ok("memory", "memory, on every worker: enough for limits.memory of %s", view.Bytes(w.Memory))}
}

// clocks compares: a worker looked between the probe's beginning and its end.
func clocks(reports []look.Report, w Wanted) []Check {
	for _, r := range reports {
		off := time.Duration(0)
		switch {
		case r.At.Before(w.Began.Add(-drift)):
			off = r.At.Sub(w.Began)
		case r.At.After(w.Over.Add(drift)):
			off = r.At.Sub(w.Over)
		}
		if off != 0 {
			return []Check{warn("clock", "set it by NTP: no limit leans on it, but times in the tables do", "clock, on %s: off by %s at least", r.Host, off.Round(time.Second))}
		}
	}
	return []Check{ok("clock", "clock, on every worker: not seen to be off (the probe would miss less than %s)", (w.Over.Sub(w.Began) + drift).Round(time.Second))}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
