// Package command is the whole command line. A binary with plug-ins of its
// own is two lines: import them, call [Main].
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/memory"
	_ "github.com/harrowdata/harrow/io/gcsio"     // workspaces at gs://
	_ "github.com/harrowdata/harrow/io/parquetio" // sink parquet
	_ "github.com/harrowdata/harrow/io/pgio"      // sink postgres
	_ "github.com/harrowdata/harrow/io/sqlio"     // sink sqlite
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/runners/workerpool"
)

// Main is main: it runs the command line of this process and exits with its
// code. Beam starts workers as this binary with --worker on Go's global flag
// set, so that is looked for before anything else; Harrow's own flags are
// never on that set.
func Main() {
	args := os.Args[1:]
	memory.TuneGC()
	if isWorker(args) {
		os.Exit(serveAsWorker())
	}
	if err := flag.CommandLine.Parse(nil); err != nil {
		fmt.Fprintln(os.Stderr, "harrow:", err)
		os.Exit(exitFailed)
	}
	beam.Init()
	os.Exit(Run(context.Background(), args, os.Stdout, os.Stderr))
}

// isWorker reports whether a runner started this process as a worker:
// --worker, -worker, --worker=true among the flags it begins with.
func isWorker(args []string) bool {
	for _, arg := range args {
		name, ok := strings.CutPrefix(arg, "-")
		if !ok || arg == "--" {
			return false
		}
		name, value, given := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		if name == "worker" {
			on, err := strconv.ParseBool(value)
			return !given || err == nil && on
		}
	}
	return false
}

// grammar is the command line. What isn't built isn't in it.
type grammar struct {
	Run     runCmd     `cmd:"" help:"Run a job, or go on with its unfinished run."`
	Check   checkCmd   `cmd:"" help:"Say what is wrong with a job file, its secrets and its stores."`
	Doctor  doctorCmd  `cmd:"" help:"Say, before a job is submitted to a runner, what is right and what to do about what isn't."`
	Try     tryCmd     `cmd:"" help:"Take one URL through everything and store nothing."`
	Ls      lsCmd      `cmd:"" help:"List jobs, runs, stages and their state."`
	Cat     catCmd     `cmd:"" help:"Show rows of a table."`
	Rejects rejectsCmd `cmd:"" help:"Count, show or replay dead letters."`
	Audit   auditCmd   `cmd:"" help:"Say what each host was subjected to, and whether its limits held."`
	Diff    diffCmd    `cmd:"" help:"Say which records and fields differ between two runs."`
	Pause   pauseCmd   `cmd:"" help:"Let a run drain and leave it resumable."`
	Gc      gcCmd      `cmd:"" help:"Remove what nothing refers to any more, and old runs."`
	Worker  workerCmd  `cmd:"" help:"Start workers for a cluster's machine (--pool)."`
	Flink   flinkCmd   `cmd:"" help:"Flink on this machine: install it, start it, end it."`
	Demo    demoCmd    `cmd:"" help:"Serve the demo site and harvest it."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

const description = `Harvest structured data from web sources: fetch politely, keep the raw answers, parse, clean, upsert.

Exit codes: 0 done; 1 the run failed and can be resumed, or another run holds the job; 2 the command or the job file is wrong; ` +
	`3 done, but requests were deferred or a threshold was crossed, a limit did not hold (audit), or runs differ (diff --exit-code); 130 interrupted or paused, can be resumed.`

// Run runs one command line without the program's name and returns the exit
// code. Results go to stdout, progress and errors to stderr. beam.Init must
// have been called before a job is run.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	args, beamFlags := cutBeam(args)
	e := &env{ctx: ctx, stdout: stdout, stderr: stderr, beam: beamFlags}
	defer func() {
		if p := recover(); p != nil {
			code = e.fail(fmt.Errorf("internal error, please report it at %s: %v", harrow.ProjectURL, p))
		}
	}()
	exited := false
	parser, err := kong.New(&grammar{}, kong.Name("harrow"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Vars{"version": "harrow " + harrow.Version, "workspace": view.DefaultWorkspace,
			"runners": strings.Join(runners.Names(), ", "), "runner": runners.Default, "listen": workerpool.DefaultListen},
		kong.Exit(func(int) { exited = true }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return e.fail(err)
	}
	parsed, err := parser.Parse(joinSort(args))
	if exited { // after --help or --version
		return exitDone
	}
	if err != nil {
		return e.fail(misuse(parser, args, err))
	}
	return e.fail(parsed.Run(e))
}

// joinSort writes "--sort -price" as "--sort=-price": the parser would take a
// value that begins with a hyphen for a flag.
func joinSort(args []string) []string {
	var joined []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--sort" && i+1 < len(args) && strings.HasPrefix(args[i+1], "-") && !strings.HasPrefix(args[i+1], "--") {
			joined = append(joined, "--sort="+args[i+1])
			i++
			continue
		}
		joined = append(joined, args[i])
	}
	return joined
}

// misuse says in one line what is wrong with a command line.
func misuse(parser *kong.Kong, args []string, err error) error {
	var names []string
	known := false
	for _, n := range parser.Model.Children {
		names = append(names, n.Name)
		known = known || len(args) > 0 && n.Name == args[0]
	}
	all := strings.Join(names, ", ")
	switch {
	case len(args) == 0:
		return view.Usagef("want a command: %s; harrow --help says more", all)
	case !known && !strings.HasPrefix(args[0], "-"):
		return view.Usagef("unknown command %q; want one of %s", args[0], all)
	}
	hint := ""
	if strings.HasPrefix(err.Error(), "unknown flag") && slices.Contains([]string{"run", "demo", "doctor"}, args[0]) {
		hint = "; a flag of Beam's stands after --"
	}
	return view.Usagef("%s%s", err.Error(), hint)
}

// env is what a command runs in.
type env struct {
	ctx            context.Context
	stdout, stderr io.Writer
	beam           []string // Beam's own flags, which stood after --
}

// errQuiet carries an exit code where everything was said already.
type errQuiet int

func (e errQuiet) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// fail writes an error as one line, or a job file's problems as one each, and
// returns the exit code; that of nil is 0.
func (e *env) fail(err error) int {
	var quiet errQuiet
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &quiet):
		return int(quiet)
	}
	for _, line := range errorLines(err) {
		fmt.Fprintln(e.stderr, line)
	}
	return exitCode(err)
}
