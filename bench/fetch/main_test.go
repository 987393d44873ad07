package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow/bench/internal/anywhere"
	"github.com/harrowdata/harrow/internal/serverlog"
)

func TestMain(m *testing.M) {
	roles.Child()
	os.Exit(m.Run())
}

func TestASmallHarvestIsJudgedByTheServersLog(t *testing.T) {
	s := scenario{Name: "t", Hosts: []int{21, 3, 1}, Latency: 5 * time.Millisecond, Concurrency: 2, CrawlDelay: 50 * time.Millisecond, Size: 7000, Rounds: 1}
	var out strings.Builder
	md := filepath.Join(t.TempDir(), "fetch.md")
	ok, err := bench(t.Context(), options{small: true, on: anywhere.On{Runner: "direct"}, md: md}, []scenario{s}, &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	if !ok {
		t.Error("it did not pass")
	}
	for _, want := range []string{"t on direct: 25 pages on 3 hosts", "harrow said", "0 violations", "29 requests", "h0000.example at the client"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the report", want)
		}
	}
	text, err := os.ReadFile(md)
	if err != nil || !strings.Contains(string(text), "| t | direct | 29 |") {
		t.Errorf("%v: the table has no such row:\n%s", err, text)
	}
}

func TestFewAndManyRequestsAreCompared(t *testing.T) {
	var out strings.Builder
	// So few cost what the start costs: the verdict says nothing.
	_, err := bench(t.Context(), options{only: "c"}, []scenario{mostHosts(100), mostHosts(400)}, &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	for _, want := range []string{"400 pages on 40 hosts, one with 200", "441 requests", "0 violations", "× what it is at 111"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the report", want)
		}
	}
	if strings.Contains(out.String(), "FAILED: h0") {
		t.Error("a host was not asked as often as it has pages")
	}
}

func TestAScenarioTravelsWhole(t *testing.T) {
	for _, s := range []scenario{bigHost(1, false), manyHosts(1, false), mostHosts(1_000_000)} {
		data, err := json.Marshal(siteConfig{s})
		if err != nil || len(data) > 100<<10 { // a process gets it in its environment
			t.Fatal(len(data), err)
		}
		var came siteConfig
		if err := json.Unmarshal(data, &came); err != nil || !reflect.DeepEqual(came.Scenario, s) {
			t.Errorf("%s came back as another: %v", s.Name, err)
		}
	}
}

// asked makes a log: each line is a path and from when to when it was asked, in
// ms.
type asked struct {
	path       string
	start, end int
}

func logged(host string, all ...asked) (entries []serverlog.Entry) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(1e12) + int64(ms)) }
	for _, a := range all {
		entries = append(entries, serverlog.Entry{Host: host, URL: "http://" + host + a.path, Start: at(a.start), End: at(a.end)})
	}
	return entries
}

// A client that asks two pages at once and waits for nothing is found out.
func TestTheJudgeFindsWhatPolitenessForbids(t *testing.T) {
	s := scenario{Hosts: []int{2}, Latency: 50 * time.Millisecond, Concurrency: 1, CrawlDelay: time.Second, Size: 1000}
	recorder := serverlog.Record(newSite(s))
	server := httptest.NewServer(recorder)
	defer server.Close()
	var clients sync.WaitGroup
	for i := range 2 {
		clients.Go(func() {
			req, _ := http.NewRequest(http.MethodGet, server.URL+path(i), nil)
			req.Host = hostName(0)
			if resp, err := server.Client().Do(req); err != nil {
				t.Error(err)
			} else if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
				t.Error(resp.Status, err)
			}
		})
	}
	clients.Wait()
	j := newJudgement(s, recorder.Requests())
	if j.polite(s, &recorder.Log, nil); len(j.Violations) != 2 || j.AtOnce != 2 || j.Gap > 50*time.Millisecond {
		t.Errorf("%q, %d at once, smallest gap %v", j.Violations, j.AtOnce, j.Gap)
	}
}

func TestEveryPageIsAskedOnce(t *testing.T) {
	s := scenario{Hosts: []int{2}, Concurrency: 1}
	all := []asked{{"/robots.txt", 0, 10}, {"/p/0.html", 100, 110}, {"/p/1.html", 200, 210}}
	tests := map[string]struct {
		log    []serverlog.Entry
		faults int
	}{
		"all is well":        {logged("h0000.example", all...), 0},
		"one was forgotten":  {logged("h0000.example", all[:2]...), 1},
		"one is asked again": {logged("h0000.example", append(all, asked{"/p/1.html", 300, 310})...), 1},
		"a stranger":         {slices.Concat(logged("h0000.example", all...), logged("h0001.example", asked{"/", 0, 1})), 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if j := newJudgement(s, tt.log); len(j.Faults) != tt.faults {
				t.Errorf("faults %q; want %d", j.Faults, tt.faults)
			}
		})
	}
}

func TestTheBoundIsTheSlowestHosts(t *testing.T) {
	const ms = time.Millisecond
	if got := (scenario{Concurrency: 4}).bound(9, 50*ms); got != 50*ms+3*50*ms {
		t.Errorf("9 requests, 4 at once: %v", got)
	}
	if got := (scenario{Concurrency: 1, CrawlDelay: time.Second}).bound(3, 50*ms); got != time.Second+2*time.Second+50*ms {
		t.Errorf("3 requests a second apart: %v", got)
	}
	s := scenario{Hosts: []int{1, 2}, Concurrency: 1}
	j := newJudgement(s, slices.Concat(
		logged("h0000.example", asked{"/robots.txt", 0, 10}, asked{"/p/0.html", 10, 20}),
		logged("h0001.example", asked{"/robots.txt", 0, 10}, asked{"/p/1.html", 12, 22}, asked{"/p/2.html", 25, 35})))
	if j.Bounding != "h0001.example" || j.Bound != 30*ms || j.Latency != 10*ms {
		t.Errorf("%s, %v at %v", j.Bounding, j.Bound, j.Latency)
	}
	if j.Slots.Idle.Sum != 5*ms || j.Slots.Idle.P99 != 3*ms || j.Slots.Took.P50 != 10*ms {
		t.Errorf("its place was idle for %+v", j.Slots.Idle)
	}
}

func TestAPlaceIsFreeWhenTheEarliestEnds(t *testing.T) {
	s := scenario{Concurrency: 2}
	got := newSlots(s, spansOf(logged("", asked{"", 0, 10}, asked{"", 10, 90}, asked{"", 10, 20}, asked{"", 24, 30}, asked{"", 31, 40}, asked{"", 90, 95})))
	// After 20, after 30, and after 40.
	if want := (4 + 1 + 50) * time.Millisecond; got.Idle.Sum != want {
		t.Errorf("%v in all, want %v", got.Idle.Sum, want)
	}
}

func TestSeedsAndLinksTogetherAreAllPages(t *testing.T) {
	s := bigHost(10_000, true)
	seeds, linked := strings.Count(s.seeds(), "/p/"), 0
	for h := range s.Hosts {
		w := httptest.NewRecorder()
		newSite(s).front(w, h)
		linked += strings.Count(w.Body.String(), "/p/")
	}
	if linked == 0 || seeds+linked != s.pages() {
		t.Errorf("%d seeds and %d links, %d pages", seeds, linked, s.pages())
	}
}
