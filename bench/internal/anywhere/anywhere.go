// Package anywhere lets a benchmark run on any runner.
package anywhere

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/command"
	"github.com/harrowdata/harrow/runners"
)

// On says where the pipelines of a benchmark run.
type On struct {
	Runner      string // empty: the benchmark's default
	FlinkMaster string
	Beam        string // Beam's own flags, with blanks between them
}

// Flags adds the flags of a benchmark that runs anywhere.
func (o *On) Flags(fs *flag.FlagSet) {
	fs.StringVar(&o.Runner, "runner", "", "one runner: direct, prism or flink")
	fs.StringVar(&o.FlinkMaster, "flink-master", "", "for runner flink, as harrow run has it")
	fs.StringVar(&o.Beam, "beam", "", "for runner flink: Beam's own flags, with blanks between them")
}

// Args are what harrow run gets.
func (o On) Args() (args []string) {
	if o.Runner != "" {
		args = append(args, "--runner", o.Runner)
	}
	if o.FlinkMaster != "" {
		args = append(args, "--flink-master", o.FlinkMaster)
	}
	if o.Beam != "" {
		args = append(append(args, "--"), strings.Fields(o.Beam)...)
	}
	return args
}

// Options are what package runners gets for a job of this name.
func (o On) Options(name string) runners.Options {
	return runners.Options{Name: name, FlinkMaster: o.FlinkMaster, Beam: strings.Fields(o.Beam), Log: os.Stderr}
}

// Worker makes this process what a runner or a pool of workers started it for,
// and ends it then: a benchmark's binary is a harrow of its own, since workers
// have to be of the build that has submitted the job. Call it first in main.
func Worker() {
	if len(os.Args) > 1 && (os.Args[1] == "worker" || slices.Contains(os.Args[1:], "--worker=true")) {
		command.Main()
		os.Exit(0)
	}
}

// Result is what a benchmark tells bench/runners of one run.
type Result struct {
	What  string        // it had to do
	Began time.Time     // before its process was started
	Wall  time.Duration // of the pipeline, or of the whole harvest

	// Of a harvest, by the server's log but for Fetch and Said.
	Requests   int
	Violations int
	Bound      time.Duration // least time that politeness allows
	Fetch      time.Duration // from the commit of discover to that of the last round
	Said       float64       // efficiency as Harrow says
}

// Write writes a result to a file; without a name it does nothing.
func Write(name string, r Result) error {
	if name == "" {
		return nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o666)
}
