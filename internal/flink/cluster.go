package flink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/harrowdata/harrow/internal/scratch"
)

// ClusterConfig says which cluster to start.
type ClusterConfig struct {
	// Config says where the jars are.
	Config Config
	// Dir is the folder for configuration, logs and what the processes write;
	// it is made, and goes with the cluster. Empty: one among the system's
	// temporary files.
	Dir string
	// TaskManagers and Slots, of each, are how many there are; 0: 2.
	TaskManagers, Slots int
	// RESTPort is the JobManager's, for clients and browsers; 0: a free one.
	RESTPort int
	// Host is the address of a process, by its name (jobmanager, taskmanager-1,
	// taskmanager-2, …): it listens there and nowhere else, and the others find
	// it there. Nil: 127.0.0.1 for all of them. (What a TaskManager opens for Beam's
	// workers listens on all addresses; Beam has no option for it.)
	Host func(name string) string
	// Wrap changes the command line of a process, such as to put it into a
	// network namespace; nil: as it is. What it makes must become the process
	// (exec), not start it.
	Wrap func(name string, args []string) []string
	// Options are Flink's own, by their names in its documentation; they win.
	Options map[string]string
	// Bare leaves Beam's runner out of the cluster's class path, as it is with
	// Flink's own distribution: each job brings it along.
	Bare bool
	// Fast finds a dead TaskManager within seconds: for tests, since a machine
	// under load may be slow to answer and yet alive.
	Fast bool

	// detached processes live on after this one; begun is told of each.
	detached bool
	begun    func(Process) error
}

// jobManager is the name of the one process that leads.
const jobManager = "jobmanager"

// Cluster is a standalone Flink: a JobManager and its TaskManagers. It is safe for
// concurrent use. It dies with this process, however that ends.
type Cluster struct {
	cfg   ClusterConfig
	jars  *Installation
	dir   string
	own   *scratch.Folder // the same, where nobody named one; else nil
	close func() error

	mu    sync.Mutex
	rpc   string // port of the JobManager for TaskManagers
	rest  string // its port for clients
	jm    *child
	tms   []*child
	going bool // Close has been called
}

// Up starts a cluster and waits until all TaskManagers are at the JobManager's
// service. The context ends only the waiting; Close ends the cluster. Jars or
// Java that lack are ErrMissing.
func Up(ctx context.Context, c ClusterConfig) (*Cluster, error) {
	if c.TaskManagers < 0 || c.Slots < 0 || c.RESTPort < 0 || c.RESTPort > 65535 {
		return nil, fmt.Errorf("flink: %d TaskManagers of %d slots, REST port %d: want > 0, or 0 for the default, and a port", c.TaskManagers, c.Slots, c.RESTPort)
	}
	if c.TaskManagers == 0 {
		c.TaskManagers = 2
	}
	if c.Slots == 0 {
		c.Slots = 2
	}
	jars, err := Find(ctx, c.Config)
	if err != nil {
		return nil, err
	}
	k := &Cluster{cfg: c, jars: jars, rpc: "0", rest: strconv.Itoa(c.RESTPort)}
	k.close = sync.OnceValue(k.end)
	if c.Dir == "" {
		k.own, k.dir, err = tempDir()
	} else if k.dir, err = filepath.Abs(c.Dir); err == nil {
		err = os.MkdirAll(k.dir, 0o777)
	}
	if err != nil {
		return nil, err
	}
	if err := k.up(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("flink: %w", err), k.Close())
	}
	return k, nil
}

func (k *Cluster) up(ctx context.Context) error {
	if err := writeConf(k.conf(), k.options()); err != nil {
		return err
	}
	if err := k.StartJobManager(ctx); err != nil {
		return err
	}
	var started []*child
	for range k.cfg.TaskManagers { // all of them start at once
		_, tm, _, err := k.launch()
		if err != nil {
			return err
		}
		started = append(started, tm)
	}
	for _, tm := range started {
		if _, err := tm.await(ctx, 0, registered); err != nil {
			return err
		}
	}
	return nil
}

func (k *Cluster) classes() string {
	if k.cfg.Bare {
		return k.jars.flinkClasses()
	}
	return k.jars.allClasses()
}

func (k *Cluster) conf() string { return filepath.Join(k.dir, "conf") }

func (k *Cluster) host(name string) string {
	if k.cfg.Host == nil {
		return loopbackAddr
	}
	return k.cfg.Host(name)
}

// options are those that all of the processes share.
func (k *Cluster) options() map[string]string {
	host := k.host(jobManager)
	options := map[string]string{
		"jobmanager.rpc.address": host, "jobmanager.bind-host": host, "rest.address": host, "rest.bind-address": host,
		"web.submit.enable": "false", // jobs come from a job server; nobody uploads jars by a browser
		// A TaskManager that dies takes its job with it unless it is told to start
		// again, which also waits for the slots to come back.
		"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "20", "restart-strategy.fixed-delay.delay": "1 s",
		"taskmanager.numberOfTaskSlots": strconv.Itoa(k.cfg.Slots), "taskmanager.cpu.cores": strconv.Itoa(k.cfg.Slots),
		"classloader.check-leaked-classloader": "false",
		"taskmanager.memory.task.heap.size":    "384m",
		// Beam's gRPC takes direct memory; with the default of none a TaskManager hangs
		// under load (Cannot reserve … direct buffer memory).
		"taskmanager.memory.task.off-heap.size": "256m",
		"taskmanager.memory.network.min":        "224m", "taskmanager.memory.network.max": "224m",
		// A harvest has some hundred tasks a slot. In batch mode each takes this many
		// buffers of 32 KiB, by default 512, and what it writes is references.
		"taskmanager.network.sort-shuffle.min-buffers": "16",
		"taskmanager.memory.managed.size":              "128m",
		"taskmanager.memory.framework.heap.size":       "128m",
		"taskmanager.memory.framework.off-heap.size":   "128m",
		"taskmanager.memory.jvm-metaspace.size":        strconv.Itoa(metaspace) + "m",
		"taskmanager.memory.jvm-overhead.min":          "64m", "taskmanager.memory.jvm-overhead.max": "64m",
	}
	if k.cfg.Fast { // the timeout must exceed the interval by what a busy machine is late
		maps.Copy(options, map[string]string{"heartbeat.interval": "1000", "heartbeat.timeout": "8000"})
	}
	maps.Copy(options, k.cfg.Options)
	return options
}

var (
	rpcAt      = regexp.MustCompile(`Actor system started at pekko\.tcp://flink@\S+:([0-9]+)`)
	restAt     = regexp.MustCompile(`Rest endpoint listening at \S+:([0-9]+)`)
	registered = regexp.MustCompile(`Successful registration at resource manager (\S+)`)
)

// StartJobManager starts the JobManager again after it has ended, where it was
// before. The jobs that it knew are lost; TaskManagers come back to it.
func (k *Cluster) StartJobManager(ctx context.Context) error {
	jm, from, err := k.launchJobManager()
	if err != nil {
		return err
	}
	found, err := jm.await(ctx, from, rpcAt, restAt)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rpc, k.rest = found[0], found[1]
	return nil
}

func (k *Cluster) launchJobManager() (jm *child, from int64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.jm != nil && k.jm.Alive() {
		return nil, 0, errors.New("flink: the JobManager runs already")
	}
	tmp, err := k.tmp(jobManager)
	if err != nil {
		return nil, 0, err
	}
	args := append([]string{k.jars.Java}, jvm(lasting, 512, 256, tmp)...)
	args = append(args, "-Dlog.file="+k.log(jobManager), "-cp", k.classes(),
		"org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", "--configDir", k.conf(),
		"-Dio.tmp.dirs="+tmp, "-Djobmanager.rpc.port="+k.rpc, "-Drest.port="+k.rest, "-Drest.bind-port="+k.rest)
	from = size(k.log(jobManager))
	if jm, err = k.start(jobManager, args); err == nil {
		k.jm = jm
	}
	return jm, from, err
}

// StartTaskManager starts a TaskManager and waits until it is registered: the
// first that has ended again, else one more. It returns its position in
// TaskManagers.
func (k *Cluster) StartTaskManager(ctx context.Context) (i int, err error) {
	i, tm, from, err := k.launch()
	if err == nil {
		_, err = tm.await(ctx, from, registered)
	}
	return i, err
}

func taskManager(i int) string { return "taskmanager-" + strconv.Itoa(i+1) }

// launch starts a TaskManager, whose log it continues at from.
func (k *Cluster) launch() (i int, tm *child, from int64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i = slices.IndexFunc(k.tms, func(tm *child) bool { return !tm.Alive() })
	if i < 0 {
		i = len(k.tms)
	}
	args, err := k.taskManagerArgs(taskManager(i))
	if err != nil {
		return i, nil, 0, err
	}
	from = size(k.log(taskManager(i)))
	if tm, err = k.start(taskManager(i), args); err != nil {
		return i, nil, 0, err
	}
	k.tms = append(k.tms[:i], append([]*child{tm}, k.tms[min(i+1, len(k.tms)):]...)...)
	return i, tm, from, nil
}

func (k *Cluster) taskManagerArgs(name string) ([]string, error) {
	options := k.options()
	tmp, err := k.tmp(name)
	if err != nil {
		return nil, err
	}
	heap, err := sum(options, "taskmanager.memory.framework.heap.size", "taskmanager.memory.task.heap.size")
	if err != nil {
		return nil, err
	}
	direct, err := sum(options, "taskmanager.memory.framework.off-heap.size", "taskmanager.memory.task.off-heap.size", "taskmanager.memory.network.max")
	if err != nil {
		return nil, err
	}
	args := append([]string{k.jars.Java}, jvm(lasting, heap, direct, tmp)...)
	args = append(args, "-Dlog.file="+k.log(name), "-cp", k.classes(),
		"org.apache.flink.runtime.taskexecutor.TaskManagerRunner", "--configDir", k.conf(), "-Dio.tmp.dirs="+tmp,
		"-Djobmanager.rpc.port="+k.rpc, "-Dtaskmanager.resource-id="+name, "-Dtaskmanager.host="+k.host(name), "-Dtaskmanager.bind-host="+k.host(name))
	return args, nil
}

var mib = regexp.MustCompile(`^([0-9]+) ?(?:m|mb)$`)

// sum adds sizes up, in MiB.
func sum(options map[string]string, names ...string) (total int, err error) {
	for _, name := range names {
		m := mib.FindStringSubmatch(options[name])
		if m == nil {
			return 0, fmt.Errorf("%s: %q: want MiB, like 128m", name, options[name])
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		total += n
	}
	return total, nil
}

// start starts a process of the cluster's; the mutex is held.
func (k *Cluster) start(name string, args []string) (*child, error) {
	if k.cfg.Wrap != nil {
		args = k.cfg.Wrap(name, args)
	}
	p, err := start(command{name: name, args: args, dir: k.dir, log: k.log(name), detached: k.cfg.detached})
	if err != nil || k.cfg.begun == nil {
		return p, err
	}
	if err := k.cfg.begun(p.Process); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// tmp makes a process's folder for temporary files, without those of one that
// was there before; the mutex is held.
func (k *Cluster) tmp(name string) (string, error) {
	if k.going {
		return "", errors.New("flink: the cluster is being ended")
	}
	dir := filepath.Join(k.dir, "tmp", name)
	return dir, errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o777))
}

func (k *Cluster) log(name string) string { return filepath.Join(k.dir, name+".log") }

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0 // it isn't there yet
	}
	return info.Size()
}

// REST is the HOST:PORT of the JobManager's REST API, which a browser can look
// at, too: the master of a job server.
func (k *Cluster) REST() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return net.JoinHostPort(k.host(jobManager), k.rest)
}

// JobManager is its process.
func (k *Cluster) JobManager() Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.jm.Process
}

// TaskManagers are their processes, by their number; those that have ended too.
// Flink's REST API knows them by their names.
func (k *Cluster) TaskManagers() (all []Process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, tm := range k.tms {
		all = append(all, tm.Process)
	}
	return all
}

// Close ends all processes and removes what they left. Called again, it
// returns what it returned before.
func (k *Cluster) Close() error { return k.close() }

func (k *Cluster) end() error {
	k.mu.Lock()
	k.going = true
	children := k.tms
	if k.jm != nil {
		children = append([]*child{k.jm}, children...)
	}
	k.mu.Unlock()
	var processes []Process
	for _, p := range children {
		processes = append(processes, p.Process)
	}
	err := end(grace, processes...)
	for _, p := range children {
		<-p.ended
	}
	if k.own != nil {
		return errors.Join(err, k.own.Remove())
	}
	return errors.Join(err, os.RemoveAll(k.dir))
}
