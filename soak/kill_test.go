package soak

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/stable"
)

const (
	killCases     = 5
	killCasesLong = 20
	mostKills     = 3 // of one run
)

// moment is when a process is killed: some time after a leg of the run began.
type moment struct {
	leg   leg
	after time.Duration
}

func (m moment) String() string {
	return fmt.Sprintf("%s+%v", m.leg.stage, m.after.Round(time.Millisecond))
}

// firstLegs are where the first cases begin, so that few cases meet every
// stage.
var firstLegs = []string{"fetch-0", "load", publishing, "fetch-1", "refine", "discover", "parse"}

// moments decides when a case's processes are killed, in the order of the
// run's stages. Half of them are anywhere in the run's time, which is mostly
// fetch; half anywhere in some stage.
func moments(r *rand.Rand, number int, c *calm) []moment {
	list := make([]moment, 1+r.IntN(mostKills))
	for i := range list {
		l := c.legs[r.IntN(len(c.legs))]
		if anywhere := r.Float64() < 0.5; anywhere {
			at := time.Duration(r.Float64() * float64(c.took))
			for _, l = range c.legs {
				if at -= l.took; at < 0 {
					break
				}
			}
		}
		if i == 0 && number < len(firstLegs) {
			l = c.legs[slices.IndexFunc(c.legs, func(l leg) bool { return l.stage == firstLegs[number] })]
		}
		list[i] = moment{l, time.Duration(r.Float64() * float64(l.took))}
	}
	slices.SortFunc(list, func(a, b moment) int {
		return cmp.Or(cmp.Compare(slices.Index(c.legs, a.leg), slices.Index(c.legs, b.leg)), cmp.Compare(a.after, b.after))
	})
	return list
}

// killAt kills the process at a moment; false: it had ended by then.
func (h *harvest) killAt(p *process, m moment) bool {
	h.t.Helper()
	p.eventually(func() bool { return m.leg.before == "" || h.committed(m.leg.before) })
	select {
	case <-p.exited:
	case <-time.After(m.after):
		p.signal(unix.SIGKILL)
	}
	return p.wait() == -1
}

func (h *harvest) committed(stage string) bool {
	lake, _, ok := h.lake()
	if !ok {
		return false
	}
	done, err := lake.Committed(h.t.Context(), stage)
	if err != nil {
		h.t.Fatal(err)
	}
	return done
}

func TestSIGKILLAtAnyMomentCostsAtMostTheLastRoll(t *testing.T) {
	n := killCases
	if long() {
		n = killCasesLong
	}
	s, seed := newSite(t), seed(t)
	c := s.calm(t)
	t.Logf("seed %d, %d cases", seed, n)
	cases, kills, repeats := 0, 0, 0
	for number := range n {
		t.Run(fmt.Sprintf("case-%02d", number), func(t *testing.T) {
			cases++
			h := s.harvest(t)
			k, r := h.killed(c, moments(random(seed, number), number, c))
			kills, repeats = kills+k, repeats+r
			if t.Failed() {
				t.Logf("again: HARROW_SEED=%d HARROW_SOAK=1 go test ./soak -run '%s$'", seed, t.Name())
			}
		})
	}
	if !t.Failed() && kills < cases {
		t.Errorf("only %d kills in %d cases: the moments are wrong", kills, cases)
	}
	report(t, seed, "%d cases, %d kills, %d URLs asked twice, %d rows equal", cases, kills, repeats, count(c.tables))
}

// killed harvests with kills at moments and compares what comes of it with
// the undisturbed run.
func (h *harvest) killed(c *calm, at []moment) (kills, repeats int) {
	h.t.Helper()
	var lost []loss
	ended := false
	for _, m := range at {
		p := h.run()
		if ended = !h.killAt(p, m); ended {
			p.want(exitDone)
			break
		}
		kills++
		if _, run, ok := h.lake(); ok && run.State == lakeio.Done {
			ended = true // killed between the run's end and its own
			break
		}
		lost = append(lost, h.loss(true))
	}
	if !ended {
		h.run().want(exitDone)
	}
	repeats = h.equals(c, lost)
	total := h.past[len(h.past)-1].ended.Sub(h.past[0].began)
	h.t.Logf("%d kills of %v: %v in all, %d URLs asked twice", kills, at, total.Round(time.Millisecond), repeats)
	return kills, repeats
}

// equals judges a harvest that is done: its tables and store, what was asked
// twice, politeness.
func (h *harvest) equals(c *calm, lost []loss) (repeats int) {
	h.t.Helper()
	if diff := stable.Diff(c.tables, h.tables()); diff != "" {
		h.t.Errorf("undisturbed and disturbed run differ:\n%s", diff)
	}
	h.judge()
	h.judgeResumes(lost)
	repeats = h.judgeRepeats(c, lost)
	if h.t.Failed() {
		h.keep()
	}
	return repeats
}

// keep says how the processes ended.
func (h *harvest) keep() {
	h.t.Helper()
	for n, p := range h.past {
		h.t.Logf("process %d, %v to %v:\n%s", n, p.began.Format(time.TimeOnly), p.ended.Format(time.TimeOnly), tail(p.out.String()))
	}
}

func count(tables map[string][]string) (n int) {
	for _, rows := range tables {
		n += len(rows)
	}
	return n
}

func TestAStoppedRunDrainsAndGoesOnWithoutAskingAgain(t *testing.T) {
	s, seed := newSite(t), seed(t)
	c := s.calm(t)
	for i, way := range []struct {
		name, leg string
		stop      func(h *harvest, p *process)
	}{
		{"SIGTERM", "fetch-0", func(_ *harvest, p *process) { p.signal(unix.SIGTERM) }},
		{"SIGINT", "fetch-1", func(_ *harvest, p *process) { p.signal(unix.SIGINT) }},
		{"stop file", "fetch-0", func(h *harvest, _ *process) {
			lake, _, _ := h.lake()
			if err := lake.Stop(h.t.Context(), "a test asked for it"); err != nil {
				h.t.Fatal(err)
			}
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			h := s.harvest(t)
			p := h.run()
			l := c.legs[slices.IndexFunc(c.legs, func(l leg) bool { return l.stage == way.leg })]
			p.eventually(func() bool { return h.committed(l.before) })
			time.Sleep(time.Duration((0.1 + 0.2*random(seed, i).Float64()) * float64(l.took))) // well before its end, should this run be quicker
			asked := time.Now()
			way.stop(h, p)
			p.want(exitStopped)
			t.Logf("drained in %v", time.Since(asked).Round(time.Millisecond))
			h.drained(way.leg)
			lost := []loss{h.loss(false)}
			h.run().want(exitDone)
			h.equals(c, lost)
		})
	}
	report(t, seed, "SIGTERM, SIGINT, stop file: %d rows equal", count(c.tables))
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
	if _, run, _ := h.lake(); run.State != lakeio.Paused || run.Exit != exitStopped {
		h.t.Errorf("run is %s with exit %d, want %s and %d", run.State, run.Exit, lakeio.Paused, exitStopped)
	}
	if files, err := filepath.Glob(filepath.Join(h.dir, jobName, "runs", "*", round, "manifest*")); err != nil || len(files) > 0 {
		h.t.Errorf("%s has %v, %v", round, files, err)
	}
}
