package httpfetch

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"golang.org/x/net/http2"
)

func TestAnAnswerComesWithAllThatIsKnownOfIt(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Two"] = []string{"b", "a"}
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Content-Type", "text/x-test")
		w.WriteHeader(http.StatusFound)
		fmt.Fprintf(w, "%s %s %s %q %q", r.Method, r.Host, r.RequestURI, r.Header["User-Agent"], r.Header["X-Own"])
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := newClient(t, address, func(c *Config) {
		c.Headers = []harrow.Header{{Name: "x-own", Value: "config"}, {Name: "User-Agent", Value: "me"}}
		c.Clock = func() time.Time { return now }
	})
	out, err := do(t, c, Request{
		Method: "POST", URL: "http://www.example/a//b?c=%zz|#frag", Body: []byte("sent"),
		Headers: []harrow.Header{{Name: "X-Own", Value: "1"}, {Name: "X-Own", Value: "2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	want := `POST www.example /a//b?c=%zz| ["me"] ["1" "2"]sent`
	if got, ok := out.Body.Bytes(); string(got) != want || !ok {
		t.Errorf("the server saw %q; want %q", got, want)
	}
	if out.Status != 302 || out.Location != "/elsewhere" || out.RetryAfter != "7" || out.ContentType != "text/x-test" ||
		out.RemoteAddr != address || out.Truncated || !out.StartedAt.Equal(now) || !out.EndedAt.Equal(now) {
		t.Errorf("got %+v", out)
	}
	two := slices.DeleteFunc(slices.Clone(out.Headers), func(h harrow.Header) bool { return h.Name != "X-Two" })
	if !slices.Equal(two, []harrow.Header{{Name: "X-Two", Value: "b"}, {Name: "X-Two", Value: "a"}}) {
		t.Errorf("headers %v", out.Headers)
	}
}

func TestARequestIsSentWhenThereIsAConnection(t *testing.T) {
	var seen time.Time
	address := serve(t, func(http.ResponseWriter, *http.Request) { seen = time.Now() })
	c := newClient(t, address, nil)
	for range 2 { // over a new connection, and over the one that is kept
		var told []time.Time
		out, err := do(t, c, Request{URL: "http://www.example/", Written: func(at time.Time) { told = append(told, at) }})
		if err != nil {
			t.Fatal(err)
		}
		if len(told) != 1 || !told[0].Equal(out.WrittenAt) {
			t.Errorf("told %v, written at %v", told, out.WrittenAt)
		}
		if out.SentAt.Before(out.StartedAt) || out.WrittenAt.Before(out.SentAt) || out.SentAt.After(seen) || out.SentAt.After(out.StartedAt.Add(out.FirstByte)) {
			t.Errorf("started at %v, sent at %v, seen at %v, answered %v after its start", out.StartedAt, out.SentAt, seen, out.FirstByte)
		}
		if err := out.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTargetsAreSentByteForByte(t *testing.T) {
	address := accept(t, func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		line, _ := r.ReadString('\n')
		for head := line; strings.TrimSpace(head) != ""; {
			head, _ = r.ReadString('\n')
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n\r\n%s", strings.Fields(line)[1])
	})
	c := newClient(t, address, nil)
	for path, want := range map[string]string{
		"":               "/",
		"?q":             "/?q",
		"/%7e~%zz[]|^'":  "/%7e~%zz[]|^'",
		"/a/?":           "/a/?",
		"//double":       "//double",
		"//a|b":          "http://www.example//a|b",
		"/http://x.test": "/http://x.test",
	} {
		if got, _ := get(t, c, path).Body.Bytes(); string(got) != want {
			t.Errorf("%q was sent as %q; want %q", path, got, want)
		}
	}
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	c := newClient(t, "", nil)
	for _, req := range []Request{
		{URL: "ftp://www.example/"},
		{URL: "www.example"},
		{URL: "http:///path"},
		{URL: "http://user:secret@www.example/"},
		{URL: "http://www.example/", Method: "CONNECT"},
		{URL: "http://www.example/", Headers: []harrow.Header{{Name: "Host", Value: "x"}}},
		{URL: "http://www.example/", Headers: []harrow.Header{{Name: "X-A", Value: "a\r\nb"}}},
		{URL: "http://www.example/", Headers: []harrow.Header{{Name: "X A", Value: "a"}}},
	} {
		_, err := do(t, c, req)
		wantError(t, err, harrow.Permanent, "request")
	}
	if _, err := c.Do(t.Context(), Request{URL: "http://www.example/"}, nil); err == nil {
		t.Error("an exchange without a reservation gave no error")
	}
}

func TestFailures(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := map[string]struct {
		answer string
		reset  bool
		class  harrow.Class
		code   string
	}{
		"content-length too long":  {ok + "Content-Length: 100\r\n\r\nshort", false, harrow.DataFault, "truncated"},
		"chunks without an end":    {ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false, harrow.DataFault, "truncated"},
		"malformed chunk":          {ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", false, harrow.DataFault, "protocol"},
		"head cut off":             {ok + "Server: x\r\n", false, harrow.DataFault, "truncated"},
		"not HTTP":                 {"220 mail.example ESMTP\r\n\r\n", false, harrow.DataFault, "protocol"},
		"bad status":               {"HTTP/1.1 two OK\r\n\r\n", false, harrow.DataFault, "protocol"},
		"two lengths":              {ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", false, harrow.DataFault, "protocol"},
		"endless header":           {ok + "X: " + page(2*maxHeaderBytes), false, harrow.DataFault, "protocol"},
		"switching protocols":      {"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", false, harrow.DataFault, "protocol"},
		"encoding we don't read":   {ok + "Content-Encoding: compress\r\nContent-Length: 3\r\n\r\nabc", false, harrow.DataFault, "protocol"},
		"three encodings":          {ok + "Content-Encoding: gzip, br, gzip\r\nContent-Length: 3\r\n\r\nabc", false, harrow.DataFault, "protocol"},
		"gzip that is none":        {ok + "Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n<html>ab</html>12345", false, harrow.DataFault, "protocol"},
		"gzip shorter than length": {ok + "Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n" + gzipped(t, "abc"), false, harrow.DataFault, "truncated"},
		"gzip cut off":             {ok + "Content-Encoding: gzip\r\n\r\n" + gzipped(t, page(5000))[:60], false, harrow.DataFault, "truncated"},
		"gzip head cut off":        {ok + "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08", false, harrow.DataFault, "truncated"},
		"closed without an answer": {"", false, harrow.Transient, "reset"},
		"reset within the body":    {ok + "Content-Length: 100\r\n\r\nshort", true, harrow.Transient, "reset"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, listen(t, test.answer, test.reset), nil)
			out, err := do(t, c, Request{URL: "http://www.example/"})
			wantError(t, err, test.class, test.code)
			if out.StartedAt.IsZero() || out.EndedAt.IsZero() || out.RemoteAddr == "" {
				t.Errorf("the exchange isn't known: %+v", out)
			}
			if err != nil && !strings.Contains(err.Error(), "http://www.example/") {
				t.Errorf("%v does not name the URL", err)
			}
		})
	}
}

func TestConnectFailures(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	out, err := do(t, newClient(t, l.Addr().String(), nil), Request{URL: "http://www.example/", Written: func(time.Time) { t.Error("it was said to be written") }})
	wantError(t, err, harrow.Transient, "refused")
	if !out.SentAt.IsZero() || !out.WrittenAt.IsZero() {
		t.Errorf("it was sent at %v, written at %v", out.SentAt, out.WrittenAt)
	}

	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, err = do(t, newClient(t, plain, nil), Request{URL: "https://www.example/"})
	wantError(t, err, harrow.DataFault, "protocol")

	closing := accept(t, func(c net.Conn) { c.Close() })
	_, err = do(t, newClient(t, closing, nil), Request{URL: "https://www.example/"})
	wantError(t, err, harrow.Transient, "reset")
}

func TestErrorsOfTheNetworkHaveTheirClass(t *testing.T) {
	tests := map[string]struct {
		err   error
		class harrow.Class
	}{
		"nxdomain": {&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, harrow.Permanent},
		"dns":      {&net.OpError{Op: "dial", Err: &net.DNSError{IsTemporary: true}}, harrow.Transient},
		"timeout":  {&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, harrow.Transient},
		"connect":  {&net.OpError{Op: "dial", Err: errors.New("no route to host")}, harrow.Transient},
	}
	for code, test := range tests {
		if class, got := classify(test.err, false); class != test.class || got != code {
			t.Errorf("%v is %s %s; want %s %s", test.err, class, got, test.class, code)
		}
	}
}

func TestOneDeadlineBoundsTheWholeExchange(t *testing.T) {
	stop := make(chan struct{})
	hang := func(c net.Conn, write string) {
		defer c.Close()
		_, _ = c.Write([]byte(write))
		<-stop
	}
	dribble := func(c net.Conn, head, drop string) {
		defer c.Close()
		_, err := c.Write([]byte(head))
		for err == nil {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_, err = c.Write([]byte(drop))
			}
		}
	}
	tests := map[string]struct {
		scheme string
		serve  func(net.Conn)
	}{
		"silence":      {"http", func(c net.Conn) { hang(c, "") }},
		"TLS silence":  {"https", func(c net.Conn) { hang(c, "") }},
		"slow headers": {"http", func(c net.Conn) { dribble(c, "HTTP/1.1 200 OK\r\nX: ", "x") }},
		"slow body":    {"http", func(c net.Conn) { dribble(c, "HTTP/1.1 200 OK\r\n\r\n", "x") }},
		"slow chunks":  {"http", func(c net.Conn) { dribble(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n") }},
		"slow gzip": {"http", func(c net.Conn) {
			dribble(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzipped(t, ""))
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			begun := func(c net.Conn) {
				_, _ = c.Read(make([]byte, 1)) // an answer before its question is another fault
				go test.serve(c)
			}
			c := newClient(t, accept(t, begun), func(c *Config) { c.Timeout = 50 * time.Millisecond })
			_, err := do(t, c, Request{URL: test.scheme + "://www.example/"})
			wantError(t, err, harrow.Transient, "timeout")
		})
	}
	close(stop)
}

func TestACancelledParentIsNoTimeout(t *testing.T) {
	stop := make(chan struct{})
	asked := make(chan struct{})
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("begun"))
		_ = http.NewResponseController(w).Flush()
		close(asked)
		<-stop
	})
	defer close(stop)
	c := newClient(t, address, nil)
	ctx, cancel := context.WithCancel(t.Context())
	res, err := c.Reserve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-asked; cancel() }()
	out, err := c.Do(ctx, Request{URL: "http://www.example/"}, res)
	var e *Error
	if !errors.Is(err, context.Canceled) || errors.As(err, &e) || out.Body != nil {
		t.Errorf("got %v", err)
	}
}

// A request on a kept connection that the server closes must not be repeated.
func TestOneCallSendsOneRequest(t *testing.T) {
	var requests atomic.Int32
	address := accept(t, func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		for range 2 {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if requests.Add(1)%2 == 0 {
				return // the second one on each connection gets no answer
			}
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
		}
	})
	c := newClient(t, address, nil)
	get(t, c, "/")
	_, err := do(t, c, Request{URL: "http://www.example/"})
	wantError(t, err, harrow.Transient, "reset")
	if !errors.Is(err, ErrStale) {
		t.Errorf("%v is not ErrStale", err)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests were sent for 2 calls", n)
	}
	get(t, c, "/")
}

func TestConnectionsAreReused(t *testing.T) {
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte(gzipped(t, page(50_000), "second member") + "trailing"))
		case "/chunked":
			_, _ = w.Write([]byte(page(50_000)))
		default:
			w.Header().Set("Content-Length", "4096")
			_, _ = w.Write([]byte(page(4096)))
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := newClient(t, s.Listener.Addr().String(), nil)
	for range 3 {
		for _, path := range []string{"/", "/gzip", "/chunked"} {
			get(t, c, path)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections; want 1", n)
	}
}

func TestTLSIsVerifiedAndHTTP2Spoken(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.TLS.ServerName, " ", r.Host, " ", r.RequestURI)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	address := s.Listener.Addr().String()
	_, err := do(t, newClient(t, address, nil), Request{URL: "https://example.com/"})
	wantError(t, err, harrow.Permanent, "tls") // unknown authority

	c := newClient(t, address, func(c *Config) { c.Roots = roots(s) })
	_, err = do(t, c, Request{URL: "https://www.example/"})
	wantError(t, err, harrow.Permanent, "tls") // another name
	for range 2 {
		out, err := do(t, c, Request{URL: "https://example.com//a|b?c"})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := out.Body.Bytes()
		if want := "HTTP/2.0 example.com example.com //a|b?c"; string(got) != want || out.RemoteAddr != address {
			t.Errorf("got %q from %s; want %q", got, out.RemoteAddr, want)
		}
		out.Body.Close()
	}
}

// An HTTP/2 server may refuse a stream or go away; net/http would ask again by
// itself, several times.
func TestARefusedHTTP2StreamIsNotRepeated(t *testing.T) {
	refuse := map[string]func(*http2.Framer, uint32) error{
		"refused": func(f *http2.Framer, id uint32) error { return f.WriteRSTStream(id, http2.ErrCodeRefusedStream) },
		"goaway":  func(f *http2.Framer, id uint32) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) },
	}
	for name, answer := range refuse {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			s := httptest.NewUnstartedServer(nil)
			s.EnableHTTP2 = true
			s.StartTLS() // for its certificate
			defer s.Close()
			config := s.TLS.Clone()
			address := accept(t, func(c net.Conn) {
				defer c.Close()
				framer, err := http2Server(tls.Server(c, config))
				for err == nil {
					var frame http2.Frame
					if frame, err = framer.ReadFrame(); err != nil {
						return
					}
					if h, ok := frame.(*http2.HeadersFrame); ok {
						requests.Add(1)
						err = answer(framer, h.StreamID)
					}
				}
			})
			c := newClient(t, address, func(c *Config) { c.Roots = roots(s) })
			_, err := do(t, c, Request{URL: "https://example.com/"})
			wantError(t, err, harrow.Transient, "reset")
			c.Close()
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests were sent by one call", n)
			}
		})
	}
}

// http2Server reads the client's preface and sends the server's.
func http2Server(c net.Conn) (*http2.Framer, error) {
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return nil, err
	}
	f := http2.NewFramer(c, c)
	return f, f.WriteSettings()
}

// roots are what a test server's certificate is believed by.
func roots(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
