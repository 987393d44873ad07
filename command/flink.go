package command

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/flink"
	"github.com/harrowdata/harrow/pipelines"
	"github.com/harrowdata/harrow/runners/workerpool"
)

type flinkCmd struct {
	Install flinkInstallCmd `cmd:"" help:"Fetch the jars of Flink and of Beam's job server by Maven, once."`
	Up      flinkUpCmd      `cmd:"" help:"Start a small Flink on this machine, with a worker pool beside it."`
	Down    flinkDownCmd    `cmd:"" help:"End what flink up started."`
}

// interrupted makes an interrupt of the error that it led to.
func interrupted(err error) error { return fmt.Errorf("%w: %w", pipelines.ErrStopped, err) }

type flinkInstallCmd struct{}

// Help says more than a line.
func (*flinkInstallCmd) Help() string {
	return fmt.Sprintf(`Flink %s and Beam's job server %s, each jar held to a checksum, are put into HARROW_CACHE, else the folder harrow in your cache folder. `+
		`They need Java 17 (JAVA_HOME, else PATH); only installing needs Maven and the network. Where they are already, nothing is done.`, flink.Version, flink.BeamVersion)
}

// Run implements the command.
func (c *flinkInstallCmd) Run(e *env) error {
	ctx, done := e.interruptible("nothing is installed by halves")
	defer done()
	installed, err := flink.Install(ctx, flink.Config{Log: e.stderr})
	if ctx.Err() != nil && err != nil {
		return interrupted(err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "Flink %s and Beam's job server %s are in %s; %s runs them\nfor the lib folder of a Flink of your own, so that jobs start sooner: %s\n",
		flink.Version, flink.BeamVersion, installed.Dir, installed.Java, filepath.Join(installed.Runner(), "*"))
	return err
}

type flinkUpCmd struct {
	TaskManagers int      `name:"taskmanagers" help:"How many TaskManagers (default 2), of up to 1.5 GB each." default:"2" placeholder:"N"`
	Slots        int      `help:"Slots of each TaskManager (default 2)." default:"2" placeholder:"N"`
	RESTPort     int      `name:"rest-port" help:"Port of the JobManager, for harrow run and for a browser (default: a free one)." placeholder:"PORT"`
	PoolListen   string   `name:"pool-listen" help:"Address of the worker pool (default ${listen})." default:"${listen}" placeholder:"HOST:PORT"`
	Option       []string `help:"Set an option of Flink's, by its name there; may be repeated." placeholder:"NAME=VALUE" sep:"none"`
}

// Help says more than a line.
func (*flinkUpCmd) Help() string {
	return `It is for trying: everything is on this machine, and nothing asks who you are. Workers get the secrets of the environment that this command is given. ` +
		`It stays until harrow flink down. A lost TaskManager's job starts again by itself, but the TaskManager does not.`
}

// Run implements the command.
func (c *flinkUpCmd) Run(e *env) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, done := e.interruptible("what was started is ended")
	defer done()
	cluster, fresh, err := flink.Stand(ctx, flink.StandConfig{
		Cluster: flink.ClusterConfig{Config: flink.Config{Log: e.stderr}, TaskManagers: c.TaskManagers, Slots: c.Slots, RESTPort: c.RESTPort, Options: options},
		Pool:    []string{program, "worker", "--pool", "--listen", c.PoolListen},
	})
	if ctx.Err() != nil && err != nil {
		return interrupted(err)
	}
	if err != nil {
		return err
	}
	return c.say(e, cluster, fresh)
}

func (c *flinkUpCmd) options() (map[string]string, error) {
	switch {
	case c.TaskManagers < 1:
		return nil, view.Usagef("--taskmanagers %d: want at least 1", c.TaskManagers)
	case c.Slots < 1:
		return nil, view.Usagef("--slots %d: want at least 1", c.Slots)
	case c.RESTPort < 0 || c.RESTPort > 65535:
		return nil, view.Usagef("--rest-port %d: want a port, or 0 for a free one", c.RESTPort)
	}
	if err := workerpool.CheckListen(c.PoolListen); err != nil {
		return nil, view.Usagef("--pool-listen: %v", err)
	}
	return named("--option", c.Option)
}

// besideTaskManagers is how the TaskManagers of this machine name a pool that
// listens there: one that listens on all addresses is on localhost, too.
func besideTaskManagers(listens string) string {
	host, port, err := net.SplitHostPort(listens)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return listens
}

// say says what to type now.
func (c *flinkUpCmd) say(e *env, cluster flink.Standing, fresh bool) error {
	state := "is up"
	if !fresh {
		state = "was up already, and stays as it was started"
	}
	flags := ""
	if cluster.Pool != workerpool.DefaultListen {
		flags = " --environment_config=" + besideTaskManagers(cluster.Pool)
	}
	_, err := fmt.Fprintf(e.stdout, `Flink %s %s: http://%s; logs are in %s

run a job on it
  harrow run JOB.yaml --runner flink --flink-master %s -- --parallelism=%d%s
and end it
  harrow flink down
`, flink.Version, state, cluster.REST, cluster.Logs(), cluster.REST, cluster.Slots, flags)
	return err
}

type flinkDownCmd struct{}

// Run implements the command.
func (*flinkDownCmd) Run(e *env) error {
	err := flink.Down(flink.Config{})
	if errors.Is(err, flink.ErrNotUp) {
		_, err = fmt.Fprintln(e.stdout, "no Flink is up")
		return err
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, "Flink is down")
	return err
}
