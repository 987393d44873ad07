package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/harrowdata/harrow/runners/jobmanager"
)

// Cluster is what a Flink cluster tells of itself.
type Cluster struct {
	jobmanager.Overview

	config map[string]string
}

// FlinkJob is what a job wants of a cluster.
type FlinkJob struct {
	Version     string // that its jars are made for: "1.19"
	Parallelism int
	Batch       bool // a step begins when what it takes is whole, so that fewer slots will do
	// Equipped judges a class path: nil if Beam's runner is on it.
	Equipped func(classPath []string) error
}

// Flink asks a JobManager at HOST:PORT what it has, and judges whether the job
// runs there.
func Flink(ctx context.Context, master string, job FlinkJob) (Cluster, []Check) {
	var c Cluster
	var err error
	m := jobmanager.Client{Address: master}
	if c.Overview, err = m.Overview(ctx); err != nil {
		return c, []Check{fail("flink", "is the JobManager up, is this its REST address (rest.port, 8081 unless set), and may this machine reach it?", "flink: %v", err)}
	}
	if c.Version == "" {
		return c, []Check{fail("flink", "give --flink-master the REST address of a Flink JobManager", "flink: what answers at %s is no JobManager", master)}
	}
	list := []Check{ok("flink", "flink: %s answers, with %s", master, count(c.TaskManagers, "TaskManager", "TaskManagers"))}
	if !strings.HasPrefix(c.Version+".", job.Version+".") {
		list = append(list, fail("version", "take a cluster of Flink "+job.Version, "version: the cluster is Flink %s, the job server's jars are for %s", c.Version, job.Version))
	} else {
		list = append(list, ok("version", "version: Flink %s", c.Version))
	}
	list = append(list, c.slots(job))
	if c.config, err = m.Config(ctx); err != nil {
		return c, append(list, warn("config", "the settings of its TaskManagers are not looked at", "config: %v", err))
	}
	return c, append(append(list, runnerOf(ctx, m, job)), c.settings(job)...)
}

// runnerOf judges whether jobs must bring Beam's runner along.
func runnerOf(ctx context.Context, m jobmanager.Client, job FlinkJob) Check {
	path, err := m.ClassPath(ctx)
	if err == nil {
		err = job.Equipped(path)
	}
	if err != nil {
		return warn("runner", "jobs start sooner with the jars that harrow flink install names in Flink's lib folder, on all of its machines",
			"runner: each job brings Beam's along, 150 MB, since the cluster lacks it: %v", err)
	}
	return ok("runner", "runner: the cluster has Beam's, jobs bring nothing along")
}

func (c Cluster) slots(job FlinkJob) Check {
	switch {
	case c.TaskManagers == 0:
		return fail("slots", "start TaskManagers, and look at their logs for why they don't register", "slots: no TaskManager has registered")
	case c.Slots < job.Parallelism && !job.Batch:
		return fail("slots", fmt.Sprintf("lower -- --parallelism to %d, or start more TaskManagers", c.Slots), "slots: %d in all, the job wants %d", c.Slots, job.Parallelism)
	case c.Free == 0 || c.Free < job.Parallelism && !job.Batch:
		return fail("slots", "wait for the other jobs or cancel them, or start more TaskManagers: the job would wait for slots, and fail after slot.request.timeout",
			"slots: %d of %d are free, the job wants %d; %s on the cluster", c.Free, c.Slots, job.Parallelism, count(c.Running, "job runs", "jobs run"))
	case c.Free < job.Parallelism:
		return warn("slots", fmt.Sprintf("lower -- --parallelism to %d, or start more TaskManagers: some subtasks run after the others", c.Free),
			"slots: %d of %d are free, the job wants %d", c.Free, c.Slots, job.Parallelism)
	}
	return ok("slots", "slots: %d of %d are free, the job wants %d", c.Free, c.Slots, job.Parallelism)
}

// settings judges those settings that have kept jobs from running. The
// TaskManagers have the JobManager's file, as a rule.
func (c Cluster) settings(job FlinkJob) (list []Check) {
	const offHeap, timeout, interval = "taskmanager.memory.task.off-heap.size", "heartbeat.timeout", "heartbeat.interval"
	const buffers = "taskmanager.network.sort-shuffle.min-buffers"
	if job.Batch && c.config[buffers] == "" {
		list = append(list, warn("buffers", "set it to 16, or leave --execution_mode_for_batch out: each hand-over between steps takes 512 buffers of 32 KiB, and the job fails with `Insufficient number of network buffers`",
			"%s is not set", buffers))
	}
	if v := c.config[offHeap]; v == "" || strings.HasPrefix(v, "0") {
		list = append(list, warn("memory", "set it to 256m or more, per TaskManager: without it portable jobs hang on `Cannot reserve direct buffer memory`", "%s is not set", offHeap))
	} else {
		list = append(list, ok("memory", "%s is %s", offHeap, v))
	}
	if how := jobmanager.Restarts(c.config); how == jobmanager.NoRestarts {
		list = append(list, warn("restarts", "set restart-strategy.type: fixed-delay, and restart-strategy.fixed-delay.attempts, in the cluster's configuration", "restarts: none, so that a lost TaskManager fails a job"))
	} else {
		list = append(list, ok("restarts", "restarts: %s", how))
	}
	beat, dead := millis(c.config[interval], defaultInterval), millis(c.config[timeout], defaultTimeout)
	if dead <= beat {
		list = append(list, fail("heartbeat", "make the time-out several intervals long, or healthy TaskManagers are declared lost", "%s (%s) is no longer than %s (%s)", timeout, dead, interval, beat))
	}
	return list
}

// Flink's defaults.
const (
	defaultInterval = 10 * time.Second
	defaultTimeout  = 50 * time.Second
)

// millis reads a duration as Flink has it: milliseconds, or with a unit.
func millis(text string, otherwise time.Duration) time.Duration {
	text = strings.ReplaceAll(strings.TrimSpace(text), " ", "")
	if text == "" {
		return otherwise
	}
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	if d, err := time.ParseDuration(text + "ms"); err == nil {
		return d
	}
	return otherwise
}

// Pool judges the worker pool at an address, as far as it can be seen from
// here: name is the build of its workers, or err why it did not answer; here
// says that TaskManagers see the same.
func Pool(address, name, want string, here bool, err error) Check {
	start := "start `harrow worker --pool --listen " + address + "` beside each TaskManager"
	switch {
	case err != nil && here:
		return fail("pool", start, "pool: %v", err)
	case err != nil:
		return warn("pool", "only the TaskManagers must reach it; if they don't, "+start, "pool, from here: %v", err)
	case name == "":
		return fail("pool", start, "pool: what answers at %s is no worker pool of Harrow's", address)
	case name != want:
		return fail("pool", "start it again from the file (the image) that submits", "pool: %s has %s, this is %s", address, name, want)
	}
	return ok("pool", "pool: %s answers, with the same build", address)
}
