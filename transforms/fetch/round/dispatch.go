package round

import (
	"errors"
	"fmt"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/io/lakeio"
)

// dispatch starts exchanges until starts end. An exchange takes its memory
// first, then its place among those in flight, its politeness slot last: what
// waits for memory must not hold a host's slot.
func (p *Process) dispatch() {
	for {
		reservation, err := p.reserve()
		if err != nil {
			if p.starts.Err() == nil {
				p.stop(err)
			}
			return
		}
		if !p.takeSlot() {
			reservation.Release()
			return
		}
		it := p.nextItem()
		if it == nil {
			reservation.Release()
			return
		}
		p.flying.Add(1)
		begun := make(chan struct{})
		go p.fly(it, reservation, begun)
		// A key's delay counts from the moment its exchange begins, not from
		// the decision: on busy cores the goroutine may be scheduled late, and
		// the next start would come too soon after it.
		<-begun
	}
}

func (p *Process) fly(it *item, reservation *httpfetch.Reservation, begun chan<- struct{}) {
	defer p.flying.Done()
	rerr := p.recallPage(it) // before the exchange begins: it takes time
	if rerr != nil {
		p.stop(rerr)
	}
	if !p.awaitPermit() {
		close(begun)
		reservation.Release()
		<-p.slots
		return // it has no capture, so a resume asks for it
	}
	if back, err := p.handBack(it); back || err != nil {
		close(begun)
		reservation.Release()
		<-p.slots
		if err != nil {
			p.stop(err)
		}
		return
	}
	at := p.begin(it)
	close(begun)
	defer p.dealtWith()
	switch err := p.exchange(it, reservation, at); {
	case errors.Is(err, lakeio.ErrLost):
		p.lose(it.shard, err)
	case err != nil:
		p.stop(err)
	}
}

// awaitPermit waits until an exchange that begins now would end before the
// permit; false: starts ended. The decision to start was made under the permit
// as well, but what came since may have taken long.
func (p *Process) awaitPermit() bool {
	for {
		if p.starts.Err() != nil {
			return false
		}
		if p.permitted(p.permit.Until(), time.Now()) {
			return true
		}
		timer := time.NewTimer(renewEvery / 10)
		select {
		case <-timer.C:
		case <-p.starts.Done():
			timer.Stop()
		}
	}
}

// permitted reports whether an exchange that begins now can't outlive a permit
// that ends at until.
func (p *Process) permitted(until, now time.Time) bool {
	return !until.Before(now.Add(time.Duration(p.cfg.Fetch.Timeout)))
}

// nextItem returns what may start now, waiting for it; nil when starts ended.
func (p *Process) nextItem() *item {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		it, ended, wait, err := p.step(time.Now())
		if err != nil {
			p.stop(err)
			return nil
		}
		for _, r := range ended {
			p.hand(r)
		}
		if it != nil {
			return it
		}
		if p.starts.Err() != nil {
			return nil
		}
		if len(ended) > 0 {
			continue
		}
		if wait <= 0 {
			wait = time.Hour
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		case <-p.starts.Done():
			return nil
		}
	}
}

// step looks once at what is to be done at now: start an item, end some
// without asking, or wait.
func (p *Process) step(now time.Time) (it *item, ended []*result, wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return nil, nil, 0, nil
	}
	switch until := p.permit.Until(); {
	case until.Before(now):
		p.stopping = true
		if p.fault == nil {
			p.fault = p.permit.Err()
		}
		p.endStarts()
		return nil, nil, 0, nil
	case !p.permitted(until, now):
		return nil, nil, renewEvery, nil // unless it is renewed
	}
	if code, left := p.over(now); code != "" {
		p.drainAll(code)
	} else if left > 0 {
		wait = left
	}
	if next := p.endBundles(now); next > 0 && (wait == 0 || next < wait) {
		wait = next
	}
	if next := p.lookUp(now); next > 0 && (wait == 0 || next < wait) {
		wait = next
	}
	down := p.noProxy(now)
	if ended, err = p.drainSome(now); len(ended) > 0 || err != nil {
		return nil, ended, 0, err
	}
	if down > 0 {
		if wait == 0 || down < wait {
			wait = down
		}
		return nil, nil, wait, nil
	}
	for {
		next, until := p.sched.Next(now)
		if next == nil {
			if until > p.patience() && p.giveUpRests(now) {
				return nil, nil, time.Nanosecond, nil // there is something to drain
			}
			if until > 0 && (wait == 0 || until < wait) {
				wait = until
			}
			return nil, ended, wait, nil
		}
		it, end, err := p.take1(next.Value.(*key), now)
		if it != nil || err != nil {
			return it, ended, 0, err
		}
		if end != nil {
			if ended = append(ended, end); len(ended) >= drainChunk {
				return nil, ended, 0, nil
			}
		}
	}
}

// over says whether everything left is to be deferred, and why; else how long
// until it is (0: never).
func (p *Process) over(now time.Time) (code string, left time.Duration) {
	if p.cfg.Round >= p.cfg.Rounds {
		return "rounds", 0
	}
	if limit := time.Duration(p.cfg.Fetch.MaxTime); limit > 0 {
		left := p.recall.fetchBegan(p.begun).Add(limit).Sub(now)
		if left <= 0 {
			return "max_time", 0
		}
		return "", left
	}
	return "", 0
}

// drainChunk bounds how much is ended under one lock.
const drainChunk = 256

// drainAll marks every key as dead, those to come too.
func (p *Process) drainAll(code string) {
	if p.dead != "" {
		return
	}
	p.dead = code
	for _, k := range p.keys {
		p.kill(k, code)
	}
}

// kill defers everything left of a key, now and later; under mu.
func (p *Process) kill(k *key, code string) {
	if k.dead == "" {
		k.dead = code
	}
	p.drain(k)
}

func (p *Process) drain(k *key) {
	if k.dead != "" && !k.draining {
		k.draining = true
		p.draining = append(p.draining, k)
	}
}

// drainSome ends up to drainChunk requests of dead keys.
func (p *Process) drainSome(now time.Time) (ended []*result, err error) {
	for len(p.draining) > 0 && len(ended) < drainChunk {
		k := p.draining[len(p.draining)-1]
		it, err := p.pop(k)
		if err != nil {
			return nil, err
		}
		if it == nil {
			p.draining = p.draining[:len(p.draining)-1]
			k.draining = false
			if !k.nameless {
				p.sched.Pending(k.pol, 0, 0)
			}
			continue
		}
		switch {
		case it.shard.closed:
		case it.login != nil: // others wait for it
			lost, err := p.unasked(it, k, now)
			if ended = append(ended, lost...); err != nil {
				return nil, err
			}
		case it.Robots != "": // others may wait for it
			if err := p.unreached(it.Robots, k); err != nil {
				return nil, err
			}
		case k.fails != "":
			ended = append(ended, it.failed(harrow.Permanent, k.dead, k.fails, now))
		default:
			ended = append(ended, it.deferred(k.dead, now))
		}
	}
	return ended, nil
}

// pop takes the key's next item out, robots.txt first, parked ones last; nil
// when there is none.
func (p *Process) pop(k *key) (*item, error) {
	it, err := p.popRaw(k)
	if it == nil || err != nil {
		return nil, err
	}
	it.shard, it.key = k.shard, k
	if it.at, err = p.site.canon.Parse(it.url()); err != nil {
		return nil, fmt.Errorf("frontier: %w", err)
	}
	if p.addrs != nil {
		p.addressed(it)
	}
	return it, nil
}

func (p *Process) popRaw(k *key) (*item, error) {
	if len(k.urgent) > 0 {
		it := k.urgent[0]
		k.urgent = k.urgent[1:]
		return it, nil
	}
	if k.dead != "" && len(k.parked) > 0 {
		it := k.parked[0]
		k.parked = k.parked[1:]
		p.counts.queued--
		return it, nil
	}
	data, ok, err := p.front.Pop(k.name)
	if !ok || err != nil {
		return nil, err
	}
	p.counts.queued--
	return decodeItem(data)
}

// take1 takes one item of a key that may start and decides: start it, or its
// robots.txt, end it without asking, or (both nil) wait for what it needs.
func (p *Process) take1(k *key, now time.Time) (*item, *result, error) {
	it, err := p.pop(k)
	if err != nil {
		return nil, nil, err
	}
	defer p.pending(k)
	switch {
	case it == nil, it.shard.closed:
		return nil, nil, nil
	case it.Waited:
		return nil, nil, p.moveOn(it)
	case k.dead != "" && !it.aside():
		return nil, it.deferred(k.dead, now), nil
	case !it.aside() && p.cfg.Fetch.Politeness.Robots != harrow.RobotsIgnore:
		ready, end, err := p.obey(it, now)
		if err != nil || !ready && (end != nil || len(k.urgent) == 0) {
			return nil, end, err
		}
		if !ready {
			// Its robots.txt starts now: if other keys had their turn first,
			// each would have a request parked before one exchange began.
			if it, err = p.pop(k); it == nil || err != nil {
				return nil, nil, err
			}
		}
	}
	if p.private(it) {
		if ready, end := p.enter(it, now); !ready {
			return nil, end, nil
		}
	}
	p.sched.Start(k.pol, now)
	return it, nil, nil
}

// deferred ends an item that is not asked for now.
func (it *item) deferred(code string, now time.Time) *result {
	c := it.capture(now)
	c.Outcome, c.Class, c.Code = harrow.Deferred, harrow.Transient, code
	r := it.Req
	r.Reason, r.NotBefore = code, time.Time{}
	if it.key.rest.After(now) {
		r.NotBefore = it.key.rest
	}
	if c.Readmitted() {
		r.Reason = ""
		return &result{shard: it.shard, capture: &c, left: &r}
	}
	return &result{shard: it.shard, capture: &c, deferred: &r}
}

// failed ends an item that can't be had; what it was goes into its reject.
func (it *item) failed(class harrow.Class, code, reason string, now time.Time) *result {
	c := it.capture(now)
	c.Outcome, c.Class, c.Code = harrow.Failed, class, code
	return &result{shard: it.shard, capture: &c, reject: it.reject(class, code, reason)}
}
