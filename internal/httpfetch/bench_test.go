package httpfetch

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// BenchmarkExchange compares with a plain client that reads and hashes the
// same pages; server and client are one process, so the difference counts.
func BenchmarkExchange(b *testing.B) {
	body, packed := []byte(page(30_000)), []byte(gzipped(b, page(30_000)))
	address := serve(b, func(w http.ResponseWriter, r *http.Request) {
		send := body
		if r.URL.Path == "/gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			send = packed
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(send)))
		_, _ = w.Write(send)
	})
	for _, path := range []string{"/plain", "/gzip"} {
		b.Run("harrow"+path, func(b *testing.B) {
			c := newClient(b, address, nil)
			b.ReportAllocs()
			for b.Loop() {
				out, err := do(b, c, Request{URL: "http://www.example" + path})
				if err != nil {
					b.Fatal(err)
				}
				out.Body.Close()
			}
		})
		b.Run("nethttp"+path, func(b *testing.B) {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			b.ReportAllocs()
			for b.Loop() {
				r, err := c.Get("http://" + address + path)
				if err != nil {
					b.Fatal(err)
				}
				got, err := io.ReadAll(r.Body)
				if err != nil || sha256.Sum256(got) == [32]byte{} {
					b.Fatal(err)
				}
				r.Body.Close()
			}
		})
	}
}

// BenchmarkHTTP2Exchange is one of many streams over one connection.
func BenchmarkHTTP2Exchange(b *testing.B) {
	body := []byte(page(30_000))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(body) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	c := newClient(b, s.Listener.Addr().String(), func(c *Config) { c.Roots = roots(s) })
	b.ReportAllocs()
	for b.Loop() {
		out, err := do(b, c, Request{URL: "https://example.com/"})
		if err != nil {
			b.Fatal(err)
		}
		out.Body.Close()
	}
}
