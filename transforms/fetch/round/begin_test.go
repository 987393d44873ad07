package round

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/dnscache/dnstest"
	"github.com/harrowdata/harrow/io/lakeio"
)

// lateNames serves the name mute.example, which it takes some time for.
func lateNames(t *testing.T, after time.Duration) *dnstest.Server {
	t.Helper()
	known := dnstest.Answer{Addrs: []string{"127.0.0.1"}}
	n := dnstest.Start(t, map[string]dnstest.Answer{"mute.example": {Silent: true}})
	timer := time.AfterFunc(after, func() {
		n.Set("mute.example", known)
		n.Answer()
	})
	t.Cleanup(func() { timer.Stop() })
	return n
}

// Two requests that wait for one look-up would be sent together as soon as it
// is there.
func TestADelayCountsFromWhenARequestIsSent(t *testing.T) {
	const delay = 100 * time.Millisecond
	dns := lateNames(t, 3*delay)
	b := newBench(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(3 * delay / 2) }))
	port := b.byAddress(dns, "127.0.0.1")
	b.cfg.Fetch.Politeness.Key, b.cfg.Fetch.Politeness.Robots = harrow.KeyHost, harrow.RobotsIgnore
	spaced := harrow.Duration(delay)
	b.cfg.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 3, Delay: &spaced}
	var urls []string
	for i := range 6 {
		urls = append(urls, fmt.Sprintf("http://mute.example:%s/%d", port, i))
	}
	began := time.Now()
	if _, err := b.run(t.Context(), urls...); err != nil {
		t.Fatal(err)
	}
	log := b.log.Requests()
	if len(log) != len(urls) || log[0].Start.Sub(began) < delay {
		t.Fatalf("%d requests, the first after %v", len(log), log[0].Start.Sub(began))
	}
	if gap := b.log.SmallestGap("127.0.0.1"); gap < delay-5*time.Millisecond {
		t.Errorf("two requests came %v apart, want %v", gap, delay)
	}
	if most := b.log.MostAtOnce("127.0.0.1"); most < 2 {
		t.Errorf("%d at once: they wait for each other's answers", most)
	}
}

// What a request has to wait for before it is sent is no latency of the host,
// and the exchange began when it was sent.
func TestAnExchangeBeginsWhenItIsSent(t *testing.T) {
	const held = 300 * time.Millisecond
	dns := lateNames(t, held)
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
	if way := log[0].Start.Sub(rows[0].StartedAt); way < -time.Microsecond || way > held/2 {
		t.Errorf("the exchange began %v before the server saw it", way)
	}
}
