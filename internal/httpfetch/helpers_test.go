package httpfetch

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient makes a client whose names all lead to address, and checks at the
// end of the test that no memory is held and no file is left.
func newClient(t testing.TB, address string, change func(*Config)) *Client {
	t.Helper()
	config := Config{Timeout: 20 * time.Second, SpillDir: t.TempDir()}
	if address != "" {
		config.Resolve = map[string]string{"*.example": address, "example.com": address}
	}
	if change != nil {
		change(&config)
	}
	share := memory.NewShare("bodies", 16<<20)
	c, err := New(config, share)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if share.Used() != 0 {
			t.Errorf("%d bytes of the share are held at the end", share.Used())
		}
		if files, _ := os.ReadDir(config.SpillDir); len(files) != 0 {
			t.Errorf("%d files are left in the spill folder", len(files))
		}
	})
	return c
}

// serve starts a server for the handler; its address goes to newClient.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// listen answers each connection with raw bytes, after it has read a
// request's head; reset ends it with RST.
func listen(t testing.TB, answer string, reset bool) string {
	t.Helper()
	return accept(t, func(c net.Conn) {
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		_, _ = c.Write([]byte(answer))
		if reset {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
	})
}

// accept hands each connection to f.
func accept(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func do(t testing.TB, c *Client, req Request) (*Response, error) {
	t.Helper()
	res, err := c.Reserve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Do(t.Context(), req, res)
	if err != nil && out.Body != nil {
		t.Fatal("a body beside an error")
	}
	return out, err
}

// get asks for /path of www.example and closes the body at the test's end.
func get(t testing.TB, c *Client, path string) *Response {
	t.Helper()
	out, err := do(t, c, Request{URL: "http://www.example" + path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := out.Body.Close(); err != nil {
			t.Error(err)
		}
	})
	return out
}

func wantError(t testing.TB, err error, class harrow.Class, code string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Class != class || e.Code != code {
		t.Errorf("error is %v; want %s %s", err, class, code)
	}
}

// packed is text in a content coding; several parts are members or frames.
func packed(t testing.TB, coding string, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w := packer(t, coding, &b)
		if _, err := io.WriteString(w, p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func packer(t testing.TB, coding string, to io.Writer) io.WriteCloser {
	t.Helper()
	var w io.WriteCloser
	var err error
	switch coding {
	case "gzip":
		w = gzip.NewWriter(to)
	case "deflate":
		w = zlib.NewWriter(to)
	case "raw":
		w, err = flate.NewWriter(to, flate.DefaultCompression)
	case "br":
		w = brotli.NewWriterLevel(to, 2)
	case "zstd":
		w, err = zstd.NewWriter(to, zstd.WithEncoderConcurrency(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func gzipped(t testing.TB, parts ...string) string { return packed(t, "gzip", parts...) }

// page is n bytes that are not all the same.
func page(n int) string {
	return strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz\n", n/37+1)[:n]
}
