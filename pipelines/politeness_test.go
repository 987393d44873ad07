package pipelines

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// jitter is what mostly lies between the start that the scheduler decides and
// the one that the server sees, at most.
const jitter = 2 * time.Millisecond

// checkPoliteness holds the limits against two logs. The server's knows how
// many requests it had at once, and when each came: on busy cores, or over a
// new connection, one comes late and the next one at once, so few gaps may be
// smaller than the delay, and many starts in a row must take their time. The
// workers' own, table exchanges, is exact to the microsecond.
func (b *bench) checkPoliteness() {
	b.t.Helper()
	starts := map[string][]time.Time{}
	for _, e := range b.log.Requests() {
		starts[e.Host] = append(starts[e.Host], e.Start)
	}
	sent := b.sent()
	for host, l := range b.limits {
		if most := b.log.MostAtOnce(host); most > l.concurrency {
			b.t.Errorf("%s: %d requests at once, %d are allowed", host, most, l.concurrency)
		}
		window, late, early := 10, 10*jitter, 0
		if b.loose {
			window, late = 40, 30*jitter
		}
		for i, at := range starts[host] {
			if i > 0 && at.Sub(starts[host][i-1]) < l.delay-jitter {
				early++
			}
			if least := time.Duration(window) * l.delay; i >= window && at.Sub(starts[host][i-window]) < least-late {
				b.t.Errorf("%s: %d starts within %v, want %v", host, window, at.Sub(starts[host][i-window]), least)
				break
			}
		}
		if !b.loose && early > 2+len(starts[host])/20 {
			b.t.Errorf("%s: %d of %d requests came less than %v after the one before", host, early, len(starts[host]), l.delay-jitter)
		}
		for i := 1; i < len(sent[host]); i++ {
			if gap := sent[host][i].Sub(sent[host][i-1]); gap < l.delay-2*time.Microsecond {
				b.t.Errorf("%s: two exchanges started %v apart, want %v", host, gap, l.delay)
				break
			}
		}
	}
}

// sent is when the exchanges of all committed rounds of all runs started, by
// key, in order.
func (b *bench) sent() map[string][]time.Time {
	b.t.Helper()
	ctx, sent := context.Background(), map[string][]time.Time{}
	if _, err := os.Stat(b.dir); err != nil {
		return sent
	}
	store, err := lakeio.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	jobs, err := lakeio.Jobs(ctx, store)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, job := range jobs {
		runs, err := lakeio.Runs(ctx, store, job)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, run := range runs {
			l := lakeio.Lake{Store: store, Job: job, Run: run}
			for r := range 10 {
				m, err := l.Manifest(ctx, lakeio.FetchStage(r))
				if errors.Is(err, lakeio.ErrNotFound) {
					break
				}
				if err != nil {
					b.t.Fatal(err)
				}
				for _, part := range m.TablesOf(lakeio.Exchanges.Name()) {
					for e, err := range lakeio.ReadRows(ctx, store, lakeio.Exchanges, part) {
						if err != nil {
							b.t.Fatal(err)
						}
						key := strings.Clone(e.Key)
						sent[key] = append(sent[key], e.StartedAt)
					}
				}
			}
		}
	}
	for _, list := range sent {
		slices.SortFunc(list, time.Time.Compare)
	}
	return sent
}
