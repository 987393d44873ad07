package runners

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
)

// flinkLocal is the master of a Flink that lives in the job server.
const flinkLocal = "local"

// poolBeside is where each TaskManager has a worker pool unless told otherwise.
const poolBeside = "localhost:50000"

// flinkRunner submits to Apache Flink through Beam's job server, which
// translates a bounded pipeline to Flink's DataSet API: a step becomes one
// MapPartition, so a subtask has its whole share in one bundle, whatever the
// limits of a bundle's size and time are (these are for streams).
type flinkRunner struct {
	Options
	env     environment
	subtask int
	mode    string
	reuse   bool
}

func openFlink(o Options) (machine, error) {
	f := &flinkRunner{Options: o}
	if err := beamFlags(o, f.define); err != nil {
		return nil, err
	}
	return f, f.check()
}

func (f *flinkRunner) define(fs *flag.FlagSet) {
	f.env.define(fs)
	fs.IntVar(&f.subtask, "parallelism", 1, "a whole number > 0: subtasks of a step")
	fs.StringVar(&f.mode, "execution_mode_for_batch", "PIPELINED", "one of PIPELINED, PIPELINED_FORCED, BATCH, BATCH_FORCED")
	fs.BoolVar(&f.reuse, "object_reuse", false, "true or false")
}

var modes = []string{"PIPELINED", "PIPELINED_FORCED", "BATCH", "BATCH_FORCED"}

func (f *flinkRunner) check() error {
	kind := envExternal
	switch {
	case f.FlinkMaster == flinkLocal:
		kind = envLoopback
	case f.FlinkMaster != "":
		if err := hostPort(f.FlinkMaster); err != nil {
			return fmt.Errorf("--flink-master %s: %w of the JobManager's REST API, or %s", f.FlinkMaster, err, flinkLocal)
		}
	case f.Endpoint == "":
		return errors.New("want --flink-master HOST:PORT of the JobManager's REST API, or --flink-master " + flinkLocal)
	}
	if f.Endpoint != "" {
		if err := hostPort(f.Endpoint); err != nil {
			return fmt.Errorf("--endpoint %s: %w of a Beam job server", f.Endpoint, err)
		}
	}
	if f.subtask < 1 {
		return fmt.Errorf("-- --parallelism=%d: want a whole number > 0", f.subtask)
	}
	if !slices.Contains(modes, f.mode) {
		return fmt.Errorf("-- --execution_mode_for_batch=%s: want one of %v", f.mode, modes)
	}
	return f.env.check(kind, poolBeside)
}

func (f *flinkRunner) remote() bool { return f.env.kind != envLoopback }

func (f *flinkRunner) parallelism() int { return f.subtask }

// options are the job's, by Beam's names. They do not travel by themselves: the
// Go SDK sends none but the parallelism.
func (f *flinkRunner) options() map[string]any {
	o := map[string]any{
		"job_name":                 f.Name,
		"parallelism":              f.subtask,
		"execution_mode_for_batch": f.mode,
		"object_reuse":             f.reuse,
	}
	return o
}

func (f *flinkRunner) execute(ctx context.Context, p *beam.Pipeline) (res Result, err error) {
	pool, stop, err := f.env.workers(ctx)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	j := &job{}
	if j.pipeline, err = translate(ctx, p, pool); err != nil {
		return res, err
	}
	apart(j.pipeline)
	conn, err := dial(f.Endpoint)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	j.client = jobpb.NewJobServiceClient(conn)
	return j.run(ctx, f.Name, f.options())
}
