package httpfetch

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"pgregory.net/rapid"
)

const secret = "user:pa55word"

// targets are a plain and a TLS server that say what reached them.
func targets(t *testing.T) (plain, secure *httptest.Server) {
	t.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.Host, " ", r.RequestURI, " ", r.Header["Proxy-Authorization"])
	})
	plain = httptest.NewServer(h)
	secure = httptest.NewUnstartedServer(h)
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	return plain, secure
}

// throughProxies makes a client whose exchanges go through proxies; those put
// aside are so for all of the time they may be.
func throughProxies(t *testing.T, secure *httptest.Server, proxies ...*testProxy) *Client {
	t.Helper()
	c := newClient(t, "", func(c *Config) {
		c.Roots = x509.NewCertPool()
		c.Roots.AddCert(secure.Certificate())
		for _, p := range proxies {
			c.Proxies = append(c.Proxies, p.url)
			if p.server != nil && p.server.TLS != nil {
				c.Roots.AddCert(p.server.Certificate())
			}
		}
	})
	c.proxies.jitter = func(most time.Duration) time.Duration { return most }
	return c
}

func TestEveryKindOfProxy(t *testing.T) {
	t.Parallel()
	plain, secure := targets(t)
	for name, start := range map[string]func(to string) *testProxy{
		"http":                    func(to string) *testProxy { return httpProxy(t, to, "", false) },
		"http with credentials":   func(to string) *testProxy { return httpProxy(t, to, secret, false) },
		"https":                   func(to string) *testProxy { return httpProxy(t, to, "", true) },
		"https with credentials":  func(to string) *testProxy { return httpProxy(t, to, secret, true) },
		"socks5":                  func(to string) *testProxy { return socksProxy(t, to, "") },
		"socks5 with credentials": func(to string) *testProxy { return socksProxy(t, to, secret) },
	} {
		for scheme, to := range map[string]*httptest.Server{"http": plain, "https": secure} {
			t.Run(name+" to "+scheme, func(t *testing.T) {
				p := start(to.Listener.Addr().String())
				c := throughProxies(t, secure, p)
				proto := map[string]string{"http": "HTTP/1.1", "https": "HTTP/2.0"}[scheme]
				for range 2 {
					out, err := do(t, c, Request{URL: scheme + "://example.com/a?b"})
					if err != nil {
						t.Fatal(err)
					}
					if got, _ := out.Body.Bytes(); string(got) != proto+" example.com /a?b []" {
						t.Errorf("the server saw %q", got)
					}
					if out.Proxy != strings.Replace(p.url, secret+"@", "", 1) || out.RemoteAddr != "" || out.FirstByte <= 0 {
						t.Errorf("%+v", out)
					}
					out.Body.Close()
				}
				if p.asked() == 0 {
					t.Error("the proxy was not asked")
				}
			})
		}
	}
}

func TestAProxyThatRefusesIsPutAside(t *testing.T) {
	t.Parallel()
	plain, secure := targets(t)
	to := plain.Listener.Addr().String()
	gone := httpProxy(t, to, "", false)
	gone.close()
	garbage := &testProxy{url: "http://" + listen(t, "220 mail.example ESMTP\r\n\r\n", false)}
	for name, test := range map[string]struct {
		proxy *testProxy
		url   string
		needs int // exchanges until it is put aside
	}{
		"unreachable":              {gone, "http://example.com/", 1},
		"unreachable, CONNECT":     {gone, "https://example.com/", 1},
		"wrong password":           {wrong(httpProxy(t, to, secret, false)), "http://example.com/", 1},
		"wrong password, CONNECT":  {wrong(httpProxy(t, to, secret, false)), "https://example.com/", 1},
		"wrong password, https":    {wrong(httpProxy(t, to, secret, true)), "https://example.com/", 1},
		"wrong password, socks":    {wrong(socksProxy(t, to, secret)), "http://example.com/", 1},
		"no TLS":                   {&testProxy{url: "https://" + to}, "http://example.com/", 1},
		"no proxy":                 {garbage, "https://example.com/", proxyDoubts},
		"502 to CONNECT":           {answering(httpProxy(t, to, "", false), 502), "https://example.com/", proxyDoubts},
		"403 to CONNECT":           {answering(httpProxy(t, to, "", false), 403), "https://example.com/", proxyDoubts},
		"general failure of SOCKS": {answering(socksProxy(t, to, ""), 1), "https://example.com/", proxyDoubts},
	} {
		t.Run(name, func(t *testing.T) {
			c := throughProxies(t, secure, test.proxy)
			for range test.needs {
				if ok, _ := c.ProxyReady(time.Now()); !ok {
					t.Error("put aside too early")
				}
				out, err := do(t, c, Request{URL: test.url})
				wantError(t, err, harrow.Transient, "proxy")
				if err == nil || strings.Contains(err.Error(), "pa55word") || strings.Contains(err.Error(), "wrong") || out.Proxy == "" || strings.Contains(out.Proxy, "@") {
					t.Errorf("credentials, or no proxy: %v %v", err, out.Proxy)
				}
			}
			now := time.Now()
			ok, at := c.ProxyReady(now)
			if ok || !at.After(now) || at.After(now.Add(proxyRest)) {
				t.Errorf("ready: %v, %v from now", ok, at.Sub(now))
			}
			asked := test.proxy.asked()
			out, err := do(t, c, Request{URL: test.url})
			wantError(t, err, harrow.Transient, "proxy")
			if out.Proxy != "" || test.proxy.asked() != asked {
				t.Error("a proxy that is put aside was asked")
			}
		})
	}
}

// wrong has another password in its URL.
func wrong(p *testProxy) *testProxy {
	p.url = strings.Replace(p.url, secret, "user:wrong", 1)
	return p
}

func answering(p *testProxy, status int) *testProxy {
	p.set(status)
	return p
}

// What a SOCKS server says of the host is the host's.
func TestWhatAProxySaysOfTheHostIsNotItsOwnFault(t *testing.T) {
	t.Parallel()
	_, secure := targets(t)
	p := socksProxy(t, secure.Listener.Addr().String(), "")
	c := throughProxies(t, secure, p)
	for range 2 * proxyDoubts {
		p.set(5)
		_, err := do(t, c, Request{URL: "http://example.com/"})
		wantError(t, err, harrow.Transient, "refused")
		p.set(0)
		_, err = do(t, c, Request{URL: "https://www.test/"}) // its certificate is another's
		wantError(t, err, harrow.Permanent, "tls")
	}
	h := httpProxy(t, secure.Listener.Addr().String(), "", false)
	c = throughProxies(t, secure, h)
	for range 2 * proxyDoubts {
		_, err := do(t, c, Request{URL: "https://www.test/"})
		wantError(t, err, harrow.Permanent, "tls")
	}
}

func TestAProxyThatNeverAnswersEndsWithTheExchange(t *testing.T) {
	t.Parallel()
	_, secure := targets(t)
	stop := make(chan struct{})
	defer close(stop)
	silent := serve(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	for url, code := range map[string]string{"https://example.com/": "proxy", "http://example.com/": "timeout"} {
		c := throughProxies(t, secure, &testProxy{url: "http://" + silent})
		c.config.Timeout = 30 * time.Millisecond
		for range proxyDoubts {
			_, err := do(t, c, Request{URL: url})
			wantError(t, err, harrow.Transient, code)
		}
		if ok, _ := c.ProxyReady(time.Now()); ok {
			t.Errorf("%s: the proxy is not put aside", url)
		}
	}
}

func TestProxiesTakeTurnsAndTheDeadOnesAreLeftOut(t *testing.T) {
	t.Parallel()
	plain, secure := targets(t)
	to := plain.Listener.Addr().String()
	all := []*testProxy{httpProxy(t, to, "", false), httpProxy(t, to, "", false), socksProxy(t, to, "")}
	c := throughProxies(t, secure, all...)
	c.proxies.jitter = func(time.Duration) time.Duration { return time.Hour }
	used := map[string]int{}
	failed := 0
	for i := range 30 {
		if i == 15 {
			all[0].close() // dies mid-run
		}
		out, err := do(t, c, Request{URL: "http://example.com/"})
		if err != nil {
			if failed++; i < 15 || out.Proxy != all[0].url {
				t.Errorf("%d: %v", i, err)
			}
			continue
		}
		used[out.Proxy]++
		out.Body.Close()
	}
	// A kept connection to the dead one may fail first, then the dial.
	if used[all[0].url] != 5 || used[all[1].url] < 10 || used[all[2].url] < 10 || failed == 0 || failed > 2 {
		t.Errorf("used %v, %d failed", used, failed)
	}
}

func TestAProxyIsTriedByOneExchangeBeforeItIsTakenAgain(t *testing.T) {
	p, err := newProxies([]string{"http://a.test:1", "http://b.test:1"})
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{proxies: p}
	p.jitter = func(most time.Duration) time.Duration { return most }
	now := time.Unix(1e9, 0)
	fail := func() {
		one, epoch, err := p.take(now)
		if err != nil {
			t.Fatal(err)
		}
		p.report(one, epoch, now, proxyFails)
		p.report(one, epoch, now, proxyFails) // sent before it was put aside: says nothing new
	}
	fail()
	fail()
	if ok, at := c.ProxyReady(now); ok || at != now.Add(proxyRest) {
		t.Errorf("%v %v", ok, at)
	}
	now = now.Add(proxyRest)
	one, epoch, _ := p.take(now)
	two, epoch2, _ := p.take(now)
	if one == nil || two == nil || one == two {
		t.Fatal("two proxies may be tried at once, each by one")
	}
	if _, _, err := p.take(now); err == nil {
		t.Error("a second exchange tries a proxy")
	}
	if ok, at := c.ProxyReady(now); ok || at != now.Add(trialWait) {
		t.Errorf("%v %v", ok, at)
	}
	p.report(one, epoch, now, proxyDoubtful) // in a trial, a doubt is enough
	p.report(two, epoch2, now, proxyUnknown) // called off: another one may try
	if again, _, err := p.take(now); again != two || err != nil {
		t.Errorf("%v %v", again, err)
	}
	p.report(two, epoch2, now, proxyWorks)
	for range 3 {
		if again, _, err := p.take(now); again != two || err != nil {
			t.Errorf("%v %v", again, err)
		}
	}
	if one.until != now.Add(2*proxyRest) {
		t.Errorf("put aside for %v the second time", one.until.Sub(now))
	}
}

// However proxies fare, ProxyReady and take agree, and there is always a time
// to come again.
func TestProxyReadyAndTakeAgree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		urls := make([]string, rapid.IntRange(1, 4).Draw(r, "proxies"))
		for i := range urls {
			urls[i] = fmt.Sprintf("socks5://p%d.test", i)
		}
		p, err := newProxies(urls)
		if err != nil {
			r.Fatal(err)
		}
		c := &Client{proxies: p}
		now := time.Unix(1e9, 0)
		type taken struct {
			one   *proxy
			epoch int
		}
		var flying []taken
		r.Repeat(map[string]func(*rapid.T){
			"pass": func(r *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(r, "s")) * time.Second) },
			"take": func(r *rapid.T) {
				ok, at := c.ProxyReady(now)
				one, epoch, err := p.take(now)
				if ok != (err == nil) || !ok && (!at.After(now) || at.Sub(now) > proxyRestMax) {
					r.Fatalf("ready: %v %v; take: %v", ok, at, err)
				}
				if err == nil {
					flying = append(flying, taken{one, epoch})
				}
			},
			"report": func(r *rapid.T) {
				if len(flying) > 0 {
					i := rapid.IntRange(0, len(flying)-1).Draw(r, "i")
					p.report(flying[i].one, flying[i].epoch, now, verdict(rapid.IntRange(0, 3).Draw(r, "verdict")))
					flying = append(flying[:i], flying[i+1:]...)
				}
			},
		})
		for _, f := range flying {
			p.report(f.one, f.epoch, now, proxyUnknown)
		}
		now = now.Add(proxyRestMax)
		if ok, _ := c.ProxyReady(now); !ok {
			r.Fatal("when all exchanges are over and all time has passed, none may be used")
		}
	})
}

func TestAddressesAreGuardedThroughAProxyToo(t *testing.T) {
	t.Parallel()
	plain, secure := targets(t)
	p := httpProxy(t, plain.Listener.Addr().String(), "", false)
	c := throughProxies(t, secure, p)
	for _, host := range []string{"127.0.0.1", "[::1]", "10.0.0.1:8080", "169.254.169.254", "localhost", "LOCALHOST.:80", "a.localhost", "2130706433", "127.1", "a.0x7f", "[::ffff:10.0.0.1]"} {
		_, err := do(t, c, Request{URL: "http://" + host + "/"})
		wantError(t, err, harrow.Permanent, "forbidden_address")
	}
	_, err := do(t, c, Request{URL: "http://example.com/", Addr: netip.MustParseAddr("10.0.0.1")})
	wantError(t, err, harrow.Permanent, "forbidden_address")
	if p.asked() != 0 {
		t.Error("the proxy was asked")
	}
	for _, host := range []string{"8.8.8.8", "example.com.", "[2606:4700::1]", "xn--a.test"} {
		out, err := do(t, c, Request{URL: "http://" + host + "/"})
		if err != nil {
			t.Error(err)
			continue
		}
		out.Body.Close()
	}
}

func TestProxiesThatAreNone(t *testing.T) {
	for _, raw := range []string{"", "proxy.test:8080", "ftp://proxy.test", "http://", "socks4://a.test", "http://u:pa55word@a b/", "http://a.test/path", "http://a.test:x"} {
		_, err := newProxies([]string{"http://good.test", raw})
		if err == nil || !strings.Contains(err.Error(), "Proxies[1]") || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%q: %v", raw, err)
		}
	}
	for raw, want := range map[string]string{"http://a.test": "http://a.test:80", "https://u:p@a.test/": "https://a.test:443", "socks5://[::1]": "socks5://[::1]:1080"} {
		p, err := newProxies([]string{raw})
		if err != nil || p.all[0].String() != want {
			t.Errorf("%s: %v %v", raw, p, err)
		}
	}
}

func TestManyExchangesThroughProxiesAtOnce(t *testing.T) {
	t.Parallel()
	plain, secure := targets(t)
	to := plain.Listener.Addr().String()
	c := throughProxies(t, secure, httpProxy(t, to, secret, false), socksProxy(t, to, secret), httpProxy(t, to, "", true))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				out, err := do(t, c, Request{URL: "http://example.com/"})
				if err != nil {
					t.Error(err)
					return
				}
				out.Body.Close()
			}
		})
	}
	wg.Wait()
}
