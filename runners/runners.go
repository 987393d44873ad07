// Package runners is how a pipeline reaches a machine. It knows no transform.
package runners

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/runners/dataflow"
)

// Default is the runner that a run uses unless told otherwise.
const Default = "direct"

// table lists the runners that are built, each in its own file.
var table = []struct {
	name string
	open func(Options) (machine, error)
	once bool // it gives up at the first bundle that fails
}{
	{"direct", openDirect, true},
	{"prism", openPrism, true},
	{"flink", openFlink, false},
	{Dataflow, openDataflow, false},
}

// Options say where a runner finds its machine. A flag that a runner has no
// use for is an error of [Check].
type Options struct {
	Name        string   // of the job on the runner: harrow-<job>-<run>, see JobName
	Workspace   string   // of the run whose job it is, as its lock is about; empty: of none
	FlinkMaster string   // host:port of the JobManager's REST API, or local: a Flink within the job server
	Endpoint    string   // host:port of a Beam job server that runs already; empty: one is started
	Beam        []string // Beam's own flags, as a command line has them
	// Holds reports whether the job is still the caller's; nil: that can't be
	// told. What an earlier process has left on the runner, and comes to light
	// late, is ended only by whoever holds the job.
	Holds func(context.Context) bool
	Log   io.Writer // takes a line about what the runner does, now and then; nil: nobody listens
}

// JobName is a run's job for Options.Name; runners tell from it whose job it is.
func JobName(job, run string) string { return dataflow.JobName(job, run) }

// Result is what a runner knows of a job that is over.
type Result struct {
	State    string           // its last one, in the runner's words: DONE, FAILED, CANCELLED; empty if it was never submitted
	Counters map[string]int64 // by namespace.name, summed over steps; nil if the runner could not be asked any more
	Link     string           // where the runner shows the job; empty if nowhere
}

// machine is a runner whose options were read and found right. Nothing is
// started or asked before execute.
type machine interface {
	remote() bool
	parallelism() int
	execute(context.Context, *beam.Pipeline) (Result, error)
}

// Names lists the runners that are built.
func Names() []string {
	names := make([]string, len(table))
	for i, r := range table {
		names[i] = r.name
	}
	return names
}

func open(name string, o Options) (machine, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	for _, r := range table {
		if r.name != name {
			continue
		}
		m, err := r.open(o)
		if err != nil {
			return nil, fmt.Errorf("--runner %s: %w", name, err)
		}
		return m, nil
	}
	return nil, fmt.Errorf("--runner %s is not built; want one of %s", name, strings.Join(Names(), ", "))
}

// Check says which flag is missing or wrong, without asking anybody.
func Check(name string, o Options) error {
	_, err := open(name, o)
	return err
}

// Remote reports whether bundles are processed by other processes than this
// one. Of options that Check refuses it is false.
func Remote(name string, o Options) bool {
	m, err := open(name, o)
	return err == nil && m.remote()
}

// TriesOnce reports whether the runner gives up at the first bundle that
// fails: nothing tries it again.
func TriesOnce(name string) bool {
	for _, r := range table {
		if r.name == name {
			return r.once
		}
	}
	return false
}

// Parallelism is how many bundles of a step the runner has processed at once,
// at most: 1 in one process. Of options that Check refuses it is 1.
func Parallelism(name string, o Options) int {
	m, err := open(name, o)
	if err != nil || !m.remote() {
		return 1
	}
	return max(1, m.parallelism())
}

// Program is the file of the executable that workers run, where it needn't be
// this one; else empty, as of options that Check refuses.
func Program(name string, o Options) string {
	if m, err := open(name, o); err == nil {
		if p, ok := m.(interface{ program() string }); ok {
			return p.program()
		}
	}
	return ""
}

// Ready asks the runner's cluster whether it is there, where there is one to
// ask: sooner than Execute does, so that nothing is begun for a cluster that
// isn't. Nothing is changed there.
func Ready(ctx context.Context, name string, o Options) error {
	m, err := open(name, o)
	if err != nil {
		return err
	}
	if r, ok := m.(interface{ ready(context.Context) error }); ok {
		err = r.ready(ctx)
	}
	return err
}

// Execute runs the pipeline to its end. When ctx ends the job is cancelled on
// the runner and its end waited for, not for ever. An error says which bundle
// failed, or what became of the runner; what the run has committed stays.
func Execute(ctx context.Context, name string, p *beam.Pipeline, o Options) (Result, error) {
	m, err := open(name, o)
	if err != nil {
		return Result{}, err
	}
	res, err := m.execute(ctx, p)
	if err != nil {
		return res, failure{err}
	}
	return res, nil
}

// failure is a runner's error that says only what went wrong: Beam wraps it
// into the plan of the whole pipeline.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func (f failure) Error() string {
	text := f.error.Error()
	if i := strings.LastIndex(text, causedBy); i >= 0 {
		text = text[i+len(causedBy):]
	}
	return strings.TrimSpace(text)
}

const causedBy = "caused by:"
