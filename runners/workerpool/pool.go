// Package workerpool is the service that runners start workers through where
// these are other processes (Beam's environment EXTERNAL): it stands beside each
// of a cluster's machines, and its workers are this very executable. It knows
// no transform.
//
// Processes and goroutines and their owners: a [Pool] owns its gRPC server, one
// thread that starts processes, and its workers; a worker has a goroutine that
// waits for its end. All of it ends with [Pool.Serve]; workers end with their
// pool even if that is killed.
package workerpool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/harrowdata/harrow/internal/build"
	"github.com/harrowdata/harrow/internal/scratch"
)

// Defaults of a pool.
const (
	// DefaultListen is where runners look for a worker pool: port 50000, of
	// this machine only. Who reaches a pool makes it work, with the secrets in
	// its environment.
	DefaultListen = "127.0.0.1:50000"
	// DefaultGrace is how long a worker that was told to end may take: 5 s more
	// than it gives itself to let go of what it fetches, and less than the 30 s
	// after which Kubernetes kills what it told to end.
	DefaultGrace = 20 * time.Second
)

// Config is what a pool goes by.
type Config struct {
	Listen  string        // host:port; a port of 0 is any free one. Empty: DefaultListen
	Log     io.Writer     // takes a line for what happens, and what workers write. Nil: nowhere
	Program string        // executable of the workers; empty: the one that runs
	Temp    string        // local folder for the workers' temporary files; empty: the system's
	Grace   time.Duration // of a worker between SIGTERM and SIGKILL; 0: DefaultGrace
}

// CheckListen says what is wrong with an address to listen on.
func CheckListen(listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host == "" {
		return fmt.Errorf("%q is no address to listen on; want HOST:PORT, like %s, or 0.0.0.0:50000 for all of this machine's", listen, DefaultListen)
	}
	return nil
}

// Pool serves Beam's BeamFnExternalWorkerPool. Workers are told apart by their
// control endpoint and their id: several of a cluster's machines that share a
// pool name their workers alike.
type Pool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer

	cfg     Config
	build   string // of the workers
	log     *logger
	temp    *scratch.Folder
	threads *starter
	lis     net.Listener
	server  *grpc.Server
	health  *health.Server
	starts  context.Context // ends what waits for a worker's start
	endThem context.CancelFunc

	mu      sync.Mutex
	workers map[key]*worker
	ending  bool
	over    sync.WaitGroup // of all workers
}

// Listen opens a pool. Serve it: that closes it too.
func Listen(ctx context.Context, cfg Config) (_ *Pool, err error) {
	cfg.Listen = cmp.Or(cfg.Listen, DefaultListen)
	cfg.Grace = cmp.Or(cfg.Grace, DefaultGrace)
	if err := CheckListen(cfg.Listen); err != nil {
		return nil, err
	}
	p := &Pool{cfg: cfg, log: newLogger(cfg.Log), health: health.NewServer(), workers: map[key]*worker{}}
	p.build, err = build.Self()
	if cfg.Program != "" {
		p.build, err = build.Of(cfg.Program)
	}
	if err != nil {
		return nil, err
	}
	var listen net.ListenConfig
	if p.lis, err = listen.Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("worker pool: %w", err)
	}
	if p.temp, err = newFolder(cfg.Temp); err != nil {
		return nil, errors.Join(err, p.lis.Close())
	}
	p.server = grpc.NewServer(grpc.UnaryInterceptor(p.introduce))
	fnpb.RegisterBeamFnExternalWorkerPoolServer(p.server, p)
	grpc_health_v1.RegisterHealthServer(p.server, p.health)
	p.threads = newStarter()
	p.starts, p.endThem = context.WithCancel(context.WithoutCancel(ctx))
	return p, nil
}

// Addr is where the pool listens.
func (p *Pool) Addr() net.Addr { return p.lis.Addr() }

// Serve serves until ctx ends, then ends all workers. Nothing of the pool is
// left when it returns: no worker, no temporary file.
func (p *Pool) Serve(ctx context.Context) error {
	p.log.line("worker pool listens on %s; its workers are %s", p.Addr(), p.build)
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(p.lis) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served: // the listener broke
		served <- nil
	}
	p.endAll()
	p.server.Stop()
	if serr := <-served; err == nil && !errors.Is(serr, grpc.ErrServerStopped) {
		err = serr
	}
	p.threads.stop()
	// A pool that was killed right before this one began may have had workers
	// that still held its folder then.
	if err = errors.Join(err, p.temp.Remove(), scratch.Sweep(filepath.Dir(p.temp.Path), folderPrefix)); err != nil {
		return fmt.Errorf("worker pool: %w", err)
	}
	p.log.line("worker pool ended")
	return nil
}

// endAll tells every worker to end and waits for that.
func (p *Pool) endAll() {
	p.health.Shutdown()
	p.mu.Lock()
	p.ending = true
	for _, w := range p.workers {
		w.end("the pool ends")
	}
	p.mu.Unlock()
	p.endThem()
	p.over.Wait()
}
