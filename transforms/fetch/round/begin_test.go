package round

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// release sends, until the test ends, what the mute have held for some time.
func (n *names) release(t *testing.T, after time.Duration) {
	over := make(chan struct{})
	released := make(chan struct{})
	go func() {
		defer close(released)
		for {
			select {
			case <-over:
				return
			case <-time.After(after):
			}
			n.mu.Lock()
			for _, answer := range n.held {
				answer()
			}
			n.held = nil
			n.mu.Unlock()
		}
	}()
	t.Cleanup(func() { close(over); <-released })
}

// Two requests that wait for one look-up would be sent together as soon as it
// is there.
func TestADelayCountsFromWhenARequestIsSent(t *testing.T) {
	const delay = 100 * time.Millisecond
	dns := newNames(t, map[string][]string{"mute.example": {"127.0.0.1"}})
	dns.release(t, 3*delay)
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
	dns := newNames(t, map[string][]string{"mute.example": {"127.0.0.1"}})
	dns.release(t, held)
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
