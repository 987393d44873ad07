package runners

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// runParam names, in what a worker is started with, the run that it is for.
const runParam = "harrow_run"

// prismPool is the pool of workers that Prism knows, and stands before the
// runs' own. Prism takes its process down if a worker can't be started, and it
// starts workers beside the job, so at times after its end, when the run's own
// pool is gone. So this pool lives as long as Prism does and never refuses: a
// worker for a run that is over is not started, and one that can't be ends its
// run.
type prismPool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer
	address string

	mu     sync.Mutex
	last   int
	byRun  map[string]*prismWorkers // by its number
	byName map[string]*prismWorkers // by worker ids
}

// prismWorkers is where the workers of one run are started.
type prismWorkers struct {
	pool fnpb.BeamFnExternalWorkerPoolClient
	fail context.CancelCauseFunc
}

// servePrismPool starts the pool. Like Prism it ends with the process.
func servePrismPool() (*prismPool, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("Prism's pool of workers: %w", err)
	}
	p := &prismPool{address: lis.Addr().String(), byRun: map[string]*prismWorkers{}, byName: map[string]*prismWorkers{}}
	server := grpc.NewServer()
	fnpb.RegisterBeamFnExternalWorkerPoolServer(server, p)
	go func() { _ = server.Serve(lis) }() // it ends with its listener, which nobody closes
	return p, nil
}

// enter makes w the workers of the pipeline; leave says that its run is over.
func (p *prismPool) enter(pipeline *pipepb.Pipeline, w *prismWorkers) (leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	run := strconv.Itoa(p.last)
	payload, err := proto.Marshal(&pipepb.ExternalPayload{Endpoint: &pipepb.ApiServiceDescriptor{Url: p.address},
		Params: map[string]string{runParam: run}})
	if err != nil {
		return nil, err
	}
	for _, env := range pipeline.GetComponents().GetEnvironments() {
		env.Payload = payload
	}
	p.byRun[run] = w
	return func() { p.forget(run, w) }, nil
}

func (p *prismPool) forget(run string, w *prismWorkers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byRun, run)
	for id, its := range p.byName {
		if its == w {
			delete(p.byName, id)
		}
	}
}

// StartWorker has the run's own pool start the worker.
func (p *prismPool) StartWorker(ctx context.Context, req *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	p.mu.Lock()
	w := p.byRun[req.GetParams()[runParam]]
	if w != nil {
		p.byName[req.GetWorkerId()] = w
	}
	p.mu.Unlock()
	if w == nil {
		return &fnpb.StartWorkerResponse{}, nil
	}
	res, err := w.pool.StartWorker(ctx, req)
	if why := res.GetError(); err == nil && why != "" {
		err = errors.New(why)
	}
	if err != nil {
		w.fail(fmt.Errorf("a worker can't be started: %w", err))
	}
	return &fnpb.StartWorkerResponse{}, nil
}

// StopWorker has the run's own pool stop the worker.
func (p *prismPool) StopWorker(ctx context.Context, req *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	p.mu.Lock()
	w := p.byName[req.GetWorkerId()]
	delete(p.byName, req.GetWorkerId())
	p.mu.Unlock()
	if w == nil {
		return &fnpb.StopWorkerResponse{}, nil
	}
	return w.pool.StopWorker(ctx, req)
}
