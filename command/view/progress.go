package view

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// silence is how long workers may say nothing before that is worth a word.
const silence = 20 * time.Second

// Progress tells how a run stands, from its manifests and status files alone,
// so the same on every runner.
type Progress struct {
	run       Run
	committed int       // stages known to be
	begun     time.Time // who spoke last before is of an earlier attempt at the run
	since     time.Time
	last      sample
	rate      float64 // captures per second, or rows
	rated     bool    // rate is known: there were two reports of the stage
	sampled   []lakeio.RecordSample
	warned    map[string]bool // by id of the warning
}

// sample is what the rate is reckoned from.
type sample struct {
	stage    string
	at       time.Time
	captures int64 // or rows
}

// NewProgress begins to watch a run.
func NewProgress(r Run, now time.Time) *Progress { return &Progress{run: r, begun: now, since: now} }

// Line says in one line, of any length, what the run does now.
func (p *Progress) Line(ctx context.Context, now time.Time) (string, error) {
	stage, err := p.stage(ctx, now)
	if err != nil {
		return "", err
	}
	if stage == "" {
		return "every stage has committed", nil
	}
	lake := lakeio.Lake{Store: p.run.Store, Job: p.run.Run.Job, Run: p.run.ID}
	all, err := lake.Statuses(ctx)
	if err != nil {
		return "", err
	}
	p.sampled = samples(all, p.run.CreatedAt)
	st, told := p.sum(all, stage)
	if !told || stage == lakeio.PagesStage {
		return fmt.Sprintf("%s: running for %s", stage, Took(now.Sub(p.since))), nil
	}
	return Printable(p.tell(st, now)), nil
}

// stage is the first that has not committed.
func (p *Progress) stage(ctx context.Context, now time.Time) (string, error) {
	names := p.run.StageNames()
	for p.committed < len(names) {
		name := names[p.committed]
		done, err := p.run.Owner(name).Committed(ctx, name)
		if err != nil {
			return "", err
		}
		if !done {
			return name, nil
		}
		p.committed++
		p.since = now
	}
	return "", nil
}

// sum adds up what the workers of a stage said. One that is gone left its file
// behind: it counts no more once another speaks, which counts what it took over
// from it, unless it had done all its work. So does one of an earlier attempt
// that this one goes on with.
func (p *Progress) sum(all []lakeio.Status, stage string) (lakeio.Status, bool) {
	var newest time.Time
	for _, st := range all {
		if st.Stage == stage && st.At.After(newest) {
			newest = st.At
		}
	}
	sum := lakeio.Status{Stage: stage, At: newest, Counters: map[string]int64{}, Waiting: map[string]int{}}
	told, free := false, false
	for _, st := range all {
		if st.Stage != stage || !through(st) && (gone(st, newest) || st.At.Before(p.begun)) || st.At.Before(p.run.CreatedAt) {
			continue
		}
		told = true
		for k, n := range st.Counters {
			sum.Counters[k] += n
		}
		for k, n := range st.Waiting {
			sum.Waiting[k] += n
		}
		sum.InFlight += st.InFlight
		sum.Held += st.Held
		sum.Queued += st.Queued
		if sum.Next.IsZero() || !st.Next.IsZero() && st.Next.Before(sum.Next) {
			sum.Next = st.Next
		}
		if !st.Ended {
			free = free || st.Blocked == ""
			sum.Blocked = cmp.Or(st.Blocked, sum.Blocked)
		}
	}
	if free { // one of them may start something
		sum.Blocked = ""
	}
	return sum, told
}

// through reports whether a worker has done all its work: nobody takes
// anything over from it, so nobody else counts it.
func through(st lakeio.Status) bool { return st.Ended && st.Queued == 0 && st.InFlight == 0 }

// gone reports whether a worker has said nothing for long, while others did.
func gone(st lakeio.Status, newest time.Time) bool { return newest.Sub(st.At) > silence }

func (p *Progress) tell(st lakeio.Status, now time.Time) string {
	if lakeio.BaseStage(st.Stage) != "fetch" {
		return p.tellWork(st, now)
	}
	captures := int64(0)
	var outcomes []string
	for _, o := range outcomeOrder {
		if n := st.Counters["captures."+string(o)]; n > 0 {
			captures += n
			outcomes = append(outcomes, Count(n)+" "+string(o))
		}
	}
	if n := st.Counters["left"]; n > 0 {
		captures += n
		outcomes = append(outcomes, Count(n)+" left to the next round")
	}
	p.sample(st, captures)
	words := []string{st.Stage + ": " + Count(st.Counters["requests"]) + " requests"}
	if len(outcomes) > 0 {
		words = append(words, strings.Join(outcomes, ", "))
	}
	if p.rated {
		words = append(words, fmt.Sprintf("%.1f/s", p.rate))
	}
	words = append(words, fmt.Sprintf("%d in flight, %s queued", st.InFlight, Count(st.Queued)))
	if n := st.Counters["bytes"]; n > 0 {
		words = append(words, Bytes(n))
	}
	if text := waiting(st.Waiting); text != "" && st.InFlight > 0 {
		words = append(words, text)
	}
	if why := p.why(st, captures, now); why != "" {
		words = append(words, why)
	}
	if text := sampleText(p.sampled); text != "" {
		words = append(words, text)
	}
	return strings.Join(words, " · ")
}

// tellWork is tell for the stages that compute.
func (p *Progress) tellWork(st lakeio.Status, now time.Time) string {
	p.sample(st, st.Counters["rows"])
	words := []string{st.Stage + ": " + workText(st.Counters)}
	if p.rate > 0 {
		words = append(words, fmt.Sprintf("%s rows/s", Count(int64(p.rate))))
	}
	if why := p.why(st, 0, now); why != "" {
		words = append(words, why)
	}
	return strings.Join(words, " · ")
}

// Warnings are the words on rules that are most likely wrong which were not
// said yet, by what the last Line read.
func (p *Progress) Warnings() (lines []string) {
	for _, w := range warnings(p.sampled) {
		if !p.warned[w.id] {
			if p.warned == nil {
				p.warned = map[string]bool{}
			}
			p.warned[w.id] = true
			lines = append(lines, Printable(w.text))
		}
	}
	return lines
}

// sample reckons the rate between two reports of the workers, not between two
// looks at them.
func (p *Progress) sample(st lakeio.Status, captures int64) {
	switch dt := st.At.Sub(p.last.at); {
	case st.Stage != p.last.stage || captures < p.last.captures:
		p.rate, p.rated = 0, false
	case dt < 500*time.Millisecond:
		return
	default:
		p.rate, p.rated = float64(captures-p.last.captures)/dt.Seconds(), true
	}
	p.last = sample{st.Stage, st.At, captures}
}

// why says why nothing is being fetched, if that is so.
func (p *Progress) why(st lakeio.Status, captures int64, now time.Time) string {
	if quiet := now.Sub(st.At); quiet > silence {
		return "no word from its workers for " + Took(quiet)
	}
	switch {
	case lakeio.BaseStage(st.Stage) != "fetch":
		return ""
	case st.InFlight > 0 && st.Blocked != "":
		return "nothing more starts: " + st.Blocked
	case st.InFlight > 0:
		return ""
	}
	switch text := waiting(st.Waiting); {
	case st.Blocked != "":
		return "nothing starts: " + st.Blocked
	case text != "":
		if wait := st.Next.Sub(now); !st.Next.IsZero() && wait > 0 {
			text += ", next start in " + Took(wait)
		}
		return "nothing in flight: " + text
	case captures > 0 && captures >= st.Counters["requests"]:
		return "all answered, being written"
	}
	return "nothing in flight: no key has anything to ask yet"
}

// reasons are the words for why a politeness key is not asked.
var reasons = map[string]string{
	"delay":       "keep their delay",
	"crawl-delay": "keep their crawl-delay",
	"last":        "have their last requests in flight",
	"concurrency": "are at their concurrency",
	"retry-after": "wait as asked (Retry-After)",
	"backoff":     "back off after a failure",
	"breaker":     "failed too often (breaker)",
	"resume":      "wait since the run was resumed",
	"robots":      "wait for robots.txt",
	"dns":         "wait for their address (DNS)",
	"adaptive":    "are asked more slowly: they fail or slow down",
	"login":       "wait for a login",
	"ready":       "may start",
}

// waiting says how many keys wait and what for.
func waiting(keys map[string]int) string {
	var words []string
	for _, why := range slices.Sorted(maps.Keys(keys)) {
		n, text := keys[why], reasons[why]
		if n == 0 || why == "idle" {
			continue
		}
		if text == "" {
			text = "wait: " + why
		}
		words = append(words, fmt.Sprintf("%s %s", Count(int64(n)), text))
	}
	if len(words) == 0 {
		return ""
	}
	return "keys: " + strings.Join(words, ", ")
}

// Show writes a line at every tick until ctx ends: on a terminal one that is
// rewritten, elsewhere one after the other. width is that of the terminal.
func (p *Progress) Show(ctx context.Context, w io.Writer, terminal bool, width func() int, tick <-chan time.Time) {
	drawn := false
	for {
		select {
		case <-ctx.Done():
			if drawn {
				fmt.Fprint(w, "\r\x1b[K")
			}
			return
		case now := <-tick:
			line, err := p.Line(ctx, now)
			if ctx.Err() != nil {
				continue
			}
			if err != nil {
				line = "progress: " + Printable(err.Error())
			}
			for _, warning := range p.Warnings() {
				if terminal {
					warning = "\r\x1b[K" + warning
				}
				fmt.Fprintln(w, warning)
			}
			if !terminal {
				fmt.Fprintln(w, line)
				continue
			}
			if n := width(); n > 0 {
				line = Truncate(line, n-1)
			}
			fmt.Fprint(w, "\r\x1b[K"+line)
			drawn = true
		}
	}
}
