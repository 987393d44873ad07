package serverlog

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// serve serves a handler, over HTTP/2 as well, and returns its log.
func serve(t *testing.T, h http.Handler) (*Recorder, *httptest.Server) {
	t.Helper()
	rec := Record(h)
	server := httptest.NewUnstartedServer(rec)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return rec, server
}

// over reports whether the log's only entry is closed, and cut off.
func (l *Log) over() bool {
	list := l.Requests()
	return len(list) == 1 && !list[0].End.IsZero() && list[0].Cut
}

func TestAnExchangeIsOverWhenItsClientHasGoneThoughTheHandlerRuns(t *testing.T) {
	for _, c := range []struct {
		name  string
		proto int
		does  func(w http.ResponseWriter)
	}{
		{"HTTP/1.1", 1, func(http.ResponseWriter) {}},
		{"HTTP/1.1, in the body", 1, sendSome},
		{"HTTP/2", 2, func(http.ResponseWriter) {}},
		{"HTTP/2, in the body", 2, sendSome},
		{"hijacked", 1, func(w http.ResponseWriter) { _, _, _ = w.(http.Hijacker).Hijack() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			come, free := make(chan struct{}), make(chan struct{})
			rec, server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != c.proto {
					t.Errorf("HTTP/%d, want %d", r.ProtoMajor, c.proto)
				}
				c.does(w)
				close(come)
				<-free
			}))
			defer close(free)
			transport := server.Client().Transport.(*http.Transport)
			if c.proto == 1 {
				transport = &http.Transport{TLSClientConfig: transport.TLSClientConfig, ForceAttemptHTTP2: false}
				transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
			}
			ctx, leave := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			left := make(chan struct{})
			go func() {
				defer close(left)
				if resp, err := transport.RoundTrip(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}()
			<-come
			if rec.over() {
				t.Error("it was over before its client had gone")
			}
			leave()
			<-left
			eventually(t, "the exchange is over while the handler runs", rec.over)
		})
	}
}

func sendSome(w http.ResponseWriter) {
	_, _ = w.Write(make([]byte, 10000))
	w.(http.Flusher).Flush()
}

func TestAHijackedConnectionIsOverBeforeItsClientSeesTheEnd(t *testing.T) {
	rec := Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		line, err := rw.ReadString('\n') // what the client says after its request is not lost
		if err != nil || line != "more\n" {
			t.Errorf("read %q, %v", line, err)
		}
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\nnonsense"))
		_ = conn.Close()
	}))
	server := httptest.NewServer(rec)
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	for range 20 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"))
		_, _ = conn.Write([]byte("more\n"))
		if text, err := io.ReadAll(bufio.NewReader(conn)); err != nil || !strings.HasSuffix(string(text), "nonsense") {
			t.Fatalf("%q, %v", text, err)
		}
		conn.Close()
	}
	if most := rec.MostAtOnce("a.example"); most != 1 {
		t.Errorf("%d at once, want 1", most)
	}
	for _, e := range rec.Requests() {
		if e.Cut || e.End.IsZero() {
			t.Errorf("the server ended it: %+v", e)
		}
	}
}

// A handler that returns since its request's context has ended has not answered.
func TestAHandlerThatGivesUpWithItsClientIsCutOff(t *testing.T) {
	for range 200 {
		ctx, leave := context.WithCancel(t.Context())
		rec := Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("begun"))
			leave()
		}))
		rec.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://a.example/", nil).WithContext(ctx))
		if all := rec.Requests(); len(all) != 1 || !all[0].Cut {
			t.Fatalf("want one entry that was cut off: %+v", all)
		}
	}
}

// gone is a connection whose client has gone: nothing can be written.
type gone struct{ http.ResponseWriter }

func (gone) Write([]byte) (int, error) { return 0, net.ErrClosed }

func TestAWriteThatFailsTellsThatTheClientHasGone(t *testing.T) {
	rec := Record(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte("more than a byte")); err == nil {
			t.Error("the error of a write was kept from the handler")
		}
	}))
	rec.ServeHTTP(gone{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "http://a.example/", nil))
	if all := rec.Requests(); len(all) != 1 || !all[0].Cut {
		t.Errorf("want one entry that was cut off: %+v", all)
	}
}

// An answer without a body ends with its header: a handler that lingers after
// that is not asked anything any more.
func TestAnAnswerWithoutABodyIsOverWhenItsHeaderIsSent(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"204":              func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"304":              func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) },
		"Content-Length 0": func(w http.ResponseWriter) { w.Header().Set("Content-Length", "0") },
		"HEAD":             func(w http.ResponseWriter) { w.Header().Set("Content-Length", "7") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec, server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer(w)
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}))
			for range 10 {
				method := http.MethodGet
				if name == "HEAD" {
					method = http.MethodHead
				}
				req, _ := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
				req.Host = "a.example"
				resp, err := server.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			if f := rec.Figures("a.example"); f.MostAtOnce != 1 || f.Requests != 10 {
				t.Errorf("%d at once of %d, want 1 of 10", f.MostAtOnce, f.Requests)
			}
		})
	}
}

func TestARequestWhileARetryAfterHoldsIsCounted(t *testing.T) {
	now := func() time.Time { return time.Now() }
	for _, c := range []struct {
		name   string
		status int
		field  func() string
		held   bool
	}{
		{"seconds", 503, func() string { return "30" }, true},
		{"seconds of a 429", 429, func() string { return " 30 " }, true},
		{"a date", 503, func() string { return now().Add(time.Minute).UTC().Format(http.TimeFormat) }, true},
		{"a date of RFC 850", 503, func() string { return now().Add(time.Minute).UTC().Format("Monday, 02-Jan-06 15:04:05 GMT") }, true},
		{"a date of asctime", 503, func() string { return now().Add(time.Minute).UTC().Format("Mon Jan _2 15:04:05 2006") }, true},
		{"more than any number", 503, func() string { return strings.Repeat("9", 40) }, true},
		{"a past date", 503, func() string { return now().Add(-time.Minute).UTC().Format(http.TimeFormat) }, false},
		{"zero", 503, func() string { return "0" }, false},
		{"negative", 503, func() string { return "-5" }, false},
		{"nonsense", 503, func() string { return "soon" }, false},
		{"an answer that is none to wait for", 200, func() string { return "30" }, false},
		{"nothing", 503, func() string { return "" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rec := Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", c.field())
				w.WriteHeader(c.status)
			}))
			ask := func() { rec.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://a.example/", nil)) }
			for soon := false; !soon; { // a busy machine may let too much time pass
				rec.Reset()
				ask()
				ask() // on its way: not held against anybody
				two := rec.Requests()
				soon = two[1].Start.Sub(two[0].End) < Late
			}
			if n := rec.Figures("a.example").Held; n != 0 {
				t.Errorf("%d were held against a request that came with the answer", n)
			}
			time.Sleep(Late + 5*time.Millisecond)
			ask()
			f := rec.Figures("a.example")
			if (f.Held == 1) != c.held || f.HeldUntil.After(time.Now()) != c.held {
				t.Errorf("%d requests while it held, until %v; want held %v", f.Held, f.HeldUntil, c.held)
			}
			broken := rec.Judge(func(string) Limits { return Limits{Concurrency: 1} })
			if (len(broken) == 1 && broken[0].Rule == "retry-after" && broken[0].Key == "a.example") != c.held {
				t.Errorf("judged %v", broken)
			}
		})
	}
}

func TestKeysMayBeGroupsOfHosts(t *testing.T) {
	rec := RecordWith(http.NotFoundHandler(), Options{Lean: true, Group: func(host string) string {
		_, domain, _ := strings.Cut(host, ".")
		return domain
	}})
	for _, host := range []string{"a.one.example", "b.one.example", "a.two.example:80"} {
		rec.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://"+host+"/", nil))
	}
	all := rec.All()
	if len(all) != 2 || all["one.example"].Requests != 2 || all["two.example"].Requests != 1 || len(rec.Requests()) != 0 {
		t.Errorf("%+v, %d entries", all, len(rec.Requests()))
	}
}
