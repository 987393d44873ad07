package round

import (
	"fmt"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/io/lakeio"
)

// A host asks for rest with Retry-After (RFC 9110 10.2.3), on any answer of
// 300 and above: its key is not asked before the rest is over, by this process
// (the scheduler), by one that goes on with the shard or by a later round (the
// shard record, from [noteFrom] on), nor by the next run (not_before of what is
// deferred). A rest is waited for while there is anything else to do and
// [Process.patience] longer; then, or at once where it ends after
// fetch.max_time, what is left of the key is deferred with codeRest.

// noteFrom is from how long on a rest is written into the shard record; who
// takes a shard over waits as long anyway.
const noteFrom = time.Second

// codeRest is the code of what is deferred since its host asked for a rest that
// is not waited for.
const codeRest = "retry_after"

// asked is what a key's host asked for.
type asked struct {
	delay time.Duration
	rest  time.Time
}

// patience is how long a rest is waited for where there is nothing else to do:
// as long as for what else may be over by then, a backoff or an open breaker.
func (p *Process) patience() time.Duration {
	return time.Duration(max(p.cfg.Fetch.Retry.Cap, p.cfg.Fetch.Breaker.CoolDown))
}

// heed takes over what a shard record remembers.
func (p *Process) heed(rec lakeio.ShardRecord) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remember(lakeio.Notes{Delays: rec.Delays, Holds: rec.Holds})
	now := time.Now()
	for name := range rec.Delays {
		if k := p.keys[name]; k != nil {
			p.heedKey(k, now)
		}
	}
	for name := range rec.Holds {
		if k := p.keys[name]; k != nil {
			p.heedKey(k, now)
		}
	}
}

func (p *Process) remember(n lakeio.Notes) {
	for name, delay := range n.Delays {
		a := p.asked[name]
		a.delay = max(a.delay, delay)
		p.asked[name] = a
	}
	for name, until := range n.Holds {
		if a := p.asked[name]; until.After(a.rest) {
			a.rest = until
			p.asked[name] = a
		}
	}
}

// heedKey holds a key to what is remembered of it; under mu.
func (p *Process) heedKey(k *key, now time.Time) {
	if a, ok := p.asked[k.name]; ok {
		p.sched.AtLeast(k.pol, a.delay)
		p.rest(k, a.rest, now)
	}
}

// rest keeps a key from being asked before until; under mu.
func (p *Process) rest(k *key, until, now time.Time) {
	if most := now.Add(httpfetch.MaxRetryAfter); until.After(most) {
		until = most
	}
	if !until.After(now) || !until.After(k.rest) {
		return
	}
	k.rest = until
	if k.nameless {
		return // its successor gets it, see settleHost
	}
	p.sched.Hold(k.pol, until)
	p.recall.rests(k.name, until)
	if limit := time.Duration(p.cfg.Fetch.MaxTime); limit > 0 && until.After(p.recall.fetchBegan(p.begun).Add(limit)) {
		p.kill(k, codeRest)
	}
}

// restUntil keeps a key from being asked before what the run before was told;
// under mu.
func (p *Process) restUntil(s *shard, k *key, until time.Time) {
	now := time.Now()
	p.rest(k, until, now)
	if k.rest.Sub(now) > noteFrom {
		if s.rests == nil {
			s.rests = map[string]time.Time{}
		}
		s.rests[k.name] = k.rest
	}
}

// keepRest keeps a request's key from being asked before the request may be:
// others of the key come without a time if they were left, or deferred, before
// its host asked for rest.
func (p *Process) keepRest(s *shard, r harrow.Request) error {
	if r.NotBefore.IsZero() {
		return nil
	}
	u, err := p.site.canon.Parse(r.URL)
	if err != nil {
		return fmt.Errorf("request %s: %w", r.ID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restUntil(s, p.keyOf(u, s), r.NotBefore)
	return nil
}

// handBack puts an item back whose key was asked for rest between the decision
// to start it and now: another of its exchanges was in flight. One that finds
// out whether a session is there goes on, since others wait for it.
func (p *Process) handBack(it *item) (back bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if it.probe || !it.key.rest.After(time.Now()) {
		return false, nil
	}
	return true, p.putBack(it)
}

// putBack gives the slot of an item that was started back, and queues it again;
// under mu.
func (p *Process) putBack(it *item) error {
	p.sched.Cancel(it.key.pol)
	if it.aside() {
		it.key.urgent = append(it.key.urgent, it)
		p.pending(it.key)
		p.poke()
		return nil
	}
	data, err := it.encode()
	if err != nil {
		return err
	}
	return p.queue(it.key, inProgress, data)
}

// held is asked when the item's exchange has its connection, which may take
// long: whether the host has asked for rest meanwhile, or the exchange, begun
// now, could outlive the permit. (A process may have been stopped, and woken up,
// since it looked at that last.)
func (p *Process) held(it *item) func() bool {
	return func() bool {
		if !p.permitted(p.permit.Until(), time.Now()) {
			if it.probe { // others wait for it
				p.stop(nil)
			}
			return true
		}
		if it.probe || !it.shares { // nobody could have heard that but the exchange itself
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return it.key.rest.After(time.Now())
	}
}

// kept puts back an item whose exchange was begun, and held before it was sent.
func (p *Process) kept(it *item) error {
	p.mu.Lock()
	if it.Attempt--; it.Attempt == 0 && it.Hop == 0 {
		it.Started = time.Time{}
	}
	if it.key.unsent == it {
		it.key.unsent = nil
	}
	p.ending++ // until dealtWith
	err := p.putBack(it)
	p.mu.Unlock()
	<-p.slots
	p.poke()
	return err
}

// giveUpRests defers what is left of the keys at rest, if there is nothing else
// to do within the process's patience; under mu.
func (p *Process) giveUpRests(now time.Time) bool {
	for _, s := range p.shards {
		if !s.loaded && !s.closed && !s.held {
			return false
		}
	}
	if p.sched.InFlight() > 0 || p.addrs != nil && (p.addrs.busy > 0 || len(p.addrs.due) > 0) {
		return false
	}
	var held []*key
	for i := range p.sched.Len() {
		k := p.sched.At(i).Value.(*key)
		switch {
		case p.waiting(k) == 0 || k.shard.closed:
		case len(k.urgent) == 0 && k.gated: // it waits for another key's login
		case k.rest.Sub(now) > p.patience():
			held = append(held, k)
		default:
			return false
		}
	}
	for _, k := range held {
		p.kill(k, codeRest)
	}
	return len(held) > 0
}

// waiting is how many items a key has that are not in flight; under mu.
func (p *Process) waiting(k *key) int {
	return len(k.urgent) + len(k.parked) + int(p.front.Count(k.name))
}

// noteRest writes a rest that an answer asked for into the shard record.
func (p *Process) noteRest(it *item, rest time.Duration, now time.Time) error {
	if rest <= noteFrom {
		return nil
	}
	return p.note(it.shard, lakeio.Notes{Holds: map[string]time.Time{it.key.name: now.Add(rest)}})
}

// noteRests writes down what the run before left to rest: the rows that say so
// may all be captured when somebody else goes on.
func (p *Process) noteRests(s *shard) error {
	if len(s.rests) == 0 {
		return nil
	}
	return p.note(s, lakeio.Notes{Holds: s.rests})
}

// noting is one swap of a shard record and who waits for it.
type noting struct {
	notes lakeio.Notes
	done  chan struct{}
	err   error
}

// note makes notes part of the shard record. A swap rewrites the whole record,
// so what comes while one is under way goes into the next, together. What the
// record says already is not written again.
func (p *Process) note(s *shard, n lakeio.Notes) error {
	p.mu.Lock()
	b, first := s.notes, s.notes == nil
	if first {
		b = &noting{done: make(chan struct{}), notes: lakeio.Notes{Delays: map[string]time.Duration{}, Holds: map[string]time.Time{}}}
	}
	if !p.collect(b, n) {
		p.mu.Unlock()
		return nil
	}
	s.notes = b
	p.mu.Unlock()
	if !first {
		<-b.done
		return b.err
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	p.mu.Lock()
	s.notes = nil // who comes now begins the next one
	p.mu.Unlock()
	b.err = s.at.Note(p.ctx, s.owner, b.notes)
	close(b.done)
	return b.err
}

// collect adds to a swap what is new in n; false: nothing is.
func (p *Process) collect(b *noting, n lakeio.Notes) (added bool) {
	for name, delay := range n.Delays {
		if delay > p.asked[name].delay {
			b.notes.Delays[name], added = delay, true
		}
	}
	for name, until := range n.Holds {
		if until.After(p.asked[name].rest) {
			b.notes.Holds[name], added = until, true
		}
	}
	p.remember(n)
	return added
}

// hopOn sends an item on to where an answer of key k redirected it. Where that
// is another key and the answer asked for rest, the item waits in the queue of
// k: it is k's answer that makes it wait, and no other key's requests.
func (p *Process) hopOn(k *key, next *item, resp *httpfetch.Response, now time.Time) error {
	if wait, _ := httpfetch.RetryAfter(resp.RetryAfter, now); wait <= 0 {
		return p.again(next)
	}
	waiting := *next
	waiting.Waited = true
	data, err := waiting.encode()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue(k, waiting.priority(), data)
}

// moveOn takes a hop that has waited to its own key; under mu.
func (p *Process) moveOn(it *item) error {
	it.Waited = false
	k := p.keyOf(it.at, it.shard)
	if it.aside() {
		k.urgent = append(k.urgent, it)
		p.pending(k)
		return nil
	}
	data, err := it.encode()
	if err != nil {
		return err
	}
	return p.queue(k, it.priority(), data)
}
