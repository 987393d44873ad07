package command

import (
	"errors"
	"fmt"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/pipelines"
)

type rejectsReplayCmd struct {
	workspaceFlag
	paramFlag
	runnerFlags
	JobFile string `arg:"" optional:"" name:"job.yaml" help:"Job file: its rules are gone by. Without one those that the run had."`
	Job     string `help:"Job: its name, or its job file. Not needed where the workspace has one job." placeholder:"NAME|JOB.yaml"`
	RunID   string `name:"run" help:"Finished run whose rejects are replayed: last, last~1, or an id that harrow ls names, or its beginning." placeholder:"last|ID" default:"last"`
	Stage   string `help:"Only rejects of this stage." placeholder:"STAGE"`
	Class   string `help:"Only of this class: transient, permanent, data, system." placeholder:"CLASS"`
	Code    string `help:"Only with this code." placeholder:"CODE"`
	Record  string `help:"Only of this record." placeholder:"NAME"`
	JSON    bool   `name:"json" help:"Print the summary as JSON."`
}

// Run implements the command.
func (c *rejectsReplayCmd) Run(e *env) error {
	params, err := c.params()
	if err != nil {
		return err
	}
	if c.JobFile != "" && c.Job != "" {
		return view.Usagef("rejects replay: want %s or --job %s, not both", c.JobFile, c.Job)
	}
	store, err := view.Open(c.Workspace) // which has to be there
	if err != nil {
		return err
	}
	req := pipelines.Request{JobFile: c.JobFile, Workspace: c.Workspace, Params: params, Runner: c.Runner, Options: c.options(e),
		Replay: &lakeio.Replay{Run: c.RunID, Stage: c.Stage, Class: c.Class, Code: c.Code, Record: c.Record}}
	if req.JobFile == "" {
		if req.Job, err = view.FindJob(e.ctx, store, c.Job); err != nil {
			return err
		}
		if c.Job != "" && c.Job != req.Job {
			req.JobFile = c.Job
		} else if len(params) > 0 {
			return view.Usagef("--param: want a job file that it fills in")
		}
	}
	err = e.harvest(req, c.JSON)
	nothing := &pipelines.NothingError{}
	if !errors.As(err, &nothing) {
		return err
	}
	if c.JSON {
		count := view.NewReplayCount(nothing.Replay)
		count.CameThrough, count.RejectedAgain, count.Deferred = new(int64), new(int64), new(int64)
		return writeJSON(e.stdout, map[string]any{"job": nothing.Job, "run": nil, "replay": count})
	}
	_, err = fmt.Fprintln(e.stdout, nothing.Error())
	return err
}
