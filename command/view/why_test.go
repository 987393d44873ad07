package view_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// running makes the lake's run one that this process runs.
func running(t *testing.T, l lakeio.Lake) {
	t.Helper()
	_, err := lakeio.ChangeRun(t.Context(), l.Store, l.Job, runID, func(r *lakeio.Run) error { r.State = lakeio.Active; return nil })
	check(t, err)
	lock, err := lakeio.LockJob(t.Context(), l, lakeio.LockConfig{Now: begun})
	check(t, err)
	t.Cleanup(func() { check(t, lock.Release(begun)) })
}

var atWork = lakeio.Status{Worker: "fetch-0-7", Stage: "fetch-0", At: begun, InFlight: 2, Queued: 612, Next: begun.Add(400 * time.Millisecond),
	Counters: map[string]int64{"requests": 700, "captures.fetched": 150},
	Waiting:  map[string]int{"delay": 1, "retry-after": 1, "breaker": 1, "robots": 1, "concurrency": 1, "ready": 3},
	Rates:    map[string]int64{"exchanges": 60, "bytes": 3 << 20}, Blocked: "memory for bodies",
	Keys: []lakeio.KeyStatus{
		{Key: "slow.example", Why: "crawl-delay", Until: begun.Add(9 * time.Second), Queued: 500, Concurrency: 1, Delay: 10 * time.Second, Latency: 120 * time.Millisecond, Left: 5000 * time.Second},
		{Key: "a.example", Why: "retry-after", Until: begun.Add(time.Minute), Queued: 100, Concurrency: 1, Delay: time.Second, Latency: 40 * time.Millisecond, Left: 100 * time.Second},
		{Key: "b.example", Why: "concurrency", Queued: 10, InFlight: 2, Concurrency: 2, Delay: 0, Left: time.Second},
		{Key: "evil\x1b[2J.example", Why: "odd\n", Queued: 2, Concurrency: 1, Delay: time.Second, Left: 2 * time.Second},
	},
	Sample: []lakeio.RecordSample{
		{Record: "book", Matched: 140, Fetched: 150, Pages: 21, Rows: 21, Fields: []lakeio.FieldSample{{Field: "title", Required: true, Filled: 21}, {Field: "tags", Filled: 7}}},
		{Record: "review", Matched: 20, Fetched: 150, Pages: 20, Fields: []lakeio.FieldSample{{Field: "author", Required: true, Failed: 20}}, Rejects: map[string]int64{"required": 20}},
		{Record: "never", Fetched: 150},
	}}

func TestWhySaysWhatEachHostIsWaitingFor(t *testing.T) {
	store, l := newLake(t, "shop")
	commit(t, l, "discover", nil)
	running(t, l)
	check(t, l.PutStatus(t.Context(), atWork))
	other := lakeio.Status{Worker: "fetch-0-8", Stage: "fetch-0", At: begun, Sample: []lakeio.RecordSample{atWork.Sample[0]}}
	check(t, l.PutStatus(t.Context(), other))
	jobs, err := view.List(t.Context(), store, "shop", 1)
	check(t, err)
	states, err := view.Why(t.Context(), store, jobs)
	check(t, err)
	var b strings.Builder
	check(t, view.WriteWhy(&b, states, begun.Add(200*time.Millisecond), 3, 0))
	want := `job shop, run ` + runID + `: fetch-0 is running
  worker fetch-0-7, 200 ms ago: 2 in flight, 612 queued; in the last minute 60 exchanges, 3.0 MiB
    nothing starts: memory for bodies
    keys: 1 failed too often (breaker), 1 are at their concurrency, 1 keep their delay, 3 may start, 1 wait as asked (Retry-After), 1 wait for robots.txt
    next start in 200 ms
    key           why                                until      queued  in flight  delay   latency  left
    slow.example  robots.txt asks for a crawl-delay  in 8.8 s      500  0 of 1     10.0 s  120 ms   1h23m
    a.example     asked to wait (Retry-After)        in 59.8 s     100  0 of 1     1.0 s   40 ms    1m40s
    b.example     as many in flight as allowed                      10  2 of 2     0 ms    -        1.0 s
    … 5 more keys with less left
  worker fetch-0-8, 200 ms ago: 0 in flight, 0 queued
    sample     record book: 42 rows of 42 pages parsed, of 280 that match; 300 pages fetched
               filled: title 100%, tags 33%
    sample     record review: 0 rows of 20 pages parsed, of 20 that match; 150 pages fetched
               filled: author 0%
               rejects: required 20
    sample     record never: 0 rows of 0 pages parsed, of 0 that match; 150 pages fetched
    warning: record review: the required field author has no value in any of 20 rows of the sample
    warning: record never: no rule matches any of the 150 pages fetched so far
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	check(t, view.WriteWhy(&b, states, begun, 10, 200))
	if strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), `evil\x1b[2J`) {
		t.Errorf("what a host is called reaches the terminal as it is:\n%s", b.String())
	}
	data, err := json.Marshal(states)
	check(t, err)
	for _, part := range []string{`"running":true,"stage":"fetch-0"`, `"key":"slow.example","why":"crawl-delay","until":"2026-03-01T12:00:09Z"`} {
		if !strings.Contains(string(data), part) {
			t.Errorf("no %s in %s", part, data)
		}
	}
}

// A reason that has no words of its own is shown as the scheduler calls it.
func TestEveryReasonToWaitHasWords(t *testing.T) {
	for _, why := range []polite.Wait{polite.Ready, polite.InFlight, polite.Delay, polite.CrawlDelay, polite.RetryAfter, polite.Backoff,
		polite.BreakerOpen, polite.Slowed, polite.Cautious, "robots", "dns", "login", "last"} {
		st := lakeio.Status{Stage: "fetch-0", Waiting: map[string]int{string(why): 1}, Keys: []lakeio.KeyStatus{{Key: "a.example", Why: string(why)}}}
		var b strings.Builder
		check(t, view.WriteWhy(&b, []view.WhyState{{Stage: "fetch-0", Running: true, Workers: []lakeio.Status{st}}}, begun, 3, 0))
		if strings.Contains(b.String(), "wait: ") || strings.Contains(b.String(), "a.example  "+string(why)+" ") {
			t.Errorf("%s has no words:\n%s", why, b.String())
		}
	}
}

func TestWhyOfRunsThatDoNotRun(t *testing.T) {
	store, l := newLake(t, "shop")
	jobs, err := view.List(t.Context(), store, "", 1)
	check(t, err)
	text := func() string {
		states, err := view.Why(t.Context(), store, jobs)
		check(t, err)
		var b strings.Builder
		check(t, view.WriteWhy(&b, states, begun, 10, 0))
		return b.String()
	}
	if got, want := text(), "job shop, run "+runID+": not running, discover is next; harrow run goes on with it\n"; got != want {
		t.Errorf("%s", got)
	}
	for _, stage := range []string{"discover", "fetch-0", "fetch-1", "pages", "parse", "refine", "load"} {
		commit(t, l, stage, nil)
	}
	if got, want := text(), "job shop, run "+runID+": every stage has committed, nothing waits\n"; got != want {
		t.Errorf("%s", got)
	}
}

func TestListSaysHowFarARunningStageIs(t *testing.T) {
	store, l := newLake(t, "shop")
	for _, stage := range []string{"discover", "fetch-0", "fetch-1", "pages"} {
		commit(t, l, stage, nil)
	}
	running(t, l)
	check(t, l.PutStatus(t.Context(), lakeio.Status{Worker: "parse-7", Stage: "parse", At: begun,
		Counters: map[string]int64{"parts": 3, "parts_total": 12, "rows": 30_000, "rows_total": 120_000}}))
	jobs, err := view.List(t.Context(), store, "", 1)
	check(t, err)
	var b strings.Builder
	check(t, view.WriteList(&b, jobs))
	for _, want := range []string{"    parse      running             3 of 12 parts, 30,000 of 120,000 rows\n", "    refine     waiting\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestProgressWarnsOnceOfARuleThatIsMostLikelyWrong(t *testing.T) {
	store, l := newLake(t, "shop")
	commit(t, l, "discover", nil)
	r, err := view.FindRun(t.Context(), store, "shop", "")
	check(t, err)
	check(t, l.PutStatus(t.Context(), atWork))
	ctx, cancel := context.WithCancel(t.Context())
	tick, out := make(chan time.Time), make(told)
	go func() {
		defer close(out)
		view.NewProgress(r, begun).Show(ctx, out, false, nil, tick)
	}()
	var got []string
	tick <- begun
	for range 3 {
		got = append(got, <-out)
	}
	tick <- begun.Add(time.Second)
	got = append(got, <-out)
	cancel()
	for text := range out {
		got = append(got, text)
	}
	want := []string{
		"warning: record review: the required field author has no value in any of 20 rows of the sample\n",
		"warning: record never: no rule matches any of the 150 pages fetched so far\n",
	}
	if len(got) != 4 || !slices.Equal(got[:2], want) || !strings.HasSuffix(got[3], " · sample: book 21 rows of 21 pages (tags 33%), review 0 rows of 20 pages (author 0%)\n") {
		t.Errorf("%q", got)
	}
}
