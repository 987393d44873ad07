package httpfetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
)

// Request is one request to send.
type Request struct {
	Method  string // empty: GET
	URL     string // canonical, http or https; a fragment is not sent
	Headers []harrow.Header
	Body    []byte
	MaxBody int64 // 0: the client's
	// Addr is connected to instead of looking the host up, guarded all the
	// same. Zero: the host is looked up.
	Addr netip.Addr
	// Written, if not nil, is called when the request has been written to a
	// connection. It must not block.
	Written func(at time.Time)
	// Held, if not nil, is asked when there is a connection: true ends the
	// exchange with [ErrHeld], before a byte of it is sent. It must not block.
	Held func() bool
}

// Response is the answer, or as much of it as there was.
type Response struct {
	Status      int             // 0: no answer
	Headers     []harrow.Header // sorted by name; fields of one name in their order
	ContentType string
	Body        *Body  // nil beside an error; else the caller closes it
	Truncated   bool   // the payload went on beyond MaxBody
	RemoteAddr  string // the server's ip:port; empty through a proxy, which alone knows it
	Proxy       string // scheme://host:port, without credentials; empty: direct
	StartedAt   time.Time
	SentAt      time.Time // when a connection was ready and the request about to be written; zero: never
	WrittenAt   time.Time // when the request had been written: the server may have it for a moment by then; zero: not known
	EndedAt     time.Time
	FirstByte   time.Duration // from StartedAt to the first byte of an answer; 0: none came
	Location    string
	RetryAfter  string
}

// Do makes one exchange within the reservation, which it takes over whatever
// happens. It follows no redirect.
//
// One call sends one request: where net/http would repeat one that may have
// reached the server, Do fails with [ErrStale] instead. (A connection that
// turns out to be dead before a byte is on the wire is replaced.)
//
// The response is never nil. Beside an error it has no body, and a status and
// headers only if they came. The error is the parent context's when that has
// ended, else an *[Error].
func (c *Client) Do(ctx context.Context, req Request, res *Reservation) (out *Response, err error) {
	defer res.Release()
	out = &Response{StartedAt: c.config.Clock()}
	defer func() { out.EndedAt = c.config.Clock() }()
	if res == nil || res.held < c.config.MemoryBody {
		return out, misuse(req.URL, errors.New("an exchange needs a fresh reservation"))
	}
	hreq, err := c.request(req)
	if err != nil {
		return out, misuse(req.URL, err)
	}
	a := &attempt{moments: moments{clock: c.config.Clock, start: out.StartedAt, tell: req.Written}, addr: req.Addr, held: req.Held, secure: hreq.URL.Scheme == "https"}
	if err := c.viaProxy(a, hreq); err != nil {
		class, code := classify(err, false)
		return out, &Error{class, code, fmt.Errorf("%.2000q: %w", req.URL, err)}
	}
	out.Proxy = a.proxy.String()
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	defer func() { a.end(err != nil) }()
	timer := time.AfterFunc(c.config.Timeout, a.timeout)
	defer timer.Stop()
	if err = c.exchange(hreq.WithContext(a.with(a.ctx)), a, out, orDefault(req.MaxBody, c.config.MaxBody), res); err != nil {
		return out, c.fail(ctx, a, req.URL, err)
	}
	return out, nil
}

// viaProxy chooses the proxy, if there are any.
func (c *Client) viaProxy(a *attempt, hreq *http.Request) (err error) {
	if len(c.proxies.all) == 0 {
		return nil
	}
	if err := c.dialer.proxied(hreq.Host, a.addr); err != nil {
		return err
	}
	if a.proxy, a.epoch, err = c.proxies.take(a.start); err != nil {
		return err
	}
	if u := hreq.URL; !a.secure && a.proxy.url.Scheme != "socks5" && !strings.HasPrefix(u.Opaque, "//") {
		// The absolute form says where it goes (RFC 9112, 3.2.2).
		u.Opaque = "//" + u.Host + u.RequestURI()
	}
	return nil
}

// exchange sends the request and reads the answer.
func (c *Client) exchange(hreq *http.Request, a *attempt, out *Response, limit int64, res *Reservation) error {
	hres, err := c.transport.RoundTrip(hreq)
	out.RemoteAddr = a.remote()
	a.fill(out)
	if err == nil {
		out.fill(hres)
	}
	if a.proxy != nil {
		v, blamed := a.throughProxy(err, out.Status)
		c.proxies.report(a.proxy, a.epoch, c.config.Clock(), v)
		if blamed != nil {
			if hres != nil {
				hres.Body.Close()
			}
			return &Error{harrow.Transient, "proxy", fmt.Errorf("%s: %w", a.proxy, blamed)}
		}
	}
	if err != nil {
		return err
	}
	return c.body(a.ctx, out, hres, limit, res)
}

// request translates the request. The target is sent byte for byte as the URL
// has it: net/url would refuse or re-encode some that are valid.
func (c *Client) request(req Request) (*http.Request, error) {
	u, err := target(req.URL)
	if err != nil {
		return nil, err
	}
	header := c.base
	if len(req.Headers) > 0 {
		header = maps.Clone(c.base)
		if err := setHeaders(header, req.Headers); err != nil {
			return nil, err
		}
	}
	h := &http.Request{
		Method: req.Method, URL: u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if h.Method == "" {
		h.Method = http.MethodGet
	}
	if h.Method == http.MethodConnect {
		return nil, errors.New("method CONNECT is not a request for a page")
	}
	if len(req.Body) > 0 {
		h.Body, h.ContentLength = io.NopCloser(bytes.NewReader(req.Body)), int64(len(req.Body))
	}
	return h, nil
}

// target splits a canonical URL.
func target(raw string) (*url.URL, error) {
	rest, _, _ := strings.Cut(raw, "#")
	scheme, rest, ok := strings.Cut(rest, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return nil, errors.New("the URL's scheme is not http or https")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, path := rest[:end], rest[end:]
	if host == "" || strings.ContainsAny(host, "@\\ %") {
		return nil, errors.New("the URL has no host, or more than host and port before its path")
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u := &url.URL{Scheme: scheme, Host: host, Opaque: path}
	if strings.HasPrefix(path, "//") {
		// net/url would write such a target as "http:" + path: if its own
		// reading gives the path back, that; else the absolute form, which
		// every server must understand (RFC 9112, 3.2.2).
		if parsed, err := url.Parse(scheme + "://" + host + path); err == nil && parsed.RequestURI() == path {
			return parsed, nil
		}
		u.Opaque = "//" + host + path
	}
	return u, nil
}

// fill takes over the answer's head.
func (r *Response) fill(h *http.Response) {
	r.Status = h.StatusCode
	r.ContentType = h.Header.Get("Content-Type")
	r.Location = h.Header.Get("Location")
	r.RetryAfter = h.Header.Get("Retry-After")
	n := 0
	for _, vs := range h.Header {
		n += len(vs)
	}
	r.Headers = make([]harrow.Header, 0, n)
	for name, vs := range h.Header {
		for _, v := range vs {
			r.Headers = append(r.Headers, harrow.Header{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(r.Headers, func(a, b harrow.Header) int { return strings.Compare(a.Name, b.Name) })
}

// body reads the payload, at most limit bytes of it.
func (c *Client) body(ctx context.Context, out *Response, h *http.Response, limit int64, res *Reservation) (err error) {
	// Its error says nothing that reading hasn't: a payload that was cut, or
	// failed, closes its connection here.
	defer h.Body.Close()
	if h.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Errorf("%w: status 101 that was not asked for", errFormat)
	}
	src, want := io.Reader(h.Body), h.ContentLength
	if h.Body == http.NoBody || h.Request.Method == http.MethodHead {
		src, want = http.NoBody, 0
	}
	codes, err := codingsOf(h.Header)
	if err != nil && want != 0 {
		return err
	}
	if codes.n == 0 || want == 0 {
		out.Body, out.Truncated, err = c.receive(src, want, limit, res)
		return err
	}
	return c.decode(ctx, out, h.Body, want, limit, codes, res)
}
