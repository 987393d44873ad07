package round

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/io/lakeio"
)

// lounge is a site whose pages want a session, which a form opens.
type lounge struct {
	lasts  int    // pages that a session is good for; 0: any number
	out    int    // how who has none is answered: 302, 401 or 403
	broken int    // requests of the login's page that are answered with 500 first
	stale  bool   // a session that is opened is good for nothing
	domain string // of the cookie

	mu      sync.Mutex
	token   int
	session int
	used    int // of the session
	logins  []string
	asked   []string // pages, in order, with what they were answered
	between int      // pages asked while a login was under way
	opening bool

	hold chan struct{} // who asks for the login's page waits for it; nil: nobody
}

const password = "p4ssw0rd&x"

func (l *lounge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.hold != nil && r.URL.Path == "/login" {
		select {
		case <-l.hold:
		case <-r.Context().Done():
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.URL.Path {
	case "/robots.txt":
		_, _ = fmt.Fprint(w, "User-agent: *\nDisallow: /login\nDisallow: /denied\n")
	case "/login":
		l.login(w, r)
	case "/home":
		l.opening = false
		_, _ = fmt.Fprint(w, "<a href=/logout>Log out</a>")
	default:
		l.page(w, r)
	}
}

func (l *lounge) login(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		l.opening = true
		if l.broken > 0 {
			l.broken--
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		l.token++
		http.SetCookie(w, &http.Cookie{Name: "form", Value: fmt.Sprint(l.token)})
		_, _ = fmt.Fprintf(w, `<form><input name=q></form><form id=in method=post action="/login?go=1"><input type=hidden name=csrf value=%d><input name=user><input type=password name=pass></form>`, l.token)
		return
	}
	if err := r.ParseForm(); err != nil {
		panic(err)
	}
	c, err := r.Cookie("form")
	l.logins = append(l.logins, r.PostForm.Get("user")+"/"+r.PostForm.Get("pass"))
	if err != nil || c.Value != r.PostForm.Get("csrf") || c.Value != fmt.Sprint(l.token) || r.PostForm.Get("pass") != password {
		_, _ = fmt.Fprint(w, `Wrong. <form method=post><input name=user><input type=password name=pass></form>`)
		return
	}
	l.session++
	l.used = 0
	http.SetCookie(w, &http.Cookie{Name: "sid", Value: fmt.Sprintf("s3ss10n%d", l.session), Path: "/", Domain: l.domain})
	http.Redirect(w, r, "/home?ticket=t1cket", http.StatusSeeOther)
}

func (l *lounge) page(w http.ResponseWriter, r *http.Request) {
	if l.opening && canon.Domain(r.Host) == "one.example" {
		l.between++
	}
	c, err := r.Cookie("sid")
	in := err == nil && c.Value == fmt.Sprintf("s3ss10n%d", l.session) && (l.lasts == 0 || l.used < l.lasts) && !l.stale
	status := http.StatusOK
	switch {
	case !in:
		status = l.out
	case strings.HasPrefix(r.URL.Path, "/forbidden"):
		status = http.StatusForbidden
	case strings.HasPrefix(r.URL.Path, "/missing"):
		status = http.StatusNotFound
	}
	if in {
		l.used++
	}
	l.asked = append(l.asked, fmt.Sprintf("%s%s %d", r.Host, r.URL.Path, status))
	if status == http.StatusFound {
		w.Header().Set("Location", "/login?next="+r.URL.Path)
	}
	w.Header().Set("X-Echo", "sid is "+fmt.Sprint(c))
	w.WriteHeader(status)
}

// enter fetches pages of a lounge with a login.
func (l *lounge) enter(t *testing.T, change func(*bench), urls ...string) (*bench, []harrow.Part) {
	t.Helper()
	if l.out == 0 {
		l.out = http.StatusFound
	}
	b := newBench(t, l)
	t.Setenv("HARROW_TEST_PASSWORD", password)
	b.cfg.Fetch.Login = &harrow.Login{URL: "http://one.example/login", Form: "form#in", Fields: map[string]string{"user": "ann", "pass": "${HARROW_TEST_PASSWORD}"}}
	if change != nil {
		change(b)
	}
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	return b, parts
}

func pagesOf(host string, n int) (urls []string) {
	for i := range n {
		urls = append(urls, fmt.Sprintf("http://%s/page/%d", host, i))
	}
	return urls
}

func (b *bench) outcomes(parts []harrow.Part) map[string]int {
	b.t.Helper()
	counts := map[string]int{}
	for _, text := range outcomes(rowsOf(b.t, b.lake, lakeio.Captures, parts)) {
		counts[text]++
	}
	return counts
}

func TestALoginComesBeforeTheFirstPageOfItsDomain(t *testing.T) {
	l := &lounge{domain: "one.example"}
	b, parts := l.enter(t, nil, append(pagesOf("one.example", 5), "http://www.one.example/a", "http://one.example/denied", "http://two.example/b")...)
	// Who is not of the domain gets no session: two.example sends to its login,
	// which robots.txt disallows.
	if got := fmt.Sprint(b.outcomes(parts)); got != "map[denied robots:2 fetched:6]" {
		t.Error(got)
	}
	if want := []string{"ann/" + password}; !slices.Equal(l.logins, want) || l.between > 0 {
		t.Errorf("logins %q; %d pages asked while one was under way", l.logins, l.between)
	}
	for _, line := range l.asked {
		if !strings.HasSuffix(line, " 200") && !strings.HasPrefix(line, "two.example/") {
			t.Errorf("asked without a session: %s", line)
		}
	}
	var kinds []string
	for _, e := range rowsOf(t, b.lake, lakeio.Exchanges, parts) {
		if e.Kind == harrow.KindLogin {
			kinds = append(kinds, fmt.Sprintf("%s %s %d %d", e.Key, e.URL, e.Status, e.Hop))
		}
	}
	// What servers put into queries is not told; robots.txt doesn't count.
	want := []string{"one.example http://one.example/login 200 0", "one.example http://one.example/login 303 0", "one.example http://one.example/home 200 1"}
	if !slices.Equal(kinds, want) {
		t.Errorf("exchanges %q", kinds)
	}
}

func TestASessionThatIsOverIsOpenedAgain(t *testing.T) {
	for _, out := range []int{302, 401, 403} {
		for _, concurrency := range []int{1, 4} {
			t.Run(fmt.Sprint(out, " ", concurrency), func(t *testing.T) {
				l := &lounge{lasts: 4, out: out, domain: "one.example"}
				urls := append(pagesOf("one.example", 12), pagesOf("www.one.example", 6)...)
				b, parts := l.enter(t, func(b *bench) { b.cfg.Fetch.Politeness.Default.Concurrency = concurrency }, urls...)
				if got := b.outcomes(parts); got["fetched"] != 18 {
					t.Errorf("%v", got)
				}
				// 18 pages of 4 a session: those in flight with the old one ask for no
				// login of their own.
				if n := len(l.logins); n != 5 {
					t.Errorf("%d logins", n)
				}
			})
		}
	}
}

func TestAPageThatIsRefusedForItsOwnReasonsCostsFewLogins(t *testing.T) {
	for _, out := range []int{302, 403} {
		l := &lounge{out: out}
		urls := pagesOf("one.example", 20)
		for i := range 10 {
			urls = append(urls, fmt.Sprintf("http://one.example/forbidden/%d", i), fmt.Sprintf("http://one.example/missing/%d", i), fmt.Sprintf("http://one.example/more/%d", i))
		}
		b, parts := l.enter(t, nil, urls...)
		if got := b.outcomes(parts); got["fetched"] != 30 || got["failed http_403"] != 10 || got["gone http_404"] != 10 {
			t.Errorf("%v", got)
		}
		if n := len(l.logins); n > 3+mostVain { // and not 11
			t.Errorf("%d logins", n)
		}
	}
}

func TestALoginThatFailsDefersItsDomainAndSaysWhyOnce(t *testing.T) {
	for name, c := range map[string]struct {
		lounge *lounge
		change func(*bench)
		class  harrow.Class
		reason string
		logins int
	}{
		"a wrong password": {&lounge{}, func(b *bench) {
			t.Setenv("HARROW_TEST_PASSWORD", "wr0ng-one")
			b.cfg.Fetch.Login.Success = "re:Log out"
		}, harrow.Permanent,
			"fetch.login: http://one.example/login: the answer to the form does not hold fetch.login.success, \"re:Log out\": check", 1},
		"a wrong password, any form": {&lounge{}, func(b *bench) {
			t.Setenv("HARROW_TEST_PASSWORD", "wr0ng-one")
			b.cfg.Fetch.Login.Form = ""
		}, harrow.Permanent, "fetch.login: http://one.example/login: the answer to the form is the form again: check the fields' values, or say by fetch.login.success what tells that they are right", 1},
		"no mark of success": {&lounge{}, func(b *bench) { b.cfg.Fetch.Login.Success = "Welcome" }, harrow.Permanent,
			`fetch.login: http://one.example/home: the answer to the form does not hold fetch.login.success, "Welcome": check the fields' values`, 1},
		"no such field": {&lounge{}, func(b *bench) { b.cfg.Fetch.Login.Fields["otp"] = "1" }, harrow.Permanent,
			`fetch.login: http://one.example/login: the form has no field "otp"; it has ["csrf" "user" "pass"]`, 0},
		"a server that is down": {&lounge{broken: 100}, nil, harrow.Transient, "fetch.login: http://one.example/login answered 500", 0},
		"a session that holds for nothing": {&lounge{stale: true}, nil, harrow.Permanent,
			"fetch.login: the session does not hold: right after a login http://", 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := c.lounge
			change := func(b *bench) {
				b.cfg.Fetch.Breaker.Failures = 100
				if c.change != nil {
					c.change(b)
				}
			}
			b, parts := l.enter(t, change, append(pagesOf("one.example", 3), "http://www.one.example/a")...)
			if got := b.outcomes(parts); got["deferred login"] != 4 {
				t.Errorf("%v", got)
			}
			rejects := rowsOf(t, b.lake, lakeio.Rejects, parts)
			if len(rejects) != 1 || rejects[0].Class != c.class || rejects[0].Code != "login" || rejects[0].URL != "http://one.example/login" || rejects[0].Payload != "" {
				t.Errorf("%+v", rejects)
			} else if !strings.HasPrefix(rejects[0].Reason, c.reason) {
				t.Errorf("%s", rejects[0].Reason)
			}
			if len(l.logins) != c.logins {
				t.Errorf("%d logins", len(l.logins))
			}
			for _, d := range rowsOf(t, b.lake, lakeio.DeferredRequests, parts) {
				if d.Reason != "login" {
					t.Errorf("deferred: %+v", d)
				}
			}
		})
	}
}

func TestALoginIsTriedAgainAfterTransientFailures(t *testing.T) {
	l := &lounge{broken: 2}
	b, parts := l.enter(t, nil, pagesOf("one.example", 3)...)
	if got := b.outcomes(parts); got["fetched"] != 3 {
		t.Errorf("%v", got)
	}
	if n := b.log.Count("http://one.example/login"); n != 3 || len(l.logins) != 1 {
		t.Errorf("the login's page was asked %d times, %d logins", n, len(l.logins))
	}
}

func TestALoginWhoseHostCannotBeAskedDefersItsDomain(t *testing.T) {
	l := &lounge{}
	for _, url := range []string{"http://down.one.example/login", "http://none.one.invalid/login"} {
		host := strings.TrimPrefix(canon.Domain(strings.Split(url, "/")[2]), "http://")
		b, parts := l.enter(t, func(b *bench) {
			b.cfg.Fetch.Login.URL = url
			b.cfg.Fetch.Resolve["down.one.example"] = "127.0.0.1:1"
			b.cfg.Fetch.Resolve["www.one.invalid"] = b.cfg.Fetch.Resolve["*.example"]
			b.cfg.Scope.Hosts = []string{"*"}
		}, "http://www."+host+"/a", "http://www."+host+"/b")
		if got := b.outcomes(parts); got["deferred login"] != 2 {
			t.Errorf("%s: %v", url, got)
		}
		if got := rowsOf(t, b.lake, lakeio.Rejects, parts); len(got) != 1 || got[0].Code != "login" {
			t.Errorf("%s: %+v", url, got)
		}
	}
}

func TestTheNextRoundGoesOnInTheSession(t *testing.T) {
	l := &lounge{}
	b, _ := l.enter(t, nil, pagesOf("one.example", 2)...)
	b.cfg.Round, b.cfg.Env.Stage = 1, lakeio.FetchStage(1)
	parts, err := b.run(t.Context(), "http://one.example/later")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.outcomes(parts); got["fetched"] != 1 || len(l.logins) != 1 {
		t.Errorf("%v, %d logins", got, len(l.logins))
	}
	// Another run begins without cookies and logs in.
	b.cfg.Round, b.cfg.Env.Stage, b.cfg.Env.Run = 0, lakeio.FetchStage(0), b.cfg.Env.Run+"x"
	b.lake.Run = b.cfg.Env.Run
	if parts, err = b.run(t.Context(), "http://one.example/again"); err != nil {
		t.Fatal(err)
	}
	if got := b.outcomes(parts); got["fetched"] != 1 || len(l.logins) != 2 {
		t.Errorf("%v, %d logins", got, len(l.logins))
	}
}

func TestARunThatIsPausedWhileItLogsInGoesOnWithAnother(t *testing.T) {
	l := &lounge{out: 302, domain: "one.example", hold: make(chan struct{})}
	b := newBench(t, l)
	b.cfg.Fetch.Login = &harrow.Login{URL: "http://one.example/login", Fields: map[string]string{"user": "ann", "pass": password}}
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	urls := append(pagesOf("one.example", 3), "http://www.one.example/a")
	b.cfg.Fetch.Politeness.Default.Concurrency = 1
	a, err := p.Admit(t.Context(), 0, b.requests(urls...))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); p.status(time.Now()).Waiting[whyLogin] < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("keys wait for %v", p.status(time.Now()).Waiting)
		}
	}
	p.stop(nil)
	close(l.hold)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Wait(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("the pause ended it with %v", err)
	}
	parts, err := b.run(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.outcomes(parts); got["fetched"] != 4 || len(l.logins) == 0 {
		t.Errorf("%v, %d logins", got, len(l.logins))
	}
}
