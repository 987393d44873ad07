package round

import (
	"fmt"
	"time"

	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/polite"
)

// What the dispatcher waits for where that is no politeness key. It says so
// itself before it waits: what a full share or a full channel looks like from
// outside is a guess.
const (
	forMemory = "memory for bodies: limits.memory is spent"
	forPermit = "the right to start exchanges: it has to be renewed first"
	forShards = "another worker holds the shard"
	forWriter = "the workspace: what was fetched is being written"
)

// forSlots is said where as many are in flight as may be.
func (p *Process) forSlots() string {
	return fmt.Sprintf("fetch.in_flight: %d exchanges are in flight", p.cfg.Fetch.InFlight)
}

// awaits notes what the dispatcher waits for; the returned function that it
// does no more.
func (p *Process) awaits(what string) (over func()) {
	p.waitsFor.Store(&what)
	return func() { p.waitsFor.Store(nil) }
}

// reserve takes the memory of one exchange.
func (p *Process) reserve() (*httpfetch.Reservation, error) {
	if r, ok := p.client.TryReserve(); ok {
		return r, nil
	}
	defer p.awaits(forMemory)()
	return p.client.Reserve(p.starts)
}

// takeSlot takes a place among the exchanges in flight; false: starts ended.
func (p *Process) takeSlot() bool {
	select {
	case p.slots <- struct{}{}:
		return true
	default:
	}
	defer p.awaits(p.forSlots())()
	select {
	case p.slots <- struct{}{}:
		return true
	case <-p.starts.Done():
		return false
	}
}

// hand gives a result of the dispatcher to the writer.
func (p *Process) hand(r *result) {
	select {
	case p.results <- r:
		return
	default:
	}
	defer p.awaits(forWriter)()
	p.results <- r
}

// blocked says what holds all starts back, if something does; under mu.
func (p *Process) blocked(now time.Time) string {
	if p.stopping {
		return "stopped"
	}
	if what := p.waitsFor.Load(); what != nil {
		return *what
	}
	if until := p.permit.Until(); !p.permitted(until, now) {
		return forPermit
	}
	if text := p.proxyStatus(now); text != "" {
		return text
	}
	switch {
	case p.waitsForShards():
		return forShards
	case p.sched.InFlight() > 0 || p.ending == 0:
		return ""
	case len(p.results) == cap(p.results):
		return forWriter
	}
	return fmt.Sprintf("processors: %d answers are being looked into for links", p.ending)
}

// waitsForShards reports whether there is nothing to do until other workers
// let shards go; under mu.
func (p *Process) waitsForShards() bool {
	held := false
	for _, s := range p.shards {
		if !s.closed && !s.held {
			return false
		}
		held = held || s.held
	}
	return held
}

// dealtWith counts an answer that was dealt with.
func (p *Process) dealtWith() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending--
}

// whyOf is why a key waits that the scheduler says this of.
func whyOf(k *key, why polite.Wait, inFlight int) string {
	switch {
	case k.gated:
		return whyLogin
	case len(k.parked) > 0:
		switch why {
		case polite.RetryAfter, polite.Backoff, polite.BreakerOpen, polite.Cautious:
			return string(why) // so does its robots.txt
		}
		return whyRobots
	case k.unsent != nil:
		return string(polite.Delay) // which has not begun
	case why == polite.Idle && inFlight > 0:
		return whyLast
	}
	return string(why)
}
