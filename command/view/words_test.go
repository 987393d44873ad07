package view

import (
	"testing"

	"github.com/harrowdata/harrow/internal/polite"
)

// What the scheduler and a round say keys wait for, all of it.
func TestThereAreWordsForEveryReasonToWait(t *testing.T) {
	for _, why := range []polite.Wait{polite.Ready, polite.InFlight, polite.Delay, polite.CrawlDelay, polite.RetryAfter, polite.Backoff, polite.BreakerOpen,
		polite.Slowed, polite.Cautious, "robots", "last", "dns", "login"} {
		if reason[string(why)] == "" || reasons[string(why)] == "" {
			t.Errorf("no words for %q: one key %q, several %q", why, reason[string(why)], reasons[string(why)])
		}
	}
}
