package soak

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/soak/stable"
)

func TestAStoppedRunDrainsAndGoesOnWithoutAskingAgain(t *testing.T) {
	seed, bucket := rig.Seed(t), fakegcs.Start(t)
	c := newSite(t).calm(t)
	t.Cleanup(func() {
		rig.Report(t, seed, "SIGTERM, SIGINT, harrow pause from elsewhere, disk and gs: %d rows equal", count(c.tables))
	})
	places := make(chan struct{}, casesAtOnce)
	for i, stop := range []struct {
		name, leg string
		way       way
		stop      func(h *harvest, p *rig.Process)
	}{
		{"SIGINT", "fetch-1", ways[0], func(_ *harvest, p *rig.Process) { p.Signal(unix.SIGINT) }},
		{"pause", "fetch-0", ways[2], (*harvest).pause},
		{"pause in a bucket", "fetch-0", ways[5], (*harvest).pause},
		{"SIGTERM", "fetch-0", ways[1], func(_ *harvest, p *rig.Process) { p.Signal(unix.SIGTERM) }},
	} {
		if i > 2 && !rig.Long() {
			break
		}
		t.Run(stop.name, func(t *testing.T) {
			t.Parallel()
			places <- struct{}{}
			defer func() { <-places }()
			h := newSite(t).beside(t, stop.way, bucket)
			p, l := h.run(), c.leg(stop.leg)
			p.Eventually(func() bool { return h.committed(l.before) })
			time.Sleep(time.Duration((0.1 + 0.2*rig.Random(seed, i).Float64()) * float64(l.took))) // well before its end, should this run be quicker
			asked := time.Now()
			stop.stop(h, p)
			p.Want(rig.ExitStopped)
			t.Logf("drained in %v", time.Since(asked).Round(time.Millisecond))
			h.drained(stop.leg)
			lost := []loss{h.loss(false)}
			h.moved = true
			h.run().Want(rig.ExitDone)
			h.equals(c, lost)
		})
	}
}

// pause asks the run to stop from another machine, as far as there can be one
// here. It returns when the run has drained.
func (h *harvest) pause(*rig.Process) {
	h.t.Helper()
	p := rig.Launch(h.t, elsewhere(h.t, exec.Command(h.program.Path(h.t), "pause", jobName, "--workspace", h.dir)))
	p.Want(rig.ExitDone)
	if _, run, _ := h.lake(); !strings.Contains(p.Out.String(), "run "+run.ID+" is paused") {
		h.t.Errorf("harrow pause said %q of run %s", p.Out.String(), run.ID)
	}
}

// elsewhere lets a command run in another folder, with another home and, if
// this process may do that, on a machine of another name.
func elsewhere(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Dir, cmd.Env = dir, append(cmd.Env, "HOME="+dir, "TMPDIR="+dir, "PWD="+dir)
	unshare, err := exec.LookPath("unshare")
	if err != nil || os.Getuid() != 0 {
		return cmd
	}
	const script = `hostname elsewhere.example 2>/dev/null; exec "$0" "$@"`
	cmd.Path, cmd.Args = unshare, append([]string{"unshare", "--uts", "--", "sh", "-c", script, cmd.Path}, cmd.Args[1:]...)
	return cmd
}

// drained checks what a run that was stopped in the middle of a round leaves:
// all that was asked was answered, nothing of the round is committed, and the
// run is paused.
func (h *harvest) drained(round string) {
	h.t.Helper()
	for _, e := range h.site.log.Requests() {
		if e.End.IsZero() || e.Status == 0 {
			h.t.Errorf("%s was cut off", e.URL)
		}
	}
	if h.committed(round) {
		h.t.Errorf("%s is committed, though it was stopped in the middle", round)
	}
	lake, run, _ := h.lake()
	if run.State != lakeio.Paused || run.Exit != rig.ExitStopped {
		h.t.Errorf("run is %s with exit %d, want %s and %d", run.State, run.Exit, lakeio.Paused, rig.ExitStopped)
	}
	names, err := h.store.List(h.t.Context(), lake.Stage(round)+"/")
	for _, name := range names {
		if strings.HasPrefix(name, "manifest") {
			h.t.Errorf("%s is there", path.Join(lake.Stage(round), name))
		}
	}
	if err != nil {
		h.t.Error(err)
	}
}

// The second interrupt ends the process at once: what was in flight and the
// last rolls are asked again, as after any death.
func TestASecondInterruptEndsTheProcessAtOnce(t *testing.T) {
	s, seed := newSite(t), rig.Seed(t)
	c := s.calm(t)
	h := s.harvest(t)
	p := h.run()
	p.Eventually(func() bool { return len(s.log.Requests()) > 100+rig.Random(seed, 0).IntN(1000) })
	p.Signal(unix.SIGINT)
	p.Signal(unix.SIGTERM) // two of a kind may be taken for one
	p.Want(rig.ExitStopped)
	lost := []loss{h.loss(true)}
	h.run().Want(rig.ExitDone)
	rig.Report(t, seed, "%d URLs asked twice, %d rows equal", h.equals(c, lost), count(c.tables))
}

// Of two commands that begin at the very same moment exactly one gets the job;
// the other one says who did.
func TestOfTwoCommandsAtOnceOneGetsTheJob(t *testing.T) {
	seed, bucket := rig.Seed(t), fakegcs.Start(t)
	tries := 3
	if rig.Long() {
		tries = 20
	}
	t.Cleanup(func() { rig.Report(t, seed, "%d tries each on disk and gs", tries) })
	for _, w := range []way{ways[0], ways[4]} {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			h := newSite(t).beside(t, w, bucket)
			for range tries {
				// The first finds no run, the others one that was stopped.
				h.compete(h.run(), h.run())
			}
			h.judge()
		})
	}
}

// compete sees which of two processes gets the job, and stops that one.
func (h *harvest) compete(a, b *rig.Process) {
	h.t.Helper()
	select {
	case <-a.Exited:
		a, b = b, a
	case <-b.Exited:
	}
	b.Want(rig.ExitFailed)
	want := fmt.Sprintf("process %d on ", a.Cmd.Process.Pid)
	if text := b.Out.String(); !strings.Contains(text, "held by another run: run ") || !strings.Contains(text, want) || holds(b) {
		h.t.Errorf("the other one says %q, want %q in it", text, want)
	}
	if !a.Eventually(func() bool { return holds(a) }) {
		h.t.Errorf("none of two got the job:\n%s", a.Out.String())
		return
	}
	a.Signal(unix.SIGINT)
	a.Want(rig.ExitStopped)
}

// A process that is stopped where it is for longer than its lease lasts finds,
// when it wakes up, that its run is another's, which goes on: it asks for
// nothing, and what it holds does not count.
func TestAProcessThatSleptPastItsLeaseLetsItsSuccessorAlone(t *testing.T) {
	if !rig.Long() {
		t.Skip("waits for leases to end: HARROW_SOAK=1")
	}
	s, seed := newSite(t), rig.Seed(t)
	c, r := s.calm(t), rig.Random(seed, 0)
	bucket := fakegcs.Start(t)
	const times = 6
	for i := range times {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			h := s.beside(t, ways[4+i%2], bucket)
			old := h.run()
			old.Eventually(func() bool { return len(s.log.Requests()) > 50+r.IntN(800) })
			old.Signal(unix.SIGSTOP)
			time.Sleep(100 * time.Millisecond) // for what was on its way to the server
			taken := time.Now()
			next, more := h.run(), 20+r.IntN(200)
			next.Eventually(func() bool { return s.askedSince(taken) > more })
			old.Signal(unix.SIGCONT)
			old.Want(rig.ExitFailed)
			next.Want(rig.ExitDone)
			if text := old.Out.String(); !strings.Contains(text, lakeio.ErrLocked.Error()) && !strings.Contains(text, "could not be renewed") {
				t.Errorf("it says %s", text)
			}
			asked := map[string]int{}
			for _, e := range s.log.Requests() {
				if e.Start.After(taken) && !strings.HasSuffix(e.URL, "/robots.txt") {
					if asked[e.URL]++; asked[e.URL] > max(c.asked[e.URL], 1) {
						t.Errorf("%s was asked %d times since another process had the run", e.URL, asked[e.URL])
					}
				}
			}
			if diff := stable.Diff(c.tables, h.tables()); diff != "" {
				t.Errorf("undisturbed and disturbed run differ:\n%s", diff)
			}
			h.judge()
			if t.Failed() {
				h.keep()
			}
		})
	}
	rig.Report(t, seed, "%d processes, %d rows equal", times, count(c.tables))
}
