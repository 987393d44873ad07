package round

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
)

// mischief answers each request in a way that the seed decides, another one
// each time it is asked.
type mischief struct {
	seed uint64
	mu   sync.Mutex
	nth  map[string]int
}

// mischiefs are what a host may do to one request; the first ones are what
// most requests get. There is no bomb: its client gives up in the midst of what
// the server has sent, and the server can't tell when.
var mischiefs = []http.HandlerFunc{
	answers(200, "Content-Type", "text/html", `<a href="/0">first</a> <a href="/more">more</a>`),
	answers(200, "", "", "text"), answers(404, "", "", "no"), answers(200, "", "", ""),
	answers(500, "", "", ""), answers(503, "Retry-After", "0", ""), answers(429, "", "", ""), answers(403, "", "", ""),
	answers(304, "", "", ""), moves("/0"), moves("/moved"), moves("http://host-1.example/there"), moves("http://["),
	raw(true, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), raw(false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nshort"),
	raw(false, "220 mail.example ESMTP\r\n"), raw(true, ""), endless, endlessHeaders, never, drips,
}

func (m *mischief) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.nth[r.Host+r.URL.Path]++
	n := m.nth[r.Host+r.URL.Path]
	m.mu.Unlock()
	h := fnv.New64a()
	_, _ = fmt.Fprintln(h, m.seed, r.Host, r.URL.Path, n)
	x := h.Sum64() >> 20
	if x%3 > 0 {
		mischiefs[x/3%4](w, r)
		return
	}
	mischiefs[x/3%uint64(len(mischiefs))](w, r)
}

// mischiefSeeds are one seed, or with HARROW_SOAK=1 thirty; HARROW_SEED names
// the first.
func mischiefSeeds(t *testing.T) (seeds []uint64) {
	first, n := uint64(1), 1
	if text := os.Getenv("HARROW_SEED"); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("HARROW_SEED=%q: want a number from 0", text)
		}
	}
	if os.Getenv("HARROW_SOAK") == "1" {
		n = 30
	}
	for i := range n {
		seeds = append(seeds, first+uint64(i))
	}
	return seeds
}

func TestWhateverHostsDoEveryRequestEndsOnceAndNoLimitBreaks(t *testing.T) {
	for _, seed := range mischiefSeeds(t) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			b := newBench(t, &mischief{seed: seed, nth: map[string]int{}})
			b.site.Config.ErrorLog = log.New(io.Discard, "", 0)
			b.cfg.Fetch.Timeout = harrow.Duration(200 * time.Millisecond)
			b.cfg.Fetch.MaxBody = 100_000
			b.cfg.Fetch.Retry = harrow.Retry{Attempts: 3, Base: harrow.Duration(time.Millisecond), Cap: harrow.Duration(20 * time.Millisecond)}
			b.cfg.Fetch.Breaker = harrow.Breaker{Failures: 6, CoolDown: harrow.Duration(100 * time.Millisecond)}
			var urls []string
			for host := range 30 {
				for page := range 12 {
					urls = append(urls, fmt.Sprintf("http://host-%d.example/%d", host, page))
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			budget := memory.For(b.cfg.Env.Memory)
			parts, err := b.run(ctx, urls...)
			if err != nil {
				t.Fatal(err)
			}
			got, outcomes := ends(t, b.lake, parts), map[harrow.Outcome]int{}
			for _, url := range urls {
				if _, ended := got[url]; !ended {
					t.Errorf("%s has no capture", url)
				}
			}
			for url, c := range got {
				outcomes[c.Outcome]++
				if c.Attempts > 3 || c.Outcome == harrow.Fetched && c.Status != 200 || !strings.Contains(url, ".example/") {
					t.Errorf("%s: %s with status %d after %d attempts", url, c.text(), c.Status, c.Attempts)
				}
			}
			sent := rowsOf(t, b.lake, lakeio.Exchanges, parts) // a slow server learns late that its client has gone
			for _, broken := range b.log.JudgeBeside(func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 2} }, sent) {
				if broken.Rule == serverlog.HoldUp { // the machine is busy: there is no delay to keep
					continue
				}
				t.Error(broken)
				for _, e := range b.log.Requests() {
					if e.Host == broken.Key {
						t.Logf("%s to %s: %s, %d, cut %v, %s", e.Start.Format("05.0000"), e.End.Format("05.0000"), e.URL, e.Status, e.Cut, e.Conn)
					}
				}
			}
			for _, share := range []*memory.Share{budget.Bodies, budget.Batches, budget.Seen} {
				if n := share.Used(); n != 0 {
					t.Errorf("%d bytes of a share are still held", n)
				}
			}
			t.Logf("%d requests sent, %d ended: %v", len(b.log.Requests()), len(got), outcomes)
		})
	}
}
