package round

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
)

// hostileAttempts is how often what fails for now is tried.
const hostileAttempts = 3

// misdeed is a host that does something to whoever asks. Its name is the
// host's: NAME.example, or NAME itself where there is a dot in it.
type misdeed struct {
	name   string
	robots http.HandlerFunc  // nil: 404
	page   http.HandlerFunc  // of every other path; nil: 200
	want   map[string]string // by URL: outcome class code
	asked  map[string]int    // how often the server has seen a path
	check  func(t *testing.T, c harrow.Capture)
}

func (m misdeed) host() string {
	if strings.Contains(m.name, ".") {
		return m.name
	}
	return m.name + ".example"
}

// one is a host of which one page is asked for.
func one(name, want string, robots, page http.HandlerFunc) misdeed {
	m := misdeed{name: name, robots: robots, page: page}
	m.want = map[string]string{"http://" + m.host() + "/x": want}
	return m
}

func (m misdeed) times(path string, n int) misdeed {
	if m.asked == nil {
		m.asked = map[string]int{}
	}
	m.asked[path] = n
	return m
}

func answers(status int, header, value, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func moves(to string) http.HandlerFunc { return answers(302, "Location", to, "") }

// never answers.
func never(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// drips sends headers and then a byte from time to time.
func drips(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, "ab") // the log holds one back
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// raw sends bytes and ends the connection, hard or in order.
func raw(hard bool, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		if hard {
			time.Sleep(10 * time.Millisecond) // for what was sent to be read
			_ = conn.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
	}
}

// endless sends for as long as somebody reads.
func endless(w http.ResponseWriter, _ *http.Request) {
	for chunk := bytes.Repeat([]byte("more "), 2000); ; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func endlessHeaders(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
	for i := 0; err == nil; i++ {
		_, err = fmt.Fprintf(conn, "X-%d: %s\r\n", i, strings.Repeat("x", 1000))
	}
}

var bomb = sync.OnceValue(func() string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	return b.String()
})

// steps redirects n times within a path, then does what then does.
func steps(n int, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		i, _ := strconv.Atoi(r.URL.Query().Get("step"))
		if i < n {
			http.Redirect(w, r, fmt.Sprintf("%s?step=%d", r.URL.Path, i+1), http.StatusFound)
			return
		}
		then(w, r)
	}
}

const (
	robotsDefers = "deferred transient robots"
	ok           = "fetched"
	noX          = "User-agent: *\nDisallow: /x\n"
)

func robotsMisdeeds() []misdeed {
	noise := make([]byte, 20_000)
	for i := range noise {
		noise[i] = byte(rand.N(256))
	}
	long := noX + strings.Repeat("# "+strings.Repeat("nothing ", 10)+"\n", 10<<20/83) + "Disallow: /y\n"
	all := []misdeed{
		one("robots-500", robotsDefers, answers(500, "", "", ""), nil).times("/robots.txt", hostileAttempts).times("/x", 0),
		one("robots-503-retry-after", robotsDefers, answers(503, "Retry-After", "1", ""), nil).times("/x", 0),
		one("robots-429", robotsDefers, answers(429, "", "", ""), nil).times("/robots.txt", hostileAttempts).times("/x", 0),
		one("robots-html", ok, answers(200, "Content-Type", "text/html", "<!doctype html><p>Disallow: /"), nil).times("/robots.txt", 1),
		one("robots-binary", ok, answers(200, "", "", string(noise)), nil).times("/robots.txt", 1),
		one("robots-5-redirects", "denied robots", steps(5, answers(200, "", "", noX)), nil).times("/x", 0),
		one("robots-6-redirects", ok, steps(6, answers(200, "", "", noX)), nil),
		one("robots-elsewhere", ok, moves("http://good-0.example/noX"), nil),
		one("robots-reset", robotsDefers, raw(true, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nUser"), nil).times("/x", 0),
		one("refused", robotsDefers, nil, nil).times("/robots.txt", 0),
		one("none", "failed permanent nxdomain", nil, nil).times("/robots.txt", 0),
		one("servfail", robotsDefers, nil, nil).times("/robots.txt", 0),
		{name: "robots-10-mb", robots: answers(200, "", "", long),
			want:  map[string]string{"http://robots-10-mb.example/x": "denied robots", "http://robots-10-mb.example/y": ok},
			asked: map[string]int{"/robots.txt": 1, "/x": 0}},
		{name: "tls-name", want: map[string]string{"https://tls-name.example/x": "failed permanent tls"}, asked: map[string]int{"/robots.txt": 0}},
		{name: "tls-none", want: map[string]string{"https://tls-none.example/x": robotsDefers}, asked: map[string]int{"/robots.txt": 0}},
	}
	for i, to := range []string{"http://169.254.169.254/robots.txt", "http://[::1]/robots.txt", "file:///etc/passwd", ""} {
		all = append(all, one(fmt.Sprintf("robots-to-%d", i), ok, moves(to), nil)) // out of the domain: as if there was none
	}
	return all
}

// slowMisdeeds are those that a timeout ends.
func slowMisdeeds() []misdeed {
	return []misdeed{
		one("robots-never", robotsDefers, never, nil).times("/robots.txt", timeoutTries).times("/x", 0),
		one("robots-drips", robotsDefers, drips, nil).times("/x", 0),
		one("mute.dns.example", robotsDefers, nil, nil).times("/robots.txt", 0),
		one("slow-headers", "failed transient timeout", nil, never).times("/x", hostileAttempts),
		one("slow-body", "failed transient timeout", nil, drips).times("/x", hostileAttempts),
	}
}

func pageMisdeeds() []misdeed {
	body := func(want string, truncated bool) func(*testing.T, harrow.Capture) {
		return func(t *testing.T, c harrow.Capture) {
			if c.Truncated != truncated || want != "" && c.BodyBytes != int64(len(want)) || (c.BodyBytes == 0) != (c.BodyPart == "") {
				t.Errorf("%d bytes, truncated %v, stored in %q; want %q, truncated %v", c.BodyBytes, c.Truncated, c.BodyPart, want, truncated)
			}
		}
	}
	with := func(m misdeed, check func(*testing.T, harrow.Capture)) misdeed { m.check = check; return m }
	return []misdeed{
		one("there-and-back", "failed permanent redirects", nil, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, map[string]string{"/x": "/y", "/y": "/x"}[r.URL.Path], http.StatusFound)
		}).times("/x", 6).times("/y", 5),
		one("to-itself", "failed permanent redirect_loop", nil, moves("/x")).times("/x", 1),
		one("10-redirects", ok, nil, steps(10, answers(200, "", "", ""))),
		one("11-redirects", "failed permanent redirects", nil, steps(11, answers(200, "", "", ""))),
		one("out-of-scope", "redirected scope", nil, moves("http://out.test/")),
		one("to-file", "failed data location", nil, moves("file:///etc/passwd")).times("/x", 1),
		one("to-script", "failed data location", nil, moves("javascript:alert(1)")),
		one("to-nothing", "failed data location", nil, answers(302, "", "", "")),
		one("to-empty", "failed data location", nil, answers(302, "Location", "", "")),
		one("to-garbage", "failed data location", nil, moves("http://[")),
		one("to-far", "failed data location", nil, moves("/"+strings.Repeat("far", 30_000))),
		one("to-long", ok, nil, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/x" {
				moves("/"+strings.Repeat("l", 8_000))(w, r)
			}
		}),
		{name: "secure.example.com", want: map[string]string{"http://secure.example.com/x": ok}, page: func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/x":
				moves("https://secure.example.com/y")(w, r)
			case r.URL.Path == "/y":
				moves("http://secure.example.com/z")(w, r)
			}
		}},
		with(one("endless-body", ok, nil, endless).times("/x", 1), body(strings.Repeat(" ", 100_000), true)),
		one("endless-headers", "failed data protocol", nil, endlessHeaders).times("/x", 1),
		one("bomb", "failed data bomb", nil, answers(200, "Content-Encoding", "gzip", bomb())).times("/x", 1),
		one("more-promised", "failed data truncated", nil, raw(false, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")),
		with(one("less-promised", ok, nil, raw(false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nmore than five")), body("more ", false)),
		one("cut-chunk", "failed data truncated", nil, raw(false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nshort")),
		one("no-http", "failed data protocol", nil, raw(false, "SSH-2.0-OpenSSH_9.7\r\n")),
		one("reset", "failed transient reset", nil, raw(true, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")).times("/x", hostileAttempts),
		one("304-unasked", "failed data unasked_304", nil, answers(304, "", "", "")).times("/x", 1),
		one("status-999", "failed data protocol", nil, raw(false, "HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n")).times("/x", 1),
		one("status-600", "failed data protocol", nil, raw(false, "HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n")).times("/x", 1),
		with(one("empty", ok, nil, answers(200, "", "", "")), body("", false)),
		one("retry-after-past", "failed transient http_503", nil, answers(503, "Retry-After", "Mon, 01 Jan 1990 00:00:00 GMT", "")).times("/x", hostileAttempts),
		one("retry-after-garbage", "failed transient http_429", nil, answers(429, "Retry-After", "soon; maybe", "")).times("/x", hostileAttempts),
		one("retry-after-negative", "failed transient http_503", nil, answers(503, "Retry-After", "-5", "")).times("/x", hostileAttempts),
		one("retry-after-1", "failed transient http_503", nil, answers(503, "Retry-After", "1", "")).times("/x", hostileAttempts),
	}
}

// inwards are redirects to where nobody from outside may go. Each leads to
// another registered domain, so it is a request of the next round.
func inwards() (all []misdeed) {
	for i, to := range []string{"http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://0.0.0.0/", "http://127.0.0.1/", "http://2130706433/",
		"http://0177.0.0.1/", "http://0x7f.1/", "http://10.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://inside.example/"} {
		all = append(all, one(fmt.Sprintf("inwards-%d", i), "redirected domain", nil, moves(to)))
	}
	return all
}

func goodHosts() (all []misdeed) {
	for i := range 3 {
		m := misdeed{name: fmt.Sprintf("good-%d", i), want: map[string]string{}, asked: map[string]int{}}
		for j := range 20 {
			m.want[fmt.Sprintf("http://%s/%d", m.host(), j)] = ok
			m.asked[fmt.Sprintf("/%d", j)] = 1
		}
		all = append(all, m)
	}
	return all
}

// hostile is a bench of hosts that do something to whoever asks.
type hostile struct {
	*bench
	all []misdeed
}

// hostileBench serves all of them, one host each, and fetches them in one run.
func hostileBench(t *testing.T, all []misdeed) *hostile {
	t.Helper()
	byHost := map[string]misdeed{}
	for _, m := range all {
		byHost[m.host()] = m
	}
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := byHost[r.Host]
		switch {
		case r.URL.Path != "/robots.txt" && m.page != nil:
			m.page(w, r)
		case r.URL.Path == "/robots.txt" && m.robots != nil:
			m.robots(w, r)
		case r.URL.Path == "/robots.txt":
			http.NotFound(w, r)
		}
	}))
	b.site.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure := httptest.NewUnstartedServer(b.log)
	secure.Config.ErrorLog = b.site.Config.ErrorLog
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain, tls := b.cfg.Fetch.Resolve["*.example"], strings.TrimPrefix(secure.URL, "https://")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	dns := newNames(t, map[string][]string{"servfail.example": nil, "inside.example": {"192.168.7.7"}})
	b.cfg.Fetch.Resolve = map[string]string{"refused.example": closed.Addr().String(), "tls-name.example:443": tls, "tls-none.example:443": plain,
		"secure.example.com:443": tls, "secure.example.com:80": plain}
	for host := range byHost {
		switch host {
		case "none.example", "servfail.example", "mute.dns.example", "refused.example", "tls-name.example", "tls-none.example", "secure.example.com":
		default:
			b.cfg.Fetch.Resolve[host] = plain
		}
	}
	b.cfg.DNS = dns.Addr
	b.cfg.Roots = x509.NewCertPool()
	b.cfg.Roots.AddCert(secure.Certificate())
	b.cfg.Scope.Hosts = []string{"*.example", "*.example.com", "169.254.169.254", "[::1]", "0.0.0.0", "127.0.0.1", "10.0.0.1", "[::ffff:7f00:1]"}
	b.cfg.Fetch.MaxBody = 100_000
	b.cfg.Fetch.Retry.Attempts = hostileAttempts
	return &hostile{b, all}
}

func TestAHostileHostGetsWhatIsDueToItAndHarmsNoOther(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	// Apart, since only what a timeout ends may need one that a busy machine could
	// reach as well.
	b := hostileBench(t, slices.Concat(robotsMisdeeds(), pageMisdeeds(), inwards(), goodHosts()))
	b.cfg.Fetch.Timeout = harrow.Duration(patience)
	b.inwardsFail(ctx, rowsOf(t, b.lake, lakeio.Links, b.hostility(ctx)))
	good := goodHosts()
	for i := range good {
		good[i].asked = nil // again, should one have been reached
	}
	b = hostileBench(t, append(slowMisdeeds(), good...))
	b.cfg.Fetch.Timeout = harrow.Duration(700 * time.Millisecond)
	b.hostility(ctx)
}

// hostility fetches what the hosts have and judges what came of it.
func (b *hostile) hostility(ctx context.Context) []harrow.Part {
	t, all := b.t, b.all
	t.Helper()
	var urls []string
	for _, m := range all {
		for url := range m.want {
			urls = append(urls, url)
		}
	}
	budget := memory.For(b.cfg.Env.Memory)
	parts, err := b.run(ctx, urls...)
	if err != nil {
		t.Fatal(err)
	}
	got := ends(t, b.lake, parts)
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			for url, want := range m.want {
				c, asked := got[url]
				if !asked || c.text() != want {
					t.Errorf("%s: %q, want %q (%s)", url, c.text(), want, c.reason)
				}
				if m.check != nil {
					m.check(t, c.Capture)
				}
			}
			for path, n := range m.asked {
				if got := b.log.Count("http://"+m.host()+path) + b.log.Count("https://"+m.host()+path); got != n {
					t.Errorf("%s was asked %d times, want %d", path, got, n)
				}
			}
		})
	}
	for _, broken := range b.log.Judge(func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 2} }) {
		t.Error(broken)
	}
	if len(got) != len(urls) {
		t.Errorf("%d captures for %d requests", len(got), len(urls))
	}
	for _, share := range []*memory.Share{budget.Bodies, budget.Batches, budget.Seen} {
		if n := share.Used(); n != 0 {
			t.Errorf("%d bytes of a share are still held", n)
		}
	}
	return parts
}

// inwardsFail runs the next round.
func (b *bench) inwardsFail(ctx context.Context, links []harrow.Link) {
	b.t.Helper()
	var next []harrow.Request
	for _, l := range links {
		if l.Rel == "redirect" {
			next = append(next, harrow.Request{Method: l.Method, URL: l.URL})
		}
	}
	before := len(b.log.Requests())
	b.cfg.Round, b.cfg.Env.Stage = 1, lakeio.FetchStage(1)
	parts, err := b.fetch(ctx, all(next...))
	if err != nil {
		b.t.Fatal(err)
	}
	got := ends(b.t, b.lake, parts)
	for url, c := range got {
		if c.text() != "failed permanent forbidden_address" {
			b.t.Errorf("%s: %q, want that its address is forbidden", url, c.text())
		}
	}
	if len(got) != 7 { // of ten, four are 127.0.0.1
		b.t.Errorf("%d requests lead inwards, want 7: %v", len(got), got)
	}
	if n := len(b.log.Requests()) - before; n != 0 {
		b.t.Errorf("%d of them came through", n)
	}
}

// end is how a request ended, by all the tables that tell.
type end struct {
	harrow.Capture
	reason string // of its reject
}

func (e end) text() string {
	return strings.Join(strings.Fields(strings.Join([]string{string(e.Outcome), string(e.Class), e.Code}, " ")), " ")
}

// ends reads how each request ended and holds captures, rejects and deferred
// to each other.
func ends(t *testing.T, l lakeio.Lake, parts []harrow.Part) map[string]end {
	t.Helper()
	got := map[string]end{}
	for _, c := range rowsOf(t, l, lakeio.Captures, parts) {
		c.URL, c.Code = strings.Clone(c.URL), strings.Clone(c.Code)
		if _, twice := got[c.URL]; twice {
			t.Errorf("%s has two captures", c.URL)
		}
		got[c.URL] = end{Capture: c}
	}
	rejects, deferred := map[harrow.ID]harrow.Reject{}, map[harrow.ID]harrow.Request{}
	for _, r := range rowsOf(t, l, lakeio.Rejects, parts) {
		rejects[r.ID] = r
	}
	for _, r := range rowsOf(t, l, lakeio.DeferredRequests, parts) {
		deferred[r.ID] = r
	}
	for url, c := range got {
		r, rejected := rejects[c.ID]
		d, isDeferred := deferred[c.ID]
		if rejected != (c.Outcome == harrow.Failed) || rejected && (r.Class != c.Class || r.Code != c.Code || r.Reason == "" || r.Payload == "") {
			t.Errorf("%s ended as %s; its reject: %+v", url, c.text(), r)
		}
		if isDeferred != (c.Outcome == harrow.Deferred) || isDeferred && d.Reason != c.Code {
			t.Errorf("%s ended as %s; deferred: %+v", url, c.text(), d)
		}
		c.reason = strings.Clone(r.Reason)
		got[url] = c
	}
	return got
}
