package round

import (
	"time"

	"github.com/harrowdata/harrow/internal/polite"
)

// fault makes a round break a promise on purpose: those who judge politeness
// are judged by whether they notice. It doesn't travel with a Config and nothing
// but a test of this package can set it.
type fault struct {
	concurrency int  // times what is allowed; 0: once
	delay       int  // divides the delay; 0: it stays
	deaf        bool // to Retry-After
}

// limits are what the scheduler is told of a key.
func (f fault) limits(l polite.Limits) polite.Limits {
	l.Concurrency *= max(1, f.concurrency)
	l.Delay /= time.Duration(max(1, f.delay))
	return l
}

// heard is what the scheduler is told of an exchange.
func (f fault) heard(o polite.Observation) polite.Observation {
	if f.deaf {
		o.RetryAfter = 0
	}
	return o
}
