package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/internal/flink"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/rig"
)

// The stages that are disturbed, in their order, and what has committed when
// each begins.
const (
	inFetch = iota
	inParse
	inLoad
)

var disturbed = []struct{ stage, after string }{{"fetch-0", "discover"}, {"parse", "fetch-2"}, {"load", "refine"}}

// kind is a way of hurting a run on the cluster.
type kind struct {
	name string
	// do does it; it returns how the command is to end by that: -1 for not at
	// all.
	do func(x *trial) (exit int)
}

var kinds = []kind{
	{"cancelled", (*trial).cancel},
	{"job server killed", (*trial).killJobServer},
	{"worker frozen, its TaskManager killed", (*trial).freeze},
	{"worker killed", (*trial).killWorker},
	{"TaskManager killed", (*trial).killTaskManager},
	{"pool killed", (*trial).killPool},
}

// stroke is a failure to come: which, in which of the disturbed stages, and
// how far into it, from 0 to 1.
type stroke struct {
	kind  kind
	stage int
	at    float64
}

func (s stroke) String() string {
	return fmt.Sprintf("%s at %.2f of %s", s.kind.name, s.at, disturbed[s.stage].stage)
}

// strokes are one of each kind, in the order in which they come. Those of the
// first trial are spread over the stages so that all of them are met in as few
// submissions as can be.
func strokes(r *rand.Rand, number int) (list []stroke) {
	first := []int{inFetch, inFetch, inFetch, inParse, inFetch, inLoad}
	for i, k := range kinds {
		s := stroke{k, first[i], 0.05 + 0.8*r.Float64()}
		if number > 0 {
			s.stage = r.IntN(len(disturbed))
		}
		list = append(list, s)
	}
	slices.SortStableFunc(list, func(a, b stroke) int {
		if a.stage != b.stage {
			return a.stage - b.stage
		}
		return int(1e6 * (a.at - b.at))
	})
	return list
}

// pace is what an undisturbed run on the cluster took, by which moments are
// chosen.
type pace struct {
	asked int                      // requests
	legs  map[string]time.Duration // by stage, from the commit before it to its own
}

func (h *harvest) pace() pace {
	h.t.Helper()
	p := pace{asked: len(h.site.log.Requests()), legs: map[string]time.Duration{}}
	lake, _, _ := h.lake()
	at := map[string]time.Time{}
	for _, d := range disturbed {
		for _, stage := range []string{d.stage, d.after} {
			m, err := lake.Manifest(h.t.Context(), stage)
			if err != nil {
				h.t.Fatal(err)
			}
			at[stage] = m.At
		}
		p.legs[d.stage] = at[d.stage].Sub(at[d.after])
	}
	return p
}

// trial is a run that is hurt several times.
type trial struct {
	*harvest
	c    *cluster
	r    *rand.Rand
	pace pace
	p    *rig.Process
	done []string // what was, for a person to read
}

func (x *trial) say(format string, args ...any) {
	x.done = append(x.done, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// suffer lets the run suffer the strokes and come to its end, with as many
// processes as that takes. It returns the strokes that came too late, sooner:
// a stage may last less than half a second.
func (x *trial) suffer(list []stroke) (late []stroke) {
	x.t.Helper()
	defer func() { x.t.Logf("what was done:\n%s", strings.Join(x.done, "\n")) }()
	x.p = x.run()
	for i, s := range list {
		if !x.await(s) {
			x.p.Want(rig.ExitDone) // or it failed
			x.say("the run was done before %v", s)
			late = slices.Clone(list[i:])
			for k := range late {
				late[k].at /= 4
			}
			return late
		}
		x.say("%v: %d requests", s, len(x.site.log.Requests()))
		exit := s.kind.do(x)
		if exit < 0 {
			continue
		}
		x.p.Want(exit)
		x.say("ended with %d", exit)
		x.p = x.run()
	}
	x.p.Want(rig.ExitDone)
	return nil
}

// await waits for a stroke's moment; false: the run is over.
func (x *trial) await(s stroke) bool {
	d := disturbed[s.stage]
	if s.stage == inFetch {
		want := int(s.at * float64(x.pace.asked))
		return x.p.Eventually(func() bool { return len(x.site.log.Requests()) >= want && len(x.c.workers()) > 0 })
	}
	if !x.p.Eventually(func() bool { return x.committed(d.after) && len(x.c.workers()) > 0 }) {
		return false
	}
	due := time.Now().Add(time.Duration(s.at * float64(x.pace.legs[d.stage])))
	x.p.Eventually(func() bool { return time.Now().After(due) || x.committed(d.stage) })
	select {
	case <-x.p.Exited:
		return false
	default:
		return true
	}
}

// committed reports whether a stage of the run has.
func (x *trial) committed(stage string) bool {
	lake, _, ok := x.lake()
	if !ok {
		return false
	}
	_, _, err := x.store.Read(x.t.Context(), path.Join(lake.Stage(stage), "manifest.json"))
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) {
		x.t.Fatal(err)
	}
	return err == nil
}

// cancel stops the run as a user does: by Ctrl-C, or from elsewhere.
func (x *trial) cancel() int {
	if x.r.IntN(2) == 0 {
		x.say("SIGINT")
		x.p.Signal(unix.SIGINT)
	} else {
		x.say("harrow pause")
		x.command("pause", x.site.name, "--workspace", x.dir).Want(rig.ExitDone)
	}
	return rig.ExitStopped
}

// killJobServer kills what stands between the command and Flink.
func (x *trial) killJobServer() int {
	list := children(x.p.Cmd.Process.Pid)
	if len(list) != 1 {
		x.t.Errorf("the command has started processes %v, want one: the job server", list)
	}
	for _, pid := range list {
		x.say("job server %d killed", pid)
		send(x.t, pid, unix.SIGKILL)
	}
	return rig.ExitFailed
}

// victim chooses a worker whose TaskManager lives.
func (x *trial) victim() (pid int, master flink.Process) {
	var list []int
	if !x.p.Eventually(func() bool {
		list = slices.DeleteFunc(x.c.workers(), func(pid int) bool { _, ok := x.c.master(pid); return !ok })
		return len(list) > 0
	}) {
		x.t.Fatal("there is no worker")
	}
	pid = list[x.r.IntN(len(list))]
	master, _ = x.c.master(pid)
	return pid, master
}

func (x *trial) killWorker() int {
	pid, _ := x.victim()
	x.say("worker %d killed", pid)
	send(x.t, pid, unix.SIGKILL)
	return -1
}

func (x *trial) killTaskManager() int {
	list := x.c.alive()
	p := list[x.r.IntN(len(list))]
	x.say("%s killed", p.Name)
	x.c.replace(x.t, p)
	return -1
}

func (x *trial) killPool() int {
	m := x.c.pools[x.r.IntN(len(x.c.pools))]
	x.say("pool on %s killed", m.name)
	m.killPool(x.t)
	return -1
}

// freeze stops a worker where it is for longer than its permit lasts, while its
// TaskManager is killed so that another worker takes its shards; then it wakes
// up.
func (x *trial) freeze() int {
	pid, p := x.victim()
	x.say("worker %d frozen, its %s killed", pid, p.Name)
	send(x.t, pid, unix.SIGSTOP)
	x.c.replace(x.t, p)
	time.Sleep(rig.LeaseTTL + rig.LeaseTTL/2)
	asked, more := len(x.site.log.Requests()), 1+x.r.IntN(20)
	x.p.Eventually(func() bool { return len(x.site.log.Requests()) > asked+more || x.committed("fetch-2") })
	x.say("worker %d goes on: %d requests", pid, len(x.site.log.Requests()))
	send(x.t, pid, unix.SIGCONT)
	return -1
}
