package view_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

func TestSummaryAddsUp(t *testing.T) {
	l, r := full(t)
	commit(t, l, "refine", nil, books(t, l, "refine", book{title: "refined"}))
	commit(t, l, "load", map[string]int64{"load.sqlite.book.added": 1, "load.sqlite.book.changed": 2, "load.sqlite.book.unchanged": 3, "load.sqlite.book.stale": 4, "load.sqlite.book.rejected": 5, "parts": 9})
	for shard, times := range [][2]time.Duration{{8 * time.Second, 9 * time.Second}, {5 * time.Second, 10 * time.Second}} {
		f := lakeio.FetchShard{Lake: l, Round: 0, Shard: shard}
		_, _, err := f.Claim(t.Context(), lakeio.Claim{Owner: "me"})
		check(t, err)
		check(t, f.Finish(t.Context(), "me", times[0], times[1]))
	}
	s, err := r.Summarize(t.Context(), view.Ending{Exit: 3, Why: "1 requests were deferred", Resumed: true, Wall: 20 * time.Second, CPU: 10 * time.Second, Cores: 2})
	check(t, err)
	if s.Requests != 3 || s.Outcomes["fetched"] != 1 || s.Outcomes["gone"] != 1 || s.Outcomes["deferred"] != 1 {
		t.Errorf("outcomes %v of %d", s.Outcomes, s.Requests)
	}
	if got := *s.Load["sqlite"]["book"]; got != (harrow.Counts{Added: 1, Changed: 2, Unchanged: 3, Stale: 4, Rejected: 5}) {
		t.Errorf("load %+v", got)
	}
	if s.SQLite != filepath.Join(l.Store.Local(), "shop", "shop.db") {
		t.Errorf("sqlite %s", s.SQLite)
	}
	s.Workspace(view.DefaultWorkspace)
	var b strings.Builder
	check(t, s.WriteText(&b))
	for _, want := range []string{
		"state       done after 20.0 s, resumed, exit 3: 1 requests were deferred\n",
		"requests    3: 1 fetched, 1 gone, 1 deferred\n",
		"records     record  parsed  refined  sqlite: added  changed  unchanged  stale  rejected\n" +
			"            book         3        1              1        2          3      4         5\n",
		"rejects     1 fetch, permanent: http_403\nrejects     2 parse, data: type\n",
		"not taken   links by reason: host 4\n",
		"time        discover 12 ms, fetch 1m01s\n",
		"efficiency  0.80: politeness allowed 8.0 s, fetching took 10.0 s; CPU 25% of 2 cores\n",
		"'SELECT * FROM book LIMIT 10'\n",
		"harrow cat records/book --job shop\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestSummaryNamesRecordsWithoutARowAndTheFolderOfParquet(t *testing.T) {
	_, l := newLake(t, "shop")
	for _, stage := range []string{"discover", "fetch-0", "fetch-1", "pages", "parse", "refine"} {
		commit(t, l, stage, nil)
	}
	commit(t, l, "load", map[string]int64{"load.parquet.book.added": 1})
	r, err := view.FindRun(t.Context(), l.Store, "shop", "last")
	check(t, err)
	r.Job.Load, r.Run.Dir = map[string]json.RawMessage{"parquet": json.RawMessage(`{"path": "out"}`)}, "/jobs"
	s, err := r.Summarize(t.Context(), view.Ending{})
	check(t, err)
	var b strings.Builder
	check(t, s.WriteText(&b))
	for _, want := range []string{"            book         0        0 ", "results     " + filepath.Join("/jobs", "out") + "\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestSummaryTellsARecordALine(t *testing.T) {
	n := func(i int64) *int64 { return &i }
	for _, c := range []struct {
		name string
		s    view.Summary
		want string
	}{
		{"many records, two sinks", view.Summary{Requests: 12345, Outcomes: map[string]int64{"not_modified": 12000, "fetched": 344, "gone": 1},
			Records: map[string]view.Rows{"book": {1234567, n(1234000)}, "author": {8, n(8)}, "empty": {0, n(0)}},
			Load: map[string]map[string]*harrow.Counts{
				"sqlite":  {"book": {Added: 1234000}, "author": {Added: 1, Unchanged: 6, Stale: 1}, "empty": {}},
				"parquet": {"book": {Added: 1233998, Rejected: 2}, "author": {Added: 8}}}}, `
requests    12,345: 344 fetched, 12,000 not_modified, 1 gone
records     record     parsed    refined  parquet: added  changed  unchanged  rejected  sqlite: added  changed  unchanged  stale
            author          8          8               8        0          0         0              1        0          6      1
            book    1,234,567  1,234,000       1,233,998        0          0         2      1,234,000        0          0      0
            empty           0          0               -        -          -         -              0        0          0      0
`},
		{"not refined", view.Summary{Records: map[string]view.Rows{"a": {Parsed: 1}}}, `
requests    0
records     record  parsed
            a            1
`},
		{"one refined so far", view.Summary{Records: map[string]view.Rows{"a": {Parsed: 1}, "b": {2, n(1)}}}, `
requests    0
records     record  parsed  refined
            a            1        -
            b            2        1
`},
		{"no record", view.Summary{}, "\nrequests    0\n"},
		{"hostile", view.Summary{Records: map[string]view.Rows{"a\x1b\n": {Parsed: 1}}}, "\nrequests    0\nrecords     record   parsed\n            a\\x1b\\n       1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			check(t, c.s.WriteText(&b))
			_, got, _ := strings.Cut(b.String(), "state       ")
			got = strings.TrimSuffix(got, "see also    harrow cat records/ --job \n")
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestSummaryOfPagesParsedAgainSaysWhatToCompare(t *testing.T) {
	l, parent := full(t)
	for from, want := range map[string]bool{"parse": true, "refine": true, "load": false, "fetch": false} {
		child := parent.Run
		child.Parent, child.From = parent.ID, from
		r, err := view.OpenRun(l.Store, child)
		check(t, err)
		s, err := r.Summarize(t.Context(), view.Ending{})
		check(t, err)
		var b strings.Builder
		check(t, s.WriteText(&b))
		if got := strings.Contains(b.String(), "see also    harrow diff "+parent.ID+" "+child.ID+" --job shop"); got != want {
			t.Errorf("from %s: got\n%s", from, b.String())
		}
	}
}

func TestSummaryOfAPausedRunCountsWhatIsKept(t *testing.T) {
	store, l := newLake(t, "shop")
	f := lakeio.FetchShard{Lake: l, Round: 0, Shard: 0}
	_, _, err := f.Claim(t.Context(), lakeio.Claim{Owner: "me"})
	check(t, err)
	check(t, f.Append(t.Context(), "me", lakeio.Roll{Name: "r", Parts: []harrow.Part{{Table: "captures", Rows: 7}, {Table: "links", Rows: 9}}}))
	r, err := view.FindRun(t.Context(), store, "shop", "")
	check(t, err)
	s, err := r.Summarize(t.Context(), view.Ending{Exit: 130})
	check(t, err)
	if s.Requests != 0 || s.Kept != 7 || s.Efficiency != nil {
		t.Errorf("%+v", s)
	}
}

func TestProgressSaysWhyNothingIsFetched(t *testing.T) {
	l, r := full(t) // refine is the first stage without a manifest
	other, err := view.FindRun(t.Context(), l.Store, "shop", "")
	check(t, err)
	p := view.NewProgress(other, begun)
	if got, err := p.Line(t.Context(), begun.Add(3*time.Second)); err != nil || got != "refine: running for 0 ms" {
		t.Errorf("%q, %v", got, err)
	}
	_, fresh := newLake(t, "shop")
	commit(t, fresh, "discover", nil)
	r.Store = fresh.Store
	for _, c := range []struct {
		name string
		st   lakeio.Status
		want string
	}{
		{"at work", lakeio.Status{Counters: map[string]int64{"requests": 1500, "captures.fetched": 1000, "captures.gone": 3, "bytes": 3 << 20}, InFlight: 8, Queued: 489, Waiting: map[string]int{"delay": 2, "idle": 9}},
			"fetch-0: 1,500 requests · 1,000 fetched, 3 gone · 8 in flight, 489 queued · 3.0 MiB · keys: 2 keep their delay"},
		{"keys wait", lakeio.Status{Counters: map[string]int64{"requests": 9}, Queued: 9, Waiting: map[string]int{"retry-after": 1, "odd": 2}, Next: begun.Add(10 * time.Second)},
			"fetch-0: 9 requests · 0 in flight, 9 queued · nothing in flight: keys: 2 wait: odd, 1 wait as asked (Retry-After), next start in 8.0 s"},
		{"all starts are held", lakeio.Status{Queued: 1, Blocked: "memory for bodies", Waiting: map[string]int{"ready": 1}},
			"fetch-0: 0 requests · 0 in flight, 1 queued · nothing starts: memory for bodies"},
		{"nothing known", lakeio.Status{}, "fetch-0: 0 requests · 0 in flight, 0 queued · nothing in flight: no key has anything to ask yet"},
		{"no more starts", lakeio.Status{Queued: 1, InFlight: 2, Blocked: "fetch.in_flight: 2 exchanges are in flight"},
			`fetch-0: 0 requests · 2 in flight, 1 queued · nothing more starts: fetch.in_flight: 2 exchanges are in flight`},
		{"hostile", lakeio.Status{Blocked: "a\x1b[2J\nb"}, `fetch-0: 0 requests · 0 in flight, 0 queued · nothing starts: a\x1b[2J\nb`},
		{"silent workers", lakeio.Status{At: begun.Add(-time.Minute)}, "fetch-0: 0 requests · 0 in flight, 0 queued · no word from its workers for 1m02s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r
			r.CreatedAt = begun.Add(-time.Hour)
			c.st.Worker, c.st.Stage = "w", "fetch-0"
			if c.st.At.IsZero() {
				c.st.At = begun
			}
			check(t, fresh.PutStatus(t.Context(), c.st))
			got, err := view.NewProgress(r, begun.Add(-time.Hour)).Line(t.Context(), begun.Add(2*time.Second))
			check(t, err)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestProgressReckonsTheRateBetweenReports(t *testing.T) {
	store, l := newLake(t, "shop")
	commit(t, l, "discover", nil)
	r, err := view.FindRun(t.Context(), store, "shop", "")
	check(t, err)
	p := view.NewProgress(r, begun)
	for _, c := range []struct {
		at       time.Duration
		captures int64
		rate     string
	}{{0, 100, "100 fetched · 1 in flight,"}, {5 * time.Second, 150, "10.0/s"}, {5 * time.Second, 150, "10.0/s"}, {10 * time.Second, 150, "0.0/s"}} {
		check(t, l.PutStatus(t.Context(), lakeio.Status{Worker: "w", Stage: "fetch-0", At: begun.Add(c.at), Counters: map[string]int64{"captures.fetched": c.captures}, InFlight: 1}))
		got, err := p.Line(t.Context(), begun.Add(c.at))
		check(t, err)
		if !strings.Contains(got, " "+c.rate+" ") {
			t.Errorf("%s, want %s", got, c.rate)
		}
	}
}

// told is a writer that hands on what is written to it.
type told chan string

func (c told) Write(p []byte) (int, error) { c <- string(p); return len(p), nil }

func TestProgressIsOneLineOnATerminal(t *testing.T) {
	defer goleak.VerifyNone(t)
	_, r := full(t)
	for terminal, want := range map[bool][]string{
		true:  {"\r\x1b[Krefine: ru…", "\r\x1b[Krefine: ru…", "\r\x1b[K"},
		false: {"refine: running for 0 ms\n", "refine: running for 1.0 s\n"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		tick, out := make(chan time.Time), make(told)
		go func() {
			defer close(out)
			view.NewProgress(r, begun).Show(ctx, out, terminal, func() int { return 12 }, tick)
		}()
		var got []string
		for i := range 2 {
			tick <- begun.Add(time.Duration(i) * time.Second)
			got = append(got, <-out)
		}
		cancel()
		for text := range out {
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
