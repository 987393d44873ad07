package workers

import (
	"maps"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/soak/rig"
)

// undisturbed is what the direct runner makes of the job, once for all tests.
var undisturbed = struct {
	once   sync.Once
	tables map[string][]string
	asked  map[string]int // URLs that were asked for more than once
}{}

func direct(t *testing.T) map[string][]string {
	t.Helper()
	undisturbed.once.Do(func() {
		b := newBench(t)
		b.run(nil).Want(rig.ExitDone)
		undisturbed.tables, undisturbed.asked = b.tables(), b.log.AskedTwice(true)
	})
	return undisturbed.tables
}

func TestWorkersElsewhereMakeTheSameTables(t *testing.T) {
	t.Parallel()
	want, b := direct(t), newBench(t)
	p := newPool(t, b.dir, secretName+"="+workers)
	b.run(p).Want(rig.ExitDone)
	same(t, b.tables(), want)
	close(b.keys)
	came := map[string]int{}
	for key := range b.keys {
		came[key]++
	}
	if came[workers] == 0 || came[clients] > 0 { // robots.txt is asked for without
		t.Errorf("requests by the secret they came with: %v; want the workers'", came)
	}
	p.Signal(unix.SIGTERM)
	p.Want(rig.ExitDone)
	p.clean()
	for _, secret := range []string{workers, clients} {
		if strings.Contains(p.Out.String(), secret) {
			t.Errorf("the pool's log tells %s", secret)
		}
	}
	if left := p.workers(); len(left) > 0 {
		t.Errorf("workers %v are left", left)
	}
}

func TestAWorkerSaysWhatItLacksAndWhereItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, says string
		pool       func(t *testing.T, b *bench) *pool
	}{
		{"a secret", "${" + secretName + "} has no value", func(t *testing.T, b *bench) *pool { return newPool(t, b.dir) }},
		// The folder is there on the command's machine.
		{"limits.spill", "spill", func(t *testing.T, b *bench) *pool {
			b.change("version: 1\n", "version: 1\nlimits: {spill: \""+b.made("spill")+"\"}\n")
			p := newPool(t, b.dir, secretName+"="+workers)
			if !p.apart {
				t.Skip("only root can keep a folder from a process")
			}
			return p
		}},
		// It would be missed after hours of fetching.
		{"a secret of load", "${" + outName + "} has no value", func(t *testing.T, b *bench) *pool {
			b.change(`path: "`+b.out+`"`, `path: "${`+outName+`}"`)
			return newPool(t, b.dir, secretName+"="+workers)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			r := b.run(c.pool(t, b))
			r.Want(rig.ExitFailed)
			for _, want := range []string{c.says, "on worker "} {
				if !strings.Contains(r.Out.String(), want) {
					t.Errorf("want %q in\n%s", want, r.Out.String())
				}
			}
			if n := len(b.log.Requests()); n > 0 {
				t.Errorf("%d requests were made before it said so", n)
			}
		})
	}
}

func TestWorkersOfAnotherBuildAreNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := exec.Command(another(t), "worker", "--pool", "--listen", "127.0.0.1:0")
	p := poolOf(t, other)
	r := b.run(p)
	r.Want(rig.ExitFailed)
	_, own, _ := strings.Cut(p.Out.String(), "its workers are ")
	own, _, _ = strings.Cut(own, "\n")
	for _, want := range []string{own, "the job was made by harrow"} {
		if !strings.Contains(r.Out.String(), want) {
			t.Errorf("want %q in\n%s", want, r.Out.String())
		}
	}
}

// blow is something that happens in the middle of fetching.
type blow struct {
	name   string
	strike func(b *bench, p *pool, r *rig.Process, worker int)
	dead   bool // the pool is, so that the run goes on with another
	drains bool // nothing that was asked for is lost
}

var blows = []blow{
	{"the run is interrupted", func(_ *bench, _ *pool, r *rig.Process, _ int) {
		r.Signal(unix.SIGINT)
		r.Want(rig.ExitStopped)
	}, false, true},
	{"the run is paused from elsewhere", func(b *bench, _ *pool, r *rig.Process, _ int) {
		rig.Launch(b.t, exec.Command(rig.Harrow.Path(b.t), "pause", "shop", "--workspace", b.workspace)).Want(rig.ExitDone)
		r.Want(rig.ExitStopped)
	}, false, true},
	{"a worker is killed", func(b *bench, _ *pool, r *rig.Process, worker int) {
		signal(b.t, worker, unix.SIGKILL)
		r.Want(rig.ExitFailed)
	}, false, false},
	{"a worker is told to end", func(b *bench, p *pool, r *rig.Process, worker int) {
		signal(b.t, worker, unix.SIGTERM)
		gone(b.t, worker)
		p.Eventually(func() bool { return strings.Contains(p.Out.String(), "exit status 130") })
		r.Want(rig.ExitFailed)
	}, false, true},
	{"the pool is killed", func(b *bench, p *pool, r *rig.Process, worker int) {
		p.Signal(unix.SIGKILL)
		gone(b.t, worker)
		r.Want(rig.ExitFailed)
	}, true, true},
	{"the runner is killed", func(b *bench, p *pool, r *rig.Process, worker int) {
		r.Signal(unix.SIGKILL)
		<-r.Exited
		gone(b.t, worker)
		p.Eventually(func() bool { return strings.Contains(p.Out.String(), "ended, pid ") })
		p.clean()
	}, false, true},
}

func TestARunGoesOnAfterABlow(t *testing.T) {
	for i, blow := range blows {
		t.Run(blow.name, func(t *testing.T) {
			t.Parallel()
			want, b := direct(t), newBench(t)
			p := newPool(t, b.dir, secretName+"="+workers)
			r := b.run(p)
			after := 20 + rig.Random(rig.Seed(t), i).IntN(40)
			r.Eventually(func() bool { return len(b.log.Requests()) > after })
			pids := p.workers()
			if len(pids) != 1 {
				t.Fatalf("workers: %v; want one\n%s", pids, rig.Tail(r.Out.String()))
			}
			blow.strike(b, p, r, pids[0])
			if blow.dead {
				p = newPool(t, b.dir, secretName+"="+workers)
			}
			b.run(p).Want(rig.ExitDone)
			same(t, b.tables(), want)
			asked := b.log.AskedTwice(true)
			for _, e := range b.log.Requests() {
				if e.Status/100 == 3 && undisturbed.asked[e.URL] == 0 {
					delete(asked, e.URL) // it ended between two hops: asked from its start again
				}
			}
			if blow.drains && !maps.Equal(asked, undisturbed.asked) {
				t.Errorf("asked for more than once: %v; undisturbed %v", asked, undisturbed.asked)
			}
			p.clean()
		})
	}
}

func signal(t *testing.T, pid int, s unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, s); err != nil {
		t.Errorf("%v to %d: %v", s, pid, err)
	}
}
