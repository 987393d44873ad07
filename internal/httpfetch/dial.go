package httpfetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/harrowdata/harrow/internal/canon"
)

var errForbidden = errors.New("the address is private or reserved (allow_private_networks)")

// dialer makes every connection: by the Resolve map, or through the guard.
type dialer struct {
	guarded  net.Dialer
	open     net.Dialer
	resolver *net.Resolver
	globs    *canon.HostGlobs
	targets  []string

	mu     sync.Mutex
	conns  map[*conn]struct{} // that are open
	closed bool
}

func newDialer(config Config) (*dialer, error) {
	globs, targets, err := compileResolve(config.Resolve)
	if err != nil {
		return nil, err
	}
	resolver, err := newResolver(config.DNS)
	if err != nil {
		return nil, err
	}
	plain := net.Dialer{Timeout: config.Timeout, KeepAlive: 30 * time.Second, Resolver: resolver}
	d := &dialer{resolver: resolver, open: plain, guarded: plain, globs: globs, targets: targets, conns: map[*conn]struct{}{}}
	if !config.AllowPrivate {
		d.guarded.Control = guard
	}
	return d, nil
}

// guard refuses forbidden addresses. It runs after name resolution, on the
// very address of each connection: a name that resolves differently the
// second time gains nothing.
func guard(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s address %q: %w", network, address, errForbidden)
	}
	if Forbidden(to.Addr()) {
		return fmt.Errorf("%s: %w", to.Addr(), errForbidden)
	}
	return nil
}

// dial is the transport's DialContext. Connections are pooled by host and
// port, so one that Resolve allows serves the name it was allowed for only.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	by, a := &d.guarded, attemptOf(ctx)
	if a != nil && a.proxy != nil {
		by = &d.open
	} else if host, port, err := net.SplitHostPort(address); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, fmt.Errorf("port %q: %w", port, err)
		}
		if i := d.globs.Longest(host, n); i >= 0 {
			by, address = &d.open, d.targets[i]
		} else if a != nil && a.addr.IsValid() {
			address = net.JoinHostPort(a.addr.String(), port)
		}
	}
	c, err := by.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return d.track(&conn{Conn: c, dialer: d, remote: c.RemoteAddr().String()})
}

// track notes an open connection.
func (d *dialer) track(c *conn) (net.Conn, error) {
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

// conn counts what is written: whether a request has left is what tells a
// harmless second attempt from a second request.
type conn struct {
	net.Conn
	dialer  *dialer
	remote  string
	written atomic.Int64
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

func (c *conn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.conns, c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}
