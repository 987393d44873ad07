package httpfetch

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/harrowdata/harrow"
)

// What is held back when its connection is there has not been sent, over a new
// connection or a kept one; the next exchange is none the worse for it.
func TestWhatIsHeldIsNotSent(t *testing.T) {
	t.Parallel()
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor == 2 != h2 {
					t.Errorf("the request came over %s", r.Proto)
				}
				seen.Add(1)
			}))
			server.EnableHTTP2 = h2
			server.StartTLS()
			defer server.Close()
			c := newClient(t, strings.TrimPrefix(server.URL, "https://"), func(c *Config) {
				c.Roots = x509.NewCertPool()
				c.Roots.AddCert(server.Certificate())
			})
			for i := range 40 {
				held := i%2 == 0
				out, err := do(t, c, Request{URL: "https://example.com/", Held: func() bool { return held }})
				if held {
					wantError(t, err, harrow.Transient, "held")
					if !errors.Is(err, ErrHeld) || !out.SentAt.IsZero() || !out.WrittenAt.IsZero() {
						t.Errorf("%v; sent at %v, written at %v", err, out.SentAt, out.WrittenAt)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				out.Body.Close()
			}
			if n := seen.Load(); n != 20 {
				t.Errorf("the server saw %d requests, want 20", n)
			}
		})
	}
}

// Once the right to send is over nothing leaves any more, over a new connection
// or a kept one.
func TestNothingIsSentWithoutThePermission(t *testing.T) {
	t.Parallel()
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int32
			var over atomic.Bool
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
			server.EnableHTTP2 = h2
			server.StartTLS()
			defer server.Close()
			c := newClient(t, strings.TrimPrefix(server.URL, "https://"), func(c *Config) {
				c.Roots = x509.NewCertPool()
				c.Roots.AddCert(server.Certificate())
				c.Permitted = func() bool { return !over.Load() }
			})
			out, err := do(t, c, Request{URL: "https://example.com/"})
			if err != nil {
				t.Fatal(err)
			}
			out.Body.Close()
			over.Store(true)
			for range 3 { // the first on the connection that was kept
				_, err := do(t, c, Request{URL: "https://example.com/"})
				var own *Error
				if !errors.As(err, &own) || own.Class != harrow.Transient {
					t.Errorf("%v", err)
				}
			}
			if n := seen.Load(); n != 1 {
				t.Errorf("the server saw %d requests, want 1", n)
			}
		})
	}
}
