package runners

import (
	"context"
	"errors"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/harrowdata/harrow/runners/workerpool"
)

// prismRunner is Beam's reference runner, in this process; its workers may be
// others.
type prismRunner struct {
	Options
	env environment
}

func openPrism(o Options) (machine, error) {
	if err := notFor(o, "--flink-master", "--endpoint"); err != nil {
		return nil, err
	}
	p := &prismRunner{Options: o}
	if err := beamFlags(o, p.env.define); err != nil {
		return nil, err
	}
	return p, p.env.check(envLoopback, "")
}

func (p *prismRunner) remote() bool { return p.env.kind != envLoopback }

func (p *prismRunner) parallelism() int { return 1 }

// prismService is the job service of this process. It can't be ended.
var prismService = sync.OnceValues(func() (jobpb.JobServiceClient, error) {
	return prism.CreateJobServer(context.Background(), prism.Options{})
})

func (p *prismRunner) execute(ctx context.Context, pipeline *beam.Pipeline) (res Result, err error) {
	client, err := prismService()
	if err != nil {
		return res, err
	}
	if p.remote() { // Prism panics where a worker can't be started
		if err := workerpool.Fits(ctx, p.env.config); err != nil {
			return res, err
		}
	}
	pool, stop, err := p.env.workers(ctx)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	j := &job{client: client, log: p.Log}
	if j.pipeline, err = translate(ctx, pipeline, pool); err != nil {
		return res, err
	}
	return j.run(ctx, p.Name, nil)
}
