package cluster

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/internal/flink"
	"github.com/harrowdata/harrow/soak/rig"
)

const (
	taskManagers = 2
	slots        = 2
)

// cluster is a Flink cluster and the worker pools beside its TaskManagers.
type cluster struct {
	flink  *flink.Cluster
	client *machine // where commands run, beside the JobManager
	pools  []*machine
	on     map[string]*machine // by TaskManager's name, which its successor has too; several may share a pool
}

// newCluster starts one, which ends with the test. Its TaskManagers stand on
// the machines in turn. To a bare one each job brings Beam's runner along.
func newCluster(t *testing.T, bare bool, client *machine, on ...*machine) *cluster {
	t.Helper()
	c := &cluster{client: client, on: map[string]*machine{}}
	for i := range taskManagers {
		m := on[i%len(on)]
		c.on[fmt.Sprintf("taskmanager-%d", i+1)] = m
		if !slices.Contains(c.pools, m) {
			c.pools = append(c.pools, m)
		}
	}
	var err error
	c.flink, err = flink.Up(t.Context(), flink.ClusterConfig{
		Dir: t.TempDir(), TaskManagers: taskManagers, Slots: slots, Bare: bare, Fast: true,
		// The JobManager reaches its own store of jars at localhost, whatever
		// its address is.
		Options: map[string]string{"jobmanager.bind-host": "0.0.0.0"},
		Host:    func(name string) string { return c.machine(name).address },
		Wrap:    func(name string, args []string) []string { return c.machine(name).wrapped(args) },
	})
	if errors.Is(err, flink.ErrMissing) {
		rig.Missing(t, "%v; make setup installs it", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.flink.Close(); err != nil {
			t.Error(err)
		}
		if !t.Failed() { // else much was cut short
			nothingLeft(t, append([]*machine{client}, on...)...)
		}
	})
	return c
}

// machine is where a process of the cluster runs.
func (c *cluster) machine(name string) *machine {
	if !strings.HasPrefix(name, "taskmanager-") {
		return c.client
	}
	return c.on[name]
}

// way is how a run reaches the cluster.
func (c *cluster) way() way {
	return way{name: "Flink cluster", wrap: c.client.wrap, flags: []string{"--runner", "flink", "--flink-master", c.flink.REST()},
		beam: []string{fmt.Sprintf("--parallelism=%d", taskManagers*slots), "--environment_config=" + c.pools[0].poolAt}}
}

// harvest begins one on the cluster, with pools that can reach its database.
func (c *cluster) harvest(t *testing.T, s *site, p place) *harvest {
	t.Helper()
	for _, m := range c.pools {
		m.startPool(t, append(slices.Clone(p.env), "DATABASE_URL="+p.seen)...)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.tell(t)
		}
	})
	return s.harvest(t, c.way(), p)
}

// end checks that once the command has ended its workers do, and that a pool
// that is told to ends and takes what it had with it.
func (c *cluster) end(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(settling); len(c.workers()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("workers %v go on though the run has ended", c.workers())
			break
		}
	}
	for _, m := range c.pools {
		m.pool.Signal(unix.SIGTERM)
	}
	for _, m := range c.pools {
		if code := m.pool.Wait(); code != rig.ExitDone && code != rig.ExitStopped {
			t.Errorf("pool on %s: exit %d:\n%s", m.name, code, rig.Tail(m.pool.Out.String()))
		}
		for _, file := range m.ours() {
			t.Errorf("%s: left behind: %s", m.name, file)
		}
	}
}

// workers are all pools'.
func (c *cluster) workers() (list []int) {
	for _, m := range c.pools {
		list = append(list, m.workers()...)
	}
	return list
}

// alive are the TaskManagers that run.
func (c *cluster) alive() []flink.Process {
	return slices.DeleteFunc(c.flink.TaskManagers(), func(p flink.Process) bool { return !p.Alive() })
}

// replace kills a TaskManager and, as Kubernetes would, starts another in its
// place.
func (c *cluster) replace(t *testing.T, p flink.Process) {
	t.Helper()
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	for p.Alive() {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // until the cluster has heard of it
	if _, err := c.flink.StartTaskManager(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// master is the TaskManager that a worker works for; !ok: it is gone, or the
// worker is.
func (c *cluster) master(worker int) (_ flink.Process, ok bool) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", worker))
	if err != nil {
		return flink.Process{}, false
	}
	for arg := range strings.SplitSeq(string(line), "\x00") {
		endpoint, is := strings.CutPrefix(arg, "--control_endpoint=")
		if !is {
			continue
		}
		port, err := strconv.Atoi(endpoint[strings.LastIndex(endpoint, ":")+1:])
		for _, p := range c.alive() {
			if err == nil && listens(p.PID, port) {
				return p, true
			}
		}
	}
	return flink.Process{}, false
}

// listens reports whether a process listens on a TCP port.
func listens(pid, port int) bool {
	sockets := map[string]bool{}
	fds := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(fds)
	if err != nil {
		return false // it has ended
	}
	for _, e := range entries {
		if to, err := os.Readlink(fds + e.Name()); err == nil {
			sockets[to] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line) // proc(5): sl, local_address, rem_address, st (0A: listening), …, inode
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && sockets["socket:["+f[9]+"]"] {
				return true
			}
		}
	}
	return false
}

// tell says what the cluster's processes wrote.
func (c *cluster) tell(t *testing.T) {
	t.Helper()
	for _, m := range c.pools {
		t.Logf("pool on %s:\n%s", m.name, rig.Tail(m.pool.Out.String()))
	}
	for _, p := range append([]flink.Process{c.flink.JobManager()}, c.flink.TaskManagers()...) {
		if log, err := os.ReadFile(p.Log); err == nil {
			t.Logf("%s:\n%s", p.Name, rig.Tail(string(log)))
		}
	}
}

// plain is a cluster in this machine's network, whose TaskManagers share a
// pool.
func plain(t *testing.T) *cluster {
	t.Helper()
	m := newMachine(t, "here")
	return newCluster(t, false, m, m)
}
