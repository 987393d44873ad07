package view_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
)

// roll appends a roll of exchanges to a shard of a round.
func roll(t testing.TB, l lakeio.Lake, round, shard int, name string, rows ...harrow.Exchange) {
	t.Helper()
	at := lakeio.FetchShard{Lake: l, Round: round, Shard: shard}
	_, _, err := at.Claim(t.Context(), lakeio.Claim{Owner: "me"})
	check(t, err)
	part := laketest.WriteRows(t, l.Store, at.RollURI(name, "exchanges"), lakeio.Exchanges, rows...)
	check(t, at.Append(t.Context(), "me", lakeio.Roll{Name: name, Parts: []harrow.Part{part}}))
}

// sent is an exchange from so many ms to so many after the run began.
func sent(key, path string, from, to int) harrow.Exchange {
	return harrow.Exchange{Key: key, Kind: harrow.KindPage, URL: "http://" + key + path, Status: 200,
		StartedAt: begun.Add(time.Duration(from) * time.Millisecond), EndedAt: begun.Add(time.Duration(to) * time.Millisecond)}
}

// audited is the text of a run's audit, and the audit.
func audited(t testing.TB, l lakeio.Lake, most int) (string, view.Audit) {
	t.Helper()
	r, err := view.FindRun(t.Context(), l.Store, l.Job, l.Run)
	check(t, err)
	a, err := r.Audit(t.Context())
	check(t, err)
	var b strings.Builder
	check(t, view.WriteAudit(&b, a, most, 0))
	return b.String(), a
}

func TestAuditOfARunThatKeptToItsLimits(t *testing.T) {
	_, l := newLake(t, "shop")
	robots := sent("a.example", "/robots.txt", 0, 10)
	robots.Kind = harrow.KindRobots
	busy := sent("a.example", "/2", 5000, 5100)
	busy.Status, busy.RetryAfter = 503, "7"
	roll(t, l, 0, 0, "00001-00001-a", robots, sent("a.example", "/1", 2500, 2600))
	roll(t, l, 0, 0, "00001-00002-b", busy, sent("b.example", "/", 5200, 5300))
	roll(t, l, 1, 0, "00001-00001-c", sent("a.example", "/2", 12100, 12200))
	check(t, lakeio.FetchShard{Lake: l}.Note(t.Context(), "me", lakeio.Notes{Delays: map[string]time.Duration{"a.example": 2500 * time.Millisecond}}))
	commit(t, l, "fetch-0", nil)
	commit(t, l, "fetch-1", nil)
	got, a := audited(t, l, 20)
	want := `job shop, run ` + runID + `: 5 exchanges of 2 keys, 2026-03-01 12:00:00Z to 2026-03-01 12:00:12Z: every limit held
key        exchanges         at once  smallest gap  allowed            asked to wait  limits
a.example  3 page, 1 robots  1 of 1   2.5s          2.5s (robots.txt)  once, 7.0 s    held
b.example  1 page            1 of 1   -             1s                 -              held
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	data, err := json.Marshal(a)
	check(t, err)
	for _, part := range []string{`"complete":true,"exchanges":5,"from":"2026-03-01T12:00:00Z","until":"2026-03-01T12:00:12.2Z","held":true,"broken":0,"keys":[{"key":"a.example"`,
		`"kinds":{"page":3,"robots":1},"most_at_once":1,"smallest_gap_ns":2500000000,"retry_after":{"asked":1,"longest_ns":7000000000,"begun":0},` +
			`"limits":{"concurrency":1,"delay_ns":1000000000,"override":"","crawl_delay_ns":2500000000},"held":true,"violations":[]`} {
		if !strings.Contains(string(data), part) {
			t.Errorf("no %s in %s", part, data)
		}
	}
	if got, _ := audited(t, l, 1); !strings.HasSuffix(got, "\n… 1 more key with fewer exchanges; --keys says more, --json all\n") {
		t.Error(got)
	}
}

func TestAuditNamesWhatBrokeALimit(t *testing.T) {
	_, l := newLake(t, "shop")
	roll(t, l, 0, 0, "00001-00001-a", sent("a.example", "/1", 0, 1100), sent("b.example", "/", 0, 10),
		sent("a.example", "/2", 999, 1200), sent("a.example", "/3", 1998, 2100))
	got, a := audited(t, l, 20)
	want := `job shop, run ` + runID + `: 4 exchanges of 2 keys, 2026-03-01 12:00:00Z to 2026-03-01 12:00:02Z: the limits of 1 key did not hold
  its rounds of fetch have not all committed: this is what its closed rolls say so far
a.example: concurrency: 2 at once, 1 allowed
  2026-03-01 12:00:00.000000Z to 2026-03-01 12:00:01.100000Z  http://a.example/1
  2026-03-01 12:00:00.999000Z to 2026-03-01 12:00:01.200000Z  http://a.example/2
a.example: delay: 999ms between two starts, 1s asked for; 2 times, this was the first
  2026-03-01 12:00:00.000000Z to 2026-03-01 12:00:01.100000Z  http://a.example/1
  2026-03-01 12:00:00.999000Z to 2026-03-01 12:00:01.200000Z  http://a.example/2
key        exchanges  at once  smallest gap  allowed  asked to wait  limits
a.example  3 page     2 of 1   999ms         1s       -              not held
b.example  1 page     1 of 1   -             1s       -              held
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if a.Held || a.Broken != 1 || a.Complete {
		t.Errorf("%+v", a)
	}
}

// Politeness doesn't end with a run: what the one before it sent counts, but
// is judged with that one.
func TestAuditHoldsARunToTheOneBeforeIt(t *testing.T) {
	_, l := newLake(t, "shop")
	busy := sent("a.example", "/1", -600, -500)
	busy.Status, busy.RetryAfter = 503, "2"
	later := sent("a.example", "/later", 700, 800) // it went on after the other had begun: not looked at
	before := otherRun(t, l, "0198c0de-0000-7000-8000-000000000000", nil)
	roll(t, before, 0, 0, "00001-00001-a", sent("a.example", "/0", -610, -10), busy, later)
	roll(t, l, 0, 0, "00001-00001-a", sent("a.example", "/2", 0, 100), sent("b.example", "/", 0, 100))
	got, a := audited(t, l, 0)
	want := `job shop, run ` + runID + `: 2 exchanges of 2 keys, 2026-03-01 12:00:00Z to 2026-03-01 12:00:00Z: the limits of 1 key did not hold
  its rounds of fetch have not all committed: this is what its closed rolls say so far
a.example: delay: 600ms between two starts, 1s asked for
  2026-03-01 11:59:59.400000Z to 2026-03-01 11:59:59.500000Z  http://a.example/1  (of the run before)
  2026-03-01 12:00:00.000000Z to 2026-03-01 12:00:00.100000Z  http://a.example/2
a.example: retry-after: begun 500ms after an answer that asked for 2s
  2026-03-01 11:59:59.400000Z to 2026-03-01 11:59:59.500000Z  http://a.example/1  (of the run before)
  2026-03-01 12:00:00.000000Z to 2026-03-01 12:00:00.100000Z  http://a.example/2
… 2 more keys with fewer exchanges; --keys says more, --json all
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if a.Earlier != before.Run {
		t.Errorf("earlier %s, want %s", a.Earlier, before.Run)
	}
}

// otherRun makes another run of the job.
func otherRun(t testing.TB, l lakeio.Lake, id string, change func(*lakeio.Run)) lakeio.Lake {
	t.Helper()
	r, err := lakeio.ReadRun(t.Context(), l.Store, l.Job, l.Run)
	check(t, err)
	r.ID = id
	if change != nil {
		change(&r)
	}
	check(t, lakeio.CreateRun(t.Context(), l.Store, r))
	l.Run = id
	return l
}

func TestAuditOfARunThatTookItsPagesOver(t *testing.T) {
	_, l := newLake(t, "shop")
	roll(t, l, 0, 0, "00001-00001-a", sent("a.example", "/1", 0, 100))
	again := otherRun(t, l, "0198c0de-0000-7000-8000-000000000002", func(r *lakeio.Run) {
		r.Parent, r.From, r.Sources = l.Run, "parse", map[string]string{"discover": l.Run, "fetch": l.Run}
	})
	got, a := audited(t, again, 0)
	if !strings.Contains(got, "run "+again.Run+": 1 exchange of 1 key,") || !strings.Contains(got, "\n  its pages were fetched by run "+l.Run+"\n") || a.Fetched != l.Run {
		t.Errorf("%s\n%+v", got, a)
	}
}

func TestAuditOfARunThatSentNothing(t *testing.T) {
	_, l := newLake(t, "shop")
	commit(t, l, "fetch-0", nil)
	commit(t, l, "fetch-1", nil)
	got, a := audited(t, l, 20)
	if got != "job shop, run "+runID+": no exchange was sent\n" || !a.Held || a.From != nil {
		t.Errorf("%s%+v", got, a)
	}
	if data, err := json.Marshal(a); err != nil || !strings.Contains(string(data), `"from":null,"until":null,"held":true,"broken":0,"keys":[]`) {
		t.Errorf("%s %v", data, err)
	}
	if _, err := view.FindRun(t.Context(), l.Store, "shop", "frob"); !errors.Is(err, view.ErrUsage) {
		t.Errorf("an unknown run: %v", err)
	}
}

// A key may be in more than one shard, and a roll may be adopted long after it
// was written: rows are then gone through side by side, and with a longer
// window.
func TestAuditPutsRowsInOrder(t *testing.T) {
	_, l := newLake(t, "shop")
	wide := otherRun(t, l, "0198c0de-0000-7000-8000-000000000002", func(r *lakeio.Run) { r.FetchShards = 3 })
	for i := range 6 { // of one key, by turns in three shards
		at := i * 1000
		roll(t, wide, 0, i%3, fmt.Sprintf("00001-0000%d-a", i), sent("a.example", fmt.Sprint("/", i), at, at+100))
	}
	roll(t, wide, 0, 0, "00002-00001-z", sent("a.example", "/late", 700_000, 700_010))
	roll(t, wide, 0, 1, "00002-00001-z", sent("a.example", "/later", 800_000, 800_010), sent("a.example", "/adopted", 6000, 6100))
	got, a := audited(t, wide, 20)
	if !a.Held || a.Exchanges != 9 || *a.Keys[0].SmallestGap != time.Second || a.Keys[0].MostAtOnce != 1 {
		t.Errorf("%s%+v", got, a.Keys)
	}
}
