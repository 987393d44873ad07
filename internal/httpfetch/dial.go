package httpfetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/dnscache"
)

// happyDelay is how long one family of addresses is waited for before the
// other one is tried as well (RFC 6555; net.Dialer's own).
const happyDelay = 300 * time.Millisecond

var errForbidden = errors.New("the address is private or reserved (allow_private_networks)")

// dialer makes every connection: by the Resolve map, to a proxy, or through
// the guard.
type dialer struct {
	guarded net.Dialer
	open    net.Dialer
	forbid  func(netip.Addr) bool
	names   *dnscache.Cache
	globs   *canon.HostGlobs
	targets []netip.AddrPort // port 0: the URL's
	// permitted is Config.Permitted.
	permitted func() bool

	mu     sync.Mutex
	conns  map[*conn]struct{} // that are open
	closed bool
}

func newDialer(config Config) (*dialer, error) {
	globs, targets, err := compileResolve(config.Resolve)
	if err != nil {
		return nil, err
	}
	if to, err := netip.ParseAddrPort(config.DNS); config.DNS != "" && (err != nil || to.Port() == 0) {
		return nil, fmt.Errorf("DNS is %q; want ip:port", config.DNS)
	}
	// A search list serves names of one's own network: those of private
	// addresses. Whoever waits for a look-up has the deadline of its exchange.
	names, err := dnscache.New(dnscache.Config{Server: config.DNS, Timeout: 2 * config.Timeout, Search: config.AllowPrivate, Clock: config.Clock})
	if err != nil {
		return nil, err
	}
	plain := net.Dialer{Timeout: config.Timeout, KeepAlive: 30 * time.Second}
	d := &dialer{open: plain, guarded: plain, forbid: Forbidden, names: names, globs: globs, targets: targets, permitted: config.Permitted, conns: map[*conn]struct{}{}}
	if config.AllowPrivate {
		d.forbid = func(netip.Addr) bool { return false }
	}
	d.guarded.Control = d.guard
	return d, nil
}

// guard refuses forbidden addresses. It runs after name resolution, on the
// very address of each connection: a name that resolves differently the
// second time gains nothing.
func (d *dialer) guard(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s address %q: %w", network, address, errForbidden)
	}
	if d.forbid(to.Addr()) {
		return fmt.Errorf("%s: %w", to.Addr(), errForbidden)
	}
	return nil
}

// dial is the transport's DialContext. Connections are pooled by host and
// port, so one that Resolve allows serves the name it was allowed for only.
// net/http lets a dial go on when the exchange it was for has ended; that
// would be a connection nobody answers for.
func (d *dialer) dial(ctx context.Context, _, address string) (net.Conn, error) {
	a := attemptOf(ctx)
	if a != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(a.ctx, cancel)()
	}
	c, fixed, err := d.connect(ctx, a, address)
	if err != nil {
		return nil, err
	}
	own, err := d.track(&conn{Conn: c, dialer: d, remote: c.RemoteAddr().String(), fixed: fixed})
	if err == nil {
		err = a.dialled(own)
	}
	if err != nil {
		return nil, err // not own: a nil *conn is no nil net.Conn
	}
	return own, nil
}

// connect chooses the way to host:port. fixed says that Resolve did.
func (d *dialer) connect(ctx context.Context, a *attempt, address string) (c net.Conn, fixed bool, err error) {
	host, port, err := splitHostPort(address)
	if err != nil {
		return nil, false, err
	}
	switch i := d.globs.Longest(host, int(port)); {
	case a != nil && a.proxy != nil:
		c, err = d.name(ctx, &d.open, host, port)
	case i >= 0:
		to := d.targets[i]
		if to.Port() == 0 {
			to = netip.AddrPortFrom(to.Addr(), port)
		}
		c, err = d.open.DialContext(ctx, "tcp", to.String())
		return c, true, err
	case a != nil && a.addr.IsValid():
		c, err = d.any(ctx, &d.guarded, []netip.Addr{a.addr.Unmap()}, port)
	default:
		c, err = d.name(ctx, &d.guarded, host, port)
	}
	return c, false, err
}

func splitHostPort(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: %w", address, err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q: %w", text, err)
	}
	return host, uint16(n), nil
}

// name connects to one of a host's addresses. Where none answers, they are
// looked up again the next time.
func (d *dialer) name(ctx context.Context, by *net.Dialer, host string, port uint16) (net.Conn, error) {
	addrs, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	if by.Control != nil {
		if addrs, err = d.allowed(addrs); err != nil {
			return nil, err
		}
	}
	c, err := d.any(ctx, by, addrs, port)
	if err != nil && ctx.Err() == nil {
		d.names.Forget(host)
	}
	return c, err
}

// addresses are those of a host, which may be one itself.
func (d *dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	return d.names.Lookup(ctx, host)
}

// allowed leaves out what the guard would refuse: where a name has addresses
// of both kinds, the public ones serve.
func (d *dialer) allowed(addrs []netip.Addr) (left []netip.Addr, err error) {
	for _, a := range addrs {
		if !d.forbid(a) {
			left = append(left, a)
		}
	}
	if len(left) == 0 {
		return nil, fmt.Errorf("%s: %w", addrs[0], errForbidden)
	}
	return left, nil
}

// any connects to the first address that answers: of the first one's family
// one after the other, and after a while of the other family beside it.
func (d *dialer) any(ctx context.Context, by *net.Dialer, addrs []netip.Addr, port uint16) (net.Conn, error) {
	var first, second []netip.Addr
	for _, a := range addrs {
		if a.Is4() == addrs[0].Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	if len(second) == 0 {
		return serial(ctx, by, first, port)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		c   net.Conn
		err error
	}
	results := make(chan result)
	try := func(addrs []netip.Addr) {
		c, err := serial(ctx, by, addrs, port)
		select {
		case results <- result{c, err}:
		case <-ctx.Done(): // the other family was faster
			if err == nil {
				_ = c.Close()
			}
		}
	}
	go try(first)
	timer := time.NewTimer(happyDelay)
	defer timer.Stop()
	var failed error
	for pending, more := 1, true; pending > 0; {
		select {
		case <-timer.C:
		case r := <-results:
			if r.err == nil {
				return r.c, nil
			}
			if pending--; failed == nil {
				failed = r.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if more {
			pending, more = pending+1, false
			go try(second)
		}
	}
	return nil, failed
}

// serial tries one address after the other, each for its part of the time.
// The error is that of the first.
func serial(ctx context.Context, by *net.Dialer, addrs []netip.Addr, port uint16) (net.Conn, error) {
	each := *by
	each.Timeout = by.Timeout / time.Duration(len(addrs))
	var failed error
	for _, a := range addrs {
		c, err := each.DialContext(ctx, "tcp", netip.AddrPortFrom(a, port).String())
		if err == nil {
			return c, nil
		}
		if failed == nil {
			failed = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// track notes an open connection.
func (d *dialer) track(c *conn) (*conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.Join(fmt.Errorf("the client was closed: %w", net.ErrClosed), c.Conn.Close())
	}
	d.conns[c] = struct{}{}
	return c, nil
}

// close closes what is still open, and all that is dialled after it.
func (d *dialer) close() {
	d.mu.Lock()
	d.closed = true
	var open []*conn
	for c := range d.conns {
		open = append(open, c)
	}
	d.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // nothing waits for what is in it
	}
}
