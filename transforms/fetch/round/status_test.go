package round

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/io/lakeio"
)

// withRules gives the bench a job's parse rules.
func (b *bench) withRules(parse ...harrow.Rule) {
	b.t.Helper()
	types, err := jobfile.RecordTypes(&harrow.Job{Parse: parse}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.cfg.Parse, b.cfg.Types = parse, types
}

// lastStatus is what the process said last.
func (b *bench) lastStatus() lakeio.Status {
	b.t.Helper()
	all, err := b.lake.Statuses(b.t.Context())
	if err != nil || len(all) != 1 {
		b.t.Fatalf("%d statuses: %v", len(all), err)
	}
	return all[0]
}

func TestASampleOfThePagesIsParsedAndThrownAway(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		var links []string
		for i := range 30 {
			links = append(links, fmt.Sprintf("/book/%02d", i))
		}
		_, _ = w.Write([]byte(page(append(links, "/list")...)))
	})
	mux.HandleFunc("/book/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "<!doctype html><h1>%s</h1><p>no number</p>", r.URL.Path)
	})
	mux.HandleFunc("/list", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<!doctype html><ul><li>a<li>b</ul>"))
	})
	b := newBench(t, mux)
	b.withRules(
		harrow.Rule{Record: "book", Match: []string{"/book/*"}, Fields: harrow.Fields{
			{Name: "title", Field: harrow.Field{CSS: "h1"}}, {Name: "price", Field: harrow.Field{CSS: ".wrong"}}}},
		harrow.Rule{Record: "bad", Match: []string{"/book/*"}, Fields: harrow.Fields{
			{Name: "price", Field: harrow.Field{CSS: ".wrong", Required: true}}, {Name: "stock", Field: harrow.Field{CSS: "p", Type: "int"}}}},
		harrow.Rule{Record: "item", Match: []string{"/list"}, Each: "li", Fields: harrow.Fields{{Name: "name", Field: harrow.Field{CSS: ":scope"}}}},
		harrow.Rule{Record: "never", Match: []string{"/nowhere"}, Fields: harrow.Fields{{Name: "name", Field: harrow.Field{CSS: "h1"}}}},
	)
	b.cfg.Parse[2].Fields[0].CSS = "@class"
	parts, err := b.run(t.Context(), "http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]lakeio.RecordSample{}
	for _, r := range b.lastStatus().Sample {
		got[r.Record] = r
	}
	for _, r := range got {
		if r.Fetched != 32 {
			t.Errorf("%s: of %d pages fetched, want 32", r.Record, r.Fetched)
		}
	}
	// Busy with one page, the sample passes others over: how many it took of
	// the first 20 depends on how they came.
	book := got["book"]
	if book.Matched != 30 || book.Pages < 1 || book.Pages > 20 || book.Rows != book.Pages ||
		book.Fields[0] != (lakeio.FieldSample{Field: "title", Filled: book.Rows}) || book.Fields[1] != (lakeio.FieldSample{Field: "price"}) {
		t.Errorf("book: %+v", book)
	}
	if bad := got["bad"]; bad.Rows != 0 || bad.Rejects["required"] != bad.Pages || bad.Fields[0] != (lakeio.FieldSample{Field: "price", Required: true, Failed: bad.Pages}) {
		t.Errorf("bad: %+v", bad)
	}
	if item := got["item"]; item.Matched != 1 || item.Pages == 1 && item.Rows != 2 {
		t.Errorf("item: %+v", item)
	}
	if never := got["never"]; never.Matched != 0 || never.Pages != 0 {
		t.Errorf("never: %+v", never)
	}
	for _, p := range parts {
		if p.Table == lakeio.Rejects.Name() || p.Table == lakeio.RecordsPrefix+"book" {
			t.Errorf("the sample left %s", p.Table)
		}
	}
}

func TestASampleIsTheFirstPagesOfARuleAndThenOneInMany(t *testing.T) {
	s := &sampler{rules: []harrow.Rule{{Record: "a"}, {Record: "b"}}, matched: make([]int64, 2), parsed: make([]int64, 2),
		records: []lakeio.RecordSample{{Record: "a"}, {Record: "b"}}, begun: time.Unix(0, 0)}
	take := func(rule int) bool {
		yes := s.wants([]int{rule}, time.Unix(1, 0))
		if yes {
			s.add([]int{rule}, newSampled(s), time.Millisecond, true)
		}
		return yes
	}
	for i := range 1000 {
		if got, want := take(0), i < sampleFirst || (i+1)%sampleEvery == 0; got != want {
			t.Fatalf("page %d: in the sample %v, want %v", i+1, got, want)
		}
	}
	if !take(1) {
		t.Error("the first page of a second rule is not in the sample")
	}
	s.spent = sampleBurst + 21*time.Millisecond // 2 % of one second is 20 ms
	if take(1) {
		t.Error("a sample that has spent its time goes on")
	}
	if !s.wants([]int{1}, time.Unix(2, 0)) {
		t.Error("time that passes buys no more sample")
	}
}

// patience is how long a test waits for what must come before it fails.
const patience = time.Minute

func TestTheStatusSaysWhyEachKeyWaits(t *testing.T) {
	begun := time.Now()
	hold := make(chan struct{})
	asked := make(chan string, 10)
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" && r.Host != "new.example" {
			http.NotFound(w, r)
			return
		}
		asked <- r.Host
		<-hold
	}))
	hour := harrow.Duration(time.Hour)
	b.cfg.Fetch.Politeness.Overrides = map[string]harrow.PolitenessLimits{"slow.example": {Concurrency: 1, Delay: &hour}}
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	urls := []string{"http://new.example/", "http://slow.example/1", "http://slow.example/2"}
	for i := range 5 {
		urls = append(urls, fmt.Sprintf("http://busy.example/%d", i))
	}
	if _, err := p.Admit(t.Context(), 0, b.requests(urls...)); err != nil {
		t.Fatal(err)
	}
	for range 3 { // robots.txt of new, two pages of busy
		<-asked
	}
	want := map[string]string{
		"new.example":  "robots 1 queued 1/2 in flight, delay 0s",
		"busy.example": "concurrency 3 queued 2/2 in flight, delay 0s",
		"slow.example": "delay 2 queued 0/1 in flight, delay 1h0m0s", // robots.txt was a start
	}
	// Nobody tells when slow.example's robots.txt has been read: it is waited
	// for. What the keys say after that stands still until hold is closed.
	var st lakeio.Status
	for got := map[string]string{}; !maps.Equal(got, want); time.Sleep(time.Millisecond) {
		st = p.status(time.Now())
		clear(got)
		for _, k := range st.Keys {
			got[k.Key] = fmt.Sprintf("%s %d queued %d/%d in flight, delay %s", k.Why, k.Queued, k.InFlight, k.Concurrency, k.Delay)
		}
		if time.Since(begun) > patience {
			t.Fatalf("the keys say\n%v; want\n%v", got, want)
		}
	}
	if st.Keys[0].Key != "slow.example" || st.Next.IsZero() || st.Waiting["concurrency"] != 1 || st.Waiting["robots"] != 1 || st.Counters["requests"] != 8 {
		t.Errorf("%+v", st)
	}
	if st.Rates["requests"] != 8 {
		t.Errorf("rates %v; want those of all that the process has done, though nobody asked before", st.Rates)
	}
	p.stop(nil)
	close(hold)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if st := b.lastStatus(); st.Blocked != "stopped" || st.InFlight != 0 {
		t.Errorf("the last word: %+v", st)
	}
}

func TestTheStatusNamesTheKeysWithMostLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, kept []lakeio.KeyStatus
		for i, left := range rapid.SliceOfN(rapid.IntRange(0, 50), 0, 120).Draw(t, "left") {
			k := lakeio.KeyStatus{Key: fmt.Sprintf("%03d", i), Left: time.Duration(left)}
			all, kept = append(all, k), keepLongest(kept, k)
		}
		slices.SortStableFunc(all, func(a, b lakeio.KeyStatus) int { return int(b.Left - a.Left) })
		if want := all[:min(len(all), lakeio.StatusKeys)]; !slices.Equal(kept, want) {
			t.Fatalf("got %v, want %v", kept, want)
		}
	})
}

func TestRatesAreOfTheLastMinute(t *testing.T) {
	var m minute
	for i := range 30 {
		got := m.rates(time.Unix(int64(i*5), 0), map[string]int64{"n": int64(i * 10), "still": 7})
		if want := int64(min(i, 12) * 10); got["n"] != want || got["still"] != 0 {
			t.Fatalf("after %d s: %v, want n %d", i*5, got, want)
		}
	}
}
