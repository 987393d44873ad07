package workerpool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/harrowdata/harrow/internal/build"
)

// BuildOption is the pipeline option by which a job names the build that its
// workers have to be, as [build.Of] writes it.
const BuildOption = "harrow_build"

// OwnBuild is the build that this process is, for [BuildOption].
func OwnBuild() (string, error) { return build.Self() }

// BuildIn is the build that pipeline options (JSON) name; empty if they name
// none. Runners hand the options on by other names than the client has given
// them.
func BuildIn(options []byte) string {
	var o map[string]json.RawMessage
	var name string
	if json.Unmarshal(options, &o) != nil || json.Unmarshal(o["beam:option:"+BuildOption+":v1"], &name) != nil {
		return ""
	}
	return name
}

// buildHeader is of every answer of a pool: the build of its workers.
const buildHeader = "harrow-build"

// reach bounds how long a pool tries to reach what a worker will have to.
const reach = 20 * time.Second

// key tells workers apart.
type key struct{ control, id string }

func (k key) String() string { return fmt.Sprintf("%s of %s", printable(k.id), printable(k.control)) }

// maxName bounds ids and endpoints.
const maxName = 1024

// StartWorker starts a worker. What is wrong is said in the answer: runners
// show that.
func (p *Pool) StartWorker(ctx context.Context, req *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	k := key{req.GetControlEndpoint().GetUrl(), req.GetWorkerId()}
	err := checkStart(req)
	if err == nil {
		err = p.startAs(ctx, k, req)
	}
	if err != nil {
		p.log.line("worker %s can't be started: %v", k, err)
		return &fnpb.StartWorkerResponse{Error: "harrow worker pool " + p.Addr().String() + ": " + err.Error()}, nil
	}
	return &fnpb.StartWorkerResponse{}, nil
}

func checkStart(req *fnpb.StartWorkerRequest) error {
	control, logging := req.GetControlEndpoint(), req.GetLoggingEndpoint()
	switch {
	case req.GetWorkerId() == "" || len(req.GetWorkerId()) > maxName:
		return fmt.Errorf("want a worker id of at most %d bytes", maxName)
	case control.GetUrl() == "" || logging.GetUrl() == "":
		return errors.New("want a control and a logging endpoint")
	case max(len(control.GetUrl()), len(logging.GetUrl()), len(req.GetProvisionEndpoint().GetUrl())) > maxName:
		return fmt.Errorf("want endpoints of at most %d bytes", maxName)
	case control.GetAuthentication() != nil || logging.GetAuthentication() != nil:
		return errors.New("endpoints that ask for authentication are not supported")
	}
	return nil
}

// startAs starts a worker unless there is one of that key, and waits until it is
// connected with its runner.
func (p *Pool) startAs(ctx context.Context, k key, req *fnpb.StartWorkerRequest) error {
	w := &worker{key: k, pool: p, done: make(chan struct{})}
	if caller, ok := peer.FromContext(ctx); ok {
		w.caller = caller.Addr.String()
	}
	p.mu.Lock()
	_, alive := p.workers[k]
	switch {
	case p.ending:
		p.mu.Unlock()
		return errors.New("it is ending")
	case alive:
		p.mu.Unlock()
		return fmt.Errorf("worker %s runs already", k)
	}
	p.workers[k] = w
	p.over.Add(1)
	p.mu.Unlock()
	if err := p.launch(ctx, w, req); err != nil {
		w.free()
		p.over.Done()
		return err
	}
	return w.awaitConnected(ctx)
}

// launch starts the worker's process, if it can work for the runner.
func (p *Pool) launch(ctx context.Context, w *worker, req *fnpb.StartWorkerRequest) error {
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	defer context.AfterFunc(p.starts, cancel)()
	err := reachable(ctx, w.control)
	var info *fnpb.ProvisionInfo
	if err == nil {
		info, err = provision(ctx, w.id, req.GetProvisionEndpoint().GetUrl())
	}
	var options []byte
	if err == nil {
		options, err = optionsOf(info)
	}
	if want := BuildIn(options); err == nil && want != "" {
		err = build.Differ("its workers are", p.build, want)
	}
	if err == nil {
		err = w.start(req.GetLoggingEndpoint().GetUrl(), info, options)
	}
	return err
}

// reachable tries the endpoint that a worker will have to reach. A runner that
// waits for a worker which can't may wait for ever.
func reachable(ctx context.Context, endpoint string) error {
	if _, _, err := net.SplitHostPort(endpoint); err != nil || strings.Contains(endpoint, "/") {
		return nil // another scheme, gRPC's business
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return fmt.Errorf("the runner's control endpoint is not to be reached from here: %w", err)
	}
	return conn.Close()
}

// Connect connects with a service of this cluster's at host:port: past proxies,
// and past gRPC's own resolver, which asks the name server for more than
// addresses and may wait for that.
func Connect(endpoint string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+endpoint,
		append(options, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())...)
}

// provision asks the runner what else a worker should know; an empty endpoint
// tells nothing.
func provision(ctx context.Context, id, endpoint string) (_ *fnpb.ProvisionInfo, err error) {
	if endpoint == "" {
		return nil, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("the runner's provision endpoint %s: %w", endpoint, err)
		}
	}()
	conn, err := Connect(endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	resp, err := fnpb.NewProvisionServiceClient(conn).GetProvisionInfo(grpcx.WriteWorkerID(ctx, id), &fnpb.GetProvisionInfoRequest{}, grpc.WaitForReady(true))
	return resp.GetInfo(), err
}

// optionsOf are the pipeline's options, as JSON; empty if there are none.
func optionsOf(info *fnpb.ProvisionInfo) ([]byte, error) {
	if info.GetPipelineOptions() == nil {
		return nil, nil
	}
	text, err := protojson.Marshal(info.GetPipelineOptions())
	if err != nil {
		return nil, fmt.Errorf("pipeline options: %w", err)
	}
	return text, nil
}

// StopWorker tells a worker to end and doesn't wait for it: a runner that
// cancels a job must not be held up, and the worker knows what to do. The
// request names no control endpoint, and several of a cluster's machines may
// have workers of one id here: it means the one that was started over the same
// connection. If there is none, or not one alone, nobody is stopped, and that is
// no error: a worker whose runner has closed its control stream ends by itself.
func (p *Pool) StopWorker(ctx context.Context, req *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return &fnpb.StopWorkerResponse{}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var its []*worker
	for k, w := range p.workers {
		if k.id == req.GetWorkerId() && w.caller == caller.Addr.String() {
			its = append(its, w)
		}
	}
	if len(its) == 1 {
		its[0].end("its runner stops it")
	} else {
		p.log.line("worker %s is to be stopped: its caller has started %d that are so called and run; they end with their control stream", printable(req.GetWorkerId()), len(its))
	}
	return &fnpb.StopWorkerResponse{}, nil
}

// introduce names the pool's build in every answer.
func (p *Pool) introduce(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := grpc.SetHeader(ctx, metadata.Pairs(buildHeader, p.build)); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// Ping asks the pool at host:port for the build of its workers, empty if it is
// no pool of ours. An error: there is no pool, or it is ending.
func Ping(ctx context.Context, endpoint string) (buildName string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("worker pool %s: %w", endpoint, err)
		}
	}()
	if err := reachable(ctx, endpoint); err != nil {
		return "", errors.Unwrap(err)
	}
	conn, err := Connect(endpoint)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var header metadata.MD
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header))
	if status.Code(err) == codes.Unimplemented { // Beam's own pools tell nothing
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if s := resp.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return "", fmt.Errorf("it answers %v; want SERVING", s)
	}
	return strings.Join(header.Get(buildHeader), ""), nil
}

// Fits says why the pool at host:port can't work for jobs of this process: it is
// not there, or its workers are of another build ([build.ErrOther]). What can't
// be told of a pool that isn't ours is no reason.
func Fits(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	theirs, err := Ping(ctx, endpoint)
	if err != nil || theirs == "" {
		return err
	}
	own, err := build.Self()
	if err != nil {
		return err
	}
	if err := build.Differ("its workers are", theirs, own); err != nil {
		return fmt.Errorf("worker pool %s: %w", endpoint, err)
	}
	return nil
}
