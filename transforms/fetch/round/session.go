package round

import (
	"os"
	"slices"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/cookies"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/session"
)

// cookiesPart is the part of limits.memory that a run's cookies may take
// beside its shares: 1 in 64.
const cookiesPart = 64

// newSent says what goes along with requests. Secrets are filled in here, on
// the worker.
func newSent(cfg Config, s *site) (*session.Sent, error) {
	return session.New(session.Config{Fetch: cfg.Fetch, Own: s.scope.HasHost, Plain: cfg.Plain, Env: os.LookupEnv})
}

// keepCookies makes the run's jar, once. It is a cache that lives as long as the
// process remembers the run: a domain's requests are asked for by one process,
// so it sees all that the domain sets, and a run that is resumed elsewhere
// begins without.
func (r *recollection) keepCookies(limit int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jar == nil {
		r.jar = cookies.New(limit)
	}
}

// along are the headers that an item is sent with, beside those of every
// request: its own win over the job's, and a Cookie among them over the jar's.
// robots.txt is asked for without cookies: it is nobody's in particular.
func (p *Process) along(it *item, now time.Time) []harrow.Header {
	headers := p.sent.Headers(it.at, slices.Concat(it.headers(), it.preconditions()))
	if it.Robots != "" || !p.cookies() || session.Has(headers, "Cookie") || session.Has(p.sent.Everywhere(), "Cookie") {
		return headers
	}
	if c := p.recall.jar.Header(it.at, now); c != "" {
		headers = append(headers, harrow.Header{Name: "Cookie", Value: c})
	}
	return headers
}

// keep takes the cookies of an answer over, but of robots.txt: asked for without
// a session, it may bring another one. It leaves in the headers what may be
// stored.
func (p *Process) keep(it *item, resp *httpfetch.Response, now time.Time) {
	if resp == nil {
		return
	}
	if it.Robots == "" && p.cookies() {
		p.recall.jar.Store(it.at, resp.Headers, now)
	}
	resp.Headers = p.sent.Kept(resp.Headers)
}

// gave reports whether an answer set a cookie: who is redirected to the same
// page again may find it open now.
func (p *Process) gave(resp *httpfetch.Response) bool {
	return p.cookies() && session.Has(resp.Headers, "Set-Cookie")
}

// cookies reports whether the job keeps them.
func (p *Process) cookies() bool {
	on := p.cfg.Fetch.Cookies
	return on == nil || *on
}
