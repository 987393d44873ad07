package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

// crew are the workers of a round: one at work, one that waits for a shard, one
// that has done all its work, and one that is dead and one that was stopped, whose
// shards the first took over.
func crew(t *testing.T, l lakeio.Lake) {
	t.Helper()
	late := begun.Add(time.Minute)
	for _, st := range []lakeio.Status{
		{Worker: "works", At: late, InFlight: 1, Queued: 10, Counters: map[string]int64{"requests": 100, "captures.fetched": 40}},
		{Worker: "waits", At: late, Held: 2, Blocked: "another worker holds the shard", Counters: map[string]int64{}},
		{Worker: "ended", At: begun.Add(time.Second), Ended: true, Blocked: "stopped", Counters: map[string]int64{"requests": 5, "captures.fetched": 5}},
		{Worker: "paused", At: begun.Add(time.Second), Ended: true, Blocked: "stopped", Queued: 60, Counters: map[string]int64{"requests": 80, "captures.fetched": 20}},
		{Worker: "dead", At: begun.Add(time.Second), InFlight: 9, Counters: map[string]int64{"requests": 100, "captures.fetched": 7}},
	} {
		st.Stage = "fetch-0"
		check(t, l.PutStatus(t.Context(), st))
	}
}

// crewed is a run that its crew fetches for.
func crewed(t *testing.T) (lakeio.Lake, view.Run) {
	t.Helper()
	store, l := newLake(t, "shop")
	commit(t, l, "discover", nil)
	crew(t, l)
	r, err := view.FindRun(t.Context(), store, "shop", "")
	check(t, err)
	return l, r
}

func TestProgressAddsUpWhatItsWorkersSay(t *testing.T) {
	_, r := crewed(t)
	line, err := view.NewProgress(r, begun).Line(t.Context(), begun.Add(time.Minute))
	check(t, err)
	if !strings.HasPrefix(line, "fetch-0: 105 requests · 45 fetched · ") || !strings.Contains(line, "1 in flight, 10 queued") || strings.Contains(line, "nothing") {
		t.Errorf("%s", line)
	}
}

func TestProgressOfAResumedRunIsNotThatOfTheAttemptBefore(t *testing.T) {
	l, r := crewed(t)
	resumed := begun.Add(time.Hour)
	p := view.NewProgress(r, resumed)
	line, err := p.Line(t.Context(), resumed.Add(time.Second))
	check(t, err)
	if !strings.HasPrefix(line, "fetch-0: 5 requests · 5 fetched · ") || !strings.Contains(line, "0 in flight, 0 queued") {
		t.Errorf("%s; want what the worker did that had done all it was to do, and nothing of the others", line)
	}
	check(t, l.PutStatus(t.Context(), lakeio.Status{Worker: "new", Stage: "fetch-0", At: resumed.Add(time.Second), InFlight: 3, Queued: 4, Counters: map[string]int64{"requests": 100, "captures.fetched": 60}}))
	line, err = p.Line(t.Context(), resumed.Add(2*time.Second))
	check(t, err)
	if !strings.HasPrefix(line, "fetch-0: 105 requests · 65 fetched · ") || !strings.Contains(line, "3 in flight, 4 queued") {
		t.Errorf("%s", line)
	}
}

func TestWhySaysThatAnotherWorkerHoldsAShard(t *testing.T) {
	store, l := newLake(t, "shop")
	commit(t, l, "discover", nil)
	running(t, l)
	crew(t, l)
	jobs, err := view.List(t.Context(), store, "shop", 1)
	check(t, err)
	states, err := view.Why(t.Context(), store, jobs)
	check(t, err)
	var b strings.Builder
	check(t, view.WriteWhy(&b, states, begun.Add(time.Minute), 3, 0))
	want := `job shop, run ` + runID + `: fetch-0 is running
  worker waits, 0 ms ago: 0 in flight, 0 queued
    nothing starts: another worker holds the shard
    2 fetch shards that another worker holds: waiting until it has done them, or is known to be dead
  worker works, 0 ms ago: 1 in flight, 10 queued
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// Of one submission the time counts from when the first of its workers began to
// when the last one ended; that of several adds up.
func TestEfficiencyIsOfAllWorkersOfARound(t *testing.T) {
	store, l := newLake(t, "shop")
	finish := func(shard int, process string, bound, wall time.Duration) {
		t.Helper()
		f := lakeio.FetchShard{Lake: l, Round: 0, Shard: shard}
		_, _, err := f.Claim(t.Context(), lakeio.Claim{Owner: "me", Process: process})
		check(t, err)
		check(t, f.Finish(t.Context(), "me", bound, wall))
	}
	finish(0, "a", 30*time.Second, time.Minute)
	finish(1, "a", 20*time.Second, 40*time.Second)
	finish(2, "b", 20*time.Second, 40*time.Second)
	r, err := view.FindRun(t.Context(), store, "shop", "")
	check(t, err)
	s, err := r.Summarize(t.Context(), view.Ending{})
	check(t, err)
	e := s.Efficiency
	if e == nil || e.BoundMS != 50_000 || e.WallMS < 100_000 || e.WallMS > 110_000 {
		t.Errorf("%+v", e)
	}
}
