package view

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// JobState is what ls tells of a job.
type JobState struct {
	Job    string     `json:"job"`
	Holder *Holder    `json:"holder"` // who holds the job now; null: nobody
	Runs   []RunState `json:"runs"`   // oldest first
	Older  int        `json:"older"`  // runs that are not listed
}

// Holder is who holds a job.
type Holder struct {
	Run   string    `json:"run"`
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// RunState is what ls tells of a run.
type RunState struct {
	Run       string           `json:"run"`
	State     string           `json:"state"` // running, interrupted, paused, failed, done
	Exit      *int             `json:"exit"`  // of the last process; null while there is one, or where it died
	Error     string           `json:"error,omitempty"`
	CreatedAt time.Time        `json:"created_at"`
	EndedAt   *time.Time       `json:"ended_at"`
	Parent    string           `json:"parent,omitempty"`
	From      string           `json:"from,omitempty"`
	Replays   string           `json:"replays,omitempty"` // run whose rejects it replays
	Limit     int              `json:"limit,omitempty"`
	Elapsed   map[string]int64 `json:"elapsed_ms,omitempty"` // per stage, fetch's rounds together
	Stages    []StageState     `json:"stages"`
}

// StageState is what ls tells of a stage; fetch has one a round.
type StageState struct {
	Stage     string                `json:"stage"`
	State     string                `json:"state"`           // committed, running, or waiting: not yet
	Doing     string                `json:"doing,omitempty"` // how far one that is running has come, for people
	Run       string                `json:"run,omitempty"`   // whose it is, where that is another run
	Committed *time.Time            `json:"committed_at"`
	Tables    map[string]TableState `json:"tables,omitempty"`
}

// TableState counts what a stage committed of a table.
type TableState struct {
	Rows  int64 `json:"rows"`
	Parts int64 `json:"parts"`
	Bytes int64 `json:"bytes"` // of the files
	Raw   int64 `json:"raw"`   // before compression
}

// List tells of every job of a workspace, or of one, and its newest runs; last
// is how many, 0: all.
func List(ctx context.Context, store lakeio.Store, only string, last int) ([]JobState, error) {
	jobs, err := lakeio.Jobs(ctx, store)
	if err != nil {
		return nil, err
	}
	if only != "" {
		if only, err = FindJob(ctx, store, only); err != nil {
			return nil, err
		}
		jobs = []string{only}
	}
	states := make([]JobState, 0, len(jobs))
	for _, job := range jobs {
		st, err := listJob(ctx, store, job, last)
		if err != nil {
			return nil, err
		}
		states = append(states, st)
	}
	return states, nil
}

func listJob(ctx context.Context, store lakeio.Store, job string, last int) (JobState, error) {
	st := JobState{Job: job, Runs: []RunState{}}
	var err error
	if st.Holder, err = Held(ctx, store, job); err != nil {
		return st, err
	}
	ids, err := lakeio.Runs(ctx, store, job)
	if err != nil {
		return st, err
	}
	if last > 0 && len(ids) > last {
		st.Older = len(ids) - last
		ids = ids[st.Older:]
	}
	for _, id := range ids {
		r, err := lakeio.ReadRun(ctx, store, job, id)
		if err != nil {
			return st, err
		}
		run := Run{Run: r, Store: store}
		rs, err := run.state(ctx, st.Holder)
		if err != nil {
			return st, err
		}
		st.Runs = append(st.Runs, rs)
	}
	return st, nil
}

func (r Run) state(ctx context.Context, holder *Holder) (RunState, error) {
	st := RunState{Run: r.ID, State: string(r.State), Error: r.Error, CreatedAt: r.CreatedAt, Parent: r.Parent, From: r.From,
		Limit: r.Limit, Elapsed: r.Elapsed}
	if r.Replay != nil {
		st.Replays = r.Replay.Run
	}
	switch {
	case holder != nil && holder.Run == r.ID:
		st.State = "running"
	case r.State == lakeio.Active:
		st.State = "interrupted" // its process died; it can go on
	default:
		st.Exit, st.EndedAt = new(r.Exit), new(r.EndedAt)
	}
	for _, name := range r.StageNames() {
		s := StageState{Stage: name, State: "waiting"}
		if owner := r.Source(lakeio.BaseStage(name)); owner != r.ID {
			s.Run = owner
		}
		m, ok, err := r.Manifest(ctx, name)
		if err != nil {
			return st, err
		}
		if ok {
			s.State, s.Committed, s.Tables = "committed", new(m.At), map[string]TableState{}
			for table, c := range m.Tables {
				s.Tables[table] = TableState{c.Rows, c.Parts, c.Bytes, c.Raw}
			}
		}
		st.Stages = append(st.Stages, s)
	}
	if st.State != "running" {
		return st, nil
	}
	return st, r.doing(ctx, st.Stages)
}

// doing marks the first stage that has not committed, with what its workers
// say.
func (r Run) doing(ctx context.Context, stages []StageState) error {
	i := slices.IndexFunc(stages, func(s StageState) bool { return s.Committed == nil })
	if i < 0 {
		return nil
	}
	stages[i].State = "running"
	all, err := lakeio.Lake{Store: r.Store, Job: r.Run.Job, Run: r.ID}.Statuses(ctx)
	if err != nil {
		return err
	}
	p := NewProgress(r, r.CreatedAt)
	if sum, told := p.sum(all, stages[i].Stage); told {
		p.sampled = samples(all, r.CreatedAt)
		_, text, _ := strings.Cut(p.tell(sum, sum.At), ": ")
		stages[i].Doing = Printable(text)
	}
	return nil
}

// WriteList writes what List found for people.
func WriteList(w io.Writer, jobs []JobState) error {
	var b strings.Builder
	if len(jobs) == 0 {
		b.WriteString("no job has run here yet\n")
	}
	for _, j := range jobs {
		fmt.Fprintf(&b, "job %s", j.Job)
		if h := j.Holder; h != nil {
			fmt.Fprintf(&b, ", held by %s: process %d on %s since %s", h.who(), h.PID, Printable(h.Host), clock(h.Since))
		}
		b.WriteString("\n")
		if j.Older > 0 {
			fmt.Fprintf(&b, "  %d older runs; --last 0 lists all\n", j.Older)
		}
		for _, r := range j.Runs {
			r.write(&b)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r RunState) write(b *strings.Builder) {
	fmt.Fprintf(b, "  run %s  %s", r.Run, r.State)
	if r.Exit != nil {
		fmt.Fprintf(b, ", exit %d", *r.Exit)
	}
	fmt.Fprintf(b, ", begun %s", clock(r.CreatedAt))
	if r.EndedAt != nil && !r.EndedAt.IsZero() {
		fmt.Fprintf(b, ", ended %s", clock(*r.EndedAt))
	}
	if r.From != "" {
		fmt.Fprintf(b, ", from %s of run %s", r.From, r.Parent)
	}
	if r.Replays != "" {
		fmt.Fprintf(b, ", replays rejects of run %s", r.Replays)
	}
	if r.Limit > 0 {
		fmt.Fprintf(b, ", limit %d", r.Limit)
	}
	b.WriteString("\n")
	if r.Error != "" && r.State == string(lakeio.Broken) {
		fmt.Fprintf(b, "    error      %s\n", Truncate(Cause(r.Error), 300))
	}
	for i := 0; i < len(r.Stages); i++ {
		s := r.Stages[i]
		if s.Run != "" {
			i += r.writeTaken(b, r.Stages[i:]) - 1
			continue
		}
		line := fmt.Sprintf("    %-9s  %-9s  %7s  %s", s.Stage, s.State, r.took(s.Stage), cmp.Or(s.Doing, rowsOf(s.Tables)))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// writeTaken writes the first stages, as far as they are of one other run, as
// one line and returns how many they are: that run says the rest.
func (r RunState) writeTaken(b *strings.Builder, stages []StageState) (n int) {
	tables := map[string]TableState{}
	for _, s := range stages {
		if s.Run != stages[0].Run {
			break
		}
		n++
		for name, t := range s.Tables {
			t.Rows += tables[name].Rows
			tables[name] = t
		}
	}
	name := stages[0].Stage
	if n > 1 {
		name += " to " + stages[n-1].Stage
	}
	line := fmt.Sprintf("    %-9s  of run %s", name, stages[0].Run)
	if rows := rowsOf(tables); rows != "" {
		line += ": " + rows
	}
	b.WriteString(line + "\n")
	return n
}

// took is a stage's time; the rounds of fetch have one together, which stands
// at the first.
func (r RunState) took(stage string) string {
	ms, ok := r.Elapsed[stage]
	if stage == lakeio.FetchStage(0) {
		ms, ok = r.Elapsed["fetch"]
	}
	if !ok {
		return ""
	}
	return Took(time.Duration(ms) * time.Millisecond)
}

func rowsOf(tables map[string]TableState) string {
	var words []string
	for _, name := range sortedKeys(tables) {
		words = append(words, fmt.Sprintf("%s %s", name, Count(tables[name].Rows)))
	}
	return strings.Join(words, ", ")
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func (h Holder) who() string {
	if h.Run == lakeio.CollectorRun {
		return "harrow gc"
	}
	return "run " + h.Run
}

// Held reports who holds a job now, nil for nobody.
func Held(ctx context.Context, store lakeio.Store, job string) (*Holder, error) {
	h, held, err := lakeio.ReadHolder(ctx, lakeio.Lake{Store: store, Job: job})
	if err != nil || !held {
		return nil, err
	}
	return &Holder{Run: h.Run, Host: h.Host, PID: h.PID, Since: h.Since}, nil
}
