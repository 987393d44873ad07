package round

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/robots"
	"github.com/harrowdata/harrow/internal/robots/policies"
	"github.com/harrowdata/harrow/io/lakeio"
)

// maxRobotsHops is what RFC 9309 section 2.3.1.2 wants followed at least.
const maxRobotsHops = 5

// obey asks an item's robots.txt whether it may be fetched: ready, or ended,
// or (neither) parked until robots.txt is known. An error is one of the disk.
// Under mu.
func (p *Process) obey(it *item, now time.Time) (ready bool, end *result, err error) {
	at := origin(it.at)
	pol, fresh, err := p.recall.robots.Get(at, now)
	if err != nil {
		return false, nil, err
	}
	ready, end = p.obeys(it, at, pol, fresh, now)
	return ready, end, nil
}

func (p *Process) obeys(it *item, at string, pol *policies.Policy, fresh bool, now time.Time) (ready bool, end *result) {
	switch {
	case !fresh && p.robots[at] != nil && p.robots[at].unreached:
		return false, it.deferred("robots", now)
	case !fresh:
		p.park(it, at)
		return false, nil
	case pol.Fails != "":
		return false, it.failed(harrow.Permanent, pol.Fails, "robots.txt of "+at+" met it first", now)
	case pol.Defers:
		return false, it.deferred(cmp.Or(pol.Because, "robots"), now)
	case pol.Group == nil:
		return true, nil
	}
	if ok, _ := pol.Group.Allowed(it.at.PathQuery()); !ok {
		c := it.capture(now)
		c.Outcome, c.Class, c.Code = harrow.Denied, "", "robots"
		return false, &result{shard: it.shard, capture: &c}
	}
	return true, nil
}

// park keeps an item, and with it its key, until the origin's robots.txt is
// known, and sees to it that somebody asks.
func (p *Process) park(it *item, at string) {
	k := it.key
	k.parked = append(k.parked, it)
	p.counts.queued++
	a, asked := p.robots[at]
	if !asked {
		a = &asking{}
		p.robots[at] = a
		k.urgent = append(k.urgent, &item{Req: harrow.Request{ID: it.Req.ID, Method: "GET", URL: at + "/robots.txt", Kind: harrow.KindRobots}, Robots: at, Shard: it.Shard})
	}
	a.waiting = append(a.waiting, k)
}

// learned tells everybody who waits what an origin's robots.txt says. A delay
// that it asks for is written down first: before a second start, so that a
// successor keeps to it.
func (p *Process) learned(s *shard, at string, pol *policies.Policy, delay time.Duration) error {
	if err := p.noteDelay(s, at, delay); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.recall.robots.Put(at, pol, time.Now()); err != nil {
		return err
	}
	return p.release(at, delay)
}

// noteDelay writes down a delay for the keys that wait for a robots.txt: it is
// theirs, wherever redirects led to.
func (p *Process) noteDelay(s *shard, at string, delay time.Duration) error {
	n := lakeio.Notes{Delays: map[string]time.Duration{}}
	p.mu.Lock()
	if a := p.robots[at]; a != nil {
		for _, k := range a.waiting {
			if delay > k.pol.Limits().Delay {
				n.Delays[k.name] = delay
			}
		}
	}
	p.mu.Unlock()
	if len(n.Delays) == 0 {
		return nil
	}
	return p.note(s, n)
}

// unreached: nobody goes on asking for a robots.txt in this round, since the key
// where it was to be asked for is given up; under mu.
func (p *Process) unreached(at string, k *key) error {
	if k.fails != "" {
		if err := p.recall.robots.Put(at, &policies.Policy{Fails: k.dead}, time.Now()); err != nil {
			return err
		}
		return p.release(at, 0)
	}
	err := p.release(at, 0)
	p.robots[at] = &asking{unreached: true}
	return err
}

// release lets the keys go on that wait for a robots.txt; under mu.
func (p *Process) release(at string, delay time.Duration) error {
	a := p.robots[at]
	delete(p.robots, at)
	if a == nil {
		return nil
	}
	for _, k := range a.waiting {
		if delay > 0 {
			p.sched.AtLeast(k.pol, delay)
		}
		if err := p.unpark(k); err != nil {
			return err
		}
	}
	p.poke()
	return nil
}

// unpark lets a key's parked requests be asked before its others; under mu.
func (p *Process) unpark(k *key) error {
	for _, it := range k.parked {
		data, err := it.encode()
		if err != nil {
			return err
		}
		if err := p.front.Push(k.name, inProgress, data); err != nil {
			return err
		}
	}
	k.parked = nil
	p.pending(k)
	return nil
}

// robotsDone handles the answer to a robots.txt request.
func (p *Process) robotsDone(it *item, resp *httpfetch.Response, failure *httpfetch.Error, now time.Time) error {
	if failure != nil {
		if failure.Class == harrow.Permanent {
			return p.learned(it.shard, it.Robots, &policies.Policy{Fails: failure.Code}, 0)
		}
		return p.robotsUnreachable(it, failure)
	}
	defer resp.Body.Close()
	if resp.Status >= 300 && resp.Status < 400 && resp.Location != "" {
		return p.robotsHop(it, resp, now)
	}
	switch robots.Status(resp.Status) {
	case robots.Defer:
		return p.robotsUnreachable(it, nil)
	case robots.AllowAll:
		return p.learned(it.shard, it.Robots, &policies.Policy{}, 0)
	}
	text, err := readAll(resp.Body, robots.MaxBytes)
	if err != nil {
		return fmt.Errorf("robots.txt of %s: %w", it.Robots, err)
	}
	file := robots.Parse(text)
	if err := p.announce(it.shard, it.Robots, file.Sitemaps()); err != nil {
		return err
	}
	group := file.Group(p.product)
	delay, _ := group.CrawlDelay()
	return p.learned(it.shard, it.Robots, &policies.Policy{Group: group}, delay)
}

// robotsUnreachable tries again, or gives the origin up for this run, unless it
// has a file of before, which goes on to count (RFC 9309 2.4).
func (p *Process) robotsUnreachable(it *item, failure *httpfetch.Error) error {
	p.mu.Lock()
	if p.mayTryAgain(int(it.Attempt), failure) && (it.key.dead == "" || it.key.ending()) && !p.stopping {
		defer p.mu.Unlock()
		return p.askRobots(it.key, it)
	}
	p.mu.Unlock()
	pol, _, err := p.recall.robots.Get(it.Robots, time.Now())
	if err != nil {
		return err
	}
	if pol == nil || pol.Fails != "" {
		pol = &policies.Policy{Defers: true}
	}
	return p.learned(it.shard, it.Robots, pol, 0)
}

// robotsHop follows a redirect of robots.txt: a start of its own host's key.
// Out of the registered domain, or after five hops, it counts as unavailable.
func (p *Process) robotsHop(it *item, resp *httpfetch.Response, now time.Time) error {
	target, err := p.site.canon.Resolve(it.at, resp.Location)
	if err != nil || it.Hop >= maxRobotsHops || canon.Domain(target.Host()) != canon.Domain(it.at.Host()) {
		return p.learned(it.shard, it.Robots, &policies.Policy{}, 0)
	}
	next := *it
	next.Hop, next.Attempt, next.Via, next.URL, next.at = it.Hop+1, 0, 0, target.String(), target
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keyOf(target, it.shard)
	if wait, _ := httpfetch.RetryAfter(resp.RetryAfter, now); wait > 0 {
		k, next.Waited = it.key, true // see hopOn
	}
	return p.askRobots(k, &next)
}

// askRobots lets a key ask for a robots.txt before anything else; under mu.
func (p *Process) askRobots(k *key, it *item) error {
	k.urgent = append(k.urgent, it)
	p.pending(k)
	p.poke()
	return nil
}

func readAll(b *httpfetch.Body, limit int64) ([]byte, error) {
	if data, ok := b.Bytes(); ok {
		return data[:min(int64(len(data)), limit)], nil
	}
	r := b.Open()
	data, err := io.ReadAll(io.LimitReader(r, limit))
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return data, err
}
