package view

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/polite"
)

// roundsOf asks a key of one host bundle by bundle, start by start, and counts
// the bundles; 0: more than most.
func roundsOf(pages int64, concurrency int, delay, latency, bundle time.Duration, most int64) int64 {
	for n := int64(1); n <= most; n++ {
		var ends []time.Duration // of exchanges in flight
		at := time.Duration(0)
		if n > 1 {
			at += delay // it is not known when the key was asked last
		}
		at += max(latency, delay) // robots.txt
		for ; pages > 0; pages-- {
			if len(ends) == concurrency {
				at, ends = max(at, ends[0]), ends[1:]
			}
			if at > bundle {
				break
			}
			ends = append(ends, at+latency)
			at += delay
		}
		if pages == 0 {
			return n
		}
	}
	return 0
}

func TestRoundsAreThoseThatAskingTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
		}
		pages, concurrency := int64(rapid.IntRange(0, 300).Draw(t, "pages")), rapid.IntRange(1, 5).Draw(t, "concurrency")
		delay, latency, bundle := ms("delay", 40), ms("latency", 60), ms("bundle", 900)
		st := polite.Stats{Exchanges: pages + 1, Latency: latency * time.Duration(pages+1)}
		st.Limits.Concurrency, st.Limits.Delay = concurrency, delay
		got, want := roundsFor(st, bundle), roundsOf(pages, concurrency, delay, latency, bundle, 1000)
		if concurrency == 1 || delay == 0 || latency == 0 {
			if got != want {
				t.Fatalf("%d rounds, want %d", got, want)
			}
			return
		}
		// Where delay and latency hold starts back in turn the reckoning goes by
		// the one that does more often, as the bound does: it is never too bad.
		if got > want && want > 0 || got == 0 && want > 0 || 2*got < want {
			t.Fatalf("%d rounds, want %d or a little less", got, want)
		}
	})
}
