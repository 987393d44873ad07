package cluster

import (
	"errors"
	"fmt"
	"os"
	"slices"
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
// the machines in turn.
func newCluster(t *testing.T, client *machine, on ...*machine) *cluster {
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
		Dir: t.TempDir(), TaskManagers: taskManagers, Slots: slots, Fast: true,
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
	return newCluster(t, m, m)
}
