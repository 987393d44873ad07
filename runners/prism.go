package runners

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/harrowdata/harrow/internal/loopback"
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

// prismService is what runs jobs in this process: it can't be ended.
type prismService struct {
	jobs jobpb.JobServiceClient
	pool *prismPool
	bare error // why others than this machine reach it
	told *sync.Once
}

var startPrism = sync.OnceValues(func() (s prismService, err error) {
	s.told = new(sync.Once)
	if s.pool, err = servePrismPool(); err != nil {
		return s, err
	}
	ctx := context.Background()
	if s.jobs, err = prism.CreateJobServer(ctx, prism.Options{}); err != nil {
		return s, fmt.Errorf("Prism: %w", err)
	}
	endpoint, err := endpointOf(ctx, s.jobs)
	if err != nil {
		return s, fmt.Errorf("Prism: %w", err)
	}
	s.bare = loopback.Only(os.Getpid(), endpoint)
	return s, nil
})

// warn says once that other machines reach Prism.
func (s prismService) warn(w io.Writer) {
	if s.bare != nil {
		s.told.Do(func() { fmt.Fprintln(w, loopback.Warn("Prism", s.bare)) })
	}
}

// endpointOf is where the job service listens. It tells that only to those who
// prepare a job: here one of nothing, which is never run.
func endpointOf(ctx context.Context, jobs jobpb.JobServiceClient) (string, error) {
	res, err := jobs.Prepare(ctx, &jobpb.PrepareJobRequest{Pipeline: &pipepb.Pipeline{}, JobName: "where"})
	return res.GetArtifactStagingEndpoint().GetUrl(), err
}

func (p *prismRunner) execute(ctx context.Context, pipeline *beam.Pipeline) (res Result, err error) {
	service, err := startPrism()
	if err != nil {
		return res, err
	}
	service.warn(p.Log)
	if p.remote() {
		if err := workerpool.Fits(ctx, p.env.config); err != nil {
			return res, err
		}
	}
	pool, stop, err := p.env.workers(ctx)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	conn, err := workerpool.Connect(pool)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	j := &job{client: service.jobs, log: p.Log}
	if j.pipeline, err = translate(ctx, pipeline, pool); err != nil {
		return res, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	leave, err := service.pool.enter(j.pipeline, &prismWorkers{pool: fnpb.NewBeamFnExternalWorkerPoolClient(conn), fail: fail})
	if err != nil {
		return res, err
	}
	defer leave()
	return j.run(ctx, p.Name, nil)
}
