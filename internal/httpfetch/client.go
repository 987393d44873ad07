// Package httpfetch makes one HTTP exchange with everything bounded: time,
// headers, body, decompressed size, memory and the addresses it may connect
// to. It follows no redirect, keeps no cookie and repeats nothing: when and
// how often a request is sent is its caller's business, and every request
// sent is one call of [Client.Do].
package httpfetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/bits"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpheader"
	"github.com/harrowdata/harrow/internal/memory"
	"golang.org/x/net/http/httpguts"
)

// Defaults of [Config].
const (
	DefaultTimeout    = 30 * time.Second
	DefaultMaxBody    = 10 << 20
	DefaultInFlight   = 256
	DefaultMemoryBody = 256 << 10
)

const (
	// maxHeaderBytes bounds the header section of an answer. No browser takes
	// more.
	maxHeaderBytes = 256 << 10
	// minBuffer is the least a body's buffer is.
	minBuffer = 1 << 10
	// idleTimeout is how long an unused connection is kept.
	idleTimeout = 60 * time.Second
)

// Config says how a client behaves. Its zero value is valid.
type Config struct {
	// UserAgent is sent with every request; empty: harrow/VERSION and the
	// project's URL.
	UserAgent string
	// Timeout is the one hard deadline of an exchange: DNS, connect, TLS,
	// headers and body. 0: 30 s.
	Timeout time.Duration
	// MaxBody is the most of a body that is kept, in bytes after
	// content-decoding. 0: 10 MiB.
	MaxBody int64
	// Headers go with every request; a request's own win over them.
	Headers []harrow.Header
	// Proxies are URLs, http, https or socks5, with credentials where the
	// proxy wants them. Empty: every host is connected to directly. One: all
	// exchanges go through it. Several: they take turns, see
	// [Client.ProxyReady]. Through a proxy names are looked up by the proxy:
	// Resolve and [Request.Addr] have no effect, and only hosts that are
	// addresses themselves can be refused by AllowPrivate. The address of a
	// proxy is the user's word and may be private.
	Proxies []string
	// Roots are the authorities whose certificates are believed. nil: the
	// system's.
	Roots *x509.CertPool `json:"-"`
	// DNS is the ip:port of the name server. Empty: the system's.
	DNS string
	// Resolve maps host patterns (see canon.HostGlobs) to an ip or ip:port to
	// connect to, like curl --resolve: the Host field and the TLS server name
	// stay, and the address may be private. The longest pattern wins.
	Resolve map[string]string
	// AllowPrivate lets names lead to private, loopback and other addresses
	// that are refused by default, see [Forbidden].
	AllowPrivate bool
	// InFlight is how many exchanges the caller has open at once; it sizes
	// the pool of idle connections. 0: 256.
	InFlight int
	// SpillDir takes what of a body is not kept in memory. Empty: the default
	// temporary folder.
	SpillDir string
	// MemoryBody is how many bytes of a body are kept in memory, and what a
	// reservation takes; rounded up to a power of two. 0: 256 KiB.
	MemoryBody int64
	// Permitted, if not nil, is asked before each write to a connection: false
	// fails it with [ErrNotPermitted]. It must not block.
	Permitted func() bool `json:"-"`
	// Clock dates exchanges. nil: time.Now.
	Clock harrow.Clock `json:"-"`
}

// withDefaults fills in what is zero and refuses what is out of range.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Timeout < 0:
		return c, fmt.Errorf("Timeout must be >= 0; got %v", c.Timeout)
	case c.MaxBody < 0:
		return c, fmt.Errorf("MaxBody must be >= 0; got %d", c.MaxBody)
	case c.InFlight < 0:
		return c, fmt.Errorf("InFlight must be >= 0; got %d", c.InFlight)
	case c.MemoryBody < 0 || c.MemoryBody > 1<<30:
		return c, fmt.Errorf("MemoryBody must be 0 to 1 GiB; got %d", c.MemoryBody)
	}
	if c.UserAgent == "" {
		c.UserAgent = "harrow/" + harrow.Version + " (+" + harrow.ProjectURL + ")"
	}
	if !httpguts.ValidHeaderFieldValue(c.UserAgent) {
		return c, fmt.Errorf("UserAgent %q is not a valid header value", c.UserAgent)
	}
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	c.MaxBody = orDefault(c.MaxBody, DefaultMaxBody)
	c.InFlight = orDefault(c.InFlight, DefaultInFlight)
	c.MemoryBody = max(orDefault(c.MemoryBody, DefaultMemoryBody), minBuffer)
	c.MemoryBody = 1 << bits.Len64(uint64(c.MemoryBody-1))
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c, nil
}

func orDefault[T int | int64 | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Client makes exchanges. It is safe for use by several goroutines.
type Client struct {
	config    Config
	base      http.Header // of a request without headers of its own; never written to
	bodies    *memory.Share
	dialer    *dialer
	proxies   *proxies
	transport *http.Transport
	buffers   *buffers
}

// New makes a client whose bodies live in the share. The error names the
// field of the config that is wrong.
func New(config Config, bodies *memory.Share) (*Client, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("httpfetch: %w", err)
	}
	if config.MemoryBody > bodies.Size() {
		return nil, fmt.Errorf("httpfetch: MemoryBody is %d bytes; want at most the share of bodies, %d", config.MemoryBody, bodies.Size())
	}
	if info, err := os.Stat(spillDir(config)); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("httpfetch: SpillDir %q is not a folder", spillDir(config))
	}
	base := http.Header{
		"User-Agent":      {config.UserAgent},
		"Accept":          {"*/*"},
		"Accept-Encoding": {acceptEncoding},
	}
	if err := setHeaders(base, config.Headers); err != nil {
		return nil, fmt.Errorf("httpfetch: Headers: %w", err)
	}
	p, err := newProxies(config.Proxies)
	if err != nil {
		return nil, fmt.Errorf("httpfetch: %w", err)
	}
	d, err := newDialer(config)
	if err != nil {
		return nil, fmt.Errorf("httpfetch: %w", err)
	}
	return &Client{
		config:    config,
		base:      base,
		bodies:    bodies,
		dialer:    d,
		proxies:   p,
		transport: newTransport(config, d),
		buffers:   newBuffers(config.MemoryBody),
	}, nil
}

// Close closes the connections; call it when no exchange is in flight, for
// one that is fails. Bodies stay readable.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	// net/http keeps an HTTP/2 connection whose last stream is being undone.
	c.dialer.close()
}

func newTransport(config Config, d *dialer) *http.Transport {
	return &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return attemptOf(r.Context()).next() },
		OnProxyConnectResponse: connected,
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: config.Roots, ClientSessionCache: tls.NewLRUClientSessionCache(config.InFlight)},
		TLSHandshakeTimeout:    config.Timeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // decoded here, where size and ratio are bounded
		MaxIdleConns:           2 * config.InFlight,
		MaxIdleConnsPerHost:    config.InFlight, // politeness has bounded it already
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		// What a server may send ahead of our reading is memory, too; and a
		// connection that has died must not cost every exchange its timeout.
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     256 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
			SendPingTimeout:               15 * time.Second,
			PingTimeout:                   10 * time.Second,
		},
	}
}

// setHeaders puts headers in the place of those of the same name.
func setHeaders(to http.Header, headers []harrow.Header) error {
	if err := httpheader.Check(headers); err != nil {
		return err
	}
	for _, h := range headers {
		delete(to, http.CanonicalHeaderKey(h.Name))
	}
	for _, h := range headers {
		to.Add(h.Name, h.Value)
	}
	return nil
}

func spillDir(c Config) string {
	if c.SpillDir == "" {
		return os.TempDir()
	}
	return c.SpillDir
}

// compileResolve checks the map and compiles its patterns.
func compileResolve(resolve map[string]string) (*canon.HostGlobs, []netip.AddrPort, error) {
	var patterns []string
	var targets []netip.AddrPort
	for p := range resolve {
		patterns = append(patterns, p)
	}
	slices.Sort(patterns) // equal patterns: the same one wins in every process
	for _, p := range patterns {
		to, err := destination(resolve[p])
		if err != nil {
			return nil, nil, fmt.Errorf("Resolve[%q] is %q; %w", p, resolve[p], err)
		}
		targets = append(targets, to)
	}
	globs, err := canon.CompileHostGlobs(patterns)
	if err != nil {
		return nil, nil, fmt.Errorf("Resolve: %w", err)
	}
	return globs, targets, nil
}

// destination reads where a host of [Config].Resolve leads: an address with a port,
// or one without, whose port here is 0 and there the URL's.
func destination(text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(addr, 0), nil
	}
	to, err := netip.ParseAddrPort(text)
	if err != nil || to.Port() == 0 {
		return to, errors.New("want ip or ip:port")
	}
	return to, nil
}
