package serverlog

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory/memorytest"
)

var epoch = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// replay is a log of entries, in the order of their starts, as if they had
// been served.
func replay(entries []Entry) *Log {
	l := &Log{keys: map[string]*tally{}, entries: entries}
	type event struct {
		at  time.Time
		end bool
		e   Entry
	}
	var events []event
	for _, e := range entries {
		events = append(events, event{e.Start, false, e}, event{e.End, true, e})
	}
	slices.SortStableFunc(events, func(a, b event) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		switch {
		case a.end == b.end:
			return 0
		case a.end:
			return -1
		}
		return 1
	})
	for _, ev := range events {
		k := l.keys[ev.e.Key]
		if k == nil {
			k = &tally{}
			l.keys[ev.e.Key] = k
		}
		if ev.end {
			k.end(ev.e.Start, ev.at, ev.e.Cut, ev.e.asks)
		} else {
			k.begin(ev.at)
		}
	}
	return l
}

// paced is n exchanges on a key, one every gap, each of which takes so long.
func paced(n int, gap, takes time.Duration) (entries []Entry) {
	for i := range n {
		at := epoch.Add(time.Duration(i) * gap)
		entries = append(entries, Entry{Key: "a.example", URL: fmt.Sprintf("http://a.example/%d", i), Start: at, End: at.Add(takes)})
	}
	return entries
}

func rules(broken []Violation) string {
	var names []string
	for _, v := range broken {
		names = append(names, v.Key+" "+v.Rule)
	}
	return strings.Join(names, ", ")
}

func TestJudge(t *testing.T) {
	with := func(entries []Entry, change func(e []Entry)) []Entry { change(entries); return entries }
	for _, c := range []struct {
		name     string
		entries  []Entry
		promised Limits
		want     string
	}{
		{"as promised", paced(20, ms(10), ms(9)), Limits{1, ms(10)}, ""},
		{"two at once", paced(3, ms(10), ms(11)), Limits{1, ms(10)}, "a.example concurrency"},
		{"two at once are allowed", paced(3, ms(10), ms(11)), Limits{2, ms(10)}, ""},
		{"half the delay", paced(10, ms(50), ms(1)), Limits{1, ms(100)}, "a.example delay"},
		{"half of a short delay", paced(20, ms(5), ms(1)), Limits{1, ms(10)}, "a.example delay"},
		{"half of a very short delay", paced(70, ms(1), 0), Limits{1, ms(2)}, "a.example delay"},
		{"nine tenths of the delay", paced(70, ms(9), ms(1)), Limits{1, ms(10)}, "a.example delay"},
		{"one came late", with(paced(100, ms(50), ms(1)), func(e []Entry) { e[7].Start, e[7].End = e[7].Start.Add(ms(18)), e[7].End.Add(ms(18)) }), Limits{1, ms(50)}, ""},
		{"one came early", with(paced(100, ms(50), ms(1)), func(e []Entry) { e[7].Start, e[7].End = e[7].Start.Add(-ms(22)), e[7].End.Add(-ms(22)) }), Limits{1, ms(50)}, "a.example delay"},
		{"cut off, the server learns late", with(paced(3, ms(50), ms(60)), func(e []Entry) { e[0].Cut, e[1].Cut = true, true }), Limits{1, ms(50)}, ""},
		{"cut off, too late", with(paced(3, ms(50), ms(80)), func(e []Entry) { e[0].Cut, e[1].Cut = true, true }), Limits{1, ms(50)}, "a.example concurrency"},
		{"while Retry-After held", with(paced(3, ms(50), ms(1)), func(e []Entry) { e[0].asks = epoch.Add(ms(60)) }), Limits{1, ms(50)}, "a.example retry-after"},
		{"on its way when Retry-After came", with(paced(3, ms(50), ms(40)), func(e []Entry) { e[0].asks = epoch.Add(ms(60)) }), Limits{1, ms(50)}, ""},
		{"after Retry-After", with(paced(3, ms(50), ms(1)), func(e []Entry) { e[0].asks = epoch.Add(ms(50)) }), Limits{1, ms(50)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := replay(c.entries)
			if got := rules(l.Judge(func(string) Limits { return c.promised })); got != c.want {
				t.Errorf("judged %q, want %q", got, c.want)
			}
			if c.name == "one came late" {
				return // beside the client's log it depends on what that says
			}
			var sent []harrow.Exchange
			for _, e := range c.entries {
				sent = append(sent, harrow.Exchange{URL: e.URL, StartedAt: e.Start, EndedAt: e.End})
			}
			if got := rules(l.JudgeBeside(func(string) Limits { return c.promised }, sent)); got != c.want {
				if c.name != "cut off, too late" { // the client says when it left
					t.Errorf("beside the client's log: judged %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestAHoldUpIsAllowedForAsFarAsTheClientKnowsOfIt(t *testing.T) {
	entries := paced(50, ms(50), ms(1))
	entries[9].Start, entries[9].End = entries[9].Start.Add(ms(45)), entries[9].End.Add(ms(45))
	sent := func(at int) (list []harrow.Exchange) {
		for i, e := range paced(50, ms(50), ms(1)) {
			if i == 9 {
				e.Start, e.End = e.Start.Add(ms(at)), entries[9].End
			}
			list = append(list, harrow.Exchange{URL: e.URL, StartedAt: e.Start, EndedAt: e.End})
		}
		return list
	}
	promised := func(string) Limits { return Limits{1, ms(50)} }
	l := replay(entries)
	if got := rules(l.Judge(promised)); got != "a.example delay" {
		t.Errorf("the server alone: judged %q", got)
	}
	if got := l.JudgeBeside(promised, sent(0)); len(got) != 0 {
		t.Errorf("held up for 45 ms: judged %v", got)
	}
	if got := rules(l.JudgeBeside(promised, sent(40))); got != "a.example delay" {
		t.Errorf("begun 40 ms late: judged %q", got)
	}
	late := sent(0)
	for i := range late {
		late[i].StartedAt = late[i].StartedAt.Add(-ms(11))
	}
	if got := rules(l.JudgeBeside(promised, late)); got != " hold-up" {
		t.Errorf("all of them held up: judged %q", got)
	}
}

// What is tallied while requests come is what their entries say.
func TestFiguresAgreeWithEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []Entry
		at := epoch
		for i := range rapid.IntRange(1, 200).Draw(t, "n") {
			at = at.Add(time.Duration(rapid.IntRange(1, 30_000).Draw(t, "gap")) * time.Microsecond)
			e := Entry{Key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), URL: fmt.Sprint(i), Start: at, Cut: rapid.Bool().Draw(t, "cut")}
			e.End = at.Add(time.Duration(rapid.IntRange(1, 60_000).Draw(t, "takes")) * time.Microsecond)
			if rapid.IntRange(0, 9).Draw(t, "asks") == 0 {
				e.asks = e.End.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "rest")) * time.Millisecond)
			}
			entries = append(entries, e)
		}
		l := replay(entries)
		byKey := map[string][]arrival{}
		for _, e := range entries {
			byKey[e.Key] = append(byKey[e.Key], arrival{Entry: e})
		}
		for key, list := range byKey {
			got := l.Figures(key)
			if most := mostAtOnce(list); got.MostAtOnce != most || got.Requests != int64(len(list)) {
				t.Fatalf("%s: %d at once of %d, entries say %d of %d", key, got.MostAtOnce, got.Requests, most, len(list))
			}
			if n := early(list, 0); got.Held != n {
				t.Fatalf("%s: %d while held, entries say %d", key, got.Held, n)
			}
			for i, n := range Windows {
				span := time.Duration(math.MaxInt64)
				for j := n; j < len(list); j++ {
					span = min(span, list[j].Start.Sub(list[j-n].Start))
				}
				if got.Spans[i] != span {
					t.Fatalf("%s: %d starts in %v, entries say %v", key, n, got.Spans[i], span)
				}
			}
		}
	})
}

func TestALeanLogTakesLittleOfEachKey(t *testing.T) {
	perKey := func(requests int) int64 {
		const keys = 10_000
		l := &Log{options: Options{Lean: true}, keys: map[string]*tally{}}
		before := memorytest.LiveHeap()
		for i := range keys * requests {
			name := fmt.Sprintf("host-%d.example", i%keys)
			k := l.keys[name]
			if k == nil {
				k = &tally{}
				l.keys[name] = k
			}
			at := epoch.Add(time.Duration(i) * time.Millisecond)
			k.begin(at)
			k.end(at, at.Add(time.Microsecond), false, time.Time{})
		}
		took := memorytest.LiveHeap() - before
		runtime.KeepAlive(l)
		return took / keys
	}
	few, many := perKey(5), perKey(100)
	t.Logf("%d bytes a key of 5 requests, %d of 100", few, many)
	if few > 1<<10 || many > 3<<10 {
		t.Errorf("%d bytes a key of 5 requests, %d of 100", few, many)
	}
}
