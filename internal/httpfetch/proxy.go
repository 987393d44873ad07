package httpfetch

import (
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

// proxies take turns.
type proxies struct {
	all  []*proxy
	turn atomic.Uint64
}

type proxy struct {
	url  *url.URL
	name string // without credentials
}

// String is scheme://host:port, empty for nil.
func (p *proxy) String() string {
	if p == nil {
		return ""
	}
	return p.name
}

func newProxies(urls []string) (*proxies, error) {
	p := &proxies{}
	for i, raw := range urls {
		// The error of url.Parse has the URL in it, and that a password.
		u, err := url.Parse(raw)
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) {
			return nil, fmt.Errorf("Proxies[%d] is not a proxy's URL; want http, https or socks5://[user:password@]host:port", i)
		}
		p.all = append(p.all, &proxy{url: u, name: u.Scheme + "://" + u.Host})
	}
	return p, nil
}

// take returns the next proxy; nil: there are none.
func (p *proxies) take() *proxy {
	if len(p.all) == 0 {
		return nil
	}
	return p.all[(p.turn.Add(1)-1)%uint64(len(p.all))]
}

// ProxyReady reports whether an exchange may start as far as proxies go: there
// are none, or one may be used now. If not, one may be tried again at a time.
func (c *Client) ProxyReady(now time.Time) (ok bool, at time.Time) {
	return true, time.Time{}
}
