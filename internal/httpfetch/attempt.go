package httpfetch

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/harrowdata/harrow"
)

// ErrStale is wrapped by the error (class transient, code "reset") of a
// request that was sent on a kept connection which the server was closing.
// Nothing is known to be wrong with the server: the caller may ask again as
// soon as politeness allows.
var ErrStale = errors.New("the kept connection was closed before the answer")

var errTimeout = errors.New("the exchange took too long")

// attempt watches one exchange inside net/http, which likes to repeat requests
// by itself: HTTP/1 ones that found their kept connection closed, HTTP/2 ones
// that the server refused or that a GOAWAY passed over. Those would be
// requests that no log shows and no politeness paid for. So a second attempt
// is let through only if the first one put no byte on the wire.
type attempt struct {
	cancel context.CancelCauseFunc
	clock  harrow.Clock
	start  time.Time
	proxy  *proxy       // nil: direct
	addr   netip.Addr   // to connect to; zero: look the host up
	first  atomic.Int64 // nanoseconds from start to the answer's first byte
	wrote  atomic.Bool  // the request's headers were handed to a connection
	conn   *conn        // nil until there is a connection
	before int64        // bytes written to conn before this request
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
		GotConn:              func(i httptrace.GotConnInfo) { a.gotConn(i.Conn) },
		WroteHeaders:         func() { a.wrote.Store(true) },
		GotFirstResponseByte: func() { a.first.Store(int64(max(a.clock().Sub(a.start), 1))) },
	})
}

// next is asked by the transport at the start of each of its attempts, through
// its Proxy function: the one place where it can be stopped in time. It says
// which proxy to go through, nil for none.
func (a *attempt) next() (*url.URL, error) {
	if a == nil {
		return nil, nil
	}
	if a.wrote.Load() && (a.conn == nil || a.conn.written.Load() > a.before) {
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
	for { // *tls.Conn; two of them through an https proxy
		t, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		a.conn, a.before = own, own.written.Load()
	}
}

// remote is the address of the server, empty without a connection to it.
func (a *attempt) remote() string {
	if a.conn == nil || a.proxy != nil {
		return ""
	}
	return a.conn.remote
}
