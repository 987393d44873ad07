package runners

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness/init" // this binary is a worker, too
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/metricsx"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/harrowdata/harrow/runners/workerpool"
)

// Patience with a job service, but in tests.
var (
	// endPatience is how long a job that is cancelled may take to end.
	endPatience = 30 * time.Second
	// askAgain is how long to wait before a job service that was lost is asked
	// again, and tries how often in a row.
	askAgain, tries = time.Second, 5
)

// errLost: the job service can't be asked any more, while its job may go on.
var errLost = errors.New("the job server is gone")

// job is one job and the conversation about it with a Beam job service.
type job struct {
	client   jobpb.JobServiceClient
	pipeline *pipepb.Pipeline
	id       string
	sent     bool                        // the service was told to run it, whatever it said
	running  func()                      // called once when it runs; nil: nobody listens
	end      func(context.Context) error // ends it where it runs; nil: the service does
	state    jobpb.JobState_Enum         // the last one heard of
	failure  string                      // the last error heard of
	log      io.Writer
}

// dial connects with a job service. Its own messages are bounded by the
// service: a pipeline is larger than gRPC's default limit.
func dial(endpoint string) (*grpc.ClientConn, error) {
	return workerpool.Connect(endpoint, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.WaitForReady(false)))
}

// translate is the pipeline as runners read it. Workers are there already, so
// it has no artifacts: no binary is staged.
func translate(ctx context.Context, p *beam.Pipeline, pool string) (*pipepb.Pipeline, error) {
	edges, _, err := p.Build()
	if err != nil {
		return nil, fmt.Errorf("the pipeline: %w", err)
	}
	env, err := graphx.CreateEnvironment(ctx, graphx.URNEnvExternal, func(context.Context) string { return pool })
	if err != nil {
		return nil, fmt.Errorf("the pipeline's environment: %w", err)
	}
	env.Dependencies = nil
	pipeline, err := graphx.Marshal(edges, &graphx.Options{Environment: env})
	if err != nil {
		return nil, fmt.Errorf("the pipeline: %w", err)
	}
	return pipeline, nil
}

// workers makes sure of the workers: where they live in this process it starts
// their service. stop ends that.
func (e environment) workers(ctx context.Context) (pool string, stop func() error, err error) {
	if e.kind != envLoopback {
		return e.config, func() error { return nil }, nil
	}
	ctx = context.WithoutCancel(ctx) // it ends after the job
	service, err := extworker.StartLoopback(ctx, 0)
	if err != nil {
		return "", nil, fmt.Errorf("workers in this process: %w", err)
	}
	return service.EnvironmentConfig(ctx), func() error { return service.Stop(ctx) }, nil
}

// submit prepares the job with the options, by their names without
// beam:option: and :v1, and starts it.
func (j *job) submit(ctx context.Context, name string, options map[string]any) error {
	workers, err := workerpool.OwnBuild()
	if err != nil {
		return err
	}
	all := map[string]any{"beam:option:" + workerpool.BuildOption + ":v1": workers}
	for option, value := range options {
		all["beam:option:"+option+":v1"] = value
	}
	sent, err := structpb.NewStruct(all)
	if err != nil {
		return fmt.Errorf("options of job %s: %w", name, err)
	}
	prepared, err := j.client.Prepare(ctx, &jobpb.PrepareJobRequest{Pipeline: j.pipeline, PipelineOptions: sent, JobName: name})
	if err != nil {
		return fmt.Errorf("preparing job %s: %w", name, err)
	}
	token := prepared.GetStagingSessionToken()
	if err := stageNothing(ctx, prepared.GetArtifactStagingEndpoint().GetUrl(), token); err != nil {
		return fmt.Errorf("staging job %s: %w", name, err)
	}
	j.sent = true
	started, err := j.client.Run(ctx, &jobpb.RunJobRequest{PreparationId: prepared.GetPreparationId(), RetrievalToken: token})
	if err != nil {
		return fmt.Errorf("starting job %s: %w", name, err)
	}
	j.id = started.GetJobId()
	return nil
}

// stageNothing has the conversation about artifacts that job services insist
// on, also when there are none.
func stageNothing(ctx context.Context, endpoint, token string) (err error) {
	conn, err := dial(endpoint)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	stream, err := jobpb.NewArtifactStagingServiceClient(conn).ReverseArtifactRetrievalService(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&jobpb.ArtifactResponseWrapper{StagingToken: token}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		asked, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		resolve := asked.GetResolveArtifact()
		if resolve == nil || len(resolve.GetArtifacts()) > 0 {
			return fmt.Errorf("the job server asks for an artifact that there isn't: %v", asked)
		}
		if err := stream.Send(&jobpb.ArtifactResponseWrapper{Response: &jobpb.ArtifactResponseWrapper_ResolveArtifactResponse{
			ResolveArtifactResponse: &jobpb.ResolveArtifactsResponse{}}}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// wait hears of the job until it is over, or ctx is. A service that can't be
// reached is asked again; then it is errLost.
func (j *job) wait(ctx context.Context) error {
	for lost := 0; ; lost++ {
		heard, err := j.listen(ctx)
		if heard {
			lost = 0
		}
		switch {
		case over(j.state):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case lost+1 >= tries, status.Code(err) == codes.NotFound:
			return fmt.Errorf("%w: %w", errLost, err)
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// listen hears of the job as long as one connection holds.
func (j *job) listen(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := j.client.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: j.id})
	if err != nil {
		return false, err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return heard, err
		}
		heard = true
		if m := m.GetMessageResponse(); m != nil && m.GetImportance() >= jobpb.JobMessage_JOB_MESSAGE_ERROR {
			j.failure = m.GetMessageText()
		}
		if m := m.GetStateResponse(); m != nil {
			j.enter(m.GetState())
		}
		// The reason may come after the state.
		if over(j.state) && (j.state != jobpb.JobState_FAILED || j.failure != "") {
			return heard, nil
		}
	}
}

func (j *job) enter(s jobpb.JobState_Enum) {
	j.state = s
	if s == jobpb.JobState_RUNNING && j.running != nil {
		j.running()
		j.running = nil
	}
}

// cancel cancels the job and waits for its end. A service that has not handed
// the job on yet won't, then; whether it runs on elsewhere is another's to say.
func (j *job) cancel(ctx context.Context) error {
	short, enough := context.WithTimeout(ctx, endPatience/3)
	defer enough()
	res, err := j.client.Cancel(short, &jobpb.CancelJobRequest{JobId: j.id})
	if j.end != nil {
		if err := j.end(ctx); err != nil {
			return err
		}
		j.state = jobpb.JobState_CANCELLED
		return nil
	}
	if err != nil {
		return fmt.Errorf("cancelling: %w", err)
	}
	if j.enter(res.GetState()); over(j.state) {
		return nil
	}
	if err := j.wait(ctx); err != nil {
		return fmt.Errorf("cancelled, but not over: %w", err)
	}
	return nil
}

// result is what the service knows of the job at its end. A job is what it is
// without counters, too.
func (j *job) result(ctx context.Context) Result {
	res := Result{State: j.state.String()}
	m, err := j.client.GetJobMetrics(ctx, &jobpb.GetJobMetricsRequest{JobId: j.id})
	if err != nil {
		fmt.Fprintf(j.log, "the job's counters can't be read: %v\n", err)
		return res
	}
	res.Counters = countersOf(*metricsx.FromMonitoringInfos(j.pipeline, m.GetMetrics().GetAttempted(), m.GetMetrics().GetCommitted()))
	return res
}

// outcome is the error of a job that is over.
func (j *job) outcome() error {
	switch {
	case j.state == jobpb.JobState_DONE:
		return nil
	case j.state == jobpb.JobState_FAILED && j.failure != "":
		return errors.New(j.failure)
	}
	return fmt.Errorf("the job ended as %s", j.state)
}

// over says of a job's state that nothing follows it.
func over(s jobpb.JobState_Enum) bool {
	switch s {
	case jobpb.JobState_CANCELLED, jobpb.JobState_DONE, jobpb.JobState_DRAINED, jobpb.JobState_UPDATED, jobpb.JobState_FAILED:
		return true
	}
	return false
}

// run has a job service run the pipeline to its end, or cancels it when ctx
// ends, unless that is because the service is lost (errLost): then the job may
// go on.
func (j *job) run(ctx context.Context, name string, options map[string]any) (Result, error) {
	if err := j.submit(ctx, name, options); err != nil {
		return Result{}, errors.Join(context.Cause(ctx), err)
	}
	err := j.wait(ctx)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if !errors.Is(err, errLost) {
			err = errors.Join(err, j.cancel(after))
		}
		return Result{State: j.state.String()}, err
	}
	return j.result(after), j.outcome()
}
