package round

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// forwarder is a proxy that brings everything to the bench's site.
type forwarder struct {
	*httptest.Server
	asked atomic.Int64
}

func (b *bench) forwarder() *forwarder {
	f := &forwarder{}
	way := &http.Transport{DisableKeepAlives: true}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked.Add(1)
		if !r.URL.IsAbs() || r.Header.Get("Proxy-Authorization") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		out := r.Clone(r.Context())
		out.Header.Del("Proxy-Authorization")
		out.RequestURI, out.URL.Host = "", strings.TrimPrefix(b.site.URL, "http://")
		resp, err := way.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	b.t.Cleanup(f.Close)
	return f
}

// behind is a bench whose job goes through proxies, one of which is asked for a
// password that the environment has.
func behind(t *testing.T, proxies int) (b *bench, all []*forwarder) {
	t.Helper()
	t.Setenv("PROXY_PASSWORD", "open-sesame")
	b = newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			_, _ = io.WriteString(w, "User-agent: *\nDisallow: /private")
		}
	}))
	b.cfg.Fetch.Resolve = nil
	for range proxies {
		f := b.forwarder()
		all = append(all, f)
		b.cfg.Fetch.Proxies = append(b.cfg.Fetch.Proxies, strings.Replace(f.URL, "http://", "http://me:${PROXY_PASSWORD}@", 1))
	}
	return b, all
}

func TestAProxyThatDiesIsTheProxysFaultAndNoHosts(t *testing.T) {
	b, proxies := behind(t, 3)
	proxies[1].Close() // refuses, from the first on
	parts, err := b.run(t.Context(), append(manyOf("one.example", 20), "http://one.example/private")...)
	if err != nil {
		t.Fatal(err)
	}
	for url, c := range ends(t, b.lake, parts) {
		want := "fetched"
		if strings.HasSuffix(url, "/private") {
			want = "denied robots"
		}
		if c.text() != want || c.Attempts > 1 {
			t.Errorf("%s: %q after %d attempts, want %q at the first", url, c.text(), c.Attempts, want)
		}
	}
	failed, carried := 0, map[string]int{}
	for _, e := range rowsOf(t, b.lake, lakeio.Exchanges, parts) {
		if strings.Contains(e.Proxy+e.Error, "sesame") || strings.Contains(e.Proxy, "@") {
			t.Errorf("an exchange names the password: %+v", e)
		}
		if e.Error == "" {
			carried[strings.Clone(e.Proxy)]++
		} else if failed++; e.Proxy != proxies[1].URL || !strings.HasPrefix(e.Error, codeProxy) {
			t.Errorf("through %s: %s", e.Proxy, e.Error)
		}
	}
	if failed == 0 || carried[proxies[0].URL] == 0 || carried[proxies[2].URL] == 0 || len(carried) != 2 {
		t.Errorf("%d exchanges failed, the proxies carried %v", failed, carried)
	}
	if n := b.log.Count("http://one.example/robots.txt"); n != 1 {
		t.Errorf("the site saw %d requests for robots.txt", n)
	}
}

func TestWhatNoProxyCarriesIsDeferredAfterAWhileAndTheStatusSaysSo(t *testing.T) {
	b, proxies := behind(t, 2)
	for _, f := range proxies {
		f.Close()
	}
	b.cfg.Fetch.Retry.Cap, b.cfg.Fetch.Breaker.CoolDown = harrow.Duration(2*time.Second), harrow.Duration(time.Second)
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(t.Context(), 0, b.requests(manyOf("one.example", 10)...))
	if err != nil {
		t.Fatal(errors.Join(err, p.Close()))
	}
	said := ""
	for end := time.Now().Add(patience); !strings.HasPrefix(said, "proxies: none of 2 can be reached; next try at ") && time.Now().Before(end); time.Sleep(time.Millisecond) {
		said = p.status(time.Now()).Blocked
	}
	if !strings.HasPrefix(said, "proxies: none of 2 can be reached; next try at ") {
		t.Errorf("the status says %q", said)
	}
	parts, err := a.Wait(t.Context())
	if err = errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	got := ends(t, b.lake, parts)
	for url, c := range got {
		if c.text() != "deferred transient proxy" || c.Attempts != 0 {
			t.Errorf("%s: %q after %d attempts", url, c.text(), c.Attempts)
		}
	}
	if len(got) != 10 || len(b.log.Requests()) != 0 {
		t.Errorf("%d captures, %d requests came through", len(got), len(b.log.Requests()))
	}
}

// An exchange that never came to the host leaves its record as it is.
func TestARequestThatNoProxyCarriesEndsSomeTime(t *testing.T) {
	p := &Process{cfg: newBench(t, http.NotFoundHandler()).cfg, results: make(chan *result, 1)}
	p.cfg.Fetch.Proxies = []string{"a", "b"}
	it := &item{Attempt: 1, Via: p.cfg.Fetch.Retry.Attempts + 1, key: &key{}}
	if err := p.anotherProxy(it, time.Now()); err != nil {
		t.Fatal(err)
	}
	if r := <-p.results; r.capture.Outcome != harrow.Deferred || r.capture.Code != codeProxy || it.Attempt != 0 {
		t.Errorf("%+v, attempt %d", r.capture, it.Attempt)
	}
}
