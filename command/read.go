package command

import (
	"io"
	"time"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

// writeJSON writes a value as indented JSON.
func writeJSON(w io.Writer, v any) error {
	is, _ := terminal(w)
	data, err := view.EncodeJSON(v, is)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

type lsCmd struct {
	workspaceFlag
	Job  string `help:"Only this job." placeholder:"NAME|JOB.yaml"`
	Last int    `help:"Newest runs of each job; 0: all." placeholder:"N" default:"5"`
	Why  bool   `help:"Say what each job's newest run does now, why each host is waiting, and what a sample of its pages came to."`
	Keys int    `help:"With --why: name this many hosts of each worker, those with most left first; at most 50." placeholder:"N" default:"10"`
	JSON bool   `name:"json" help:"Write JSON."`
}

// Run implements the command.
func (c *lsCmd) Run(e *env) error {
	store, err := view.Open(c.Workspace)
	if err != nil {
		return err
	}
	jobs, err := view.List(e.ctx, store, c.Job, max(0, c.Last))
	if err != nil {
		return err
	}
	if c.Why {
		return c.why(e, store, jobs)
	}
	if c.JSON {
		return writeJSON(e.stdout, map[string]any{"jobs": jobs})
	}
	return view.WriteList(e.stdout, jobs)
}

func (c *lsCmd) why(e *env, store lakeio.Store, jobs []view.JobState) error {
	states, err := view.Why(e.ctx, store, jobs)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.stdout, map[string]any{"why": states})
	}
	_, width := terminal(e.stdout)
	return view.WriteWhy(e.stdout, states, time.Now(), c.Keys, width())
}

type catCmd struct {
	runFlags
	Table   string   `arg:"" help:"requests, deferred, captures, bodies, exchanges, links, pages, rejects or records/NAME."`
	Stage   string   `help:"Only this stage's rows (fetch, fetch-N, parse, refine, …). Records: default refine, else parse." placeholder:"STAGE"`
	Columns []string `help:"Columns in this order; '*' is all. Text shows the ones that matter most by default." placeholder:"A,B"`
	Where   []string `help:"Only rows whose column has this value, as text or JSON; may be repeated." placeholder:"COLUMN=VALUE" sep:"none"`
	Sort    []string `help:"Sort by these columns, -COLUMN downwards." placeholder:"A,-B"`
	Limit   int64    `help:"At most this many rows; 0: all." placeholder:"N"`
	Body    bool     `help:"With the bodies of table bodies."`
	JSON    bool     `name:"json" help:"One JSON object a line."`
	CSV     bool     `name:"csv" help:"CSV with a header."`
}

// Run implements the command.
func (c *catCmd) Run(e *env) error {
	format, err := view.ParseFormat(c.JSON, c.CSV)
	if err != nil {
		return err
	}
	r, err := c.open(e)
	if err != nil {
		return err
	}
	q := view.Query{Table: c.Table, Stage: c.Stage, Columns: c.Columns, Where: c.Where, Sort: c.Sort, Limit: c.Limit, Body: c.Body}
	return r.Cat(e.ctx, q, e.output(format))
}

func (e *env) output(f view.Format) view.Output {
	is, width := terminal(e.stdout)
	return view.Output{W: e.stdout, Format: f, Terminal: is, Width: width()}
}

type rejectsCmd struct {
	Count rejectsCountCmd `cmd:"" default:"withargs" help:"Count dead letters by stage, class and code (default)."`
	Show  rejectsShowCmd  `cmd:"" help:"Show dead letters."`

	Replay rejectsReplayCmd `cmd:"" help:"Send a run's dead letters through their stages again, with today's rules, in a new run."`
}

type rejectsCountCmd struct {
	runFlags
	JSON bool `name:"json" help:"Write JSON."`
}

// Run implements the command.
func (c *rejectsCountCmd) Run(e *env) error {
	r, err := c.open(e)
	if err != nil {
		return err
	}
	counts, err := r.Rejects(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		if counts == nil {
			counts = []view.RejectCount{}
		}
		return writeJSON(e.stdout, map[string]any{"rejects": counts})
	}
	return view.WriteRejects(e.stdout, counts)
}

type rejectsShowCmd struct {
	runFlags
	Stage string `help:"Only of this stage." placeholder:"STAGE"`
	Class string `help:"Only of this class: transient, permanent, data, system." placeholder:"CLASS"`
	Code  string `help:"Only with this code." placeholder:"CODE"`
	Limit int64  `help:"At most this many; 0: all." placeholder:"N"`
	JSON  bool   `name:"json" help:"One JSON object a line, with everything that is known."`
}

// Run implements the command.
func (c *rejectsShowCmd) Run(e *env) error {
	r, err := c.open(e)
	if err != nil {
		return err
	}
	q := view.Query{Table: "rejects", Stage: c.Stage, Limit: c.Limit}
	if c.Class != "" {
		q.Where = append(q.Where, "class="+c.Class)
	}
	if c.Code != "" {
		q.Where = append(q.Where, "code="+c.Code)
	}
	format, err := view.ParseFormat(c.JSON, false)
	if err != nil {
		return err
	}
	return r.Cat(e.ctx, q, e.output(format))
}

type auditCmd struct {
	workspaceFlag
	Which string `arg:"" optional:"" name:"run" help:"Run: last (default), last~1, an id that harrow ls names or the beginning of one." default:"last"`
	Job   string `help:"Job: its name or its job file. Not needed where the workspace has one job." placeholder:"NAME|JOB.yaml"`
	Keys  int    `help:"Name this many hosts beside those whose limits did not hold." placeholder:"N" default:"20"`
	JSON  bool   `name:"json" help:"Write JSON, with every host."`
}

// Run implements the command.
func (c *auditCmd) Run(e *env) error {
	f := runFlags{workspaceFlag: c.workspaceFlag, Job: c.Job, RunID: c.Which}
	r, err := f.open(e)
	if err != nil {
		return err
	}
	a, err := r.Audit(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.stdout, a)
	} else {
		_, width := terminal(e.stdout)
		err = view.WriteAudit(e.stdout, a, c.Keys, width())
	}
	if err == nil && !a.Held {
		err = errQuiet(exitCrossed)
	}
	return err
}
