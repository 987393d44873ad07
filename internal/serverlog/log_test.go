package serverlog

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTheLogCountsWhatIsServedAtOnce(t *testing.T) {
	const n = 5
	var arrived sync.WaitGroup
	arrived.Add(n)
	rec := Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		arrived.Wait() // nobody leaves before all are there
		w.WriteHeader(http.StatusTeapot)
	}))
	server := httptest.NewServer(rec)
	defer server.Close()
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() {
			req, _ := http.NewRequest(http.MethodGet, server.URL+"/a?b=c", nil)
			req.Host, req.Header["User-Agent"] = "Some.Example:80", []string{"test/1"}
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	clients.Wait()
	if got := rec.MostAtOnce("some.example"); got != n {
		t.Errorf("MostAtOnce = %d, want %d", got, n)
	}
	if got := rec.Count("http://some.example/a?b=c"); got != n {
		t.Errorf("Count = %d, want %d", got, n)
	}
	conns := map[string]bool{}
	for _, e := range rec.Requests() {
		conns[e.Conn] = true
		if e.Host != "some.example" || e.Method != "GET" || e.Status != http.StatusTeapot || e.UserAgent != "test/1" || e.End.Before(e.Start) {
			t.Errorf("entry %+v", e)
		}
	}
	if len(conns) != n {
		t.Errorf("%d connections, want %d", len(conns), n)
	}
}

// A client that asks the next thing as soon as it has read an answer is never
// seen as asking two at once, whatever the size of the answer and however long
// the handler lingers after its last write.
func TestAClientThatAsksOneAtATimeIsSeenSo(t *testing.T) {
	rec := Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "200000")
		_, _ = w.Write(make([]byte, 100000))
		w.(http.Flusher).Flush()
		_, _ = w.Write(nil)
		_, _ = w.Write(make([]byte, 100000))
		w.(http.Flusher).Flush()
		time.Sleep(time.Millisecond)
	}))
	server := httptest.NewServer(rec)
	defer server.Close()
	for range 30 {
		// A connection of its own each time: nothing else keeps requests apart.
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != 200000 || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		resp.Body.Close()
	}
	if got := rec.MostAtOnce(strings.TrimPrefix(server.URL, "http://")); got != 1 {
		t.Errorf("MostAtOnce = %d, want 1", got)
	}
}

func TestAPanickingHandlerLeavesNothingOpen(t *testing.T) {
	rec := Record(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	server := httptest.NewServer(rec)
	defer server.Close()
	for range 3 {
		if resp, err := server.Client().Get(server.URL); err == nil {
			resp.Body.Close()
			t.Error("an answer came")
		}
	}
	host := strings.TrimPrefix(server.URL, "http://")
	if got := rec.MostAtOnce(host); got != 1 {
		t.Errorf("MostAtOnce = %d, want 1", got)
	}
	for _, e := range rec.Requests() {
		if e.End.IsZero() || e.Status != 0 {
			t.Errorf("entry %+v", e)
		}
	}
}

// The figures that are kept while requests come agree with the entries they
// are about.
func TestLogFiguresAgreeWithItsEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log Log
		requests := rapid.SliceOfN(rapid.SampledFrom([]string{"a.example", "b.example"}), 0, 40).Draw(t, "hosts")
		var group sync.WaitGroup
		for i, host := range requests {
			group.Go(func() {
				r := httptest.NewRequestWithContext(context.Background(), "GET", "http://"+host+"/"+string(rune('a'+i%3)), nil)
				done := log.begin(r)
				for range rand.IntN(200) {
					time.Now()
				}
				done(200, false, time.Time{})
			})
		}
		group.Wait()
		entries := log.Requests()
		if len(entries) != len(requests) {
			t.Fatalf("%d entries, want %d", len(entries), len(requests))
		}
		for _, host := range []string{"a.example", "b.example"} {
			most, atMost, gap, last := 0, 0, time.Duration(math.MaxInt64), time.Time{}
			for _, e := range entries {
				if e.Host != host {
					continue
				}
				if !last.IsZero() {
					gap = min(gap, e.Start.Sub(last))
				}
				last = e.Start
				at, touching := 0, 0
				for _, o := range entries {
					// Equal times are the clock's resolution: the figure may count either way.
					if o.Host == host && !o.Start.After(e.Start) && o.End.After(e.Start) {
						at++
					}
					if o.Host == host && !o.Start.After(e.Start) && !o.End.Before(e.Start) {
						touching++
					}
				}
				most, atMost = max(most, at), max(atMost, touching)
			}
			if got := log.MostAtOnce(host); got < most || got > atMost {
				t.Fatalf("MostAtOnce(%s) = %d, entries say %d to %d", host, got, most, atMost)
			}
			if got := log.SmallestGap(host); got != gap {
				t.Fatalf("SmallestGap(%s) = %v, entries say %v", host, got, gap)
			}
		}
	})
}

func TestResetForgetsEverything(t *testing.T) {
	var log Log
	r := httptest.NewRequest("GET", "http://a.example/", nil)
	done := log.begin(r)
	log.Reset()
	done(200, false, time.Time{}) // of a request that the log no longer knows
	if len(log.Requests()) != 0 || log.MostAtOnce("a.example") != 0 || len(log.AskedTwice(false)) != 0 {
		t.Error("the log is not empty")
	}
	log.begin(r)(200, false, time.Time{})
	log.begin(r)(200, false, time.Time{})
	log.begin(httptest.NewRequest("GET", "http://a.example/robots.txt", nil))(404, false, time.Time{})
	log.begin(httptest.NewRequest("GET", "http://a.example/robots.txt", nil))(404, false, time.Time{})
	if got := log.MostAtOnce("a.example"); got != 1 {
		t.Errorf("MostAtOnce = %d, want 1", got)
	}
	if got := log.AskedTwice(true); len(got) != 1 || got["http://a.example/"] != 2 {
		t.Errorf("AskedTwice(true) = %v", got)
	}
	if got := log.AskedTwice(false); len(got) != 2 {
		t.Errorf("AskedTwice(false) = %v", got)
	}
}
