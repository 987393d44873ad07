package command

import (
	"fmt"
	"os"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/trial"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/pipelines"
)

type tryCmd struct {
	paramFlag
	JobFile string `arg:"" name:"job.yaml" help:"Job file."`
	URL     string `arg:"" name:"url" help:"URL to try."`
	JSON    bool   `name:"json" help:"Write JSON."`
}

// Run implements the command.
func (c *tryCmd) Run(e *env) error {
	job, err := c.read(c.JobFile)
	if err != nil {
		return err
	}
	var hosts []string
	if len(job.Discover.Scope.Hosts) == 0 {
		if hosts, err = pipelines.SeedHosts(e.ctx, job); err != nil {
			return err
		}
	}
	report, err := trial.URL(e.ctx, trial.Config{Job: job.Job, Types: job.Types, Hosts: hosts, Env: os.LookupEnv,
		Wait: func(key string, d time.Duration) {
			fmt.Fprintf(e.stderr, "waiting %s before %s is asked again\n", view.Took(d), view.Printable(key))
		}}, c.URL)
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.stdout, report)
	} else {
		_, width := terminal(e.stdout)
		err = report.WriteText(e.stdout, width())
	}
	if err == nil && report.Outcome != harrow.Fetched {
		err = errQuiet(exitFailed)
	}
	return err
}
