package command

import (
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
)

// workspaceFlag is where a job's runs live.
type workspaceFlag struct {
	Workspace string `help:"Folder that holds the jobs' runs and data." placeholder:"DIR" env:"HARROW_WORKSPACE" default:"${workspace}"`
}

// paramFlag fills ${param.NAME} of a job file in.
type paramFlag struct {
	Param []string `help:"Fill in $${param.NAME} of the job file." placeholder:"NAME=VALUE" sep:"none"`
}

func (p paramFlag) params() (map[string]string, error) { return named("--param", p.Param) }

// named reads what a flag that may be given again was given: NAME=VALUE.
func named(flag string, texts []string) (map[string]string, error) {
	values := map[string]string{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, view.Usagef("%s %s: want NAME=VALUE", flag, text)
		}
		values[name] = value
	}
	return values, nil
}

// runnerFlags say where a pipeline runs.
type runnerFlags struct {
	Runner      string `help:"Where it runs: ${runners}. Beam's own flags for it stand last, after --." placeholder:"NAME" default:"${runner}"`
	FlinkMaster string `help:"For runner flink: REST address of the JobManager, or local for a Flink within this machine's job server." placeholder:"HOST:PORT|local"`
	Endpoint    string `help:"For runner flink: a Beam job server that runs already." placeholder:"HOST:PORT"`
}

func (f runnerFlags) options(e *env) runners.Options {
	return runners.Options{FlinkMaster: f.FlinkMaster, Endpoint: f.Endpoint, Beam: e.beam, Log: e.stderr}
}

// takeBeam lists the commands after whose -- flags of Beam's may stand.
var takeBeam = []string{"run", "doctor", "rejects replay", "demo"}

// cutBeam takes Beam's flags off a command line.
func cutBeam(args []string) (own, beam []string) {
	i := slices.Index(args, "--")
	if i < 0 {
		return args, nil
	}
	words := strings.Join(args[:i], " ") + " "
	for _, command := range takeBeam {
		if strings.HasPrefix(words, command+" ") {
			return args[:i], args[i+1:]
		}
	}
	return args, nil
}

// runFlags name a run to look at.
type runFlags struct {
	workspaceFlag
	Job   string `help:"Job: its name or its job file. Not needed where the workspace has one job." placeholder:"NAME|JOB.yaml"`
	RunID string `name:"run" help:"Run: last, last~1 for the one before, an id that harrow ls names or the beginning of one." placeholder:"last|ID" default:"last"`
}

// open finds the run.
func (f runFlags) open(e *env) (view.Run, error) {
	store, job, err := f.find(e)
	if err != nil {
		return view.Run{}, err
	}
	return view.FindRun(e.ctx, store, job, f.RunID)
}

func (f runFlags) find(e *env) (lakeio.Store, string, error) {
	store, err := view.Open(f.Workspace)
	if err != nil {
		return nil, "", err
	}
	job, err := view.FindJob(e.ctx, store, f.Job)
	return store, job, err
}

// terminal reports whether w is one, and how to learn its width.
func terminal(w io.Writer) (is bool, width func() int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false, func() int { return 0 }
	}
	return true, func() int {
		n, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return n
	}
}

// paint says whether words are coloured: on a terminal that can, unless
// NO_COLOR is set (no-color.org).
func paint(terminal bool) view.Paint {
	return view.Paint(terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}
