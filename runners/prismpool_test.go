package runners

import (
	"context"
	"errors"
	"strings"
	"testing"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// runPool is a run's own pool: it counts, and refuses with an answer or an error.
type runPool struct {
	answer           string
	err              error
	started, stopped []string
}

func (r *runPool) StartWorker(_ context.Context, req *fnpb.StartWorkerRequest, _ ...grpc.CallOption) (*fnpb.StartWorkerResponse, error) {
	r.started = append(r.started, req.GetWorkerId())
	return &fnpb.StartWorkerResponse{Error: r.answer}, r.err
}

func (r *runPool) StopWorker(_ context.Context, req *fnpb.StopWorkerRequest, _ ...grpc.CallOption) (*fnpb.StopWorkerResponse, error) {
	r.stopped = append(r.stopped, req.GetWorkerId())
	return &fnpb.StopWorkerResponse{}, nil
}

// entered is a run's entry at a new pool of Prism's, and what Prism is told to
// start its workers with.
func entered(t *testing.T, own *runPool) (p *prismPool, failure func() error, params map[string]string, leave func()) {
	t.Helper()
	p, err := servePrismPool()
	if err != nil {
		t.Fatal(err)
	}
	ctx, fail := context.WithCancelCause(t.Context())
	t.Cleanup(func() { fail(nil) })
	pipeline := &pipepb.Pipeline{Components: &pipepb.Components{Environments: map[string]*pipepb.Environment{"go": {}}}}
	leave, err = p.enter(pipeline, &prismWorkers{pool: own, fail: fail})
	if err != nil {
		t.Fatal(err)
	}
	var env pipepb.ExternalPayload
	if err := proto.Unmarshal(pipeline.GetComponents().GetEnvironments()["go"].GetPayload(), &env); err != nil {
		t.Fatal(err)
	}
	if env.GetEndpoint().GetUrl() != p.address {
		t.Fatalf("the pipeline's pool is at %s; want %s", env.GetEndpoint().GetUrl(), p.address)
	}
	return p, func() error { return context.Cause(ctx) }, env.GetParams(), leave
}

// start has the pool start a worker, as Prism does: what isn't a plain yes takes
// the process down.
func start(t *testing.T, p *prismPool, id string, params map[string]string) {
	t.Helper()
	res, err := p.StartWorker(t.Context(), &fnpb.StartWorkerRequest{WorkerId: id, Params: params})
	if err != nil || res.GetError() != "" {
		t.Fatalf("Prism would panic of %v, %q", err, res.GetError())
	}
}

func TestPrismStartsAndStopsARunsWorkersInItsOwnPool(t *testing.T) {
	own := &runPool{}
	p, failure, params, leave := entered(t, own)
	defer leave()
	start(t, p, "job-1", params)
	for range 2 { // the second finds none
		if _, err := p.StopWorker(t.Context(), &fnpb.StopWorkerRequest{WorkerId: "job-1"}); err != nil {
			t.Fatal(err)
		}
	}
	if s := strings.Join(own.started, " ") + ", " + strings.Join(own.stopped, " "); s != "job-1, job-1" {
		t.Errorf("started, stopped: %s; want job-1 once each", s)
	}
	if err := failure(); err != nil {
		t.Error(err)
	}
}

func TestAWorkerForARunThatIsOverIsNotStarted(t *testing.T) {
	own := &runPool{}
	p, _, params, leave := entered(t, own)
	start(t, p, "job-1", params)
	leave()
	start(t, p, "job-2", params)
	for _, id := range []string{"job-1", "job-2"} {
		if _, err := p.StopWorker(t.Context(), &fnpb.StopWorkerRequest{WorkerId: id}); err != nil {
			t.Fatal(err)
		}
	}
	if len(own.started) != 1 || len(own.stopped) != 0 {
		t.Errorf("started %q, stopped %q; want job-1 and nothing: the run's own pool ends with the run", own.started, own.stopped)
	}
	if len(p.byRun)+len(p.byName) > 0 {
		t.Errorf("the pool remembers %v %v of a run that is over", p.byRun, p.byName)
	}
}

func TestAWorkerThatCantBeStartedEndsItsRun(t *testing.T) {
	for _, own := range []*runPool{{answer: "no room"}, {err: errors.New("no room")}} {
		p, failure, params, leave := entered(t, own)
		start(t, p, "job-1", params)
		if err := failure(); err == nil || err.Error() != "a worker can't be started: no room" {
			t.Errorf("the run's end is %v; want that a worker can't be started, and why", err)
		}
		leave()
	}
}
