package runners

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
)

// beamFlags reads Beam's own flags: define says which of them the runner
// takes, by Beam's names; nil: none. They are on a flag set of their own:
// whatever is set on Go's global one is shipped to the runner.
func beamFlags(o Options, define func(*flag.FlagSet)) error {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if define != nil {
		define(fs)
	}
	given := map[string]bool{}
	for i := 0; i < len(o.Beam); i++ {
		arg := o.Beam[i]
		name, value, joined := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		if name == "" || !strings.HasPrefix(arg, "-") {
			return fmt.Errorf("-- %s: want a flag of Beam's, --NAME=VALUE", arg)
		}
		f := fs.Lookup(name)
		if f == nil {
			return unknownFlag(fs, name)
		}
		if given[name] {
			return fmt.Errorf("-- --%s is given twice", name)
		}
		given[name] = true
		switch on, ok := f.Value.(interface{ IsBoolFlag() bool }); {
		case joined:
		case ok && on.IsBoolFlag():
			value = "true"
		case i+1 == len(o.Beam):
			return fmt.Errorf("-- --%s: want a value: %s", name, f.Usage)
		default:
			i++
			value = o.Beam[i]
		}
		if err := f.Value.Set(value); err != nil {
			return fmt.Errorf("-- --%s=%s: want %s", name, value, f.Usage)
		}
	}
	return nil
}

// ours says what stands for those of Beam's flags that Harrow sets itself.
var ours = map[string]string{
	"runner":       "want --runner before the --",
	"endpoint":     "want --endpoint before the --",
	"flink_master": "want --flink-master before the --",
	"job_name":     "the job is named after its run",
	"async":        "Harrow waits for the job",
}

func unknownFlag(fs *flag.FlagSet, name string) error {
	if why := ours[name]; why != "" {
		return fmt.Errorf("-- --%s: %s", name, why)
	}
	var known []string
	fs.VisitAll(func(f *flag.Flag) { known = append(known, "--"+f.Name) })
	if known == nil {
		return fmt.Errorf("-- --%s: this runner takes no flags of Beam's", name)
	}
	return fmt.Errorf("-- --%s is not known; want one of %s", name, strings.Join(known, ", "))
}

// notFor refuses those of Harrow's flags that a runner has no use for.
func notFor(o Options, flags ...string) error {
	given := map[string]string{"--flink-master": o.FlinkMaster, "--endpoint": o.Endpoint}
	for _, f := range flags {
		if given[f] != "" {
			return fmt.Errorf("%s %s is not for this runner", f, given[f])
		}
	}
	return nil
}

// hostPort checks an address of the form host:port.
func hostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil || host == "" || n < 1 || n > 65535 {
		return errors.New("want HOST:PORT")
	}
	return nil
}

// Where workers live, as Beam's --environment_type has it.
const (
	envLoopback = "LOOPBACK" // in this process
	envExternal = "EXTERNAL" // where a pool of workers starts them
)

// environment is where a runner that speaks Beam's protocols has its workers.
type environment struct {
	kind   string
	config string // EXTERNAL: host:port of the pool, as the runner's machines see it
}

func (e *environment) define(fs *flag.FlagSet) {
	fs.StringVar(&e.kind, "environment_type", "", "LOOPBACK or EXTERNAL")
	fs.StringVar(&e.config, "environment_config", "", "HOST:PORT of the worker pool")
}

// check fills in what was not given.
func (e *environment) check(kind, config string) error {
	if e.kind == "" && e.config != "" {
		e.kind = envExternal
	}
	if e.kind == "" {
		e.kind = kind
	}
	e.kind = strings.ToUpper(e.kind)
	if !slices.Contains([]string{envLoopback, envExternal}, e.kind) {
		return fmt.Errorf("-- --environment_type=%s: want %s or %s", e.kind, envLoopback, envExternal)
	}
	if e.kind == envLoopback {
		if e.config != "" {
			return fmt.Errorf("-- --environment_config=%s is not for --environment_type=%s", e.config, e.kind)
		}
		return nil
	}
	if e.config == "" {
		e.config = config
	}
	if e.config == "" {
		return errors.New("-- --environment_type=EXTERNAL: want --environment_config=HOST:PORT too, the worker pool")
	}
	if err := hostPort(e.config); err != nil {
		return fmt.Errorf("-- --environment_config=%s: %w", e.config, err)
	}
	return nil
}

// countersOf sums counters over steps.
func countersOf(m metrics.Results) map[string]int64 {
	counters := map[string]int64{}
	for _, c := range m.AllMetrics().Counters() {
		counters[c.Namespace()+"."+c.Name()] += c.Result()
	}
	return counters
}
