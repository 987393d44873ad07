package audit

import (
	"errors"
	"fmt"
	"math/rand/v2"
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

// sent is an exchange of a.example that began and ended so many ms after the
// epoch.
func sent(from, to int) harrow.Exchange {
	return harrow.Exchange{Key: "a.example", Kind: harrow.KindPage, URL: fmt.Sprintf("http://a.example/%d", from),
		Status: 200, StartedAt: epoch.Add(ms(from)), EndedAt: epoch.Add(ms(to))}
}

func robots(from, to int) harrow.Exchange {
	x := sent(from, to)
	x.Kind = harrow.KindRobots
	return x
}

func asking(x harrow.Exchange, status int, retryAfter string) harrow.Exchange {
	x.Status, x.RetryAfter = int32(status), retryAfter
	return x
}

// audit goes through rows in the order of their ends, those of the run before
// first.
func audit(t fataler, limits Limits, before, rows []harrow.Exchange) Report {
	t.Helper()
	a := New(func(string) Limits { return limits }, time.Minute)
	a.Earlier(true)
	add(t, a, before)
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	a.Earlier(false)
	add(t, a, rows)
	r, err := a.Report()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func add(t fataler, a *Auditor, rows []harrow.Exchange) {
	t.Helper()
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(x, y harrow.Exchange) int { return x.EndedAt.Compare(y.EndedAt) })
	for _, x := range rows {
		if err := a.Add(x); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEachLimitIsHeldAgainstTheExchanges(t *testing.T) {
	type rows = []harrow.Exchange
	for _, c := range []struct {
		name   string
		limits Limits
		before rows
		rows   rows
		want   string // rules with the starts of the two exchanges, ms
	}{
		{"as promised", Limits{Concurrency: 1, Delay: ms(10)}, nil, rows{sent(0, 9), sent(10, 20), sent(20, 21)}, ""},
		{"two at once", Limits{Concurrency: 1}, nil, rows{sent(0, 11), sent(10, 20)}, "concurrency 0 10"},
		{"two at once are allowed", Limits{Concurrency: 2}, nil, rows{sent(0, 11), sent(10, 20)}, ""},
		{"a long one under short ones", Limits{Concurrency: 2}, nil, rows{sent(0, 100), sent(1, 5), sent(6, 9), sent(8, 12)}, "concurrency 0 8"},
		{"the end is the next start", Limits{Concurrency: 1}, nil, rows{sent(0, 10), sent(10, 20)}, ""},
		{"too soon", Limits{Concurrency: 9, Delay: ms(10)}, nil, rows{sent(0, 50), sent(9, 20)}, "delay 0 9"},
		{"robots.txt and its pages", Limits{Concurrency: 1, Delay: ms(10)}, nil, rows{robots(0, 5), sent(9, 20)}, "delay 0 9"},
		{"crawl-delay", Limits{Concurrency: 1, Delay: ms(10), CrawlDelay: ms(50)}, nil, rows{robots(0, 5), sent(50, 51), sent(99, 100)}, "crawl-delay 50 99"},
		{"crawl-delay right after robots.txt", Limits{Concurrency: 1, Delay: ms(10), CrawlDelay: ms(50)}, nil, rows{robots(0, 5), sent(49, 51)}, "crawl-delay 0 49"},
		{"before its crawl-delay was known", Limits{Concurrency: 3, Delay: ms(10), CrawlDelay: ms(50)}, nil, rows{sent(0, 5), robots(10, 40), sent(20, 50), sent(41, 42), sent(91, 92)}, ""},
		{"a robots.txt that failed says nothing", Limits{Concurrency: 1, Delay: ms(10), CrawlDelay: ms(50)}, nil, rows{asking(robots(0, 5), 404, ""), sent(10, 11)}, ""},
		{"Retry-After", Limits{Concurrency: 1}, nil, rows{asking(sent(0, 100), 503, "1"), sent(1099, 1200)}, "retry-after 0 1099"},
		{"Retry-After was waited for", Limits{Concurrency: 1}, nil, rows{asking(sent(0, 100), 503, "1"), sent(1100, 1200)}, ""},
		{"on its way when it came", Limits{Concurrency: 2}, nil, rows{asking(sent(0, 100), 503, "1"), sent(99, 120), sent(120, 130)}, ""},
		{"Retry-After by date", Limits{Concurrency: 1}, nil, rows{asking(sent(0, 100), 429, "Wed, 01 May 2024 12:00:05 GMT"), sent(4999, 5000)}, "retry-after 0 4999"},
		{"a shorter one after it", Limits{Concurrency: 2}, nil, rows{asking(sent(0, 100), 503, "5"), asking(sent(99, 110), 503, "1"), sent(3000, 3001)}, "retry-after 0 3000"},
		{"waiting for its connection when it came", Limits{Concurrency: 2}, nil, rows{asking(sent(0, 100), 503, "1"), sent(300, 310)}, ""},
		{"one more than waited for a connection", Limits{Concurrency: 2}, nil, rows{asking(sent(0, 100), 503, "1"), sent(300, 310), sent(320, 330)}, "retry-after 0 320"},
		{"all of them had been sent when it came", Limits{Concurrency: 3}, nil, rows{asking(sent(0, 100), 503, "1"), sent(1, 101), sent(2, 200), sent(300, 310)}, "retry-after 0 300"},
		{"no two wait for a connection between delays", Limits{Concurrency: 9, Delay: ms(5)}, nil, rows{asking(sent(0, 100), 503, "1"), sent(300, 310), sent(320, 330)}, "retry-after 0 320"},
		{"Retry-After of an answer that is none to wait for", Limits{Concurrency: 1}, nil, rows{asking(sent(0, 100), 200, "5"), sent(200, 300)}, ""},
		{"Retry-After of a redirect", Limits{Concurrency: 1}, nil, rows{asking(sent(0, 100), 302, "5"), sent(200, 300)}, "retry-after 0 200"},
		{"too soon after the run before", Limits{Concurrency: 1, Delay: ms(10)}, rows{sent(0, 2)}, rows{sent(9, 20)}, "delay 0 9"},
		{"Retry-After of the run before", Limits{Concurrency: 1}, rows{asking(sent(0, 2), 503, "1")}, rows{sent(500, 501)}, "retry-after 0 500"},
		{"the run before is not judged itself", Limits{Concurrency: 1, Delay: ms(10)}, rows{sent(0, 9), sent(1, 3), asking(sent(2, 3), 503, "1")}, rows{sent(2000, 2001)}, ""},
		{"all of them, each once", Limits{Concurrency: 1, Delay: ms(40)}, nil, rows{asking(sent(0, 100), 503, "1"), sent(50, 300), sent(70, 200), sent(200, 300), sent(210, 300)}, "concurrency 0 50, delay 50 70, retry-after 0 200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := audit(t, c.limits, c.before, c.rows)
			if len(r.Keys) != 1 || r.Keys[0].Exchanges != int64(len(c.rows)) {
				t.Fatalf("report %+v", r)
			}
			k := r.Keys[0]
			var got []string
			for _, v := range k.Violations {
				got = append(got, fmt.Sprintf("%s %d %d", v.Rule, v.First.StartedAt.Sub(epoch).Milliseconds(), v.Second.StartedAt.Sub(epoch).Milliseconds()))
			}
			slices.Sort(got)
			if text := strings.Join(got, ", "); text != c.want || k.Held != (c.want == "") || (r.Broken == 0) != k.Held {
				t.Errorf("broken: %q, want %q; %+v", text, c.want, r)
			}
		})
	}
}

func TestTheReportSaysWhatAKeyWasSubjectedTo(t *testing.T) {
	rows := []harrow.Exchange{robots(0, 1), asking(sent(10, 40), 503, "3"), sent(25, 30), asking(sent(5000, 5001), 429, "1")}
	other := sent(3, 4)
	other.Key, other.Kind = "b.example", "novel"
	r := audit(t, Limits{Concurrency: 2, Delay: ms(5), Override: "*.example", CrawlDelay: ms(9)}, nil, append(rows, other))
	if r.Exchanges != 5 || r.Broken != 0 || len(r.Keys) != 2 {
		t.Fatalf("%+v", r)
	}
	k := r.Keys[0]
	if k.Key != "a.example" || k.Exchanges != 4 || k.Kinds["robots"] != 1 || k.Kinds["page"] != 3 || k.MostAtOnce != 2 || *k.SmallestGap != ms(10) || !k.Held {
		t.Errorf("%+v", k)
	}
	if k.RetryAfter != (Rest{2, 3 * time.Second, 0}) || k.Limits != (Promise{2, ms(5), "*.example", ms(9)}) {
		t.Errorf("%+v", k)
	}
	if k := r.Keys[1]; k.SmallestGap != nil || k.Kinds["other"] != 1 {
		t.Errorf("%+v", k)
	}
}

// Rows that come in the order of ends, within the window, give what all of
// them at once say.
func TestAWindowIsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rows []harrow.Exchange
		at := 0
		for i := range rapid.IntRange(1, 150).Draw(t, "n") {
			at += rapid.IntRange(0, 400).Draw(t, "gap")
			x := sent(at, at+rapid.IntRange(0, 3000).Draw(t, "takes"))
			x.URL = fmt.Sprint(i)
			x.Key = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
			if rapid.IntRange(0, 9).Draw(t, "asks") == 0 {
				x = asking(x, 503, fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "rest")))
			}
			rows = append(rows, x)
		}
		limits := func(string) Limits { return Limits{Concurrency: 2} }
		all := New(limits, time.Hour)
		a := New(limits, 5*time.Second)
		slices.SortStableFunc(rows, func(x, y harrow.Exchange) int { return x.EndedAt.Compare(y.EndedAt) })
		for i, x := range rows { // up to two seconds late
			j := i
			for j+1 < len(rows) && rows[j+1].EndedAt.Sub(x.EndedAt) < 2*time.Second && rapid.Bool().Draw(t, "late") {
				rows[j], rows[j+1] = rows[j+1], rows[j]
				j++
			}
		}
		for _, x := range rows {
			if err := errors.Join(all.Add(x), a.Add(x)); err != nil {
				t.Fatal(err)
			}
		}
		want, err := all.Report()
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Report()
		if err != nil {
			t.Fatal(err)
		}
		if got.Window, want.Window = 0, 0; fmt.Sprint(flat(got)) != fmt.Sprint(flat(want)) {
			t.Fatalf("within a window:\n%+v\nall at once:\n%+v", flat(got), flat(want))
		}
		for _, k := range got.Keys {
			agrees(t, k, rows)
		}
	})
}

// flat writes a report's pointers as what they point to.
func flat(r Report) (lines []string) {
	for _, k := range r.Keys {
		gap := time.Duration(-1)
		if k.SmallestGap != nil {
			gap, k.SmallestGap = *k.SmallestGap, nil
		}
		lines = append(lines, fmt.Sprintf("%+v %v", k, gap))
	}
	return lines
}

// agrees holds a key's figures against the definition of each.
func agrees(t *rapid.T, k Key, rows []harrow.Exchange) {
	most, atMost, held := 0, 0, int64(0)
	for _, x := range rows {
		if x.Key != k.Key {
			continue
		}
		at, while, gap := 1, false, time.Duration(-1)
		touching := 1 // with those that began at the same time
		for _, o := range rows {
			if o.Key != k.Key || o.URL == x.URL {
				continue
			}
			if d := x.StartedAt.Sub(o.StartedAt); d >= 0 && (gap < 0 || d < gap) {
				gap = d
			}
			if o.StartedAt.Before(x.StartedAt) && o.EndedAt.After(x.StartedAt) {
				at++
			}
			if !o.StartedAt.After(x.StartedAt) && o.EndedAt.After(x.StartedAt) {
				touching++
			}
			rest := RestUntil(o.RetryAfter, o.EndedAt)
			while = while || o.Status == 503 && x.StartedAt.After(o.EndedAt.Add(Late)) && x.StartedAt.Before(rest)
		}
		if gap >= 0 && gap < *k.SmallestGap {
			t.Fatalf("%s: smallest gap %v, the rows have %v", k.Key, *k.SmallestGap, gap)
		}
		atMost = max(atMost, touching)
		if most = max(most, at); while {
			held++
		}
	}
	if k.MostAtOnce < most || k.MostAtOnce > atMost || k.RetryAfter.Begun > held {
		t.Fatalf("%s: %d at once, %d while held; the rows say %d, %d", k.Key, k.MostAtOnce, k.RetryAfter.Begun, most, held)
	}
}

func TestRowsBeyondTheWindowAreNotJudgedWrongly(t *testing.T) {
	a := New(func(string) Limits { return Limits{Concurrency: 1} }, time.Second)
	for _, x := range []harrow.Exchange{sent(0, 10), sent(5000, 5010), sent(9000, 9001)} {
		if err := a.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	err := a.Add(sent(100, 110))
	if !errors.Is(err, ErrOrder) || !strings.Contains(err.Error(), "http://a.example/100") {
		t.Errorf("got %v, want ErrOrder", err)
	}
	other := sent(200, 210)
	other.Key = "b.example"
	if err := a.Add(other); err != nil {
		t.Errorf("the first row of another key: %v", err)
	}
}

// However many rows there are, what is held is a window of them.
func TestMemoryDoesNotGrowWithTheRows(t *testing.T) {
	const keys, window = 200, 30 * time.Second
	run := func(rows int) (held int, bytes int64) {
		r := rand.New(rand.NewPCG(1, 2))
		a := New(func(string) Limits { return Limits{Concurrency: 9} }, window)
		before := memorytest.LiveHeap()
		for i := range rows {
			end := epoch.Add(time.Duration(i) * 10 * time.Millisecond)
			err := a.Add(harrow.Exchange{Key: fmt.Sprintf("host-%d.example", i%keys), Kind: harrow.KindPage, URL: fmt.Sprintf("http://host-%d.example/page/%d", i%keys, i),
				StartedAt: end.Add(-time.Duration(r.IntN(1500)) * time.Millisecond), EndedAt: end})
			if err != nil {
				t.Fatal(err)
			}
		}
		took := memorytest.LiveHeap() - before
		if err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		return a.most, max(0, took)
	}
	held, bytes := run(20_000)
	more, moreBytes := run(200_000)
	t.Logf("20,000 rows: %d held, %d KiB; 200,000 rows: %d held, %d KiB", held, bytes>>10, more, moreBytes>>10)
	if most := int(window/(10*time.Millisecond)) + 10; held > most || more > most {
		t.Errorf("%d and %d rows were held, a window has %d", held, more, most)
	}
	if moreBytes > 2*bytes+1<<20 {
		t.Errorf("%d KiB for 20,000 rows, %d KiB for 200,000", bytes>>10, moreBytes>>10)
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	for field, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 7\t": 7 * time.Second, "007": 7 * time.Second, "-7": 0, "7.5": 0, "+7": 0, "soon": 0,
		"86400": MaxRest, "86401": MaxRest, "99999999999999999999": MaxRest,
		"Wed, 01 May 2024 12:00:09 GMT": 9 * time.Second, "Wednesday, 01-May-24 12:00:09 GMT": 9 * time.Second,
		"Wed May  1 12:00:09 2024": 9 * time.Second, "Wed, 01 May 2024 11:59:59 GMT": 0, "Wed, 01 May 2034 12:00:00 GMT": MaxRest,
		"Wed, 01 May 2024 12:00:09 CEST": 0,
	} {
		got := time.Duration(0)
		if at := RestUntil(field, epoch); !at.IsZero() {
			got = at.Sub(epoch)
		}
		if got != want {
			t.Errorf("%q: %v, want %v", field, got, want)
		}
	}
}

func FuzzRestUntil(f *testing.F) {
	for _, field := range []string{"", "5", "99999999999999999999", "Wed, 01 May 2024 12:00:09 GMT", "Wednesday, 01-May-24 12:00:09 GMT", "-1", "0x5"} {
		f.Add(field)
	}
	f.Fuzz(func(t *testing.T, field string) {
		at := RestUntil(field, epoch)
		if !at.IsZero() && (!at.After(epoch) || at.Sub(epoch) > MaxRest) {
			t.Errorf("%q: until %v", field, at)
		}
	})
}
