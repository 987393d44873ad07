package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"google.golang.org/grpc"

	"github.com/harrowdata/harrow/internal/build"
	"github.com/harrowdata/harrow/runners/workerpool"
)

// runner is the other side of a worker: it holds the control stream until it
// is told to close it.
type runner struct {
	fnpb.UnimplementedBeamFnControlServer
	fnpb.UnimplementedBeamFnLoggingServer
	server *grpc.Server
	addr   string
	there  chan struct{} // closed when a worker has come
	close  chan struct{} // closes the stream
	once   sync.Once

	asks     int // instructions that a worker gets, one after the other
	answered atomic.Int64
}

func (r *runner) Control(s fnpb.BeamFnControl_ControlServer) error {
	r.once.Do(func() { close(r.there) })
	for n := range r.asks {
		ask := &fnpb.InstructionRequest_HarnessMonitoringInfos{HarnessMonitoringInfos: &fnpb.HarnessMonitoringInfosRequest{}}
		if err := s.Send(&fnpb.InstructionRequest{InstructionId: strconv.Itoa(n), Request: ask}); err != nil {
			return err
		}
		if _, err := s.Recv(); err != nil {
			return err
		}
		r.answered.Add(1)
	}
	<-r.close
	return nil
}

func (r *runner) Logging(s fnpb.BeamFnLogging_LoggingServer) error {
	<-s.Context().Done()
	return nil
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	var cfg net.ListenConfig
	lis, err := cfg.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{server: grpc.NewServer(), addr: lis.Addr().String(), there: make(chan struct{}), close: make(chan struct{})}
	fnpb.RegisterBeamFnControlServer(r.server, r)
	fnpb.RegisterBeamFnLoggingServer(r.server, r)
	go func() { _ = r.server.Serve(lis) }()
	t.Cleanup(r.server.Stop)
	return r
}

// forget lets options be imported again: a process does so once.
func forget() { runtime.GlobalOptions = runtime.NewOptions() }

// life is how a worker ended.
type life struct {
	code    int
	told    atomic.Bool // whoever started it, that it is connected
	log     string
	drained atomic.Bool
}

// live runs a worker, does something to it once it is connected, and returns
// how it ended.
func live(t *testing.T, r *runner, drain func(ctx context.Context) error, then func(told chan<- os.Signal)) *life {
	t.Helper()
	forget()
	var log strings.Builder
	l := &life{}
	told := make(chan os.Signal, 1)
	connected := make(chan struct{})
	go func() {
		<-r.there
		select {
		case <-connected:
		case <-time.After(time.Minute): // it never will be
		}
		then(told)
	}()
	l.code = Run(Config{ID: "w", Control: r.addr, Logging: r.addr, Log: &log, connected: func() { l.told.Store(true); close(connected) }, softly: 20 * time.Millisecond, bound: 100 * time.Millisecond,
		Drain: func(ctx context.Context) error { l.drained.Store(true); return drain(ctx) }}, told)
	l.log = log.String()
	return l
}

func TestAWorkerEndsWhenItIsNotNeededAnyMore(t *testing.T) {
	well := func(context.Context) error { return nil }
	hangs := make(chan struct{})
	defer close(hangs)
	for _, c := range []struct {
		name  string
		drain func(ctx context.Context) error
		then  func(r *runner, told chan<- os.Signal)
		code  int
		says  string
	}{
		{"its runner closes the stream", well, func(r *runner, _ chan<- os.Signal) { close(r.close) }, ExitOver, "its runner needs it no more"},
		{"its runner is gone", well, func(r *runner, _ chan<- os.Signal) { r.server.Stop() }, ExitLost, "its control connection to 127.0.0.1:"},
		{"it is told to end", well, func(_ *runner, told chan<- os.Signal) { told <- syscall.SIGTERM }, ExitTold, "ends: terminated"},
		{"it hurries", func(ctx context.Context) error { <-ctx.Done(); return nil }, func(_ *runner, told chan<- os.Signal) { told <- syscall.SIGTERM }, ExitTold, "ends: terminated"},
		{"it can't keep what it has", func(context.Context) error { return errors.New("disk full") },
			func(_ *runner, told chan<- os.Signal) { told <- syscall.SIGTERM }, ExitLost, "ended badly: disk full"},
		{"it hangs", func(context.Context) error { <-hangs; return nil },
			func(r *runner, _ chan<- os.Signal) { close(r.close) }, ExitLost, "did not come to an end within 100ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRunner(t)
			l := live(t, r, c.drain, func(told chan<- os.Signal) { c.then(r, told) })
			if !l.told.Load() {
				t.Error("it never said that it was connected")
			}
			if l.code != c.code || !l.drained.Load() || !strings.Contains(l.log, c.says) {
				t.Errorf("exit %d, drained %v, log %q; want exit %d and %q", l.code, l.drained.Load(), l.log, c.code, c.says)
			}
		})
	}
}

// A runner may forget a worker and hold its connection open.
func TestAWorkerThatGetsNoInstructionEnds(t *testing.T) {
	const forgotten = 1500 * time.Millisecond // within which instructions come on a busy machine, too
	for name, asked := range map[string]int{"from the beginning": 0, "any more": 3} {
		t.Run(name, func(t *testing.T) {
			forget()
			r := newRunner(t)
			r.asks = asked
			var log strings.Builder
			code := Run(Config{ID: "w", Control: r.addr, Logging: r.addr, Log: &log, connected: func() {}, forgotten: forgotten}, nil)
			if want := fmt.Sprintf("its runner has forgotten it: %v without an instruction", forgotten); code != ExitOver || !strings.Contains(log.String(), want) {
				t.Errorf("exit %d, log %q; want %d and %q", code, log.String(), ExitOver, want)
			}
			if got := int(r.answered.Load()); got != asked {
				t.Errorf("it answered %d instructions of %d before", got, asked)
			}
		})
	}
}

func TestAWorkerIsNotIdleWhileAnInstructionIsAtHand(t *testing.T) {
	synctest.Test(t, notIdle)
}

func notIdle(t *testing.T) {
	over := func(i *idle) bool {
		select {
		case <-i.over:
			return true
		case <-time.After(300 * time.Millisecond):
			return false
		}
	}
	i := newIdle(20 * time.Millisecond)
	i.begin()
	for range 3 {
		time.Sleep(15 * time.Millisecond)
		i.note(1)
		i.note(-1)
	}
	i.note(1)
	if over(i) {
		t.Error("over with an instruction at hand")
	}
	i.note(1)
	i.note(-1)
	if over(i) {
		t.Error("over with one of two at hand")
	}
	i.note(-1)
	if !over(i) {
		t.Error("not over with nothing at hand")
	}
	i.note(1) // too late
	i.stop()
	for _, never := range []*idle{newIdle(0), newIdle(20 * time.Millisecond)} {
		never.begin()
		never.stop()
		if over(never) {
			t.Error("over though nobody counts")
		}
	}
}

func TestAWorkerThatIsToldWrongThingsRefuses(t *testing.T) {
	const another = "harrow v9.9.9 (build 0123456789abcdef)"
	own, err := build.Self()
	if err != nil {
		t.Fatal(err)
	}
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "options")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	options, err := json.Marshal(map[string]string{"beam:option:" + workerpool.BuildOption + ":v1": another})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, id, options, says string }{
		{"no id", "", "", "want --id"},
		{"no options", "w", file("")[1:] + "-gone", "no such file"},
		{"no JSON", "w", file("{"), "pipeline options: unexpected end"},
		{"another build", "w", file(string(options)), "this process runs " + own + ", the job was made by " + another},
	} {
		var log strings.Builder
		t.Setenv("PIPELINE_OPTIONS_FILE", c.options)
		if code := Run(Config{ID: c.id, Control: "127.0.0.1:1", Logging: "127.0.0.1:1", Log: &log}, nil); code != ExitRefused || !strings.Contains(log.String(), c.says) {
			t.Errorf("%s: exit %d, %q; want %q", c.name, code, log.String(), c.says)
		}
	}
}

func TestWhatARunnerSaysReachesTheHarness(t *testing.T) {
	forget()
	t.Setenv("RUNNER_CAPABILITIES", "beam:a beam:b")
	t.Setenv("STATUS_ENDPOINT", "status:1")
	o, err := Config{ID: "w", Control: "c", Logging: "l", Options: `{"beam:option:go_options:v1":{"options":{"experiments":"enable_data_sampling","hookOrder":"[\"own\"]","hooks":"{\"own\":[\"a\"]}"}}}`}.prepare()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(o.RunnerCapabilities, " "); got != "beam:a beam:b beam:protocol:data_sampling:v1" || o.StatusEndpoint != "status:1" {
		t.Errorf("capabilities %q, status %q", got, o.StatusEndpoint)
	}
	for name, want := range map[string]string{"experiments": "enable_data_sampling", "hookOrder": `["default_remote_logging","own"]`, "hooks": `{"default_remote_logging":null,"own":["a"]}`} {
		if got := runtime.GlobalOptions.Get(name); got != want {
			t.Errorf("option %s is %q, want %q", name, got, want)
		}
	}
}

func TestAnEndpointThatNobodyServesIsGivenUp(t *testing.T) {
	r := newRunner(t)
	r.server.Stop()
	if _, err := dial(t.Context(), r.addr, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), r.addr+" is not to be reached") {
		t.Errorf("got %v", err)
	}
}

func TestAWorkerIsNotConnectedBeforeItsControlStreamIs(t *testing.T) {
	r := newRunner(t)
	told := false
	conn, err := dial(t.Context(), r.addr, 10*time.Second, telling(func() { told = true }, newIdle(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fnpb.NewBeamFnLoggingClient(conn).Logging(t.Context()); err != nil || told {
		t.Errorf("%v; said so for its log: %t", err, told)
	}
	if _, err := fnpb.NewBeamFnControlClient(conn).Control(t.Context()); err != nil || !told {
		t.Errorf("%v; said so for its control stream: %t", err, told)
	}
}

func TestUnixSocketsAreEndpointsToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	var cfg net.ListenConfig
	lis, err := cfg.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	go func() { _ = s.Serve(lis) }()
	defer s.Stop()
	conn, err := dial(t.Context(), "unix://"+path, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
