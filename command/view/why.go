package view

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// WhyState is what the workers of a run say of themselves.
type WhyState struct {
	Job     string                `json:"job"`
	Run     string                `json:"run"`
	Running bool                  `json:"running"` // a process holds the job for this run
	Stage   string                `json:"stage"`   // the first that has not committed; empty: all have
	Workers []lakeio.Status       `json:"workers"` // of that stage, as they said last
	Sample  []lakeio.RecordSample `json:"sample"`  // of all workers and rounds together
}

// Why tells of the newest run of every job of a workspace, or of one, what its
// workers do and why they wait, from their status files alone.
func Why(ctx context.Context, store lakeio.Store, jobs []JobState) ([]WhyState, error) {
	states := make([]WhyState, 0, len(jobs))
	for _, j := range jobs {
		if len(j.Runs) == 0 {
			continue
		}
		r, err := FindRun(ctx, store, j.Job, j.Runs[len(j.Runs)-1].Run)
		if err != nil {
			return nil, err
		}
		st, err := r.why(ctx)
		if err != nil {
			return nil, err
		}
		st.Running = j.Holder != nil && j.Holder.Run == r.ID
		states = append(states, st)
	}
	return states, nil
}

func (r Run) why(ctx context.Context) (WhyState, error) {
	st := WhyState{Job: r.Run.Job, Run: r.ID, Workers: []lakeio.Status{}}
	for _, name := range r.StageNames() {
		done, err := r.Owner(name).Committed(ctx, name)
		if err != nil {
			return st, err
		}
		if !done {
			st.Stage = name
			break
		}
	}
	all, err := lakeio.Lake{Store: r.Store, Job: r.Run.Job, Run: r.ID}.Statuses(ctx)
	if err != nil {
		return st, err
	}
	var newest time.Time
	for _, one := range all {
		if one.Stage == st.Stage && one.At.After(newest) {
			newest = one.At
		}
	}
	for _, one := range all {
		if one.Stage == st.Stage && !gone(one, newest) {
			st.Workers = append(st.Workers, one)
		}
	}
	st.Sample = samples(all, r.CreatedAt)
	return st, nil
}

// WriteWhy writes what Why found for people; most is how many keys of a worker
// are named. width is that of the terminal, 0 where there is none.
func WriteWhy(w io.Writer, states []WhyState, now time.Time, most, width int) error {
	b := bufio.NewWriter(w)
	if len(states) == 0 {
		fmt.Fprintln(b, "no job has run here yet")
	}
	for _, st := range states {
		fmt.Fprintf(b, "job %s, run %s: %s\n", st.Job, st.Run, st.doing())
		for _, one := range st.Workers {
			if err := writeWorker(b, one, now, most, width); err != nil {
				return err
			}
		}
		if lakeio.BaseStage(st.Stage) == "fetch" {
			writeSample(b, st.Sample)
		}
	}
	return b.Flush()
}

func (st WhyState) doing() string {
	switch {
	case st.Stage == "":
		return "every stage has committed, nothing waits"
	case !st.Running:
		return "not running, " + st.Stage + " is next; harrow run goes on with it"
	case len(st.Workers) == 0:
		return st.Stage + " is running; its workers have said nothing yet"
	}
	return st.Stage + " is running"
}

func writeWorker(b *bufio.Writer, st lakeio.Status, now time.Time, most, width int) error {
	fmt.Fprintf(b, "  worker %s, %s ago", Printable(st.Worker), Took(now.Sub(st.At)))
	if lakeio.BaseStage(st.Stage) != "fetch" {
		fmt.Fprintf(b, ": %s\n", workText(st.Counters))
		return nil
	}
	fmt.Fprintf(b, ": %d in flight, %s queued", st.InFlight, Count(st.Queued))
	if n := st.Rates["exchanges"]; n > 0 {
		fmt.Fprintf(b, "; in the last minute %s, %s", plural(n, "exchange"), Bytes(st.Rates["bytes"]))
	}
	fmt.Fprintln(b)
	if st.Blocked != "" {
		fmt.Fprintf(b, "    nothing starts: %s\n", Printable(st.Blocked))
	}
	if st.Held > 0 {
		fmt.Fprintf(b, "    %s that another worker holds: waiting until it has done them, or is known to be dead\n", plural(int64(st.Held), "fetch shard"))
	}
	if text := waiting(st.Waiting); text != "" {
		fmt.Fprintf(b, "    %s\n", Printable(text))
	}
	if !st.Next.IsZero() && st.Next.After(now) {
		fmt.Fprintf(b, "    next start in %s\n", Took(st.Next.Sub(now)))
	}
	return writeKeys(b, st, now, most, width)
}

func writeKeys(b *bufio.Writer, st lakeio.Status, now time.Time, most, width int) error {
	keys := st.Keys[:min(len(st.Keys), max(0, most))]
	if len(keys) == 0 {
		return nil
	}
	t := NewTextTable(b, width > 0, width, "    key", "why", "until", "queued", "in flight", "delay", "latency", "left")
	t.Right(3)
	for _, k := range keys {
		until := ""
		if !k.Until.IsZero() {
			until = "in " + Took(max(0, k.Until.Sub(now)))
		}
		latency := "-"
		if k.Latency > 0 {
			latency = Took(k.Latency)
		}
		err := t.Row("    "+k.Key, reasonOf(k.Why), until, Count(k.Queued), fmt.Sprintf("%d of %d", k.InFlight, k.Concurrency), Took(k.Delay), latency, Took(k.Left))
		if err != nil {
			return err
		}
	}
	if err := t.End(); err != nil {
		return err
	}
	total := 0
	for _, n := range st.Waiting {
		total += n
	}
	if left := total - len(keys); left > 0 {
		fmt.Fprintf(b, "    … %d more keys with less left\n", left)
	}
	return nil
}

// reasonOf is the word for why one key waits; for several see [reasons].
func reasonOf(why string) string {
	if text, ok := reason[why]; ok {
		return text
	}
	return why
}

var reason = map[string]string{
	"delay":       "its delay",
	"crawl-delay": "robots.txt asks for a crawl-delay",
	"concurrency": "as many in flight as allowed",
	"retry-after": "asked to wait (Retry-After)",
	"backoff":     "backs off after a failure",
	"breaker":     "failed too often (breaker open)",
	"resume":      "the run was resumed",
	"robots":      "its robots.txt is being fetched",
	"dns":         "its address is being looked up",
	"login":       "a login is under way",
	"adaptive":    "asked more slowly: it fails or slows down",
	"last":        "its last requests are in flight",
	"ready":       "may start",
}

// workText says how far a stage that computes has come.
func workText(counters map[string]int64) string {
	var words []string
	for _, name := range []string{"parts", "rows"} {
		done, total := counters[name], counters[name+"_total"]
		switch {
		case total > done:
			words = append(words, fmt.Sprintf("%s of %s %s", Count(done), Count(total), name))
		case done > 0:
			words = append(words, Count(done)+" "+name)
		}
	}
	rest := map[string]int64{}
	for name, n := range counters {
		if !slices.Contains([]string{"parts", "rows", "parts_total", "rows_total"}, name) {
			rest[name] = n
		}
	}
	if len(rest) > 0 {
		words = append(words, countText(rest))
	}
	return strings.Join(words, ", ")
}
