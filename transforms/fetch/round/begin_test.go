package round

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/dnscache/dnstest"
	"github.com/harrowdata/harrow/io/lakeio"
)

// lateNames serves the name mute.example, which it takes some time for; at is
// when it answered.
func lateNames(t *testing.T, after time.Duration) (n *dnstest.Server, at *atomic.Pointer[time.Time]) {
	t.Helper()
	known := dnstest.Answer{Addrs: []string{"127.0.0.1"}}
	n, at = dnstest.Start(t, map[string]dnstest.Answer{"mute.example": {Silent: true}}), &atomic.Pointer[time.Time]{}
	timer := time.AfterFunc(after, func() {
		n.Set("mute.example", known)
		at.Store(new(time.Now()))
		n.Answer()
	})
	t.Cleanup(func() { timer.Stop() })
	return n, at
}

// gaps are the times between the starts of a key's exchanges, by the client's
// own log: on busy cores the server sees a request later than it was sent, and
// the next one less so.
func (b *bench) gaps(parts []harrow.Part, key string) (list []time.Duration) {
	b.t.Helper()
	var starts []time.Time
	for _, x := range rowsOf(b.t, b.lake, lakeio.Exchanges, parts) {
		if x.Key == key {
			starts = append(starts, x.StartedAt)
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	for i := 1; i < len(starts); i++ {
		list = append(list, starts[i].Sub(starts[i-1])+time.Microsecond) // which a table's times are cut to
	}
	return list
}

// Two requests that wait for one look-up would be sent together as soon as it
// is there.
func TestADelayCountsFromWhenARequestIsSent(t *testing.T) {
	const delay = 100 * time.Millisecond
	dns, _ := lateNames(t, 3*delay)
	var now atomic.Int64
	two := make(chan struct{}) // closed when two are in flight
	b := newBench(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if now.Add(1) == 2 {
			close(two)
		}
		select {
		case <-two: // nobody waits for another's answer
		case <-r.Context().Done():
		}
	}))
	port := b.byAddress(dns, "127.0.0.1")
	b.cfg.Fetch.Politeness.Key, b.cfg.Fetch.Politeness.Robots = harrow.KeyHost, harrow.RobotsIgnore
	spaced := harrow.Duration(delay)
	b.cfg.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 3, Delay: &spaced}
	var urls []string
	for i := range 6 {
		urls = append(urls, fmt.Sprintf("http://mute.example:%s/%d", port, i))
	}
	began := time.Now()
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	log := b.log.Requests()
	if len(log) != len(urls) || log[0].Start.Sub(began) < delay {
		t.Fatalf("%d requests, the first after %v", len(log), log[0].Start.Sub(began))
	}
	gaps := b.gaps(parts, "mute.example:"+port)
	if len(gaps) != len(urls)-1 || slices.Min(gaps) < delay {
		t.Errorf("requests were sent %v apart, want %v", gaps, delay)
	}
}

// What a request has to wait for before it is sent is no latency of the host,
// and the exchange began when it was sent.
func TestAnExchangeBeginsWhenItIsSent(t *testing.T) {
	const held = 300 * time.Millisecond
	dns, answered := lateNames(t, held)
	b := newBench(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	port := b.byAddress(dns, "127.0.0.1")
	b.cfg.Fetch.Politeness.Key, b.cfg.Fetch.Politeness.Robots = harrow.KeyHost, harrow.RobotsIgnore
	parts, err := b.run(t.Context(), "http://mute.example:"+port+"/")
	if err != nil {
		t.Fatal(err)
	}
	rows, log := rowsOf(t, b.lake, lakeio.Exchanges, parts), b.log.Requests()
	if len(rows) != 1 || len(log) != 1 {
		t.Fatalf("%d exchanges, %d requests", len(rows), len(log))
	}
	began := rows[0].StartedAt.Add(time.Microsecond) // which a table's times are cut to
	if began.Before(*answered.Load()) || began.After(log[0].Start.Add(time.Microsecond)) {
		t.Errorf("the exchange began at %v; the name was known at %v, and the server saw it at %v", began, *answered.Load(), log[0].Start)
	}
}
