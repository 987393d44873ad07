package httpfetch

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
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
	wrote  atomic.Bool // the request's headers were handed to a connection
	conn   *conn       // nil until there is a connection
	before int64       // bytes written to conn before this request
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
	})
}

// next is asked by the transport at the start of each of its attempts, through
// its Proxy function: the one place where it can be stopped in time.
func (a *attempt) next() error {
	if a == nil {
		return nil
	}
	if a.wrote.Load() && (a.conn == nil || a.conn.written.Load() > a.before) {
		return ErrStale
	}
	a.wrote.Store(false)
	return nil
}

// gotConn notes the connection. HTTP/2 repeats requests below the Proxy
// function: that shows as a second connection after headers were written, and
// a context that has ended stops it before it writes.
func (a *attempt) gotConn(c net.Conn) {
	if a.wrote.Load() {
		a.cancel(ErrStale)
		return
	}
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		a.conn, a.before = own, own.written.Load()
	}
}

// remote is the address of the server, empty without a connection.
func (a *attempt) remote() string {
	if a.conn == nil {
		return ""
	}
	return a.conn.remote
}
