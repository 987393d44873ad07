package httpfetch

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// testProxy is a small proxy of each kind, which sends whatever it is asked
// for to one address.
type testProxy struct {
	url    string
	server *httptest.Server // nil: SOCKS
	to     string
	user   string // "user:password"; empty: for everybody

	mu       sync.Mutex
	requests []*http.Request // CONNECT and plain ones
	hosts    []string        // asked for by SOCKS
	connect  int             // status of CONNECT, and of SOCKS the reply; 0: success
	conns    []net.Conn
}

func (p *testProxy) set(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connect = status
}

func (p *testProxy) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests) + len(p.hosts)
}

// httpProxy starts an HTTP proxy: by TLS if secure.
func httpProxy(t *testing.T, to, user string, secure bool) *testProxy {
	t.Helper()
	p := &testProxy{to: to, user: user}
	p.server = httptest.NewUnstartedServer(p)
	if secure {
		p.server.StartTLS()
	} else {
		p.server.Start()
	}
	t.Cleanup(p.close)
	scheme, creds := "http://", ""
	if secure {
		scheme = "https://"
	}
	if user != "" {
		creds = user + "@"
	}
	p.url = scheme + creds + p.server.Listener.Addr().String()
	return p
}

// close ends it with all its connections, as a crash would.
func (p *testProxy) close() {
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	if p.server != nil {
		p.server.CloseClientConnections()
		p.server.Close()
	}
}

func (p *testProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, r.Clone(r.Context()))
	status := p.connect
	p.mu.Unlock()
	if p.user != "" && r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(p.user)) {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	switch {
	case status != 0:
		w.WriteHeader(status)
	case r.Method == http.MethodConnect:
		p.tunnel(w)
	default:
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Host, out.Host = "", p.to, r.Host
		out.Header.Del("Proxy-Authorization")
		answer, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}
}

func (p *testProxy) tunnel(w http.ResponseWriter) {
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	near, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		far.Close()
		return
	}
	_, _ = near.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	p.join(near, buf, far)
}

func (p *testProxy) join(near net.Conn, from io.Reader, far net.Conn) {
	p.mu.Lock()
	p.conns = append(p.conns, near, far)
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(far, from)
		far.Close()
		close(done)
	}()
	_, _ = io.Copy(near, far)
	near.Close()
	<-done
}

// socksProxy starts a SOCKS 5 proxy (RFC 1928, 1929).
func socksProxy(t *testing.T, to, user string) *testProxy {
	t.Helper()
	p := &testProxy{to: to, user: user}
	address := accept(t, func(c net.Conn) { go p.socks(c) })
	t.Cleanup(p.close)
	if user != "" {
		user += "@"
	}
	p.url = "socks5://" + user + address
	return p
}

func (p *testProxy) socks(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	read := func(n int) string {
		b := make([]byte, n)
		_, _ = io.ReadFull(r, b)
		return string(b)
	}
	methods := read(int(read(2)[1]))
	_ = methods
	if p.user != "" {
		_, _ = c.Write([]byte{5, 2})
		name := read(int(read(2)[1]))
		password := read(int(read(1)[0]))
		if name+":"+password != p.user {
			_, _ = c.Write([]byte{1, 1})
			return
		}
		_, _ = c.Write([]byte{1, 0})
	} else {
		_, _ = c.Write([]byte{5, 0})
	}
	host := ""
	switch read(4)[3] {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = read(int(read(1)[0]))
	}
	port := binary.BigEndian.Uint16([]byte(read(2)))
	p.mu.Lock()
	p.hosts = append(p.hosts, host)
	status := p.connect
	p.mu.Unlock()
	_, _ = c.Write([]byte{5, byte(status), 0, 1, 0, 0, 0, 0, byte(port >> 8), byte(port)})
	if status != 0 {
		return
	}
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	p.join(c, r, far)
}
