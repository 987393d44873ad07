// Package dnscache looks names up and remembers what it found for as long as
// the answer says. However many ask for a name at once, one question is sent;
// a name that nobody answers for costs the others nothing.
//
// It says nothing of where a connection may go: whoever connects judges each
// address then.
package dnscache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/harrowdata/harrow"
)

// What an answer's own time to live is held to. A name with a shorter one is
// asked for again and again for nothing, since connections are kept longer; of
// a longer one nobody would see that it has moved.
const (
	MinTTL     = 10 * time.Second
	MaxTTL     = time.Hour
	DefaultTTL = time.Minute // of what came without one: the hosts file's
	// MaxNegativeTTL bounds how long a name is taken not to exist (RFC 2308,
	// 5, allows hours: too long for a name that is only just made).
	MaxNegativeTTL = time.Minute
)

// DefaultEntries is how many names are remembered by default: about 10 MB if
// all of them are as long as names can be, 3 MB if they are usual ones.
const DefaultEntries = 16384

// maxAddrs is how many addresses of a name are kept. More are of no use to
// whoever connects, and the server says how many there are.
const maxAddrs = 16

var loopback = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// Config says how names are looked up. Its zero value is valid, but for Clock.
type Config struct {
	// Server is the ip:port of the name server. Empty: the system's.
	Server string
	// Timeout bounds a look-up that somebody waits for. 0: 30 s.
	Timeout time.Duration
	// Search tries the system's search list, as programs of one network do:
	// without it every name is a whole one, which is what the names in URLs
	// are, and one question is sent for it instead of several.
	Search bool
	// Entries is how many names are remembered. 0: [DefaultEntries].
	Entries int
	// Clock says when an entry is too old.
	Clock harrow.Clock
}

// Cache looks names up. It is safe for use by several goroutines.
type Cache struct {
	config   Config
	resolver *net.Resolver

	mu sync.Mutex
	// Two generations stand for an order of use: what is asked for moves into
	// the young one, and when that is full the old one is forgotten.
	young, old map[string]entry
	flights    map[string]*flight
}

type entry struct {
	addrs []netip.Addr
	err   error // there is no such name
	until time.Time
}

// flight is a look-up that is on its way.
type flight struct {
	entry
	done    chan struct{} // closed when entry is there
	waiters int
	cancel  context.CancelFunc
}

// New makes a cache. The error names the field that is wrong.
func New(config Config) (*Cache, error) {
	if config.Clock == nil {
		return nil, errors.New("dnscache: Clock is missing")
	}
	if config.Timeout < 0 || config.Entries < 0 {
		return nil, fmt.Errorf("dnscache: Timeout and Entries must be >= 0; got %v and %d", config.Timeout, config.Entries)
	}
	if config.Timeout == 0 {
		config.Timeout = 30 * time.Second
	}
	if config.Entries == 0 {
		config.Entries = DefaultEntries
	}
	if config.Server != "" {
		if to, err := netip.ParseAddrPort(config.Server); err != nil || to.Port() == 0 {
			return nil, fmt.Errorf("dnscache: Server is %q; want ip:port", config.Server)
		}
	}
	return &Cache{
		config:   config,
		resolver: &net.Resolver{PreferGo: true, Dial: dialServer(config.Server)},
		young:    map[string]entry{},
		flights:  map[string]*flight{},
	}, nil
}

// Lookup returns the addresses of a name, at least one, best first (RFC 6724);
// they are the cache's own, not to be changed. The error is the context's, or
// a *[net.DNSError]: IsNotFound if there is no such name or it has no address.
func (c *Cache) Lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	c.mu.Lock()
	if e, ok := c.find(name); ok {
		c.mu.Unlock()
		return e.addrs, e.err
	}
	f := c.flights[name]
	if f == nil {
		f = c.start(name)
	}
	f.waiters++
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.addrs, f.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		if c.flights[name] == f {
			delete(c.flights, name)
		}
	}
	return nil, fmt.Errorf("looking up %.300q: %w", name, ctx.Err())
}

// Forget drops what is known of a name: where none of its addresses answers,
// it may have moved.
func (c *Cache) Forget(name string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, name)
	delete(c.old, name)
}

// find returns what is known; under mu.
func (c *Cache) find(name string) (entry, bool) {
	e, young := c.young[name]
	if !young {
		old := false
		if e, old = c.old[name]; !old {
			return entry{}, false
		}
	}
	if !c.config.Clock().Before(e.until) {
		return entry{}, false
	}
	if !young {
		c.keep(name, e)
	}
	return e, true
}

// keep remembers an entry; under mu.
func (c *Cache) keep(name string, e entry) {
	if len(c.young) >= max(c.config.Entries/2, 1) {
		c.old, c.young = c.young, map[string]entry{}
	}
	c.young[name] = e
}

// start sends a look-up on its way; under mu.
func (c *Cache) start(name string) *flight {
	ctx, cancel := context.WithTimeout(context.Background(), c.config.Timeout)
	f := &flight{done: make(chan struct{}), cancel: cancel}
	c.flights[name] = f
	go func() {
		defer cancel()
		e, keep := c.ask(ctx, name)
		c.mu.Lock()
		defer c.mu.Unlock()
		f.entry = e
		close(f.done)
		if c.flights[name] == f {
			delete(c.flights, name)
			if keep {
				c.keep(name, e)
			}
		}
	}()
	return f
}

// ask looks a name up. Faults that may pass are not kept: whoever asks again
// has been made to wait by then.
func (c *Cache) ask(ctx context.Context, name string) (e entry, keep bool) {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, 6.3
		return entry{addrs: loopback, until: c.config.Clock().Add(MaxTTL)}, true
	}
	r := &record{}
	whole := name
	if !c.config.Search && strings.Contains(name, ".") { // the hosts file has names of one label
		whole += "."
	}
	addrs, err := c.resolver.LookupNetIP(context.WithValue(ctx, recordKey{}, r), "ip", whole)
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		e.addrs = append(e.addrs, a.Unmap())
	}
	var ttl time.Duration
	var dns *net.DNSError
	switch {
	case err == nil:
		ttl = r.positive()
	case errors.As(err, &dns) && dns.IsNotFound:
		e.err, ttl = err, r.negative()
	default:
		return entry{err: err}, false
	}
	e.until = c.config.Clock().Add(ttl)
	return e, true
}
