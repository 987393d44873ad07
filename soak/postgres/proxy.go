package postgres

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Cut says where a connection ends. What isn't set ends none.
type Cut struct {
	Sent     int64 // after so many bytes to the server
	Received int64 // after so many from it
	// The next COMMIT does not reach the server; or it does, and its answer
	// does not reach the client.
	CommitLost, CommitUnanswered bool
}

// Proxy stands between clients and a server and cuts connections. Who loads
// must ask for them without TLS.
type Proxy struct {
	server *Server
	listen net.Listener
	rule   func(connection int) Cut

	mu    sync.Mutex
	count int // of connections
	cuts  int
	open  map[net.Conn]bool
	done  sync.WaitGroup
}

// Proxy opens a way to the server, which rule cuts: it is asked, one at a
// time, of each connection, from 0. It ends with the test.
func (s *Server) Proxy(tb testing.TB, rule func(connection int) Cut) *Proxy {
	tb.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{server: s, listen: listen, rule: rule, open: map[net.Conn]bool{}}
	p.done.Go(p.serve)
	tb.Cleanup(func() {
		_ = listen.Close() // which ends serve
		p.mu.Lock()
		for c := range p.open {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.done.Wait()
	})
	return p
}

// URL is a URL of the server's, by way of the proxy.
func (p *Proxy) URL(of string) string {
	u, err := url.Parse(of)
	if err != nil {
		return of
	}
	u.Host = p.listen.Addr().String()
	u.RawQuery = "sslmode=disable"
	return u.String()
}

// Cuts is how many connections were cut so far, of how many.
func (p *Proxy) Cuts() (cuts, connections int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts, p.count
}

func (p *Proxy) serve() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		cut := p.rule(p.count)
		p.count++
		p.open[client] = true
		p.mu.Unlock()
		p.done.Go(func() { p.connect(client, cut) })
	}
}

// way is one connection through the proxy.
type way struct {
	client, server net.Conn
	cut            Cut
	mu             sync.Mutex
	committing     bool
}

func (p *Proxy) connect(client net.Conn, cut Cut) {
	w := &way{client: client, cut: cut}
	defer func() {
		_ = client.Close()
		p.mu.Lock()
		delete(p.open, client)
		p.mu.Unlock()
	}()
	server, err := net.Dial("tcp", p.server.Address())
	if err != nil {
		return // the server is down: the client sees its connection end
	}
	w.server = server
	var up sync.WaitGroup
	up.Go(func() { p.copy(w, server, client, cut.Sent, w.toServer) })
	p.copy(w, client, server, cut.Received, w.toClient)
	up.Wait()
}

// copy hands bytes on until one side ends or the connection is cut: then both
// sides see it reset.
func (p *Proxy) copy(w *way, to io.Writer, from io.Reader, most int64, look func([]byte) (pass bool)) {
	buf := make([]byte, 16<<10)
	for sent := int64(0); ; {
		n, err := from.Read(buf)
		b, cut := buf[:n], false
		if most > 0 && sent+int64(n) >= most {
			b, cut = b[:most-sent], true
		}
		if !look(b) {
			b, cut = nil, true
		}
		sent += int64(len(b))
		if _, werr := to.Write(b); werr != nil || err != nil || cut {
			if cut {
				p.mu.Lock()
				p.cuts++
				p.mu.Unlock()
				reset(w.client)
				reset(w.server)
			}
			_, _ = w.client.Close(), w.server.Close()
			return
		}
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // else it ends in good order
	}
}

// toServer looks for a COMMIT, which is a message of its own.
func (w *way) toServer(b []byte) (pass bool) {
	if !bytes.Contains(b, []byte("COMMIT\x00")) {
		return true
	}
	w.mu.Lock()
	w.committing = true
	w.mu.Unlock()
	return !w.cut.CommitLost
}

// toClient is asked once the server has answered.
func (w *way) toClient([]byte) (pass bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.committing || !w.cut.CommitUnanswered
}
