package httpfetch

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// certificate makes one for the names, valid until a time, with the pool that
// believes it.
func certificate(t *testing.T, until time.Time, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names,
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestCertificatesThatProveNothing(t *testing.T) {
	t.Parallel()
	tomorrow, yesterday := time.Now().Add(24*time.Hour), time.Now().Add(-24*time.Hour)
	for name, test := range map[string]struct {
		until   time.Time
		name    string
		unknown bool
		code    string // empty: none
	}{
		"valid":       {tomorrow, "www.example", false, ""},
		"wildcard":    {tomorrow, "*.example", false, ""},
		"expired":     {yesterday, "www.example", false, "tls"},
		"mismatched":  {tomorrow, "other.example", false, "tls"},
		"self-signed": {tomorrow, "www.example", true, "tls"},
	} {
		cert, pool := certificate(t, test.until, test.name)
		if test.unknown {
			pool = x509.NewCertPool()
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		c := newClient(t, s.Listener.Addr().String(), func(c *Config) { c.Roots = pool })
		out, err := do(t, c, Request{URL: "https://www.example/"})
		if test.code == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			out.Body.Close()
			continue
		}
		wantError(t, err, harrow.Permanent, test.code)
	}
}

func TestHTTP2UsesOneConnection(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, page(50_000)) }))
	s.EnableHTTP2 = true
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	c := newClient(t, s.Listener.Addr().String(), func(c *Config) { c.Roots = roots(s) })
	fetch := func() {
		out, err := do(t, c, Request{URL: "https://example.com/"})
		if err != nil {
			t.Error(err)
			return
		}
		out.Body.Close()
		// One that is cut ends its stream, not the connection.
		out, err = do(t, c, Request{URL: "https://example.com/", MaxBody: 10})
		if err != nil || !out.Truncated {
			t.Error(err)
			return
		}
		out.Body.Close()
	}
	fetch()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				fetch()
			}
		})
	}
	wg.Wait()
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections; want 1", n)
	}
}

// frames serves HTTP/2 by hand.
type frames struct {
	*http2.Framer
	server *httptest.Server

	mu    sync.Mutex
	heard []string // kinds of frames that came, with their streams
}

// answerFrames starts a server that calls headers for each request's, and
// returns its address and what a client is made with.
func answerFrames(t *testing.T, headers func(f *frames, stream uint32)) (*frames, *Client) {
	t.Helper()
	f := &frames{server: httptest.NewUnstartedServer(nil)}
	f.server.EnableHTTP2 = true
	f.server.StartTLS() // for its certificate
	t.Cleanup(f.server.Close)
	config := f.server.TLS.Clone()
	address := accept(t, func(c net.Conn) {
		framer, err := http2Server(tls.Server(c, config))
		go func() {
			defer c.Close()
			for err == nil {
				var frame http2.Frame
				if frame, err = framer.ReadFrame(); err != nil {
					return
				}
				f.mu.Lock()
				f.Framer, f.heard = framer, append(f.heard, frame.Header().Type.String())
				f.mu.Unlock()
				switch h := frame.(type) {
				case *http2.HeadersFrame:
					headers(f, h.StreamID)
				case *http2.SettingsFrame:
					if !h.IsAck() {
						err = framer.WriteSettingsAck()
					}
				case *http2.PingFrame:
					if !h.IsAck() {
						err = framer.WritePing(true, h.Data)
					}
				}
			}
		}()
	})
	return f, newClient(t, address, func(c *Config) { c.Roots = roots(f.server) })
}

func (f *frames) respond(stream uint32, end bool, more ...hpack.HeaderField) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, h := range append([]hpack.HeaderField{{Name: ":status", Value: "200"}}, more...) {
		_ = e.WriteField(h)
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: end})
}

func (f *frames) count(kind string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.heard {
		if k == kind {
			n++
		}
	}
	return n
}

func TestHTTP2StreamsThatEndEarly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(f *frames, stream uint32)
		class  harrow.Class
		code   string
	}{
		"reset before headers": {func(f *frames, id uint32) { _ = f.WriteRSTStream(id, http2.ErrCodeInternal) }, harrow.Transient, "reset"},
		"HTTP/1.1 required":    {func(f *frames, id uint32) { _ = f.WriteRSTStream(id, http2.ErrCodeHTTP11Required) }, harrow.DataFault, "protocol"},
		"reset behind headers": {func(f *frames, id uint32) { f.respond(id, false); _ = f.WriteRSTStream(id, http2.ErrCodeCancel) }, harrow.Transient, "reset"},
		"reset within the body": {func(f *frames, id uint32) {
			f.respond(id, false)
			_ = f.WriteData(id, false, []byte("begun"))
			_ = f.WriteRSTStream(id, http2.ErrCodeInternal)
		}, harrow.Transient, "reset"},
		"a fault of the protocol":   {func(f *frames, id uint32) { f.respond(id, false); _ = f.WriteRSTStream(id, http2.ErrCodeProtocol) }, harrow.DataFault, "protocol"},
		"going away, not processed": {func(f *frames, id uint32) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }, harrow.Transient, "reset"},
		"going away in anger": {func(f *frames, id uint32) {
			_ = f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
		}, harrow.Transient, "reset"},
		"data without headers": {func(f *frames, id uint32) { _ = f.WriteData(id, true, []byte("x")) }, harrow.DataFault, "protocol"},
		"shorter than its length": {func(f *frames, id uint32) {
			f.respond(id, false, hpack.HeaderField{Name: "content-length", Value: "10"})
			_ = f.WriteData(id, true, []byte("x"))
		}, harrow.DataFault, "truncated"},
		"longer than its length": {func(f *frames, id uint32) {
			f.respond(id, false, hpack.HeaderField{Name: "content-length", Value: "1"})
			_ = f.WriteData(id, true, []byte("xyz"))
		}, harrow.DataFault, "protocol"},
		"an upper-case field":    {func(f *frames, id uint32) { f.respond(id, true, hpack.HeaderField{Name: "X-Bad", Value: "x"}) }, harrow.DataFault, "protocol"},
		"a frame too large":      {func(f *frames, id uint32) { _ = f.WriteRawFrame(http2.FrameData, 0, id, make([]byte, 1<<20)) }, harrow.DataFault, "protocol"},
		"headers without an end": {func(f *frames, id uint32) { f.flood(id) }, harrow.DataFault, "protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := answerFrames(t, test.answer)
			c.config.Timeout = 5 * time.Second
			_, err := do(t, c, Request{URL: "https://example.com/"})
			wantError(t, err, test.class, test.code)
			c.Close()
			if n := f.count("HEADERS"); n != 1 {
				t.Errorf("%d requests were sent by one call", n)
			}
		})
	}
}

// flood sends header frames until the client has had enough.
func (f *frames) flood(stream uint32) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	_ = e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes()})
	for i := range 4096 {
		b.Reset()
		_ = e.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat(string(rune('a'+i%26)), 1000), Sensitive: true})
		if f.WriteContinuation(stream, false, b.Bytes()) != nil {
			return
		}
	}
}

// A server that goes away answers what it has begun; the next exchange has a
// connection of its own.
func TestGoAwayAnswersWhatItHasBegun(t *testing.T) {
	t.Parallel()
	f, c := answerFrames(t, func(f *frames, id uint32) {
		_ = f.WriteGoAway(id, http2.ErrCodeNo, nil)
		f.respond(id, false)
		_ = f.WriteData(id, true, []byte("answered"))
	})
	for range 3 {
		out, err := do(t, c, Request{URL: "https://example.com/"})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := out.Body.Bytes(); string(got) != "answered" {
			t.Errorf("%q", got)
		}
		out.Body.Close()
	}
	if n := f.count("HEADERS"); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// When an HTTP/2 exchange is over for its caller, its stream is for the server,
// while the connection goes on.
func TestTimeoutsEndTheirStreamFirst(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(f *frames, id uint32){
		"before headers": func(*frames, uint32) {},
		"in the body":    func(f *frames, id uint32) { f.respond(id, false); _ = f.WriteData(id, false, []byte("begun")) },
	} {
		t.Run(name, func(t *testing.T) {
			f, c := answerFrames(t, func(f *frames, id uint32) {
				if id == 1 { // makes the connection
					f.respond(id, true)
					return
				}
				begin(f, id)
			})
			get := func() error {
				out, err := do(t, c, Request{URL: "https://example.com/"})
				if err == nil {
					out.Body.Close()
				}
				return err
			}
			if err := get(); err != nil {
				t.Fatal(err)
			}
			c.config.Timeout = 30 * time.Millisecond
			for i := range 20 {
				wantError(t, get(), harrow.Transient, "timeout")
				conns := openConns(c)
				if len(conns) != 1 {
					t.Fatalf("%d connections are open", len(conns))
				}
				sent := conns[0].written.Load()
				if at := f.settled(t, conns[0]); sent != at {
					t.Fatalf("exchange %d had ended when %d bytes were written; with its end they are %d", i, sent, at)
				}
			}
		})
	}
}

// settled waits until the server knows the end of every stream that it knows
// of but the first, and returns what the client had written by then.
func (f *frames) settled(t *testing.T, c *conn) int64 {
	t.Helper()
	for i := 0; f.count("RST_STREAM") < f.count("HEADERS")-1; i++ {
		if i == 60_000 {
			t.Fatalf("%d streams, %d of them were ended", f.count("HEADERS")-1, f.count("RST_STREAM"))
		}
		time.Sleep(time.Millisecond)
	}
	return c.written.Load()
}

func openConns(c *Client) (open []*conn) {
	c.dialer.mu.Lock()
	defer c.dialer.mu.Unlock()
	for conn := range c.dialer.conns {
		open = append(open, conn)
	}
	return open
}

// An exchange without an answer of its own, over HTTP/1, has no connection any
// more when it is over.
func TestExchangesThatAreCutCloseTheirConnection(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			_, _ = io.WriteString(w, page(1000))
			return
		}
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		<-stop
	})
	silent := accept(t, func(c net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, c); c.Close() }()
	})
	c := newClient(t, address, func(c *Config) { c.Resolve["silent.example"] = silent; c.Timeout = 50 * time.Millisecond })
	for range 3 {
		for _, url := range []string{"http://www.example/head", "http://www.example/body", "https://silent.example/"} {
			_, err := do(t, c, Request{URL: url})
			wantError(t, err, harrow.Transient, "timeout")
			if n := len(openConns(c)); n != 0 {
				t.Fatalf("%s is over and %d connections are open", url, n)
			}
		}
	}
	c = newClient(t, address, nil)
	for i := range 200 {
		out, err := do(t, c, Request{URL: "http://www.example/cut", MaxBody: 10})
		if err != nil || !out.Truncated {
			t.Fatal(err)
		}
		out.Body.Close()
		if n := len(openConns(c)); n != 0 {
			t.Fatalf("body %d was cut and %d connections are open", i, n)
		}
	}
}
