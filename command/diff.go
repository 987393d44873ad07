package command

import (
	"errors"

	"github.com/harrowdata/harrow/command/compare"
	"github.com/harrowdata/harrow/command/view"
)

type diffCmd struct {
	workspaceFlag
	First    string   `arg:"" name:"run" help:"Run before: last~1 for example, or an id that harrow ls names, or the beginning of one."`
	Second   string   `arg:"" name:"other-run" help:"Run after: last for example."`
	Job      string   `help:"Job: its name or its job file. Not needed where the workspace has one job." placeholder:"NAME|JOB.yaml"`
	Record   []string `help:"Only these records." placeholder:"NAME"`
	Stage    string   `help:"Compare the rows of parse or of refine. Default: refine if both runs have committed it, else parse." placeholder:"STAGE"`
	Fields   []string `help:"Compare only these columns." placeholder:"A,B"`
	Limit    int64    `help:"Show at most this many rows of each record; 0: all. All are counted." placeholder:"N"`
	Summary  bool     `help:"Count, and show no rows."`
	JSON     bool     `name:"json" help:"One JSON object a line: first the summary, then a row each."`
	CSV      bool     `name:"csv" help:"CSV with a header, a line for each field that differs; without the summary."`
	ExitCode bool     `help:"Exit with 3 if rows, columns or rejects differ."`
}

// Run implements the command.
func (c *diffCmd) Run(e *env) (err error) {
	format, err := view.ParseFormat(c.JSON, c.CSV)
	if err != nil {
		return err
	}
	if c.CSV && c.Summary {
		return view.Usagef("--csv writes rows; want --summary as text or with --json")
	}
	f := runFlags{workspaceFlag: c.workspaceFlag, Job: c.Job}
	var runs [2]view.Run
	for i, id := range []string{c.First, c.Second} {
		f.RunID = id
		if runs[i], err = f.open(e); err != nil {
			return err
		}
	}
	q := compare.Query{Stage: c.Stage, Records: c.Record, Fields: c.Fields, Limit: c.Limit, Summary: c.Summary}
	out := e.output(format)
	d, err := compare.Runs(e.ctx, runs[0], runs[1], q, out, paint(out.Terminal))
	if err != nil {
		return err
	}
	err = errors.Join(d.Write(), d.Close())
	if err == nil && c.ExitCode && d.Differ {
		err = errQuiet(exitCrossed)
	}
	return err
}
