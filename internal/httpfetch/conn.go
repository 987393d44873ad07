package httpfetch

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection of ours. It counts what is written: whether a request
// has left is what tells a harmless second attempt from a second request.
type conn struct {
	net.Conn
	dialer  *dialer
	remote  string
	fixed   bool         // Resolve said where it leads
	used    atomic.Bool  // by an exchange
	written atomic.Int64 // bytes

	mu     sync.Mutex
	closed bool
	pulse  chan struct{} // closed by the next write, or Close; nil: nobody waits
}

func (c *conn) Write(b []byte) (int, error) {
	if may := c.dialer.permitted; may != nil && !may() {
		return 0, ErrNotPermitted
	}
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	c.beat(false)
	return n, err
}

func (c *conn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.conns, c)
	c.dialer.mu.Unlock()
	err := c.Conn.Close()
	c.beat(true)
	if errors.Is(err, net.ErrClosed) {
		return nil // by the end of its exchange, before net/http did
	}
	return err
}

func (c *conn) beat(closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = c.closed || closed
	if c.pulse != nil {
		close(c.pulse)
		c.pulse = nil
	}
}

// wrote waits until more than n bytes are written, or the connection is
// closed; false: it took too long.
func (c *conn) wrote(n int64, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		c.mu.Lock()
		if c.closed || c.written.Load() > n {
			c.mu.Unlock()
			return true
		}
		if c.pulse == nil {
			c.pulse = make(chan struct{})
		}
		pulse := c.pulse
		c.mu.Unlock()
		select {
		case <-pulse:
		case <-timer.C:
			return false
		}
	}
}

// leadsTo reports whether it was made to the address.
func (c *conn) leadsTo(addr netip.Addr) bool {
	to, err := netip.ParseAddrPort(c.remote)
	return c.fixed || err == nil && to.Addr().Unmap() == addr.Unmap()
}

// shared reports whether a connection carries several exchanges at once.
func shared(c net.Conn) bool {
	t, ok := c.(*tls.Conn)
	return ok && t.ConnectionState().NegotiatedProtocol == "h2"
}
