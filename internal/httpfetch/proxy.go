package httpfetch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/harrowdata/harrow"
)

// How long a proxy that failed is put aside: a random time up to a bound that
// doubles with each failure after a trial.
const (
	proxyRest    = time.Second
	proxyRestMax = 5 * time.Minute
	// proxyDoubts is how many exchanges in a row have to fail in a way that
	// may be the host's fault as well, until the proxy is put aside.
	proxyDoubts = 3
	// trialWait is when to look again for a proxy that is being tried.
	trialWait = time.Second
)

// proxies take turns. One that fails is put aside, then tried by a single
// exchange, then taken again.
type proxies struct {
	jitter func(time.Duration) time.Duration // a time up to that

	mu   sync.Mutex
	all  []*proxy
	turn int
}

type proxy struct {
	url  *url.URL
	name string // scheme://host:port

	// Of proxies.mu.
	doubts int       // in a row
	rests  int       // in a row
	until  time.Time // it is put aside until; zero: it is not
	tried  bool      // by an exchange that is on its way
	epoch  int       // rises when it is put aside: what was sent before says nothing new
}

// String is scheme://host:port, empty for nil.
func (p *proxy) String() string {
	if p == nil {
		return ""
	}
	return p.name
}

var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080"}

func newProxies(urls []string) (*proxies, error) {
	p := &proxies{jitter: func(most time.Duration) time.Duration { return rand.N(most) + 1 }}
	for i, raw := range urls {
		// The error of url.Parse has the URL in it, and that a password.
		u, err := url.Parse(raw)
		if err != nil || u.Hostname() == "" || proxyPorts[u.Scheme] == "" || u.Path != "" && u.Path != "/" {
			return nil, fmt.Errorf("Proxies[%d] is not a proxy's URL; want http, https or socks5://[user:password@]host[:port]", i)
		}
		port := u.Port()
		if port == "" {
			port = proxyPorts[u.Scheme]
		}
		p.all = append(p.all, &proxy{url: u, name: u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port)})
	}
	return p, nil
}

// ready reports whether the proxy may be used; under mu.
func (p *proxy) ready(now time.Time) bool {
	return p.until.IsZero() || !p.tried && !now.Before(p.until)
}

// take returns the proxy whose turn it is, nil without proxies, and its epoch.
// The error says when to come again.
func (p *proxies) take(now time.Time) (*proxy, int, error) {
	if len(p.all) == 0 {
		return nil, 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.all {
		next := p.all[p.turn]
		p.turn = (p.turn + 1) % len(p.all)
		if next.ready(now) {
			next.tried = !next.until.IsZero()
			return next, next.epoch, nil
		}
	}
	return nil, 0, &Error{harrow.Transient, "proxy", fmt.Errorf("%d of %d proxies are put aside; the next trial is at %s",
		len(p.all), len(p.all), p.next(now).UTC().Format(time.RFC3339))}
}

// next is when the first proxy may be tried; under mu.
func (p *proxies) next(now time.Time) (at time.Time) {
	for _, one := range p.all {
		until := one.until
		if one.tried {
			until = now.Add(trialWait)
		}
		if at.IsZero() || until.Before(at) {
			at = until
		}
	}
	return at
}

// ProxyReady reports whether an exchange may start as far as proxies go: there
// are none, or one may be used now. If not, one may be tried again at a time.
func (c *Client) ProxyReady(now time.Time) (ok bool, at time.Time) {
	p := c.proxies
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == 0 {
		return true, time.Time{}
	}
	for _, one := range p.all {
		if one.ready(now) {
			return true, time.Time{}
		}
	}
	return false, p.next(now)
}

// verdict is what an exchange says of its proxy.
type verdict int

const (
	proxyUnknown verdict = iota // nothing
	proxyWorks
	proxyDoubtful // it or the host is at fault
	proxyFails
)

// report takes in what an exchange that took the proxy in the epoch says.
func (p *proxies) report(one *proxy, epoch int, now time.Time, v verdict) {
	if one == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if one.epoch != epoch {
		return
	}
	if v == proxyDoubtful {
		if one.doubts++; one.doubts >= proxyDoubts || one.tried {
			v = proxyFails
		}
	}
	one.tried = false
	switch v {
	case proxyWorks:
		one.doubts, one.rests, one.until = 0, 0, time.Time{}
	case proxyFails:
		most := min(proxyRest<<min(one.rests, 16), proxyRestMax)
		one.until = now.Add(p.jitter(most))
		one.doubts, one.rests, one.epoch = 0, one.rests+1, one.epoch+1
	}
}

// connectError is a proxy's answer to CONNECT that is not 200.
type connectError struct{ status int }

func (e *connectError) Error() string {
	return fmt.Sprintf("the proxy answered %d to CONNECT", e.status)
}

// connected is the transport's OnProxyConnectResponse.
func connected(ctx context.Context, _ *url.URL, _ *http.Request, r *http.Response) error {
	if r.StatusCode != http.StatusOK {
		return &connectError{r.StatusCode}
	}
	if a := attemptOf(ctx); a != nil {
		a.tunnel.Store(true)
	}
	return nil
}

// throughProxy says of an exchange what it says of its proxy, and whether the
// error (nil: there was an answer) is the proxy's rather than the host's.
func (a *attempt) throughProxy(err error, status int) (v verdict, blamed error) {
	tunnelled := a.proxy.url.Scheme == "socks5" || a.tunnel.Load()
	cause := context.Cause(a.ctx)
	timeout := errors.Is(cause, errTimeout)
	switch {
	case cause != nil && !timeout:
		return proxyUnknown, nil // it was called off
	case status == http.StatusProxyAuthRequired && !a.secure:
		return proxyFails, errors.New("the proxy answered 407")
	case err == nil, a.first.Load() != 0:
		return proxyWorks, nil
	case a.connection() == nil:
		return a.noWay(err, timeout, tunnelled)
	case !a.secure && a.proxy.url.Scheme != "socks5": // whom it waited for we can't see
		return proxyDoubtful, nil
	}
	return proxyUnknown, nil
}

// noWay judges an exchange that came to no connection with the host.
func (a *attempt) noWay(err error, timeout, tunnelled bool) (verdict, error) {
	var refused *connectError
	var op *net.OpError
	switch isOp := errors.As(err, &op); {
	case timeout && !a.reached():
		return proxyFails, err
	case timeout && !a.tunnel.Load():
		return proxyDoubtful, err
	case isOp && op.Op == "proxyconnect":
		return proxyFails, err
	case errors.As(err, &refused):
		if refused.status == http.StatusProxyAuthRequired {
			return proxyFails, err
		}
		return proxyDoubtful, err
	case isOp && strings.HasPrefix(op.Op, "socks"):
		return socksFault(op)
	case timeout:
		return proxyUnknown, nil
	case tunnelled: // the handshake with the host
		return proxyWorks, nil
	}
	return proxyDoubtful, err
}

// socksFault reads a SOCKS server's reply (RFC 1928, 6) out of net/http's
// error, which has it as text only. Some replies speak of the host.
func socksFault(op *net.OpError) (verdict, error) {
	text := op.Err.Error()
	for _, host := range []string{"host unreachable", "network unreachable", "connection refused", "TTL expired"} {
		if strings.HasSuffix(text, host) {
			return proxyWorks, nil
		}
	}
	if strings.Contains(text, "authentication") {
		return proxyFails, op
	}
	return proxyDoubtful, op
}

// proxied refuses hosts that are addresses, or names of this machine, which a
// proxy would take for its own networks'. Other names it looks up itself:
// where they lead is out of sight.
func (d *dialer) proxied(host string, addr netip.Addr) error {
	name, _ := bare(strings.ToLower(host))
	name = strings.TrimSuffix(name, ".")
	literal, err := netip.ParseAddr(name)
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case err == nil && d.forbid(literal), addr.IsValid() && d.forbid(addr):
	case err != nil && last == "localhost" && d.forbid(netip.IPv6Loopback()):
	case err != nil && (strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x")):
		// Some read it as an address (2130706433, 127.1); no canonical URL
		// has it.
	default:
		return nil
	}
	return fmt.Errorf("%.300q: %w", host, errForbidden)
}
