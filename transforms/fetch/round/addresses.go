package round

import (
	"container/heap"
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/io/lakeio"
)

// lookupsAtOnce bounds the names that are being looked up. A resolver answers
// in milliseconds or not at all; this many keep it busy and don't flood it.
const lookupsAtOnce = 16

// addresses says, with politeness key ip, where each host is asked; under
// Process.mu. A host's requests need its address before they have a key: until
// it is known they wait in a key of the host's own that never starts. Then
// that key's chain is put behind the address's, and what comes later goes there
// straight. A host keeps its address for as long as the process works on the
// run, and its exchanges go to that one alone: asked through two addresses, it
// would be asked at twice its pace.
//
// Of several addresses the least is taken (of the family that the resolver
// names first), so that hosts which share a set of them share one key. IPv6
// counts by full address: who has a /64 may have put a machine on each.
type addresses struct {
	hosts map[string]*host // by name and port
	due   lookups          // hosts to be looked up
	busy  int              // lookups on their way
}

// host is a server that is asked: a name and a port.
type host struct {
	at       string // name:port
	name     string
	addr     netip.Addr // invalid: not known yet
	pinned   bool       // connect to addr; else fetch.resolve says where to
	key      *key       // of its requests
	admitted int64      // requests, for max_pages
	attempt  int        // lookups that failed
	next     time.Time  // no lookup before
}

// newAddresses returns nil where keys are no addresses.
func newAddresses(cfg Config) *addresses {
	if cfg.Fetch.Politeness.Key != harrow.KeyIP {
		return nil
	}
	return &addresses{hosts: map[string]*host{}}
}

// hostOf returns the host of a URL, which belongs to the shard; under mu.
func (p *Process) hostOf(u canon.URL, s *shard) *host {
	at := net.JoinHostPort(u.Host(), strconv.Itoa(u.Port()))
	h, ok := p.addrs.hosts[at]
	if !ok {
		h = &host{at: at, name: u.Host()}
		p.addrs.hosts[at] = h
		p.locate(h, u)
		if h.addr.IsValid() {
			h.key = p.keyNamed(h.addr.String(), s)
		} else {
			h.key = &key{name: at, shard: s, dead: p.dead, nameless: true}
			p.keys[at] = h.key
			heap.Push(&p.addrs.due, h)
		}
	} else if h.addr.IsValid() {
		p.keyNamed(h.addr.String(), s) // for what a former owner of the shard may have started
	}
	return h
}

// locate finds the address of a host where nobody has to be asked for it.
func (p *Process) locate(h *host, u canon.URL) {
	if addr, ok := p.client.Resolved(h.name, u.Port()); ok {
		h.addr = plainAddr(addr)
	} else if addr, err := netip.ParseAddr(h.name); err == nil {
		h.addr = plainAddr(addr)
	} else if h.addr = p.recall.addr(h.at); h.addr.IsValid() {
		h.pinned = true
	}
}

// plainAddr is an address as it names a key: one spelling each.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// admitted is what max_pages is held against: of the key, or with key ip of
// the host, since requests are admitted before addresses are known.
func (p *Process) admitted(u canon.URL, k *key) *int64 {
	if p.addrs != nil {
		return &p.hostOf(u, k.shard).admitted
	}
	return &k.admitted
}

// addressed tells an item taken out whose it is and where to connect.
func (p *Process) addressed(it *item) {
	it.shard = p.shards[it.Shard]
	h := p.hostOf(it.at, it.shard)
	if h.pinned {
		it.addr = h.addr
	}
	if it.Hop == 0 && h.addr.IsValid() {
		it.Key = h.key.name
	}
}

// lookUp starts what lookups may be started and returns the time until the
// next one may; 0: there is none, or one that ends will see to it. Under mu.
func (p *Process) lookUp(now time.Time) time.Duration {
	a := p.addrs
	if a == nil {
		return 0
	}
	for a.busy < lookupsAtOnce {
		h := a.take(now)
		if h == nil {
			break
		}
		a.busy++
		p.flying.Add(1)
		go p.lookups(h)
	}
	if len(a.due) == 0 {
		return 0
	}
	return max(0, a.due[0].next.Sub(now))
}

// take takes out the host that is due for a lookup.
func (a *addresses) take(now time.Time) *host {
	for len(a.due) > 0 && !a.due[0].next.After(now) {
		if h := heap.Pop(&a.due).(*host); h.key.dead == "" {
			return h
		}
	}
	return nil
}

// lookups looks a host's address up, and then others' that are due.
func (p *Process) lookups(h *host) {
	defer p.flying.Done()
	for h != nil {
		ctx, cancel := context.WithTimeout(p.starts, time.Duration(p.cfg.Fetch.Timeout))
		found, err := p.client.Lookup(ctx, h.name)
		cancel()
		now := time.Now()
		p.mu.Lock()
		if !p.stopping {
			err = p.located(h, found, err, now)
		}
		if h = nil; err == nil && !p.stopping {
			h = p.addrs.take(now)
		}
		if h == nil {
			p.addrs.busy--
		}
		stopping := p.stopping
		p.mu.Unlock()
		p.poke()
		if err != nil && !stopping {
			p.stop(err)
		}
	}
}

// located sees to what a lookup found; an error is one of the disk. Under mu.
func (p *Process) located(h *host, found []netip.Addr, err error, now time.Time) error {
	if h.key.dead != "" {
		return nil
	}
	if err == nil && len(found) > 0 {
		return p.settleHost(h, leastOf(found))
	}
	failure := &httpfetch.Error{Class: harrow.Transient, Code: "timeout", Err: err} // where it is the context's
	if errors.As(err, &failure) && failure.Class == harrow.Permanent {
		h.key.fails = failure.Error()
		p.kill(h.key, failure.Code)
		return nil
	}
	if h.attempt++; !p.mayTryAgain(h.attempt, failure) {
		p.kill(h.key, "dns")
		return nil
	}
	h.next = now.Add(p.sched.Backoff(h.attempt))
	heap.Push(&p.addrs.due, h)
	return nil
}

// settleHost moves a host's requests to the key of its address.
func (p *Process) settleHost(h *host, addr netip.Addr) error {
	old, to := h.key, p.keyNamed(addr.String(), h.key.shard)
	h.addr, h.pinned, h.key = addr, true, to
	p.recall.resolved(h.at, addr)
	delete(p.keys, old.name)
	to.urgent = append(to.urgent, old.urgent...)
	p.rest(to, old.rest, time.Now())
	err := p.front.Move(old.name, to.name)
	p.pending(to)
	return err
}

// leastOf is the least of the addresses that are of the first one's family.
func leastOf(found []netip.Addr) netip.Addr {
	least := plainAddr(found[0])
	for _, a := range found[1:] {
		if a = plainAddr(a); a.Is4() == least.Is4() && a.Less(least) {
			least = a
		}
	}
	return least
}

// namelessStatus adds the hosts that wait for their address; under mu.
func (p *Process) namelessStatus(st *lakeio.Status, now time.Time) {
	if p.addrs == nil {
		return
	}
	for _, h := range p.addrs.hosts {
		n := p.front.Count(h.key.name) + int64(len(h.key.urgent))
		if !h.key.nameless || h.key.dead != "" || n == 0 {
			continue
		}
		one := lakeio.KeyStatus{Key: h.at, Why: whyDNS, Queued: n, Concurrency: 1}
		if h.next.After(now) {
			one.Until = h.next
		}
		note(st, one)
	}
}

// lookups is a heap of hosts by when they are due.
type lookups []*host

func (l lookups) Len() int           { return len(l) }
func (l lookups) Less(i, j int) bool { return l[i].next.Before(l[j].next) }
func (l lookups) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lookups) Push(x any)        { *l = append(*l, x.(*host)) }
func (l *lookups) Pop() any {
	old := *l
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*l = old[:len(old)-1]
	return h
}
