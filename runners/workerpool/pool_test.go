package workerpool_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/harrowdata/harrow/internal/build"
	"github.com/harrowdata/harrow/runners/workerpool"
)

// TestMain lets this binary stand for a worker, and for a pool to be killed.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "--worker=true":
		os.Exit(actAsWorker())
	case os.Getenv("POOL_TEST_TEMP") != "" && os.Getenv("POOL_TEST_SERVE") != "":
		os.Exit(actAsPool())
	}
	os.Exit(m.Run())
}

// actAsWorker says what it was told and does what its id says.
func actAsWorker() int {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	options, err := os.ReadFile(os.Getenv("PIPELINE_OPTIONS_FILE"))
	fmt.Printf("args %s\n", strings.Join(os.Args[1:], " "))
	fmt.Printf("capabilities %s, status %s, options %s %v\n", os.Getenv("RUNNER_CAPABILITIES"), os.Getenv("STATUS_ENDPOINT"), options, err)
	fmt.Printf("secret %v, group %v\n", os.Getenv("POOL_TEST_SECRET") != "", syscall.Getpgrp() == os.Getpid())
	if werr := os.WriteFile(filepath.Join(os.TempDir(), "left-behind"), nil, 0o666); werr != nil {
		fmt.Println(werr)
		return 9
	}
	fmt.Printf("pid %d\n", os.Getpid())
	id := strings.TrimPrefix(os.Args[2], "--id=")
	switch {
	case strings.HasPrefix(id, "dies"):
		return 7
	case strings.HasPrefix(id, "mute"):
		fmt.Println("connects never")
		<-told
		return 130
	}
	workerpool.Connected()()
	switch {
	case strings.HasPrefix(id, "done"):
		return 6
	case strings.HasPrefix(id, "loud"):
		fmt.Print(strings.Repeat("x", 20<<10), "\nwithout\x1b[31m colour\nand no end")
		return 0
	case strings.HasPrefix(id, "stubborn"):
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ignores")
		time.Sleep(time.Minute)
		return 8
	}
	select {
	case <-told:
		return 130
	case <-time.After(time.Minute):
		return 8
	}
}

func actAsPool() int {
	p, err := workerpool.Listen(context.Background(), workerpool.Config{Listen: "127.0.0.1:0", Log: os.Stderr, Temp: os.Getenv("POOL_TEST_TEMP")})
	if err == nil {
		fmt.Println(p.Addr())
		err = p.Serve(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// text is a log to be read while it is written.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *text) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *text) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// eventually waits until the log says something, and returns all of it.
func (o *text) eventually(t *testing.T, says string) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		all := o.String()
		if strings.Contains(all, says) {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log never says %q:\n%s", says, all)
		}
	}
}

// pool is one that serves as long as the test.
type pool struct {
	t      *testing.T
	client fnpb.BeamFnExternalWorkerPoolClient
	addr   string
	log    text
	temp   string
	end    func() // returns when it has ended
}

func serve(t *testing.T, cfg workerpool.Config) *pool {
	t.Helper()
	s := &pool{t: t, temp: t.TempDir()}
	cfg.Listen, cfg.Log, cfg.Temp = "127.0.0.1:0", &s.log, s.temp
	p, err := workerpool.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx) }()
	s.end = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(s.end)
	s.addr = p.Addr().String()
	s.client = dial(t, s.addr)
	return s
}

func dial(t *testing.T, addr string) fnpb.BeamFnExternalWorkerPoolClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return fnpb.NewBeamFnExternalWorkerPoolClient(conn)
}

// runner is something to be reached that tells workers what there is to know.
type runner struct {
	fnpb.UnimplementedProvisionServiceServer
	options map[string]any
}

func (r runner) GetProvisionInfo(context.Context, *fnpb.GetProvisionInfoRequest) (*fnpb.GetProvisionInfoResponse, error) {
	options, err := structpb.NewStruct(r.options)
	return &fnpb.GetProvisionInfoResponse{Info: &fnpb.ProvisionInfo{PipelineOptions: options,
		RunnerCapabilities: []string{"beam:a", "beam:b"}, StatusEndpoint: &pipepb.ApiServiceDescriptor{Url: "status:1"}}}, err
}

// wants are the options of a job that asks for a build.
func wants(name string) map[string]any {
	return map[string]any{"beam:option:" + workerpool.BuildOption + ":v1": name}
}

// listen starts a runner and returns its endpoint.
func listen(t *testing.T, options map[string]any) string {
	t.Helper()
	var cfg net.ListenConfig
	lis, err := cfg.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	fnpb.RegisterProvisionServiceServer(s, runner{options: options})
	go func() { _ = s.Serve(lis) }()
	t.Cleanup(s.Stop)
	return lis.Addr().String()
}

func request(id, endpoint string) *fnpb.StartWorkerRequest {
	at := &pipepb.ApiServiceDescriptor{Url: endpoint}
	return &fnpb.StartWorkerRequest{WorkerId: id, ControlEndpoint: at, LoggingEndpoint: at, ProvisionEndpoint: at}
}

// start asks for a worker and returns the answer's error.
func (s *pool) start(id, endpoint string) string {
	s.t.Helper()
	resp, err := s.client.StartWorker(s.t.Context(), request(id, endpoint))
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.GetError()
}

func (s *pool) started(id, endpoint string) {
	s.t.Helper()
	if err := s.start(id, endpoint); err != "" {
		s.t.Fatalf("worker %s of %s: %s", id, endpoint, err)
	}
}

func (s *pool) stop(id string) {
	s.t.Helper()
	resp, err := s.client.StopWorker(s.t.Context(), &fnpb.StopWorkerRequest{WorkerId: id})
	if err != nil || resp.GetError() != "" {
		s.t.Fatalf("stop %s: %v %s", id, err, resp.GetError())
	}
}

// left lists what lies in the pool's temporary folder.
func left(t *testing.T, temp string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(temp, "harrow-pool-*", "worker-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAWorkerIsToldWhatBeamsHarnessReads(t *testing.T) {
	t.Setenv("POOL_TEST_SECRET", "it is in the pool's environment")
	t.Setenv("STATUS_ENDPOINT", "of somebody else")
	s, at := serve(t, workerpool.Config{}), listen(t, map[string]any{"beam:option:some:v1": "option"})
	s.started("w", at)
	log := s.log.eventually(t, "] pid ")
	for _, want := range []string{
		"listens on " + s.addr,
		"args --worker=true --id=w --logging_endpoint=" + at + " --control_endpoint=" + at + " --semi_persist_dir=" + s.temp,
		`capabilities beam:a beam:b, status status:1, options {"beam:option:some:v1":"option"} <nil>`,
		"secret true, group true",
		"worker w of " + at + " started, pid ",
	} {
		if !strings.Contains(strings.ReplaceAll(log, `": `, `":`), want) {
			t.Errorf("want %q in\n%s", want, log)
		}
	}
	if got := left(t, s.temp); len(got) != 2 {
		t.Errorf("temporary files: %q; want the options and what the worker has made", got)
	}
	s.stop("w")
	s.log.eventually(t, "worker w of "+at+" ended")
	if got := left(t, s.temp); len(got) != 0 {
		t.Errorf("the worker has left %q", got)
	}
	if strings.Contains(s.log.String(), "in the pool's environment") {
		t.Error("the log tells a secret")
	}
}

func TestWorkersOfTwoRunnersMayHaveOneName(t *testing.T) {
	s, one, other := serve(t, workerpool.Config{}), listen(t, nil), listen(t, nil)
	s.started("1-1", one)
	s.started("1-1", other)
	if err := s.start("1-1", one); !strings.Contains(err, "worker 1-1 of "+one+" runs already") || !strings.Contains(err, s.addr) {
		t.Errorf("a second one of the same runner: %q", err)
	}
	s.stop("1-1") // of which runner?
	s.log.eventually(t, "worker 1-1 is to be stopped: its caller has started 2 that are so called")
	// Another caller's is known by its connection.
	second := &pool{t: t, client: dial(t, s.addr)}
	second.started("1-2", other)
	s.started("1-2", one)
	second.stop("1-2")
	s.log.eventually(t, "worker 1-2 of "+other+" ended")
	if strings.Contains(s.log.String(), "worker 1-2 of "+one+" ended") {
		t.Error("the other runner's worker was stopped")
	}
}

// TestOnlyWhoStartedAWorkerStopsIt: its machine's worker has died, or the pool
// that had it, and another machine's is called the same.
func TestOnlyWhoStartedAWorkerStopsIt(t *testing.T) {
	s, other := serve(t, workerpool.Config{}), listen(t, nil)
	second := &pool{t: t, client: dial(t, s.addr)}
	second.started("1-1", other)
	s.stop("1-1")
	s.log.eventually(t, "worker 1-1 is to be stopped: its caller has started 0 that are so called")
	if err := s.start("1-1", other); !strings.Contains(err, "runs already") {
		t.Errorf("the other machine's worker was stopped: %q", err)
	}
}

func TestAWorkerThatNeverConnectsIsNoneThatWasStarted(t *testing.T) {
	s, at := serve(t, workerpool.Config{}), listen(t, nil)
	if err := s.start("dies", at); !strings.Contains(err, "ended before it had a control stream: exit status 7") {
		t.Errorf("the answer for one that dies: %q", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { s.log.eventually(t, "] connects never"); cancel() }()
	if _, err := s.client.StartWorker(ctx, request("mute", at)); status.Code(err) != codes.Canceled {
		t.Errorf("the answer for one that is waited for: %v", err)
	}
	s.log.eventually(t, "worker mute of "+at+" ended")
}

func TestADeadWorkersNameIsFree(t *testing.T) {
	s, at := serve(t, workerpool.Config{}), listen(t, nil)
	s.started("done", at)
	s.log.eventually(t, ": exit status 6\n")
	s.started("done", at)
	s.stop("never there")
	s.stop("done")
}

func TestAWorkerThatDoesNotEndIsKilled(t *testing.T) {
	s, at := serve(t, workerpool.Config{Grace: 50 * time.Millisecond}), listen(t, nil)
	s.started("stubborn", at)
	s.log.eventually(t, "] ignores")
	s.stop("stubborn")
	s.log.eventually(t, "did not end within 50ms: it is killed")
	s.log.eventually(t, ": signal: killed, since its runner stops it")
}

func TestThePoolEndsWithItsWorkers(t *testing.T) {
	s, at := serve(t, workerpool.Config{Grace: 100 * time.Millisecond}), listen(t, nil)
	s.started("w", at)
	s.log.eventually(t, "] pid ")
	s.started("stubborn", at)
	s.log.eventually(t, "] ignores")
	s.end()
	log := s.log.String()
	for _, want := range []string{"worker w of " + at + " ended, pid ", ": exit status 130, since the pool ends", ": signal: killed, since the pool ends"} {
		if !strings.Contains(log, want) {
			t.Errorf("want %q in\n%s", want, log)
		}
	}
	if entries, err := os.ReadDir(s.temp); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
	if !strings.HasSuffix(log, "harrow: worker pool ended\n") {
		t.Errorf("something follows the end:\n%s", log)
	}
}

func TestWhatAWorkerWritesIsBounded(t *testing.T) {
	s, at := serve(t, workerpool.Config{}), listen(t, nil)
	s.started("loud", at)
	log := s.log.eventually(t, "worker loud of "+at+" ended")
	for _, want := range []string{"x … and " + strconv.Itoa(20<<10-8<<10) + " bytes more\n", `without\x1b[31m colour` + "\n", "] and no end\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("want %q in a log of %d bytes", want, len(log))
		}
	}
}

func TestAWorkerThatCanNotWorkIsRefused(t *testing.T) {
	const another = "harrow v9.9.9 (build 0123456789abcdef)"
	own, err := build.Self()
	if err != nil {
		t.Fatal(err)
	}
	s, at := serve(t, workerpool.Config{}), listen(t, wants(own))
	var cfg net.ListenConfig
	closed, err := cfg.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	secure := request("w", at)
	secure.ControlEndpoint = &pipepb.ApiServiceDescriptor{Url: at, Authentication: &pipepb.AuthenticationSpec{Urn: "some"}}
	for _, c := range []struct {
		name string
		req  *fnpb.StartWorkerRequest
		want string
	}{
		{"no id", request("", at), "want a worker id"},
		{"a long id", request(strings.Repeat("x", 2000), at), "want a worker id"},
		{"no endpoint", request("w", ""), "want a control and a logging endpoint"},
		{"a long endpoint", request("w", at+strings.Repeat("0", 2000)), "want endpoints of at most"},
		{"secure", secure, "authentication"},
		{"nobody there", request("w", nobody), "control endpoint is not to be reached from here: dial tcp " + nobody},
		{"another build", request("w", listen(t, wants(another))), "its workers are " + own + ", the job was made by " + another},
		{"the same build", request("w", at), ""},
	} {
		resp, err := s.client.StartWorker(t.Context(), c.req)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.GetError(); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q; want %q in it", c.name, got, c.want)
		}
	}
}

func TestAPoolSaysThatItIsThere(t *testing.T) {
	s := serve(t, workerpool.Config{})
	own, err := build.Self()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := workerpool.Ping(t.Context(), s.addr); got != own || err != nil {
		t.Errorf("Ping: %q, %v; want %q", got, err, own)
	}
	if err := workerpool.Fits(t.Context(), s.addr); err != nil {
		t.Errorf("its own build: %v", err)
	}
	if err := workerpool.Fits(t.Context(), listen(t, nil)); err != nil {
		t.Errorf("a pool of another make: %v", err)
	}
	program := filepath.Join(t.TempDir(), "another")
	if err := os.WriteFile(program, []byte("#!/bin/sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := workerpool.Fits(t.Context(), serve(t, workerpool.Config{Program: program}).addr); !errors.Is(err, build.ErrOther) || !strings.Contains(err.Error(), own) {
		t.Errorf("another build: %v", err)
	}
	s.end()
	if _, err := workerpool.Ping(t.Context(), s.addr); err == nil || !strings.Contains(err.Error(), "worker pool "+s.addr) {
		t.Errorf("of a pool that has ended: %v", err)
	}
}

func TestOnlyAddressesAreListenedOn(t *testing.T) {
	for listen, want := range map[string]bool{"127.0.0.1:50000": true, "0.0.0.0:1": true, "[::1]:0": true, "localhost:50000": true, "worker-1.example:80": true,
		"": false, ":50000": false, "50000": false, "localhost": false, "localhost:http": false, "localhost:65536": false, "::1:80": false} {
		if err := workerpool.CheckListen(listen); (err == nil) != want {
			t.Errorf("%q: %v", listen, err)
		}
	}
	if _, err := workerpool.Listen(t.Context(), workerpool.Config{Listen: "192.0.2.1:50000"}); err == nil || !strings.Contains(err.Error(), "192.0.2.1:50000") {
		t.Errorf("an address of another machine: %v", err)
	}
}

func TestNoWorkerOutlivesAPoolThatIsKilled(t *testing.T) {
	temp, at := t.TempDir(), listen(t, nil)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), "POOL_TEST_SERVE=1", "POOL_TEST_TEMP="+temp)
	var log text
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	s := &pool{t: t, client: dial(t, strings.TrimSpace(string(line[:n])))}
	for i := range 8 { // more than the runtime has threads to spare
		s.started(fmt.Sprintf("w%d", i), at)
	}
	pids := map[int]bool{}
	for deadline := time.Now().Add(time.Minute); len(pids) < 8; time.Sleep(2 * time.Millisecond) {
		for l := range strings.Lines(log.String()) {
			if _, pid, ok := strings.Cut(l, "] pid "); ok && strings.HasSuffix(pid, "\n") {
				n, err := strconv.Atoi(strings.TrimSpace(pid))
				if err != nil {
					t.Fatal(err)
				}
				pids[n] = true
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d workers began:\n%s", len(pids), log.String())
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error is the signal
	for pid := range pids {
		for deadline := time.Now().Add(time.Minute); alive(pid); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("worker %d is still there", pid)
			}
		}
	}
	if len(left(t, temp)) == 0 {
		t.Fatal("a pool that is killed removes nothing; what is there to sweep?")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	// A process's files are let go with the last of its threads, a moment after
	// the first.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		next, err := workerpool.Listen(t.Context(), workerpool.Config{Listen: "127.0.0.1:0", Temp: temp})
		if err != nil {
			t.Fatal(err)
		}
		swept := left(t, temp)
		if err := next.Serve(ended); err != nil {
			t.Fatal(err)
		}
		if len(swept) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the next pool leaves %q", swept)
		}
	}
}

func TestAPoolThatEndsRemovesWhatWasStillHeldWhenItBegan(t *testing.T) {
	temp := t.TempDir()
	dir := filepath.Join(temp, "harrow-pool-of-one-that-was-killed")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	worker, err := os.Open(dir) // the last one of the pool that was killed
	if err == nil {
		err = syscall.Flock(int(worker.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	next, err := workerpool.Listen(t.Context(), workerpool.Config{Listen: "127.0.0.1:0", Temp: temp})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a folder that is held: %v", err)
	}
	if err := worker.Close(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := next.Serve(ended); err != nil {
		t.Fatal(err)
	}
	if names := left(t, temp); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// alive reports whether a process runs; one that nobody has waited for is dead.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
