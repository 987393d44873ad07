package httpfetch

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/dnscache"
	"github.com/harrowdata/harrow/internal/dnscache/dnstest"
	"golang.org/x/net/dns/dnsmessage"
)

// publicOnly makes 127.0.0.1 the one public address of all, and returns how
// far the client's clock can be moved.
func publicOnly(t *testing.T, s *dnstest.Server, change func(*Config)) (c *Client, pass *atomic.Int64) {
	t.Helper()
	pass = new(atomic.Int64)
	c = newClient(t, "", func(c *Config) {
		c.DNS = s.Addr
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(pass.Load())) }
		if change != nil {
			change(c)
		}
	})
	c.dialer.forbid = func(a netip.Addr) bool { return a != netip.MustParseAddr("127.0.0.1") }
	return c, pass
}

// serveOn serves on one port of several addresses; each says which it is.
func serveOn(t *testing.T, addrs ...string) (port string) {
	t.Helper()
	for _, addr := range addrs {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, addr)
		}))
		l, err := net.Listen("tcp", net.JoinHostPort(addr, port))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(l.Addr().String())
		s.Listener.Close()
		s.Listener = l
		s.Start()
		t.Cleanup(s.Close)
	}
	return port
}

func wantFrom(t *testing.T, c *Client, req Request, want string) {
	t.Helper()
	out, err := do(t, c, req)
	if err != nil {
		t.Error(err)
		return
	}
	defer out.Body.Close()
	if got, _ := out.Body.Bytes(); string(got) != want {
		t.Errorf("answered by %q; want %s", got, want)
	}
}

// A name that leads elsewhere the second time gains nothing: neither when its
// entry is too old nor when its connection is gone.
func TestARebindingNameIsRefused(t *testing.T) {
	t.Parallel()
	port := serveOn(t, "127.0.0.1", "127.0.0.2")
	s := dnstest.Start(t, map[string]dnstest.Answer{"www.test": {Addrs: []string{"127.0.0.1"}, TTL: 0}})
	c, pass := publicOnly(t, s, nil)
	req := Request{URL: "http://www.test:" + port + "/"}
	wantFrom(t, c, req, "127.0.0.1")
	s.Set("www.test", dnstest.Answer{Addrs: []string{"127.0.0.2"}, TTL: 0})
	c.transport.CloseIdleConnections()
	wantFrom(t, c, req, "127.0.0.1") // what is known is still believed
	c.transport.CloseIdleConnections()
	pass.Add(int64(dnscache.MinTTL))
	_, err := do(t, c, req)
	wantError(t, err, harrow.Permanent, "forbidden_address")
}

func TestOfMixedAddressesOnlyThePublicOnesServe(t *testing.T) {
	t.Parallel()
	port := serveOn(t, "127.0.0.1", "127.0.0.2")
	s := dnstest.Start(t, map[string]dnstest.Answer{"www.test": {Addrs: []string{"127.0.0.2", "127.0.0.1", "::1"}, TTL: 60}})
	c, _ := publicOnly(t, s, nil)
	wantFrom(t, c, Request{URL: "http://www.test:" + port + "/"}, "127.0.0.1")
	addrs, err := c.Lookup(t.Context(), "www.test:"+port)
	if err != nil || !slices.Equal(addrs, []netip.Addr{netip.MustParseAddr("127.0.0.1")}) {
		t.Errorf("Lookup: %v, %v", addrs, err)
	}
}

// Even what is known already is judged where the connection is made.
func TestTheGuardIsAtTheDial(t *testing.T) {
	t.Parallel()
	port := serveOn(t, "127.0.0.2")
	s := dnstest.Start(t, nil)
	c, _ := publicOnly(t, s, nil)
	for _, open := range []func() (net.Conn, error){
		func() (net.Conn, error) {
			return c.dialer.any(t.Context(), &c.dialer.guarded, []netip.Addr{netip.MustParseAddr("127.0.0.2")}, netip.MustParseAddrPort("127.0.0.2:"+port).Port())
		},
		func() (net.Conn, error) { return c.dialer.guarded.DialContext(t.Context(), "tcp", "127.0.0.2:"+port) },
	} {
		if _, err := open(); !errors.Is(err, errForbidden) {
			t.Errorf("%v", err)
		}
	}
}

func TestNamesThatLeadNowhere(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, map[string]dnstest.Answer{
		"empty.test":   {},
		"failing.test": {Code: dnsmessage.RCodeServerFailure},
		"private.test": {Addrs: []string{"127.0.0.2"}},
		"silent.test":  {Silent: true},
	})
	c, _ := publicOnly(t, s, nil)
	for host, want := range map[string]struct {
		class harrow.Class
		code  string
	}{
		"missing.test": {harrow.Permanent, "nxdomain"},
		"empty.test":   {harrow.Permanent, "nxdomain"},
		"failing.test": {harrow.Transient, "dns"},
		"private.test": {harrow.Permanent, "forbidden_address"},
		"127.0.0.2":    {harrow.Permanent, "forbidden_address"},
		"[::1]":        {harrow.Permanent, "forbidden_address"},
	} {
		_, err := do(t, c, Request{URL: "http://" + host + "/"})
		wantError(t, err, want.class, want.code)
		_, err = c.Lookup(t.Context(), host)
		wantError(t, err, want.class, want.code)
	}
	hasty, _ := publicOnly(t, s, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	begun := time.Now()
	_, err := do(t, hasty, Request{URL: "http://silent.test/"})
	wantError(t, err, harrow.Transient, "timeout")
	if took := time.Since(begun); took >= 10*time.Second { // the resolver's own patience
		t.Errorf("a silent name server was waited for %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Lookup(ctx, "silent.test"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestLookupGoesByResolve(t *testing.T) {
	c := newClient(t, "", func(c *Config) {
		c.Resolve = map[string]string{"*.example": "127.0.0.9:80", "www.example:8080": "127.0.0.8:80"}
	})
	for host, want := range map[string]string{"www.example": "127.0.0.9", "www.example:8080": "127.0.0.8", "93.184.216.34": "93.184.216.34", "[2606:4700::1]:443": "2606:4700::1"} {
		addrs, err := c.Lookup(t.Context(), host)
		if err != nil || len(addrs) != 1 || addrs[0].String() != want {
			t.Errorf("%s: %v, %v; want %s", host, addrs, err, want)
		}
	}
}

func TestBothFamiliesAreTried(t *testing.T) {
	t.Parallel()
	port := serveOn(t, "127.0.0.1")
	s := dnstest.Start(t, map[string]dnstest.Answer{
		"www.test":  {Addrs: []string{"::1", "127.0.0.1"}, TTL: 60},
		"dead.test": {Addrs: []string{"127.0.0.2", "127.0.0.3"}, TTL: 60},
	})
	c := newClient(t, "", func(c *Config) { c.DNS, c.AllowPrivate = s.Addr, true })
	wantFrom(t, c, Request{URL: "http://www.test:" + port + "/"}, "127.0.0.1")
	_, err := do(t, c, Request{URL: "http://dead.test:" + port + "/"})
	wantError(t, err, harrow.Transient, "refused")
	asked := s.Asked("dead.test")
	_, _ = do(t, c, Request{URL: "http://dead.test:" + port + "/"})
	if s.Asked("dead.test") == asked {
		t.Error("a name none of whose addresses answers was not looked up again")
	}
}

func TestAFamilyThatDoesNotAnswerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	port := netip.MustParseAddrPort("127.0.0.1:" + serveOn(t, "127.0.0.1")).Port()
	c := newClient(t, "", func(c *Config) { c.AllowPrivate = true })
	// 2001:db8::1 is nobody's: what is sent there is lost, or refused at once.
	addrs := []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("127.0.0.1")}
	conn, err := c.dialer.any(t.Context(), &c.dialer.open, addrs, port)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(conn.RemoteAddr().String(), "127.0.0.1:") {
		t.Errorf("connected to %v", conn.RemoteAddr())
	}
	conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.dialer.any(ctx, &c.dialer.open, addrs, port); err == nil {
		t.Error("a dial outlived its exchange")
	}
}

func TestAddrIsConnectedToInsteadOfTheName(t *testing.T) {
	t.Parallel()
	port := serveOn(t, "127.0.0.1", "127.0.0.2")
	s := dnstest.Start(t, nil)
	c, _ := publicOnly(t, s, nil)
	c.dialer.forbid = func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.3") }
	req := Request{URL: "http://unknown.test:" + port + "/", Addr: netip.MustParseAddr("127.0.0.1")}
	wantFrom(t, c, req, "127.0.0.1")
	if s.Asked("unknown.test") != 0 {
		t.Error("the name was looked up")
	}
	// The kept connection leads to the old address: it is not used, and the
	// caller asks again.
	req.Addr = netip.MustParseAddr("::ffff:127.0.0.2")
	if _, err := do(t, c, req); !errors.Is(err, ErrStale) {
		t.Errorf("%v; want %v", err, ErrStale)
	}
	wantFrom(t, c, req, "127.0.0.2")
	req.URL, req.Addr = "http://other.test:"+port, netip.MustParseAddr("127.0.0.3")
	_, err := do(t, c, req)
	wantError(t, err, harrow.Permanent, "forbidden_address")
}
