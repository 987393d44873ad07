package httpfetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStale is wrapped by the error (class transient, code "reset") of a
// request that was sent on a kept connection which the server was closing.
// Nothing is known to be wrong with the server: the caller may ask again as
// soon as politeness allows.
var ErrStale = errors.New("the kept connection was closed before the answer")

// ErrHeld is wrapped by the error (class transient, code "held") of a request
// that [Request].Held kept back: the server has not seen it.
var ErrHeld = errors.New("it was kept back before it was sent")

// ErrNotPermitted is wrapped by the error (class transient, code "held") of a
// request that met [Config].Permitted saying no. The server may have seen a part
// of it.
var ErrNotPermitted = errors.New("the right to send was over")

var errTimeout = errors.New("the exchange took too long")

// resetWait bounds how long the end of an exchange waits for the frame that
// tells an HTTP/2 server of it. A connection that doesn't take it by then is
// closed.
const resetWait = time.Second

// attempt watches one exchange inside net/http, which likes to repeat requests
// by itself: HTTP/1 ones that found their kept connection closed, HTTP/2 ones
// that the server refused or that a GOAWAY passed over. Those would be
// requests that no log shows and no politeness paid for. So a second attempt
// is let through only if the first one put no byte on the wire.
//
// It also sees to it that the server knows of the exchange's end before its
// caller does: net/http cancels first and closes later, and by then the next
// exchange with the host may have begun.
type attempt struct {
	moments
	ctx    context.Context // ends with the exchange
	cancel context.CancelCauseFunc
	secure bool       // https
	proxy  *proxy     // nil: direct
	epoch  int        // of the proxy
	addr   netip.Addr // to connect to; zero: look the host up
	held   func() bool

	tunnel atomic.Bool // the proxy has answered CONNECT
	wrote  atomic.Bool // the request's headers were handed to a connection
	kept   atomic.Bool // net/http keeps the connection for another exchange
	back   atomic.Bool // held has kept it back

	mu     sync.Mutex // the timer and net/http have goroutines of their own
	conn   *conn      // nil until there is a connection
	shared bool       // it carries other exchanges, too: HTTP/2
	before int64      // bytes written to conn before this request
	cut    int64      // bytes written to conn when the time was over
	dials  []*conn    // made for this exchange
	ended  bool
}

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// with returns the context the exchange runs in.
func (a *attempt) with(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, attemptKey{}, a)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(i httptrace.GotConnInfo) { a.gotConn(i.Conn) },
		WroteHeaders: func() { a.wrote.Store(true) },
		PutIdleConn:  func(err error) { a.kept.Store(err == nil) },
		WroteRequest: func(i httptrace.WroteRequestInfo) { // which comes before what was buffered is written
			if !a.back.Load() {
				a.wroteRequest(i.Err)
			}
		},
		GotFirstResponseByte: func() { a.note(&a.first) },
	})
}

// next is asked by the transport at the start of each of its attempts, through
// its Proxy function: the one place where it can be stopped in time. It says
// which proxy to go through, nil for none.
func (a *attempt) next() (*url.URL, error) {
	if a == nil {
		return nil, nil
	}
	if c := a.connection(); a.wrote.Load() && (c == nil || c.written.Load() > a.before) {
		return nil, ErrStale
	}
	a.wrote.Store(false)
	if a.proxy == nil {
		return nil, nil
	}
	return a.proxy.url, nil
}

// gotConn notes the connection. HTTP/2 repeats requests below the Proxy
// function: that shows as a second connection after headers were written, and
// a context that has ended stops it before it writes.
func (a *attempt) gotConn(c net.Conn) {
	if a.wrote.Load() {
		a.cancel(ErrStale)
		return
	}
	held := a.held != nil && a.held()
	if held {
		a.back.Store(true)
		a.cancel(ErrHeld)
	} else {
		a.note(&a.sent)
	}
	own := ownConn(c)
	if own == nil {
		return
	}
	own.used.Store(true)
	a.mu.Lock()
	a.conn, a.before, a.shared = own, own.written.Load(), shared(c)
	a.mu.Unlock()
	if held {
		if !shared(c) { // what it carries alone can't be written then
			_ = own.Close()
		}
		return
	}
	if a.addr.IsValid() && a.proxy == nil && !own.leadsTo(a.addr) {
		// A kept connection from before the name has moved. What waits for
		// the address it leads to is not this exchange.
		a.cancel(ErrStale)
		_ = own.Close()
	}
}

// ownConn is the connection below the TLS of its peer, and of a proxy's; nil
// if it isn't of our making.
func ownConn(c net.Conn) *conn {
	for {
		if own, ok := c.(*conn); ok {
			return own
		}
		t, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = t.NetConn()
	}
}

func (a *attempt) connection() *conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conn
}

// remote is the address of the server, empty without a connection to it.
func (a *attempt) remote() string {
	if c := a.connection(); c != nil && a.proxy == nil {
		return c.remote
	}
	return ""
}

// dialled notes a connection that was made for the exchange.
func (a *attempt) dialled(c *conn) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return errors.Join(fmt.Errorf("the exchange has ended: %w", net.ErrClosed), c.Close())
	}
	a.dials = append(a.dials, c)
	return nil
}

// reached reports whether there was a connection, if only to a proxy.
func (a *attempt) reached() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.dials) > 0
}

// timeout ends the exchange.
func (a *attempt) timeout() {
	a.mu.Lock()
	c, shared := a.conn, a.shared
	if c != nil {
		a.cut = c.written.Load()
	}
	a.mu.Unlock()
	a.cancel(errTimeout)
	if c != nil && !shared && !a.kept.Load() {
		_ = c.Close() // net/http would say goodbye first, for seconds if nobody listens
	}
}

// end makes sure that the server sees the end of the exchange, too; failed
// says that it has none of its own.
func (a *attempt) end(failed bool) {
	a.mu.Lock()
	a.ended = true
	c, shared, cut, dials := a.conn, a.shared, a.cut, a.dials
	a.mu.Unlock()
	a.cancel(nil)
	switch {
	case c == nil:
		for _, c := range dials { // in a handshake of TLS or of a proxy
			if !c.used.Load() {
				_ = c.Close()
			}
		}
	case !shared:
		if !a.kept.Load() {
			_ = c.Close()
		}
	case failed && a.wrote.Load() && errors.Is(context.Cause(a.ctx), errTimeout):
		if !c.wrote(cut, resetWait) {
			_ = c.Close()
		}
	}
}
