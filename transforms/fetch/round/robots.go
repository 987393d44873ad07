package round

import (
	"fmt"
	"io"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/internal/robots"
	"github.com/harrowdata/harrow/io/lakeio"
)

// maxRobotsHops is what RFC 9309 section 2.3.1.2 wants followed at least.
const maxRobotsHops = 5

// obey asks an item's robots.txt whether it may be fetched: ready, or ended,
// or (neither) parked until robots.txt is known. Under mu.
func (p *Process) obey(it *item, now time.Time) (ready bool, end *result) {
	at := origin(it.at)
	pol := p.recall.policy(at)
	switch {
	case pol == nil:
		p.park(it, at)
		return false, nil
	case pol.fails != "":
		return false, it.failed(harrow.Permanent, pol.fails, "robots.txt of "+at+" met it first", now)
	case pol.defers:
		return false, it.deferred("robots", now)
	case pol.group == nil:
		return true, nil
	}
	if ok, _ := pol.group.Allowed(it.at.PathQuery()); !ok {
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

// learned tells everybody who waits what an origin's robots.txt says.
func (p *Process) learned(at string, pol *policy, delay time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.learnedNow(at, pol, delay)
}

// learnedNow is learned under mu.
func (p *Process) learnedNow(at string, pol *policy, delay time.Duration) error {
	p.recall.learn(at, pol)
	a := p.robots[at]
	delete(p.robots, at)
	if a == nil {
		return nil
	}
	for _, k := range a.waiting {
		if delay > 0 {
			p.sched.AtLeast(k.name, delay)
			if last, ok := p.recall.lastStart(k.name); ok { // to which the new delay applies too
				p.sched.NotBefore(k.name, last.at.Add(delay), polite.Delay)
			}
		}
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
	}
	p.poke()
	return nil
}

// robotsDone handles the answer to a robots.txt request.
func (p *Process) robotsDone(it *item, resp *httpfetch.Response, failure *httpfetch.Error) error {
	if failure != nil {
		if failure.Class == harrow.Permanent {
			return p.learned(it.Robots, &policy{fails: failure.Code}, 0)
		}
		return p.robotsUnreachable(it)
	}
	defer resp.Body.Close()
	if resp.Status >= 300 && resp.Status < 400 && resp.Location != "" {
		return p.robotsHop(it, resp.Location)
	}
	switch robots.Status(resp.Status) {
	case robots.Defer:
		return p.robotsUnreachable(it)
	case robots.AllowAll:
		return p.learned(it.Robots, &policy{}, 0)
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
	delay, ok := group.CrawlDelay()
	if ok && delay > p.delayOf(it.key) {
		// Before the key's second start, so that a successor keeps to it.
		if err := it.shard.at.Note(p.ctx, it.shard.owner, lakeio.Notes{Delays: map[string]time.Duration{it.key.name: delay}}); err != nil {
			return err
		}
	}
	return p.learned(it.Robots, &policy{group: group}, delay)
}

func (p *Process) delayOf(k *key) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sched.Limits(k.name).Delay
}

// robotsUnreachable tries again, or gives the origin up for this run.
func (p *Process) robotsUnreachable(it *item) error {
	p.mu.Lock()
	if int(it.Attempt) < p.cfg.Fetch.Retry.Attempts && it.key.dead == "" && !p.stopping {
		it.key.urgent = append(it.key.urgent, it)
		p.pending(it.key)
		p.mu.Unlock()
		p.poke()
		return nil
	}
	p.mu.Unlock()
	return p.learned(it.Robots, &policy{defers: true}, 0)
}

// robotsHop follows a redirect of robots.txt: a start of its own host's key.
// Out of the registered domain, or after five hops, it counts as unavailable.
func (p *Process) robotsHop(it *item, location string) error {
	target, err := p.site.canon.Resolve(it.at, location)
	if err != nil || it.Hop >= maxRobotsHops || canon.Domain(target.Host()) != canon.Domain(it.at.Host()) {
		return p.learned(it.Robots, &policy{}, 0)
	}
	next := *it
	next.Hop, next.Attempt, next.URL = it.Hop+1, 0, target.String()
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keyOf(target, it.shard)
	k.urgent = append(k.urgent, &next)
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
