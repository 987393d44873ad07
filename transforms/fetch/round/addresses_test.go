package round

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/dnscache/dnstest"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
)

// newNames serves names: of one without addresses it says that it fails for
// now, one called mute.* gets no answer at all, any other is none.
func newNames(t *testing.T, addrs map[string][]string) *dnstest.Server {
	t.Helper()
	answers := map[string]dnstest.Answer{}
	for name, a := range addrs {
		answers[name] = dnstest.Answer{Addrs: a}
		if len(a) == 0 {
			answers[name] = dnstest.Answer{Code: dnsmessage.RCodeServerFailure}
		}
	}
	for _, name := range []string{"mute.example", "mute.dns.example"} {
		answers[name] = dnstest.Answer{Silent: true}
	}
	return dnstest.Start(t, answers)
}

// byAddress lets the bench's site listen on addresses at one port; the log has
// the address for the host, and handlers find the host in X-Host.
func (b *bench) byAddress(dns *dnstest.Server, addrs ...string) (port string) {
	b.t.Helper()
	for _, a := range addrs {
		if port == "" {
			port = "0"
		}
		l, err := net.Listen("tcp", a+":"+port)
		if err != nil {
			b.t.Fatal(err)
		}
		port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("X-Host", r.Host)
			r.Host = a
			b.log.ServeHTTP(w, r)
		}))
		_ = s.Listener.Close()
		s.Listener = l
		s.Start()
		b.t.Cleanup(s.Close)
	}
	b.cfg.Fetch.Resolve = nil
	b.cfg.Fetch.AllowPrivateNetworks = true
	b.cfg.Fetch.Politeness.Key = harrow.KeyIP
	b.cfg.DNS = dns.Addr
	return port
}

func TestHostsOnOneAddressShareItsLimits(t *testing.T) {
	const delay = 30 * time.Millisecond
	dns := newNames(t, map[string][]string{"a.example": {"127.0.0.2"}, "b.example": {"127.0.0.2"}, "c.example": {"127.0.0.9", "127.0.0.2"}, "d.example": {"127.0.0.3"}})
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/robots.txt":
		case strings.HasPrefix(r.Header.Get("X-Host"), "b."):
			_, _ = fmt.Fprintf(w, "User-agent: *\nCrawl-delay: 0.05")
		default:
			http.NotFound(w, r)
		}
		time.Sleep(10 * time.Millisecond)
	}))
	port := b.byAddress(dns, "127.0.0.2", "127.0.0.3")
	short := harrow.Duration(delay)
	b.cfg.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 2, Delay: &short}
	zero := harrow.Duration(0)
	b.cfg.Fetch.Politeness.Overrides = map[string]harrow.PolitenessLimits{"127.0.0.3": {Concurrency: 3, Delay: &zero}}
	var urls []string
	for i := range 10 {
		for _, h := range []string{"a", "b", "c", "d"} {
			urls = append(urls, fmt.Sprintf("http://%s.example:%s/%d", h, port, i))
		}
	}
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
		want := "127.0.0.2"
		if strings.HasPrefix(c.URL, "http://d.") {
			want = "127.0.0.3"
		}
		if c.Outcome != harrow.Fetched || c.Key != want || !strings.HasPrefix(c.RemoteAddr, want+":") {
			t.Errorf("%s: %s %s, key %s, answered by %s; want key and address %s", c.URL, c.Outcome, c.Code, c.Key, c.RemoteAddr, want)
		}
	}
	for _, e := range rowsOf(t, b.lake, lakeio.Exchanges, parts) {
		if e.Key != "127.0.0.2" && e.Key != "127.0.0.3" {
			t.Errorf("exchange of %s has key %s", e.URL, e.Key)
		}
	}
	if n := len(b.log.Requests()); n != 44 {
		t.Errorf("%d requests, want 40 and 4 robots.txt", n)
	}
	if most, gap := b.log.MostAtOnce("127.0.0.2"), slices.Min(b.gaps(parts, "127.0.0.2")); most > 2 || gap < delay {
		t.Errorf("127.0.0.2 saw %d at once, %v between two starts; want at most 2 and %v", most, gap, delay)
	}
	// b's crawl-delay is the address's, from its robots.txt on: no page of b is
	// asked for before that has been read.
	sent := slices.DeleteFunc(rowsOf(t, b.lake, lakeio.Exchanges, parts), func(x harrow.Exchange) bool { return x.Key != "127.0.0.2" })
	slices.SortFunc(sent, func(x, y harrow.Exchange) int { return x.StartedAt.Compare(y.StartedAt) })
	first := slices.IndexFunc(sent, func(x harrow.Exchange) bool {
		return strings.HasPrefix(x.URL, "http://b.") && x.Kind == harrow.KindPage
	})
	if least := slices.Min(b.gaps(parts, "127.0.0.2")[first-1:]); least < 50*time.Millisecond {
		t.Errorf("%v between two starts from b's first page on; b asked for 50 ms", least)
	}
	if most := b.log.MostAtOnce("127.0.0.3"); most > 3 {
		t.Errorf("127.0.0.3 saw %d at once, want at most 3", most)
	}
}

func TestAHostWithoutAnAddressEndsByWhatItsLookupSays(t *testing.T) {
	dns := newNames(t, map[string][]string{"ok.example": {"127.0.0.2"}, "sick.example": nil, "private.example": {"10.0.0.1"}})
	b := newBench(t, http.NotFoundHandler())
	port := b.byAddress(dns, "127.0.0.2")
	b.cfg.Fetch.AllowPrivateNetworks = false
	b.cfg.Fetch.Resolve = map[string]string{"ok.example": "127.0.0.2:" + port}
	b.cfg.Fetch.Retry.Attempts = 3
	b.cfg.Fetch.Timeout = harrow.Duration(500 * time.Millisecond)
	at := ":" + port + "/"
	budget := memory.For(b.cfg.Env.Memory)
	parts, err := b.run(t.Context(), "http://ok.example"+at, "http://none.example"+at, "http://none.example"+at+"2", "http://sick.example"+at,
		"http://private.example"+at, "http://mute.example"+at, "http://127.0.0.1"+at)
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))
	for url, want := range map[string]string{
		"http://ok.example" + at: "gone http_404", "http://none.example" + at: "failed nxdomain", "http://none.example" + at + "2": "failed nxdomain",
		"http://sick.example" + at: "deferred dns", "http://mute.example" + at: "deferred dns",
		"http://private.example" + at: "failed forbidden_address", "http://127.0.0.1" + at: "failed forbidden_address",
	} {
		if got[url] != want {
			t.Errorf("%s: %q, want %q", url, got[url], want)
		}
	}
	rejects := rowsOf(t, b.lake, lakeio.Rejects, parts)
	if len(rejects) != 4 {
		t.Errorf("%d rejects, want 4: %+v", len(rejects), rejects)
	}
	for _, r := range rejects {
		if r.Class != harrow.Permanent || r.Reason == "" {
			t.Errorf("reject of %s: class %s, code %s, %s", r.URL, r.Class, r.Code, r.Reason)
		}
	}
	deferred := rowsOf(t, b.lake, lakeio.DeferredRequests, parts)
	if len(deferred) != 2 || deferred[0].Reason != "dns" || !strings.Contains(deferred[0].Key, ".example") {
		t.Errorf("deferred %+v", deferred)
	}
	if n := budget.Bodies.Used(); n != 0 {
		t.Errorf("%d bytes of the share of bodies are still held", n)
	}
}

func TestAHostKeepsItsAddressForTheRun(t *testing.T) {
	dns := newNames(t, map[string][]string{"a.example": {"127.0.0.2"}, "b.example": {"127.0.0.3"}})
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
		}
	}))
	port := b.byAddress(dns, "127.0.0.2", "127.0.0.3")
	if _, err := b.run(t.Context(), "http://a.example:"+port+"/1"); err != nil {
		t.Fatal(err)
	}
	dns.Set("a.example", dnstest.Answer{Addrs: []string{"127.0.0.3"}})
	b.cfg.Round, b.cfg.Env.Stage = 1, lakeio.FetchStage(1)
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(t.Context(), 0, b.requests("http://a.example:"+port+"/2", "http://b.example:"+port+"/2"))
	if err != nil {
		t.Fatal(errors.Join(err, p.Close()))
	}
	parts, err := a.Wait(t.Context())
	if err = errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
		if want := map[bool]string{true: "127.0.0.2", false: "127.0.0.3"}[strings.HasPrefix(c.URL, "http://a.")]; c.Key != want {
			t.Errorf("%s was asked at %s, want %s", c.URL, c.Key, want)
		}
	}
}

func TestTheStatusNamesHostsThatWaitForTheirAddress(t *testing.T) {
	b := newBench(t, http.NotFoundHandler())
	b.byAddress(newNames(t, nil), "127.0.0.2")
	b.cfg.Fetch.Timeout = harrow.Duration(time.Minute)
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Admit(t.Context(), 0, b.requests("http://mute.example/1", "http://mute.example/2")); err != nil {
		t.Fatal(err)
	}
	st := p.status(time.Now())
	if st.Waiting[whyDNS] != 1 || len(st.Keys) != 1 || st.Keys[0].Key != "mute.example:80" || st.Keys[0].Why != whyDNS || st.Keys[0].Queued != 2 {
		t.Errorf("status %+v", st)
	}
	p.stop(nil) // ends the lookup, too
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// The second shard's hosts have other owners than the first's, and the address
// is one all the same.
func TestFetchShardsShareAnAddress(t *testing.T) {
	dns := newNames(t, map[string][]string{"a.example": {"127.0.0.2"}, "b.example": {"127.0.0.2"}})
	b := newBench(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(5 * time.Millisecond) }))
	port := b.byAddress(dns, "127.0.0.2")
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	var admitted []*Admission
	for shard, name := range []string{"a", "b"} {
		var urls []string
		for i := range 10 {
			urls = append(urls, fmt.Sprintf("http://%s.example:%s/%d", name, port, i))
		}
		a, err := p.Admit(t.Context(), shard, b.requests(urls...))
		if err != nil {
			t.Fatal(errors.Join(err, p.Close()))
		}
		admitted = append(admitted, a)
	}
	for i, a := range admitted {
		parts, err := a.Wait(t.Context())
		if err != nil {
			t.Fatal(errors.Join(err, p.Close()))
		}
		captures := rowsOf(t, b.lake, lakeio.Captures, parts)
		if len(captures) != 10 {
			t.Errorf("shard %d has %d captures, want its own 10", i, len(captures))
		}
		for _, c := range captures {
			if want := "http://" + "ab"[i:i+1] + "."; !strings.HasPrefix(c.URL, want) || c.Outcome != harrow.Fetched {
				t.Errorf("shard %d has %s: %s", i, c.URL, c.Outcome)
			}
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if most := b.log.MostAtOnce("127.0.0.2"); most != 2 {
		t.Errorf("%d at once, want the limit, 2", most)
	}
}

func TestKeyIPWithProxiesIsRefused(t *testing.T) {
	b := newBench(t, http.NotFoundHandler())
	b.cfg.Fetch.Politeness.Key, b.cfg.Fetch.Proxies = harrow.KeyIP, []string{"http://proxy.example:3128"}
	if err := b.cfg.Validate(); err == nil || !strings.Contains(err.Error(), "proxies") {
		t.Errorf("Validate says %v", err)
	}
}
