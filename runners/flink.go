package runners

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// flinkLocal is the master of a Flink that lives in the job server.
const flinkLocal = "local"

// poolBeside is where each TaskManager has a worker pool unless told otherwise.
const poolBeside = "localhost:50000"

// flinkRunner submits to Apache Flink through Beam's job server.
type flinkRunner struct {
	Options
	env         environment
	Parallelism int
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
	fs.IntVar(&f.Parallelism, "parallelism", 1, "a whole number > 0: subtasks of a step")
}

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
	if f.Parallelism < 1 {
		return fmt.Errorf("-- --parallelism=%d: want a whole number > 0", f.Parallelism)
	}
	return f.env.check(kind, poolBeside)
}

func (f *flinkRunner) remote() bool { return f.env.kind != envLoopback }

func (f *flinkRunner) parallelism() int { return f.Parallelism }

func (f *flinkRunner) execute(context.Context, *beam.Pipeline) (Result, error) {
	return Result{}, errors.New("flink: not built yet")
}
