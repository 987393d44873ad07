package soak

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	_ "github.com/harrowdata/harrow/io/gcsio"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/soak/stable"
)

// moment is when a process is killed: some time after a leg of the run began,
// or at the leg's end if that comes first.
type moment struct {
	leg   leg
	after time.Duration
}

func (m moment) String() string {
	return fmt.Sprintf("%s+%v", m.leg.stage, m.after.Round(time.Millisecond))
}

// killCase is a run that is killed.
type killCase struct {
	number int
	way    way
	first  []string // legs in which it is killed
	more   int      // kills at most in others
	change bool     // of runner and parallelism, with each process
}

// ways are all there are: SQLite has no place in a bucket.
var ways = []way{
	{runner: "direct"}, {runner: "prism"},
	{runner: "direct", postgres: true}, {runner: "prism", postgres: true},
	{runner: "direct", postgres: true, bucket: true}, {runner: "prism", postgres: true, bucket: true},
}

const (
	// leastKills is how many there are in all at least.
	leastKills = 100
	// manyCases come to as many: half of them have one kill more, a third two.
	manyCases = 60
	// casesAtOnce: more of them would have their servers be late.
	casesAtOnce = 2
)

// fewCases are kills in every way and stage: nine.
var fewCases = [][]string{{"discover", "fetch-0"}, {lakeio.PagesStage}, {"refine", publishing}, {"fetch-1", "parse"}, {"fetch-0"}, {"load"}}

// killCases are the cases of this test, the same for a seed.
func killCases(seed uint64, c *calm) (cases []killCase) {
	if !rig.Long() {
		for i, legs := range fewCases {
			cases = append(cases, killCase{number: i, way: ways[i], first: legs, change: i%3 == 0})
		}
		return cases
	}
	for i := range manyCases {
		// Every way meets every stage first.
		legs := append(slices.Clone(c.legs), c.pages)
		first := legs[(i/len(ways)+int(seed))%len(legs)].stage
		cases = append(cases, killCase{number: i, way: ways[i%len(ways)], first: []string{first}, more: 2, change: i%5 == 0})
	}
	return cases
}

// moments decides when a case's processes are killed, in the order of the
// run's stages. Of those in no given leg half are anywhere in the run's time,
// which is mostly fetch; half anywhere in some stage.
func (k killCase) moments(r *rand.Rand, c *calm) (list []moment) {
	for _, stage := range k.first {
		l := c.leg(stage)
		list = append(list, moment{l, time.Duration(r.Float64() * float64(l.took))})
	}
	for range r.IntN(k.more + 1) {
		l := c.legs[r.IntN(len(c.legs))]
		if anywhere := r.Float64() < 0.5; anywhere {
			at := time.Duration(r.Float64() * float64(c.took))
			for _, l = range c.legs {
				if at -= l.took; at < 0 {
					break
				}
			}
		}
		list = append(list, moment{l, time.Duration(r.Float64() * float64(l.took))})
	}
	order := func(m moment) int {
		return slices.IndexFunc(c.legs, func(l leg) bool { return l.before == m.leg.before }) // pages is beside parse
	}
	slices.SortFunc(list, func(a, b moment) int { return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a.after, b.after)) })
	return list
}

// killAt kills the process at a moment; false: it had ended by then.
func (h *harvest) killAt(p *rig.Process, m moment) bool {
	h.t.Helper()
	if m.leg.before != "" {
		p.Eventually(func() bool { return holds(p) && h.committed(m.leg.before) })
	}
	wait, tick := time.After(m.after), time.NewTicker(h.lookEvery())
	defer tick.Stop()
	for due := false; !due; {
		select {
		case <-p.Exited:
			return false
		case <-wait:
			due = true
		case <-tick.C:
			due = m.leg.stage != publishing && h.committed(m.leg.stage)
		}
	}
	p.Signal(unix.SIGKILL)
	return p.Wait() == -1
}

// holds reports whether a process has its job: it says so.
func holds(p *rig.Process) bool { return strings.Contains(p.Out.String(), " of job "+jobName) }

// lookEvery is how often the workspace is looked at: in a bucket that takes
// time from others.
func (h *harvest) lookEvery() time.Duration {
	if h.way.bucket {
		return 25 * time.Millisecond
	}
	return 2 * time.Millisecond
}

func (h *harvest) committed(stage string) bool {
	lake, ok := h.place, h.place.Run != ""
	if !ok {
		if lake, _, ok = h.lake(); !ok {
			return false
		}
		if h.way.bucket {
			h.place = lake // of its only run: not to be asked for again and again
		}
	}
	// Not lake.Committed, which remembers for a while what it was told.
	_, _, err := h.store.Read(h.t.Context(), path.Join(lake.Stage(stage), "manifest.json"))
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) {
		h.t.Fatal(err)
	}
	return err == nil
}

// during is the leg that the run is in.
func (h *harvest) during(c *calm) string {
	h.t.Helper()
	for _, l := range c.legs {
		switch {
		case l.stage == publishing || h.committed(l.stage):
		case l.before == c.pages.before && !h.committed(c.pages.stage):
			return c.pages.stage // and that one
		default:
			return l.stage
		}
	}
	return publishing
}

// tally sums up what cases came to.
type tally struct {
	mu             sync.Mutex
	cases, repeats int
	kills          map[string]int // by way, by stage, and all
}

func (s *tally) add(kills []kill, repeats int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cases++
	s.repeats += repeats
	for _, k := range kills {
		s.kills["all"]++
		s.kills[k.way.String()]++
		s.kills[k.stage]++
	}
}

// kill is one that met its process: how that ran, and in which leg.
type kill struct {
	way   way
	stage string
}

func (k kill) String() string { return k.stage + " (" + k.way.String() + ")" }

func (s *tally) String() string {
	var by []string
	for _, name := range slices.Sorted(maps.Keys(s.kills)) {
		if name != "all" {
			by = append(by, fmt.Sprintf("%s %d", name, s.kills[name]))
		}
	}
	return fmt.Sprintf("%d cases, %d kills (%s), %d URLs asked twice", s.cases, s.kills["all"], strings.Join(by, ", "), s.repeats)
}

func TestSIGKILLAtAnyMomentCostsAtMostTheLastRoll(t *testing.T) {
	seed := rig.Seed(t)
	c := newSite(t).calm(t)
	cases := killCases(seed, c)
	t.Logf("seed %d, %d cases", seed, len(cases))
	bucket := fakegcs.Start(t)
	sum := &tally{kills: map[string]int{}}
	t.Cleanup(func() {
		want := 8 // of nine moments: a run may be through before one
		if rig.Long() {
			want = leastKills
		}
		if n := sum.kills["all"]; !t.Failed() && sum.cases == len(cases) && n < want {
			t.Errorf("only %d kills, want %d: the moments are wrong", n, want)
		}
		t.Log(sum)
		rig.Report(t, seed, "%v, %d rows equal", sum, count(c.tables))
	})
	places := make(chan struct{}, casesAtOnce)
	for _, k := range cases {
		t.Run(fmt.Sprintf("case-%02d", k.number), func(t *testing.T) {
			t.Parallel()
			places <- struct{}{}
			defer func() { <-places }()
			h := newSite(t).beside(t, k.way, bucket)
			h.changes = k.change
			kills, repeats := h.killed(c, k.moments(rig.Random(seed, k.number), c))
			sum.add(kills, repeats)
			if t.Failed() {
				t.Logf("again: HARROW_SEED=%d HARROW_SOAK=%s go test ./soak -run '%s$'", seed, map[bool]string{true: "1"}[rig.Long()], t.Name())
			}
		})
	}
}

// killed harvests with kills at moments and compares what comes of it with
// the undisturbed run.
func (h *harvest) killed(c *calm, at []moment) (kills []kill, repeats int) {
	h.t.Helper()
	var lost []loss
	var begun lakeio.Run // as it was after the first kill that left one
	ended := false
	for _, m := range at {
		p := h.run()
		if ended = !h.killAt(p, m); ended {
			p.Want(rig.ExitDone)
			break
		}
		kills = append(kills, kill{h.wayOf(len(h.past) - 1), h.during(c)})
		_, run, _ := h.lake()
		if begun.ID == "" {
			begun = run
		}
		if ended = run.State == lakeio.Done; ended {
			break // killed between the run's end and its own
		}
		lost = append(lost, h.loss(true))
	}
	if !ended {
		h.run().Want(rig.ExitDone)
	}
	repeats = h.equals(c, lost)
	if _, run, _ := h.lake(); begun.ID != "" && (run.ID != begun.ID || run.Shards != begun.Shards || run.FetchShards != begun.FetchShards) {
		h.t.Errorf("run %s of %d and %d shards ended as run %s of %d and %d", begun.ID, begun.FetchShards, begun.Shards, run.ID, run.FetchShards, run.Shards)
	}
	total := h.past[len(h.past)-1].Ended.Sub(h.past[0].Began)
	h.t.Logf("killed at %v, in %v: %v in all, %d URLs asked twice", at, kills, total.Round(time.Millisecond), repeats)
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
		h.t.Logf("process %d, %v to %v:\n%s", n, p.Began.Format(time.TimeOnly), p.Ended.Format(time.TimeOnly), rig.Tail(p.Out.String()))
	}
}

func count(tables map[string][]string) (n int) {
	for _, rows := range tables {
		n += len(rows)
	}
	return n
}
