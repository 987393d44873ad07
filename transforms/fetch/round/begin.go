package round

import "time"

// The delay between two starts of a key is what its host sees: it counts from
// the moment when a request has been written to a connection. To look a name up,
// connect and shake hands may take longer than the delay, and the next request,
// on a connection that is there, would come right behind it.

// begin notes that an exchange begins: as far as is known yet the key's delay
// counts from now. Where others of the key could start before this one is
// written, they wait for that.
func (p *Process) begin(it *item) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	it.shares = it.key.pol.Limits().Concurrency > 1
	p.began(it.key, now)
	if p.spaced(it.key) {
		it.key.unsent = it
		p.pending(it.key)
	}
	return now
}

// spaced reports whether a key may have more than one exchange in flight, with
// a delay between their starts; under mu.
func (p *Process) spaced(k *key) bool {
	l := k.pol.Limits()
	return l.Concurrency > 1 && l.Delay > 0
}

// began notes that the key's delay counts from at; under mu.
func (p *Process) began(k *key, at time.Time) {
	p.sched.Began(k.pol, at)
	p.recall.started(k.name, at, k.pol.Limits().Delay)
}

// telling is what is to be called when the item's request is written; nil where
// nobody waits for that: its end comes before the key's next start anyway. A key
// without a delay may get one meanwhile.
func (p *Process) telling(it *item) func(at time.Time) {
	if !it.shares {
		return nil
	}
	return func(at time.Time) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.spaced(it.key) {
			p.settle(it, at)
			p.poke()
		}
	}
}

// settle notes when the request of an exchange that had begun was written, or
// that it came to nothing; under mu.
func (p *Process) settle(it *item, at time.Time) {
	p.began(it.key, at)
	if it.key.unsent == it {
		it.key.unsent = nil
		p.pending(it.key)
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
