package runners

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/harrowdata/harrow/internal/flink"
)

// service is a Beam job service that runs nothing: it plays what a job's
// messages are to be.
type service struct {
	jobpb.UnimplementedJobServiceServer
	jobpb.UnimplementedArtifactStagingServiceServer

	// plays is what each connection hears of the job, then: io.EOF closes it in
	// order, nil lets it wait for the job to be cancelled, else it breaks.
	plays    [][]*jobpb.JobMessagesResponse
	then     error
	metrics  *jobpb.MetricResults
	asks     *pipepb.ArtifactInformation // an artifact that it insists on
	deaf     bool                        // to Cancel
	prepares error
	measures error
	runs     func() // when it is told to run the job

	mu        sync.Mutex
	prepared  *jobpb.PrepareJobRequest
	staged    string
	ran       *jobpb.RunJobRequest
	cancelled chan struct{}
	listened  int
	cancels   int
	endpoint  string
	server    *grpc.Server
}

func (s *service) start(t *testing.T) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.endpoint, s.cancelled, s.server = listener.Addr().String(), make(chan struct{}), grpc.NewServer()
	jobpb.RegisterJobServiceServer(s.server, s)
	jobpb.RegisterArtifactStagingServiceServer(s.server, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.server.Serve(listener) })
	t.Cleanup(func() { s.server.Stop(); serving.Wait() })
	return s
}

func (s *service) Prepare(_ context.Context, r *jobpb.PrepareJobRequest) (*jobpb.PrepareJobResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prepared = r
	return &jobpb.PrepareJobResponse{PreparationId: "prepared", StagingSessionToken: "token",
		ArtifactStagingEndpoint: &pipepb.ApiServiceDescriptor{Url: s.endpoint}}, s.prepares
}

func (s *service) ReverseArtifactRetrievalService(stream jobpb.ArtifactStagingService_ReverseArtifactRetrievalServiceServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	resolve := &jobpb.ResolveArtifactsRequest{}
	if s.asks != nil {
		resolve.Artifacts = append(resolve.Artifacts, s.asks)
	}
	if err := stream.Send(&jobpb.ArtifactRequestWrapper{Request: &jobpb.ArtifactRequestWrapper_ResolveArtifact{ResolveArtifact: resolve}}); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staged = first.GetStagingToken()
	return nil
}

func (s *service) Run(_ context.Context, r *jobpb.RunJobRequest) (*jobpb.RunJobResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = r
	if s.runs != nil {
		s.runs()
	}
	return &jobpb.RunJobResponse{JobId: "job"}, nil
}

func (s *service) GetMessageStream(r *jobpb.JobMessagesRequest, stream jobpb.JobService_GetMessageStreamServer) error {
	if r.GetJobId() != "job" {
		return status.Error(codes.NotFound, r.GetJobId())
	}
	s.mu.Lock()
	play := s.plays[min(s.listened, len(s.plays)-1)]
	s.listened++
	s.mu.Unlock()
	for _, m := range play {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(s.then, io.EOF):
		return nil
	case s.then != nil:
		return s.then
	}
	select {
	case <-s.cancelled:
		return stream.Send(state(jobpb.JobState_CANCELLED))
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

func (s *service) Cancel(context.Context, *jobpb.CancelJobRequest) (*jobpb.CancelJobResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancels++
	if !s.deaf {
		close(s.cancelled)
	}
	return &jobpb.CancelJobResponse{State: jobpb.JobState_CANCELLING}, nil
}

func (s *service) GetJobMetrics(context.Context, *jobpb.GetJobMetricsRequest) (*jobpb.GetJobMetricsResponse, error) {
	return &jobpb.GetJobMetricsResponse{Metrics: s.metrics}, s.measures
}

func state(s jobpb.JobState_Enum) *jobpb.JobMessagesResponse {
	return &jobpb.JobMessagesResponse{Response: &jobpb.JobMessagesResponse_StateResponse{StateResponse: &jobpb.JobStateEvent{State: s}}}
}

func says(i jobpb.JobMessage_MessageImportance, text string) *jobpb.JobMessagesResponse {
	return &jobpb.JobMessagesResponse{Response: &jobpb.JobMessagesResponse_MessageResponse{MessageResponse: &jobpb.JobMessage{Importance: i, MessageText: text}}}
}

// counter is a counter of a step as a runner reports it.
func counter(step, namespace, name string, n byte) *pipepb.MonitoringInfo {
	return &pipepb.MonitoringInfo{Urn: "beam:metric:user:sum_int64:v1", Type: "beam:metrics:sum_int64:v1", Payload: []byte{n},
		Labels: map[string]string{"PTRANSFORM": step, "NAMESPACE": namespace, "NAME": name}}
}

// aPipeline has one step.
func aPipeline() *beam.Pipeline {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo(s, hold, beam.Impulse(s))
	return p
}

// impatient shortens how long a job service is waited for.
func impatient(t *testing.T) {
	t.Helper()
	was, again, late, others := endPatience, askAgain, latePatience, othersEvery
	endPatience, askAgain, latePatience, othersEvery = 300*time.Millisecond, time.Millisecond, 200*time.Millisecond, time.Millisecond
	t.Cleanup(func() { endPatience, askAgain, latePatience, othersEvery = was, again, late, others })
}

var running = []*jobpb.JobMessagesResponse{state(jobpb.JobState_STARTING), state(jobpb.JobState_RUNNING)}

func TestWhatBecomesOfAJob(t *testing.T) {
	impatient(t)
	const bad, worse = jobpb.JobMessage_JOB_MESSAGE_WARNING, jobpb.JobMessage_JOB_MESSAGE_ERROR
	for name, c := range map[string]struct {
		service *service
		state   string
		want    string // error; empty: none
		is      error
	}{
		"done": {&service{plays: [][]*jobpb.JobMessagesResponse{append(slices.Clone(running), state(jobpb.JobState_DONE))}}, "DONE", "", nil},
		"failed, then says why": {&service{plays: [][]*jobpb.JobMessagesResponse{append(slices.Clone(running), says(bad, "hm"), state(jobpb.JobState_FAILED), says(worse,
			"java.lang.RuntimeException: Error received from SDK harness: process bundle failed\n\tcaused by:\nthe disk is full"))}, then: io.EOF}, "FAILED", "the disk is full", nil},
		"says why, then failed": {&service{plays: [][]*jobpb.JobMessagesResponse{append(slices.Clone(running), says(worse, "no slots"), state(jobpb.JobState_FAILED))}}, "FAILED", "no slots", nil},
		"failed without a word": {&service{plays: [][]*jobpb.JobMessagesResponse{{state(jobpb.JobState_FAILED)}}, then: io.EOF}, "FAILED", "the job ended as FAILED", nil},
		"cancelled by others":   {&service{plays: [][]*jobpb.JobMessagesResponse{{state(jobpb.JobState_RUNNING), state(jobpb.JobState_CANCELLED)}}}, "CANCELLED", "the job ended as CANCELLED", nil},
		"heard again after a break": {&service{plays: [][]*jobpb.JobMessagesResponse{running, {state(jobpb.JobState_RUNNING), state(jobpb.JobState_DONE)}},
			then: status.Error(codes.Unavailable, "reset")}, "DONE", "", nil},
		"lost":           {&service{plays: [][]*jobpb.JobMessagesResponse{running, {}}, then: status.Error(codes.Unavailable, "reset")}, "RUNNING", "the job server is gone", errLost},
		"not prepared":   {&service{prepares: status.Error(codes.InvalidArgument, "no such thing")}, "", "preparing job harrow-x-", nil},
		"asked for more": {&service{asks: &pipepb.ArtifactInformation{TypeUrn: "file"}}, "", "staging job harrow-x-", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.service.start(t)
			res, err := Execute(t.Context(), "flink", aPipeline(), Options{Name: "harrow-x", FlinkMaster: flink.Local, Endpoint: s.endpoint})
			if res.State != c.state || (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%+v, %v; want %s, %q", res, err, c.state, c.want)
			}
		})
	}
}

func TestAJobCarriesItsOptionsAndNoArtifacts(t *testing.T) {
	impatient(t)
	s := (&service{plays: [][]*jobpb.JobMessagesResponse{{state(jobpb.JobState_DONE)}}}).start(t)
	if _, err := Execute(t.Context(), "flink", aPipeline(), Options{Name: "harrow-x", FlinkMaster: flink.Local, Endpoint: s.endpoint,
		Beam: []string{"--parallelism=3", "--environment_config=pool:50000", "--object_reuse"}}); err != nil {
		t.Fatal(err)
	}
	if name, _ := s.prepared.GetPipelineOptions().AsMap()["beam:option:job_name:v1"].(string); !strings.HasPrefix(name, "harrow-x-") {
		t.Errorf("the job is called %s", name)
	}
	for name, want := range map[string]any{"parallelism": 3.0, "execution_mode_for_batch": "PIPELINED", "object_reuse": true} {
		if got := s.prepared.GetPipelineOptions().AsMap()["beam:option:"+name+":v1"]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if n := len(s.prepared.GetPipelineOptions().GetFields()); n != 5 {
		t.Errorf("%d options: %v", n, s.prepared.GetPipelineOptions())
	}
	for _, env := range s.prepared.GetPipeline().GetComponents().GetEnvironments() {
		if len(env.GetDependencies()) > 0 || !strings.Contains(string(env.GetPayload()), "pool:50000") {
			t.Errorf("environment %v", env)
		}
	}
	if !strings.HasPrefix(s.prepared.GetJobName(), "harrow-x-") || s.staged != "token" || s.ran.GetPreparationId() != "prepared" || s.ran.GetRetrievalToken() != "token" {
		t.Errorf("job %s, staged %s, ran %v", s.prepared.GetJobName(), s.staged, s.ran)
	}
}

func TestCountersComeBackSummedOverSteps(t *testing.T) {
	impatient(t)
	s := &service{plays: [][]*jobpb.JobMessagesResponse{{state(jobpb.JobState_DONE)}}}
	s.metrics = &jobpb.MetricResults{Attempted: []*pipepb.MonitoringInfo{counter("e1", "fetch", "requests", 5), counter("e2", "fetch", "requests", 7), counter("e1", "fetch", "rejects", 1)}}
	s.start(t)
	res, err := Execute(t.Context(), "flink", aPipeline(), Options{Name: "harrow-x", FlinkMaster: flink.Local, Endpoint: s.endpoint})
	if err != nil || res.Counters["fetch.requests"] != 12 || res.Counters["fetch.rejects"] != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestAJobIsDoneWithoutItsCounters(t *testing.T) {
	impatient(t)
	s := (&service{plays: [][]*jobpb.JobMessagesResponse{{state(jobpb.JobState_DONE)}}, measures: status.Error(codes.Unavailable, "it has gone")}).start(t)
	var log strings.Builder
	res, err := Execute(t.Context(), "flink", aPipeline(), Options{Name: "harrow-x", FlinkMaster: flink.Local, Endpoint: s.endpoint, Log: &log})
	if err != nil || res.State != "DONE" || res.Counters != nil || !strings.Contains(log.String(), "counters can't be read: ") {
		t.Errorf("%+v, %v, said %q", res, err, log.String())
	}
}

func TestARunThatIsGivenUpCancelsItsJob(t *testing.T) {
	for name, deaf := range map[string]bool{"which ends": false, "which goes on": true} {
		t.Run(name, func(t *testing.T) {
			impatient(t)
			s := (&service{plays: [][]*jobpb.JobMessagesResponse{running}, deaf: deaf}).start(t)
			ctx, giveUp := context.WithCancelCause(t.Context())
			why := errors.New("it was paused")
			time.AfterFunc(100*time.Millisecond, func() { giveUp(why) })
			res, err := Execute(ctx, "flink", aPipeline(), Options{Name: "harrow-x", FlinkMaster: flink.Local, Endpoint: s.endpoint})
			if !errors.Is(err, why) {
				t.Errorf("%v, want %v", err, why)
			}
			if deaf != strings.Contains(err.Error(), "cancelled, but not over") {
				t.Errorf("%+v, %v", res, err)
			}
			if !deaf && res.State != "CANCELLED" {
				t.Errorf("state %s", res.State)
			}
		})
	}
}
