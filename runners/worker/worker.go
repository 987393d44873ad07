// Package worker is the life of a worker process: it works for a runner until
// the runner says that it is over, is gone, or the process is told to end. Then
// what the process has in hand is brought to a good end, within a bound, and it
// exits. It knows no transform.
//
// Beam's own worker (harness/init) sleeps for ever when its control stream
// ends, and the context of its bundles lives on: whoever fetches would go on
// fetching for nobody.
package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"

	"github.com/harrowdata/harrow/internal/build"
	"github.com/harrowdata/harrow/runners/workerpool"
)

// Exit codes of a worker: why it ended.
const (
	ExitOver    = 0   // the runner closed the control stream: there is nothing more to do
	ExitLost    = 1   // the control connection broke or never came about, or what was in hand could not be brought to an end
	ExitRefused = 2   // it can't work for this runner: flags, options or build are wrong
	ExitTold    = 130 // SIGTERM or SIGINT
)

// How long the end may take. A runner that cancels a job, and Kubernetes, kill
// what hasn't ended after a while (30 s there), and to be killed costs more than
// a few pages: rolls that were not appended and permits that have to run out.
// So it is not waited for the slowest exchange (fetch.timeout, 30 s), most take
// far less than 5 s.
const (
	softly = 5 * time.Second  // until exchanges in flight are cut off
	bound  = 15 * time.Second // until the process exits, come what may
	settle = 2 * time.Second  // for the harness, to send what bundles came to
)

// forgotten is how long the worker of a pool goes on without an instruction at
// hand: its runner needs it only while it works on something, and ends it then.
// A TaskManager of Flink whose task is cancelled just when its worker has come
// forgets that worker, with its connection open, for as long as it lives itself.
const forgotten = time.Minute

// Config is how a runner starts a worker, and what it has to bring to an end.
type Config struct {
	ID      string // of the worker, as the runner calls it
	Logging string // endpoints: host:port
	Control string
	Options string // pipeline options as JSON; PIPELINE_OPTIONS_FILE, if set, names a file with them
	// Drain ends what the process has in hand that isn't the harness's. When ctx
	// ends it hurries.
	Drain func(ctx context.Context) error
	Log   io.Writer // a line for why it ends; nil: nowhere

	softly, bound time.Duration // other than the above, in tests
	forgotten     time.Duration // 0: never, unless a pool has started the worker
	connected     func()        // called when there is a control stream; nil: tells the pool
}

// Run works until there is no more to do, or told yields something. It returns
// an exit code; the process should exit then: bundles may be left running. Beam
// must have been initialised, with its flag worker off.
func Run(cfg Config, told <-chan os.Signal) int {
	cfg.Log = cmp.Or[io.Writer](cfg.Log, io.Discard)
	cfg.softly, cfg.bound = cmp.Or(cfg.softly, softly), cmp.Or(cfg.bound, bound)
	if cfg.connected == nil {
		if cfg.connected = workerpool.Connected(); cfg.connected != nil {
			cfg.forgotten = forgotten
		} else {
			cfg.connected = func() {}
		}
	}
	say := func(format string, args ...any) {
		line := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ") // Beam's errors have several
		fmt.Fprintln(cfg.Log, "harrow: worker", line)
	}
	options, err := cfg.prepare()
	if err != nil {
		say("can't work: %v", err)
		return ExitRefused
	}
	idle := newIdle(cfg.forgotten)
	defer idle.stop()
	connected := telling(cfg.connected, idle)
	grpcx.Dial = func(ctx context.Context, endpoint string, timeout time.Duration) (*grpc.ClientConn, error) {
		return dial(ctx, endpoint, timeout, connected)
	}
	ctx, cancel := context.WithCancel(grpcx.WriteWorkerID(context.Background(), cfg.ID))
	defer cancel()
	worked := make(chan struct{})
	go func() { defer close(worked); err = work(ctx, cfg, options) }()
	code := ExitTold
	select {
	case <-worked:
		code = ExitOver
		why := "its runner needs it no more"
		if err != nil {
			code, why = ExitLost, err.Error()
		}
		cancel() // nobody waits for what bundles compute
		say("ends: %s", why)
	case s := <-told:
		say("ends: %v", s)
	case <-idle.over:
		code = ExitOver
		say("ends: its runner has forgotten it: %v without an instruction", cfg.forgotten)
	}
	if derr := cfg.drain(); derr != nil {
		say("ended badly: %v", derr)
		return ExitLost
	}
	if code == ExitTold {
		// The bundles that were stopped fail; the runner should hear it from them.
		select {
		case <-worked:
		case <-time.After(min(settle, cfg.bound)):
		}
	}
	return code
}

// work is the harness. A panic of its own is an error.
func work(ctx context.Context, cfg Config, options harness.Options) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if err := harness.MainWithOptions(ctx, cfg.Logging, cfg.Control, options); err != nil {
		return fmt.Errorf("its control connection to %s is gone: %w", cfg.Control, err)
	}
	return nil
}

// drain brings what is in hand to an end, within the bound.
func (c Config) drain() error {
	if c.Drain == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.softly)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Drain(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(c.bound):
		return fmt.Errorf("what it had in hand did not come to an end within %v", c.bound)
	}
}

// prepare reads what the runner says beside the flags.
func (c Config) prepare() (o harness.Options, err error) {
	if c.ID == "" || c.Control == "" || c.Logging == "" {
		return o, errors.New("want --id, --control_endpoint and --logging_endpoint")
	}
	o.StatusEndpoint = os.Getenv("STATUS_ENDPOINT")
	o.RunnerCapabilities = strings.Fields(os.Getenv("RUNNER_CAPABILITIES"))
	text := []byte(c.Options)
	if file := os.Getenv("PIPELINE_OPTIONS_FILE"); file != "" {
		if text, err = os.ReadFile(file); err != nil {
			return o, fmt.Errorf("pipeline options: %w", err)
		}
	}
	if len(text) == 0 {
		text = []byte("{}")
	}
	if err := build.Check(workerpool.BuildIn(text)); err != nil {
		return o, err
	}
	var opt runtime.RawOptionsWrapper
	if err := json.Unmarshal(text, &opt); err != nil {
		return o, fmt.Errorf("pipeline options: %w", err)
	}
	if opt.Options.Options, err = withRemoteLog(opt.Options.Options); err != nil {
		return o, fmt.Errorf("pipeline options: hooks: %w", err)
	}
	runtime.GlobalOptions.Import(opt.Options)
	if slices.Contains(strings.Split(opt.Options.Options["experiments"], ","), "enable_data_sampling") {
		o.RunnerCapabilities = append(o.RunnerCapabilities, graphx.URNDataSampling)
	}
	return o, nil
}

// withRemoteLog adds the hook by which Beam's log goes to the runner, to the
// options that name hooks: a client that isn't Beam's own names none.
func withRemoteLog(options map[string]string) (map[string]string, error) {
	var order []string
	hooks := map[string][]string{}
	for name, into := range map[string]any{"hookOrder": &order, "hooks": &hooks} {
		if text := options[name]; text != "" {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return nil, err
			}
		}
	}
	if slices.Contains(order, harness.DefaultRemoteLoggingHook) {
		return options, nil
	}
	order = append([]string{harness.DefaultRemoteLoggingHook}, order...)
	hooks[harness.DefaultRemoteLoggingHook] = nil
	all := map[string]string{}
	maps.Copy(all, options)
	for name, of := range map[string]any{"hookOrder": order, "hooks": hooks} {
		text, err := json.Marshal(of)
		if err != nil {
			return nil, err
		}
		all[name] = string(text)
	}
	return all, nil
}
