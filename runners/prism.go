package runners

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// onePrism lets one job at a time into Prism: its server is the process's, and
// two jobs that start at once race for its map of artifacts (v2.77.0).
var onePrism = make(chan struct{}, 1)

// prismRunner runs Beam's reference runner in this process.
type prismRunner struct{ env environment }

func openPrism(o Options) (machine, error) {
	if err := notFor(o, "--flink-master", "--endpoint"); err != nil {
		return nil, err
	}
	p := &prismRunner{}
	if err := beamFlags(o, p.env.define); err != nil {
		return nil, err
	}
	return p, p.env.check(envLoopback, "")
}

func (p *prismRunner) remote() bool { return p.env.kind != envLoopback }

func (p *prismRunner) parallelism() int { return 1 }

func (p *prismRunner) execute(ctx context.Context, pipeline *beam.Pipeline) (Result, error) {
	select {
	case onePrism <- struct{}{}:
		defer func() { <-onePrism }()
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	*jobopts.EnvironmentType, *jobopts.EnvironmentConfig = p.env.kind, p.env.config
	res, err := prism.Execute(ctx, pipeline)
	if err != nil {
		return Result{State: "FAILED"}, errors.Join(err, endPrismJobs(context.WithoutCancel(ctx)))
	}
	return Result{State: "DONE", Counters: countersOf(res.Metrics())}, nil
}

// endPatience is how long a job that is cancelled may take to end.
const endPatience = 10 * time.Second

// endPrismJobs ends what a run that was given up has left in Prism's server.
// Its client only stops waiting: mostly the job fails with its worker, now and
// then it stays and spins one core for a bundle that nobody works on any more,
// as long as the process lives (v2.77.0).
func endPrismJobs(ctx context.Context) (err error) {
	if *jobopts.Endpoint == "" {
		return nil // it never began
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("ending the job in Prism: %w", err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	conn, err := grpc.NewClient(*jobopts.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	client := jobpb.NewJobServiceClient(conn)
	for {
		jobs, err := client.GetJobs(ctx, &jobpb.GetJobsRequest{})
		if err != nil {
			return err
		}
		left := 0
		for _, job := range jobs.GetJobInfo() {
			if over(job.GetState()) {
				continue
			}
			if left++; job.GetState() != jobpb.JobState_CANCELLING {
				if _, err := client.Cancel(ctx, &jobpb.CancelJobRequest{JobId: job.GetJobId()}); err != nil {
					return err
				}
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d jobs go on: %w", left, ctx.Err())
		}
	}
}

// over says of a job's state that nothing follows it.
func over(s jobpb.JobState_Enum) bool {
	switch s {
	case jobpb.JobState_CANCELLED, jobpb.JobState_DONE, jobpb.JobState_DRAINED, jobpb.JobState_UPDATED, jobpb.JobState_FAILED:
		return true
	}
	return false
}
