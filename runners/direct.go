package runners

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"
)

// directRunner runs everything in this process, a bundle a step.
type directRunner struct{}

func openDirect(o Options) (machine, error) {
	if err := notFor(o, "--flink-master", "--endpoint"); err != nil {
		return nil, err
	}
	return directRunner{}, beamFlags(o, nil)
}

func (directRunner) remote() bool { return false }

func (directRunner) parallelism() int { return 1 }

func (directRunner) execute(ctx context.Context, p *beam.Pipeline) (Result, error) {
	res, err := direct.Execute(ctx, p)
	if err != nil {
		return Result{State: "FAILED"}, err
	}
	return Result{State: "DONE", Counters: countersOf(res.Metrics())}, nil
}
